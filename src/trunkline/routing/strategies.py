"""Strategies: functions that choose one of several candidates by their live state.

A strategy gets at least two candidates that may be asked, and returns one of them. What it remembers between
requests is in the :class:`StrategyMemory` of its tier, never in the strategy itself.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

from trunkline.routing.candidates import Candidate, hash64


class SelectionContext(NamedTuple):
    """What a strategy may look at besides the candidates."""

    now: float
    """Seconds, monotonic."""
    failed: Candidate | None = None
    """The candidate that has failed last for this request."""
    session: Callable[[], bytes | None] = lambda: None
    """Returns the request's session: a name that the client gave, or a digest of the conversation's
    beginning."""


class StrategyMemory:
    """What the strategy of one tier remembers between requests.

    It is kept when the pool is rebuilt from a newer catalog.
    """

    __slots__ = ("current_weights", "cursor", "rng")

    def __init__(self, seed: int | None = None) -> None:
        self.cursor = 0
        """The round-robin cursor: it counts requests, where equal candidates take turns."""
        self.current_weights: dict[str, float] = {}
        """The current weight of each candidate under the weighted strategy, by candidate key."""
        self.rng = random.Random(seed)

    def copy(self) -> StrategyMemory:
        """A copy that can be used without changing this memory."""
        copy = StrategyMemory()
        copy.cursor = self.cursor
        copy.current_weights = dict(self.current_weights)
        copy.rng.setstate(self.rng.getstate())
        return copy


Strategy: TypeAlias = Callable[[Sequence[Candidate], StrategyMemory, SelectionContext], Candidate]


def in_order(candidates: Sequence[Candidate], memory: StrategyMemory, context: SelectionContext) -> Candidate:
    """Choose the first candidate that may be asked.

    This is for several keys of one address, which are used up one after another.
    """
    return candidates[0]


def round_robin(
    candidates: Sequence[Candidate], memory: StrategyMemory, context: SelectionContext
) -> Candidate:
    """Choose each candidate in turn."""
    candidate = candidates[memory.cursor % len(candidates)]
    memory.cursor += 1
    return candidate


def weighted(candidates: Sequence[Candidate], memory: StrategyMemory, context: SelectionContext) -> Candidate:
    """Share requests by weight, evenly spread (nginx's smooth weighted round-robin).

    The upstreams of one target share its weight: those that may be asked, so that the share of one that may
    not goes to the others. After a failure it chooses another upstream of the same target, and then the
    candidate with the lowest priority number.
    """
    if (failed := context.failed) is not None:
        return min(candidates, key=lambda each: (each.target != failed.target, each.priority))
    shares = Counter(candidate.target for candidate in candidates)
    weights, total, best = memory.current_weights, 0.0, candidates[0]
    highest = float("-inf")
    for candidate in candidates:
        own = candidate.target_weight / shares[candidate.target]
        weight = weights.get(candidate.key, 0.0) + own
        weights[candidate.key] = weight
        total += own
        if weight > highest:
            best, highest = candidate, weight
    weights[best.key] -= total
    return best


def random_choice(
    candidates: Sequence[Candidate], memory: StrategyMemory, context: SelectionContext
) -> Candidate:
    """Choose one candidate at random."""
    return candidates[int(memory.rng.random() * len(candidates))]


def least_busy(
    candidates: Sequence[Candidate], memory: StrategyMemory, context: SelectionContext
) -> Candidate:
    """Choose the candidate with the lowest load for its weight; equal candidates take turns."""
    memory.cursor += 1
    start = memory.cursor % len(candidates)
    return min(
        (*candidates[start:], *candidates[:start]),
        key=lambda candidate: candidate.load / candidate.weight,
    )


def lowest_latency(
    candidates: Sequence[Candidate], memory: StrategyMemory, context: SelectionContext
) -> Candidate:
    """Draw two candidates at random, and choose the one with the lower peak latency times load.

    A candidate that was never asked counts as fast: once it was asked, its latency is known.
    """
    first = int(memory.rng.random() * len(candidates))
    second = int(memory.rng.random() * (len(candidates) - 1))
    one, other = candidates[first], candidates[second + (second >= first)]
    return min(one, other, key=lambda candidate: candidate.state.latency.value * (candidate.load + 1.0))


def cost(candidates: Sequence[Candidate], memory: StrategyMemory, context: SelectionContext) -> Candidate:
    """Choose the cheapest candidate; of equal prices, the one with the lower load.

    A candidate whose price is unknown comes last.
    """
    return min(candidates, key=lambda candidate: (candidate.price, candidate.load))


def sticky(candidates: Sequence[Candidate], memory: StrategyMemory, context: SelectionContext) -> Candidate:
    """Choose the same candidate for the same session, so that its prompt is still in that server's cache.

    By rendezvous hashing, only the sessions of a candidate that comes or goes move. Requests without a
    session go to the least busy candidate.
    """
    session = context.session()
    if session is None:
        return least_busy(candidates, memory, context)
    digest = hash64(session)
    return max(candidates, key=lambda candidate: (digest ^ candidate.hash) * _HASH_MULTIPLIER & _HASH_MASK)


_HASH_MULTIPLIER: Final = 0x9E3779B97F4A7C15
"""2**64 divided by the golden ratio. Fibonacci hashing multiplies by it to spread similar numbers."""
_HASH_MASK: Final = (1 << 64) - 1


def predicted_wait(
    candidates: Sequence[Candidate], memory: StrategyMemory, context: SelectionContext
) -> Candidate:
    """Choose the candidate with the lowest expected latency; equal candidates take turns.

    The prediction counts the requests that a server has to work on, the model that it has to load, and how
    long requests for the model take there.
    """
    memory.cursor += 1
    start = memory.cursor % len(candidates)
    ordered = (*candidates[start:], *candidates[:start])
    return min(ordered, key=lambda candidate: candidate.expected_latency(context.now))


STRATEGIES: Final[Mapping[str, Strategy]] = {
    "round_robin": round_robin,
    "weighted": weighted,
    "random": random_choice,
    "least_busy": least_busy,
    "lowest_latency": lowest_latency,
    "cost": cost,
    "priority": round_robin,
    "sticky": sticky,
    "predicted_wait": predicted_wait,
}
"""The strategies by the names that settings use.

Under ``priority`` the router makes a tier of each priority; within a tier the candidates take turns.
"""
