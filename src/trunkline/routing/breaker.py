"""Circuit breakers: whether requests may be sent to what has failed, and when one may try again.

There is one breaker for each thing that can fail by itself: an address, a credential there, a model there.
What a breaker remembers of a failure is read by other callers than the one whose request failed. So it keeps
kinds, statuses and codes, and never a text.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from trunkline.errors import UPSTREAM_CREDIT, UPSTREAM_RATE_LIMIT, GatewayError, Kind, Scope

FAILURE_THRESHOLD: Final = 5
"""The number of failures in a row that opens a circuit breaker."""
RECOVERY_S: Final = 10.0
"""The seconds for which a circuit breaker stays open before it lets one request probe the upstream."""
MAX_COOLDOWN_S: Final = 300.0
"""The longest time in seconds for which an upstream's ``Retry-After`` keeps requests away."""

_CODE: Final = re.compile(r"[a-z][a-z0-9_.-]{0,63}", re.IGNORECASE)
_NOT_DISPROVED: Final = (UPSTREAM_RATE_LIMIT, UPSTREAM_CREDIT)
"""Failures that a health check says nothing about: the list of models can be had without credit."""


class FailureRecord(NamedTuple):
    """What is kept of a failure."""

    kind: Kind
    status: int
    """The status that its client saw."""
    code: str
    scope: Scope
    """What it concerned."""
    upstream_status: int | None
    """The status of the upstream's answer, where it answered."""
    at: float
    """Unix time."""

    @classmethod
    def of(cls, failure: GatewayError) -> FailureRecord:
        """Record ``failure`` without its texts."""
        code = failure.code if _CODE.fullmatch(failure.code) else failure.kind.code
        return cls(failure.kind, failure.status, code, failure.scope, failure.upstream_status, time.time())

    def __str__(self) -> str:
        return self.code if self.upstream_status is None else f"{self.code} (status {self.upstream_status})"


class CircuitBreaker:
    """Stops requests to what keeps failing.

    It is closed, open, or half-open: then the next request is a probe, and no other request is allowed while
    the probe is under way. Besides, a cooldown stops requests for as long as an upstream has asked for.
    """

    __slots__ = (
        "_next_probe_at",
        "_probe_is_sent",
        "_probing",
        "_recovery_s",
        "cooldown_until",
        "failures",
        "last_failure",
        "threshold",
    )

    def __init__(self, threshold: int = FAILURE_THRESHOLD, recovery_s: float = RECOVERY_S) -> None:
        """
        Args:
            threshold: the number of failures in a row that opens the breaker; 0 switches it off.
            recovery_s: the seconds from opening to the first probe.
        """
        self.threshold = threshold
        self._recovery_s = recovery_s
        self.failures = 0
        """The number of failures in a row."""
        self._next_probe_at: float | None = None
        """When the next probe is allowed; None while the breaker is closed."""
        self._probing = False
        self._probe_is_sent: Callable[[], bool] | None = None
        self.cooldown_until = -math.inf
        """The time until which the upstream has asked for no requests (``Retry-After``)."""
        self.last_failure: FailureRecord | None = None
        """The last failure since the last success."""

    def adopt(self, other: CircuitBreaker) -> None:
        """Go on with the threshold and the time of recovery of ``other``, from the next failure on."""
        self.threshold = other.threshold
        self._recovery_s = other._recovery_s
        if not self.is_enabled:
            self.cooldown_until = -math.inf
            self._close()

    @property
    def is_enabled(self) -> bool:
        """Whether the breaker can open at all."""
        return self.threshold > 0

    @property
    def is_open(self) -> bool:
        """Whether only probes are allowed."""
        return self._next_probe_at is not None

    def state(self, now: float) -> int:
        """The state as metrics show it: 0 closed, 1 half-open, 2 open."""
        if not self.allows_request(now):
            return 2
        return 0 if self._next_probe_at is None else 1

    def allows_request(self, now: float) -> bool:
        """Whether a request may be sent now."""
        return self.seconds_until_allowed(now) <= 0.0

    def seconds_until_allowed(self, now: float) -> float:
        """The seconds until a request may be sent; 0 if one may be sent now."""
        if self._probe_is_sent is not None and self._probe_is_sent():
            self.record_success(probe=True)
        wait = self.cooldown_until - now
        if self._next_probe_at is not None:
            wait = max(wait, self._next_probe_at - now)
        return max(0.0, wait)

    def record_request(self, now: float, is_sent: Callable[[], bool] | None = None) -> bool:
        """Record that an allowed request is sent, and return whether it is a probe.

        A probe whose result is never recorded keeps other requests away for as long as a failure would.

        Args:
            now: the time.
            is_sent: where it is a success that a probe could be sent at all, tells whether that is so by now.
        """
        if self._next_probe_at is None:
            return False
        self._probing = True
        self._probe_is_sent = is_sent
        self._next_probe_at = now + self._recovery_s
        return True

    def record_success(self, probe: bool) -> None:
        """Record that a request was answered.

        While the breaker is open only a probe closes it: a request from before it opened proves nothing.
        """
        if self._next_probe_at is None or probe:
            self.failures = 0
            self.last_failure = None
            self._close()

    def record_failure(self, failure: FailureRecord, probe: bool, now: float) -> None:
        """Record that a request failed."""
        self.failures += 1
        self.last_failure = failure
        if probe or (self._next_probe_at is None and 0 < self.threshold <= self.failures):
            self.open(now)

    def record_cancelled(self, probe: bool) -> None:
        """Record that a request ended without a verdict, as when the client disconnects.

        After a cancelled probe the next request may probe at once.
        """
        if probe and self._probing:
            self._probing = False
            self._probe_is_sent = None
            self._next_probe_at = -math.inf

    def open(self, now: float) -> None:
        """Allow no requests for the time of recovery, and then a probe."""
        self._next_probe_at = now + self._recovery_s
        self._probing = False
        self._probe_is_sent = None

    def start_cooldown(self, seconds: float, now: float) -> None:
        """Allow no requests for so long, at most :data:`MAX_COOLDOWN_S`. Does nothing where breakers are
        switched off."""
        if self.is_enabled:
            self.cooldown_until = max(self.cooldown_until, now + min(seconds, MAX_COOLDOWN_S))

    def allow_probe(self, now: float) -> None:
        """Let the next request probe at once, if no probe is under way: a health check was answered.

        A cooldown ends too, unless the failure is one that a health check does not disprove.
        """
        last = self.last_failure
        if last is not None and last.kind in _NOT_DISPROVED:
            return
        if self.cooldown_until > now:
            self.cooldown_until = now
            self._next_probe_at = now if self._next_probe_at is None else self._next_probe_at
        if self._next_probe_at is not None and not self._probing:
            self._next_probe_at = min(self._next_probe_at, now)

    def reset(self) -> None:
        """Forget all failures."""
        self.failures = 0
        self.last_failure = None
        self.cooldown_until = -math.inf
        self._close()

    def _close(self) -> None:
        self._next_probe_at = None
        self._probing = False
        self._probe_is_sent = None
