"""Leases while the store is unavailable and afterwards, finished counters, and refunds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.policy.nodes import (
    Cluster,
    FakeRateStore,
    Node,
    RecordingStore,
    budget,
    rate,
    slots,
    take,
    take_all,
)
from tests.services import Redis
from trunkline.errors import LIMITS_AWAY, CallerError, GatewayError
from trunkline.policy.counters import GRANTED, NEEDS_REFILL, Counter
from trunkline.policy.leases import LeasedCounters, SharedBudgetCounter
from trunkline.policy.rules import MINUTE, CounterRule

SLACK = 3
"""A token for each of at most three nodes: for what lies idle there, and fractions of a token."""
SHARED = rate(60, "minute", "tokens")


@pytest.fixture
async def cluster(redis: Redis) -> AsyncIterator[Cluster]:
    made = Cluster(redis.url)
    yield made
    await made.aclose()


# While the store is unavailable


async def make_recorded(cluster: Cluster, **more: Any) -> tuple[RecordingStore, Node]:
    store = RecordingStore(cluster.store())
    return store, Node(store, **more)


@pytest.mark.parametrize("rule", [rate(1000), budget(1000), slots(10)], ids=["rate", "budget", "slots"])
async def test_counters_that_fail_closed_refuse_without_the_store(
    cluster: Cluster, rule: CounterRule
) -> None:
    store, node = await make_recorded(cluster, fail_closed=True)
    counter = node.make(rule)
    assert await take(counter) == GRANTED
    store.unavailable = True
    for _ in range(0 if rule.counter_key.quantity == "slots" else 9):  # what was leased before
        assert await take(counter) == GRANTED
    with pytest.raises(CallerError, match="Redis is away") as caught:
        await take(counter)
    error = caught.value
    assert (error.kind, error.status, error.retry_after, error.advice) == (LIMITS_AWAY, 503, 1.0, "true")
    store.unavailable = False
    assert node.sharing is not None
    node.sharing.store_unavailable = False
    assert await take(counter) == GRANTED


@pytest.mark.parametrize(
    ("rule", "share", "granted"),
    [
        (rate(1000), 0.1, 100),
        (rate(5), 0.1, 1),
        (budget(1000), 0.1, 100),
        (budget(5), 0.1, 0),
        (budget(5, hard=False), 0.1, 50),
        (slots(10), 0.5, 5),
        (slots(3), 0.1, 1),
    ],
)
async def test_a_local_share_is_granted_without_the_store(
    cluster: Cluster, rule: CounterRule, share: float, granted: int
) -> None:
    store, node = await make_recorded(cluster, local_share=share)
    counter = node.make(rule)
    store.unavailable = True
    found = [await take(counter) for _ in range(200 if granted > 50 else 50)]
    assert found.count(GRANTED) == granted
    assert node.sharing is not None
    assert node.sharing.store_unavailable


async def test_the_local_share_of_a_changed_limit(cluster: Cluster) -> None:
    store, node = await make_recorded(cluster, local_share=0.1)
    counter = node.make(rate(1000))
    counter.limit = 200
    store.unavailable = True
    assert await take_all(counter) == 20
    assert counter.remaining(time.time())[0] == 0


async def test_the_local_share_of_a_budget_is_of_what_was_left(cluster: Cluster) -> None:
    store, node = await make_recorded(cluster, local_share=0.5)
    counter = node.make(budget(100))
    assert await take(counter, 60) == GRANTED
    counter.settle(60, 60, 0.0)
    await node.sync()
    store.unavailable = True
    assert await take_all(counter) == 20


async def test_what_was_spent_without_the_store_counts_in_the_local_share(cluster: Cluster) -> None:
    store, node = await make_recorded(cluster, local_share=0.5)
    counter: Any = node.make(budget(100))
    assert await take(counter, 1) == GRANTED
    counter.settle(1, 0, 0.0)
    await node.sync()
    store.unavailable = True
    granted = 0
    while await take(counter, 5) == GRANTED:
        counter.settle(5, 5, 0.0)
        granted += 5
    assert granted == 35  # when 30 were spent, the share was half of the other 70


async def test_the_local_share_of_a_rate_gets_back_what_was_not_used(cluster: Cluster) -> None:
    store, node = await make_recorded(cluster, local_share=0.5)
    counter: Any = node.make(rate(200, "minute", "tokens"))
    store.unavailable = True
    assert await take(counter, 1) == GRANTED
    now = time.time()
    assert counter.take(60, now) == GRANTED
    first = counter.take_number
    counter.settle(60, 10, now, first)
    assert counter.take(80, now) == GRANTED
    assert counter.take(15, now) > 0
    assert first < 0
    later = now + MINUTE  # time has refilled all of it
    assert counter.take(100, later) == GRANTED
    counter.settle(10, 0, later, first)  # nothing is due of a take from before
    assert counter.take(5, later) > 0


async def test_what_was_spent_without_the_store_is_reported_afterwards(cluster: Cluster) -> None:
    store, node = await make_recorded(cluster, local_share=0.5)
    counter: Any = node.make(budget(100))
    assert await take(counter, 10) == GRANTED
    store.unavailable = True
    assert await take(counter, 20) == GRANTED
    counter.settle(20, 15, 0.0)
    counter.settle(10, 10, 0.0)
    with pytest.raises(Exception, match="lost"):
        await node.sync()
    assert (counter.spent, counter.reserved) == (25, 0)
    store.unavailable = False
    assert node.sharing is not None
    node.sharing.store_unavailable = False
    await node.sync()
    other: Any = cluster.node().make(budget(100))
    assert await take_all(other) == 75
    assert other.spent == 25


async def test_what_a_rate_owes_is_reported_afterwards(cluster: Cluster) -> None:
    store, node = await make_recorded(cluster)
    counter = node.make(rate(100, quantity="tokens"))
    assert await take(counter, 10) == GRANTED
    counter.settle(10, 40, 0.0)
    store.unavailable = True
    with pytest.raises(Exception, match="lost"):
        await node.sync()
    store.unavailable = False
    await node.sync()
    assert await take_all(cluster.node().make(rate(100, quantity="tokens"))) == 60


async def test_a_store_that_has_lost_a_budget_is_seeded_from_the_ledger(cluster: Cluster) -> None:
    node = cluster.node()
    counter: Any = node.make(budget(100))
    assert await take(counter, 30) == GRANTED
    counter.settle(30, 30, 0.0)
    await node.sync()
    assert counter.spent == 30
    await cluster.stores[0]._redis.delete(f"{cluster.prefix}:{counter._name}")
    node.spent_before = 30
    await counter.sync(time.time() + 2, return_all=True)
    other: Any = cluster.node().make(budget(100))
    assert await take_all(other) == 70


async def test_without_the_ledger_all_waiting_requests_fail(cluster: Cluster) -> None:
    node = cluster.node()
    away = True

    async def spent(rule: CounterRule, since: int) -> int:
        if away:
            raise GatewayError("the database is away", LIMITS_AWAY)
        return 0

    assert node.sharing is not None
    node.sharing.read_spent = spent
    counter: Counter = node.make(budget(10))
    found = await asyncio.gather(*(take(counter) for _ in range(3)), return_exceptions=True)
    assert [str(each) for each in found] == ["the database is away"] * 3
    away = False
    assert await take_all(counter) == 10


# Finished counters


async def test_a_budget_is_removed_when_its_period_is_over_and_all_is_reported(cluster: Cluster) -> None:
    node = cluster.node(ends=time.time() - 10)
    assert node.sharing is not None
    counter = node.make(budget(100))
    assert isinstance(counter, SharedBudgetCounter)
    keeps = node.make(rate(5))
    assert await take(counter, 5) == GRANTED
    await node.sync()
    assert node.sharing._counters == [counter, keeps]
    counter.settle(5, 5, 0.0)
    await node.sync()
    assert node.sharing._counters == [keeps]


# Refunds


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 40), st.integers(1, 60), st.integers(0, 6), st.integers(0, 99)),
        max_size=40,
    ),
    nodes=st.integers(1, 3),
)
def test_no_window_grants_more_than_the_limit_after_refunds(
    steps: list[tuple[int, int, int, int]], nodes: int
) -> None:
    """Each step is a pause, an amount to take, the maximum number of running requests, and a number that
    chooses the node, which requests end, and what share of their amounts they used."""
    store: Any = FakeRateStore()
    granted: list[list[float]] = []

    async def run_requests() -> None:
        counters: list[Any] = [
            LeasedCounters(store, lambda *_: (0, 0.0), nothing_spent).make_counter(SHARED, 0.0)
            for _ in range(nodes)
        ]
        running = []
        for number, (pause, amount, max_running, chosen) in enumerate(steps):
            store.now += pause
            for counter in counters if pause else ():
                await counter.sync(store.now, return_all=False)
            counter = counters[(number + chosen) % nodes]
            while (wait := counter.take(amount, store.now)) == NEEDS_REFILL:
                await counter.refill(amount)
            if wait == GRANTED:
                granted.append([store.now, amount])
                running.append((counter, granted[-1], amount, counter.take_number))
            while len(running) > max_running:
                counter, entry, taken, take_number = running.pop(chosen % len(running))
                entry[1] = taken * (chosen % 10) // 10
                counter.settle(taken, entry[1], store.now, take_number)
            if chosen % 3:
                for counter in counters:
                    await counter.sync(store.now, return_all=chosen % 3 == 1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: store.now)
        asyncio.run(run_requests())
    for first, (began, _) in enumerate(granted):
        total = 0.0
        for ended, amount in granted[first:]:
            total += amount
            assert total <= 60 * (1 + (ended - began) / MINUTE) + SLACK


async def nothing_spent(rule: CounterRule, since: int) -> int:
    return 0
