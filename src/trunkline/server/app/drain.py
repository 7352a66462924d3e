"""The time between the signal that ends a gateway and the end of its listening.

A load balancer needs a while until it sends nothing more to a gateway that is about to end. For that long the
gateway says that it is not ready, and still accepts and serves. Values only: the server asks them at each
tick.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Final

REPEAT_S: Final = 1.0
"""Seconds within which a second SIGTERM is the first one again: an init system and a parent may both send
it, and ``timeout`` sends it twice."""


class Drain:
    """What is known of the end of one server."""

    def __init__(self, delay_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Wait for a signal.

        Args:
            delay_s: Seconds between SIGTERM and the end of listening.
            clock: Tells the time in seconds.
        """
        self._delay_s = delay_s
        self._clock = clock
        self._signalled_at = 0.0
        self._listens_until: float | None = None

    def take(self, number: int) -> bool:
        """Take a signal that is to end the server. Ctrl-C ends the listening at once.

        Returns:
            Whether the signal was taken: it was the first, or the server still listens. A later one is about
            the requests that still run.
        """
        now = self._clock()
        if self._listens_until is None:
            self._signalled_at = now
            self._listens_until = now + (self._delay_s if number == signal.SIGTERM else 0)
            return True
        if now >= self._listens_until:
            return False
        if number != signal.SIGTERM or now >= self._signalled_at + REPEAT_S:
            self._listens_until = now
        return True

    @property
    def seconds_left(self) -> float:
        """Seconds until the listening ends. 0 without a signal: whatever ends the server then wants no
        delay."""
        return 0.0 if self._listens_until is None else max(0.0, self._listens_until - self._clock())
