"""Limits and budgets that several nodes share: meters that lease small slices from a store all of them see.

What is leased is gone for the others, so that nothing is ever granted twice: together the nodes never grant
more than the limit, and what lies idle at a node (at most a slice: a hundredth of the limit, or one request)
is given back after a second. A request that finds enough leased touches memory only; one that does not waits
for one round trip. What a dead node had leased comes back when it has not been heard of for some seconds.

While the store is away each node either refuses what is limited, or grants a stated share of every limit and
of what was left of every budget.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, Protocol

from trunkline.errors import LIMITS_AWAY, CallerError
from trunkline.policy.counters import (
    GRAINS,
    GRANTED,
    NEEDS_REFILL,
    BudgetCounter,
    Counter,
    Left,
    RateCounter,
    RefundTracker,
)
from trunkline.policy.rules import DAY, MINUTE, CounterRule

IDLE_S: Final = 1.0
"""Seconds after which what lies idle at a node is given back."""
LOOK_EVERY_S: Final = 1.0
"""Seconds between two looks at what all nodes have spent of a budget that is in use."""
LOOK_FOR_S: Final = 3600.0
"""Seconds after its last use for which a budget is looked at."""
DENIED_S: Final = 0.5
"""Seconds for which a refusal is not asked about again: meanwhile others may have given something back."""
REFUSED_S: Final = 1.0
"""The same where a budget is used up: what was spent does not come back."""
SLICE: Final = 100
"""A slice is the hundredth part of a limit."""
_PERIODS: Final = {"minute": MINUTE, "day": DAY}


class Lease(NamedTuple):
    """The store's answer to a node that wants more."""

    granted: int
    left: int
    """What is left for others, as far as it is known."""
    wait_s: float
    """Seconds until the same may be granted, where it was not."""


class Balance(NamedTuple):
    """What the store knows of a budget."""

    granted: int
    spent: int
    held: int
    """By all nodes: leased, and not spent yet."""


class AwayError(Exception):
    """The store cannot be reached."""


class LeaseStore(Protocol):
    """The store that all nodes see. Raises AwayError from every method."""

    async def take_rate(self, name: str, limit: int, per_s: float, need: int, want: int) -> Lease:
        """Lease between ``need`` and ``want`` of a rate, or nothing."""

    async def give_rate(self, name: str, limit: int, per_s: float, amount: int) -> None:
        """Give back what was leased (or, below zero, owe what was used beyond it)."""

    async def take_purse(
        self, name: str, limit: int, need: int, want: int, *, seeded: bool
    ) -> Balance | None:
        """Lease between ``need`` and ``want`` of a budget, or nothing. None: nobody has said yet what was
        spent; with ``seeded`` that counts as nothing."""

    async def seed_purse(self, name: str, spent: int, ends: float) -> None:
        """Say what was spent, unless more of it is known; it is forgotten some time after ``ends``."""

    async def settle_purse(self, name: str, spent: int, released: int) -> Balance | None:
        """Report what was spent, and give back what is not held any more. None as above."""

    async def claim(self, name: str, ends: float) -> bool:
        """Whether nobody has claimed this before; it is forgotten some time after ``ends``."""


