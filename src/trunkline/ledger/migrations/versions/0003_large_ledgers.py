"""Ledgers of millions of rows: requests are found by their ids, sums over a year by sums by month, and SQLite
keeps sums in the order of time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

PLACE = ("key_id", "team_id", "provider", "model")
COUNTS = (
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
TIMES = ("duration_ms", "upstream_ms")


def upgrade() -> None:
    """Make the index and the sums by month; make SQLite's other sums anew, without an index beside them."""
    op.create_index("ix_usage_request_id", "usage", ["request_id"], unique=False)
    _rebuild_sums(with_rowid=False)
    _create_sums("usage_monthly", "month", with_rowid=False)
    _fill_months()


def downgrade() -> None:
    """Back to sums by hour and day, in the order of insertion."""
    op.drop_table("usage_monthly")
    _rebuild_sums(with_rowid=True)
    op.drop_index("ix_usage_request_id", table_name="usage")


def _rebuild_sums(*, with_rowid: bool) -> None:
    if op.get_bind().dialect.name != "sqlite":
        return
    for name, since in (("usage_hourly", "hour"), ("usage_daily", "day")):
        op.rename_table(name, f"{name}_old")
        _create_sums(name, since, with_rowid=with_rowid)
        op.execute(f"INSERT INTO {name} SELECT * FROM {name}_old ORDER BY 1, 2, 3, 4, 5")
        op.drop_table(f"{name}_old")


def _create_sums(name: str, since: str, *, with_rowid: bool) -> None:
    began = "its beginning, Unix time"
    op.create_table(
        name,
        sa.Column(since, sa.BigInteger(), autoincrement=False, nullable=False, comment=began),
        sa.Column("key_id", sa.String(length=32), nullable=False),
        sa.Column("team_id", sa.String(length=32), nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        *(sa.Column(each, sa.BigInteger(), nullable=False) for each in COUNTS),
        *(sa.Column(each, sa.Double(), nullable=False) for each in TIMES),
        sa.PrimaryKeyConstraint(since, *PLACE, name=f"pk_{name}"),
        sqlite_with_rowid=with_rowid,
    )


def _fill_months() -> None:
    connection = op.get_bind()
    first, last = connection.execute(sa.text("SELECT min(day), max(day) FROM usage_daily")).one()
    if first is None:
        return
    place, sums = ", ".join(PLACE), ", ".join(f"sum({each})" for each in (*COUNTS, *TIMES))
    fill = sa.text(
        f"INSERT INTO usage_monthly SELECT :month, {place}, {sums} FROM usage_daily "
        f"WHERE day >= :month AND day < :next GROUP BY {place}"
    ).bindparams(sa.bindparam("month", type_=sa.BigInteger()), sa.bindparam("next", type_=sa.BigInteger()))
    month = datetime.fromtimestamp(first, UTC).replace(day=1)
    while month.timestamp() <= last:
        following = (month + timedelta(days=31)).replace(day=1)
        connection.execute(fill, {"month": int(month.timestamp()), "next": int(following.timestamp())})
        month = following
