"""The live state of one upstream: its circuit breaker, cooldowns, requests in flight and latency.

The state is changed by the pipeline, which asks upstreams, and read by the strategies, which choose one.
Times are passed in, as seconds of any monotonic clock, so that a simulation can drive the same code.
"""

from __future__ import annotations

import math
from typing import Final

from trunkline.errors import UPSTREAM_RATE_LIMIT, GatewayError

FAILURE_THRESHOLD: Final = 5
"""The number of failures in a row that opens a circuit breaker."""
RECOVERY_S: Final = 10.0
"""The seconds for which a circuit breaker stays open before it lets one request probe the upstream."""
MAX_COOLDOWN_S: Final = 300.0
"""The longest time in seconds for which an upstream's ``Retry-After`` keeps requests away."""
_LATENCY_TAU_S: Final = 10.0
"""The seconds in which an old latency loses most of its weight."""


class CircuitBreaker:
    """Stops requests to an upstream that keeps failing.

    It is closed, open, or half-open: then the next request is a probe, and no other request is allowed while
    the probe is under way.
    """

    __slots__ = ("_next_probe_at", "_probing", "_recovery_s", "_threshold", "failures")

    def __init__(self, threshold: int = FAILURE_THRESHOLD, recovery_s: float = RECOVERY_S) -> None:
        """
        Args:
            threshold: the number of failures in a row that opens the breaker; 0 switches it off.
            recovery_s: the seconds from opening to the first probe.
        """
        self._threshold = threshold
        self._recovery_s = recovery_s
        self.failures = 0
        """The number of failures in a row."""
        self._next_probe_at: float | None = None
        """When the next probe is allowed; None while the breaker is closed."""
        self._probing = False

    @property
    def is_enabled(self) -> bool:
        """Whether the breaker can open at all."""
        return self._threshold > 0

    @property
    def is_open(self) -> bool:
        """Whether only probes are allowed."""
        return self._next_probe_at is not None

    def state(self, now: float) -> int:
        """The state as metrics show it: 0 closed, 1 half-open, 2 open."""
        return 0 if self._next_probe_at is None else 1 if self.allows_request(now) else 2

    def allows_request(self, now: float) -> bool:
        """Whether a request may be sent now."""
        return self._next_probe_at is None or now >= self._next_probe_at

    def seconds_until_allowed(self, now: float) -> float:
        """The seconds until a request may be sent; 0 if one may be sent now."""
        return 0.0 if self._next_probe_at is None else max(0.0, self._next_probe_at - now)

    def record_request(self, now: float) -> bool:
        """Record that an allowed request is sent, and return whether it is a probe.

        A probe whose result is never recorded keeps other requests away for as long as a failure would.
        """
        if self._next_probe_at is None:
            return False
        self._probing = True
        self._next_probe_at = now + self._recovery_s
        return True

    def record_success(self, probe: bool) -> None:
        """Record that a request was answered.

        While the breaker is open only a probe closes it: a request from before it opened proves nothing.
        """
        if self._next_probe_at is None or probe:
            self.failures = 0
            self._next_probe_at = None
            self._probing = False

    def record_failure(self, probe: bool, now: float) -> None:
        """Record that a request failed through the upstream's fault."""
        self.failures += 1
        if probe or (self._next_probe_at is None and 0 < self._threshold <= self.failures):
            self._next_probe_at = now + self._recovery_s
            self._probing = False

    def record_cancelled(self, probe: bool) -> None:
        """Record that a request ended without a verdict on the upstream, as when the client disconnects.

        After a cancelled probe the next request may probe at once.
        """
        if probe and self._probing:
            self._probing = False
            self._next_probe_at = -math.inf

    def allow_probe(self, now: float) -> None:
        """Let the next request probe at once, if no probe is under way: a health check was answered."""
        if self._next_probe_at is not None and not self._probing:
            self._next_probe_at = min(self._next_probe_at, now)


