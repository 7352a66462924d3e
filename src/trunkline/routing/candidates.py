"""The upstreams that may serve one model's requests, and the choice of one of them.

A :class:`CandidatePool` is made once for a name and kept; a choice looks at live state only. Its tiers are
asked in order: a later one only when no upstream of an earlier one may be asked. One that is merely full is
waited for, since the next tier may cost money.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from typing import Final, NamedTuple

from trunkline.providers.base import Provider, Upstream
from trunkline.routing.prediction import LatencyPredictor
from trunkline.routing.strategies import SelectionContext, Strategy, StrategyMemory, hash64
from trunkline.routing.upstream_state import ConcurrencyGate, UpstreamState

UNKNOWN_PRICE: Final = math.inf


class Candidate:
    """One upstream that may serve a request, and the model's name there."""

    __slots__ = (
        "alone",
        "gate",
        "hash",
        "key",
        "lines",
        "model",
        "predictor",
        "price",
        "priority",
        "provider",
        "size",
        "state",
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
        weight: float = 1.0,
        priority: int = 0,
        price: float = UNKNOWN_PRICE,
        gate: ConcurrencyGate | None = None,
        predictor: LatencyPredictor | None = None,
        size: int | None = None,
    ) -> None:
        self.provider = provider
        self.upstream = upstream
        self.model = model
        self.key = f"{provider.name}/{upstream.name}/{model}"
        """Its name in what strategies remember, and among the choices that a request has tried."""
        self.hash = hash64(self.key.encode())
        """A hash of the key, by which the sticky strategy gives each session to one choice."""
        self.lines = _serving_lines(provider.name, upstream.name)
        """Header lines that say who serves, ready for the wire."""
        self.state = state
        self.weight = weight
        self.priority = priority
        self.price = price
        """USD for a million tokens, prompt and completion half and half."""
        self.gate = gate
        """The limit on this model here, if there is one besides the upstream's."""
        self.predictor = predictor
        """What the server is expected to be busy with, where that is looked at."""
        self.alone = False
        """It is the only choice of its pool, so that nothing has to be measured for comparing it."""
        self.size = size
        """Bytes of the model, where that is known."""

    @property
    def is_free(self) -> bool:
        """It may be asked now, without a second look."""
        return not self.state.resting and self.has_room

    def may(self, now: float) -> bool:
        """The upstream is not left alone, nor this model there."""
        return self.state.may(self.model, now)

    def may_in(self, now: float) -> float:
        """Seconds until it may be asked."""
        return self.state.may_in(now, self.model)

    @property
    def has_room(self) -> bool:
        """One more request may be sent now."""
        gate = self.state.gate
        free = gate.limit is None or gate.in_flight < gate.limit
        return free and (self.gate is None or self.gate.has_room)

    def enter(self) -> None:
        """Take room for a request."""
        self.state.gate.in_flight += 1
        if self.gate is not None:
            self.gate.in_flight += 1

    def leave(self) -> None:
        """Give it back."""
        self.state.gate.in_flight -= 1
        if self.gate is not None:
            self.gate.in_flight -= 1

    @property
    def resident(self) -> bool:
        """The model is loaded there, as far as is known."""
        return self.provider.resident(self.upstream, self.model)

    def expects(self, now: float) -> float:
        """Seconds until a request that is sent now is expected to be answered."""
        if self.predictor is None:
            return self.state.latency.value * (self.state.load + 1.0)
        return self.predictor.wait(self.model, self.resident, self.size, now)


class Tier(NamedTuple):
    """Choices that are equally good, and the way to choose among them."""

    candidates: Sequence[Candidate]
    strategy: Strategy
    memory: StrategyMemory
    name: str = "round_robin"
    """The strategy's name."""


class CandidatePool:
    """All choices for one name."""

    __slots__ = ("candidates", "fallback", "only", "route", "tiers")

    def __init__(self, tiers: Sequence[Tier], *, fallback: bool = True, route: str | None = None) -> None:
        """``fallback``: after a failure, another provider may be asked. ``route``: the configured route
        that this is the pool of, if it is one's."""
        self.route = route
        self.tiers = tuple(tier for tier in tiers if tier.candidates)
        self.fallback = fallback
        self.candidates = tuple(candidate for tier in self.tiers for candidate in tier.candidates)
        """All of them, tier by tier."""
        single = len(self.tiers) == 1 and len(self.tiers[0].candidates) == 1
        self.only = self.tiers[0].candidates[0] if single else None
        if self.only is not None:
            self.only.alone = True

    def __iter__(self) -> Iterator[Candidate]:
        """All choices, tier by tier."""
        return iter(self.candidates)

    def pick(self, context: SelectionContext, tried: Collection[str] = ()) -> Candidate | None:
        """The upstream to ask now, of those not ``tried``; None if there is none with room."""
        now = context.now
        only = self.only
        if only is not None:
            return only if only.key not in tried and only.may(now) and only.has_room else None
        for tier in self.tiers:
            willing = _willing(tier, now, tried)
            if not willing:
                continue
            able = [each for each in willing if each.has_room]
            if not able:
                return None
            return able[0] if len(able) == 1 else tier.strategy(able, tier.memory, context)
        return None

    def full(self, now: float, tried: Collection[str] = ()) -> Sequence[Candidate]:
        """The upstreams worth waiting for: those of the first tier that may be asked, when :meth:`pick` has
        found no room."""
        for tier in self.tiers:
            willing = _willing(tier, now, tried)
            if willing:
                return willing
        return ()

    def ways_out(self, failed: Candidate) -> set[str]:
        """Keys of the choices that must not be asked after ``failed`` has failed: its own; without fallback,
        those of all other providers; if its provider is ``local_only``, those that are not local."""
        closed = {failed.key}
        if not self.fallback:
            closed |= {each.key for each in self if each.provider is not failed.provider}
        if failed.provider.local_only:
            closed |= {each.key for each in self if not each.provider.local}
        return closed

    def soonest(self, now: float) -> float:
        """Seconds until any upstream may be asked."""
        return min((each.may_in(now) for each in self), default=0.0)

    def order(self, context: SelectionContext) -> list[Candidate]:
        """Everything that would be asked, were each to fail in turn; remembers nothing of the first pick
        only. For listings, and for whoever wants to know."""
        found: list[Candidate] = []
        tried: set[str] = set()
        while (candidate := self.pick(context._replace(again=bool(found)), tried)) is not None:
            found.append(candidate)
            tried.add(candidate.key)
        return found


def _willing(tier: Tier, now: float, tried: Collection[str]) -> list[Candidate]:
    """Choices of a tier that may be asked. Nearly all are seen to be at their first look."""
    return [
        each
        for each in tier.candidates
        if (not each.state.resting or each.may(now)) and each.key not in tried
    ]


def _serving_lines(provider: str, upstream: str) -> bytes:
    return f"x-trunkline-provider: {provider}\r\nx-trunkline-upstream: {upstream}\r\n".encode()
