"""The time between the signal that ends a gateway and the end of its listening.

A load balancer needs a while until it sends nothing more to a gateway that is about to end. For that long the
gateway says that it is not ready, and still accepts and serves. Values only: the server asks them at each
tick.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Final, Literal

REPEAT_S: Final = 0.02
"""Seconds within which the same signal again is no second one. ``timeout`` and ``uv run`` send a signal to a
process and to its group, so that it arrives twice."""

Step = Literal["begin", "end", "nothing"]
"""What a signal asks for: to begin the end, to end at once, or nothing new."""


class Drain:
    """What is known of the end of one process."""

    def __init__(
        self, delay_s: float, *, watched: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Wait for a signal.

        Args:
            delay_s: Seconds between SIGTERM and the end of listening. Ctrl-C has no delay.
            watched: A parent passes the signals on. An init system may send SIGTERM to parent and worker
                alike, so a second SIGTERM says nothing; a parent that wants the end at once sends SIGINT.
            clock: Tells the time in seconds.
        """
        self._delay_s = delay_s
        self._watched = watched
        self._clock = clock
        self._first: tuple[int, float] | None = None
        """The first signal, and when it came."""

    def take(self, number: int) -> Step:
        """Take SIGTERM or SIGINT."""
        if self._first is None:
            self._first = number, self._clock()
            return "begin"
        first, at = self._first
        if number == first and self._clock() < at + REPEAT_S:
            return "nothing"
        return "nothing" if self._watched and number == signal.SIGTERM else "end"

    @property
    def seconds_left(self) -> float:
        """Seconds until the listening ends. 0 without a signal: whatever ends the server then wants no
        delay."""
        if self._first is None or self._first[0] != signal.SIGTERM:
            return 0.0
        return max(0.0, self._first[1] + self._delay_s - self._clock())
