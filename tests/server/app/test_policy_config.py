"""Rules and prices from settings and store, spending before the start, warnings, refusals on the wire."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from tests.gateways import BEARER, GUARD, chat, make_settings, post, until, upstream
from tests.policy.nodes import Cluster
from tests.routing.fakes import Fake, make_catalog
from tests.server.conftest import Serve
from tests.services import Redis
from trunkline.errors import LIMITS_AWAY, GatewayError
from trunkline.ledger.policies import Policies, StoredBudget, StoredLimit
from trunkline.ledger.usage_rows import RowIds, UsageRow
from trunkline.ledger.usage_store import UsageStore
from trunkline.policy.auth import KeyRing, configured_id
from trunkline.policy.guard import Spending
from trunkline.policy.leases import LeasedCounters
from trunkline.policy.prices import FREE
from trunkline.policy.rules import Budget, Caller, CounterKey, CounterRule, Rulebook
from trunkline.providers.base import ModelInfo, Upstream
from trunkline.server.app import policy_config
from trunkline.server.app.policy_config import BudgetWarnings, SpendingReader, period, price_book, rulebook
from trunkline.server.redis.limits import RedisLeases
from trunkline.settings import sections
from trunkline_mock import MockUpstream, Script

SECRET = "key-of-the-settings"
ANNA = Caller("1", "anna", "t", "team")


def amounts(book: Rulebook, caller: Caller = ANNA, model: str = "m") -> dict[str, int]:
    return {marked.counter_key.text: marked.amount for marked in book.rules_for(caller, [model])}


# Rules and prices from settings and store


@pytest.mark.parametrize(
    ("limit", "found"),
    [
        ({"requests_per_minute": 3}, {"all:requests:minute": 3}),
        ({"key": "anna", "requests_per_day": 4}, {"key:1:requests:day": 4}),
        ({"key": "*", "tokens_per_minute": 5}, {"key:1:tokens:minute": 5}),
        ({"team": "team", "tokens_per_day": 6}, {"team:t:tokens:day": 6}),
        ({"model": "m*", "concurrent": 7}, {"model:m*:slots": 7}),
        ({"key": "otto", "concurrent": 7}, {}),
    ],
)
def test_limits_of_the_file(limit: dict[str, Any], found: dict[str, int]) -> None:
    settings = make_settings(limits=(sections.LimitRule(**limit),))
    assert amounts(rulebook(settings, Policies())) == found


@pytest.mark.parametrize(
    ("budget", "found"),
    [
        ({"usd": 1.5, "per": "day"}, {"all:usd:day": 1_500_000}),
        ({"usd": 0.0000004}, {"all:usd:month": 1}),  # nothing at all would be no budget
        ({"key": "anna", "tokens": 10, "per": "week"}, {"key:1:used:week": 10}),
        ({"team": "*", "tokens": 10, "per": "total"}, {"team:t:used:total": 10}),
        ({"provider": "up", "tokens": 10}, {}),
    ],
)
def test_budgets_of_the_file(budget: dict[str, Any], found: dict[str, int]) -> None:
    settings = make_settings(budgets=(sections.BudgetRule(**budget),))
    assert amounts(rulebook(settings, Policies())) == found


@pytest.mark.parametrize("named", ["env-1", "ALLOWED_API_KEYS #1", configured_id(SECRET)])
def test_rules_of_a_configured_key_are_kept_under_its_own_id(named: str) -> None:
    settings = make_settings(
        allowed_api_keys=(SecretStr(SECRET),),
        limits=(sections.LimitRule(key=named, requests_per_day=4),),
        budgets=(sections.BudgetRule(key=named, tokens=5, per="day"),),
    )
    key = KeyRing(settings.api_keys).find(SECRET.encode())
    assert key is not None
    found = rulebook(settings, Policies()).rules_for(Caller(key.id, key.name), [])
    assert {marked.counter_key.text: marked.amount for marked in found} == {
        f"key:{configured_id(SECRET)}:requests:day": 4,
        f"key:{configured_id(SECRET)}:used:day": 5,
    }


def test_every_field_of_a_budget_is_taken_over() -> None:
    budget = sections.BudgetRule(
        provider="up", usd=2, per="day", hard=False, warn_at=0.5, webhook="http://127.0.0.1/x"
    )
    (marked,) = rulebook(make_settings(budgets=(budget,)), Policies()).rules_for_provider("up")
    rule = Budget("provider", "up", "usd", 2_000_000, "day", False, 0.5, "http://127.0.0.1/x")
    assert marked.budget == rule


def test_the_store_wins_over_the_file() -> None:
    limits = (sections.LimitRule(key="anna", requests_per_day=1, concurrent=1),)
    budgets = (
        sections.BudgetRule(key="anna", usd=1, per="day"),
        sections.BudgetRule(provider="up", usd=1, per="day"),
    )
    every = {"requests_per_minute": 2, "requests_per_day": 3, "tokens_per_minute": 4, "tokens_per_day": 5}
    stored = Policies(
        limits=(StoredLimit(id="x", scope="key", subject="1", **every),),
        budgets=(
            StoredBudget(
                id="y", scope="key", subject="1", unit="usd", amount=9, per="day", hard=False, warn_at=0.1
            ),
            StoredBudget(id="z", scope="provider", subject="up", unit="usd", amount=8, per="day"),
        ),
    )
    book = rulebook(make_settings(limits=limits, budgets=budgets), stored)
    assert amounts(book) == {
        "key:1:slots": 1,  # which the store does not limit
        "key:1:requests:minute": 2,
        "key:1:requests:day": 3,
        "key:1:tokens:minute": 4,
        "key:1:tokens:day": 5,
        "key:1:usd:day": 9,
    }
    assert [marked.amount for marked in book.rules_for_provider("up")] == [8]


class Shop(Fake):
    """A provider that publishes prices."""

    async def fetch_models(self, upstream: Upstream) -> list[ModelInfo]:
        found = await super().fetch_models(upstream)
        prices = {"prompt": 1e-6, "completion": 2e-6}
        return [msgspec.structs.replace(each, prices=prices) for each in found]


async def test_prices_come_from_the_file_and_the_catalog() -> None:
    shop, cellar = Shop("shop", ["m", "n"]), Fake("ollama", ["m"])
    catalog = make_catalog(shop, cellar)
    settings = make_settings(prices={"shop/n": sections.Price(input=5)})
    wiring: Any = SimpleNamespace(catalog=catalog, settings=settings)
    book = price_book(wiring)
    assert book.rates(shop, "m") is None
    await catalog.refresh()  # the price book that was made before has the new prices
    listed, configured = book.rates(shop, "m"), book.rates(shop, "n")
    assert listed is not None
    assert configured is not None
    assert (listed.source, listed.input, listed.output) == ("provider", 1_000_000, 2_000_000)
    assert (configured.source, configured.input) == ("config", 5_000_000)
    assert book.rates(cellar, "m") == FREE
    assert book.rates(shop, "unheard-of") is None
    assert book.rates(Fake("elsewhere", ["m"]), "m") is None


@pytest.mark.parametrize(
    ("per", "begin", "end"),
    [
        ("day", 1_718_409_600, 1_718_496_000),  # Saturday, 15 June 2024
        ("week", 1_717_977_600, 1_718_582_400),
        ("month", 1_717_200_000, 1_719_792_000),
        ("total", 0, float("inf")),
    ],
)
def test_periods(per: str, begin: int, end: float) -> None:
    assert period(per, 1_718_450_000.5) == (begin, end)
    if per != "total":
        assert period(per, begin) == (begin, end)
        assert period(per, end)[0] == end


# Spending before the start


def ready() -> Any:
    """A ledger without usage that a killed process left behind."""
    event = threading.Event()
    event.set()
    return SimpleNamespace(ready=event)


def row(ids: RowIds, at: int, key: str, cost: int, tokens: int) -> UsageRow:
    values: dict[str, Any] = dict.fromkeys(UsageRow.__struct_fields__, "")
    values |= {name: 0 for name in values if name.endswith(("_ms", "_tokens"))}
    values |= {"id": ids.next(at * 1000), "at": at * 1000, "request_id": "r", "attempt": 1, "last": True}
    values |= {"key_id": key, "provider": "up", "status": 200, "retries": 0, "cached": False}
    values |= {"estimated": False, "streamed": False, "prompt": None, "error": None}
    return UsageRow(**values | {"cost_micros": cost, "prompt_tokens": tokens})


async def test_what_was_spent_is_read_from_the_ledger(database: str) -> None:
    begin, _ = period("day", 1_718_450_000)
    usage_store, ids = UsageStore(database), RowIds()
    usage_store.insert(
        [[row(ids, begin - 5, "1", 100, 1), row(ids, begin + 5, "1", 20, 2), row(ids, begin + 6, "2", 3, 4)]]
    )
    usage_store.close()
    spent = SpendingReader(database, ready())
    try:
        assert await spent(CounterKey("key", "1", "usd", "day"), begin) == 20
        assert await spent(CounterKey("key", "1", "used", "day"), begin) == 2
        assert await spent(CounterKey("key", "1", "usd", "total"), 0) == 120
        assert await spent(CounterKey("all", "", "usd", "day"), begin) == 23
        assert await spent(CounterKey("provider", "up", "usd", "day"), begin) == 23
        assert await spent(CounterKey("key", "3", "usd", "day"), begin) == 0
    finally:
        spent.close()


async def test_without_the_database_budgets_cannot_be_checked(tmp_path: Path) -> None:
    spent = SpendingReader(f"sqlite:///{tmp_path}/none/trunkline.db", ready())
    (tmp_path / "none").write_text("a file where a folder is needed")
    with capture_logs() as logs, pytest.raises(GatewayError, match="Budgets cannot be checked") as caught:
        await spent(CounterKey("key", "1", "usd", "day"), 0)
    assert caught.value.kind is LIMITS_AWAY
    assert (caught.value.status, caught.value.retry_after, caught.value.advice) == (503, 1.0, "true")
    assert [log["event"] for log in logs] == ["what was spent cannot be read"]
    spent.close()


# Warnings

Posted = list[tuple[str, dict[str, Any]]]


@asynccontextmanager
async def hook(*statuses: int) -> AsyncIterator[tuple[str, Posted]]:
    """A server that takes posts; yields its URL, and the posts with their paths.

    It answers with ``statuses``, the last of them (200 by default) again and again.
    """
    posted: Posted = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        size = int(head.split("content-length: ")[1].split("\r\n")[0])
        posted.append((head.split("\r\n")[0], msgspec.json.decode(await reader.readexactly(size))))
        status = [200, *statuses[: len(posted)]][-1]
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook", posted


def spending(spent: int, unit: Any = "usd", webhook: str | None = None) -> Spending:
    quantity: Any = "usd" if unit == "usd" else "used"
    rule = Budget("team", "*", unit, 2_000_000, "month", False, 0.8, webhook)
    return Spending(CounterKey("team", "t", quantity, "month"), rule, spent, 5)


async def nothing_spent(marked: CounterRule, since: int) -> int:
    return 0


async def end(warnings: BudgetWarnings) -> None:
    async with asyncio.timeout(GUARD):
        await warnings.aclose()


@pytest.mark.parametrize(
    ("unit", "spent", "event", "shown"),
    [
        ("usd", 1_600_000, "budget_warning", (1.6, 2.0)),
        ("usd", 2_000_000, "budget_used_up", (2.0, 2.0)),
        ("tokens", 1_999_999, "budget_warning", (1_999_999, 2_000_000)),
        ("tokens", 3_000_000, "budget_used_up", (3_000_000, 2_000_000)),
    ],
)
async def test_a_warning_is_logged_and_posted(
    unit: str, spent: int, event: str, shown: tuple[float, float]
) -> None:
    warnings = BudgetWarnings()
    async with hook() as (url, posted):
        with capture_logs() as logs:
            warnings(spending(spent, unit, url))
            await end(warnings)
    details = {
        "event": event,
        "scope": "team",
        "subject": "t",
        "unit": unit,
        "per": "month",
        "spent": shown[0],
        "limit": shown[1],
        "hard": False,
    }
    assert posted == [("post /hook http/1.1", details)]
    assert logs == [{"log_level": "warning", **details}]


async def test_without_a_webhook_there_is_only_a_log_line() -> None:
    warnings = BudgetWarnings()
    with capture_logs() as logs:
        warnings(spending(2_000_000))
        await end(warnings)
    assert [log["event"] for log in logs] == ["budget_used_up"]


async def test_a_webhook_that_fails_is_only_logged() -> None:
    warnings = BudgetWarnings()
    async with hook(500) as (url, posted):
        with capture_logs() as logs:
            warnings(spending(2_000_000, webhook=url))
            await end(warnings)
        assert len(posted) == 1
    with capture_logs() as more:  # the server has stopped
        warnings(spending(2_000_000, webhook=url))
        await end(warnings)
    reasons = [log["reason"] for log in logs + more if log["event"] == "a budget's webhook failed"]
    assert reasons == ["HTTPStatusError", "ConnectError"]


async def test_a_webhook_that_fails_once_is_called_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert policy_config.POST_PAUSES_S[0] < 30
    monkeypatch.setattr(policy_config, "POST_PAUSES_S", (0.001, 0.001, 0.001))
    warnings = BudgetWarnings()
    async with hook(500, 503, 200) as (url, posted):
        with capture_logs() as logs:
            warnings(spending(2_000_000, webhook=url))
            await until(lambda: len(posted) == 3)
            await end(warnings)
    assert len({str(each) for each in posted}) == 1
    failures = [log for log in logs if log["event"] == "a budget's webhook failed"]
    assert [(log["attempt"], log["again_in_s"]) for log in failures] == [(1, 0.001), (2, 0.001)]


async def test_a_webhook_that_waits_to_be_called_again_is_called_at_the_end() -> None:
    warnings = BudgetWarnings()
    async with hook(500, 200) as (url, posted):
        with capture_logs() as logs:
            warnings(spending(2_000_000, webhook=url))
            await until(lambda: any("again_in_s" in log for log in logs))
            await end(warnings)
    assert len(posted) == 2


async def test_a_webhook_is_not_called_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_config, "POST_PAUSES_S", (0.001,))
    warnings = BudgetWarnings()
    async with hook(500) as (url, posted):
        with capture_logs() as logs:
            warnings(spending(2_000_000, webhook=url))
            warnings(spending(2_000_000, webhook="http://h:x/"))
            await until(lambda: not warnings._tasks)
    assert len(posted) == 2
    assert "again_in_s" not in logs[-1]


async def test_of_several_nodes_one_warns_once_at_each_threshold(redis: Redis) -> None:
    cluster = Cluster(redis.url)
    nodes = [
        BudgetWarnings(LeasedCounters(cluster.store(), period, nothing_spent).is_first) for _ in range(3)
    ]  # the last as good as one that was started again
    with capture_logs() as logs:
        for spent in (1_600_000, 1_700_000, 2_000_000, 2_100_000):
            for warnings in nodes:
                warnings(spending(spent))
        for warnings in nodes:
            warnings(spending(1_600_000)._replace(ends=5e9))  # the next period's
            warnings(spending(1_600_000)._replace(budget=spending(0).budget._replace(amount=1_000_000)))
        for warnings in nodes:
            await end(warnings)
    await cluster.aclose()
    assert sorted((log["event"], log["limit"]) for log in logs) == [
        ("budget_used_up", 1.0),
        ("budget_used_up", 2.0),
        ("budget_warning", 2.0),
        ("budget_warning", 2.0),
    ]


async def test_a_node_that_cannot_reach_redis_warns() -> None:
    store = RedisLeases("redis://127.0.0.1:1/0", "nobody")
    warnings = BudgetWarnings(LeasedCounters(store, period, nothing_spent).is_first)
    with capture_logs() as logs:
        warnings(spending(2_000_000))
        await end(warnings)
    await store._redis.aclose()
    assert [log["event"] for log in logs] == ["budget_used_up"]


# Refusals on the wire


async def test_a_refusal_has_the_headers_of_limits(serve: Serve) -> None:
    limits = (
        sections.LimitRule(key="*", requests_per_day=2),
        sections.LimitRule(tokens_per_day=1_000_000),
    )
    async with MockUpstream() as mock:
        running = await serve(make_settings(providers={"up": upstream(mock)}, limits=limits))
        ask = post(chat("gpt-4o"), BEARER)
        granted = [await running.ask(ask) for _ in range(2)]
        refused = await running.ask(ask)
    assert [answer.status for answer in granted] == [200, 200]
    assert refused.status == 429
    assert refused.error["code"] == "gateway_rate_limit"
    shown = {name for name in refused.headers if name.startswith("x-ratelimit-")}
    assert shown == {name for name in granted[0].headers if name.startswith("x-ratelimit-")}
    assert len(shown) == 6
    assert refused.headers["x-ratelimit-limit-requests"] == "2"
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert refused.headers["x-ratelimit-reset-requests"].startswith(("23h59m", "24h0m"))
    assert refused.headers["x-ratelimit-limit-tokens"] == "1000000"
    assert 0 < int(refused.headers["x-ratelimit-remaining-tokens"]) < 1_000_000
    assert int(refused.headers["retry-after"]) > 40_000
    assert refused.headers["x-should-retry"] == "false"


async def test_a_refused_stream_has_the_same_headers(serve: Serve) -> None:
    limits = (sections.LimitRule(concurrent=1), sections.LimitRule(requests_per_day=100))
    async with MockUpstream("openai", Script(delay_first_s=60)) as mock:
        running = await serve(make_settings(providers={"up": upstream(mock)}, limits=limits))
        wire = await running.connect()
        wire.send(post(chat("gpt-4o"), BEARER))
        await mock.until(lambda: bool(mock.calls))
        refused = await running.ask(post(chat("gpt-4o", stream=True), BEARER))
        await wire.close()
    assert refused.status == 429
    assert refused.headers["content-type"] == "application/json"
    assert refused.headers["x-ratelimit-remaining-requests"] == "99"  # what was refused takes nothing
    assert (refused.headers["retry-after"], refused.headers["x-should-retry"]) == ("1", "true")


@pytest.mark.parametrize(
    ("path", "request_body"),
    [
        ("/v1/chat/completions", chat("gpt-4o", max_tokens=1_000_000)),
        ("/v1/responses", {"model": "gpt-4o", "input": "Hello", "max_output_tokens": 1_000_000}),
        ("/v1/messages", chat("gpt-4o", max_tokens=1_000_000)),
        ("/api/chat", chat("gpt-4o", options={"num_predict": 1_000_000})),
    ],
)
async def test_a_request_over_the_budget_is_told_apart_from_a_budget_that_is_used_up(
    serve: Serve, path: str, request_body: dict[str, Any]
) -> None:
    budgets = (sections.BudgetRule(key="*", usd=1, per="day"),)
    prices = {"up/*": sections.Price(input=2, output=2)}
    async with MockUpstream() as mock:
        settings = make_settings(providers={"up": upstream(mock)}, budgets=budgets, prices=prices)
        running = await serve(settings)
        refused = await running.ask(post(request_body, BEARER, path=path))
        assert not mock.calls
    assert refused.status == 429
    text = refused.body.decode()
    assert "This request may cost $2.000" in text
    assert "more than is left of the budget of this key: $1 of $1 a day. Ask for less: " in text
    assert (refused.headers["retry-after"], refused.headers["x-should-retry"]) == ("5", "false")


async def test_a_refusal_by_a_budget_has_the_headers_of_limits_too(serve: Serve) -> None:
    limits = (sections.LimitRule(requests_per_day=100),)
    budgets = (sections.BudgetRule(tokens=1, per="total"),)
    async with MockUpstream() as mock:
        settings = make_settings(providers={"up": upstream(mock)}, limits=limits, budgets=budgets)
        running = await serve(settings)
        refused = await running.ask(post(chat("gpt-4o"), BEARER))
        assert not mock.calls
    assert (refused.status, refused.error["code"]) == (429, "request_over_budget")
    assert refused.headers["x-ratelimit-remaining-requests"] == "100"
    assert refused.headers["x-should-retry"] == "false"
