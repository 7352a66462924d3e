"""Usage rows for tests, and a simple computation of the totals that they must have."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final

from trunkline.ledger.store import Store
from trunkline.ledger.usage_rows import UsageRow, first_id_at

GUARD_S: Final = 30.0
"""The seconds after which a test gives up waiting."""

DAY: Final = 86_400
NOON: Final = int(datetime(2026, 11, 18, 12, tzinfo=UTC).timestamp())
"""A Wednesday."""
_row_numbers: Final = count(1)


def make_row(at: float = NOON, **fields: Any) -> UsageRow:
    """Make a row that ended at ``at`` (Unix time), with some fields of its own. Every row has another id."""
    number = next(_row_numbers)
    defaults: dict[str, Any] = {
        "id": first_id_at(int(at * 1000)) + number,
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
        "outcome": None,
    }
    return UsageRow(**(defaults | fields))


def sum_rows(rows: Iterable[UsageRow]) -> dict[str, float]:
    """Add up rows, by the names of the columns of roll-ups."""
    rows = list(rows)
    attempts = [each for each in rows if each.attempt > 0]
    requests = [each for each in rows if each.last]
    return {
        "requests": len(requests),
        "failures": len([each for each in requests if _is_failure(each)]),
        "attempts": len(attempts),
        "cached": len([each for each in rows if each.cached]),
        "prompt_tokens": sum(each.prompt_tokens for each in rows),
        "completion_tokens": sum(each.completion_tokens for each in rows),
        "cached_tokens": sum(each.cached_tokens for each in rows),
        "reasoning_tokens": sum(each.reasoning_tokens for each in rows),
        "cost_micros": sum(each.cost_micros or 0 for each in rows),
        "unpriced": len([each for each in attempts if each.cost_micros is None]),
        "duration_ms": sum(each.duration_ms for each in requests),
        "upstream_ms": sum(each.upstream_ms for each in rows),
    }


def _is_failure(row: UsageRow) -> bool:
    return row.outcome != "success" if row.outcome else row.status >= 400


def group_rows(rows: Iterable[UsageRow], by: Iterable[str]) -> dict[tuple[Any, ...], list[UsageRow]]:
    """Group rows by fields, or by ``hour``, ``day`` and ``month`` (the time at which it began)."""
    names = tuple(by)
    groups: dict[tuple[Any, ...], list[UsageRow]] = defaultdict(list)
    for each in rows:
        second = each.at // 1000
        month = datetime.fromtimestamp(second, UTC).replace(day=1, hour=0, minute=0, second=0)
        times = {
            "hour": second - second % 3600,
            "day": second - second % DAY,
            "month": int(month.timestamp()),
        }
        groups[tuple(times[name] if name in times else getattr(each, name) for name in names)].append(each)
    return groups


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until a condition is true."""
    deadline = time.monotonic() + GUARD_S
    while not condition():
        assert time.monotonic() < deadline, "the condition never became true"
        time.sleep(0.002)


def wait_until_blocked(store: Store) -> None:
    """Wait until a connection to this PostgreSQL database waits for the lock of another one."""
    query = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"

    def is_blocked() -> bool:
        with store.begin() as connection:
            return connection.exec_driver_sql(query).first() is not None

    wait_until(is_blocked)