class LeasedCounters:
    """The shared meters of one node."""

    def __init__(
        self,
        store: LeaseStore,
        period: Callable[[str, float], tuple[int, float]],
        spent: Callable[[CounterRule, int], Awaitable[int]],
        *,
        closed: bool = False,
        local_share: float = 0.1,
    ) -> None:
        """
        Args:
            store: what all nodes see.
            period: when the period of a time began and ends.
            spent: what a budget's subject has spent since a time, from the ledger.
            closed: refuse what is limited while the store is away.
            local_share: else grant this share of it.
        """
        self.store = store
        self.period = period
        self.spent = spent
        self.closed = closed
        self.local_share = local_share
        self.away = False
        """The store did not answer; whoever watches over it says when it does again."""
        self._meters: list[SharedRateCounter | SharedBudgetCounter] = []

    def make(self, rule: CounterRule, now: float) -> Counter:
        """The shared meter of a mark at a time."""
        counter_key, amount, budget = rule
        counter: SharedRateCounter | SharedBudgetCounter
        if budget is None and counter_key.what != "slots":
            counter = SharedRateCounter(self, counter_key.text, amount, _PERIODS[counter_key.per])
        else:
            counter = SharedBudgetCounter(self, rule, now)
        self._meters.append(counter)
        return counter

    def refuse(self) -> None:
        """While the store is away: raise CallerError, if that is what was chosen."""
        if self.closed:
            raise CallerError(
                "Limits and budgets cannot be checked now: Redis is away (REDIS_LOSS=closed)",
                LIMITS_AWAY,
                retry_after=1.0,
                advice="true",
            )

    async def is_first(self, name: str, ends: float) -> bool:
        """Whether no other node has said so before, until ``ends``. While the store is away, all have not."""
        try:
            return await self.store.claim(name, ends)
        except AwayError:
            return True

    async def tidy(self, *, all_of_it: bool = False) -> None:
        """Report what was spent, and give back what lies idle (``all_of_it``: everything). Raises
        AwayError."""
        now = time.time()
        for counter in list(self._meters):
            await counter.tidy(now, all_of_it=all_of_it)
            if isinstance(counter, SharedBudgetCounter) and counter.is_over(now):
                self._meters.remove(counter)


class _Queue:
    """Requests that wait for one lease together: each asks for its own part, and all for one round trip."""

    def __init__(self, lease: Callable[[int, int], Awaitable[None]]) -> None:
        """``lease`` is called with the least and the sum of what is waited for."""
        self._lease = lease
        self._wanted: list[int] = []
        self._gathering: asyncio.Future[None] | None = None
        self._flying: asyncio.Future[None] | None = None

    async def join(self, amount: int) -> None:
        """Wait for a lease that counts ``amount`` in, or for the end of one that does not: then ask again."""
        if self._flying is not None and self._gathering is None:
            await asyncio.shield(self._flying)
            return
        self._wanted.append(amount)
        if self._gathering is None:
            self._gathering = asyncio.ensure_future(self._fly())
        await asyncio.shield(self._gathering)

    async def _fly(self) -> None:
        await asyncio.sleep(0)  # whoever comes in this turn of the loop comes along
        wanted, self._wanted = self._wanted, []
        self._flying, self._gathering = self._gathering, None
        try:
            await self._lease(min(wanted), sum(wanted))
        finally:
            self._flying = None


