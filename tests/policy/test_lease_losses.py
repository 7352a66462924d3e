"""Leases while Redis is away and after it, of periods that are over, and what refunds come to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.policy.nodes import Bucket, Cluster, Node, Watched, budget, rate, slots, take, take_all
from tests.services import Redis
from trunkline.errors import LIMITS_AWAY, CallerError, GatewayError
from trunkline.policy.counters import GRANTED, NEEDS_REFILL, Counter
from trunkline.policy.leases import LeasedCounters, SharedBudgetCounter
from trunkline.policy.rules import MINUTE, CounterRule

SLACK = 3
"""A token for each node: those that lie idle there, and parts of one."""
SHARED = rate(60, "minute", "tokens")


@pytest.fixture
async def cluster(redis: Redis) -> AsyncIterator[Cluster]:
    made = Cluster(redis.url)
    yield made
    await made.aclose()


# While the store is away


async def lost(cluster: Cluster, **more: Any) -> tuple[Watched, Node]:
    store = Watched(cluster.store())
    return store, Node(store, **more)


@pytest.mark.parametrize("rule", [rate(1000), budget(1000), slots(10)], ids=["rate", "purse", "slots"])
async def test_closed_while_it_is_away(cluster: Cluster, rule: CounterRule) -> None:
    store, node = await lost(cluster, closed=True)
    counter = node.make(rule)
    assert await take(counter) == GRANTED
    store.lost = True
    for _ in range(0 if rule.counter_key.what == "slots" else 9):  # what was leased before
        assert await take(counter) == GRANTED
    with pytest.raises(CallerError, match="Redis is away") as caught:
        await take(counter)
    error = caught.value
    assert (error.kind, error.status, error.retry_after, error.advice) == (LIMITS_AWAY, 503, 1.0, "true")
    store.lost = False
    assert node.sharing is not None
    node.sharing.away = False
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
async def test_a_share_while_it_is_away(
    cluster: Cluster, rule: CounterRule, share: float, granted: int
) -> None:
    store, node = await lost(cluster, local_share=share)
    counter = node.make(rule)
    store.lost = True
    found = [await take(counter) for _ in range(200 if granted > 50 else 50)]
    assert found.count(GRANTED) == granted
    assert node.sharing is not None
    assert node.sharing.away


async def test_a_share_of_a_limit_that_is_set_anew(cluster: Cluster) -> None:
    store, node = await lost(cluster, local_share=0.1)
    counter = node.make(rate(1000))
    counter.limit = 200
    store.lost = True
    assert await take_all(counter) == 20
    assert counter.left(time.time())[0] == 0


async def test_a_share_is_of_what_was_left(cluster: Cluster) -> None:
    store, node = await lost(cluster, local_share=0.5)
    counter = node.make(budget(100))
    assert await take(counter, 60) == GRANTED
    counter.settle(60, 60, 0.0)
    await node.tidy()
    store.lost = True
    assert await take_all(counter) == 20


async def test_what_was_spent_meanwhile_is_reported_afterwards(cluster: Cluster) -> None:
    store, node = await lost(cluster, local_share=0.5)
    counter: Any = node.make(budget(100))
    assert await take(counter, 10) == GRANTED
    store.lost = True
    assert await take(counter, 20) == GRANTED
    counter.settle(20, 15, 0.0)
    counter.settle(10, 10, 0.0)
    with pytest.raises(Exception, match="lost"):
        await node.tidy()
    assert (counter.spent, counter.reserved) == (25, 0)
    store.lost = False
    assert node.sharing is not None
    node.sharing.away = False
    await node.tidy()
    other: Any = cluster.node().make(budget(100))
    assert await take_all(other) == 75
    assert other.spent == 25


async def test_what_a_rate_owes_is_paid_afterwards(cluster: Cluster) -> None:
    store, node = await lost(cluster)
    counter = node.make(rate(100, what="tokens"))
    assert await take(counter, 10) == GRANTED
    counter.settle(10, 40, 0.0)
    store.lost = True
    with pytest.raises(Exception, match="lost"):
        await node.tidy()
    store.lost = False
    await node.tidy()
    assert await take_all(cluster.node().make(rate(100, what="tokens"))) == 60


async def test_a_store_that_has_forgotten_is_told_by_the_ledger(cluster: Cluster) -> None:
    node = cluster.node()
    counter: Any = node.make(budget(100))
    assert await take(counter, 30) == GRANTED
    counter.settle(30, 30, 0.0)
    await node.tidy()
    assert counter.spent == 30
    await cluster.stores[0]._redis.delete(f"{cluster.prefix}:{counter._name}")
    node.before = 30
    await counter.tidy(time.time() + 2, all_of_it=True)
    other: Any = cluster.node().make(budget(100))
    assert await take_all(other) == 70


async def test_a_ledger_that_is_away_is_an_error_for_all_who_wait(cluster: Cluster) -> None:
    node = cluster.node()
    away = True

    async def spent(rule: CounterRule, since: int) -> int:
        if away:
            raise GatewayError("the database is away", LIMITS_AWAY)
        return 0

    assert node.sharing is not None
    node.sharing.spent = spent
    counter: Counter = node.make(budget(10))
    found = await asyncio.gather(*(take(counter) for _ in range(3)), return_exceptions=True)
    assert [str(each) for each in found] == ["the database is away"] * 3
    away = False
    assert await take_all(counter) == 10


# Meters that are not needed any more


async def test_a_purse_goes_when_its_period_is_over_and_all_is_reported(cluster: Cluster) -> None:
    node = cluster.node(ends=time.time() - 10)
    assert node.sharing is not None
    counter = node.make(budget(100))
    assert isinstance(counter, SharedBudgetCounter)
    keeps = node.make(rate(5))
    assert await take(counter, 5) == GRANTED
    await node.tidy()
    assert node.sharing._meters == [counter, keeps]
    counter.settle(5, 5, 0.0)
    await node.tidy()
    assert node.sharing._meters == [keeps]


# Refunds


@given(
    asked=st.lists(
        st.tuples(st.integers(0, 40), st.integers(1, 60), st.integers(0, 6), st.integers(0, 99)),
        max_size=40,
    ),
    nodes=st.integers(1, 3),
)
def test_no_window_gives_more_than_the_limit_after_refunds(
    asked: list[tuple[int, int, int, int]], nodes: int
) -> None:
    """Each is a pause, how much is taken, the most that may be under way, and who ends, and how."""
    bucket: Any = Bucket()
    kept: list[list[float]] = []

    async def play() -> None:
        counters: list[Any] = [
            LeasedCounters(bucket, lambda *_: (0, 0.0), nothing_spent).make(SHARED, 0.0) for _ in range(nodes)
        ]
        running = []
        for turn, (pause, amount, most, chosen) in enumerate(asked):
            bucket.now += pause
            for counter in counters if pause else ():
                await counter.tidy(bucket.now, all_of_it=False)
            counter = counters[(turn + chosen) % nodes]
            while (wait := counter.take(amount, bucket.now)) == NEEDS_REFILL:
                await counter.refill(amount)
            if wait == GRANTED:
                kept.append([bucket.now, amount])
                running.append((counter, kept[-1], amount, counter.turn))
            while len(running) > most:
                counter, entry, taken, its_turn = running.pop(chosen % len(running))
                entry[1] = taken * (chosen % 10) // 10
                counter.settle(taken, entry[1], bucket.now, its_turn)
            if chosen % 3:
                for counter in counters:
                    await counter.tidy(bucket.now, all_of_it=chosen % 3 == 1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: bucket.now)
        asyncio.run(play())
    for first, (began, _) in enumerate(kept):
        total = 0.0
        for ended, amount in kept[first:]:
            total += amount
            assert total <= 60 * (1 + (ended - began) / MINUTE) + SLACK


async def nothing_spent(rule: CounterRule, since: int) -> int:
    return 0
