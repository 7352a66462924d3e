"""Ollama's own manners on its front: how requests are read, how errors are told, who may ask.

What is right was seen beside a real server.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import httpx
import pytest

from tests.gateways import GUARD, KEY, make_settings, serving, upstream
from trunkline_mock import Fault, MockUpstream, Script

HELLO: list[Any] = [{"role": "user", "content": "Hello!"}]
PATHS: dict[str, dict[str, Any]] = {
    "/api/chat": {"messages": HELLO},
    "/api/generate": {"prompt": "x"},
    "/api/embed": {"input": ["x"]},
}
HEADERS = {"authorization": f"Bearer {KEY}"}


@asynccontextmanager
async def asking(mock: MockUpstream, *, fast: bool = True, **more: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway whose only provider is ``mock``, with one model ``m``."""
    how = make_settings(providers={"up": upstream(mock, models=("m",))}, **more)
    async with (
        serving(how, fast=fast) as node,
        httpx.AsyncClient(base_url=node.url, headers=HEADERS, timeout=GUARD) as client,
    ):
        yield client


def failing(status: int, words: str) -> Script:
    return Script(fault=Fault("status", status=status, message=words))


# Errors


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "registry.ollama.ai/library/m:latest does not support tools"),
        (404, "model 'm' not found"),
        (500, "llama runner process has terminated: exit status 2"),
        (503, "server busy, please try again.  maximum pending requests exceeded"),
        (429, "you have reached your hourly usage limit"),
    ],
)
async def test_errors_keep_their_status_and_words(path: str, stream: bool, status: int, words: str) -> None:
    async with MockUpstream("ollama", failing(status, words), models=["m"]) as mock, asking(mock) as client:
        answer = await client.post(path, json={"model": "m", "stream": stream} | PATHS[path])
    assert (answer.status_code, answer.json()) == (status, {"error": words})


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
async def test_an_error_after_the_first_chunk_keeps_its_words(path: str) -> None:
    words = "an error was encountered while running the model: CUDA error"
    script = Script(text=("a", "b", "c"), fault=Fault("error_midstream", message=words))
    async with MockUpstream("ollama", script, models=["m"]) as mock, asking(mock) as client:
        answer = await client.post(path, json={"model": "m"} | PATHS[path])
    last = answer.content.splitlines()[-1]
    assert (answer.status_code, last) == (200, b'{"error":"%b"}' % words.encode())


async def test_what_is_not_ollamas_own_is_told_in_ollamas_shape() -> None:
    """A proxy in between wrote it."""
    script = Script(fault=Fault("html_error", status=503))
    async with MockUpstream("ollama", script, models=["m"]) as mock, asking(mock) as client:
        answer = await client.post("/api/chat", json={"model": "m"} | PATHS["/api/chat"])
    assert answer.status_code >= 500
    assert list(answer.json()) == ["error"]
    assert isinstance(answer.json()["error"], str)


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions", "/v1/messages"])
async def test_an_answer_that_is_not_done_is_never_a_stop(path: str) -> None:
    body = {"model": "m", "created_at": "2026-01-01T00:00:00Z", "done": False}
    body["message"] = {"role": "assistant", "content": "Half an"}
    asked = {"model": "m", "messages": HELLO, "stream": False, "max_tokens": 9}
    async with MockUpstream("ollama", Script(body=body), models=["m"]) as mock, asking(mock) as client:
        answer = await client.post(path, json=asked)
    assert answer.status_code == 502
    assert "before it was complete" in answer.text
    assert '"stop"' not in answer.text


# Requests


BODIES = {
    "names in other case": (
        b'{"Model":"m","Messages":[{"Role":"user","Content":"Hello!"}],"STREAM":false,"Options":{"seed":7}}'
    ),
    "the last spelling wins": (
        b'{"model":"nope","Model":"m","messages":[{"role":"user","content":"no","Content":"Hello!"}],'
        b'"stream":true,"Stream":false,"options":{"seed":7}}'
    ),
    "bytes after the JSON": (
        b'{"model":"m","messages":[{"role":"user","content":"Hello!"}],"stream":false,"options":{"seed":7}}'
        b'\n{"model": and nonsense'
    ),
    "all of it": (
        b'{"Model":"m","Messages":[{"Role":"user","Content":"Hello!"}],"Stream":false,"Options":{"seed":7}}]'
    ),
}


@pytest.mark.parametrize("shape", ["ollama", "generic"])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
@pytest.mark.parametrize("path", ["/api/chat", "//api/chat", "/api/chat/", "/up/api/chat/"])
async def test_requests_are_read_as_go_reads_them(shape: str, body: bytes, path: str) -> None:
    async with MockUpstream(shape, Script(text="Hi"), models=["m"]) as mock, asking(mock) as client:
        answer = await client.post(f"{str(client.base_url).rstrip('/')}{path}", content=body)
        assert answer.status_code == 200, answer.text
        sent = mock.calls[-1].json
    assert answer.json()["message"]["content"] == "Hi"
    assert answer.json()["done"] is True
    assert sent["model"] == "m"
    assert sent["messages"] == HELLO
    assert (sent["options"]["seed"] if shape == "ollama" else sent["seed"]) == 7


