"""Rows of usage for tests, and the sums that they must come to, counted the plain way."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final

from trunkline.ledger.store import Store
from trunkline.ledger.usage_rows import UsageRow, id_at

GUARD_S: Final = 30.0
"""Seconds after which what is waited for never comes."""

DAY: Final = 86_400
NOON: Final = int(datetime(2026, 11, 18, 12, tzinfo=UTC).timestamp())
"""A Wednesday."""
_COUNT: Final = count(1)


def row(at: float = NOON, **fields: Any) -> UsageRow:
    """A row that ended at ``at`` (Unix time), ordinary but for ``fields``; no two have the same id."""
    number = next(_COUNT)
    plain: dict[str, Any] = {
        "id": id_at(int(at * 1000)) + number,
        "at": int(at * 1000),
        "request_id": f"r{number}",
        "attempt": 1,
        "last": True,
        "key_id": "k1",
        "team_id": "t1",
        "end_user": None,
        "route": None,
        "provider": "up",
        "upstream": "up",
        "asked": "fast",
        "model": "m1",
        "dialect": "openai",
        "operation": "chat",
        "streamed": False,
        "status": 200,
        "error": None,
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "cached_tokens": 2,
        "reasoning_tokens": 1,
        "estimated": False,
        "cost_micros": 100,
        "cost_source": "table",
        "ttft_ms": 1.5,
        "duration_ms": 20.0,
        "upstream_ms": 16.25,
        "queued_ms": 0.0,
        "retries": 0,
        "cached": False,
    }
    return UsageRow(**(plain | fields))


def counted(rows: Iterable[UsageRow]) -> dict[str, float]:
    """What rows come to, by the names of the tables of sums."""
    rows = list(rows)
    asked = [each for each in rows if each.attempt > 0]
    ended = [each for each in rows if each.last]
    return {
        "requests": len(ended),
        "failures": len([each for each in ended if each.status >= 400]),
        "attempts": len(asked),
        "cached": len([each for each in rows if each.cached]),
        "prompt_tokens": sum(each.prompt_tokens for each in rows),
        "completion_tokens": sum(each.completion_tokens for each in rows),
        "cached_tokens": sum(each.cached_tokens for each in rows),
        "reasoning_tokens": sum(each.reasoning_tokens for each in rows),
        "cost_micros": sum(each.cost_micros or 0 for each in rows),
        "unpriced": len([each for each in asked if each.cost_micros is None]),
        "duration_ms": sum(each.duration_ms for each in ended),
        "upstream_ms": sum(each.upstream_ms for each in rows),
    }


def grouped(rows: Iterable[UsageRow], by: Iterable[str]) -> dict[tuple[Any, ...], list[UsageRow]]:
    """Rows by fields of theirs, or by ``hour``, ``day`` and ``month`` (when it began)."""
    names = tuple(by)
    found: dict[tuple[Any, ...], list[UsageRow]] = defaultdict(list)
    for each in rows:
        second = each.at // 1000
        month = datetime.fromtimestamp(second, UTC).replace(day=1, hour=0, minute=0, second=0)
        times = {
            "hour": second - second % 3600,
            "day": second - second % DAY,
            "month": int(month.timestamp()),
        }
        found[tuple(times[name] if name in times else getattr(each, name) for name in names)].append(each)
    return found


def poll(look: Callable[[], object]) -> None:
    """Return when ``look`` finds something."""
    deadline = time.monotonic() + GUARD_S
    while not look():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.002)


def until_blocked(store: Store) -> None:
    """Return when somebody waits for another one's lock in this PostgreSQL database."""
    query = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"

    def look() -> bool:
        with store.begin() as connection:
            return connection.exec_driver_sql(query).first() is not None

    poll(look)
