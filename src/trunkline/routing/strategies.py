"""Ways to choose one of several upstreams: each a small function over live state.

A strategy gets the choices that may be asked, at least two, and returns one. What it must remember between
requests is in a :class:`Memory` of the pool, never in itself.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from trunkline.routing.candidates import Choice


class Question(NamedTuple):
    """What a strategy may look at besides the choices."""

    now: float
    """Seconds, monotonic."""
    again: bool = False
    """An earlier choice has failed for this request."""
    session: Callable[[], bytes | None] = lambda: None
    """What ties requests together: a session's name, or the beginning of the conversation."""


class Memory:
    """What a pool's strategy remembers. Kept when the pool is made anew from a newer catalog."""

    __slots__ = ("credit", "rng", "turn")

    def __init__(self, seed: int | None = None) -> None:
        self.turn = 0
        """Counts requests, where equals take turns."""
        self.credit: dict[str, float] = {}
        """The weighted strategy's current weight of each choice, by its key."""
        self.rng = random.Random(seed)


Strategy: TypeAlias = "Callable[[Sequence[Choice], Memory, Question], Choice]"


def in_order(choices: Sequence[Choice], memory: Memory, question: Question) -> Choice:
    """The first that may be asked: the keys of one address, used up one after another."""
    return choices[0]


def round_robin(choices: Sequence[Choice], memory: Memory, question: Question) -> Choice:
    """Each in turn."""
    choice = choices[memory.turn % len(choices)]
    memory.turn += 1
    return choice


def weighted(choices: Sequence[Choice], memory: Memory, question: Question) -> Choice:
    """Shares by weight, spread evenly (smooth weighted round-robin, as in nginx); after a failure, the lowest
    priority."""
    if question.again:
        return min(choices, key=lambda choice: choice.priority)
    credit, total, best = memory.credit, 0.0, choices[0]
    most = float("-inf")
    for choice in choices:
        have = credit.get(choice.key, 0.0) + choice.weight
        credit[choice.key] = have
        total += choice.weight
        if have > most:
            best, most = choice, have
    credit[best.key] -= total
    return best


def uniform(choices: Sequence[Choice], memory: Memory, question: Question) -> Choice:
    """One at random."""
    return choices[int(memory.rng.random() * len(choices))]


def least_busy(choices: Sequence[Choice], memory: Memory, question: Question) -> Choice:
    """The one with the least under way, for its weight; equals take turns."""
    memory.turn += 1
    start = memory.turn % len(choices)
    return min((*choices[start:], *choices[:start]), key=lambda choice: choice.live.load / choice.weight)


def lowest_latency(choices: Sequence[Choice], memory: Memory, question: Question) -> Choice:
    """The faster of two that are drawn by lot, by peak latency and what is under way. One that was never
    asked counts as fast: it will be known after it was."""
    first = int(memory.rng.random() * len(choices))
    second = int(memory.rng.random() * (len(choices) - 1))
    one, other = choices[first], choices[second + (second >= first)]
    return min(one, other, key=lambda choice: choice.live.latency.value * (choice.live.load + 1.0))


def cost(choices: Sequence[Choice], memory: Memory, question: Question) -> Choice:
    """The cheapest; an unknown price comes last; equals by what is under way."""
    return min(choices, key=lambda choice: (choice.price, choice.live.load))


def sticky(choices: Sequence[Choice], memory: Memory, question: Question) -> Choice:
    """The same for the same session, so that its prompt is still in that server's cache; when one comes or
    goes, only its own sessions move (rendezvous hashing)."""
    session = question.session()
    if session is None:
        return least_busy(choices, memory, question)
    mark = hash64(session)
    return max(choices, key=lambda choice: (mark ^ choice.mark) * _MIX & _MASK)


def hash64(text: bytes) -> int:
    """64 bits that are the same in every process."""
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest())


_MIX: Final = 0x9E3779B97F4A7C15
"""2**64 divided by the golden ratio (Fibonacci hashing): times this, similar numbers become dissimilar."""
_MASK: Final = (1 << 64) - 1


def predicted_wait(choices: Sequence[Choice], memory: Memory, question: Question) -> Choice:
    """The one that is expected to have answered first: what it has to do, what it has to load, how long the
    model takes there. Equals take turns."""
    memory.turn += 1
    start = memory.turn % len(choices)
    ordered = (*choices[start:], *choices[:start])
    return min(ordered, key=lambda choice: choice.expects(question.now))


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
