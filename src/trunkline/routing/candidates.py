"""A candidate: one upstream that may serve a request, with the model's name there."""

from __future__ import annotations

import hashlib
import math
from typing import Final

from trunkline.providers.base import Provider, Upstream
from trunkline.providers.time_limits import AttemptTimeouts
from trunkline.routing.latency_predictor import LatencyPredictor
from trunkline.routing.upstream_state import ConcurrencyGate, UpstreamState

UNKNOWN_PRICE: Final = math.inf


class Candidate:
    """One upstream that may serve a request, and the model's name there."""

    __slots__ = (
        "costs",
        "gate",
        "hash",
        "header_lines",
        "is_only",
        "key",
        "local",
        "model",
        "predictor",
        "price",
        "priority",
        "provider",
        "size",
        "state",
        "target",
        "target_weight",
        "timeouts",
        "upstream",
        "weight",
    )

    def __init__(
        self,
        provider: Provider,
        upstream: Upstream,
        model: str,
        state: UpstreamState,
        *,
        target: int = 0,
        target_weight: float | None = None,
        weight: float = 1.0,
        priority: int = 0,
        price: float = UNKNOWN_PRICE,
        gate: ConcurrencyGate | None = None,
        predictor: LatencyPredictor | None = None,
        size: int | None = None,
        timeouts: AttemptTimeouts | None = None,
        local: bool | None = None,
    ) -> None:
        self.provider = provider
        self.upstream = upstream
        self.model = model
        self.key = f"{provider.name}/{upstream.name}/{model}"
        """Identifies the candidate in strategy memories and in the set of candidates that were tried."""
        self.hash = hash64(self.key.encode())
        """A hash of the key, for the rendezvous hashing of the sticky strategy."""
        self.header_lines = _serving_lines(provider.name, upstream.name)
        """Header lines that name the provider and the upstream, ready for the wire."""
        self.state = state
        self.target = target
        """The number of the route's target that this is an upstream of."""
        self.target_weight = weight if target_weight is None else target_weight
        """The weight of that target, which its upstreams share."""
        self.weight = weight
        """Its share of that weight, if all of them may be asked."""
        self.priority = priority
        self.price = price
        """USD for a million tokens, prompt and completion half and half."""
        self.costs = not provider.local and price > 0.0
        """Whether a request there costs money, as far as is known."""
        self.local = provider.local if local is None else local
        """Whether the model runs on a server of ours: a local provider may have a cloud run some."""
        self.gate = gate
        """The concurrency limit of this model here, if it has one besides the upstream's."""
        self.predictor = predictor
        """Predicts the latency of an Ollama server; None for other upstreams and for a single server."""
        self.is_only = False
        """Whether this is the only candidate of its pool. Then nothing has to be measured for comparisons."""
        self.size = size
        """The model's size in bytes, where it is known."""
        self.timeouts = timeouts
        """Of attempts there; None leaves them to the provider."""

    def allows_request(self, now: float) -> bool:
        """Whether circuit breakers and cooldowns allow a request for this model now."""
        return self.state.allows_request(self.model, now)

    def seconds_until_allowed(self, now: float) -> float:
        """The seconds until circuit breakers and cooldowns allow a request."""
        return self.state.seconds_until_allowed(now, self.model)

    @property
    def load(self) -> float:
        """The requests in flight at the upstream, plus two for each failure in a row.

        Failures count because an upstream that fails fast is not idle.
        """
        return self.state.gate.in_flight + 2.0 * self.state.failures(self.model)

    @property
    def has_room(self) -> bool:
        """Whether the concurrency limits allow one more request."""
        gate = self.state.gate
        upstream_has_room = gate.limit is None or gate.in_flight < gate.limit
        return upstream_has_room and (self.gate is None or self.gate.has_room)

    def try_acquire(self) -> bool:
        """Take a place if a request may be sent now, as far as that is known without the time."""
        state = self.state
        gate = state.gate
        if state.degraded or (gate.limit is not None and gate.in_flight >= gate.limit):
            return False
        if self.gate is not None:
            if not self.gate.has_room:
                return False
            self.gate.in_flight += 1
        gate.in_flight += 1
        return True

    def acquire(self) -> None:
        """Take a place for one request in the concurrency limits."""
        self.state.gate.in_flight += 1
        if self.gate is not None:
            self.gate.in_flight += 1

    def release(self) -> None:
        """Give back the place that :meth:`acquire` took."""
        self.state.gate.in_flight -= 1
        if self.gate is not None:
            self.gate.in_flight -= 1

    @property
    def is_loaded(self) -> bool:
        """Whether the model is loaded there, as far as is known."""
        return self.provider.is_loaded(self.upstream, self.model)

    def expected_latency(self, now: float) -> float:
        """The seconds that a request sent now is expected to take."""
        if self.predictor is None:
            return self.state.latency.value * (self.load + 1.0)
        return self.predictor.predict(self.model, self.is_loaded, self.size, now)


def hash64(data: bytes) -> int:
    """A 64-bit hash that is the same in every process."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest())


def _serving_lines(provider: str, upstream: str) -> bytes:
    return f"x-trunkline-provider: {provider}\r\nx-trunkline-upstream: {upstream}\r\n".encode()
