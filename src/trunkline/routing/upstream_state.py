"""The live state of one upstream: its health by scope, requests in flight and latency.

The state is changed by the pipeline, which asks upstreams, and read by the strategies, which choose one.
Times are passed in, as seconds of any monotonic clock, so that a simulation can drive the same code.

A failure has a scope (``errors.Scope``), and each scope has its circuit breaker: the address, which several
upstreams share that differ in their credentials; the upstream itself; and each model that has failed there. A
request is allowed where none of the three forbids it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Final

from trunkline.errors import UPSTREAM_MODEL_ERROR, GatewayError, Kind
from trunkline.routing.breaker import CircuitBreaker, FailureRecord

SEVERAL_MODELS: Final = 3
"""The number of models whose failures, if they are the same, are taken for a failure of the upstream."""
MAX_MODELS: Final = 200
"""The maximum number of models of an upstream whose failures are remembered: clients can ask for any name."""
_LATENCY_TAU_S: Final = 10.0
"""The seconds in which an old latency loses most of its weight."""


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


class Address:
    """The health of one address, which the upstreams with its several credentials share."""

    __slots__ = ("breaker", "upstreams")

    def __init__(self, breaker: CircuitBreaker) -> None:
        self.breaker = breaker
        self.upstreams: list[UpstreamState] = []


class _FailureRun:
    """The same failure, again and again, since an upstream's last success: at how many models, and how
    often."""

    __slots__ = ("count", "models", "sign")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.sign: tuple[Kind, int | None] | None = None
        """The kind of the failures and the upstream's status."""
        self.models: set[str] = set()
        self.count = 0

    def add(self, failure: FailureRecord, model: str) -> None:
        sign = failure.kind, failure.upstream_status
        if sign != self.sign:
            self.clear()
            self.sign = sign
        self.count += 1
        if len(self.models) < SEVERAL_MODELS:
            self.models.add(model)


