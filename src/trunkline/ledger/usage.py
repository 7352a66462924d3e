"""What was used, read: sums by any of key, team, provider, model and time, single requests, and spendings.

Sums come from the tables of sums, which are as exact as the rows and much smaller: those by month for whole
months, those by day or hour for the rest.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from trunkline.ledger.columns import PLACE, SUMS, TIMES
from trunkline.ledger.locate import StoreError
from trunkline.ledger.policies import Period
from trunkline.ledger.usage_rows import COLUMNS, id_at, month_start

if TYPE_CHECKING:
    from sqlalchemy import Connection, Select, Table
    from sqlalchemy.sql.elements import ColumnElement

    from trunkline.ledger.store import Store

Group: TypeAlias = Literal["key", "team", "provider", "model", "day", "hour"]
GROUPS: Final[tuple[Group, ...]] = ("key", "team", "provider", "model", "day", "hour")
_COLUMN: Final = {"key": "key_id", "team": "team_id", "provider": "provider", "model": "model"}
_DAY: Final = 86400
_LAST_ID: Final = 2**63 - 1
_FAR: Final = 32_503_680_000
"""The year 3000: what is asked beyond it need not fit into a calendar."""
Part: TypeAlias = "tuple[Table, float | None, float | None]"
"""A table of sums, and from when and until when (excluded) its rows count."""


def day_start(now: float) -> int:
    """Unix time at which the day of ``now`` began, in UTC."""
    return int(now // _DAY * _DAY)


def period_start(per: Period, now: float) -> int:
    """Unix time at which the period of ``now`` began, in UTC; weeks begin on Monday, ``total`` in 1970."""
    if per == "total":
        return 0
    today = datetime.fromtimestamp(day_start(now), UTC)
    if per == "week":
        today -= timedelta(days=today.weekday())
    elif per == "month":
        today = today.replace(day=1)
    return int(today.timestamp())


def period_end(per: Period, now: float) -> float:
    """Unix time at which the next period begins; infinity for ``total``."""
    if per == "total":
        return float("inf")
    begin = datetime.fromtimestamp(period_start(per, now), UTC)
    if per == "month":
        return (begin.replace(day=28) + timedelta(days=4)).replace(day=1).timestamp()
    return (begin + timedelta(days=1 if per == "day" else 7)).timestamp()


def sums(
    store: Store,
    *,
    by: Sequence[Group] = (),
    since: float | None = None,
    until: float | None = None,
    key: str | None = None,
    team: str | None = None,
    provider: str | None = None,
    model: str | None = None,
) -> list[dict[str, Any]]:
    """Sums of usage, one for each group, the dearest first (by time, if grouped by it).

    Args:
        by: what to group by; nothing gives one sum of all.
        since: Unix time, rounded down to the hour (to the day, if more than a week is asked for).
        until: Unix time, excluded; rounded up to the hour (or day) in the same way.
        key, team, provider, model: only these; key and team by id.
    """
    from sqlalchemy import func, select, union_all

    from trunkline.ledger import tables

    now = time.time()
    hourly = "hour" in by or (since is not None and (until or now) - since <= 7 * _DAY)
    span = 3600 if hourly else _DAY
    first = None if since is None else int(since // span * span)
    parts: list[Part] = [(tables.usage_hourly if hourly else tables.usage_daily, first, until)]
    if not hourly and "day" not in by:
        parts = _parts(first, until)
    values = zip(PLACE, (key, team, provider, model), strict=True)
    place = {column: value for column, value in values if value is not None}
    found = union_all(*(_sums_of(part, by, place) for part in parts)).subquery()
    groups = [found.c[each] for each in by]
    query = select(*groups, *(func.sum(found.c[name]).label(name) for name in (*SUMS, *TIMES)))
    if groups:
        times = [found.c[each] for each in by if each in ("day", "hour")]
        query = query.group_by(*groups).order_by(
            *times, func.sum(found.c.cost_micros).desc(), func.sum(found.c.requests).desc(), *groups
        )
    with store.begin() as connection:
        rows = connection.execute(query).mappings().all()
        names = _names(connection, by)
    return [_shown(dict(row), by, names) for row in rows if row["requests"] is not None]


def _parts(since: int | None, until: float | None) -> list[Part]:
    """What to add up for the days from ``since`` on that begin before ``until``."""
    from trunkline.ledger.tables import usage_daily, usage_monthly

    since = None if since is None or since <= 0 else min(since, _FAR)
    first = None if since is None else month_start(since)
    if since is not None and first != since:
        first = int(period_end("month", since))
    if until is None:
        last = end = None
    else:
        end = max(0, min(-int(-until // _DAY) * _DAY, _FAR))
        last = month_start(end)
        if first is not None and first >= last:
            return [(usage_daily, since, end)]
    parts: list[Part] = [(usage_monthly, first, last)]
    if since != first:
        parts.append((usage_daily, since, first))
    if end != last:
        parts.append((usage_daily, last, end))
    return parts


def _sums_of(part: Part, by: Sequence[Group], place: Mapping[str, str]) -> Select[Any]:
    from sqlalchemy import func, select

    table, begin, end = part
    moment = next(iter(table.c))
    groups: list[ColumnElement[Any]] = []
    for each in by:
        if each in _COLUMN:
            groups.append(table.c[_COLUMN[each]].label(each))
        else:
            groups.append((moment if moment.name == each else moment - moment % _DAY).label(each))
    query = select(*groups, *(func.sum(table.c[name]).label(name) for name in (*SUMS, *TIMES)))
    if begin is not None:
        query = query.where(moment >= begin)
    if end is not None:
        query = query.where(moment < end)
    return query.where(*(table.c[column] == value for column, value in place.items())).group_by(*groups)


def _names(connection: Connection, by: Sequence[Group]) -> dict[str, dict[str, str]]:
    from trunkline.ledger import tables

    found = {}
    for group, table in (("key", tables.keys), ("team", tables.teams)):
        if group in by:
            found[group] = _by_id(connection, table)
    return found


def _by_id(connection: Connection, table: Table) -> dict[str, str]:
    from sqlalchemy import select

    return {row.id: row.name for row in connection.execute(select(table.c.id, table.c.name))}


def _shown(row: dict[str, Any], by: Sequence[Group], names: dict[str, dict[str, str]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for group in by:
        value = row[group]
        if group in ("day", "hour"):
            value = datetime.fromtimestamp(int(value), UTC).strftime(
                "%Y-%m-%d" if group == "day" else "%Y-%m-%dT%H:00Z"
            )
        found[group] = value
        if group in names:
            found[f"{group}_name"] = names[group].get(value) or ""
    for name in SUMS:
        found[name] = int(row[name])
    found["cost_usd"] = found.pop("cost_micros") / 1_000_000
    for name in TIMES:
        found[name] = round(float(row[name]), 3)
    return found


def requests(
    store: Store,
    *,
    since: float | None = None,
    until: float | None = None,
    key: str | None = None,
    team: str | None = None,
    provider: str | None = None,
    model: str | None = None,
    request_id: str | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """Single attempts, the newest first; ``before`` the one with this id, to page on."""
    from sqlalchemy import select

    from trunkline.ledger.id_ranges import stretches
    from trunkline.ledger.tables import usage

    first = 0 if since is None else _id_at(since)
    beyond = min(_LAST_ID if until is None else _id_at(until), _LAST_ID if before is None else before)
    query = select(*(usage.c[name] for name in COLUMNS)).order_by(usage.c.id.desc())
    values = zip(PLACE, (key, team, provider, model), strict=True)
    place = {column: value for column, value in values if value is not None}
    for column, value in place.items():
        query = query.where(usage.c[column] == value)
    if request_id is not None:
        query = query.where(usage.c.request_id == request_id)
    found: list[dict[str, Any]] = []
    with store.begin() as connection:
        parts: Iterable[tuple[int, int]] = [(first, beyond)]
        if place and request_id is None:
            parts = stretches(connection, place, first, beyond)
        for low, high in parts:
            part = query.where(usage.c.id >= low, usage.c.id < high).limit(limit - len(found))
            found += map(dict, connection.execute(part).mappings())
            if len(found) >= limit:
                break
    return found


def _id_at(moment: float) -> int:
    return max(0, min(id_at(int(moment * 1000)), _LAST_ID))


def spent(store: Store, scope: str, subject: str, since: int) -> tuple[int, int]:
    """What a key, team or provider (or all, under scope ``all``) has spent since the beginning of a day:
    millionths of a dollar, and tokens."""
    from sqlalchemy import func, select, union_all

    place = {} if scope == "all" else {_COLUMN[scope]: subject}
    found = union_all(*(_sums_of(part, (), place) for part in _parts(since, None))).subquery()
    query = select(
        func.coalesce(func.sum(found.c.cost_micros), 0),
        func.coalesce(func.sum(found.c.prompt_tokens + found.c.completion_tokens), 0),
    )
    with store.begin() as connection:
        row = connection.execute(query).one()
    return int(row[0]), int(row[1])


def moment(text: str, now: float | None = None) -> float:
    """A time as people write it (``2026-11-20``, ``2026-11-20T14:00Z``, ``7d``, ``24h``: so long ago), as
    Unix time.

    Raises:
        StoreError: it is none.
    """
    now = time.time() if now is None else now
    units = {"m": 60, "h": 3600, "d": _DAY, "w": 7 * _DAY}
    try:
        if text[-1:] in units and text[:-1].isdecimal():
            return now - int(text[:-1]) * units[text[-1]]
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise StoreError(
            f"{text[:40]!r} is no time; write 2026-11-20, 2026-11-20T14:00Z, 24h or 7d", "wrong"
        ) from None
