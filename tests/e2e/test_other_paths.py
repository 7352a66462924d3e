"""OpenAI's other paths (audio, images, moderations, files): relayed as they are, by OpenAI's own client."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import openai
import pytest
from pydantic import SecretStr

from tests.gateways import BEARER, GUARD, KEY, get, make_settings, post, serving
from trunkline.settings.sections import BudgetRule, ProviderConfig

SECRET = "sk-upstream-secret"
SOUND = bytes(range(256)) * 300


class Seen(NamedTuple):
    """A request as the upstream saw it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


ANSWERS: dict[str, tuple[str, bytes]] = {
    "/v1/audio/speech": ("audio/mpeg", SOUND),
    "/v1/audio/transcriptions": ("application/json", b'{"text": "hello"}'),
    "/v1/images/generations": ("application/json", b'{"created": 1, "data": [{"b64_json": "aGk="}]}'),
    "/v1/moderations": ("application/json", b'{"id": "m", "model": "omni", "results": []}'),
    "/v1/files": ("application/json", b'{"object": "list", "data": [], "has_more": false}'),
    "/v1/files/file-1": ("application/json", b'{"id": "file-1", "object": "file", "deleted": true}'),
    "/v1/files/file-1/content": ("application/octet-stream", b"\0\1\2"),
}


class Upstream:
    """OpenAI, as far as these paths go."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.url = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        method, path, _ = first.split(" ")
        self.seen.append(Seen(method, path, headers, body))
        status, (kind, data) = 200, ANSWERS.get(path.partition("?")[0], ("application/json", b""))
        if not data:
            status, data = 404, b'{"error": {"message": "no such thing", "type": "x", "param": null}}'
        lines = [f"HTTP/1.1 {status} X", f"content-type: {kind}", f"content-length: {len(data)}"]
        writer.write("\r\n".join([*lines, "connection: close", "", ""]).encode() + data)
        await writer.drain()
        writer.close()


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    found = Upstream()
    server = await asyncio.start_server(found.answer, "127.0.0.1", 0)
    found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    yield found
    server.close()


def settings(upstream: Upstream, others: Mapping[str, ProviderConfig] | None = None, **more: Any) -> Any:
    provider = ProviderConfig(
        type="openai",
        url=upstream.url,
        api_key=(SecretStr(SECRET),),
        models=("tts-1", "whisper-1", "dall-e-3"),
        local=False,
    )
    return make_settings(providers={"openai": provider, **(others or {})}, **more)


@asynccontextmanager
async def client(
    upstream: Upstream, path: str = "/v1", others: Mapping[str, ProviderConfig] | None = None
) -> AsyncIterator[openai.AsyncOpenAI]:
    """OpenAI's client of a gateway that asks for no key: its callers are admins."""
    how = settings(upstream, others, allowed_api_keys=(), development_mode=True, require_auth=False)
    async with serving(how) as node:
        url = node.url + path
        async with openai.AsyncOpenAI(base_url=url, api_key=KEY, max_retries=0, timeout=GUARD) as found:
            yield found


async def test_a_sound_comes_as_it_is(upstream: Upstream) -> None:
    async with client(upstream) as found:
        speech = await found.audio.speech.create(model="openai/tts-1", voice="alloy", input="Hi")
        assert speech.content == SOUND
        assert speech.response.headers["content-type"] == "audio/mpeg"
        assert speech.response.headers["x-trunkline-provider"] == "openai"
    (seen,) = upstream.seen
    assert seen.headers["authorization"] == f"Bearer {SECRET}"
    assert b'"model":"tts-1"' in seen.body


async def test_a_form_goes_as_it_is_but_for_the_model(upstream: Upstream) -> None:
    async with client(upstream) as found:
        heard = await found.audio.transcriptions.create(
            model="openai/whisper-1", file=("a.mp3", SOUND), language="en"
        )
        assert heard.text == "hello"
    (seen,) = upstream.seen
    assert seen.headers["content-type"].startswith("multipart/form-data; boundary=")
    boundary = seen.headers["content-type"].partition("boundary=")[2]
    assert SOUND in seen.body
    assert re.findall(rb'name="model"\r\n\r\n([^\r]*)\r\n', seen.body) == [b"whisper-1"]
    assert seen.body.endswith(f"--{boundary}--\r\n".encode())


