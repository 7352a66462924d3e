"""Upstreams that are silent for long: time limits, and what clients that stream are sent meanwhile.

The times are short here. The defaults are what ``tests/providers/test_time_limits.py`` says.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

import anthropic
import msgspec
import ollama
import openai
import pytest

from tests.gateways import BEARER, GUARD, KEY, Running, make_settings, post, serving, until, upstream
from trunkline.settings.sections import Price, Route, Target, Timeouts
from trunkline_mock import Fault, MockUpstream, Script

HELLO: Final[list[Any]] = [{"role": "user", "content": "Hello!"}]
SLOW: Final = Script(text=("Hel", "lo"), comments=0, delay_first_s=0.3, delay_chunk_s=0.3)
SILENT: Final = Script(fault=Fault("stall_before"))
BRIEF: Final = 0.01
"""Seconds between two pings here."""


def mocking(script: Script, shape: str = "generic") -> MockUpstream:
    return MockUpstream(shape, script, models=["m"])


# Each API's own client, asked to stream: the text of the answer.


async def stream_openai(url: str, model: str) -> str:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0, timeout=GUARD) as client:
        chunks = await client.chat.completions.create(model=model, messages=HELLO, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks if chunk.choices])


async def stream_completion(url: str, model: str) -> str:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0, timeout=GUARD) as client:
        chunks = await client.completions.create(model=model, prompt="Hello!", stream=True)
        return "".join([chunk.choices[0].text or "" async for chunk in chunks if chunk.choices])


async def stream_response(url: str, model: str) -> str:
    client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0, timeout=GUARD)
    async with client, client.responses.stream(model=model, input="Hello!") as stream:
        return (await stream.get_final_response()).output_text


async def stream_anthropic(url: str, model: str) -> str:
    client = anthropic.AsyncAnthropic(base_url=url, api_key=KEY, max_retries=0, timeout=GUARD)
    async with client, client.messages.stream(model=model, max_tokens=99, messages=HELLO) as stream:
        return await stream.get_final_text()


@asynccontextmanager
async def ollama_client(url: str) -> AsyncIterator[ollama.AsyncClient]:
    client = ollama.AsyncClient(host=url, headers={"Authorization": f"Bearer {KEY}"}, timeout=GUARD)
    try:
        yield client
    finally:
        await client._client.aclose()


async def stream_ollama(url: str, model: str) -> str:
    async with ollama_client(url) as client:
        parts = await client.chat(model, HELLO, stream=True)
        return "".join([part.message.content or "" async for part in parts])


async def stream_generate(url: str, model: str) -> str:
    async with ollama_client(url) as client:
        parts = await client.generate(model, "Hello!", stream=True)
        return "".join([part.response or "" async for part in parts])


Stream = Callable[[str, str], Awaitable[str]]
STREAMS: Final[Mapping[str, Stream]] = {
    "openai": stream_openai,
    "completions": stream_completion,
    "responses": stream_response,
    "anthropic": stream_anthropic,
    "ollama": stream_ollama,
    "generate": stream_generate,
}
CHATS: Final = [name for name in STREAMS if name not in ("completions", "generate")]
FAILURES: Final[Mapping[str, type[Exception]]] = {
    "openai": openai.APIError,
    "responses": openai.APIError,
    "anthropic": anthropic.APIStatusError,
    "ollama": ollama.ResponseError,
}


class Form(NamedTuple):
    """A request of one API as it is sent, and how its pings look."""

    path: str
    body: dict[str, Any]
    """Without the model and ``stream``."""
    ping: Callable[[bytes], bool]


def is_comment(record: bytes) -> bool:
    return record == b": keep-alive"


def is_ping_event(record: bytes) -> bool:
    return record == b'event: ping\ndata: {"type":"ping"}'


def is_empty_chat(record: bytes) -> bool:
    fields = msgspec.json.decode(record)
    assert set(fields) >= {"model", "created_at", "message", "done"}
    return fields["message"] == {"role": "assistant", "content": ""} and fields["done"] is False


def is_empty_text(record: bytes) -> bool:
    fields = msgspec.json.decode(record)
    assert set(fields) >= {"model", "created_at", "response", "done"}
    return fields["response"] == "" and fields["done"] is False


FORMS: Final[Mapping[str, Form]] = {
    "openai": Form("/v1/chat/completions", {"messages": HELLO}, is_comment),
    "completions": Form("/v1/completions", {"prompt": "Hello!"}, is_comment),
    "responses": Form("/v1/responses", {"input": "Hello!"}, is_comment),
    "anthropic": Form("/v1/messages", {"messages": HELLO, "max_tokens": 99}, is_ping_event),
    "ollama": Form("/api/chat", {"messages": HELLO}, is_empty_chat),
    "generate": Form("/api/generate", {"prompt": "Hello!"}, is_empty_text),
}


async def ask(node: Running, api: str, model: str, *, stream: bool = True) -> tuple[int, bytes]:
    """Status and body of one answer."""
    form = FORMS[api]
    body = form.body | {"model": model, "stream": stream}
    answer = await node.ask(post(body, BEARER, path=form.path))
    assert answer.whole
    return answer.status, answer.body


def records_of(api: str, body: bytes) -> list[bytes]:
    """The records of a stream: events and comments, or lines."""
    end = b"\n" if api in ("ollama", "generate") else b"\n\n"
    assert body.endswith(end)
    return body.removesuffix(end).split(end)


@pytest.mark.parametrize(
    ("shape", "api"),
    [
        *(("generic", api) for api in STREAMS),
        *(("ollama", api) for api in STREAMS if api != "completions"),
        *(("anthropic", api) for api in CHATS),
    ],
)
async def test_clients_that_stream_live_through_silence(shape: str, api: str) -> None:
    async with mocking(SLOW, shape) as mock:
        how = make_settings(providers={"up": upstream(mock, models=("m",))}, stream_keepalive_s=BRIEF)
        async with serving(how) as node:
            assert await STREAMS[api](node.url, "m") == "Hello"
            status, body = await ask(node, api, "m")
    assert status == 200
    pings = [FORMS[api].ping(record) for record in records_of(api, body)]
    content = pings.index(False)
    assert content > 0, "no ping before the first token"
    assert any(pings[content:]), "no ping between two tokens"


@pytest.mark.parametrize(("api", "fast"), [*((api, True) for api in CHATS), ("openai", False)])
async def test_another_upstream_answers_after_pings(api: str, fast: bool) -> None:
    async with mocking(SILENT) as silent, mocking(Script(text="Hi")) as good:
        targets = tuple(Target(provider=name, model="m", priority=at) for at, name in enumerate(("a", "b")))
        how = make_settings(
            providers={"a": upstream(silent, models=("m",)), "b": upstream(good, models=("m",))},
            routes={"r": Route(targets=targets, timeouts=Timeouts(first_byte=0.3))},
            stream_keepalive_s=BRIEF,
        )
        async with serving(how, fast=fast) as node:
            assert await STREAMS[api](node.url, "r") == "Hi"
            status, body = await ask(node, api, "r")
        assert (len(silent.calls), len(good.calls)) == (2, 2)
    assert status == 200
    assert FORMS[api].ping(records_of(api, body)[0])


@pytest.mark.parametrize("api", CHATS)
async def test_a_failure_after_pings_is_the_apis_own_error_event(api: str) -> None:
    async with mocking(SILENT) as mock:
        section = upstream(mock, models=("m",), timeouts=Timeouts(first_byte=0.3))
        how = make_settings(providers={"up": section}, stream_keepalive_s=BRIEF)
        async with serving(how) as node:
            with pytest.raises(FAILURES[api], match=r"providers\.up\.timeouts\.first_byte"):
                await STREAMS[api](node.url, "m")
            status, body = await ask(node, api, "m")
    *pings, last = records_of(api, body)
    assert status == 200
    assert all(FORMS[api].ping(record) for record in pings)
    assert b"after 0.3 s (providers.up.timeouts.first_byte)" in last


@pytest.mark.parametrize("api", CHATS)
@pytest.mark.parametrize(
    ("script", "stream", "words"),
    [
        (SILENT, True, b"waiting for an answer from "),
        (SILENT, False, b"waiting for an answer from "),
        (Script(text="one two three", fault=Fault("stall_after", after=1)), True, b"silent for "),
    ],
    ids=["first byte", "whole", "within"],
)
async def test_a_timeout_names_its_setting(api: str, script: Script, stream: bool, words: bytes) -> None:
    async with mocking(script) as mock:
        how = make_settings(providers={"up": upstream(mock, models=("m",))}, request_timeout_s=0.2)
        async with serving(how) as node:
            status, body = await ask(node, api, "m", stream=stream)
    assert status == (200 if words == b"silent for " else 502)
    assert words in body
    assert b"0.2 s (REQUEST_TIMEOUT_S)" in body


@pytest.mark.parametrize("api", CHATS)
async def test_a_whole_answer_comes_without_pings(api: str) -> None:
    script = Script(text="Hello", delay_first_s=0.3)
    async with mocking(script) as mock:
        section = upstream(mock, models=("m",))
        how = make_settings(providers={"up": section}, stream_keepalive_s=BRIEF, first_byte_timeout_s=0.1)
        async with serving(how) as node:
            status, body = await ask(node, api, "m", stream=False)
    assert status == 200
    assert b"Hello" in body
    msgspec.json.decode(body)


@pytest.mark.parametrize("stream", [True, False])
async def test_an_attempt_that_timed_out_is_charged_for_its_prompt(stream: bool) -> None:
    async with mocking(SILENT) as mock:
        section = upstream(mock, models=("m",), local=False)
        prices = {"up/m": Price(input=1_000_000)}
        how = make_settings(providers={"up": section}, prices=prices, request_timeout_s=0.3)
        async with serving(how) as node:
            asking = asyncio.ensure_future(ask(node, "openai", "m", stream=stream))
            await until(lambda: bool(node.gateway.pipeline.active))
            (active,) = node.gateway.pipeline.active
            status, _ = await asking
    (attempt,) = active.attempts
    tokens = attempt.charge.usage.prompt_tokens
    assert status == 502
    assert tokens > 5
    assert (attempt.charge.estimated, attempt.charge.cost) == (True, tokens * 1_000_000)


async def test_pings_can_be_turned_off() -> None:
    async with mocking(SILENT) as mock:
        how = make_settings(
            providers={"up": upstream(mock, models=("m",))}, stream_keepalive_s=0, request_timeout_s=0.2
        )
        async with serving(how) as node:
            status, _ = await ask(node, "openai", "m")
    assert status == 502


async def test_requests_that_wait_for_room_get_pings() -> None:
    async with mocking(SILENT) as mock:
        section = upstream(mock, models=("m",), max_concurrent=1)
        how = make_settings(providers={"up": section}, stream_keepalive_s=BRIEF, queue_timeout_s=0.1)
        async with serving(how) as node:
            wire = await node.connect()
            wire.send(post(FORMS["openai"].body | {"model": "m"}, BEARER))
            await until(lambda: bool(mock.calls))
            status, body = await ask(node, "openai", "m")
    *pings, last = records_of("openai", body)
    assert status == 200
    assert pings
    assert all(is_comment(record) for record in pings)
    assert b"QUEUE_TIMEOUT_S" in last