@pytest.mark.parametrize(
    ("shape", "text", "read"),
    [
        ("ollama", rb"a \ud83d b", "a \ufffd b"),
        ("generic", rb"a \ud83d b", "a \ufffd b"),
        ("generic", rb"a \udE00 b", "a \ufffd b"),
        ("generic", rb"\ud83d\ude00 \\ud83d", "\U0001f600 \\ud83d"),
        ("generic", b"a \xff b", "a \ufffd b"),  # an Ollama server is sent it as it is, and reads it so too
    ],
)
async def test_half_a_character_is_replaced(shape: str, text: bytes, read: str) -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"%b"}],"stream":false}' % text
    async with MockUpstream(shape, Script(text="Hi"), models=["m"]) as mock, asking(mock) as client:
        answer = await client.post("/api/chat", content=body)
        assert answer.status_code == 200, answer.text
        assert mock.calls[-1].json["messages"][0]["content"] == read


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/api/generate", b'{"MODEL":"m","Prompt":"Hello!","stream":false}{}', "response"),
        ("/api/embed", b'{"MODEL":"m","Input":["Hello!"]} x', "embeddings"),
        ("/api/embeddings", b'{"Model":"m","PROMPT":"Hello!"}', "embedding"),
        ("/api/show", b'{"Name":"m"} x', "model_info"),
    ],
)
async def test_the_other_operations_read_so_too(path: str, body: bytes, field: str) -> None:
    async with MockUpstream("ollama", models=["m"]) as mock, asking(mock) as client:
        answer = await client.post(path, content=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()[field]


@pytest.mark.parametrize("body", [b"{", b"nonsense", b'{"model":"m"', b"[]", b""])
async def test_what_go_cannot_read_is_refused(body: bytes) -> None:
    async with MockUpstream("ollama", models=["m"]) as mock, asking(mock) as client:
        answer = await client.post("/api/chat", content=body)
        assert not [call for call in mock.calls if call.path == "/api/chat"]
    assert answer.status_code == 400
    assert isinstance(answer.json()["error"], str)


@pytest.mark.parametrize("model", ["gpt-oss:120b-cloud", "qwen3-coder:480B-Cloud", "kimi-k2:cloud"])
async def test_models_of_ollamas_cloud_that_no_list_shows(model: str) -> None:
    """The server is asked, as it answers for such a name without a list."""
    async with (
        MockUpstream("ollama", Script(text="Hi"), models=["m"], any_model=True) as mock,
        MockUpstream("generic", models=["other"]) as other,
    ):
        how = {"other": upstream(other, models=("other",)), "up": upstream(mock, models=("m",))}
        async with (
            serving(make_settings(providers=how)) as node,
            httpx.AsyncClient(base_url=node.url, headers=HEADERS, timeout=GUARD) as client,
        ):
            for path in "/api/chat", "/v1/chat/completions":
                answer = await client.post(path, json={"model": model, "messages": HELLO, "stream": False})
                assert answer.status_code == 200, answer.text
                assert mock.calls[-1].json["model"] == model
            missing = await client.post("/api/chat", json={"model": "gpt-oss:120b", "messages": HELLO})
            assert missing.status_code == 404


# Pages of this machine


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "asgi"])
@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost", True),
        ("http://localhost:5173", True),
        ("https://127.0.0.1:8443", True),
        ("http://0.0.0.0:3000", True),
        ("http://[::1]:3000", True),
        ("http://localhost.evil.example", False),
        ("https://evil.example", False),
        ("null", False),
    ],
)
async def test_a_page_of_this_machine_may_ask_as_it_may_ask_ollama(
    origin: str, allowed: bool, fast: bool
) -> None:
    asks = {"origin": origin, "access-control-request-method": "POST"}
    asks["access-control-request-headers"] = "authorization, content-type"
    body = {"model": "m", "messages": HELLO, "stream": False}
    async with MockUpstream("ollama", models=["m"]) as mock, asking(mock, fast=fast) as client:
        before = await client.options("/api/chat", headers=asks)
        answer = await client.post("/api/chat", json=body, headers={"origin": origin})
        pinned = await client.get("/up/api/tags", headers={"origin": origin})
        elsewhere = await client.post("/v1/chat/completions", json=body, headers={"origin": origin})
        nameless = await client.post("/api/chat", json=body, headers={"origin": origin, "authorization": ""})
    name = "access-control-allow-origin"
    wanted = origin if allowed else None
    assert [each.headers.get(name) for each in (before, answer, pinned, nameless)] == [wanted] * 4
    assert elsewhere.headers.get(name) is None
    if allowed:
        assert before.status_code == 200
        assert before.headers["access-control-allow-headers"] == "authorization, content-type"
    assert (answer.status_code, nameless.status_code) == (200, 401)


# Thinking


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("thinking", "shown"),
    [
        (anthropic.NOT_GIVEN, True),
        ({"type": "enabled", "budget_tokens": 1024}, True),
        ({"type": "disabled"}, False),
    ],
)
async def test_thinking_that_was_not_asked_for(stream: bool, thinking: Any, shown: bool) -> None:
    script = Script(thinking="Hmm. ", text="Hi")
    asked: dict[str, Any] = {"model": "m", "max_tokens": 2048, "messages": HELLO, "thinking": thinking}
    async with MockUpstream("ollama", script, models=["m"]) as mock:
        how = make_settings(providers={"up": upstream(mock, models=("m",))})
        async with (
            serving(how) as node,
            anthropic.AsyncAnthropic(base_url=node.url, api_key=KEY, max_retries=0, timeout=GUARD) as client,
        ):
            if stream:
                async with client.messages.stream(**asked) as running:
                    message = await running.get_final_message()
            else:
                message = await client.messages.create(**asked)
        assert ("think" in mock.calls[-1].json) == (thinking is not anthropic.NOT_GIVEN)
    kinds = [block.type for block in message.content]
    assert kinds == (["thinking", "text"] if shown else ["text"])
    if message.content[0].type == "thinking":
        assert message.content[0].thinking.strip() == "Hmm."
