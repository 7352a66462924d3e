"""JSON mode without a schema in front of Anthropic, which has none, with the clients that ask for it."""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pytest

from tests.gateways import GUARD, KEY, make_settings, serving, upstream
from trunkline.dialects.json_mode import INSTRUCTION
from trunkline_mock import MockUpstream, Script, ToolCall

ASKED = "Answer as JSON: {'city': string}"
JSON = '{"city": "Rome", "note": "a } and a \\"quote\\""}'
TOOL: dict[str, Any] = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


async def ask(node_url: str, front: str, stream: bool, **more: Any) -> str:
    """The text of the answer, as the vendor's client or plain HTTP reads it."""
    if front == "ollama":
        body = {"model": "m", "messages": [{"role": "user", "content": ASKED}]}
        headers = {"authorization": f"Bearer {KEY}"}
        async with httpx.AsyncClient(base_url=node_url, headers=headers, timeout=GUARD) as http:
            answer = await http.post("/api/chat", json=body | {"format": "json", "stream": stream} | more)
        lines = [json.loads(line) for line in answer.content.splitlines()]
        assert lines[-1]["done"] is True
        return "".join(line["message"]["content"] for line in lines)
    async with openai.AsyncOpenAI(
        base_url=node_url + "/v1", api_key=KEY, max_retries=0, timeout=GUARD
    ) as client:
        given: dict[str, Any] = {"model": "m", "stream": stream, **more}
        if front == "responses":
            given |= {"input": ASKED, "text": {"format": {"type": "json_object"}}}
            found: Any = await client.responses.create(**given)
            if not stream:
                return str(found.output_text)
            return "".join(
                [event.delta async for event in found if event.type == "response.output_text.delta"]
            )
        given |= {"messages": [{"role": "user", "content": ASKED}]}
        found = await client.chat.completions.create(**given, response_format={"type": "json_object"})
        if not stream:
            return found.choices[0].message.content or ""
        return "".join([chunk.choices[0].delta.content or "" async for chunk in found if chunk.choices])


@pytest.mark.parametrize("front", ["chat", "responses", "ollama"])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("text", "read"),
    [
        (JSON, JSON),
        (f"```json\n{JSON}\n```", JSON),
        (f"Here it is:\n\n{JSON}\n\nAnything else?", JSON),
        ("I must refuse.", "I must refuse."),
    ],
)
async def test_json_without_a_schema(front: str, stream: bool, text: str, read: str) -> None:
    async with MockUpstream("anthropic", Script(text=text, chunk_size=3), models=["m"]) as mock:
        how = make_settings(providers={"up": upstream(mock, models=("m",))})
        async with serving(how) as node:
            assert await ask(node.url, front, stream) == read
        sent = mock.calls[-1].json
    assert INSTRUCTION in str(sent["system"])
    assert "output_config" not in sent


@pytest.mark.parametrize("stream", [True, False])
async def test_text_beside_a_call_is_kept(stream: bool) -> None:
    script = Script(text="I look it up.", tool_calls=(ToolCall("f", {}),))
    async with MockUpstream("anthropic", script, models=["m"]) as mock:
        how = make_settings(providers={"up": upstream(mock, models=("m",))})
        async with serving(how) as node:
            assert await ask(node.url, "chat", stream, tools=[TOOL]) == "I look it up."