class UpstreamState:
    """What is known now of one upstream."""

    __slots__ = (
        "_make_breaker",
        "_run",
        "address",
        "breaker",
        "degraded",
        "failing",
        "gate",
        "latency",
        "models",
        "requests_sent",
    )

    def __init__(
        self,
        make_breaker: Callable[[], CircuitBreaker] = CircuitBreaker,
        limit: int | None = None,
        address: Address | None = None,
    ) -> None:
        """
        Args:
            make_breaker: makes the breakers; by default, with the default threshold.
            limit: how many requests may run at once there; by default, any number.
            address: the state of its address, if other upstreams share that.
        """
        self._make_breaker = make_breaker
        self.address = address or Address(make_breaker())
        self.address.upstreams.append(self)
        self.breaker = make_breaker()
        """Opens where the credential is refused, and where several models fail alike."""
        self.models: dict[str, CircuitBreaker] = {}
        """The breakers of the models that have failed since their last success."""
        self._run = _FailureRun()
        self.gate = ConcurrencyGate(limit)
        self.latency = PeakEwma()
        """Seconds to the first byte of an answer."""
        self.degraded = False
        """Whether a breaker was open or a cooldown was running at the last check. While this is False every
        request is allowed; :meth:`allows_request` checks again."""
        self.failing = False
        """Whether there is a failure since the last success. While this is False a success changes
        nothing."""
        self.requests_sent = 0
        """The number of requests sent to it since the start."""

    def adopt_breakers(self, make_breaker: Callable[[], CircuitBreaker]) -> None:
        """Go on with the settings of the breakers that ``make_breaker`` makes."""
        self._make_breaker = make_breaker
        made = make_breaker()
        for breaker in (self.address.breaker, self.breaker, *self.models.values()):
            breaker.adopt(made)

    def breakers(self, model: str | None = None) -> Iterator[CircuitBreaker]:
        """The breakers that a request for ``model``, or for any model, has to pass."""
        yield self.address.breaker
        yield self.breaker
        breaker = None if model is None else self.models.get(model)
        if breaker is not None:
            yield breaker

    def allows_request(self, model: str, now: float) -> bool:
        """Whether a request for this model may be sent now."""
        if not self.degraded:
            return True
        if not all(breaker.allows_request(now) for breaker in self.breakers(model)):
            return False
        self._check(now)
        return True

    def answers_with_failures(self, model: str, now: float) -> bool:
        """Whether nothing but the model rests, and after failures that the server told itself.

        Such a server lives and fails fast. Where no other can be asked, its own words are worth more than a
        refusal.
        """
        breaker = self.models.get(model)
        last = None if breaker is None else breaker.last_failure
        return (
            last is not None and last.kind is UPSTREAM_MODEL_ERROR and self.seconds_until_allowed(now) <= 0.0
        )

    def seconds_until_allowed(self, now: float, model: str | None = None) -> float:
        """The seconds until a request may be sent for ``model``, or for any model."""
        return max(breaker.seconds_until_allowed(now) for breaker in self.breakers(model))

    def state(self, now: float) -> int:
        """The state of its breakers, but for those of models: 0 closed, 1 half-open, 2 open."""
        return max(breaker.state(now) for breaker in self.breakers())

    def failures(self, model: str | None = None) -> int:
        """The number of failures in a row that count against a request for ``model``."""
        return sum(breaker.failures for breaker in self.breakers(model)) if self.failing else 0

    def last_failure(self, now: float, model: str | None = None) -> FailureRecord | None:
        """The failure that keeps requests for ``model`` away for longest."""
        failed = [breaker for breaker in self.breakers(model) if breaker.last_failure is not None]
        longest = max(failed, key=lambda breaker: breaker.seconds_until_allowed(now), default=None)
        return None if longest is None else longest.last_failure

    def record_request(self, model: str, now: float, is_sent: Callable[[], bool]) -> bool:
        """Record that an allowed request is sent, and return whether it probes something.

        Args:
            model: what is asked for.
            now: the time.
            is_sent: tells whether the request could be sent by now: then its address can be reached.
        """
        is_probe = False
        for breaker in self.breakers(model):
            own = is_sent if breaker is self.address.breaker else None
            is_probe = breaker.record_request(now, own) or is_probe
        return is_probe

    def record_success(self, model: str, probe: bool) -> None:
        """Record that a request for a model was answered."""
        self._run.clear()
        for breaker in self.breakers(model):
            breaker.record_success(probe)
        at_model = self.models.get(model)
        if at_model is not None and not at_model.failures:
            del self.models[model]
        self.failing = bool(self.models or self.address.breaker.failures or self.breaker.failures)

    def record_cancelled(self, model: str, probe: bool) -> None:
        """Record that a request ended without a verdict on the upstream."""
        for breaker in self.breakers(model):
            breaker.record_cancelled(probe)

    def record_failure(self, failure: GatewayError, model: str, probe: bool, now: float) -> None:
        """Record that a request for a model failed.

        The failure counts against what it concerns, and a ``Retry-After`` starts a cooldown of that. An
        answer, even an error, proves that the address can be reached.
        """
        scope = failure.scope
        if failure.upstream_status is not None:
            self.address.breaker.record_success(probe)
        if scope == "request":
            self.record_cancelled(model, probe)
            return
        record, may_be_of_all = FailureRecord.of(failure), False
        if scope == "model":
            concerned = self._breaker_of(model)
            # Elsewhere the upstream has said itself that this model is meant.
            may_be_of_all = failure.kind.scope == "model" and failure.kind is not UPSTREAM_MODEL_ERROR
            if may_be_of_all:
                self._run.add(record, model)
        else:
            concerned = self.address.breaker if scope == "upstream" else self.breaker
        for breaker in self.breakers(model):
            if breaker is not concerned:
                breaker.record_cancelled(probe)
        concerned.record_failure(record, probe and concerned.is_open, now)
        if failure.retry_after is not None:
            concerned.start_cooldown(failure.retry_after, now)
        if may_be_of_all and len(self._run.models) == SEVERAL_MODELS:
            self.breaker.record_failure(record, self._run.count >= self.breaker.threshold > 0, now)
        for upstream in self.address.upstreams if scope == "upstream" else (self,):
            upstream.failing = True
            upstream._check(now)

    def allow_probe(self, now: float, *, only_address: bool = False) -> None:
        """A health check was answered: let the next requests probe at once.

        Args:
            now: the time.
            only_address: the check was made with another credential, and is about the address alone.
        """
        self.address.breaker.allow_probe(now)
        if not only_address:
            for breaker in (self.breaker, *self.models.values()):
                breaker.allow_probe(now)

    def reset(self) -> None:
        """Forget all failures."""
        self.address.breaker.reset()
        self.breaker.reset()
        self.models.clear()
        self._run.clear()
        self.degraded = self.failing = False

    def resting_models(self, now: float) -> Iterator[tuple[str, CircuitBreaker]]:
        """The models that may not be asked now, with their breakers."""
        for model, breaker in self.models.items():
            if not breaker.allows_request(now):
                yield model, breaker

    def _breaker_of(self, model: str) -> CircuitBreaker:
        breaker = self.models.get(model)
        if breaker is None:
            if len(self.models) >= MAX_MODELS:
                del self.models[next(iter(self.models))]
            breaker = self.models[model] = self._make_breaker()
        return breaker

    def _check(self, now: float) -> None:
        """Find out whether any request may be refused."""
        every = (self.address.breaker, self.breaker, *self.models.values())
        self.degraded = any(breaker.is_open or breaker.cooldown_until > now for breaker in every)
