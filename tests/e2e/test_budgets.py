"""Budgets and limits that must be exact: many requests at once, one node and three, streams that are cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.gateways import BEARER, Running, chat, make_settings, post, serving, until, upstream
from tests.services import Redis
from trunkline.ledger.store import Store
from trunkline.ledger.usage import sum_usage
from trunkline.ledger.writer import Ledger
from trunkline.policy.estimates import AVERAGE_BYTES_PER_TOKEN, estimate_prompt_tokens
from trunkline.settings.sections import BudgetRule, LimitRule, Price
from trunkline_mock import Fault, MockUpstream, Script
from trunkline_mock.script import Usage

PRICES = {"up/*": Price(input=3.0, output=7.0)}
ANSWER = 20
"""Tokens of an answer."""
BODY = msgspec.json.encode(chat("gpt-4o", "Tell me something", max_tokens=ANSWER))
RESERVED = estimate_prompt_tokens(BODY) * 3 + ANSWER * 7
"""Micros that a request reserves."""


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


async def gateways(
    stack: AsyncExitStack, folder: Path, mock: MockUpstream, count: int = 1, **more: Any
) -> list[Running]:
    """Gateways that share a database (and whatever ``more`` says they share)."""
    url = f"sqlite:///{folder}/trunkline.db"
    Store(url).close()
    found = []
    for number in range(count):
        settings = make_settings(
            providers={"up": upstream(mock, local=False)}, prices=PRICES, database_url=url, **more
        )
        ledger = Ledger(url, folder / f"ledger-{number}")
        found.append(await stack.enter_async_context(serving(settings, ledger=ledger)))
    return found


async def ask_all(nodes: Sequence[Running], count: int, body: bytes = BODY) -> list[int]:
    """The statuses of ``count`` requests at once, spread over the nodes, each on a connection of its own."""
    request = post(body, BEARER)
    answers = await asyncio.gather(*(nodes[n % len(nodes)].ask(request) for n in range(count)))
    return [answer.status for answer in answers]


def expected(mock: MockUpstream) -> int:
    """Micros, by the upstream's own count of tokens."""
    return sum(each.prompt * 3 + each.completion * 7 for each in mock.tokens)


async def in_ledger(folder: Path, requests: int) -> int:
    """Micros in the database, once that many requests are there."""
    store = Store(f"sqlite:///{folder}/trunkline.db")
    try:
        await until(lambda: sum(row["requests"] for row in sum_usage(store)) == requests)
        (row,) = sum_usage(store)
        micros: int = round(row["cost_usd"] * 1_000_000)
        return micros
    finally:
        store.close()


def full() -> Script:
    """An answer that costs just what was reserved for it."""
    words = tuple("word " for _ in range(ANSWER))
    return Script(text=words, usage=Usage(prompt=estimate_prompt_tokens(BODY), completion=ANSWER))


def spent_at(running: Running) -> tuple[int, int]:
    """Spent and reserved."""
    (spending,) = running.gateway.guard.spendings()
    return spending.spent, spending.reserved


async def test_a_budget_that_admits_fifty_of_two_hundred_at_once(
    stack: AsyncExitStack, tmp_path: Path
) -> None:
    mock = await stack.enter_async_context(MockUpstream(script=full()))
    budget = BudgetRule(key="*", usd=RESERVED * 50 / 1_000_000, per="total")
    (node,) = nodes = await gateways(stack, tmp_path, mock, budgets=(budget,))
    statuses = await ask_all(nodes, 200)
    assert (statuses.count(200), statuses.count(429)) == (50, 150)
    assert spent_at(node) == (expected(mock), 0)
    assert expected(mock) == RESERVED * 50
    assert await in_ledger(tmp_path, 200) == expected(mock)


async def test_three_nodes_share_a_budget(stack: AsyncExitStack, tmp_path: Path, redis: Redis) -> None:
    mock = await stack.enter_async_context(MockUpstream(script=full()))
    budget = BudgetRule(key="*", usd=RESERVED * 50 / 1_000_000, per="total")
    shared = {"redis_url": redis.url, "redis_prefix": tmp_path.name, "budgets": (budget,)}
    nodes = await gateways(stack, tmp_path, mock, 3, **shared)
    statuses = await ask_all(nodes, 200)
    assert 45 <= statuses.count(200) <= 50
    assert set(statuses) == {200, 429}
    assert await in_ledger(tmp_path, 200) == expected(mock)
    await until(
        lambda: {spent_at(node) for node in nodes if node.gateway.guard.spendings()} == {(expected(mock), 0)}
    )


