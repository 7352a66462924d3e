"""Limits and budgets that several nodes share: counters that lease small slices from a common store.

What one node has leased is not available to the others, so nothing is granted twice: together the nodes never
grant more than the limit. What lies idle at a node (at most a slice: a hundredth of the limit, or one
request) is returned after a second. A request that finds enough leased touches memory only. Otherwise it
waits for one round trip to the store. What a dead node had leased becomes free again when the node has not
been heard of for some seconds.

While the store is unavailable, each node either refuses what is limited, or grants a configured share of
every limit and of what was left of every budget.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, Protocol

from trunkline.errors import LIMITS_AWAY, CallerError
from trunkline.policy.counters import (
    GRANTED,
    NEEDS_REFILL,
    REFUND_STEPS,
    BudgetCounter,
    Counter,
    RateCounter,
    RefundTracker,
    Remaining,
)
from trunkline.policy.rules import RATE_PERIODS, CounterRule

IDLE_S: Final = 1.0
"""The seconds after which what lies idle at a node is returned."""
SYNC_INTERVAL_S: Final = 1.0
"""The seconds between two reads of what all nodes have spent of a budget that is in use."""
SYNC_FOR_S: Final = 3600.0
"""The seconds after its last use for which a budget is read again."""
RATE_DENIED_S: Final = 0.5
"""The maximum time in seconds for which a node does not ask again for a rate that was denied: others may
return a part of it meanwhile."""
BUDGET_DENIED_S: Final = 1.0
"""The same for a budget that is used up: what was spent does not come back."""
BUDGET_HELD_S: Final = 0.05
"""The same for a budget that is not used up, but held by other requests or nodes."""
SLICES: Final = 100
"""A slice is a limit divided by this."""


class RateLease(NamedTuple):
    """The store's answer to a node that wants to lease a part of a rate."""

    granted: int
    left: int
    """What is left for others, as far as it is known."""
    wait_s: float
    """The seconds until the same may be granted, if it was not."""


class BudgetLease(NamedTuple):
    """The store's answer to a node that wants to lease a part of a budget, or that reports on it."""

    granted: int
    spent: int
    """By all nodes."""
    held: int
    """By all nodes: leased and not spent yet."""


class StoreUnavailableError(Exception):
    """The store cannot be reached."""


class LeaseStore(Protocol):
    """The store that all nodes share. Every method raises StoreUnavailableError."""

    async def take_rate(self, name: str, limit: int, per_s: float, need: int, want: int) -> RateLease:
        """Lease between ``need`` and ``want`` of a rate, or nothing."""

    async def return_rate(self, name: str, limit: int, per_s: float, amount: int) -> None:
        """Return a part of what was leased; below zero, owe what was used beyond it."""

    async def take_budget(
        self, name: str, limit: int, need: int, want: int, *, seeded: bool
    ) -> BudgetLease | None:
        """Lease between ``need`` and ``want`` of a budget, or nothing.

        Returns:
            None if no node has seeded it yet; with ``seeded``, that counts as nothing spent.
        """

    async def seed_budget(self, name: str, spent: int, ends: float) -> None:
        """Say what was spent, unless more of it is known. The store forgets it some time after ``ends``."""

    async def settle_budget(self, name: str, spent: int, released: int) -> BudgetLease | None:
        """Report what was spent, and return what is not held any more.

        Returns:
            None if no node has seeded it yet.
        """

    async def claim(self, name: str, ends: float) -> bool:
        """Whether nobody has claimed this name before. The store forgets it some time after ``ends``."""


