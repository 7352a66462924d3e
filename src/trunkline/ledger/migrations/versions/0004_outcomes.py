"""Adds to usage rows how the answer ended. Rows of earlier versions have no outcome."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, which is null in the rows that are there."""
    comment = "success, or why not; null: of an earlier version"
    op.add_column("usage", sa.Column("outcome", sa.String(length=16), comment=comment))


def downgrade() -> None:
    """Remove the column."""
    op.drop_column("usage", "outcome")