async def test_what_is_not_used_is_given_back(stack: AsyncExitStack, tmp_path: Path) -> None:
    mock = await stack.enter_async_context(MockUpstream(script=Script(text="one")))
    budget = BudgetRule(key="*", usd=RESERVED * 2 / 1_000_000, per="total")
    (node,) = nodes = await gateways(stack, tmp_path, mock, budgets=(budget,))
    for _ in range(5):
        assert await ask_all(nodes, 1) == [200]
    assert spent_at(node) == (expected(mock), 0)


@pytest.mark.parametrize("count", [1, 3])
async def test_streams_that_are_cut_are_settled(
    stack: AsyncExitStack, tmp_path: Path, redis: Redis, count: int
) -> None:
    """By their clients, and by their upstream: what was said until then is what is paid."""
    body = msgspec.json.encode(chat("gpt-4o", "Tell me something", max_tokens=ANSWER, stream=True))
    prompt = estimate_prompt_tokens(body, AVERAGE_BYTES_PER_TOKEN)
    words = tuple("word " for _ in range(ANSWER))
    usage = Usage(prompt=prompt)
    mock = await stack.enter_async_context(MockUpstream(script=Script(text=words, usage=usage)))
    more: dict[str, Any] = {"budgets": (BudgetRule(usd=10, per="day"),)}
    if count > 1:
        more |= {"redis_url": redis.url, "redis_prefix": tmp_path.name}
    nodes = await gateways(stack, tmp_path, mock, count, **more)
    assert await ask_all(nodes, 10, body) == [200] * 10
    mock.script = Script(text=words, usage=usage, fault=Fault("close_after", after=7))
    assert await ask_all(nodes, 10, body) == [200] * 10
    mock.script = Script(text=words, usage=usage, fault=Fault("stall_after", after=5))
    for number in range(10):
        wire = await nodes[number % count].connect()
        wire.send(post(body, BEARER))
        seen = b""
        while seen.count(b"word") < 5:
            seen += await wire.reader.read(4096)
        await wire.close()
    assert await in_ledger(tmp_path, 30) == expected(mock)
    assert expected(mock) == 30 * prompt * 3 + 10 * (20 + 7 + 5) * 7
    await until(lambda: all(spent_at(node)[1] == 0 for node in nodes))
    await until(lambda: all(spent_at(node)[0] == expected(mock) for node in nodes))


@pytest.mark.parametrize("count", [1, 3])
async def test_a_limit_of_a_hundred_a_minute(
    stack: AsyncExitStack, tmp_path: Path, redis: Redis, count: int
) -> None:
    mock = await stack.enter_async_context(MockUpstream())
    more: dict[str, Any] = {"limits": (LimitRule(key="*", requests_per_minute=100),)}
    if count > 1:
        more |= {"redis_url": redis.url, "redis_prefix": tmp_path.name}
    nodes = await gateways(stack, tmp_path, mock, count, **more)
    began = asyncio.get_running_loop().time()
    statuses: list[int] = []
    for _ in range(5):
        statuses += await ask_all(nodes, 200)
    elapsed = asyncio.get_running_loop().time() - began
    assert set(statuses) == {200, 429}
    assert (100 if count == 1 else 95) <= statuses.count(200) <= 100 + elapsed * 100 / 60 + 1


@pytest.mark.parametrize("closed", [True, False])
async def test_redis_that_is_lost(stack: AsyncExitStack, tmp_path: Path, closed: bool) -> None:
    """Closed: what is limited is refused. Else each node grants its share."""
    from tests.services import redis_server

    folder = tmp_path / "redis"
    folder.mkdir()
    own = stack.enter_context(redis_server(folder))
    mock = await stack.enter_async_context(MockUpstream())
    limit = LimitRule(key="*", requests_per_day=1000)
    loss = "closed" if closed else "local"
    (node,) = nodes = await gateways(
        stack, tmp_path, mock, limits=(limit,), redis_url=own.url, redis_loss=loss, redis_local_share=0.02
    )
    assert await ask_all(nodes, 1) == [200]
    own.stop()
    shared = node.gateway._shared
    assert shared is not None
    await until(lambda: shared.counters.store_unavailable)
    statuses = await ask_all(nodes, 60)
    if closed:
        assert statuses.count(503) >= 50  # what was leased before may still be used
        assert set(statuses) <= {200, 503}
    else:
        assert 20 <= statuses.count(200) <= 20 + 10
        assert set(statuses) == {200, 429}
    own.start()
    await until(lambda: not shared.counters.store_unavailable)
    assert await ask_all(nodes, 30) == [200] * 30
