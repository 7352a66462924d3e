"""Where in the ledger the requests of somebody are, so that looking for a few does not read ten million.

The sums know in which hours a key, team, provider or model had any; they are looked through from the newest
day on, over more and more days at a time. An index for each of the four would find the rows as well, and
treble what it costs to write them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Final

from trunkline.ledger.rows import HOUR_OF_IDS

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table
    from sqlalchemy.sql.elements import ColumnElement

_DAY: Final = 86400
_HOUR: Final = 3600
_FIRST_DAYS: Final = 2
_MOST_DAYS: Final = 64
"""Days that are looked through at a time. Their hours are parameters of one statement."""
_FEW_KEYS: Final = 20
"""Keys that are named in a statement: their sums are then found one by one."""


def stretches(
    connection: Connection, place: Mapping[str, str], first: int | None, beyond: int | None
) -> Iterator[tuple[int, int]]:
    """Stretches of row ids (``beyond`` excluded), the newest first, that hold all rows with ``place``, the
    values of some columns of the sums' place, between two ids; few other rows are in them."""
    from sqlalchemy import func, select

    from trunkline.ledger.tables import usage, usage_daily

    oldest = connection.execute(select(func.min(usage.c.id))).scalar()
    newest = connection.execute(select(func.max(usage_daily.c.day))).scalar()
    if oldest is None or newest is None:
        return
    first = max(oldest, first or 0)
    beyond = (newest + _DAY) // _HOUR * HOUR_OF_IDS if beyond is None else beyond
    since, day = first // HOUR_OF_IDS * _HOUR, min(newest, (beyond - 1) // HOUR_OF_IDS * _HOUR) // _DAY * _DAY
    number = _FIRST_DAYS
    while day + _DAY > since:
        begin = day - (number - 1) * _DAY
        hours = [hour for hour in _hours(connection, place, begin, day) if hour >= since]
        # Hours without a gap have the same difference to their place in the row.
        for _, group in groupby(enumerate(hours), lambda each: each[1] // _HOUR + each[0]):
            row = [hour // _HOUR for _, hour in group]
            low, high = max(first, row[-1] * HOUR_OF_IDS), min(beyond, (row[0] + 1) * HOUR_OF_IDS)
            if low < high:
                yield low, high
        day, number = begin - _DAY, min(number * 4, _MOST_DAYS)


def _hours(connection: Connection, place: Mapping[str, str], begin: int, last: int) -> list[int]:
    """The hours of days from ``begin`` to ``last`` in which there was something, the newest first."""
    from sqlalchemy import select

    from trunkline.ledger.tables import usage_daily, usage_hourly

    by_day = select(usage_daily.c.day, usage_daily.c.key_id).distinct()
    by_day = by_day.where(usage_daily.c.day.between(begin, last), *_at(usage_daily, place))
    found = connection.execute(by_day).all()
    if not found:
        return []
    hours = [day + hour for day in {day for day, _ in found} for hour in range(0, _DAY, _HOUR)]
    query = select(usage_hourly.c.hour).distinct()
    query = query.where(usage_hourly.c.hour.in_(hours), *_at(usage_hourly, place))
    keys = {key for _, key in found}
    if len(keys) <= _FEW_KEYS:
        query = query.where(usage_hourly.c.key_id.in_(keys))
    return sorted(connection.execute(query).scalars(), reverse=True)


def _at(table: Table, place: Mapping[str, str]) -> list[ColumnElement[bool]]:
    return [table.c[column] == value for column, value in place.items()]
