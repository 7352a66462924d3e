"""Message threads, and Anthropic's own client in front of them."""

from __future__ import annotations

from typing import Any, Final

import httpx
import pytest
from anthropic import AsyncAnthropic, beta_async_tool

from trunkline_mock import MockUpstream, Script, ToolCall
from trunkline_mock.shapes.anthropic.shape import AnthropicShape
from trunkline_mock.shapes.anthropic.threads import BETA, ThreadStore

from ..http_client import mock_client

_CREATE: Final = {"type": "create"}
_BETA: Final = {"anthropic-beta": BETA}
_TOOL: Final = {"name": "f", "input_schema": {"type": "object"}}


def _user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


async def ask(client: httpx.AsyncClient, text: str, **fields: Any) -> httpx.Response:
    body = {"model": "claude-opus-5", "max_tokens": 99, "messages": [_user(text)], **fields}
    return await client.post("/v1/messages", json=body, headers=_BETA)


def _next(answer: httpx.Response) -> dict[str, Any]:
    return {"type": "continue", "previous_message_id": answer.json()["id"]}


def _code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["details"]["error_code"]


async def test_a_thread_is_continued_with_what_it_holds() -> None:
    async with mock_client("anthropic", strict=True) as client:
        first = await ask(client, "one two three", thread=_CREATE, system="Be brief.")
        second = await ask(client, "four", thread=_next(first))
        third = await ask(client, "five", thread=_next(second))
    tokens = [answer.json()["usage"]["input_tokens"] for answer in (first, second, third)]
    assert tokens == [5, 5 + 5 + 1, 11 + 3 + 1]
    assert len({answer.json()["id"] for answer in (first, second, third)}) == 3


async def test_a_call_of_the_thread_gets_its_result_in_the_next_turn() -> None:
    async with mock_client("anthropic", Script(tool_calls=(ToolCall("f", {}, "toolu_1"),))) as client:
        first = await ask(client, "x", thread=_CREATE, tools=[_TOOL])
        result = [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "42"}]
        lost = await ask(client, "y", thread=_next(first))
        second = await ask(client, "", messages=[{"role": "user", "content": result}], thread=_next(first))
    assert (lost.status_code, second.status_code) == (400, 200)


async def test_what_a_thread_cannot_do() -> None:
    async with mock_client("anthropic") as client:
        unknown = {"type": "continue", "previous_message_id": "msg_doesnotexist"}
        assert _code(await ask(client, "x", thread=unknown)) == (404, "thread_not_found")
        first = await ask(client, "x", thread=_CREATE, system="Be brief.")
        other = await ask(client, "x", thread=_next(first), system="Be long.")
        assert _code(other) == (400, "thread_fingerprint_mismatch")
        assert (await ask(client, "x", thread=_next(first))).status_code == 200
        assert _code(await ask(client, "x", thread=_next(first))) == (400, "thread_already_continued")
        fields = {"context_management": {}, "system": [{"type": "text", "text": "x", "cache_control": None}]}
        cannot = await ask(client, "x", thread=_CREATE, **fields)
        assert _code(cannot) == (400, "thread_unsupported_request")
        assert cannot.json()["error"]["details"]["unsupported"] == ["cache_control", "context_management"]
        without = await client.post(
            "/v1/messages",
            json={"model": "claude-opus-5", "max_tokens": 9, "messages": [_user("x")], "thread": _CREATE},
        )
        assert without.status_code == 400


async def test_a_thread_is_forgotten_after_five_minutes() -> None:
    now = 0.0
    mock = MockUpstream("anthropic")
    assert isinstance(mock.shape, AnthropicShape)
    mock.shape._threads = ThreadStore(lambda: now)
    async with (
        mock,
        httpx.AsyncClient(base_url=mock.url, headers={"anthropic-version": "2023-06-01"}) as client,
    ):
        first = await ask(client, "x", thread=_CREATE)
        now = 299.0
        second = await ask(client, "x", thread=_next(first))
        assert second.status_code == 200
        now = 600.0
        assert _code(await ask(client, "x", thread=_next(second))) == (404, "thread_not_found")


@beta_async_tool
async def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"Sunny in {city}"


@pytest.mark.parametrize("lost", [False, True])
async def test_the_vendors_tool_runner_uses_a_thread(lost: bool) -> None:
    scripts = [Script(tool_calls=(ToolCall("get_weather", {"city": "Rome"}),)), Script(text="Done.")]
    async with (
        MockUpstream("anthropic", scripts=scripts, strict=True) as mock,
        AsyncAnthropic(api_key="sk-x", base_url="http://127.0.0.1", max_retries=0) as plain,
    ):
        client = plain.with_options(base_url=mock.url)
        runner = client.beta.messages.tool_runner(
            model="claude-opus-5",
            max_tokens=99,
            messages=[{"role": "user", "content": "Weather?"}],
            tools=[get_weather],
        )
        first = await anext(aiter(runner))
        assert first.content[0].type == "tool_use"
        if lost:
            assert isinstance(mock.shape, AnthropicShape)
            mock.shape._threads = ThreadStore()
        message = await runner.until_done()
    assert message.content[0].type == "text"
    threads = [call.json.get("thread", {}).get("type") for call in mock.calls]
    assert threads[:2] == ["create", "continue"]
    if lost:
        assert threads[2:] == ["create"]
