"""OpenRouter in the dialects that it has besides OpenAI's chat: their vendors' clients pass through."""

from __future__ import annotations

import re
from typing import Any

import anthropic
import httpx
import openai
import pytest

from tests.gateways import GUARD, KEY, make_settings, serving, upstream
from trunkline_mock import MockUpstream, Script, ToolCall

MODEL = "anthropic/claude-3.5-sonnet"
SCRIPT = Script(
    thinking="Rome, then.",
    text="Hi — there",
    tool_calls=(ToolCall("weather", {"city": "Rome"}),),
    comments=0,  # heartbeats stay behind
)
MESSAGE: dict[str, Any] = {
    "model": MODEL,
    "max_tokens": 2000,
    "messages": [{"role": "user", "content": "Hello!"}],
    "tools": [{"name": "weather", "input_schema": {"type": "object"}}],
}
RESPONSE: dict[str, Any] = {
    "model": MODEL,
    "input": "Hello!",
    "tools": [{"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": False}],
}


async def straight(mock: MockUpstream, path: str, sent: bytes) -> bytes:
    """What the upstream itself answers to a body."""
    async with httpx.AsyncClient(timeout=GUARD) as client:
        answer = await client.post(
            f"{mock.base_url}/{path}", content=sent, headers={"content-type": "application/json"}
        )
    return answer.content


@pytest.mark.parametrize("streamed", [False, True])
async def test_anthropics_client_passes_through(streamed: bool) -> None:
    async with MockUpstream("openrouter", SCRIPT) as mock:
        how = make_settings(providers={"router": upstream(mock, models=(MODEL,))})
        async with (
            serving(how) as node,
            anthropic.AsyncAnthropic(base_url=node.url, api_key=KEY, max_retries=0, timeout=GUARD) as client,
        ):
            async with client.messages.with_streaming_response.create(**MESSAGE, stream=streamed) as raw:
                got = await raw.read()
            message = await client.messages.create(**MESSAGE)
        call = mock.calls[0]
        assert call.path == "/api/v1/messages"
        assert call.json == MESSAGE | {"stream": streamed}
        assert got == await straight(mock, "messages", call.body)
    assert [block.type for block in message.content][-2:] == ["text", "tool_use"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_openais_client_passes_through(streamed: bool) -> None:
    asked = RESPONSE | {"stream": streamed}
    async with MockUpstream("openrouter", SCRIPT) as mock:
        how = make_settings(providers={"router": upstream(mock, models=(MODEL,))})
        async with (
            serving(how) as node,
            openai.AsyncOpenAI(
                base_url=f"{node.url}/v1", api_key=KEY, max_retries=0, timeout=GUARD
            ) as client,
        ):
            async with client.responses.with_streaming_response.create(**asked) as raw:
                got = await raw.read()
            response = await client.responses.create(**RESPONSE)
        call = mock.calls[0]
        assert call.path == "/api/v1/responses"
        assert call.json == asked
        assert _timeless(got) == _timeless(await straight(mock, "responses", call.body))
    assert [item.type for item in response.output] == ["reasoning", "message", "function_call"]


def _timeless(answer: bytes) -> bytes:
    """Without the seconds in which it was made."""
    return re.sub(rb'"(created_at|completed_at)":\d+', rb'"\1":0', answer)
