"""One line of the ledger: what an attempt, or a request that reached no upstream, came to."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import msgspec

from trunkline.ledger.columns import SUMS, TIMES

Flag = bool | int
"""Yes or no, better as 1 or 0: of a bool, as of None, Python's sqlite3 asks each time who adapts it."""
Text = str | None
"""What the table may leave out, better as an empty text than as None."""


class UsageRow(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    """A row of the table ``usage``, field by column and in their order; see there for what they mean."""

    id: int
    at: int
    request_id: str
    attempt: int
    last: Flag
    key_id: str
    team_id: str
    end_user: Text
    route: Text
    provider: str
    upstream: Text
    asked: Text
    model: str
    dialect: str
    operation: str
    streamed: Flag
    status: int
    error: Text
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    estimated: Flag
    cost_micros: int | None
    cost_source: Text
    ttft_ms: float | None
    duration_ms: float
    upstream_ms: float
    queued_ms: float
    retries: int
    cached: Flag
    prompt: str | None = None
    """The request's body, where prompts are stored: a row of the table ``prompts``."""


COLUMNS: Final = UsageRow.__struct_fields__[:-1]
FLAGS: Final = frozenset(name for name, kind in UsageRow.__annotations__.items() if kind == "Flag")
OPTIONAL: Final = frozenset(name for name, kind in UsageRow.__annotations__.items() if kind == "Text")
"""Texts that are null in the table where they are empty in a row."""


class RowIds:
    """Numbers for rows, in the order of time, that no other process gives: hundredths of seconds (38 bits),
    the process (18, by chance), and a count (7). A busy process runs a little ahead of its clock."""

    __slots__ = ("_last", "_node")

    def __init__(self) -> None:
        self._node = secrets.randbits(18) << 7
        self._last = 0

    def next(self, now_ms: int) -> int:
        """A number for something that happens at ``now_ms`` (Unix time)."""
        number = (now_ms // 10) << 25 | self._node
        if number <= self._last:
            number = self._last + 1
            if not number & 127:  # the count is used up
                number = ((self._last >> 25) + 1) << 25 | self._node
        self._last = number
        return number


def id_at(at_ms: int) -> int:
    """The lowest number of a row that happened at ``at_ms``, or later."""
    return (at_ms // 10) << 25


HOUR_OF_IDS: Final = id_at(3_600_000)
"""What numbers grow by in an hour."""


Sum = tuple[int | float | str, ...]
"""A row of a table of sums."""
Place = tuple[int, str, str, str, str]
"""Beginning of the time, key, team, provider, model."""


def by_hour(rows: Iterable[UsageRow]) -> list[Sum]:
    """Sums of the rows by hour and place, as rows of the tables of sums, sorted: two processes that add to
    the same sums then wait for each other in the same order.

    The hour is that of a row's number, which for an attempt that another one followed is when the request
    ended: sums say exactly among which numbers their rows are."""
    found: dict[Place, list[float]] = {}
    for row in rows:
        place = (row.id // HOUR_OF_IDS * 3600, row.key_id, row.team_id, row.provider, row.model)
        sums = found.get(place)
        if sums is None:
            sums = found[place] = [0] * (len(SUMS) + len(TIMES))
        if row.last:
            sums[0] += 1
            sums[1] += row.status >= 400
            sums[10] += row.duration_ms
        sums[2] += row.attempt > 0
        sums[3] += row.cached
        sums[4] += row.prompt_tokens
        sums[5] += row.completion_tokens
        sums[6] += row.cached_tokens
        sums[7] += row.reasoning_tokens
        if row.cost_micros is None:
            sums[9] += row.attempt > 0
        else:
            sums[8] += row.cost_micros
        sums[11] += row.upstream_ms
    return [(*place, *sums) for place, sums in sorted(found.items())]


def by_day(hours: Iterable[Sum]) -> list[Sum]:
    """Sums by day of sums by hour."""
    return _added(hours, lambda hour: hour // 86400 * 86400)


def by_month(days: Iterable[Sum]) -> list[Sum]:
    """Sums by month of sums by day."""
    return _added(days, month_start)


@lru_cache(64)
def month_start(moment: int) -> int:
    """Unix time at which the month of ``moment`` (Unix time) began, in UTC."""
    day = datetime.fromtimestamp(moment, UTC)
    return moment // 86400 * 86400 - (day.day - 1) * 86400


def _added(sums: Iterable[Sum], begin: Callable[[int], int]) -> list[Sum]:
    found: dict[Place, list[float]] = {}
    for each in sums:
        place: Place = (begin(int(each[0])), *each[1:5])  # type: ignore[assignment]
        known = found.get(place)
        more: list[float] = list(each[5:])  # type: ignore[arg-type]
        found[place] = more if known is None else [a + b for a, b in zip(known, more, strict=True)]
    return [(*place, *sums) for place, sums in sorted(found.items())]
