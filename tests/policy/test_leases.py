"""Leases: counters in memory and counters that lease from a Redis grant the same."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.policy.nodes import Cluster, Node, RecordingStore, budget, rate, slots, take, take_all
from tests.services import Redis
from trunkline.policy.counters import GRANTED
from trunkline.policy.leases import IDLE_S, SYNC_INTERVAL_S
from trunkline.policy.rules import CounterRule

DAY = 86400.0


@pytest.fixture
async def cluster(redis: Redis) -> AsyncIterator[Cluster]:
    made = Cluster(redis.url)
    yield made
    await made.aclose()


@pytest.fixture(params=["memory", "redis"])
async def make_node(request: pytest.FixtureRequest) -> AsyncIterator[Callable[..., Node]]:
    """A function that makes a node: one that counts by itself, or one that leases."""
    if request.param == "memory":
        yield lambda **more: Node(None, **more)
        return
    made = Cluster(request.getfixturevalue("redis").url)
    yield made.node
    await made.aclose()


MakeNode = Callable[..., Node]


# The same in memory and on Redis


@pytest.mark.parametrize("limit", [1, 7, 100, 250])
async def test_a_rate_grants_its_limit(make_node: MakeNode, limit: int) -> None:
    counter = make_node().make(rate(limit))
    assert await take_all(counter) == limit
    assert await take(counter) == pytest.approx(DAY / limit, rel=0.05)
    assert counter.remaining(time.time())[0] == 0


async def test_a_rate_grants_small_amounts_after_it_refused_a_large_one(make_node: MakeNode) -> None:
    """A large take that is refused does not keep a small one from being granted."""
    counter = make_node().make(rate(100, quantity="tokens"))
    assert await take_all(counter, 30) == 3
    assert await take(counter, 30) == pytest.approx(20 * DAY / 100, rel=0.05)
    assert await take(counter, 4) == GRANTED
    assert await take(counter, 30) > 0
    assert await take_all(counter) == 6


async def test_a_full_rate_grants_more_than_its_limit(make_node: MakeNode) -> None:
    counter = make_node().make(rate(10, quantity="tokens"))
    assert await take(counter, 25) == GRANTED
    assert await take(counter, 1) > DAY
    fresh = make_node().make(CounterRule(rate(10).counter_key._replace(subject="other"), 10))
    assert await take(fresh, 1) == GRANTED
    assert 0 < await take(fresh, 25) <= DAY


async def test_what_was_granted_beyond_the_limit_is_not_granted_again(make_node: MakeNode) -> None:
    node = make_node()
    counter = node.make(rate(1000, quantity="tokens"))
    assert await take(counter, 100_000) == GRANTED
    counter.settle(100_000, 50, time.time())
    await node.sync(return_all=False)
    assert await take_all(counter, 10) == 95


async def test_a_rate_that_owes_a_huge_amount_is_no_failure(make_node: MakeNode) -> None:
    node = make_node()
    counter = node.make(rate(10, quantity="tokens"))
    assert await take(counter, 10**18) == GRANTED
    assert await take(counter) > 0
    assert node.sharing is None or not node.sharing.store_unavailable


async def test_many_requests_at_once_get_exactly_the_limit(make_node: MakeNode) -> None:
    for rule in (rate(100), budget(100), slots(100)):
        counter = make_node().make(rule)
        found = await asyncio.gather(*(take(counter) for _ in range(300)))
        assert found.count(GRANTED) == 100


@pytest.mark.parametrize(("used", "left"), [(0, 100), (10, 90), (60, 40), (75, 25)])
async def test_a_rate_is_corrected_by_what_was_used(make_node: MakeNode, used: int, left: int) -> None:
    node = make_node()
    counter = node.make(rate(100, quantity="tokens"))
    assert await take(counter, 60) == GRANTED
    counter.settle(60, used, time.time())
    await node.sync()
    assert await take_all(counter) == left


async def test_places_of_a_concurrency_limit_are_taken_and_given_back(make_node: MakeNode) -> None:
    counter = make_node().make(slots(3))
    for _ in range(5):
        assert await take_all(counter) == 3
        assert counter.remaining(time.time())[0] == 0
        for _ in range(3):
            counter.settle(1, 0, 0.0)
        assert counter.remaining(time.time())[0] == 3


@pytest.mark.parametrize("each", [1, 7, 300])
@pytest.mark.parametrize("count", [1, 12])
async def test_a_budget_for_n_requests_grants_n(make_node: MakeNode, each: int, count: int) -> None:
    node = make_node()
    counter = node.make(budget(each * count))
    assert await take_all(counter, each) == count
    for _ in range(count):
        counter.settle(each, each, 0.0)
    await node.sync()
    assert await take_all(counter) == 0
    assert counter.remaining(time.time())[0] == 0


async def test_a_budget_counts_what_was_spent_before(make_node: MakeNode) -> None:
    node = make_node()
    node.spent_before = 40
    counter = node.make(budget(100))
    assert await take_all(counter, 10) == 6
    assert node.ledger_reads == 1


async def test_a_budget_that_is_used_up_says_when_its_period_ends(make_node: MakeNode) -> None:
    node = make_node(ends=time.time() + 5000)
    counter = node.make(budget(10))
    assert await take(counter, 10) == GRANTED
    assert await take(counter, 10) <= 1.0  # the other request may give it back
    counter.settle(10, 10, 0.0)
    await node.sync()
    later = node.make(budget(10)) if node.sharing else counter
    assert 4000 < await take(later, 1) <= 5000


@pytest.mark.parametrize("seed", range(4))
async def test_a_budget_always_balances(make_node: MakeNode, seed: int) -> None:
    rng = random.Random(seed)
    node = make_node()
    counter: Any = node.make(budget(1000))
    reserved: list[int] = []
    spent = 0
    for _ in range(120):
        if rng.random() < 0.6:
            amount = rng.randint(1, 120)
            if await take(counter, amount) == GRANTED:
                reserved.append(amount)
                assert spent + sum(reserved) <= 1000
        elif reserved:
            taken = reserved.pop(rng.randrange(len(reserved)))
            used = rng.randint(0, taken)
            counter.settle(taken, used, 0.0)
            spent += used
        if rng.random() < 0.2:
            await node.sync(return_all=rng.random() < 0.5)
        assert (counter.spent, counter.reserved) == (spent, sum(reserved))
    for taken in reserved:
        counter.settle(taken, 0, 0.0)
    await node.sync()
    fresh = node.make(budget(1000)) if node.sharing else counter
    assert await take_all(fresh) == 1000 - spent


async def test_a_soft_budget_grants_everything_and_counts(make_node: MakeNode) -> None:
    node = make_node()
    node.spent_before = 5
    counter: Any = node.make(budget(10, hard=False))
    for _ in range(5):
        assert await take(counter, 30) == GRANTED
        counter.settle(30, 7, 0.0)
    assert (counter.spent, counter.reserved) == (5 + 35, 0)
    await node.sync()
    assert counter.spent == 40
    assert counter.remaining(time.time())[0] == 0


async def test_a_changed_limit_keeps_what_was_counted(make_node: MakeNode) -> None:
    for rule in (budget(10), slots(10)):
        counter = make_node().make(rule)
        assert await take(counter, 10) == GRANTED
        counter.limit = 20
        assert counter.limit == 20
        assert await take(counter, 10) == GRANTED
        assert await take(counter) > 0


# Leases


async def test_what_is_leased_is_granted_without_the_store(cluster: Cluster) -> None:
    for rule in (rate(1000), budget(1000)):
        store = RecordingStore(cluster.store())
        counter = Node(store).make(rule)
        assert await take(counter) == GRANTED
        store.calls.clear()
        for _ in range(9):
            assert counter.take(1, time.time()) == GRANTED
        assert store.calls == []
        assert await take(counter) == GRANTED
        assert len(store.calls) == 1


async def test_requests_that_wait_together_share_one_round_trip(cluster: Cluster) -> None:
    for rule in (rate(1000, quantity="tokens"), budget(1000), slots(1000)):
        store = RecordingStore(cluster.store())
        counter = Node(store).make(rule)
        await take(counter, 1)
        store.calls.clear()
        assert await asyncio.gather(*(take(counter, 1) for _ in range(300))) == [GRANTED] * 300
        assert len(store.calls) <= 2


@pytest.mark.parametrize("rule", [rate(1000), budget(1000)], ids=["rate", "budget"])
async def test_what_lies_idle_is_returned(cluster: Cluster, rule: CounterRule) -> None:
    one, other = cluster.node(), cluster.node()
    mine: Any = one.make(rule)
    theirs = other.make(rule)
    assert await take(mine) == GRANTED
    assert await take_all(theirs) == 990
    used_at = time.time()
    assert mine.take(1, used_at) == GRANTED
    await mine.sync(used_at + IDLE_S / 2, return_all=False)
    await other.sync(return_all=False)
    assert mine.take(1, used_at) == GRANTED
    await mine.sync(used_at + IDLE_S * 2, return_all=False)
    again = other.make(rule)
    assert await take_all(again) == 7


@pytest.mark.parametrize("limit", [3, 5, 100, 1000])
@pytest.mark.parametrize("kind", [rate, budget, slots])
async def test_three_nodes_grant_the_limit_together(
    cluster: Cluster, kind: Callable[[int], CounterRule], limit: int
) -> None:
    nodes = [cluster.node() for _ in range(3)]
    counters = [node.make(kind(limit)) for node in nodes]
    rng = random.Random(limit)
    found = await asyncio.gather(*(take(rng.choice(counters)) for _ in range(2 * limit)))
    granted = found.count(GRANTED)
    assert limit - 2 * max(1, limit // 100) <= granted <= limit
    for node in nodes:
        await node.sync()
    granted += await take_all(cluster.node().make(kind(limit)))
    assert granted == limit


async def test_three_nodes_spend_one_budget(cluster: Cluster) -> None:
    nodes = [cluster.node() for _ in range(3)]
    counters: list[Any] = [node.make(budget(1000)) for node in nodes]
    rng, spent = random.Random(1), 0
    for _ in range(150):
        index = rng.randrange(3)
        estimate = rng.randint(1, 40)
        if await take(counters[index], estimate) == GRANTED:
            used = rng.randint(0, estimate)
            counters[index].settle(estimate, used, 0.0)
            spent += used
        if rng.random() < 0.3:
            await nodes[index].sync(return_all=False)
        assert spent <= 1000
    assert spent > 900
    for sync_number in (1, 2):  # after the second time each node knows what all have reported
        for counter in counters:
            await counter.sync(time.time() + 2 * sync_number, return_all=True)
    assert [(counter.spent, counter.reserved) for counter in counters] == [(spent, 0)] * 3
    assert [counter.remaining(time.time())[0] for counter in counters] == [1000 - spent] * 3
    assert await take_all(cluster.node().make(budget(1000))) == 1000 - spent


@pytest.mark.parametrize(("before", "left"), [(30, 20), (0, 20), (60, 0), (35, 15)])
async def test_every_node_reads_the_ledger_once_and_the_larger_sum_counts(
    cluster: Cluster, before: int, left: int
) -> None:
    one, other = cluster.node(), cluster.node()
    one.spent_before, other.spent_before = 30, before
    assert await take(one.make(budget(100)), 50) == GRANTED
    counter = other.make(budget(100))
    assert await take(counter, left + 1) > 0
    assert await take_all(counter) == left
    assert (one.ledger_reads, other.ledger_reads) == (1, 1)


@pytest.mark.parametrize(("ledger", "left"), [(30, 70), (90, 10), (0, 70), (200, 0)])
@pytest.mark.parametrize("hard", [True, False])
async def test_a_shared_budget_that_is_configured_again_reads_what_was_spent_meanwhile(
    cluster: Cluster, ledger: int, left: int, hard: bool
) -> None:
    node = cluster.node()
    counter: Any = node.make(budget(100, hard=hard))
    assert await take(counter, 30) == GRANTED
    counter.settle(30, 30, time.time())
    await counter.sync(time.time(), return_all=False)
    counter.invalidate()
    await counter.sync(time.time() + SYNC_INTERVAL_S * 2, return_all=False)  # reading the store is not enough
    node.spent_before = ledger
    found = await take(counter, left + 1)
    assert (found == GRANTED) is not hard
    assert counter.spent == max(30, ledger)
    assert node.ledger_reads == 2


async def test_each_node_makes_both_warnings_of_a_shared_budget_due(cluster: Cluster) -> None:
    """A node cannot know whether another has warned of a threshold that was reached before it began."""
    node = cluster.node()
    node.spent_before = 95
    rule = budget(100, hard=False)
    counter: Any = node.make(rule)
    counter.set_rule(rule, 0.8)
    assert await take(counter) == GRANTED
    assert counter.warning_due_at == 80
    assert counter.advance_warning() == rule
    assert counter.warning_due_at == 100
    counter.set_rule(rule, 0.8)
    assert counter.warning_due_at == 100


async def test_concurrency_limits_need_no_ledger(cluster: Cluster) -> None:
    node = cluster.node()
    assert await take_all(node.make(slots(3))) == 3
    assert node.ledger_reads == 0


async def test_a_soft_budget_counts_what_the_ledger_does_not_have_yet(cluster: Cluster) -> None:
    """A request is written to the ledger later than to Redis."""
    node = cluster.node()
    counter = node.make(budget(10, hard=False))
    assert await take(counter, 5) == GRANTED
    counter.settle(5, 4, 0.0)
    await node.sync()
    other: Any = cluster.node().make(budget(10, hard=False))
    await take(other)
    assert other.spent == 4


async def test_a_small_rate_keeps_one_of_what_it_gets_back(cluster: Cluster) -> None:
    one, other = cluster.node(), cluster.node()
    counter = one.make(rate(100, quantity="tokens"))
    assert await take(counter, 60) == GRANTED
    counter.settle(60, 0, time.time())
    await one.sync(return_all=False)
    assert await take_all(other.make(rate(100, quantity="tokens"))) == 99


async def test_a_warning_is_due_at_its_threshold(cluster: Cluster) -> None:
    rule = budget(100)
    counter: Any = cluster.node().make(rule)
    counter.set_rule(rule, 0.5)
    assert [await take(counter, 25) for _ in range(4)] == [GRANTED] * 4
    assert [counter.settle(25, 25, 0.0) for _ in range(2)] == [False, True]
    counter.advance_warning()
    assert [counter.settle(25, 25, 0.0) for _ in range(2)] == [False, True]


async def test_what_is_left_of_a_shared_budget_and_for_how_long(cluster: Cluster) -> None:
    counter: Any = cluster.node(ends=5000.0).make(budget(100))
    assert await take(counter, 30) == GRANTED
    assert counter.remaining(4000.0) == (70, 1000.0)
    assert counter.remaining(6000.0) == (70, 0.0)


async def test_one_node_is_the_first_to_claim_a_name(cluster: Cluster) -> None:
    store = RecordingStore(cluster.store())
    one, other = Node(store).sharing, cluster.node().sharing
    assert one is not None
    assert other is not None
    ends = time.time() + 60.0
    claims = [await each.is_first(name, ends) for name in ("a", "b") for each in (one, other)]
    assert claims == [True, False, True, False]
    store.unavailable = True
    assert await one.is_first("a", ends)  # rather two warnings than none


async def test_what_is_left_of_a_shared_rate(cluster: Cluster) -> None:
    counter: Any = cluster.node().make(rate(1000))
    assert counter.remaining(time.time()) == (1000, 0.0)
    assert await take(counter) == GRANTED
    assert counter.remaining(time.time())[0] == 999  # nine are leased here and not granted
    assert counter.take(4, time.time()) == GRANTED
    assert counter.remaining(time.time())[0] == 995


async def test_a_budget_keeps_a_slice_of_what_it_gets_back(cluster: Cluster) -> None:
    store = RecordingStore(cluster.store())
    node = Node(store)
    counter = node.make(budget(1000))
    assert await take(counter, 10) == GRANTED
    counter.settle(10, 0, 0.0)
    await node.sync(return_all=False)
    store.calls.clear()
    assert await take(counter, 10) == GRANTED
    assert store.calls == []