async def test_images_and_moderations(upstream: Upstream) -> None:
    async with client(upstream) as found:
        images = await found.images.generate(model="dall-e-3", prompt="a cat")
        assert images.data is not None
        assert images.data[0].b64_json == "aGk="
        assert (await found.moderations.create(input="hi")).id == "m"
    assert [seen.path for seen in upstream.seen] == ["/v1/images/generations", "/v1/moderations"]


@pytest.mark.parametrize("path", ["/v1", "/openai/v1"])
async def test_files(upstream: Upstream, path: str) -> None:
    async with client(upstream, path) as found:
        assert (await found.files.list(limit=5, after="file-0", extra_query={"key": KEY})).data == []
        await found.files.create(file=("a.jsonl", b"{}"), purpose="batch")
        assert (await found.files.delete("file-1")).deleted
        assert (await found.files.content("file-1")).content == b"\0\1\2"
    asked = [(seen.method, seen.path) for seen in upstream.seen]
    assert asked == [
        ("GET", "/v1/files?after=file-0&limit=5"),
        ("POST", "/v1/files"),
        ("DELETE", "/v1/files/file-1"),
        ("GET", "/v1/files/file-1/content"),
    ]


@pytest.mark.parametrize(
    "path",
    ["/v1/files/../models/x", "/v1/files/a%2fb", "/v1/files/a/b", "/v1/files/a/content/x", "/v1/files/a?b"],
)
async def test_a_file_leads_nowhere_else(upstream: Upstream, path: str) -> None:
    how = settings(upstream, allowed_api_keys=(), development_mode=True, require_auth=False)
    async with serving(how) as node:
        answer = await node.ask(get(path))
        assert answer.status == (200 if "?" in path else 404) or upstream.seen[0].path == "/v1/files/a"
    assert all(seen.path == "/v1/files/a" for seen in upstream.seen)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_files_are_an_admins(upstream: Upstream, method: str) -> None:
    async with serving(settings(upstream)) as node:
        answer = await node.ask(get("/v1/files", BEARER, b"content-length: 0\r\n", method=method))
        assert (answer.status, answer.error["code"]) == (403, "forbidden")
    assert upstream.seen == []


async def test_an_upstreams_error_is_told(upstream: Upstream) -> None:
    async with client(upstream) as found:
        with pytest.raises(openai.APIStatusError) as caught:
            await found.images.edit(model="dall-e-3", image=b"x", prompt="y")
    assert "no such thing" in caught.value.message


@pytest.mark.parametrize("model", ["custom", "fleet/llama3.2", "claude/claude-haiku-4-5"])
async def test_a_provider_without_these_paths_says_so(upstream: Upstream, model: str) -> None:
    others = {
        "fleet": ProviderConfig(type="ollama", url="http://127.0.0.1:1"),
        "claude": ProviderConfig(type="anthropic", url="http://127.0.0.1:1", api_key=(SecretStr(SECRET),)),
    }
    async with client(upstream, others=others) as found:
        with pytest.raises(openai.NotFoundError, match="does not have this path"):
            await found.audio.speech.create(model=model, voice="alloy", input="Hi")


async def test_without_openai_there_are_no_files() -> None:
    how = make_settings(allowed_api_keys=(), development_mode=True, require_auth=False)
    async with serving(how) as node:
        answer = await node.ask(get("/v1/files"))
        assert (answer.status, answer.error["code"]) == (404, "not_found")


async def test_under_a_hard_budget_in_dollars_it_is_refused(upstream: Upstream) -> None:
    """Nobody knows what it will cost."""
    how = settings(upstream, budgets=(BudgetRule(key="*", usd=10),))
    async with serving(how) as node:
        answer = await node.ask(
            post({"model": "dall-e-3", "prompt": "a cat"}, BEARER, path="/v1/images/generations")
        )
        assert (answer.status, answer.error["code"]) == (403, "no_price")
    assert upstream.seen == []
