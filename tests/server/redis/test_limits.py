"""Redis as the store of leases: its scripts, nodes that start and die, and the loss of Redis."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.gateways import until
from tests.policy.nodes import Cluster, Node, budget, rate, slots, take, take_all
from tests.services import Redis, free_port, redis_server
from trunkline.policy.counters import GRANTED
from trunkline.policy.leases import BudgetLease, StoreUnavailableError
from trunkline.server.redis import limits as module
from trunkline.server.redis.limits import ALIVE_S, RedisLeases


@pytest.fixture
async def cluster(redis: Redis) -> AsyncIterator[Cluster]:
    made = Cluster(redis.url)
    yield made
    await made.aclose()


async def age_heartbeat(store: RedisLeases, of: RedisLeases, seconds: float) -> None:
    """Make a node's last heartbeat so many seconds old."""
    sent_at = (time.time() - seconds) * 1000
    await store._redis.zadd(f"{store._prefix}:nodes", {of.node: sent_at})


# The scripts


@pytest.mark.parametrize(
    ("need", "want", "granted"), [(1, 1, 1), (1, 4, 4), (1, 50, 10), (10, 10, 10), (11, 11, 11), (30, 40, 30)]
)
async def test_a_lease_of_a_rate_that_is_full(cluster: Cluster, need: int, want: int, granted: int) -> None:
    store = cluster.store()
    leased = await store.take_rate("r", 10, 1000.0, need, want)
    assert (leased.granted, leased.left, leased.wait_s) == (granted, 10 - granted, 0)


async def test_a_rate_that_has_too_little(cluster: Cluster) -> None:
    store = cluster.store()
    await store.take_rate("r", 10, 1000.0, 8, 8)
    leased = await store.take_rate("r", 10, 1000.0, 5, 9)
    assert (leased.granted, leased.left) == (0, 2)
    assert leased.wait_s == pytest.approx(300, rel=0.02)
    assert (await store.take_rate("r", 10, 1000.0, 20, 20)).granted == 0
    assert (await store.take_rate("r", 10, 1000.0, 1, 9)).granted == 2


async def test_a_rate_forgets_what_is_over(cluster: Cluster) -> None:
    store = cluster.store()
    await store.take_rate("r", 10, 100.0, 5, 5)
    ttl_ms = await store._redis.pttl(f"{cluster.prefix}:r")
    assert 45_000 < ttl_ms <= 51_000
    await store.return_rate("r", 10, 100.0, 2)
    ttl_ms = await store._redis.pttl(f"{cluster.prefix}:r")
    assert 25_000 < ttl_ms <= 31_000
    await store.return_rate("r", 10, 100.0, 100)
    assert not await store._redis.exists(f"{cluster.prefix}:r")
    await store.return_rate("r", 10, 100.0, -3)  # used beyond what was leased
    assert (await store.take_rate("r", 10, 100.0, 8, 8)).left == 7


async def test_a_budget_that_nobody_has_seeded(cluster: Cluster) -> None:
    store = cluster.store()
    assert await store.take_budget("p", 10, 1, 1, seeded=False) is None
    assert await store.settle_budget("p", 5, 5) is None
    assert await store.take_budget("p", 10, 1, 4, seeded=True) == BudgetLease(4, 0, 4)


async def test_a_budget_is_seeded_with_the_larger_sum_and_kept_past_its_period(cluster: Cluster) -> None:
    one, other = cluster.store(), cluster.store()
    ends = time.time() + 1000
    await one.seed_budget("p", 9, ends)
    await one.seed_budget("p", 30, ends)
    await other.seed_budget("p", 10, ends)
    assert await other.take_budget("p", 100, 1, 5, seeded=False) == BudgetLease(5, 30, 5)
    ttl = await one._redis.ttl(f"{cluster.prefix}:p")
    assert 86_400 < ttl <= 86_400 + 1001
    await one.seed_budget("for good", 1, math.inf)
    assert await one._redis.ttl(f"{cluster.prefix}:for good") == -1


async def test_a_claim_is_the_first_ones_past_its_period(cluster: Cluster) -> None:
    one, other = cluster.store(), cluster.store()
    assert await one.claim("c", time.time() + 1000)
    assert not await other.claim("c", time.time() + 1000)
    assert not await one.claim("c", time.time() + 1000)
    assert 86_400 < await one._redis.ttl(f"{cluster.prefix}:c") <= 86_400 + 1001
    assert await other.claim("for good", math.inf)
    assert await one._redis.ttl(f"{cluster.prefix}:for good") == -1


async def test_what_a_budget_grants_and_takes_back(cluster: Cluster) -> None:
    one, other = cluster.store(), cluster.store()
    await one.seed_budget("p", 0, math.inf)
    assert await one.take_budget("p", 100, 10, 60, seeded=False) == BudgetLease(60, 0, 60)
    assert await other.take_budget("p", 100, 41, 50, seeded=False) == BudgetLease(0, 0, 60)
    assert await other.take_budget("p", 100, 40, 50, seeded=False) == BudgetLease(40, 0, 100)
    balance = await one.settle_budget("p", 25, 60)
    assert balance is not None
    assert balance.spent == 25
    assert await other.take_budget("p", 100, 1, 100, seeded=False) == BudgetLease(35, 25, 75)
    await one.settle_budget("p", 0, 500)  # nobody can give back more than they hold
    assert await other.take_budget("p", 100, 1, 1, seeded=False) == BudgetLease(0, 25, 75)


