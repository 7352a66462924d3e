"""What Ollama says, and what it has, as clients of the gateway are told it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest

from tests.gateways import GUARD, KEY, Running, make_settings, serving
from trunkline.settings.sections import KeyPolicy, ProviderConfig
from trunkline_mock import Fault, MockUpstream, Script
from trunkline_mock.script import MockModel

HELLO = [{"role": "user", "content": "Hello"}]
FIELDS: dict[str, tuple[str, Any]] = {
    "generate": ("prompt", "Hello"),
    "completions": ("prompt", "Hello"),
    "embed": ("input", "Hello"),
    "embeddings": ("input", "Hello"),
    "responses": ("input", "Hello"),
}
"""What a request asks, by the end of its path; any other has messages."""


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as entered:
        yield entered


class House(NamedTuple):
    """A gateway with one Ollama server and nothing else, and a client."""

    running: Running
    mock: MockUpstream
    client: httpx.AsyncClient

    async def ask(self, path: str, model: str, **more: Any) -> httpx.Response:
        end = "chat" if path.endswith("/chat/completions") else path.rpartition("/")[2]
        field, value = FIELDS.get(end, ("messages", HELLO))
        body = {"model": model, field: value} | ({"max_tokens": 9} if "messages" in path else {}) | more
        return await self.client.post(path, json=body)


async def start(stack: AsyncExitStack, **changes: Any) -> House:
    mock = await stack.enter_async_context(MockUpstream("ollama", models=[MockModel("here:latest", size=9)]))
    settings = make_settings(ollama_enabled=True, ollama_base_url=mock.base_url, **changes)
    running = await stack.enter_async_context(serving(settings))
    await running.gateway.catalog.wait_until_discovered(GUARD)
    client = await stack.enter_async_context(
        httpx.AsyncClient(base_url=running.url, headers={"x-api-key": KEY}, timeout=GUARD)
    )
    return House(running, mock, client)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/messages",
        "/v1/responses",
        "/v1/embeddings",
        "/api/chat",
        "/api/generate",
        "/ollama/v1/chat/completions",
    ],
)
async def test_a_model_that_was_not_pulled(stack: AsyncExitStack, path: str) -> None:
    house = await start(stack)
    answer = await house.ask(path, "llama2")
    assert answer.status_code == 404
    assert "`ollama pull llama2`" in answer.text


async def test_a_hidden_model_is_not_said_to_need_a_pull(stack: AsyncExitStack, tmp_path: Path) -> None:
    rules = tmp_path / "rules.txt"
    rules.write_text("!llama2\n")
    house = await start(stack, models_filter=rules)
    for name in ("llama2", "ollama/llama2"):
        answer = await house.ask("/v1/chat/completions", name)
        assert (answer.status_code, "ollama pull" in answer.text) == (404, False)
    assert "ollama pull" in (await house.ask("/v1/chat/completions", "llama3")).text


@pytest.mark.parametrize("policy", [KeyPolicy(models=("here",)), KeyPolicy(providers=("openrouter",))])
async def test_a_key_is_not_told_of_a_pull_that_would_not_help_it(
    stack: AsyncExitStack, policy: KeyPolicy
) -> None:
    house = await start(stack, keys={"env-1": policy})
    answer = await house.ask("/v1/chat/completions", "llama2")
    assert (answer.status_code, "ollama pull" in answer.text) == (403, False)
    shown = await house.client.get("/v1/models/llama2")
    assert (shown.status_code, "ollama pull" in shown.text) == (404, False)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/chat", "/api/show"])
async def test_a_model_made_elsewhere_right_after_a_miss(stack: AsyncExitStack, path: str) -> None:
    house = await start(stack)
    assert (await house.ask(path, "fresh")).status_code == 404
    async with httpx.AsyncClient() as direct:
        await direct.post(f"{house.mock.base_url}/api/pull", json={"model": "fresh", "stream": False})
    assert (await house.ask(path, "fresh")).status_code == 200


async def answer_cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An Ollama server whose runner has died: its answers are whole JSON, and say that they are not done."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
    await reader.readexactly(int(length or 0))
    body = b'{"model":"here","message":{"role":"assistant","content":"Hel"},"response":"Hel","done":false}'
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n")
    writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
    await writer.drain()
    writer.close()


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/chat/completions", "messages"),
        ("/v1/completions", "prompt"),
        ("/v1/messages", "messages"),
        ("/v1/responses", "input"),
    ],
)
async def test_a_whole_answer_that_is_not_done(stack: AsyncExitStack, path: str, field: str) -> None:
    server = await stack.enter_async_context(await asyncio.start_server(answer_cut, "127.0.0.1", 0))
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    section = ProviderConfig(type="ollama", url=url, models=("here",))
    settings = make_settings(ollama_enabled=True, providers={"ollama": section})
    running = await stack.enter_async_context(serving(settings))
    async with httpx.AsyncClient(base_url=running.url, headers={"x-api-key": KEY}, timeout=GUARD) as client:
        body: dict[str, Any] = {"model": "here", field: HELLO if field == "messages" else "Hello"}
        body |= {"max_tokens": 9} if path == "/v1/messages" else {}
        answer = await client.post(path, json=body)
    assert answer.status_code == 502
    assert "before it was complete" in answer.text


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
async def test_an_error_line_in_the_middle_of_a_stream(stack: AsyncExitStack, path: str) -> None:
    house = await start(stack)
    house.mock.script = Script(fault=Fault("error_midstream", message="llama runner process has stopped"))
    answer = await house.ask(path, "here")
    lines = [msgspec.json.decode(line) for line in answer.text.splitlines()]
    assert len(lines) > 1
    assert lines[-1] == {"error": "llama runner process has stopped"}
