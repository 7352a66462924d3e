"""Finds the id ranges that hold the usage rows of a key, team, provider or model.

A search for a few rows then does not read ten million others. The roll-ups tell in which months, days and
hours there was usage; they are searched from the newest on. An index for each of the four dimensions would
find the rows as well, and would triple the cost of inserting them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Final, TypeAlias

from trunkline.ledger.usage_rows import IDS_PER_HOUR, month_start

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

_DAY: Final = 86400
_HOUR: Final = 3600
_MAX_DAYS_PER_QUERY: Final = 31
"""The maximum number of days whose hours are searched with one query. The first query searches one day. Each
hour is a parameter of the query."""
_MAX_KEYS_PER_QUERY: Final = 20
"""The maximum number of keys that a query names. The database then looks up the roll-ups of each key."""

IdRange: TypeAlias = tuple[int, int]
"""The first id, and the first id after the range."""


def find_id_ranges(
    connection: Connection, filters: Mapping[str, str], first: int, end: int
) -> Iterator[IdRange]:
    """Find the ranges of ids that hold all usage rows with certain values, and few other rows.

    Args:
        connection: The database.
        filters: The values of the rows, by the name of the dimension.
        first: The lowest id to consider.
        end: The first id that is not considered any more.

    Returns:
        The ranges, the newest first.
    """
    from sqlalchemy import func, select

    from trunkline.ledger.tables import usage

    oldest = connection.execute(select(func.min(usage.c.id))).scalar()
    if oldest is None:
        return
    first = max(oldest, first)
    last_hour = (end - 1) // IDS_PER_HOUR * _HOUR
    for hours in _hours_with_usage(connection, filters, first // IDS_PER_HOUR * _HOUR, last_hour):
        # The hours descend, so the sum of hour and position is the same for all hours of a run without gaps.
        for _, group in groupby(enumerate(hours), lambda each: each[1] // _HOUR + each[0]):
            run = [hour // _HOUR for _, hour in group]
            low, high = max(first, run[-1] * IDS_PER_HOUR), min(end, (run[0] + 1) * IDS_PER_HOUR)
            if low < high:
                yield low, high


def _hours_with_usage(
    connection: Connection, filters: Mapping[str, str], first: int, last: int
) -> Iterator[list[int]]:
    """Find the hours between two hours in which there was usage, the newest first, a few days at a time."""
    from sqlalchemy import select

    from trunkline.ledger.tables import usage_daily, usage_hourly, usage_monthly

    table = usage_monthly
    query = select(table.c.month, table.c.key_id).distinct().where(table.c.month >= month_start(first))
    query = query.where(table.c.month <= last)
    query = query.where(*(table.c[column] == value for column, value in filters.items()))
    keys_by_month: dict[int, set[str]] = {}
    for month, key in connection.execute(query):
        keys_by_month.setdefault(month, set()).add(key)
    days_per_query = 1
    for month, keys in sorted(keys_by_month.items(), reverse=True):
        days_of_month = [
            day
            for day in range(month, month + 31 * _DAY, _DAY)
            if month_start(day) == month and day + _DAY > first and day <= last
        ]
        days = _times_with_usage(connection, usage_daily, days_of_month, filters, keys)
        while days:
            searched, days = days[:days_per_query], days[days_per_query:]
            days_per_query = min(days_per_query * 2, _MAX_DAYS_PER_QUERY)
            hours = [day + hour for day in searched for hour in range(0, _DAY, _HOUR)]
            hours = [hour for hour in hours if first <= hour <= last]
            yield _times_with_usage(connection, usage_hourly, hours, filters, keys)


def _times_with_usage(
    connection: Connection,
    table: Table,
    times: Sequence[int],
    filters: Mapping[str, str],
    keys: Collection[str],
) -> list[int]:
    """Return those of ``times`` for which a roll-up table has usage, the newest first."""
    from sqlalchemy import select

    start = next(iter(table.c))
    query = select(start).distinct().where(start.in_(times))
    query = query.where(*(table.c[column] == value for column, value in filters.items()))
    if len(keys) <= _MAX_KEYS_PER_QUERY:
        query = query.where(table.c.key_id.in_(keys))
    return sorted(connection.execute(query).scalars(), reverse=True)
