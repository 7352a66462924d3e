"""What is known at this moment of one upstream: what it is doing, whether it may be asked, how fast it is.

State only, changed by those who ask upstreams (the pipeline) and read by those who choose one (strategies).
Times are handed in, in seconds of any monotonic clock, so that a simulation can drive the same code.
"""

from __future__ import annotations

import math
from typing import Final

from trunkline.errors import UPSTREAM_RATE_LIMIT, GatewayError

FAILURES: Final = 5
"""Failures in a row after which an upstream is left alone."""
RECOVERY_S: Final = 10.0
"""Seconds for which it is left alone, before one request tries it again."""
LONGEST_PAUSE_S: Final = 300.0
"""Seconds for which an upstream's Retry-After keeps requests away, at most."""
_LATENCY_TAU_S: Final = 10.0
"""Seconds in which an old latency loses most of its weight."""


class CircuitBreaker:
    """Stops asking an upstream that only fails: closed, open, and half-open while one probe is under way."""

    __slots__ = ("_probing", "_recovery_s", "_threshold", "_until", "failures")

    def __init__(self, threshold: int = FAILURES, recovery_s: float = RECOVERY_S) -> None:
        """``threshold`` 0 switches it off."""
        self._threshold = threshold
        self._recovery_s = recovery_s
        self.failures = 0
        """Failures in a row."""
        self._until: float | None = None
        """When the next probe may go; None while closed."""
        self._probing = False

    @property
    def is_on(self) -> bool:
        """Whether it can open at all."""
        return self._threshold > 0

    @property
    def is_open(self) -> bool:
        """Whether only probes get through."""
        return self._until is not None

    def state(self, now: float) -> int:
        """As metrics show it: 0 closed, 1 half-open, 2 open."""
        return 0 if self._until is None else 1 if self.allows(now) else 2

    def allows(self, now: float) -> bool:
        """Whether a request may be sent now."""
        return self._until is None or now >= self._until

    def opens_in(self, now: float) -> float:
        """Seconds until a request may be sent; 0 if it may be now."""
        return 0.0 if self._until is None else max(0.0, self._until - now)

    def send(self, now: float) -> bool:
        """A request that was allowed is sent; returns whether it is a probe. One that is not heard of again
        keeps others away for as long as a failure would."""
        if self._until is None:
            return False
        self._probing = True
        self._until = now + self._recovery_s
        return True

    def succeed(self, probe: bool) -> None:
        """A request was answered. One from before the breaker opened proves nothing."""
        if self._until is None or probe:
            self.failures = 0
            self._until = None
            self._probing = False

    def fail(self, probe: bool, now: float) -> None:
        """A request failed by the upstream's fault."""
        self.failures += 1
        if probe or (self._until is None and 0 < self._threshold <= self.failures):
            self._until = now + self._recovery_s
            self._probing = False

    def drop(self, probe: bool) -> None:
        """A request ended without a verdict: the client went, or the request itself was wrong."""
        if probe and self._probing:
            self._probing = False
            self._until = -math.inf  # the next one may try at once

    def hint(self, now: float) -> None:
        """A free health check was answered: the next request may try at once, if no probe is under way."""
        if self._until is not None and not self._probing:
            self._until = min(self._until, now)


class PeakEwma:
    """An average that jumps up at once and comes down slowly (as in Finagle's load balancer)."""

    __slots__ = ("_at", "_tau_s", "value")

    def __init__(self, tau_s: float = _LATENCY_TAU_S) -> None:
        self._tau_s = tau_s
        self._at: float | None = None
        self.value = 0.0

    def add(self, value: float, now: float) -> None:
        """Note one measurement."""
        if self._at is None or value >= self.value:
            self.value = value
        else:
            keep = math.exp(-(now - self._at) / self._tau_s)
            self.value = self.value * keep + value * (1.0 - keep)
        self._at = now


class ConcurrencyGate:
    """A limit on what runs at once: of an upstream, or of one model at it."""

    __slots__ = ("in_flight", "limit")

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self.in_flight = 0

    @property
    def has_room(self) -> bool:
        """One more may enter."""
        return self.limit is None or self.in_flight < self.limit


class UpstreamState:
    """The live state of one upstream."""

    __slots__ = (
        "breaker",
        "gate",
        "last_failure",
        "latency",
        "name",
        "paused",
        "paused_until",
        "resting",
        "sent",
    )

    def __init__(self, name: str, breaker: CircuitBreaker | None = None, limit: int | None = None) -> None:
        """``name`` is for texts; ``limit`` bounds what runs there at once."""
        self.name = name
        self.breaker = breaker or CircuitBreaker()
        self.gate = ConcurrencyGate(limit)
        self.latency = PeakEwma()
        """Seconds to the first byte of an answer."""
        self.resting = False
        """Whether it was paused, or its breaker open, when last looked at; :meth:`may` looks again."""
        self.paused_until = -math.inf
        """The time before which the upstream itself has asked not to be asked (``Retry-After``)."""
        self.paused: dict[str, float] = {}
        """The models that it asked not to be asked for, and until when: vendors' rate limits (429) are by
        model, and the others are none the worse for it."""
        self.last_failure: GatewayError | None = None
        self.sent = 0
        """Requests sent to it since the start."""

    def may(self, model: str, now: float) -> bool:
        """Whether it may be asked for this model."""
        if not self.resting:
            return True
        if now < self.paused_until:
            return False
        if self.paused:
            self.paused = {name: until for name, until in self.paused.items() if until > now}
        self.resting = self.breaker.is_open or bool(self.paused)
        return self.breaker.allows(now) and model not in self.paused

    def may_in(self, now: float, model: str | None = None) -> float:
        """Seconds until it may be asked for a model, or for any."""
        own = self.paused.get(model, now) if model is not None else now
        return max(0.0, self.paused_until - now, own - now, self.breaker.opens_in(now))

    def failed(self, failure: GatewayError, model: str, probe: bool, now: float) -> None:
        """A request for a model failed by the upstream's fault."""
        self.last_failure = failure
        self.breaker.fail(probe, now)
        self.resting = self.resting or self.breaker.is_open
        if failure.retry_after is not None:
            limited = failure.kind is UPSTREAM_RATE_LIMIT
            self.pause(failure.retry_after, now, model if limited else None)

    def pause(self, seconds: float, now: float, model: str | None = None) -> None:
        """The upstream has asked to be left alone for so long, or not to be asked for a model. Ignored where
        breakers are switched off."""
        if not self.breaker.is_on:
            return
        until = now + min(seconds, LONGEST_PAUSE_S)
        if model is None:
            self.paused_until = max(self.paused_until, until)
        else:
            self.paused[model] = max(self.paused.get(model, until), until)
        self.resting = True

    @property
    def load(self) -> float:
        """What is under way, and as much again for each failure in a row: failing fast is not being idle."""
        return self.gate.in_flight + 2.0 * self.breaker.failures
