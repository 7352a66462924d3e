"""The fair queue: requests that wait for room at an upstream, by priority and fair between keys.

A request waits here while all its candidates are at their concurrency limits. When one gets room, the highest
priority is served first, and within it the keys share by start-time fair queueing: a key that sends many
requests makes only its own line longer. A request that is served gets its place at the upstream at once, so
that no newer request can take it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from trunkline.immediate import ImmediateFuture
from trunkline.routing.candidates import Candidate

PRIORITIES: Final = ("high", "normal", "low")
"""The priorities of requests; the first is served first."""

Acquire: TypeAlias = Callable[[Candidate], None]
"""Takes a place at a candidate."""


class Waiter:
    """One request in the queue."""

    __slots__ = ("_queue", "candidate", "candidates", "in_vain", "key", "start_tag")

    def __init__(self, queue: FairQueue, candidates: Sequence[Candidate], key: str, start_tag: float) -> None:
        self._queue = queue
        self.candidates = candidates
        """The candidates that it waits for."""
        self.key = key
        self.start_tag = start_tag
        """The virtual time at which its turn comes."""
        self.candidate: ImmediateFuture[Candidate | None] = ImmediateFuture()
        """The candidate that has room for it; None if it has left the queue."""
        self.in_vain = False
        """It has left because all that it waited for rests."""

    def give_up(self) -> None:
        """Leave the queue: the client has disconnected."""
        self._queue.leave(self)


class _PriorityClass:
    """The waiters of one priority: a line for each key, and the virtual time that orders them."""

    __slots__ = ("by_key", "finish_tags", "virtual_time")

    def __init__(self) -> None:
        self.by_key: dict[str, deque[Waiter]] = {}
        self.finish_tags: dict[str, float] = {}
        """The virtual time at which the last request of each key ends."""
        self.virtual_time = 0.0


class FairQueue:
    """All requests that wait for room."""

    def __init__(self, acquire: Acquire, limit: int = 1000) -> None:
        """
        Args:
            acquire: takes a place at a candidate for a waiter.
            limit: the maximum number of requests that may wait.
        """
        self._acquire = acquire
        self.limit = limit
        self._classes = {name: _PriorityClass() for name in PRIORITIES}
        self.depth = 0
        """The number of requests that wait."""

    def join(self, candidates: Sequence[Candidate], key: str, priority: str = "normal") -> Waiter | None:
        """Add a request to the queue.

        Args:
            candidates: the candidates that it waits for; any of them will do.
            key: the key that the request counts for.
            priority: one of :data:`PRIORITIES`.

        Returns:
            None if the queue is full.
        """
        if self.depth >= self.limit:
            return None
        waiting = self._classes[priority]
        start_tag = max(waiting.virtual_time, waiting.finish_tags.get(key, 0.0))
        waiting.finish_tags[key] = start_tag + 1.0
        waiter = Waiter(self, candidates, key, start_tag)
        waiting.by_key.setdefault(key, deque()).append(waiter)
        self.depth += 1
        return waiter

    def leave(self, waiter: Waiter) -> None:
        """Remove a waiter: its timeout is over, or its client has disconnected."""
        for waiting in self._classes.values():
            line = waiting.by_key.get(waiter.key)
            if line is not None and waiter in line:
                line.remove(waiter)
                self._removed(waiting, waiter.key)
                waiter.candidate.settle(None)
                return

    def serve(self, now: float) -> None:
        """Give every waiter that can be served its candidate. Call this when an upstream may have room."""
        while self.depth and (found := self._next(now)) is not None:
            waiting, waiter, candidate = found
            waiting.by_key[waiter.key].remove(waiter)
            waiting.virtual_time = max(waiting.virtual_time, waiter.start_tag)
            self._removed(waiting, waiter.key)
            self._acquire(candidate)
            waiter.candidate.settle(candidate)

    def dismiss_resting(self, now: float) -> None:
        """Remove every waiter whose candidates all rest: nobody waits for a rest to end. Call this when a
        request has failed."""
        for waiting in self._classes.values():
            for waiter in [each for line in waiting.by_key.values() for each in line]:
                if not any(each.allows_request(now) for each in waiter.candidates):
                    waiter.in_vain = True
                    self.leave(waiter)

    def _next(self, now: float) -> tuple[_PriorityClass, Waiter, Candidate] | None:
        """The waiter to serve next, and the candidate that has room for it."""
        for waiting in self._classes.values():
            best: tuple[float, Waiter, Candidate] | None = None
            for line in waiting.by_key.values():
                for waiter in line:
                    if best is not None and waiter.start_tag >= best[0]:
                        break
                    candidate = _first_available(waiter.candidates, now)
                    if candidate is not None:
                        best = (waiter.start_tag, waiter, candidate)
                        break
            if best is not None:
                return waiting, best[1], best[2]
        return None

    def _removed(self, waiting: _PriorityClass, key: str) -> None:
        self.depth -= 1
        if not waiting.by_key[key]:
            del waiting.by_key[key]
        if not waiting.by_key:  # nobody waits, so earlier requests of a key count no more
            waiting.finish_tags.clear()
            waiting.virtual_time = 0.0


def _first_available(candidates: Sequence[Candidate], now: float) -> Candidate | None:
    for candidate in candidates:
        if candidate.has_room and candidate.allows_request(now):
            return candidate
    return None