class LeasedCounters:
    """The shared counters of one node."""

    def __init__(
        self,
        store: LeaseStore,
        find_period: Callable[[str, float], tuple[int, float]],
        read_spent: Callable[[CounterRule, int], Awaitable[int]],
        *,
        fail_closed: bool = False,
        local_share: float = 0.1,
    ) -> None:
        """
        Args:
            store: the store that all nodes share.
            find_period: says when the period of a time began, and when it ends.
            read_spent: reads from the ledger what a budget's subject has spent since a time.
            fail_closed: whether to refuse what is limited while the store is unavailable.
            local_share: the share of it to grant otherwise.
        """
        self.store = store
        self.find_period = find_period
        self.read_spent = read_spent
        self.fail_closed = fail_closed
        self.local_share = local_share
        self.store_unavailable = False
        """Whether the store did not answer. The task that watches the store resets it."""
        self._counters: list[SharedRateCounter | SharedBudgetCounter] = []

    def make_counter(self, rule: CounterRule, now: float) -> Counter:
        """Make the shared counter of a rule at a time."""
        counter_key, amount, budget = rule
        counter: SharedRateCounter | SharedBudgetCounter
        if budget is None and counter_key.quantity != "slots":
            counter = SharedRateCounter(self, counter_key.text, amount, RATE_PERIODS[counter_key.per])
        else:
            counter = SharedBudgetCounter(self, rule, now)
        self._counters.append(counter)
        return counter

    def refuse_if_closed(self) -> None:
        """Refuse a request while the store is unavailable.

        Raises:
            CallerError: 503, the counters fail closed.
        """
        if self.fail_closed:
            raise CallerError(
                "Limits and budgets cannot be checked now: Redis is away (REDIS_LOSS=closed)",
                LIMITS_AWAY,
                retry_after=1.0,
                advice="true",
            )

    async def is_first(self, name: str, ends: float) -> bool:
        """Whether no other node has claimed this name, until ``ends``.

        While the store is unavailable it is True for every node.
        """
        try:
            return await self.store.claim(name, ends)
        except StoreUnavailableError:
            return True

    async def sync(self, *, return_all: bool = False) -> None:
        """Report what was spent, and return what lies idle.

        Args:
            return_all: whether to return everything that is leased.

        Raises:
            StoreUnavailableError: the store cannot be reached.
        """
        now = time.time()
        for counter in list(self._counters):
            await counter.sync(now, return_all=return_all)
            if isinstance(counter, SharedBudgetCounter) and counter.is_finished(now):
                self._counters.remove(counter)


class _LeaseBatch:
    """Gathers the requests that wait for a lease, so that they share one round trip to the store."""

    def __init__(self, lease: Callable[[int, int], Awaitable[None]]) -> None:
        """
        Args:
            lease: leases from the store; called with the smallest and the sum of the amounts.
        """
        self._lease = lease
        self._amounts: list[int] = []
        self._gathering: asyncio.Future[None] | None = None
        """The batch that still takes requests in."""
        self._running: asyncio.Future[None] | None = None
        """The batch that waits for the store."""

    async def join(self, amount: int) -> None:
        """Wait for a lease that includes ``amount``.

        If a lease without it is under way, wait for that one; the caller then asks again.
        """
        if self._running is not None and self._gathering is None:
            await asyncio.shield(self._running)
            return
        self._amounts.append(amount)
        if self._gathering is None:
            self._gathering = asyncio.ensure_future(self._run())
        await asyncio.shield(self._gathering)

    async def _run(self) -> None:
        await asyncio.sleep(0)  # requests of this turn of the event loop are included
        amounts, self._amounts = self._amounts, []
        self._running, self._gathering = self._gathering, None
        try:
            await self._lease(min(amounts), sum(amounts))
        finally:
            self._running = None