async def test_prefixes_are_separate(cluster: Cluster, redis: Redis) -> None:
    elsewhere = Cluster(redis.url)
    try:
        for marked in (rate(5), slots(5), budget(5)):
            assert await take_all(cluster.node().make(marked)) == 5
            assert await take_all(elsewhere.node().make(marked)) == 5
    finally:
        await elsewhere.aclose()


# Nodes


@pytest.mark.parametrize("kind", [slots, budget])
async def test_the_leases_of_a_dead_node_are_free(cluster: Cluster, kind: Any) -> None:
    dying, living = cluster.node(), cluster.node()
    assert await take(dying.make(kind(100)), 60) == GRANTED
    held = living.make(kind(100))
    assert await take_all(held, 20) == 2
    dead, alive = cluster.stores
    await age_heartbeat(alive, dead, ALIVE_S - 2)
    fresh = living.make(kind(100))
    assert await take(fresh, 20) > 0
    await age_heartbeat(alive, dead, ALIVE_S + 2)
    fresh = living.make(kind(100))
    assert await take_all(fresh, 20) == 3


async def test_a_heartbeat_keeps_a_node_alive(cluster: Cluster) -> None:
    one, other = cluster.node(), cluster.node()
    assert await take_all(one.make(slots(3))) == 3
    silent, asking = cluster.stores
    await age_heartbeat(asking, silent, ALIVE_S * 10)
    await silent.send_heartbeat()
    assert await take(other.make(slots(3))) > 0


async def test_a_node_that_ends_leaves_nothing_behind(cluster: Cluster) -> None:
    ending, staying = cluster.node(), cluster.node()
    counter = ending.make(budget(1000))
    assert await take(counter) == GRANTED
    counter.settle(1, 1, 0.0)
    assert ending.sharing is not None
    store = cluster.stores[0]
    store.start(ending.sharing)
    await store.aclose(ending.sharing)
    names = await cluster.stores[1]._redis.zrange(f"{cluster.prefix}:nodes", 0, -1)
    assert names == []
    assert await take_all(staying.make(budget(1000))) == 999


async def test_a_started_store_reports_by_itself(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REPORT_S", 0.001)
    node, other = cluster.node(), cluster.node()
    counter: Any = node.make(budget(100))
    assert node.sharing is not None
    store = cluster.stores[0]
    store.start(node.sharing)
    try:
        assert await take(counter, 50) == GRANTED
        counter.settle(50, 20, 0.0)
        await until(lambda: (counter._to_report, counter._to_release) == (0, 0))
    finally:
        await store.aclose(node.sharing)
    others: Any = other.make(budget(100))
    assert await take_all(others) == 80
    assert others.spent == 20


async def test_a_bug_does_not_end_the_reports(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REPORT_S", 0.001)
    node = cluster.node()
    sharing, turns = node.sharing, 0
    assert sharing is not None

    async def sync(*, return_all: bool = False) -> None:
        nonlocal turns
        turns += 1
        if turns == 1:
            raise ValueError("a bug")

    monkeypatch.setattr(sharing, "sync", sync)
    with capture_logs() as logs:
        cluster.stores[0].start(sharing)
        await until(lambda: turns > 3)
        await cluster.stores[0].aclose(sharing)
    assert [log["event"] for log in logs] == ["limits could not be shared"]


# Redis lost


async def test_the_error_without_redis_holds_no_secrets() -> None:
    store = RedisLeases(f"redis://:top-secret@127.0.0.1:{free_port()}/0", "t")
    for command in (
        store.send_heartbeat(),
        store.take_rate("r", 1, 1.0, 1, 1),
        store.settle_budget("p", 1, 1),
    ):
        with pytest.raises(StoreUnavailableError) as caught:
            await command
        assert "top-secret" not in str(caught.value)
        assert "Error" in str(caught.value)
    await store._redis.aclose()


@pytest.mark.parametrize("closed", [True, False])
async def test_redis_goes_and_comes_back_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed: bool
) -> None:
    """What was spent is read from the ledger again, and the leases of this node count again."""
    monkeypatch.setattr(module, "REPORT_S", 0.001)
    monkeypatch.setattr(module, "RETRY_S", 0.001)
    with redis_server(tmp_path) as server:
        store = RedisLeases(server.url, "t")
        node = Node(store, fail_closed=closed, local_share=0.5)
        sharing = node.sharing
        assert sharing is not None
        counter: Any = node.make(budget(100))
        with capture_logs() as logs:
            store.start(sharing)
            try:
                assert await take(counter, 40) == GRANTED
                counter.settle(40, 40, 0.0)
                await until(lambda: counter._to_report == 0)
                server.stop()
                await until(lambda: sharing.store_unavailable)
                if closed:
                    with pytest.raises(Exception, match="Redis is away"):
                        await take(counter, 10)
                else:
                    assert await take_all(counter, 10) == 3
                    for _ in range(3):
                        counter.settle(10, 0, 0.0)
                server.start()
                node.spent_before = 40
                await until(lambda: not sharing.store_unavailable)
                assert await take_all(counter, 20) == 3
            finally:
                await store.aclose(sharing)
    events = [(log["log_level"], log["event"]) for log in logs]
    assert events == [("error", "Redis is away"), ("info", "Redis answers again")]


async def test_an_end_without_redis_is_only_a_warning(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        store = RedisLeases(server.url, "t")
        node = Node(store)
        assert await take(node.make(budget(100))) == GRANTED
    assert node.sharing is not None
    with capture_logs() as logs:
        await store.aclose(node.sharing)
    assert [(log["log_level"], log["event"]) for log in logs] == [
        ("warning", "Redis was not told that this node ends")
    ]
