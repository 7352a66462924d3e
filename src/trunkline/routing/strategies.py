"""Ways to choose one of several upstreams: each a small function over live state.

A strategy gets the choices that may be asked, at least two, and returns one. What it must remember between
requests is in a :class:`StrategyMemory` of the pool, never in itself.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from trunkline.routing.candidates import Candidate


class SelectionContext(NamedTuple):
    """What a strategy may look at besides the choices."""

    now: float
    """Seconds, monotonic."""
    again: bool = False
    """An earlier choice has failed for this request."""
    session: Callable[[], bytes | None] = lambda: None
    """What ties requests together: a session's name, or the beginning of the conversation."""


class StrategyMemory:
    """What a pool's strategy remembers. Kept when the pool is made anew from a newer catalog."""

    __slots__ = ("credit", "rng", "turn")

    def __init__(self, seed: int | None = None) -> None:
        self.turn = 0
        """Counts requests, where equals take turns."""
        self.credit: dict[str, float] = {}
        """The weighted strategy's current weight of each choice, by its key."""
        self.rng = random.Random(seed)


Strategy: TypeAlias = "Callable[[Sequence[Candidate], StrategyMemory, SelectionContext], Candidate]"


def in_order(candidates: Sequence[Candidate], memory: StrategyMemory, context: SelectionContext) -> Candidate:
    """The first that may be asked: the keys of one address, used up one after another."""
    return candidates[0]


def round_robin(
    candidates: Sequence[Candidate], memory: StrategyMemory, context: SelectionContext
) -> Candidate:
    """Each in turn."""
    candidate = candidates[memory.turn % len(candidates)]
    memory.turn += 1
    return candidate


def weighted(candidates: Sequence[Candidate], memory: StrategyMemory, context: SelectionContext) -> Candidate:
    """Shares by weight, spread evenly (smooth weighted round-robin, as in nginx); after a failure, the lowest
    priority."""
    if context.again:
        return min(candidates, key=lambda candidate: candidate.priority)
    credit, total, best = memory.credit, 0.0, candidates[0]
    most = float("-inf")
    for candidate in candidates:
        have = credit.get(candidate.key, 0.0) + candidate.weight
        credit[candidate.key] = have
        total += candidate.weight
        if have > most:
            best, most = candidate, have
    credit[best.key] -= total
    return best


def uniform(candidates: Sequence[Candidate], memory: StrategyMemory, context: SelectionContext) -> Candidate:
    """One at random."""
    return candidates[int(memory.rng.random() * len(candidates))]


def least_busy(
    candidates: Sequence[Candidate], memory: StrategyMemory, context: SelectionContext
) -> Candidate:
    """The one with the least under way, for its weight; equals take turns."""
    memory.turn += 1
    start = memory.turn % len(candidates)
    return min(
        (*candidates[start:], *candidates[:start]),
        key=lambda candidate: candidate.state.load / candidate.weight,
    )


def lowest_latency(
    candidates: Sequence[Candidate], memory: StrategyMemory, context: SelectionContext
) -> Candidate:
    """The faster of two that are drawn by lot, by peak latency and what is under way. One that was never
    asked counts as fast: it will be known after it was."""
    first = int(memory.rng.random() * len(candidates))
    second = int(memory.rng.random() * (len(candidates) - 1))
    one, other = candidates[first], candidates[second + (second >= first)]
    return min(one, other, key=lambda candidate: candidate.state.latency.value * (candidate.state.load + 1.0))


def cost(candidates: Sequence[Candidate], memory: StrategyMemory, context: SelectionContext) -> Candidate:
    """The cheapest; an unknown price comes last; equals by what is under way."""
    return min(candidates, key=lambda candidate: (candidate.price, candidate.state.load))


def sticky(candidates: Sequence[Candidate], memory: StrategyMemory, context: SelectionContext) -> Candidate:
    """The same for the same session, so that its prompt is still in that server's cache; when one comes or
    goes, only its own sessions move (rendezvous hashing)."""
    session = context.session()
    if session is None:
        return least_busy(candidates, memory, context)
    digest = hash64(session)
    return max(candidates, key=lambda candidate: (digest ^ candidate.hash) * _MIX & _MASK)


def hash64(text: bytes) -> int:
    """64 bits that are the same in every process."""
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest())


_MIX: Final = 0x9E3779B97F4A7C15
"""2**64 divided by the golden ratio (Fibonacci hashing): times this, similar numbers become dissimilar."""
_MASK: Final = (1 << 64) - 1


def predicted_wait(
    candidates: Sequence[Candidate], memory: StrategyMemory, context: SelectionContext
) -> Candidate:
    """The one that is expected to have answered first: what it has to do, what it has to load, how long the
    model takes there. Equals take turns."""
    memory.turn += 1
    start = memory.turn % len(candidates)
    ordered = (*candidates[start:], *candidates[:start])
    return min(ordered, key=lambda candidate: candidate.expects(context.now))


STRATEGIES: Final[Mapping[str, Strategy]] = {
    "round_robin": round_robin,
    "weighted": weighted,
    "random": uniform,
    "least_busy": least_busy,
    "lowest_latency": lowest_latency,
    "cost": cost,
    "priority": round_robin,
    "sticky": sticky,
    "predicted_wait": predicted_wait,
}
"""Strategies by the names that settings use. Under ``priority`` the router makes a tier of each priority;
within a tier the choices take turns."""