class SharedRateCounter:
    """A rate that nodes share."""

    def __init__(self, shared: LeasedCounters, name: str, limit: int, per_s: float) -> None:
        self._batch = _LeaseBatch(self._lease)
        self._shared = shared
        self._name = f"rate:{name}"
        self._per_s = per_s
        self._credit = 0
        """What this node has leased and not granted."""
        self._owed = 0
        """What was used beyond the leases; below zero, what is to be returned."""
        self._used_at = 0.0
        self._denied_until = 0.0
        self._denied_amount = 0
        self._available_at = 0.0
        """When there is enough again of what was denied."""
        self._last_remaining: Remaining = (limit, 0.0)
        """What the store had left at the last lease."""
        self._refunds = RefundTracker(limit / REFUND_STEPS)
        self._debt = 0.0
        """What all nodes together owed at ``_debt_at``."""
        self._debt_at = 0.0
        self.take_number = 0
        """The number of the last take; its complement, below zero, if the local share granted it."""
        self._local = RateCounter(1, per_s)
        """Grants this node's share while the store is unavailable."""
        self.limit = limit

    @property
    def limit(self) -> int:
        """The limit of all nodes together."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = limit
        self._local.limit = max(1, int(limit * self._shared.local_share))

    def take(self, amount: int, now: float) -> float:
        """See :class:`~trunkline.policy.counters.Counter`."""
        self._used_at = now
        if self._credit >= amount or (self._credit - self._owed >= amount and -self._owed <= self.limit):
            from_credit = min(
                self._credit, amount
            )  # the rest was to be returned, and the store does not know
            self._credit -= from_credit
            self._owed += amount - from_credit
            self.take_number = self._refunds.take_number
            return GRANTED
        if self._shared.store_unavailable:
            self._shared.refuse_if_closed()
            wait = self._local.take(amount, now)
            self.take_number = ~self._local.take_number
            return wait
        if 0 < self._denied_until - now <= RATE_DENIED_S and amount >= self._denied_amount:
            return max(0.001, self._available_at - now)
        return NEEDS_REFILL

    async def refill(self, amount: int) -> None:
        """Lease what is missing, and a slice if there is room."""
        await self._batch.join(amount)

    async def _lease(self, smallest: int, total: int) -> None:
        need = max(1, smallest - self._credit)
        want = max(need, total - self._credit, self.limit // SLICES)
        asked_at = time.time()
        try:
            lease = await self._shared.store.take_rate(self._name, self.limit, self._per_s, need, want)
        except StoreUnavailableError:
            self._shared.store_unavailable = True
            return
        debt = float(self.limit - lease.left)
        self._refunds.record_take(
            min(debt - lease.granted - self._credit + self._owed, self._debt_without_own(asked_at))
        )
        self._debt, self._debt_at = debt, asked_at
        self._credit += lease.granted
        if not lease.granted:
            now, wait = time.time(), max(0.001, lease.wait_s)
            self._available_at, self._denied_until = now + wait, now + min(wait, RATE_DENIED_S)
            self._denied_amount = smallest
        reset = (self.limit - lease.left) * self._per_s / self.limit
        self._last_remaining = max(0, lease.left), max(0.0, reset)

    def _debt_without_own(self, now: float) -> float:
        """What all nodes owe at a time, as far as is known here, without what this one has not used."""
        refilled = max(0.0, now - self._debt_at) * self.limit / self._per_s
        return max(0.0, self._debt - refilled) - self._credit + self._owed

    def settle(self, taken: int, used: int, now: float, take_number: int | None = None) -> bool:
        """See :class:`~trunkline.policy.counters.Counter`.

        What others have taken meanwhile is not known here, so that time may be thought to have refilled more
        than it has.
        """
        number = self.take_number if take_number is None else take_number
        if number < 0:
            self._local.settle(taken, used, now, ~number)
        elif used < taken:
            due = int(self._refunds.refund(number, taken - used, self._debt_without_own(now)) + 0.01)
            kept = min(due, max(0, max(1, self.limit // SLICES) - self._credit))
            self._credit += kept
            self._owed -= due - kept
        else:
            self._owed += used - taken
        return False

    def remaining(self, now: float) -> Remaining:
        """What all nodes have left, as far as is known here."""
        if self._shared.store_unavailable:
            return self._local.remaining(now)
        return self._last_remaining[0] + self._credit, self._last_remaining[1]

    async def sync(self, now: float, *, return_all: bool) -> None:
        """See :meth:`LeasedCounters.sync`."""
        amount = -self._owed
        if self._credit and (return_all or abs(now - self._used_at) > IDLE_S):
            amount += self._credit
            self._credit = 0
        self._owed = 0
        if amount:
            self._debt -= amount
            try:
                await self._shared.store.return_rate(self._name, self.limit, self._per_s, amount)
            except BaseException:
                self._debt += amount
                self._owed -= amount
                raise


class SharedBudgetCounter(BudgetCounter):
    """A budget, or a concurrency limit, that nodes share. ``spent`` is what all of them have spent."""

    def __init__(self, shared: LeasedCounters, rule: CounterRule, now: float) -> None:
        begin, ends = (
            (0, float("inf")) if rule.budget is None else shared.find_period(rule.counter_key.per, now)
        )
        hard = rule.budget is None or rule.budget.hard
        super().__init__(rule.amount, ends, hard=hard)
        self._shared = shared
        self._batch = _LeaseBatch(self._lease)
        self._made_for = rule
        self.known = False
        self._begin = begin
        self._name = f"purse:{rule.counter_key.text}:{begin}"  # this name is in the store, and must stay
        self._is_concurrency = rule.budget is None
        self._credit = 0
        """What this node has leased and not granted."""
        self._unleased = 0
        """What is reserved without a lease: while the store was unavailable, or in a soft budget."""
        self._spent_offline = 0
        """What this node spent while the store was unavailable."""
        self._to_report = 0
        """What was spent and is not reported to the store yet."""
        self._to_release = 0
        """What is to be returned, and held in the store until then."""
        self._used_at = 0.0
        self._denied_until = 0.0
        self._denied_amount = 0
        self._synced_at = 0.0

    def take(self, amount: int, now: float) -> float:
        """See :class:`~trunkline.policy.counters.Counter`."""
        self._used_at = now
        if not (self.known or self._is_concurrency or self._shared.store_unavailable):
            return NEEDS_REFILL
        if not self.hard:
            self._unleased += amount
        elif self._credit >= amount:
            self._credit -= amount
        elif self._credit + self._to_release - self._to_report >= amount:
            # What is to be released is still held for this node: the store does not know of it yet.
            self._to_release -= amount - self._credit
            self._credit = 0
        elif self._shared.store_unavailable:
            self._shared.refuse_if_closed()
            share = int((self.limit - self.spent) * self._shared.local_share)
            share = max(share, 1 if self._is_concurrency else 0)
            if self._unleased + self._spent_offline + amount > share:
                return 1.0
            self._unleased += amount
        elif 0 < self._denied_until - now <= BUDGET_DENIED_S and amount >= self._denied_amount:
            if not self._is_concurrency and self.spent + amount > self.limit:
                return max(0.001, self.ends - now)
            return self._denied_until - now
        else:
            return NEEDS_REFILL
        self.reserved += amount
        return GRANTED

    async def refill(self, amount: int) -> None:
        """Lease what is missing, and a slice if there is room."""
        await self._batch.join(amount)

    async def _lease(self, smallest: int, total: int) -> None:
        need = want = 0  # a soft budget only asks what was spent
        if self.hard:
            need = max(1, smallest - self._credit)
            want = max(need, total - self._credit, 0 if self._is_concurrency else self.limit // SLICES)
        store = self._shared.store
        try:
            lease = None
            if self.known or self._is_concurrency:
                lease = await store.take_budget(
                    self._name, self.limit, need, want, seeded=self._is_concurrency
                )
            if lease is None:  # the ledger may know of more than the store, from when no rule counted here
                before = await self._shared.read_spent(self._made_for, self._begin)
                await store.seed_budget(self._name, before, self.ends)
                lease = await store.take_budget(self._name, self.limit, need, want, seeded=True)
        except StoreUnavailableError:
            self._shared.store_unavailable = True
            return
        if lease is None:
            return
        self._spent_offline = 0
        self._set_spent(lease)
        if not self.known:
            self.known = True
            self.reset_warning()
        self._credit += lease.granted
        if need and not lease.granted:
            now = time.time()
            self._denied_until = now + BUDGET_HELD_S
            self._denied_amount = smallest
            if not self._is_concurrency and self.spent + smallest > self.limit:
                self._denied_until = min(now + BUDGET_DENIED_S, self.ends)

    def settle(self, taken: int, used: int, now: float, take_number: int | None = None) -> bool:
        """See :class:`~trunkline.policy.counters.Counter`."""
        if self._is_concurrency:
            used = 0
        self.reserved -= taken
        self._to_report += used
        self.spent += used
        unleased = min(taken, self._unleased)
        self._unleased -= unleased
        if self._shared.store_unavailable:
            self._spent_offline += used
        leased = taken - unleased
        room = (1 if self._is_concurrency else max(1, self.limit // SLICES)) - self._credit
        kept = min(max(0, leased - used), max(0, room))
        self._credit += kept
        self._to_release += leased - kept
        return self.spent >= self.warning_due_at

    def reset_warning(self) -> None:
        """Make a warning due at the first threshold, even if it is reached.

        Of each threshold only the first node warns (:meth:`LeasedCounters.is_first`).
        """
        self.warning_due_at = self.limit * self._warn_at

    def invalidate(self) -> None:
        """See :meth:`BudgetCounter.invalidate`. The store does not learn what is spent meanwhile either."""
        self.known = False

    def remaining(self, now: float) -> Remaining:
        """What all nodes have left, as far as is known here."""
        taken = self.reserved if self._is_concurrency else self.spent + self.reserved
        return max(0, self.limit - taken), max(0.0, self.ends - now)

    def is_finished(self, now: float) -> bool:
        """Whether its period has ended, and all requests in it are settled and reported."""
        return now > self.ends + IDLE_S and not (self.reserved or self._to_report or self._to_release)

    async def sync(self, now: float, *, return_all: bool) -> None:
        """See :meth:`LeasedCounters.sync`."""
        if self._credit and (return_all or abs(now - self._used_at) > IDLE_S):
            self._to_release += self._credit
            self._credit = 0
        spent, released = self._to_report, self._to_release
        if not spent and not released and not self._is_stale(now):
            return
        self._synced_at = now
        self._to_report = self._to_release = 0
        try:
            lease = await self._shared.store.settle_budget(self._name, spent, released)
            if lease is None:  # the store has lost it; the ledger has what was spent
                before = await self._shared.read_spent(self._made_for, self._begin)
                await self._shared.store.seed_budget(self._name, before, self.ends)
        except BaseException:
            self._to_report += spent
            self._to_release += released
            raise
        if lease is not None:
            self._set_spent(lease)

    def _is_stale(self, now: float) -> bool:
        """Whether others may have spent since the last sync of a budget that is in use here."""
        return abs(now - self._synced_at) > SYNC_INTERVAL_S and now - self._used_at < SYNC_FOR_S

    def _set_spent(self, lease: BudgetLease) -> None:
        self.spent = lease.spent + self._to_report
