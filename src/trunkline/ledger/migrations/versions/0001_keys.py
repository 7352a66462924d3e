"""The table of keys of the first versions. They created it without migrations, so it may exist already."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table of keys."""
    if sa.inspect(op.get_bind()).has_table("keys"):
        return
    op.create_table(
        "keys",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False, comment="SHA-256 of the key, in hex"),
        sa.Column(
            "prefix", sa.String(16), nullable=False, comment="the key's first characters, to tell keys apart"
        ),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), comment="null while the key may come in"),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
        sa.UniqueConstraint("hash", name="uq_keys_hash"),
        sa.CheckConstraint("role IN ('admin', 'member')", name=op.f("ck_keys_role")),
    )


def downgrade() -> None:
    """Drop the table of keys."""
    op.drop_table("keys")
