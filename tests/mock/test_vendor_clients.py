"""The vendors' own Python clients work with the mock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import ollama
import openai
import pytest
from pydantic import BaseModel

from trunkline_mock import Fault, FaultKind, MockUpstream, Script, ToolCall, Usage

from .wire import MODELS

_TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {"name": name, "parameters": {"type": "object", "properties": {}, "required": []}},
    }
    for name in ("first", "second")
]
_MESSAGES: list[Any] = [{"role": "user", "content": "hello there"}]


class City(BaseModel):
    name: str
    people: int


@asynccontextmanager
async def openai_client(mock: MockUpstream) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=mock.base_url, api_key="k", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("shape", ["openai", "openrouter", "cerebras"])
async def test_the_openai_client(shape: str) -> None:
    model = MODELS[shape]
    async with MockUpstream(shape, require_key="k") as mock, openai_client(mock) as client:
        answer = await client.chat.completions.create(model=model, messages=_MESSAGES)
        assert answer.choices[0].message.content == f"{model} heard: hello there"
        assert answer.usage is not None
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (2, 4)
        text, counted = "", None
        async for chunk in await client.chat.completions.create(
            model=model, messages=_MESSAGES, stream=True, stream_options={"include_usage": True}
        ):
            text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
            counted = chunk.usage or counted
        assert text == f"{model} heard: hello there"
        assert counted == answer.usage
        parsed = await client.chat.completions.parse(model=model, messages=_MESSAGES, response_format=City)
        assert parsed.choices[0].message.parsed == City(name="mock", people=0)
        called = await client.chat.completions.create(model="mock-tools-2", messages=_MESSAGES, tools=_TOOLS)
        calls = called.choices[0].message.tool_calls or []
        assert [call.type == "function" and call.function.name for call in calls] == ["first", "second"]
        assert model in [listed.id async for listed in client.models.list()]
        with pytest.raises(openai.RateLimitError):
            await client.chat.completions.create(model="mock-status-429-1", messages=_MESSAGES)
        with pytest.raises(openai.APIError):
            async for _ in await client.chat.completions.create(
                model="mock-fault-error_midstream", messages=_MESSAGES, stream=True
            ):
                pass


async def test_the_openai_clients_embeddings() -> None:
    async with MockUpstream("openai") as mock, openai_client(mock) as client:
        answer = await client.embeddings.create(model="text-embedding-3-small", input=["a", "b"])
        assert [len(row.embedding) for row in answer.data] == [8, 8]


async def test_the_ollama_client() -> None:
    async with MockUpstream("ollama", Script(thinking="hm")) as mock:
        client = ollama.AsyncClient(host=mock.url, trust_env=False)
        answer = await client.chat("llama3.2", _MESSAGES, tools=_TOOLS)
        assert answer.message.content == "llama3.2 heard: hello there"
        assert (answer.prompt_eval_count, answer.eval_count) == (2, 5)
        parts = [part async for part in await client.generate("llama3.2", "hello", stream=True)]
        assert "".join(part.response or "" for part in parts) == "llama3.2 heard: hello"
        assert parts[-1].done
        called = await client.chat("mock-tools-2", _MESSAGES, tools=_TOOLS)
        assert [call.function.name for call in called.message.tool_calls or ()] == ["first", "second"]
        listed = (await client.list()).models
        assert "llama3.2:latest" in [model.model for model in listed]
        assert "tools" in ((await client.show("llama3.2")).capabilities or ())
        assert len((await client.embed("nomic-embed-text", ["a", "b"])).embeddings) == 2
        assert (await client.ps()).models[0].model == "llama3.2:latest"
        assert [part.status async for part in await client.pull("new", stream=True)][-1] == "success"
        with pytest.raises(ollama.ResponseError, match="not found"):
            await client.chat("absent", _MESSAGES)
        with pytest.raises(ollama.ResponseError, match="terminated"):
            async for _ in await client.chat("mock-fault-error_midstream", _MESSAGES, stream=True):
                pass
        await client._client.aclose()


_CLAUDE = MODELS["anthropic"]
_ANTHROPIC_TOOLS: list[Any] = [
    {"name": name, "input_schema": {"type": "object", "properties": {}}} for name in ("first", "second")
]


@asynccontextmanager
async def anthropic_client(mock: MockUpstream) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=mock.base_url, api_key="k", max_retries=0) as client:
        yield client


async def test_the_anthropic_client() -> None:
    async with MockUpstream("anthropic", require_key="k") as mock, anthropic_client(mock) as client:
        answer = await client.messages.create(model=_CLAUDE, messages=_MESSAGES, max_tokens=100)
        assert [block.type == "text" and block.text for block in answer.content] == [
            f"{_CLAUDE} heard: hello there"
        ]
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (2, 4)
        assert (answer.stop_reason, answer._request_id is not None) == ("end_turn", True)
        async with client.messages.stream(model=_CLAUDE, messages=_MESSAGES, max_tokens=100) as stream:
            text = "".join([piece async for piece in stream.text_stream])
            final = await stream.get_final_message()
        assert text == f"{_CLAUDE} heard: hello there"
        assert (final.usage, final.stop_reason) == (answer.usage, "end_turn")
        parsed = await client.messages.parse(
            model=_CLAUDE, messages=_MESSAGES, max_tokens=100, output_format=City
        )
        assert parsed.parsed_output == City(name="mock", people=0)
        called = await client.messages.create(
            model="mock-tools-2", messages=_MESSAGES, max_tokens=100, tools=_ANTHROPIC_TOOLS
        )
        assert [block.type == "tool_use" and block.name for block in called.content] == ["first", "second"]
        counted = await client.messages.count_tokens(model=_CLAUDE, messages=_MESSAGES)
        assert counted.input_tokens == 2
        assert [listed.id async for listed in client.models.list(limit=1)] == [
            model.name for model in mock.shape.catalog.all()
        ]
        assert (await client.models.retrieve(_CLAUDE)).display_name == "Claude Haiku 4.5"


async def test_the_anthropic_client_accumulates_a_stream() -> None:
    calls = (ToolCall("weather", {"city": "Rome"}), ToolCall("time", {}))
    script = Script(text="one two", thinking="h m", tool_calls=calls, usage=Usage(10, 9, 4, 2))
    async with MockUpstream("anthropic", script) as mock, anthropic_client(mock) as client:
        fields: dict[str, Any] = {"model": _CLAUDE, "messages": _MESSAGES, "max_tokens": 5000}
        async with client.messages.stream(**fields) as stream:
            kinds = [event.type async for event in stream]
            streamed: dict[str, Any] = (await stream.get_final_message()).to_dict()
        whole: dict[str, Any] = (await client.messages.create(**fields)).to_dict()
        # Ids differ, because the requests do.
        for message in (streamed, whole):
            message.pop("id")
            for block in message["content"]:
                block.pop("id", None)
        assert streamed == whole
        assert kinds.count("text") == 2
        assert kinds.count("thinking") == 2
        assert kinds[-1] == "message_stop"


def test_the_anthropic_client_without_an_event_loop() -> None:
    with (
        MockUpstream.in_thread("anthropic", Script(text="one two")) as mock,
        anthropic.Anthropic(base_url=mock.base_url, api_key="k", max_retries=0) as client,
    ):
        answer = client.messages.create(model=_CLAUDE, messages=[_MESSAGES[0]], max_tokens=100)
        assert answer.content[0].type == "text"
        with client.messages.stream(model=_CLAUDE, messages=[_MESSAGES[0]], max_tokens=100) as stream:
            assert "".join(stream.text_stream) == "one two"
        beta = client.beta.messages.create(
            model=_CLAUDE, messages=[_MESSAGES[0]], max_tokens=100, betas=["context-management-2025-06-27"]
        )
        assert beta.stop_reason == "end_turn"
        assert mock.calls[-1].headers["anthropic-beta"] == "context-management-2025-06-27"


async def test_the_anthropic_client_continues_after_a_tool_result() -> None:
    async with (
        MockUpstream("anthropic", Script(thinking="hm", call_tools=2)) as mock,
        anthropic_client(mock) as client,
    ):
        fields: dict[str, Any] = {"model": _CLAUDE, "max_tokens": 5000, "tools": _ANTHROPIC_TOOLS}
        fields["thinking"] = {"type": "enabled", "budget_tokens": 1024}
        first = await client.messages.create(messages=_MESSAGES, **fields)
        results = [
            {"type": "tool_result", "tool_use_id": block.id, "content": "done"}
            for block in first.content
            if block.type == "tool_use"
        ]
        history = [*_MESSAGES, first.to_param(), {"role": "user", "content": results}]
        second = await client.messages.create(messages=history, **fields)
        assert [block.type for block in second.content] == ["thinking", "text"]
        first.content[0].thinking = "not what it thought"
        with pytest.raises(anthropic.BadRequestError, match="Invalid `signature`"):
            await client.messages.create(messages=[*_MESSAGES, first.to_param(), history[-1]], **fields)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, anthropic.BadRequestError),
        (401, anthropic.AuthenticationError),
        (403, anthropic.PermissionDeniedError),
        (404, anthropic.NotFoundError),
        (429, anthropic.RateLimitError),
        (500, anthropic.InternalServerError),
        (529, anthropic.APIStatusError),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_the_anthropic_clients_errors(status: int, error: type[Exception], stream: bool) -> None:
    async with MockUpstream("anthropic") as mock, anthropic_client(mock) as client:
        with pytest.raises(error) as raised:
            await client.messages.create(
                model=f"mock-status-{status}", messages=_MESSAGES, max_tokens=100, stream=stream
            )
    assert isinstance(raised.value, anthropic.APIStatusError)
    assert raised.value.status_code == status
    assert raised.value.request_id is not None


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        *((kind, "end_turn") for kind in ("big_head", "early_hints", "http_1_0", "huge", "gzip")),
        *((kind, "end_turn") for kind in ("trickle", "split_every_byte", "extra_bytes")),
        *((kind, "APIConnectionError") for kind in ("refuse", "reset_before", "bad_head")),
        *((kind, "InternalServerError") for kind in ("status", "html_error")),
        *((kind, "APIStatusError") for kind in ("error_in_200", "error_midstream")),
        *((kind, "RemoteProtocolError") for kind in ("close_after", "bad_chunk", "wrong_length")),
        ("redirect", "NotFoundError"),
        ("reset_after", "ReadError"),
        ("bad_json", "JSONDecodeError"),
        ("bad_utf8", "UnicodeDecodeError"),
        ("bad_gzip", "DecodingError"),
        ("cut_line", "None"),
        ("no_done", "None"),
        ("missing_done_marker", "end_turn"),
    ],
)
async def test_the_outcome_of_faults_for_the_anthropic_client(kind: FaultKind, outcome: str) -> None:
    script = Script(text="one two three", fault=Fault(kind, size=10_000, delay_s=0))
    async with MockUpstream("anthropic", script) as mock, anthropic_client(mock) as client:
        try:
            async with client.messages.stream(model=_CLAUDE, messages=_MESSAGES, max_tokens=100) as stream:
                actual = str((await stream.get_final_message()).stop_reason)
        except Exception as error:
            actual = type(error).__name__
    assert actual == outcome
