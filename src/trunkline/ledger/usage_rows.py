"""Usage rows, their ids, and roll-ups of many rows by hour, day and month.

A usage row describes one attempt, or a request that reached no upstream.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import msgspec

from trunkline.errors import SUCCESS
from trunkline.ledger.columns import COUNT_COLUMNS, DURATION_COLUMNS

Flag = bool | int
"""A boolean column. 1 and 0 are written faster: for a bool, as for None, Python's sqlite3 looks up an adapter
each time."""
Text = str | None
"""A text column that may be null. An empty text stands for null too, and is written faster than None."""


class UsageRow(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    """A row of the table ``usage``: one field for each column, in the table's order.

    The table's description in :mod:`trunkline.ledger.tables` says what each column means. The journal stores
    rows as arrays, so the order of the fields is the journal's format.

    The fields with defaults are those that many rows leave empty. A request's row is built with the other 15
    as keywords, and gets the rest by assignment: Python passes more than 15 keywords in a dict, which takes
    several times as long.
    """

    id: int = 0
    """From :class:`RowIds`."""
    at: int
    request_id: str
    attempt: int
    last: Flag = 1
    key_id: str
    team_id: str
    end_user: Text = ""
    route: Text = ""
    provider: str
    upstream: Text = ""
    asked: Text = ""
    model: str
    dialect: str
    operation: str
    streamed: Flag = 0
    status: int
    error: Text = ""
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: Flag = 0
    cost_micros: int | None = None
    cost_source: Text = ""
    ttft_ms: float | None = None
    duration_ms: float
    upstream_ms: float
    queued_ms: float = 0.0
    retries: int = 0
    cached: Flag
    """Required, so that an array in a journal is only read if it has all columns."""
    prompt: str | None = None
    """The request's body, if prompts are stored. It goes into the table ``prompts``."""
    outcome: Text = ""
    """It stands last because journals of earlier versions have rows without it."""


COLUMNS: Final = tuple(name for name in UsageRow.__struct_fields__ if name != "prompt")
FLAG_COLUMNS: Final = frozenset(name for name, kind in UsageRow.__annotations__.items() if kind == "Flag")
NULLABLE_TEXT_COLUMNS: Final = frozenset(
    name for name, kind in UsageRow.__annotations__.items() if kind == "Text"
)
"""The columns that are null in the table where the row has an empty text."""


class RowIds:
    """Generates ids for usage rows that are unique among all processes and ascend with time.

    From the highest bit down, an id consists of hundredths of a second (38 bits), a random number of the
    process (18 bits) and a counter (7 bits). When the counter overflows, the next ids are taken from the near
    future.
    """

    __slots__ = ("_last", "_node")

    def __init__(self) -> None:
        self._node = secrets.randbits(18) << 7
        self._last = 0

    def next(self, now_ms: int) -> int:
        """Return an id for something that happens at ``now_ms`` (Unix time in milliseconds)."""
        row_id = (now_ms // 10) << 25 | self._node
        if row_id <= self._last:
            row_id = self._last + 1
            if not row_id & 127:  # the counter has overflowed
                row_id = ((self._last >> 25) + 1) << 25 | self._node
        self._last = row_id
        return row_id


def first_id_at(at_ms: int) -> int:
    """Return the lowest id of a row that happened at ``at_ms`` (Unix time in milliseconds) or later."""
    return (at_ms // 10) << 25


IDS_PER_HOUR: Final = first_id_at(3_600_000)
"""The difference between the first ids of two consecutive hours."""


RollUp = tuple[int | float | str, ...]
"""A row of a roll-up table: a :data:`RollUpKey`, and then the totals."""
RollUpKey = tuple[int, str, str, str, str]
"""The start of the time span, the key, the team, the provider and the model."""


def roll_up_by_hour(rows: Iterable[UsageRow]) -> list[RollUp]:
    """Add up usage rows by hour and by dimensions.

    A row counts in the hour of its id, so that a roll-up tells exactly in which range of ids its rows are.
    The id of an attempt that was followed by another one is from the time when the whole request ended.

    Returns:
        Roll-ups, sorted by their keys. Two processes that update the same roll-ups then lock them in the same
        order.
    """
    roll_ups: dict[RollUpKey, list[float]] = {}
    for row in rows:
        key = (row.id // IDS_PER_HOUR * 3600, row.key_id, row.team_id, row.provider, row.model)
        totals = roll_ups.get(key)
        if totals is None:
            totals = roll_ups[key] = [0] * (len(COUNT_COLUMNS) + len(DURATION_COLUMNS))
        if row.last:
            totals[0] += 1
            totals[1] += row.outcome != SUCCESS if row.outcome else row.status >= 400
            totals[10] += row.duration_ms
        totals[2] += row.attempt > 0
        totals[3] += row.cached
        totals[4] += row.prompt_tokens
        totals[5] += row.completion_tokens
        totals[6] += row.cached_tokens
        totals[7] += row.reasoning_tokens
        if row.cost_micros is None:
            totals[9] += row.attempt > 0
        else:
            totals[8] += row.cost_micros
        totals[11] += row.upstream_ms
    return [(*key, *totals) for key, totals in sorted(roll_ups.items())]


def roll_up_by_day(hours: Iterable[RollUp]) -> list[RollUp]:
    """Add up hourly roll-ups by day."""
    return _roll_up(hours, lambda hour: hour // 86400 * 86400)


def roll_up_by_month(days: Iterable[RollUp]) -> list[RollUp]:
    """Add up daily roll-ups by month."""
    return _roll_up(days, month_start)


@lru_cache(64)
def month_start(time: int) -> int:
    """Return the Unix time at which the month of ``time`` (Unix time) began, in UTC."""
    day = datetime.fromtimestamp(time, UTC)
    return time // 86400 * 86400 - (day.day - 1) * 86400


def _roll_up(finer: Iterable[RollUp], start_of: Callable[[int], int]) -> list[RollUp]:
    """Add up finer roll-ups; ``start_of`` maps the start of their time span to that of the coarser one."""
    roll_ups: dict[RollUpKey, list[float]] = {}
    for each in finer:
        key: RollUpKey = (start_of(int(each[0])), *each[1:5])  # type: ignore[assignment]
        totals = roll_ups.get(key)
        added: list[float] = list(each[5:])  # type: ignore[arg-type]
        roll_ups[key] = added if totals is None else [a + b for a, b in zip(totals, added, strict=True)]
    return [(*key, *totals) for key, totals in sorted(roll_ups.items())]
