"""Streams whose upstream sends them byte by byte, put together again by the vendors' own clients."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import anthropic
import ollama
import openai
import pytest

from tests.gateways import GUARD, KEY, Running, make_settings, serving, upstream
from trunkline_mock import Fault, MockUpstream, Script, ToolCall

TEXT = ("Naïve ", "café — ", "日本語 ", "🛰️ ", "done")
ARGUMENTS = {"city": "Zürich 🏔", "days": [1, 2], "note": 'a "quoted" \\ word'}
SCRIPT = Script(
    text=TEXT,
    tool_calls=(ToolCall("weather", ARGUMENTS), ToolCall("weather", {"city": "Oslo"})),
    fault=Fault("split_every_byte"),
)
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}
SAID = [{"role": "user", "content": "Hello"}]


class Heard(NamedTuple):
    """What a client's own accumulation came to."""

    text: str
    calls: list[Any]


async def by_chat(node: Running) -> Heard:
    client = openai.AsyncOpenAI(
        base_url=f"{node.url}/v1", api_key=KEY, max_retries=0, timeout=GUARD, _strict_response_validation=True
    )
    tool: Any = {"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}}
    async with (
        client,
        client.chat.completions.stream(model="m", messages=SAID, tools=[tool]) as stream,  # type: ignore[arg-type]
    ):
        message = (await stream.get_final_completion()).choices[0].message
    return Heard(
        message.content or "", [json.loads(call.function.arguments) for call in message.tool_calls or ()]
    )


async def by_responses(node: Running) -> Heard:
    client = openai.AsyncOpenAI(
        base_url=f"{node.url}/v1", api_key=KEY, max_retries=0, timeout=GUARD, _strict_response_validation=True
    )
    tool: Any = {"type": "function", "name": "weather", "parameters": PARAMETERS, "strict": False}
    async with client, client.responses.stream(model="m", input="Hello", tools=[tool]) as stream:
        response = await stream.get_final_response()
    calls = [json.loads(item.arguments) for item in response.output if item.type == "function_call"]
    return Heard(response.output_text, calls)


async def by_messages(node: Running) -> Heard:
    client = anthropic.AsyncAnthropic(
        base_url=node.url, api_key=KEY, max_retries=0, timeout=GUARD, _strict_response_validation=True
    )
    tool: Any = {"name": "weather", "input_schema": PARAMETERS}
    asked: dict[str, Any] = {"model": "m", "max_tokens": 500, "messages": SAID, "tools": [tool]}
    async with client, client.messages.stream(**asked) as stream:
        message = await stream.get_final_message()
    return Heard(
        "".join(block.text for block in message.content if block.type == "text"),
        [block.input for block in message.content if block.type == "tool_use"],
    )


async def by_ollama(node: Running) -> Heard:
    client = ollama.AsyncClient(node.url, headers={"Authorization": f"Bearer {KEY}"})
    tool: Any = {"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}}
    text, calls = "", []
    async with client._client:  # it has no other way to be closed
        async for part in await client.chat("m", SAID, tools=[tool], stream=True):
            text += part.message.content or ""
            calls += [dict(call.function.arguments) for call in part.message.tool_calls or ()]
    return Heard(text, calls)


CLIENTS = {
    "openai": by_chat,
    "responses": by_responses,
    "anthropic": by_messages,
    "ollama": by_ollama,
}


@asynccontextmanager
async def gateway(shape: str) -> AsyncIterator[Running]:
    async with MockUpstream(shape, SCRIPT, models=["m"]) as mock:
        providers = {"up": upstream(mock, models=("m",))}
        async with serving(make_settings(providers=providers)) as node:
            yield node


@pytest.mark.parametrize("shape", ["generic", "anthropic", "ollama"])
@pytest.mark.parametrize("client", CLIENTS)
async def test_the_whole_comes_out(client: str, shape: str) -> None:
    async with gateway(shape) as node:
        heard = await CLIENTS[client](node)
    assert heard.text == "".join(TEXT)
    assert heard.calls == [ARGUMENTS, {"city": "Oslo"}]
