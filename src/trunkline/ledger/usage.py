"""Reads usage: totals by key, team, provider, model and time, single rows, and the spending of budgets.

Totals come from the roll-ups, which are as exact as the usage rows and much smaller: monthly roll-ups for
whole months, daily or hourly ones for the rest.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from trunkline.ledger.columns import COUNT_COLUMNS, DIMENSIONS, DURATION_COLUMNS
from trunkline.ledger.locate import StoreError
from trunkline.ledger.policies import Period
from trunkline.ledger.usage_rows import COLUMNS, first_id_at, month_start

if TYPE_CHECKING:
    from sqlalchemy import Connection, Select, Table
    from sqlalchemy.sql.elements import ColumnElement

    from trunkline.ledger.store import Store

Group: TypeAlias = Literal["key", "team", "provider", "model", "day", "hour"]
GROUPS: Final[tuple[Group, ...]] = ("key", "team", "provider", "model", "day", "hour")
_DIMENSIONS_BY_GROUP: Final = {"key": "key_id", "team": "team_id", "provider": "provider", "model": "model"}
_DAY: Final = 86400
_LAST_ID: Final = 2**63 - 1
_LATEST_TIME: Final = 32_503_680_000
"""The year 3000. Later times are treated as this one, because they may be beyond the calendar."""
Source: TypeAlias = "tuple[Table, float | None, float | None]"
"""A roll-up table, and the Unix times from which and until which (excluded) its rows count."""


def day_start(now: float) -> int:
    """Return the Unix time at which the day of ``now`` began, in UTC."""
    return int(now // _DAY * _DAY)


def period_start(per: Period, now: float) -> int:
    """Return the Unix time at which the period of ``now`` began, in UTC.

    Weeks begin on Monday, and ``total`` begins in 1970.
    """
    if per == "total":
        return 0
    today = datetime.fromtimestamp(day_start(now), UTC)
    if per == "week":
        today -= timedelta(days=today.weekday())
    elif per == "month":
        today = today.replace(day=1)
    return int(today.timestamp())


def period_end(per: Period, now: float) -> float:
    """Return the Unix time at which the next period begins; infinity for ``total``."""
    if per == "total":
        return float("inf")
    begin = datetime.fromtimestamp(period_start(per, now), UTC)
    if per == "month":
        return (begin.replace(day=28) + timedelta(days=4)).replace(day=1).timestamp()
    return (begin + timedelta(days=1 if per == "day" else 7)).timestamp()


def sum_usage(
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
    """Add up usage.

    Args:
        store: The store to read.
        by: The groups. Without any, there is one total.
        since: Unix time, rounded down to the hour, or to the day if the time is longer than a week.
        until: Unix time, excluded; rounded up to the hour or day in the same way.
        key: The id of the only key to count.
        team: The id of the only team to count.
        provider: The name of the only provider to count.
        model: The only model to count, by the upstream's name for it.

    Returns:
        The totals of each group. They are sorted by time if they are grouped by it, and then by cost, the
        highest first.
    """
    from sqlalchemy import func, select, union_all

    from trunkline.ledger import tables

    now = time.time()
    hourly = "hour" in by or (since is not None and (until or now) - since <= 7 * _DAY)
    span = 3600 if hourly else _DAY
    first = None if since is None else int(since // span * span)
    sources: list[Source] = [(tables.usage_hourly if hourly else tables.usage_daily, first, until)]
    if not hourly and "day" not in by:
        sources = _choose_sources(first, until)
    filters = _filters(key, team, provider, model)
    totals = union_all(*(_select_totals(source, by, filters) for source in sources)).subquery()
    groups = [totals.c[each] for each in by]
    columns = (*COUNT_COLUMNS, *DURATION_COLUMNS)
    query = select(*groups, *(func.sum(totals.c[name]).label(name) for name in columns))
    if groups:
        times = [totals.c[each] for each in by if each in ("day", "hour")]
        query = query.group_by(*groups).order_by(
            *times, func.sum(totals.c.cost_micros).desc(), func.sum(totals.c.requests).desc(), *groups
        )
    with store.begin() as connection:
        rows = connection.execute(query).mappings().all()
        names = _read_names(connection, by)
    return [_format_totals(dict(row), by, names) for row in rows if row["requests"] is not None]


def _filters(key: str | None, team: str | None, provider: str | None, model: str | None) -> dict[str, str]:
    values = zip(DIMENSIONS, (key, team, provider, model), strict=True)
    return {column: value for column, value in values if value is not None}


def _choose_sources(since: int | None, until: float | None) -> list[Source]:
    """Choose monthly and daily roll-ups for the days from ``since`` on that begin before ``until``."""
    from trunkline.ledger.tables import usage_daily, usage_monthly

    since = None if since is None or since <= 0 else min(since, _LATEST_TIME)
    first = None if since is None else month_start(since)
    if since is not None and first != since:
        first = int(period_end("month", since))
    if until is None:
        last = end = None
    else:
        end = max(0, min(-int(-until // _DAY) * _DAY, _LATEST_TIME))
        last = month_start(end)
        if first is not None and first >= last:
            return [(usage_daily, since, end)]
    sources: list[Source] = [(usage_monthly, first, last)]
    if since != first:
        sources.append((usage_daily, since, first))
    if end != last:
        sources.append((usage_daily, last, end))
    return sources


def _select_totals(source: Source, by: Sequence[Group], filters: Mapping[str, str]) -> Select[Any]:
    from sqlalchemy import func, select

    table, begin, end = source
    start = next(iter(table.c))
    groups: list[ColumnElement[Any]] = []
    for each in by:
        if each in _DIMENSIONS_BY_GROUP:
            groups.append(table.c[_DIMENSIONS_BY_GROUP[each]].label(each))
        else:
            groups.append((start if start.name == each else start - start % _DAY).label(each))
    columns = (*COUNT_COLUMNS, *DURATION_COLUMNS)
    query = select(*groups, *(func.sum(table.c[name]).label(name) for name in columns))
    if begin is not None:
        query = query.where(start >= begin)
    if end is not None:
        query = query.where(start < end)
    return query.where(*(table.c[column] == value for column, value in filters.items())).group_by(*groups)


def _read_names(connection: Connection, by: Sequence[Group]) -> dict[Group, dict[str, str]]:
    """Read the names of keys and teams, by id, where usage is grouped by them."""
    from sqlalchemy import select

    from trunkline.ledger import tables

    names: dict[Group, dict[str, str]] = {}
    named: tuple[tuple[Group, Table], ...] = (("key", tables.keys), ("team", tables.teams))
    for group, table in named:
        if group in by:
            rows = connection.execute(select(table.c.id, table.c.name))
            names[group] = {row.id: row.name for row in rows}
    return names


def _format_totals(
    row: dict[str, Any], by: Sequence[Group], names: Mapping[Group, Mapping[str, str]]
) -> dict[str, Any]:
    """Return totals as people read them: times as text, money in dollars, keys and teams with their names."""
    totals: dict[str, Any] = {}
    for group in by:
        value = row[group]
        if group in ("day", "hour"):
            value = datetime.fromtimestamp(int(value), UTC).strftime(
                "%Y-%m-%d" if group == "day" else "%Y-%m-%dT%H:00Z"
            )
        totals[group] = value
        if group in names:
            totals[f"{group}_name"] = names[group].get(value) or ""
    for name in COUNT_COLUMNS:
        totals[name] = int(row[name])
    totals["cost_usd"] = totals.pop("cost_micros") / 1_000_000
    for name in DURATION_COLUMNS:
        totals[name] = round(float(row[name]), 3)
    return totals


def list_usage_rows(
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
    """Return usage rows, the newest first.

    Args:
        store: The store to read.
        since: Unix time.
        until: Unix time, excluded.
        key: The id of the only key to look for.
        team: The id of the only team to look for.
        provider: The name of the only provider to look for.
        model: The only model to look for, by the upstream's name for it.
        request_id: The id of the only request to look for.
        before: Return only rows that are older than the one with this id, for paging.
        limit: The maximum number of rows to return.
    """
    from sqlalchemy import select

    from trunkline.ledger.id_ranges import find_id_ranges
    from trunkline.ledger.tables import usage

    first = 0 if since is None else _first_id_at(since)
    end = min(_LAST_ID if until is None else _first_id_at(until), _LAST_ID if before is None else before)
    query = select(*(usage.c[name] for name in COLUMNS)).order_by(usage.c.id.desc())
    filters = _filters(key, team, provider, model)
    for column, value in filters.items():
        query = query.where(usage.c[column] == value)
    if request_id is not None:
        query = query.where(usage.c.request_id == request_id)
    rows: list[dict[str, Any]] = []
    with store.begin() as connection:
        ranges: Iterable[tuple[int, int]] = [(first, end)]
        if filters and request_id is None:
            ranges = find_id_ranges(connection, filters, first, end)
        for low, high in ranges:
            page = query.where(usage.c.id >= low, usage.c.id < high).limit(limit - len(rows))
            rows += map(dict, connection.execute(page).mappings())
            if len(rows) >= limit:
                break
    return rows


def _first_id_at(time: float) -> int:
    return max(0, min(first_id_at(int(time * 1000)), _LAST_ID))


def read_spending(store: Store, scope: str, subject: str, since: int) -> tuple[int, int]:
    """Read what a key, a team, a provider, or all of them together have spent.

    Args:
        store: The store to read.
        scope: ``key``, ``team``, ``provider`` or ``all``.
        subject: The id of the key or team, or the provider's name.
        since: The Unix time at which a day began.

    Returns:
        Millionths of a US dollar, and tokens.
    """
    from sqlalchemy import func, select, union_all

    filters = {} if scope == "all" else {_DIMENSIONS_BY_GROUP[scope]: subject}
    sources = _choose_sources(since, None)
    totals = union_all(*(_select_totals(source, (), filters) for source in sources)).subquery()
    query = select(
        func.coalesce(func.sum(totals.c.cost_micros), 0),
        func.coalesce(func.sum(totals.c.prompt_tokens + totals.c.completion_tokens), 0),
    )
    with store.begin() as connection:
        row = connection.execute(query).one()
    return int(row[0]), int(row[1])


def parse_time(text: str, now: float | None = None) -> float:
    """Parse a time as people write it.

    Args:
        text: A date or time (``2026-11-20``, ``2026-11-20T14:00Z``; UTC if it has no zone), or how long ago
            it was (``24h``, ``7d``).
        now: The present Unix time. None reads the clock.

    Returns:
        Unix time.

    Raises:
        StoreError: The text is not a time.
    """
    now = time.time() if now is None else now
    units = {"m": 60, "h": 3600, "d": _DAY, "w": 7 * _DAY}
    try:
        if text[-1:] in units and text[:-1].isdecimal():
            return now - int(text[:-1]) * units[text[-1]]
        parsed = datetime.fromisoformat(text)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise StoreError(
            f"{text[:40]!r} is no time; write 2026-11-20, 2026-11-20T14:00Z, 24h or 7d", "invalid"
        ) from None
