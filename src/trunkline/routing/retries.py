"""How often and how soon a failed request is retried: exponential backoff, and a budget over all requests.

Without a budget, retries multiply the load of an upstream that is failing because of its load.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Final

RETRY_RATIO: Final = 0.2
"""The number of retries that the budget allows, as a share of requests."""
MIN_RETRIES: Final = 10
"""The number of retries that are always allowed in a window: with little traffic a share means nothing."""
WINDOW_S: Final = 10.0
"""The seconds over which requests and retries are counted."""

MAX_COUNTED: Final = 50_000
"""The maximum number of requests of a window that are counted: they bound what the budget holds in memory."""

BASE_BACKOFF_S: Final = 0.25
"""The longest backoff before the first retry."""
MAX_BACKOFF_S: Final = 8.0
"""The longest backoff before any retry, and the longest ``Retry-After`` that a request waits for."""


class RetryBudget:
    """Limits retries to a share of the requests of the last seconds."""

    __slots__ = ("_min_retries", "_ratio", "_requests", "_retries", "_window_s", "record_request")

    def __init__(
        self, ratio: float = RETRY_RATIO, min_retries: int = MIN_RETRIES, window_s: float = WINDOW_S
    ) -> None:
        """
        Args:
            ratio: the number of retries that are allowed, as a share of requests.
            min_retries: the number of retries that are always allowed in a window.
            window_s: the seconds over which requests and retries are counted.
        """
        self._min_retries = min_retries
        self._ratio = ratio
        self._window_s = window_s
        self._requests: deque[float] = deque(maxlen=MAX_COUNTED)
        """The times of the requests."""
        self._retries: deque[float] = deque()
        """The times of the retries."""
        self.record_request: Callable[[float], None] = self._requests.append
        """Counts one request, which came at the given time. It is a built-in: every request calls it."""

    def take_retry(self, now: float) -> bool:
        """Whether the budget allows one more retry; if so, the retry is counted."""
        since = now - self._window_s
        while self._retries and self._retries[0] < since:
            self._retries.popleft()
        while self._requests and self._requests[0] < since:
            self._requests.popleft()
        if len(self._retries) >= self._min_retries + self._ratio * len(self._requests):
            return False
        self._retries.append(now)
        return True


def backoff(retry: int, retry_after: float | None, rng: random.Random) -> float:
    """The seconds to wait before a retry.

    Args:
        retry: the number of the retry, from 1.
        retry_after: the seconds that the upstream has asked for; they count as they are.
        rng: draws the jitter.

    Returns:
        ``retry_after``; without it, at most a time that doubles with each retry, and at least half of that.
    """
    if retry_after is not None:
        return retry_after
    longest: float = min(MAX_BACKOFF_S, BASE_BACKOFF_S * 2.0 ** (retry - 1))
    return longest * (0.5 + 0.5 * rng.random())
