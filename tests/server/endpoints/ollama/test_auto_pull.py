"""Models that are pulled at their first request, by requests through a gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from tests.gateways import GUARD, KEY, Running, make_settings, serving, until
from trunkline.providers.ollama import OllamaServer
from trunkline.settings import ProviderConfig
from trunkline.settings.sections import KeyPolicy
from trunkline_mock import MockUpstream
from trunkline_mock.script import MockModel

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as entered:
        yield entered


class House:
    """A gateway in front of Ollama servers, and a client."""

    def __init__(self, running: Running, mocks: list[MockUpstream], client: httpx.AsyncClient) -> None:
        self.running = running
        self.mocks = mocks
        self.client = client

    async def ask(self, model: str, path: str = "/v1/chat/completions", **more: Any) -> httpx.Response:
        return await self.client.post(path, json={"model": model, "messages": HELLO, **more})


class Pulls:
    """The models that servers were told to pull. The pulls wait for a gate."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.models: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        progress = OllamaServer.progress

        async def counted(
            server: OllamaServer, path: str, body: dict[str, Any]
        ) -> AsyncGenerator[dict[str, Any], None]:
            self.models.append(body["model"])
            await self.gate.wait()
            async for line in progress(server, path, body):
                yield line

        monkeypatch.setattr(OllamaServer, "progress", counted)


@pytest.fixture
def pulls(monkeypatch: pytest.MonkeyPatch) -> Pulls:
    return Pulls(monkeypatch)


async def start(stack: AsyncExitStack, servers: int = 1, pull: str = "*", **changes: Any) -> House:
    mocks = [
        await stack.enter_async_context(MockUpstream("ollama", models=[MockModel("here:latest", size=9)]))
        for _ in range(servers)
    ]
    providers = {"ollama": ProviderConfig(type="ollama", urls=tuple(mock.base_url for mock in mocks))}
    settings = make_settings(
        ollama_enabled=True, ollama_auto_pull=pull, providers=providers | changes.pop("more", {}), **changes
    )
    running = await stack.enter_async_context(serving(settings))
    await running.gateway.catalog.wait_until_discovered(GUARD)
    client = await stack.enter_async_context(
        httpx.AsyncClient(base_url=running.url, headers={"x-api-key": KEY}, timeout=GUARD)
    )
    return House(running, mocks, client)


@pytest.mark.parametrize("model", ["new", "ollama/new", "NEW:latest", "hf.co/somebody/new"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/chat", "/ollama/api/chat"])
async def test_a_missing_model_is_pulled_and_answers(
    stack: AsyncExitStack, pulls: Pulls, model: str, path: str
) -> None:
    house = await start(stack)
    for _ in range(2):
        answer = await house.ask(model, path, stream=False)
        assert (answer.status_code, answer.headers["x-trunkline-attempts"]) == (200, "1")
    assert len(pulls.models) == 1


async def test_one_pull_serves_all_who_wait(stack: AsyncExitStack, pulls: Pulls) -> None:
    house = await start(stack)
    answers = await asyncio.gather(*(house.ask("new", stream=number % 2 == 0) for number in range(20)))
    assert [answer.status_code for answer in answers] == [200] * 20
    assert pulls.models == ["new"]


@pytest.mark.parametrize(("setting", "count"), [("all", 2), ("room", 1)])
async def test_which_servers_pull(stack: AsyncExitStack, pulls: Pulls, setting: str, count: int) -> None:
    house = await start(stack, servers=2, ollama_manage=setting)
    assert (await house.ask("new")).status_code == 200
    await until(lambda: pulls.models == ["new"] * count)


@pytest.mark.parametrize(
    ("model", "status", "code", "words"),
    [
        ("missing-one", 404, "model_not_found", "pull model manifest: file does not exist"),
        ("huge", 502, "model_pull_failed", "no space left on device"),
        ("bad name!!", 400, "invalid_request", "invalid model name"),
    ],
)
async def test_a_pull_that_fails(
    stack: AsyncExitStack, pulls: Pulls, model: str, status: int, code: str, words: str
) -> None:
    house = await start(stack)
    for _ in range(3):
        answer = await house.ask(model)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        assert words in answer.json()["error"]["message"]
    assert pulls.models == [model]  # it is not tried again at once


@pytest.mark.parametrize("pull", [(), "other*,new:7b"])
async def test_what_no_pattern_names_is_not_pulled(stack: AsyncExitStack, pulls: Pulls, pull: Any) -> None:
    house = await start(stack, pull=pull)
    answer = await house.ask("new")
    assert answer.status_code == 404
    assert "`ollama pull new`" in answer.json()["error"]["message"]
    assert pulls.models == []


async def test_a_key_cannot_have_a_model_pulled_that_it_may_not_use(
    stack: AsyncExitStack, pulls: Pulls
) -> None:
    house = await start(stack, keys={"env-1": KeyPolicy(models=("here",))})
    assert (await house.ask("here")).status_code == 200
    answer = await house.ask("new")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "model_not_allowed")
    assert "ollama pull" not in answer.text
    assert pulls.models == []


async def test_another_target_of_a_route_answers_meanwhile(stack: AsyncExitStack, pulls: Pulls) -> None:
    cloud = await stack.enter_async_context(MockUpstream("openai"))
    section = ProviderConfig(
        type="openai", url=cloud.base_url, api_key=(SecretStr("sk-test"),), models=("gpt-4o",)
    )
    targets = (
        {"provider": "ollama", "model": "new"},
        {"provider": "openai", "model": "gpt-4o", "priority": 1},
    )
    house = await start(stack, more={"openai": section}, routes={"mine": {"targets": targets}})
    assert (await house.ask("mine")).headers["x-trunkline-provider"] == "openai"
    await until(lambda: "new:latest" in house.running.gateway.catalog.listings["ollama"].models)
    assert (await house.ask("mine")).headers["x-trunkline-provider"] == "ollama"
    assert pulls.models == ["new"]


async def test_a_pull_goes_on_when_its_client_leaves(stack: AsyncExitStack, pulls: Pulls) -> None:
    house = await start(stack)
    pulls.gate.clear()
    wire = await house.running.connect()
    body = b'{"model":"new","messages":[{"role":"user","content":"Hi"}]}'
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: t\r\nX-Api-Key: {KEY}\r\nContent-Length: {len(body)}"
    wire.send(head.encode() + b"\r\n\r\n" + body)
    gateway = house.running.gateway
    await until(lambda: pulls.models == ["new"])
    await wire.close()
    await until(lambda: not gateway.pipeline.active)
    pulls.gate.set()
    await until(lambda: "new:latest" in gateway.catalog.listings["ollama"].models)
