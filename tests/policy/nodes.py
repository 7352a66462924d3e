"""Nodes for tests of counters: each counts by itself, or they share counters on a Redis."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable
from typing import Any

from trunkline.policy.counters import GRANTED, NEEDS_REFILL, Counter
from trunkline.policy.guard import Guard
from trunkline.policy.leases import (
    BudgetLease,
    LeasedCounters,
    LeaseStore,
    RateLease,
    StoreUnavailableError,
)
from trunkline.policy.prices import PriceBook
from trunkline.policy.rules import Budget, CounterKey, CounterRule
from trunkline.server.redis.limits import RedisLeases


def rate(limit: int, per: str = "day", quantity: Any = "requests") -> CounterRule:
    return CounterRule(CounterKey("key", "k", quantity, per), limit)


def slots(limit: int) -> CounterRule:
    return CounterRule(CounterKey("key", "k", "slots", ""), limit)


def budget(limit: int, *, hard: bool = True) -> CounterRule:
    rule = Budget("key", "*", "tokens", limit, "day", hard=hard)
    return CounterRule(CounterKey("key", "k", "used", "day"), limit, rule)


class Node:
    """One node.

    ``spent_before`` is what its ledger has of the time before the counters; periods end at ``ends``.
    """

    def __init__(self, store: LeaseStore | None = None, *, ends: float = math.inf, **more: Any) -> None:
        self.spent_before = 0
        self.ledger_reads = 0
        """How often the ledger was read."""
        self.sharing: LeasedCounters | None = None
        """The shared counters; None for a node that counts by itself."""
        make: Callable[[CounterRule, float], Counter]
        if store is None:
            guard = Guard(
                PriceBook({}, lambda *_: None),
                read_spent=self._read_spent,
                find_period=lambda per, now: (0, ends),
            )
            make = guard.make_local_counter
        else:
            self.sharing = LeasedCounters(store, lambda per, now: (0, ends), self._read_spent, **more)
            make = self.sharing.make_counter
        self._make = make

    async def _read_spent(self, rule: Any, since: int) -> int:
        self.ledger_reads += 1
        return self.spent_before

    def make(self, rule: CounterRule) -> Counter:
        return self._make(rule, time.time())

    async def sync(self, *, return_all: bool = True) -> None:
        """Report to the store and return to it, if there is one."""
        if self.sharing is not None:
            await self.sharing.sync(return_all=return_all)


async def take(counter: Counter, amount: int = 1) -> float:
    """Take as the guard does: refill the counter until it knows enough."""
    while True:
        wait = counter.take(amount, time.time())
        if wait != NEEDS_REFILL:
            return wait
        await counter.refill(amount)


async def take_all(counter: Counter, amount: int = 1, most: int = 10_000) -> int:
    """How many times ``amount`` is granted, one after another."""
    for count in range(most):
        if await take(counter, amount) != GRANTED:
            return count
    raise AssertionError("it grants without end")


class RecordingStore:
    """A store that records its calls, and that can be made unavailable while its server runs."""

    def __init__(self, store: LeaseStore) -> None:
        self._store = store
        self.calls: list[str] = []
        self.unavailable = False

    def _record(self, call: str) -> None:
        if self.unavailable:
            raise StoreUnavailableError("lost")
        self.calls.append(call)

    async def take_rate(self, name: str, limit: int, per_s: float, need: int, want: int) -> RateLease:
        self._record("take_rate")
        return await self._store.take_rate(name, limit, per_s, need, want)

    async def return_rate(self, name: str, limit: int, per_s: float, amount: int) -> None:
        self._record("return_rate")
        await self._store.return_rate(name, limit, per_s, amount)

    async def take_budget(
        self, name: str, limit: int, need: int, want: int, *, seeded: bool
    ) -> BudgetLease | None:
        self._record("take_budget")
        return await self._store.take_budget(name, limit, need, want, seeded=seeded)

    async def seed_budget(self, name: str, spent: int, ends: float) -> None:
        self._record("seed_budget")
        await self._store.seed_budget(name, spent, ends)

    async def settle_budget(self, name: str, spent: int, released: int) -> BudgetLease | None:
        self._record("settle_budget")
        return await self._store.settle_budget(name, spent, released)

    async def claim(self, name: str, ends: float) -> bool:
        self._record("claim")
        return await self._store.claim(name, ends)


class FakeRateStore:
    """A store of one rate that grants as the Redis store does, by the clock of a test."""

    def __init__(self) -> None:
        self.now = 0.0
        self.full_at = 0.0

    async def take_rate(self, name: str, limit: int, per_s: float, need: int, want: int) -> RateLease:
        full_at, interval = max(self.full_at, self.now), per_s / limit
        free = math.floor((per_s - (full_at - self.now)) / interval + 1e-6)
        if free < need:
            return RateLease(0, free, (need - free) * interval)
        granted = min(want, free)
        self.full_at = full_at + granted * interval
        return RateLease(granted, free - granted, 0.0)

    async def return_rate(self, name: str, limit: int, per_s: float, amount: int) -> None:
        self.full_at = max(self.full_at, self.now) - amount * per_s / limit


class Cluster:
    """Nodes on one Redis, under a prefix that no other test uses."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.prefix = f"t{secrets.token_hex(8)}"
        self.stores: list[RedisLeases] = []

    def store(self) -> RedisLeases:
        self.stores.append(RedisLeases(self.url, self.prefix))
        return self.stores[-1]

    def node(self, **more: Any) -> Node:
        return Node(self.store(), **more)

    async def aclose(self) -> None:
        for store in self.stores:
            await store._redis.aclose()
