"""Anthropic's own client in front of upstreams that speak OpenAI's and Ollama's APIs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import pytest
from anthropic.types import ToolUseBlock

from tests.gateways import GUARD, KEY, Running, make_settings, serving, upstream
from trunkline.settings.sections import LimitRule
from trunkline_mock import Fault, MockUpstream, Script, ToolCall

HELLO: list[Any] = [{"role": "user", "content": "Hello!"}]
TOOL: Any = {
    "name": "weather",
    "description": "The weather somewhere",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}


@pytest.fixture(params=["generic", "ollama"])
async def mock(request: pytest.FixtureRequest) -> AsyncIterator[MockUpstream]:
    async with MockUpstream(request.param, Script(text="Hi — there"), models=["m"]) as running:
        yield running


def client(node: Running, path: str = "", **more: Any) -> anthropic.AsyncAnthropic:
    given: dict[str, Any] = {"api_key": KEY, "max_retries": 0, "timeout": GUARD} | more
    return anthropic.AsyncAnthropic(base_url=node.url + path, _strict_response_validation=True, **given)


@asynccontextmanager
async def asking(mock: MockUpstream, path: str = "", **more: Any) -> AsyncIterator[anthropic.AsyncAnthropic]:
    how = make_settings(providers={"up": upstream(mock, models=("m",))}, **more)
    async with serving(how) as node, client(node, path) as found:
        yield found


async def test_an_answer(mock: MockUpstream) -> None:
    async with asking(mock) as found:
        raw = await found.messages.with_raw_response.create(model="m", max_tokens=9, messages=HELLO)
        message = await raw.parse()
    assert [block.text for block in message.content if block.type == "text"] == ["Hi — there"]
    assert (message.type, message.role, message.stop_reason) == ("message", "assistant", "end_turn")
    assert message.usage.output_tokens > 0
    assert raw.headers["request-id"] == raw.headers["x-request-id"] == message._request_id


@pytest.mark.parametrize("path", ["", "/up"])
async def test_a_stream(mock: MockUpstream, path: str) -> None:
    asked: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": HELLO}
    async with asking(mock, path) as found, found.messages.stream(**asked) as stream:
        kinds = [event.type async for event in stream]
        message = await stream.get_final_message()
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")
    assert [block.text for block in message.content if block.type == "text"] == ["Hi — there"]
    assert message.usage.output_tokens > 0


@pytest.mark.parametrize("streamed", [False, True])
async def test_tools_over_two_turns(mock: MockUpstream, streamed: bool) -> None:
    mock.script = Script(
        text="", tool_calls=(ToolCall("weather", {"city": "Rome"}), ToolCall("weather", {"city": "Oslo"}))
    )
    async with asking(mock) as found:
        asked: dict[str, Any] = {"model": "m", "max_tokens": 50, "tools": [TOOL]}
        if streamed:
            async with found.messages.stream(messages=HELLO, **asked) as stream:
                message = await stream.get_final_message()
        else:
            message = await found.messages.create(messages=HELLO, **asked)
        calls = [block for block in message.content if isinstance(block, ToolUseBlock)]
        assert message.stop_reason == "tool_use"
        assert [call.input for call in calls] == [{"city": "Rome"}, {"city": "Oslo"}]
        mock.script = Script(text="Warm, cold")
        results = [
            {"type": "tool_result", "tool_use_id": call.id, "content": text}
            for call, text in zip(reversed(calls), ("cold", "warm"), strict=True)
        ]
        turns: list[Any] = [
            *HELLO,
            {"role": "assistant", "content": message.content},
            {"role": "user", "content": results},
        ]
        await found.messages.create(messages=turns, **asked)
    sent = [each for each in mock.calls[-1].json["messages"] if each["role"] == "tool"]
    if mock.shape.name == "generic":
        texts = {each["tool_call_id"]: each["content"] for each in sent}
        assert [texts[call.id] for call in calls] == ["warm", "cold"]
    else:
        assert {each["content"] for each in sent} == {"warm", "cold"}


async def test_thinking(mock: MockUpstream) -> None:
    mock.script = Script(text="42", thinking="Let me see")
    async with asking(mock) as found:
        message = await found.messages.create(
            model="m", max_tokens=3000, messages=HELLO, thinking={"type": "enabled", "budget_tokens": 2000}
        )
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert "Let me see" in message.content[0].model_dump_json()


async def test_what_there_is(mock: MockUpstream) -> None:
    async with asking(mock) as found:
        models = await found.models.list()
        assert [model.id for model in models.data] == ["m", "custom"]
        assert (await found.models.retrieve("m")).type == "model"
        count = await found.messages.count_tokens(model="m", messages=HELLO, system="Be brief")
        assert 5 < count.input_tokens < 40


@pytest.mark.parametrize(
    ("changes", "kind", "word"),
    [
        ({"model": "nobody"}, anthropic.NotFoundError, "not_found_error"),
        ({"messages": [{"role": "x", "content": ""}]}, anthropic.BadRequestError, "invalid_request_error"),
        ({"max_tokens": -1}, anthropic.BadRequestError, "invalid_request_error"),
    ],
)
async def test_what_is_refused(
    mock: MockUpstream, changes: dict[str, Any], kind: type[anthropic.APIStatusError], word: str
) -> None:
    asked: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": HELLO}
    async with asking(mock) as found:
        with pytest.raises(kind) as caught:
            await found.messages.create(**asked | changes)
    assert caught.value.request_id
    assert isinstance(caught.value.body, dict)
    assert (caught.value.body["type"], caught.value.body["error"]["type"]) == ("error", word)


async def test_a_wrong_key_and_a_limit(mock: MockUpstream) -> None:
    how = make_settings(
        providers={"up": upstream(mock, models=("m",))}, limits=(LimitRule(key="*", requests_per_minute=1),)
    )
    async with serving(how) as node:
        async with client(node, api_key="gw_wrong") as found:
            with pytest.raises(anthropic.AuthenticationError):
                await found.messages.create(model="m", max_tokens=9, messages=HELLO)
        async with client(node, api_key=None, auth_token=KEY) as found:  # as Claude Code sends it
            await found.messages.create(model="m", max_tokens=9, messages=HELLO)
            with pytest.raises(anthropic.RateLimitError) as caught:
                await found.messages.create(model="m", max_tokens=9, messages=HELLO)
    assert "retry-after" in caught.value.response.headers


@pytest.mark.parametrize("fault", [Fault("close_after", after=1), Fault("no_done")])
async def test_a_stream_that_breaks_off_is_an_error(mock: MockUpstream, fault: Fault) -> None:
    mock.script = Script(text="one two three four", fault=fault)
    async with asking(mock) as found:
        with pytest.raises(anthropic.APIError):
            async with found.messages.stream(model="m", max_tokens=9, messages=HELLO) as stream:
                await stream.get_final_message()


RUN: Any = {"type": "code_execution_20250825", "name": "code_execution"}
SEARCH: Any = {"type": "web_search_20250305", "name": "web_search"}
PAPER: Any = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "paper"}}
READ: list[Any] = [
    *HELLO,
    {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "read", "input": {}}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": [PAPER]}]},
]


@pytest.mark.parametrize(
    "asked",
    [
        {"messages": HELLO, "tools": [SEARCH]},
        {"messages": READ},
        {
            "messages": HELLO,
            "extra_headers": {"anthropic-beta": "context-management-2025-06-27"},
            "extra_body": {"context_management": {"edits": []}},
        },
    ],
    ids=["servers-tool", "document-as-result", "beta-field"],
)
async def test_who_wrote_the_api_counts_all_that_it_takes(asked: dict[str, Any]) -> None:
    async with MockUpstream("anthropic", models=["m"]) as mock, asking(mock) as found:
        count = await found.messages.count_tokens(model="m", **asked)
        assert count.input_tokens > 0
    sent = mock.calls[-1]
    assert sent.path == "/v1/messages/count_tokens"
    assert sent.json["messages"] == asked["messages"]
    assert sent.headers.get("anthropic-beta") == asked.get("extra_headers", {}).get("anthropic-beta")


async def test_nobody_counts_what_cannot_be_sent(mock: MockUpstream) -> None:
    async with asking(mock) as found:
        with pytest.raises(anthropic.BadRequestError, match="code_execution"):
            await found.messages.count_tokens(model="m", messages=HELLO, tools=[RUN])
