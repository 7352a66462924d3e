"""Makes ledgers of millions of rows fast: an index finds requests by their ids, monthly roll-ups serve totals
over long times, and SQLite stores roll-ups in the order of time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

DIMENSIONS = ("key_id", "team_id", "provider", "model")
COUNT_COLUMNS = (
    "requests",
    "failures",
    "attempts",
    "cached",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "cost_micros",
    "unpriced",
)
DURATION_COLUMNS = ("duration_ms", "upstream_ms")


def upgrade() -> None:
    """Create the index and the monthly roll-ups; rebuild SQLite's other roll-ups without a separate index."""
    op.create_index("ix_usage_request_id", "usage", ["request_id"], unique=False)
    _rebuild_roll_ups(with_rowid=False)
    _create_roll_up_table("usage_monthly", "month", with_rowid=False)
    _fill_monthly_roll_ups()


def downgrade() -> None:
    """Return to hourly and daily roll-ups, which are stored in the order of insertion."""
    op.drop_table("usage_monthly")
    _rebuild_roll_ups(with_rowid=True)
    op.drop_index("ix_usage_request_id", table_name="usage")


def _rebuild_roll_ups(*, with_rowid: bool) -> None:
    if op.get_bind().dialect.name != "sqlite":
        return
    for name, start in (("usage_hourly", "hour"), ("usage_daily", "day")):
        op.rename_table(name, f"{name}_old")
        _create_roll_up_table(name, start, with_rowid=with_rowid)
        op.execute(f"INSERT INTO {name} SELECT * FROM {name}_old ORDER BY 1, 2, 3, 4, 5")
        op.drop_table(f"{name}_old")


def _create_roll_up_table(name: str, start: str, *, with_rowid: bool) -> None:
    comment = "its beginning, Unix time"
    op.create_table(
        name,
        sa.Column(start, sa.BigInteger(), autoincrement=False, nullable=False, comment=comment),
        sa.Column("key_id", sa.String(length=32), nullable=False),
        sa.Column("team_id", sa.String(length=32), nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        *(sa.Column(each, sa.BigInteger(), nullable=False) for each in COUNT_COLUMNS),
        *(sa.Column(each, sa.Double(), nullable=False) for each in DURATION_COLUMNS),
        sa.PrimaryKeyConstraint(start, *DIMENSIONS, name=f"pk_{name}"),
        sqlite_with_rowid=with_rowid,
    )


def _fill_monthly_roll_ups() -> None:
    connection = op.get_bind()
    first, last = connection.execute(sa.text("SELECT min(day), max(day) FROM usage_daily")).one()
    if first is None:
        return
    dimensions = ", ".join(DIMENSIONS)
    totals = ", ".join(f"sum({each})" for each in (*COUNT_COLUMNS, *DURATION_COLUMNS))
    fill = sa.text(
        f"INSERT INTO usage_monthly SELECT :month, {dimensions}, {totals} FROM usage_daily "
        f"WHERE day >= :month AND day < :next GROUP BY {dimensions}"
    ).bindparams(sa.bindparam("month", type_=sa.BigInteger()), sa.bindparam("next", type_=sa.BigInteger()))
    month = datetime.fromtimestamp(first, UTC).replace(day=1)
    while month.timestamp() <= last:
        following = (month + timedelta(days=31)).replace(day=1)
        connection.execute(fill, {"month": int(month.timestamp()), "next": int(following.timestamp())})
        month = following
