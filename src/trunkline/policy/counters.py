"""What is left of limits and budgets, counted in memory: rates, slots and purses.

All are taken from before a request and settled after it. Nothing here awaits, so that looking and taking
cannot be torn apart; a meter that must first learn something (what was spent before a start, what other
nodes have left) says :data:`NEEDS_REFILL`, and is asked again after its ``refill``. Times are handed in, in
seconds.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeAlias

from trunkline.policy.rules import CounterRule

NEEDS_REFILL: Final = -1.0
"""The answer of a meter that does not know enough: await its ``refill`` and take again."""
GRANTED: Final = 0.0


Left: TypeAlias = tuple[int, float]
"""What is left of a limit, and the seconds until all of it is there again."""


class Counter(Protocol):
    """A limit or a budget at one moment."""

    @property
    def limit(self) -> int:
        """How much there is in all; may be set anew."""

    @limit.setter
    def limit(self, limit: int) -> None: ...

    def take(self, amount: int, now: float) -> float:
        """Take ``amount``: :data:`GRANTED`, :data:`ASK`, or the seconds after which to try again (infinity
        for never)."""

    @property
    def turn(self) -> int:
        """Of the last take, for its ``settle``."""

    def settle(self, taken: int, used: int, now: float, turn: int | None = None) -> bool:
        """What was taken turned out to be ``used``, which may be more. ``turn`` is that of the take; without
        it, it was the last one, just now. Returns whether a warning is due."""

    async def refill(self, amount: int) -> None:
        """Learn what :meth:`take` has asked for."""

    def left(self, now: float) -> Left:
        """What is left."""


class _Knowing:
    """A meter that always knows."""

    __slots__ = ()

    async def refill(self, amount: int) -> None:
        """There is nothing to learn."""


class RefundTracker:
    """How low the debt of a rate (what was taken and is not refilled yet) has been since each take.

    Had less been taken then, the debt would have been smaller ever since, but never below nothing: time
    cannot refill what is full. So a refund is worth no more than the least debt since its take, and lowers
    all that came after it. Kept are the turns of the lows that no later one has undercut; those that differ
    by less than ``grain`` count as the lowest of them, which gives back too little (where the rate was full
    but for that much), never too much.
    """

    __slots__ = ("_grain", "_lows", "_turns", "turn")

    def __init__(self, grain: float) -> None:
        self._grain = grain
        self._turns: list[int] = []
        self._lows: list[float] = []
        self.turn = 0

    def take(self, debt: float) -> None:
        """Something is taken; so large was the debt before."""
        self.turn += 1
        turns, lows = self._turns, self._lows
        while lows and lows[-1] >= debt:
            lows.pop()
            turns.pop()
        if lows and debt - lows[-1] < self._grain:
            turns[-1] = self.turn
        else:
            lows.append(debt)
            turns.append(self.turn)

    def give(self, turn: int, wanted: float, debt: float) -> float:
        """How much of a refund of ``wanted`` for the take of a turn is due, with so large a debt now."""
        turns, lows = self._turns, self._lows
        first = bisect_right(turns, turn)
        later = first < len(lows)
        due = min(wanted, debt, lows[first]) if later else min(wanted, debt)
        if due <= 0:
            return 0
        if later:
            for at in range(first, len(lows)):
                lows[at] -= due
            while first and lows[first - 1] >= lows[first]:
                first -= 1
                del lows[first], turns[first]
            if first and lows[first] - lows[first - 1] < self._grain:
                turns[first - 1] = turns[first]
                del lows[first], turns[first]
        return due


GRAINS: Final = 64
"""A grain is this part of a limit."""


class RateCounter(_Knowing):
    """So much in a time, by GCRA: at most ``limit`` at once, refilled evenly over ``per_s`` seconds."""

    __slots__ = ("_ebb", "_full_at", "_interval", "_limit", "_seen", "per_s", "turn")

    def __init__(self, limit: int, per_s: float, *, refunds: bool = True) -> None:
        """``refunds``: what was taken may turn out to be too much, later; else only at once."""
        self.turn = 0
        self.per_s = per_s
        self.limit = limit
        self._full_at = -math.inf
        """When all of it will be there again: GCRA's theoretical arrival time."""
        self._seen = -math.inf
        """The last time that was handed in."""
        self._ebb = RefundTracker(per_s / GRAINS) if refunds else None

    @property
    def limit(self) -> int:
        """So much."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = limit
        self._interval = self.per_s / limit

    def take(self, amount: int, now: float) -> float:
        """See :class:`Counter`. More than the whole limit is granted when all of it is there: it would never
        be otherwise."""
        full_at = self._full_at
        if now < self._seen:  # the clock was set back: nobody is to wait for it to come here again
            full_at -= self._seen - now
            self._full_at = full_at
        self._seen = now
        if full_at < now:
            full_at = now
        then = full_at + amount * self._interval
        over = then - now - self.per_s
        if over > 1e-6 and (amount <= self._limit or full_at > now):
            return over if amount <= self._limit else full_at - now
        self._full_at = then
        if self._ebb is not None:
            self._ebb.take(full_at - now)
            self.turn = self._ebb.turn
        return GRANTED

    def settle(self, taken: int, used: int, now: float, turn: int | None = None) -> bool:
        """See :class:`Counter`. What time has given back already is not given back again."""
        ebb = self._ebb
        if used < taken and ebb is not None:
            debt = self._full_at - max(now, self._seen)
            wanted = (taken - used) * self._interval
            self._full_at -= ebb.give(self.turn if turn is None else turn, wanted, debt)
        else:
            self._full_at += (used - taken) * self._interval
        return False

    def left(self, now: float) -> Left:
        """See :class:`Counter`."""
        reset = self._full_at - now
        if reset <= 0.0:
            return self._limit, 0.0
        remaining = int(self._limit - reset / self._interval + 1e-6)
        return (max(0, remaining)), reset


class ConcurrencyCounter(_Knowing):
    """So much at once."""

    __slots__ = ("limit", "taken")
    turn = 0

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0

    def take(self, amount: int, now: float) -> float:
        """See :class:`Counter`. When one gets free cannot be told: a second is a good guess."""
        if self.taken + amount > self.limit:
            return 1.0
        self.taken += amount
        return GRANTED

    def settle(self, taken: int, used: int, now: float, turn: int | None = None) -> bool:
        """See :class:`Counter`."""
        self.taken -= taken
        return False

    def left(self, now: float) -> Left:
        """See :class:`Counter`."""
        return max(0, self.limit - self.taken), 0.0


class BudgetCounter:
    """So much in a period: what is spent, and what running requests have reserved."""

    turn = 0

    __slots__ = (
        "_load",
        "_warn_at",
        "alarm",
        "ends",
        "hard",
        "known",
        "limit",
        "reserved",
        "rule",
        "spent",
    )

    def __init__(
        self,
        limit: int,
        ends: float,
        *,
        hard: bool = True,
        load: Callable[[], Awaitable[int]] | None = None,
    ) -> None:
        """``ends`` is when the period does (by the clock of ``now``); ``load`` reads what was spent in it
        before. A soft one counts, and grants everything."""
        self.limit = limit
        self.ends = ends
        self.hard = hard
        self.spent = 0
        self.reserved = 0
        self.alarm: float = math.inf
        """What is spent when the next warning is due."""
        self.rule: CounterRule | None = None
        """Whose it is."""
        self.known = load is None
        self._load = load
        self._warn_at = 1.0

    def watch(self, rule: CounterRule, warn_at: float) -> None:
        """Say whose it is, and the share of the limit at which a warning is due."""
        if self.rule is None or self.rule != rule:
            self.rule = rule
            self._warn_at = warn_at
            if self.known:
                self.arm()

    def arm(self) -> None:
        """The next warning is due at the first mark that is not reached yet: of what was spent before this
        began to count, its predecessor has told."""
        first = self.limit * self._warn_at
        self.alarm = first if self.spent < first else self.limit if self.spent < self.limit else math.inf

    def ring(self) -> CounterRule | None:
        """The alarm was reached: whose it is; the next one is at the limit, and then there is none."""
        self.alarm = self.limit if self.spent < self.limit else math.inf
        return self.rule

    def take(self, amount: int, now: float) -> float:
        """See :class:`Counter`."""
        if not self.known:
            return NEEDS_REFILL
        if self.hard and self.spent + self.reserved + amount > self.limit:
            return max(0.001, self.ends - now) if self.spent + amount > self.limit else 1.0
        self.reserved += amount
        return GRANTED

    def settle(self, taken: int, used: int, now: float, turn: int | None = None) -> bool:
        """See :class:`Counter`."""
        self.reserved -= taken
        if self.known:  # else the ledger knows of it
            self.spent += used
        return self.spent >= self.alarm

    def forget(self) -> None:
        """No rule is about this any more. Should one be again, what was spent by then must be learned anew:
        meanwhile nobody counts."""
        if self._load is not None:
            self.known, self.spent = False, 0

    async def refill(self, amount: int) -> None:
        """Read what was spent before; by one request for all."""
        if self._load is not None and not self.known:
            before = await self._load()
            if not self.known:
                self.known = True
                self.spent += before
                self.arm()

    def left(self, now: float) -> Left:
        """See :class:`Counter`."""
        remaining = max(0, self.limit - self.spent - self.reserved)
        return remaining, max(0.0, self.ends - now)
