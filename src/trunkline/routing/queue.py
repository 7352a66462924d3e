"""Requests that wait for room: bounded, in classes, and fair between keys.

Where every upstream of a request is full, it waits here. When one gets room, the highest class goes first,
and within it the key that had the least: start-time fair queueing, in which a key that floods only makes
its own line longer. Who goes is given its room at once, so nobody slips in between.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from trunkline.immediate import ImmediateFuture
from trunkline.routing.candidates import Candidate

CLASSES: Final = ("high", "normal", "low")
"""Priority classes, first served first."""

Enter: TypeAlias = Callable[[Candidate], None]
"""Takes the room of a choice."""


class Waiter:
    """One request in the line. Await ``turn``: the choice that has room for it, or None: give up."""

    __slots__ = ("_queue", "candidates", "key", "tag", "turn")

    def __init__(self, queue: FairQueue, candidates: Sequence[Candidate], key: str, tag: float) -> None:
        self._queue = queue
        self.candidates = candidates
        self.key = key
        self.tag = tag
        self.turn: ImmediateFuture[Candidate | None] = ImmediateFuture()

    def give_up(self) -> None:
        """Its client has gone."""
        self._queue.leave(self)


class _Line:
    """One class: a line for each key, and the virtual time that orders them."""

    __slots__ = ("finished", "now", "of_key")

    def __init__(self) -> None:
        self.of_key: dict[str, deque[Waiter]] = {}
        self.finished: dict[str, float] = {}
        self.now = 0.0


class FairQueue:
    """All requests that wait for room."""

    def __init__(self, enter: Enter, limit: int = 1000) -> None:
        """``enter`` takes a candidate's room for a waiter; ``limit`` bounds how many may wait."""
        self._enter = enter
        self.limit = limit
        self._lines = {name: _Line() for name in CLASSES}
        self.depth = 0

    def join(self, candidates: Sequence[Candidate], key: str, klass: str = "normal") -> Waiter | None:
        """Wait for any of ``candidates``; None if the line is full."""
        if self.depth >= self.limit:
            return None
        line = self._lines[klass]
        tag = max(line.now, line.finished.get(key, 0.0))
        line.finished[key] = tag + 1.0
        waiter = Waiter(self, candidates, key, tag)
        line.of_key.setdefault(key, deque()).append(waiter)
        self.depth += 1
        return waiter

    def leave(self, waiter: Waiter) -> None:
        """It does not wait any more: its patience is over, or its client has gone."""
        for line in self._lines.values():
            own = line.of_key.get(waiter.key)
            if own is not None and waiter in own:
                own.remove(waiter)
                self._removed(line, waiter.key)
                waiter.turn.settle(None)
                return

    def freed(self, now: float) -> None:
        """Somewhere there may be room now: let in whoever can go."""
        while self.depth and (found := self._next(now)) is not None:
            line, waiter, candidate = found
            line.of_key[waiter.key].remove(waiter)
            line.now = max(line.now, waiter.tag)
            self._removed(line, waiter.key)
            self._enter(candidate)
            waiter.turn.settle(candidate)

    def _next(self, now: float) -> tuple[_Line, Waiter, Candidate] | None:
        for line in self._lines.values():
            best: tuple[float, Waiter, Candidate] | None = None
            for own in line.of_key.values():
                for waiter in own:
                    if best is not None and waiter.tag >= best[0]:
                        break
                    candidate = _room(waiter.candidates, now)
                    if candidate is not None:
                        best = (waiter.tag, waiter, candidate)
                        break
            if best is not None:
                return line, best[1], best[2]
        return None

    def _removed(self, line: _Line, key: str) -> None:
        self.depth -= 1
        if not line.of_key[key]:
            del line.of_key[key]
        if not line.of_key:  # nobody waits: old debts mean nothing
            line.finished.clear()
            line.now = 0.0


def _room(candidates: Sequence[Candidate], now: float) -> Candidate | None:
    for candidate in candidates:
        if candidate.has_room and candidate.may(now):
            return candidate
    return None
