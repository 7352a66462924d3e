"""Counters in memory: what is left of rates, concurrency limits and budgets.

A request takes from its counters before it is sent, and is settled after it. Nothing in ``take`` and
``settle`` awaits, so that checking and taking are one step. A counter that first needs to learn something
(what was spent before the start, or what other nodes have left) answers :data:`NEEDS_REFILL`, and is asked
again after its ``refill``. Times are passed in, in seconds.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeAlias

from trunkline.policy.rules import CounterRule

NEEDS_REFILL: Final = -1.0
"""The answer of a counter that does not know enough: await its ``refill``, and take again."""
GRANTED: Final = 0.0


Remaining: TypeAlias = tuple[int, float]
"""What is left of a limit, and the seconds until all of it is there again."""


class Counter(Protocol):
    """What is left of one limit or budget in its present period."""

    @property
    def limit(self) -> int:
        """How much there is in all; it may be changed."""

    @limit.setter
    def limit(self, limit: int) -> None: ...

    def take(self, amount: int, now: float) -> float:
        """Take ``amount``.

        Returns:
            :data:`GRANTED`, :data:`NEEDS_REFILL`, or the seconds after which to try again (infinity for
            never).
        """

    @property
    def take_number(self) -> int:
        """The number of the last take, which identifies it to ``settle``."""

    def settle(self, taken: int, used: int, now: float, take_number: int | None = None) -> bool:
        """Correct an earlier take by what was really used.

        Args:
            taken: what was taken.
            used: what was used, which may be more.
            now: the current time.
            take_number: the number of the take; without it, it was the last one, just now.

        Returns:
            Whether a warning is due.
        """

    async def refill(self, amount: int) -> None:
        """Learn what :meth:`take` needs to know to grant ``amount``."""

    def remaining(self, now: float) -> Remaining:
        """What is left now."""


class _NeverRefilled:
    """A counter that always knows enough."""

    __slots__ = ()

    async def refill(self, amount: int) -> None:
        """Do nothing: there is nothing to learn."""


class RefundTracker:
    """Remembers how much of a rate may still be given back, for each take.

    The debt of a rate is what was taken and is not refilled yet. Had a request taken less, the debt would
    have been smaller ever since, but never below zero: time cannot refill a rate that is full. So a refund is
    worth no more than the lowest debt since its take, and it lowers every debt after the take.

    The tracker keeps the numbers of those takes before which the debt was lower than before all later ones.
    Debts that differ by less than the resolution count as the lowest of them. That refunds too little (where
    the rate was full but for that much), never too much.
    """

    __slots__ = ("_lows", "_numbers", "_resolution", "take_number")

    def __init__(self, resolution: float) -> None:
        self._resolution = resolution
        self._numbers: list[int] = []
        """Take numbers, ascending."""
        self._lows: list[float] = []
        """The debt before each of these takes, ascending."""
        self.take_number = 0
        """The number of the last take."""

    def record_take(self, debt: float) -> None:
        """Record a take; ``debt`` is the debt before it."""
        self.take_number += 1
        numbers, lows = self._numbers, self._lows
        while lows and lows[-1] >= debt:
            lows.pop()
            numbers.pop()
        if lows and debt - lows[-1] < self._resolution:
            numbers[-1] = self.take_number
        else:
            lows.append(debt)
            numbers.append(self.take_number)

    def refund(self, take_number: int, wanted: float, debt: float) -> float:
        """Refund a part of a take.

        Args:
            take_number: the number of the take.
            wanted: how much of it was not used.
            debt: the debt now.

        Returns:
            How much of ``wanted`` is due.
        """
        numbers, lows = self._numbers, self._lows
        first = bisect_right(numbers, take_number)
        later = first < len(lows)
        due = min(wanted, debt, lows[first]) if later else min(wanted, debt)
        if due <= 0:
            return 0
        if later:
            for index in range(first, len(lows)):
                lows[index] -= due
            while first and lows[first - 1] >= lows[first]:
                first -= 1
                del lows[first], numbers[first]
            if first and lows[first] - lows[first - 1] < self._resolution:
                numbers[first - 1] = numbers[first]
                del lows[first], numbers[first]
        return due


REFUND_STEPS: Final = 64
"""The resolution of a refund tracker is a limit divided by this."""


class RateCounter(_NeverRefilled):
    """A rate by GCRA: at most ``limit`` at once, refilled evenly over ``per_s`` seconds."""

    __slots__ = ("_full_at", "_interval", "_last_now", "_limit", "_refunds", "per_s", "take_number")

    def __init__(self, limit: int, per_s: float, *, refunds: bool = True) -> None:
        """
        Args:
            limit: how much may be taken in ``per_s`` seconds.
            per_s: the seconds over which the rate refills.
            refunds: whether what was taken may be given back later; otherwise only at once.
        """
        self.take_number = 0
        self.per_s = per_s
        self.limit = limit
        self._full_at = -math.inf
        """When all of the rate will be there again: GCRA's theoretical arrival time."""
        self._last_now = -math.inf
        """The last time that was passed in."""
        self._refunds = RefundTracker(per_s / REFUND_STEPS) if refunds else None

    @property
    def limit(self) -> int:
        """How much may be taken in ``per_s`` seconds."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = limit
        self._interval = self.per_s / limit

    def take(self, amount: int, now: float) -> float:
        """See :class:`Counter`.

        More than the whole limit is granted when all of it is there, because it could never be granted
        otherwise.
        """
        full_at = self._full_at
        if now < self._last_now:  # the clock was set back: nobody is to wait until it is here again
            full_at -= self._last_now - now
            self._full_at = full_at
        self._last_now = now
        if full_at < now:
            full_at = now
        then = full_at + amount * self._interval
        over = then - now - self.per_s
        if over > 1e-6 and (amount <= self._limit or full_at > now):
            return over if amount <= self._limit else full_at - now
        self._full_at = then
        if self._refunds is not None:
            self._refunds.record_take(full_at - now)
            self.take_number = self._refunds.take_number
        return GRANTED

    def settle(self, taken: int, used: int, now: float, take_number: int | None = None) -> bool:
        """See :class:`Counter`. What time has refilled already is not given back again."""
        refunds = self._refunds
        if used < taken and refunds is not None:
            debt = self._full_at - max(now, self._last_now)
            wanted = (taken - used) * self._interval
            number = self.take_number if take_number is None else take_number
            self._full_at -= refunds.refund(number, wanted, debt)
        else:
            self._full_at += (used - taken) * self._interval
        return False

    def remaining(self, now: float) -> Remaining:
        """See :class:`Counter`."""
        reset = self._full_at - now
        if reset <= 0.0:
            return self._limit, 0.0
        remaining = int(self._limit - reset / self._interval + 1e-6)
        return (max(0, remaining)), reset


class ConcurrencyCounter(_NeverRefilled):
    """A limit on requests that run at once."""

    __slots__ = ("limit", "taken")
    take_number = 0

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0

    def take(self, amount: int, now: float) -> float:
        """See :class:`Counter`. When a running request ends is unknown; a second is a good guess."""
        if self.taken + amount > self.limit:
            return 1.0
        self.taken += amount
        return GRANTED

    def settle(self, taken: int, used: int, now: float, take_number: int | None = None) -> bool:
        """See :class:`Counter`."""
        self.taken -= taken
        return False

    def remaining(self, now: float) -> Remaining:
        """See :class:`Counter`."""
        return max(0, self.limit - self.taken), 0.0


class BudgetCounter:
    """A budget in one period: what is spent, and what running requests have reserved."""

    take_number = 0

    __slots__ = (
        "_load",
        "_warn_at",
        "ends",
        "hard",
        "known",
        "limit",
        "reserved",
        "rule",
        "spent",
        "warning_due_at",
    )

    def __init__(
        self,
        limit: int,
        ends: float,
        *,
        hard: bool = True,
        load: Callable[[], Awaitable[int]] | None = None,
    ) -> None:
        """
        Args:
            limit: the budget's amount.
            ends: when its period ends, by the clock of ``now``.
            hard: whether to refuse what would exceed it; otherwise everything is granted and counted.
            load: reads what was spent in the period before this counter began; without it, nothing was.
        """
        self.limit = limit
        self.ends = ends
        self.hard = hard
        self.spent = 0
        self.reserved = 0
        self.warning_due_at: float = math.inf
        """The amount of ``spent`` at which the next warning is due."""
        self.rule: CounterRule | None = None
        """The rule that it counts for."""
        self.known = load is None
        """Whether ``spent`` includes what was spent before this counter began."""
        self._load = load
        self._warn_at = 1.0

    def set_rule(self, rule: CounterRule, warn_at: float) -> None:
        """Set the rule that it counts for, and the share of the limit at which a warning is due."""
        if self.rule is None or self.rule != rule:
            self.rule = rule
            self._warn_at = warn_at
            if self.known:
                self.reset_warning()

    def reset_warning(self) -> None:
        """Make a warning due at the first threshold that is not reached yet.

        The counter before this one has warned of what was spent before this one began.
        """
        first = self.limit * self._warn_at
        self.warning_due_at = (
            first if self.spent < first else self.limit if self.spent < self.limit else math.inf
        )

    def advance_warning(self) -> CounterRule | None:
        """Return the rule to warn of, and make the next warning due at the limit; after it there is none."""
        self.warning_due_at = self.limit if self.spent < self.limit else math.inf
        return self.rule

    def take(self, amount: int, now: float) -> float:
        """See :class:`Counter`."""
        if not self.known:
            return NEEDS_REFILL
        if self.hard and self.spent + self.reserved + amount > self.limit:
            return max(0.001, self.ends - now) if self.spent + amount > self.limit else 1.0
        self.reserved += amount
        return GRANTED

    def settle(self, taken: int, used: int, now: float, take_number: int | None = None) -> bool:
        """See :class:`Counter`."""
        self.reserved -= taken
        if self.known:  # otherwise the ledger has it, and the refill will read it
            self.spent += used
        return self.spent >= self.warning_due_at

    def invalidate(self) -> None:
        """Forget what was spent: no rule counts here any more.

        If a rule counts here again, what was spent by then must be read anew, because nobody counts
        meanwhile.
        """
        if self._load is not None:
            self.known, self.spent = False, 0

    async def refill(self, amount: int) -> None:
        """Read what was spent before; concurrent refills add it only once."""
        if self._load is not None and not self.known:
            before = await self._load()
            if not self.known:
                self.known = True
                self.spent += before
                self.reset_warning()

    def remaining(self, now: float) -> Remaining:
        """See :class:`Counter`."""
        remaining = max(0, self.limit - self.spent - self.reserved)
        return remaining, max(0.0, self.ends - now)
