"""Ledgers of millions of rows: requests are found by their ids; SQLite keeps sums in the order of time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the index; make the sums' tables anew, in their key's order and without an index beside it."""
    op.create_index("ix_usage_request_id", "usage", ["request_id"], unique=False)
    _rebuild_sums(with_rowid=False)


def downgrade() -> None:
    """Back to tables in the order of insertion."""
    _rebuild_sums(with_rowid=True)
    op.drop_index("ix_usage_request_id", table_name="usage")


def _rebuild_sums(*, with_rowid: bool) -> None:
    if op.get_bind().dialect.name != "sqlite":
        return
    for name, since in (("usage_hourly", "hour"), ("usage_daily", "day")):
        op.rename_table(name, f"{name}_old")
        op.create_table(
            name,
            sa.Column(
                since,
                sa.BigInteger(),
                autoincrement=False,
                nullable=False,
                comment="its beginning, Unix time",
            ),
            sa.Column("key_id", sa.String(length=32), nullable=False),
            sa.Column("team_id", sa.String(length=32), nullable=False),
            sa.Column("provider", sa.String(length=64), nullable=False),
            sa.Column("model", sa.String(length=200), nullable=False),
            sa.Column("requests", sa.BigInteger(), nullable=False),
            sa.Column("failures", sa.BigInteger(), nullable=False),
            sa.Column("attempts", sa.BigInteger(), nullable=False),
            sa.Column("cached", sa.BigInteger(), nullable=False),
            sa.Column("prompt_tokens", sa.BigInteger(), nullable=False),
            sa.Column("completion_tokens", sa.BigInteger(), nullable=False),
            sa.Column("cached_tokens", sa.BigInteger(), nullable=False),
            sa.Column("reasoning_tokens", sa.BigInteger(), nullable=False),
            sa.Column("cost_micros", sa.BigInteger(), nullable=False),
            sa.Column("unpriced", sa.BigInteger(), nullable=False),
            sa.Column("duration_ms", sa.Double(), nullable=False),
            sa.Column("upstream_ms", sa.Double(), nullable=False),
            sa.PrimaryKeyConstraint(since, "key_id", "team_id", "provider", "model", name=f"pk_{name}"),
            sqlite_with_rowid=with_rowid,
        )
        op.execute(f"INSERT INTO {name} SELECT * FROM {name}_old ORDER BY 1, 2, 3, 4, 5")
        op.drop_table(f"{name}_old")