class PeakEwma:
    """An exponentially weighted moving average that rises at once and falls slowly.

    This is the latency measure of Finagle's load balancer.
    """

    __slots__ = ("_tau_s", "_updated_at", "value")

    def __init__(self, tau_s: float = _LATENCY_TAU_S) -> None:
        self._tau_s = tau_s
        self._updated_at: float | None = None
        self.value = 0.0

    def add(self, value: float, now: float) -> None:
        """Add one measurement."""
        if self._updated_at is None or value >= self.value:
            self.value = value
        else:
            keep = math.exp(-(now - self._updated_at) / self._tau_s)
            self.value = self.value * keep + value * (1.0 - keep)
        self._updated_at = now


class ConcurrencyGate:
    """The limit on requests that run at once at an upstream, or for one model of it."""

    __slots__ = ("in_flight", "limit")

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self.in_flight = 0

    @property
    def has_room(self) -> bool:
        """Whether one more request may run."""
        return self.limit is None or self.in_flight < self.limit


class UpstreamState:
    """What is known now of one upstream."""

    __slots__ = (
        "breaker",
        "cooldown_until",
        "degraded",
        "gate",
        "last_failure",
        "latency",
        "model_cooldowns",
        "requests_sent",
    )

    def __init__(self, breaker: CircuitBreaker | None = None, limit: int | None = None) -> None:
        """
        Args:
            breaker: the upstream's circuit breaker; by default, one with the default threshold.
            limit: how many requests may run at once there; by default, any number.
        """
        self.breaker = breaker or CircuitBreaker()
        self.gate = ConcurrencyGate(limit)
        self.latency = PeakEwma()
        """Seconds to the first byte of an answer."""
        self.degraded = False
        """Whether the breaker was open or a cooldown was running at the last check. While this is False every
        request is allowed; :meth:`allows_request` checks again."""
        self.cooldown_until = -math.inf
        """The time until which the upstream has asked for no requests at all (``Retry-After``)."""
        self.model_cooldowns: dict[str, float] = {}
        """The models for which the upstream has asked for no requests, and until when. Vendors' rate limits
        (429) are per model, and the other models are unaffected."""
        self.last_failure: GatewayError | None = None
        self.requests_sent = 0
        """The number of requests sent to it since the start."""

    def allows_request(self, model: str, now: float) -> bool:
        """Whether a request for this model may be sent now."""
        if not self.degraded:
            return True
        if now < self.cooldown_until:
            return False
        if self.model_cooldowns:
            self.model_cooldowns = {
                name: until for name, until in self.model_cooldowns.items() if until > now
            }
        self.degraded = self.breaker.is_open or bool(self.model_cooldowns)
        return self.breaker.allows_request(now) and model not in self.model_cooldowns

    def seconds_until_allowed(self, now: float, model: str | None = None) -> float:
        """The seconds until a request may be sent for ``model``, or for any model."""
        model_until = self.model_cooldowns.get(model, now) if model is not None else now
        return max(0.0, self.cooldown_until - now, model_until - now, self.breaker.seconds_until_allowed(now))

    def record_failure(self, failure: GatewayError, model: str, probe: bool, now: float) -> None:
        """Record that a request for a model failed through the upstream's fault.

        A ``Retry-After`` starts a cooldown: of the model after a rate limit (429), else of the upstream.
        """
        self.last_failure = failure
        self.breaker.record_failure(probe, now)
        self.degraded = self.degraded or self.breaker.is_open
        if failure.retry_after is not None:
            limited = failure.kind is UPSTREAM_RATE_LIMIT
            self.start_cooldown(failure.retry_after, now, model if limited else None)

    def start_cooldown(self, seconds: float, now: float, model: str | None = None) -> None:
        """Send no requests for so long, or none for ``model``: the upstream has asked for it.

        Does nothing where circuit breakers are switched off.
        """
        if not self.breaker.is_enabled:
            return
        until = now + min(seconds, MAX_COOLDOWN_S)
        if model is None:
            self.cooldown_until = max(self.cooldown_until, until)
        else:
            self.model_cooldowns[model] = max(self.model_cooldowns.get(model, until), until)
        self.degraded = True

    @property
    def load(self) -> float:
        """The requests in flight, plus two for each failure in a row.

        Failures count because an upstream that fails fast is not idle.
        """
        return self.gate.in_flight + 2.0 * self.breaker.failures
