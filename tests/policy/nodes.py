"""Nodes that count limits and budgets, each by itself or together on a Redis."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable
from typing import Any

from trunkline.policy.counters import GRANTED, NEEDS_REFILL, Counter
from trunkline.policy.guard import Guard
from trunkline.policy.leases import AwayError, Balance, Lease, LeasedCounters, LeaseStore
from trunkline.policy.prices import PriceBook
from trunkline.policy.rules import BudgetRule, CounterKey, CounterRule
from trunkline.server.redis.limits import RedisLeases


def rate(limit: int, per: str = "day", what: Any = "requests") -> CounterRule:
    return CounterRule(CounterKey("key", "k", what, per), limit)


def slots(limit: int) -> CounterRule:
    return CounterRule(CounterKey("key", "k", "slots", ""), limit)


def budget(limit: int, *, hard: bool = True) -> CounterRule:
    rule = BudgetRule("key", "*", "tokens", limit, "day", hard=hard)
    return CounterRule(CounterKey("key", "k", "used", "day"), limit, rule)


class Node:
    """One node. ``before`` is what its ledger says was spent before; periods end at ``ends``."""

    def __init__(self, store: LeaseStore | None = None, *, ends: float = math.inf, **more: Any) -> None:
        self.before = 0
        self.looks = 0
        """How often the ledger was asked."""
        self.sharing: LeasedCounters | None = None
        make: Callable[[CounterRule, float], Counter]
        if store is None:
            guard = Guard(
                PriceBook({}, lambda *_: None), spent=self._spent, period=lambda per, now: (0, ends)
            )
            make = guard.make_local
        else:
            self.sharing = LeasedCounters(store, lambda per, now: (0, ends), self._spent, **more)
            make = self.sharing.make
        self._make = make

    async def _spent(self, rule: Any, since: int) -> int:
        self.looks += 1
        return self.before

    def make(self, rule: CounterRule) -> Counter:
        return self._make(rule, time.time())

    async def tidy(self, *, all_of_it: bool = True) -> None:
        """Report and give back, if there is anybody to share with."""
        if self.sharing is not None:
            await self.sharing.tidy(all_of_it=all_of_it)


async def take(counter: Counter, amount: int = 1) -> float:
    """As the guard does: asks until the meter knows."""
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
    raise AssertionError("it never ends")


class Watched:
    """A store whose calls are counted, and that can be lost without any server's dying."""

    def __init__(self, store: LeaseStore) -> None:
        self._store = store
        self.calls: list[str] = []
        self.lost = False

    def _note(self, call: str) -> None:
        if self.lost:
            raise AwayError("lost")
        self.calls.append(call)

    async def take_rate(self, name: str, limit: int, per_s: float, need: int, want: int) -> Lease:
        self._note("take_rate")
        return await self._store.take_rate(name, limit, per_s, need, want)

    async def give_rate(self, name: str, limit: int, per_s: float, amount: int) -> None:
        self._note("give_rate")
        await self._store.give_rate(name, limit, per_s, amount)

    async def take_purse(
        self, name: str, limit: int, need: int, want: int, *, seeded: bool
    ) -> Balance | None:
        self._note("take_purse")
        return await self._store.take_purse(name, limit, need, want, seeded=seeded)

    async def seed_purse(self, name: str, spent: int, ends: float) -> None:
        self._note("seed_purse")
        await self._store.seed_purse(name, spent, ends)

    async def settle_purse(self, name: str, spent: int, released: int) -> Balance | None:
        self._note("settle_purse")
        return await self._store.settle_purse(name, spent, released)

    async def claim(self, name: str, ends: float) -> bool:
        self._note("claim")
        return await self._store.claim(name, ends)


class Bucket:
    """A store of one rate that grants as Redis does, by the clock of a test."""

    def __init__(self) -> None:
        self.now = 0.0
        self.full_at = 0.0

    async def take_rate(self, name: str, limit: int, per_s: float, need: int, want: int) -> Lease:
        full_at, interval = max(self.full_at, self.now), per_s / limit
        free = math.floor((per_s - (full_at - self.now)) / interval + 1e-6)
        if free < need:
            return Lease(0, free, (need - free) * interval)
        granted = min(want, free)
        self.full_at = full_at + granted * interval
        return Lease(granted, free - granted, 0.0)

    async def give_rate(self, name: str, limit: int, per_s: float, amount: int) -> None:
        self.full_at = max(self.full_at, self.now) - amount * per_s / limit


class Cluster:
    """Nodes on one Redis, under a prefix that nobody else has."""

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
