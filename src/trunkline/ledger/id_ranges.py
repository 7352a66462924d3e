"""Where in the ledger the requests of somebody are, so that looking for a few does not read ten million.

The sums know in which months, days and hours a key, team, provider or model had any; they are looked through
from the newest on. An index for each of the four would find the rows as well, and treble what it costs to
write them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Final

from trunkline.ledger.usage_rows import HOUR_OF_IDS, month_start

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

_DAY: Final = 86400
_HOUR: Final = 3600
_MOST_DAYS: Final = 31
"""Days whose hours are looked through at a time; at first it is one. The hours are parameters."""
_FEW_KEYS: Final = 20
"""Keys that are named in a statement: their sums are then found one by one."""


def stretches(
    connection: Connection, place: Mapping[str, str], first: int, beyond: int
) -> Iterator[tuple[int, int]]:
    """Stretches of row ids (``beyond`` excluded), the newest first, that hold all rows with ``place``, the
    values of some columns of the sums' place, between two ids; few other rows are in them."""
    from sqlalchemy import func, select

    from trunkline.ledger.tables import usage

    oldest = connection.execute(select(func.min(usage.c.id))).scalar()
    if oldest is None:
        return
    first = max(oldest, first)
    last = (beyond - 1) // HOUR_OF_IDS * _HOUR
    for hours in _hours(connection, place, first // HOUR_OF_IDS * _HOUR, last):
        # Hours without a gap have the same difference to their place in the row.
        for _, group in groupby(enumerate(hours), lambda each: each[1] // _HOUR + each[0]):
            row = [hour // _HOUR for _, hour in group]
            low, high = max(first, row[-1] * HOUR_OF_IDS), min(beyond, (row[0] + 1) * HOUR_OF_IDS)
            if low < high:
                yield low, high


def _hours(connection: Connection, place: Mapping[str, str], first: int, last: int) -> Iterator[list[int]]:
    """The hours in which there was something, the newest first, some at a time."""
    from sqlalchemy import select

    from trunkline.ledger.tables import usage_daily, usage_hourly, usage_monthly

    table = usage_monthly
    query = select(table.c.month, table.c.key_id).distinct().where(table.c.month >= month_start(first))
    query = query.where(table.c.month <= last)
    query = query.where(*(table.c[column] == value for column, value in place.items()))
    keys_of: dict[int, set[str]] = {}
    for month, key in connection.execute(query):
        keys_of.setdefault(month, set()).add(key)
    number = 1
    for month, keys in sorted(keys_of.items(), reverse=True):
        of_month = [
            day
            for day in range(month, month + 31 * _DAY, _DAY)
            if month_start(day) == month and day + _DAY > first and day <= last
        ]
        days = _those(connection, usage_daily, of_month, place, keys)
        while days:
            some, days = days[:number], days[number:]
            number = min(number * 2, _MOST_DAYS)
            of_days = [day + hour for day in some for hour in range(0, _DAY, _HOUR)]
            within = [hour for hour in of_days if hour >= first and hour <= last]
            yield _those(connection, usage_hourly, within, place, keys)


def _those(
    connection: Connection,
    table: Table,
    times: Sequence[int],
    place: Mapping[str, str],
    keys: Collection[str],
) -> list[int]:
    """Those of the times at which a table of sums has something, the newest first."""
    from sqlalchemy import select

    moment = next(iter(table.c))
    query = select(moment).distinct().where(moment.in_(times))
    query = query.where(*(table.c[column] == value for column, value in place.items()))
    if len(keys) <= _FEW_KEYS:
        query = query.where(table.c.key_id.in_(keys))
    return sorted(connection.execute(query).scalars(), reverse=True)
