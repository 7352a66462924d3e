"""How often a failed request is tried again: backoff, deadline, and a budget over all requests.

Without a budget, retries multiply the load of an upstream that is failing because of its load.
"""

from __future__ import annotations

import random
from collections import deque
from typing import Final

SHARE: Final = 0.2
"""Repeats, as a share of requests."""
FLOOR: Final = 10
"""Repeats that are always allowed in a window: with little traffic a share means nothing."""
WINDOW_S: Final = 10.0

FIRST_PAUSE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 8.0


class RetryBudget:
    """Counts requests and repeats of the last seconds."""

    __slots__ = ("_floor", "_repeats", "_requests", "_share", "_slot", "_window_s")

    def __init__(self, share: float = SHARE, floor: int = FLOOR, window_s: float = WINDOW_S) -> None:
        self._share = share
        self._floor = floor
        self._window_s = window_s
        self._requests: deque[list[float]] = deque()
        """Seconds (whole) and how many requests came in each."""
        self._repeats: deque[float] = deque()
        self._slot: list[float] = [-1.0, 0.0]

    def request(self, now: float) -> None:
        """One request came."""
        second = now // 1
        if self._slot[0] != second:
            self._slot = [second, 0.0]
            self._requests.append(self._slot)
            while self._requests[0][0] < second - self._window_s:
                self._requests.popleft()
        self._slot[1] += 1

    def take(self, now: float) -> bool:
        """Whether one more repeat is within the budget; if so, it is counted."""
        since = now - self._window_s
        while self._repeats and self._repeats[0] < since:
            self._repeats.popleft()
        requests = sum(count for second, count in self._requests if second >= since - 1)
        if len(self._repeats) >= self._floor + self._share * requests:
            return False
        self._repeats.append(now)
        return True


def pause(repeat: int, retry_after: float | None, rng: random.Random) -> float:
    """Seconds to wait before the ``repeat``-th repeat (from 1): what the upstream asked for, else doubling
    with full jitter."""
    if retry_after is not None:
        return retry_after
    longest: float = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (repeat - 1))
    return longest * (0.5 + 0.5 * rng.random())