class SharedRateCounter:
    """A rate that nodes share."""

    def __init__(self, sharing: LeasedCounters, name: str, limit: int, per_s: float) -> None:
        self._queue = _Queue(self._lease)
        self._sharing = sharing
        self._name = f"rate:{name}"
        self._per_s = per_s
        self._credit = self._owed = 0
        self._used_at = self._denied_until = 0.0
        self._denied_for = 0
        self._free_at = 0.0
        """When there is enough again of what was denied."""
        self._known: Left = (limit, 0.0)
        self._ebb = RefundTracker(limit / GRAINS)
        self._debt = self._heard_at = 0.0  # what all nodes together owed, and when
        self.turn = 0  # of the last take; below zero, it was one of the local share
        self._local = RateCounter(1, per_s)
        self.limit = limit

    @property
    def limit(self) -> int:
        """Of all nodes together."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = limit
        self._local.limit = max(1, int(limit * self._sharing.local_share))

    def take(self, amount: int, now: float) -> float:
        """See :class:`~trunkline.policy.counters.Counter`."""
        self._used_at = now
        if self._credit >= amount or (self._credit - self._owed >= amount and -self._owed <= self.limit):
            mine = min(self._credit, amount)  # the rest waits to be given back: the store does not know yet
            self._credit -= mine
            self._owed += amount - mine
            self.turn = self._ebb.turn
            return GRANTED
        if self._sharing.away:
            self._sharing.refuse()
            wait = self._local.take(amount, now)
            self.turn = ~self._local.turn
            return wait
        if 0 < self._denied_until - now <= DENIED_S and amount >= self._denied_for:
            return max(0.001, self._free_at - now)
        return NEEDS_REFILL

    async def refill(self, amount: int) -> None:
        """Lease what is missing, and a slice where there is room."""
        await self._queue.join(amount)

    async def _lease(self, least: int, all_of_it: int) -> None:
        need = max(1, least - self._credit)
        want = max(need, all_of_it - self._credit, self.limit // SLICE)
        asked_at = time.time()
        try:
            leased = await self._sharing.store.take_rate(self._name, self.limit, self._per_s, need, want)
        except AwayError:
            self._sharing.away = True
            return
        debt = float(self.limit - leased.left)
        self._ebb.take(min(debt - leased.granted - self._credit + self._owed, self._own_debt(asked_at)))
        self._debt, self._heard_at = debt, asked_at
        self._credit += leased.granted
        if not leased.granted:
            now, wait = time.time(), max(0.001, leased.wait_s)
            self._free_at, self._denied_until = now + wait, now + min(wait, DENIED_S)
            self._denied_for = least
        reset = (self.limit - leased.left) * self._per_s / self.limit
        self._known = max(0, leased.left), max(0.0, reset)

    def _own_debt(self, now: float) -> float:
        """What all nodes owe at a time, as far as is known here, without what this one has not used."""
        refilled = max(0.0, now - self._heard_at) * self.limit / self._per_s
        return max(0.0, self._debt - refilled) - self._credit + self._owed

    def settle(self, taken: int, used: int, now: float, turn: int | None = None) -> bool:
        """See :class:`~trunkline.policy.counters.Counter`. What others have taken meanwhile is not known
        here: time may be thought to have given back more than it has."""
        turn = self.turn if turn is None else turn
        if turn < 0:
            self._local.settle(taken, used, now, ~turn)
        elif used < taken:
            due = int(self._ebb.give(turn, taken - used, self._own_debt(now)) + 0.01)
            kept = min(due, max(0, max(1, self.limit // SLICE) - self._credit))
            self._credit += kept
            self._owed -= due - kept
        else:
            self._owed += used - taken
        return False

    def left(self, now: float) -> Left:
        """What all nodes have left, as far as is known here."""
        if self._sharing.away:
            return self._local.left(now)
        return self._known[0] + self._credit, self._known[1]

    async def tidy(self, now: float, *, all_of_it: bool) -> None:
        """See :meth:`LeasedCounters.tidy`."""
        amount = -self._owed
        if self._credit and (all_of_it or abs(now - self._used_at) > IDLE_S):
            amount += self._credit
            self._credit = 0
        self._owed = 0
        if amount:
            self._debt -= amount
            try:
                await self._sharing.store.give_rate(self._name, self.limit, self._per_s, amount)
            except BaseException:
                self._debt += amount
                self._owed -= amount
                raise


class SharedBudgetCounter(BudgetCounter):
    """A budget, or a number of places, that nodes share. ``spent`` is what all of them have."""

    def __init__(self, sharing: LeasedCounters, rule: CounterRule, now: float) -> None:
        begin, ends = (0, float("inf")) if rule.budget is None else sharing.period(rule.counter_key.per, now)
        hard = rule.budget is None or rule.budget.hard
        super().__init__(rule.amount, ends, hard=hard)
        self._sharing = sharing
        self._queue = _Queue(self._lease)
        self._marked = rule
        self.known = False
        self._begin = begin
        self._name = f"purse:{rule.counter_key.text}:{begin}"
        self._places = rule.budget is None
        self._credit = 0
        self._unleased = 0
        """Reserved, but not leased: while the store was away, or in a soft budget."""
        self._alone = 0
        """Spent while the store was away."""
        self._to_report = 0
        self._to_release = 0
        self._used_at = 0.0
        self._denied_until = 0.0
        self._denied_for = 0
        self._looked_at = 0.0

    def take(self, amount: int, now: float) -> float:
        """See :class:`~trunkline.policy.counters.Counter`."""
        self._used_at = now
        if not (self.known or self._places or self._sharing.away):
            return NEEDS_REFILL
        if not self.hard:
            self._unleased += amount
        elif self._credit >= amount:
            self._credit -= amount
        elif self._credit + self._to_release - self._to_report >= amount:
            self._to_release -= amount - self._credit  # the store does not know of it yet: it is still held
            self._credit = 0
        elif self._sharing.away:
            self._sharing.refuse()
            share = int((self.limit - self.spent) * self._sharing.local_share)
            if self._unleased + self._alone + amount > max(share, 1 if self._places else 0):
                return 1.0
            self._unleased += amount
        elif 0 < self._denied_until - now <= REFUSED_S and amount >= self._denied_for:
            if not self._places and self.spent + amount > self.limit:
                return max(0.001, self.ends - now)
            return self._denied_until - now
        else:
            return NEEDS_REFILL
        self.reserved += amount
        return GRANTED

    async def refill(self, amount: int) -> None:
        """Lease what is missing, and a slice where there is room."""
        await self._queue.join(amount)

    async def _lease(self, least: int, all_of_it: int) -> None:
        need = want = 0  # a soft one only asks what was spent
        if self.hard:
            need = max(1, least - self._credit)
            want = max(need, all_of_it - self._credit, 0 if self._places else self.limit // SLICE)
        store = self._sharing.store
        try:
            balance = None
            if self.known or self._places:
                balance = await store.take_purse(self._name, self.limit, need, want, seeded=self._places)
            if balance is None:  # the ledger may know of more than the store, from when no rule was about it
                before = await self._sharing.spent(self._marked, self._begin)
                await store.seed_purse(self._name, before, self.ends)
                balance = await store.take_purse(self._name, self.limit, need, want, seeded=True)
        except AwayError:
            self._sharing.away = True
            return
        if balance is None:
            return
        self._alone = 0
        self._note(balance)
        if not self.known:
            self.known = True
            self.arm()
        self._credit += balance.granted
        if need and not balance.granted:
            now = time.time()
            self._denied_until = now + 0.05
            self._denied_for = least
            if not self._places and self.spent + least > self.limit:
                self._denied_until = min(now + REFUSED_S, self.ends)

    def settle(self, taken: int, used: int, now: float, turn: int | None = None) -> bool:
        """See :class:`~trunkline.policy.counters.Counter`."""
        if self._places:
            used = 0
        self.reserved -= taken
        self._to_report += used
        self.spent += used
        unleased = min(taken, self._unleased)
        self._unleased -= unleased
        if self._sharing.away:
            self._alone += used
        leased = taken - unleased
        room = (1 if self._places else max(1, self.limit // SLICE)) - self._credit
        kept = min(max(0, leased - used), max(0, room))
        self._credit += kept
        self._to_release += leased - kept
        return self.spent >= self.alarm

    def arm(self) -> None:
        """Both marks are told by whichever node is the first to say so (:meth:`LeasedCounters.is_first`)."""
        self.alarm = self.limit * self._warn_at

    def forget(self) -> None:
        """No rule is about this any more. Should one be again, the ledger is asked what was spent meanwhile,
        of which the store hears nothing."""
        self.known = False

    def left(self, now: float) -> Left:
        """What all nodes have left, as far as is known here."""
        taken = self.reserved if self._places else self.spent + self.reserved
        return max(0, self.limit - taken), max(0.0, self.ends - now)

    def is_over(self, now: float) -> bool:
        """Its period has ended, and nothing of it is under way."""
        return now > self.ends + IDLE_S and not (self.reserved or self._to_report or self._to_release)

    async def tidy(self, now: float, *, all_of_it: bool) -> None:
        """See :meth:`LeasedCounters.tidy`."""
        if self._credit and (all_of_it or abs(now - self._used_at) > IDLE_S):
            self._to_release += self._credit
            self._credit = 0
        spent, released = self._to_report, self._to_release
        if not spent and not released and not self._is_stale(now):
            return
        self._looked_at = now
        self._to_report = self._to_release = 0
        try:
            balance = await self._sharing.store.settle_purse(self._name, spent, released)
            if balance is None:  # the store has forgotten; the ledger has what was spent
                before = await self._sharing.spent(self._marked, self._begin)
                await self._sharing.store.seed_purse(self._name, before, self.ends)
        except BaseException:
            self._to_report += spent
            self._to_release += released
            raise
        if balance is not None:
            self._note(balance)

    def _is_stale(self, now: float) -> bool:
        """Others may have spent since the last look, and somebody here may want to know."""
        return abs(now - self._looked_at) > LOOK_EVERY_S and now - self._used_at < LOOK_FOR_S

    def _note(self, balance: Balance) -> None:
        self.spent = balance.spent + self._to_report
