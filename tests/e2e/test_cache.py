"""The cache of answers, as clients meet it: in memory, and in a Redis that two nodes share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tests.gateways import BEARER, KEY, Answer, Running, chat, make_settings, post, serving, upstream
from tests.services import Redis
from trunkline.ledger.store import Store
from trunkline.ledger.usage import list_usage_rows
from trunkline.ledger.writer import Ledger
from trunkline.server.redis.cache import RedisAnswers
from trunkline.settings.sections import CacheRule, Route
from trunkline_mock import Fault, MockUpstream, Script

OTHER = "gw_" + "o" * 43
ON = b"x-trunkline-cache: on\r\n"
OFF = b"x-trunkline-cache: off\r\n"
QUESTION = chat("gpt-4o", "How far is the moon?")


@pytest.fixture(params=[True, False], ids=["fast", "asgi"])
def fast(request: pytest.FixtureRequest) -> bool:
    """Which end of the server."""
    return bool(request.param)


@pytest.fixture
async def mock() -> AsyncIterator[MockUpstream]:
    async with MockUpstream("openai", Script(text="384,400 km — about 30 Earths")) as running:
        yield running


def settings(mock: MockUpstream, **more: Any) -> Any:
    return make_settings(
        allowed_api_keys=(SecretStr(KEY), SecretStr(OTHER)), providers={"openai": upstream(mock)}, **more
    )


async def ask(node: Running, body: dict[str, Any], *lines: bytes, key: str = KEY, path: str = "") -> Answer:
    bearer = f"Authorization: Bearer {key}\r\n".encode()
    return await node.ask(post(body, bearer, *lines, path=path or "/v1/chat/completions"))


def seen(answer: Answer) -> str | None:
    return answer.headers.get("x-trunkline-cache")


async def test_it_is_off_unless_asked_for(mock: MockUpstream) -> None:
    async with serving(settings(mock)) as node:
        assert [seen(await ask(node, QUESTION)) for _ in range(2)] == [None, None]
        assert [seen(await ask(node, QUESTION, ON)) for _ in range(2)] == ["miss", "hit"]
    assert len(mock.calls) == 3


async def test_a_hit_is_the_same_answer(mock: MockUpstream) -> None:
    async with serving(settings(mock, cache=CacheRule(enabled=True))) as node:
        first, second = [await ask(node, QUESTION) for _ in range(2)]
        assert (seen(first), seen(second)) == ("miss", "hit")
        assert second.body == first.body
        told = ("content-type", "x-trunkline-provider", "x-trunkline-model")
        assert [second.headers.get(name) for name in told] == [first.headers.get(name) for name in told]
        assert first.headers["x-request-id"] != second.headers["x-request-id"]
        assert [seen(await ask(node, QUESTION, OFF)) for _ in range(2)] == [None, None]
    assert len(mock.calls) == 3


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/chat"])
async def test_a_stream_is_replayed_as_a_stream(mock: MockUpstream, fast: bool, path: str) -> None:
    async with serving(settings(mock, cache=CacheRule(enabled=True)), fast=fast) as node:
        body = {**QUESTION, "stream": True}
        first, second = [await ask(node, body, path=path) for _ in range(2)]
        assert (seen(first), seen(second)) == ("miss", "hit")
        assert second.body == first.body
        assert "384,400" in second.body.decode()
        assert second.headers["transfer-encoding"] == "chunked"
        assert second.headers["content-type"] == first.headers["content-type"]
    assert len(mock.calls) == 1


@pytest.mark.parametrize(("shared", "expected"), [(False, "miss"), (True, "hit")])
async def test_across_keys_only_if_allowed(mock: MockUpstream, shared: bool, expected: str) -> None:
    async with serving(settings(mock, cache=CacheRule(enabled=True, shared=shared))) as node:
        await ask(node, QUESTION)
        assert seen(await ask(node, QUESTION, key=OTHER)) == expected


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"temperature": 0.1}, ""),
        ({"stream": True}, ""),
        ({}, "/openai/v1/chat/completions"),
        ({"stream": False}, "/api/chat"),
    ],
)
async def test_another_request_is_another(mock: MockUpstream, change: dict[str, Any], path: str) -> None:
    async with serving(settings(mock, cache=CacheRule(enabled=True))) as node:
        await ask(node, QUESTION)
        assert seen(await ask(node, QUESTION | change, path=path)) == "miss"


async def test_a_route_says(mock: MockUpstream) -> None:
    routes = {
        name: Route.model_validate({"targets": [{"provider": "openai", "model": "gpt-4o"}], "cache": on})
        for name, on in (("kept", True), ("fresh", False))
    }
    async with serving(settings(mock, routes=routes)) as node:
        assert [seen(await ask(node, chat("kept"))) for _ in range(2)] == ["miss", "hit"]
        assert [seen(await ask(node, chat("fresh"))) for _ in range(2)] == [None, None]


@pytest.mark.parametrize(
    "fault", [Fault("status", status=500), Fault("close_after", after=1), Fault("no_done")]
)
async def test_what_failed_is_not_kept(mock: MockUpstream, fault: Fault) -> None:
    good = mock.script
    mock.script = Script(text="never whole", fault=fault)
    async with serving(settings(mock, cache=CacheRule(enabled=True))) as node:
        body = {**QUESTION, "stream": True}
        await ask(node, body)
        mock.script = good
        answer = await ask(node, body)
        assert seen(answer) == "miss"
        assert "384,400" in answer.body.decode()


async def test_what_is_too_large_is_not_kept(mock: MockUpstream) -> None:
    async with serving(settings(mock, cache=CacheRule(enabled=True, max_bytes=800))) as node:
        assert [seen(await ask(node, QUESTION)) for _ in range(2)] == ["miss", "miss"]


async def test_nodes_share_it_through_redis(mock: MockUpstream, redis: Redis, tmp_path: Path) -> None:
    """Until Redis is away: then everything is asked anew."""
    how = settings(mock, cache=CacheRule(enabled=True), redis_url=redis.url, redis_prefix=tmp_path.name)
    async with AsyncExitStack() as stack:
        one, two = [await stack.enter_async_context(serving(how)) for _ in range(2)]
        await ask(one, QUESTION)
        answers = one.gateway.cache.store
        assert isinstance(answers, RedisAnswers)
        await answers.settled()
        assert seen(await ask(two, QUESTION)) == "hit"
        assert len(mock.calls) == 1
        redis.stop()
        try:
            for node in (one, two):
                answer = await ask(node, QUESTION)
                assert (answer.status, seen(answer)) == (200, "miss")
        finally:
            redis.start()


async def test_the_ledger_tells_of_hits(mock: MockUpstream, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    ledger = Ledger(url, tmp_path / "ledger")
    how = settings(mock, cache=CacheRule(enabled=True), prices={"openai/*": {"input": 1e6, "output": 1e6}})
    async with serving(how, ledger=ledger) as node:
        for _ in range(2):
            await ask(node, QUESTION)
    store = Store(url)
    hit, miss = list_usage_rows(store)
    store.close()
    assert (hit["cached"], miss["cached"]) == (True, False)
    assert (hit["provider"], hit["model"], hit["cost_micros"]) == (miss["provider"], miss["model"], 0)
    assert miss["cost_micros"] > 0


async def test_a_waiting_client_who_leaves_gets_nothing(mock: MockUpstream) -> None:
    """A stream that its client has left is not whole, and not kept."""
    mock.script = Script(text="word " * 50, fault=Fault("stall_after", after=3))
    async with serving(settings(mock, cache=CacheRule(enabled=True))) as node:
        wire = await node.connect()
        wire.send(post({**QUESTION, "stream": True}, BEARER))
        await wire.head()
        await wire.piece()
        await wire.close()
        mock.script = Script(text="384,400 km")
        assert seen(await ask(node, {**QUESTION, "stream": True})) == "miss"
