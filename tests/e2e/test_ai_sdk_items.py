"""The AI SDK's default OpenAI provider over several turns: requests as it makes them.

From the second turn on it sends no assistant's content that it has seen, but an ``item_reference`` to every
part of it that has an id. Shapes: ``convertToOpenAIResponsesInput`` of ``@ai-sdk/openai`` without ``store``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tests.gateways import BEARER, KEY, Running, events, make_settings, post, serving, upstream
from trunkline.settings.sections import ResponsesRule
from trunkline_mock import MockUpstream, Script, ToolCall

TOOLS = [
    {
        "type": "function",
        "name": "weather",
        "description": "The weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        "strict": False,
    }
]
OTHER = b"Authorization: Bearer gw_" + b"o" * 43 + b"\r\n"


def said(text: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "input_text", "text": text}]}


def referred(output: list[Any]) -> list[dict[str, Any]]:
    return [{"type": "item_reference", "id": item["id"]} for item in output]


async def turn(node: Running, input: list[Any], *, stream: bool, key: bytes = BEARER) -> list[Any]:
    """The output of one request."""
    body = {"model": "gpt-4o", "input": input, "tools": TOOLS, "tool_choice": "auto", "stream": stream}
    answer = await node.ask(post(body, key, path="/v1/responses"))
    assert answer.status == 200, answer.body
    response = events(answer.body)[-1]["response"] if stream else answer.json
    assert response["store"] is True
    output: list[Any] = response["output"]
    return output


async def converse(node: Running, mock: MockUpstream, *, stream: bool) -> list[Any]:
    """A call, its result, an answer, another question: what was referred to in the last request."""
    history: list[Any] = [{"role": "system", "content": "Be brief."}, said("Weather in Rome?")]
    mock.script = Script(
        thinking="I look it up.", tool_calls=(ToolCall("weather", {"city": "Rome"}),), text=""
    )
    output = await turn(node, history, stream=stream)
    call = next(item for item in output if item["type"] == "function_call")
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": '{"sky":"blue"}'}
    history += [*referred(output), result]
    mock.script = Script(text="Blue sky.")
    history += [*referred(await turn(node, history, stream=stream)), said("And tomorrow?")]
    mock.script = Script(text="Grey.")
    await turn(node, history, stream=stream)
    return history


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("shape", ["generic", "openrouter", "vllm"])
async def test_several_turns_where_requests_are_translated(shape: str, stream: bool) -> None:
    async with MockUpstream(shape, models=["gpt-4o"]) as mock:
        told = upstream(mock, speaks=()) if shape == "openrouter" else upstream(mock)
        async with serving(make_settings(providers={"plain": told})) as node:
            await converse(node, mock, stream=stream)
        messages = mock.calls[-1].json["messages"]
    assert [each["role"] for each in messages] == ["system", "user", "assistant", "tool", "assistant", "user"]
    assert messages[2]["tool_calls"][0]["function"]["name"] == "weather"
    assert messages[2]["tool_calls"][0]["id"] == messages[3]["tool_call_id"]
    assert (messages[3]["content"], messages[4]["content"]) == ('{"sky":"blue"}', "Blue sky.")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("shape", "speaks"), [("anthropic", None), ("ollama", ())])
async def test_several_turns_at_other_vendors(shape: str, speaks: Any, stream: bool) -> None:
    async with MockUpstream(shape, models=["gpt-4o"]) as mock:
        told = upstream(mock, **({} if speaks is None else {"speaks": speaks}))
        async with serving(
            make_settings(providers={"plain": told}, ollama_enabled=shape == "ollama")
        ) as node:
            await converse(node, mock, stream=stream)
        sent = mock.calls[-1].json["messages"]
    text = str(sent)
    assert [text.find(each) for each in ("Rome?", "blue", "Blue sky.", "tomorrow")] == sorted(
        text.find(each) for each in ("Rome?", "blue", "Blue sky.", "tomorrow")
    )
    assert "Blue sky." in text


@pytest.mark.parametrize("stream", [False, True])
async def test_an_upstream_that_stored_the_items_is_sent_the_references(stream: bool) -> None:
    async with MockUpstream("openai", models=["gpt-4o"]) as mock:
        async with serving(make_settings(providers={"plain": upstream(mock)})) as node:
            history = await converse(node, mock, stream=stream)
        assert mock.calls[-1].json["input"] == history


async def test_another_key_reads_no_item() -> None:
    keys = (SecretStr(KEY), SecretStr("gw_" + "o" * 43))
    for shape in ("generic", "openai"):
        async with MockUpstream(shape, Script(text="A secret"), models=["gpt-4o"]) as mock:
            how = make_settings(allowed_api_keys=keys, providers={"plain": upstream(mock)})
            async with serving(how) as node:
                output = await turn(node, [said("Tell me")], stream=False)
                body = {"model": "gpt-4o", "input": [*referred(output), said("What was it?")]}
                answer = await node.ask(post(body, OTHER, path="/v1/responses"))
                assert (answer.status, answer.error["param"]) == (400, "input[0]")
                assert "Items are not persisted when `store` is set to false" in answer.error["message"]
            assert len(mock.calls) == 1


async def test_items_survive_the_gateway(tmp_path: Path) -> None:
    how: dict[str, Any] = {"ledger_dir": tmp_path / "ledger", "responses": ResponsesRule()}
    async with MockUpstream("generic", Script(text="384,400 km"), models=["gpt-4o"]) as mock:
        async with serving(make_settings(providers={"plain": upstream(mock)}, **how)) as node:
            output = await turn(node, [said("How far?")], stream=False)
        async with serving(make_settings(providers={"plain": upstream(mock)}, **how)) as node:
            await turn(node, [said("How far?"), *referred(output), said("In miles?")], stream=True)
        sent = [each["content"] for each in mock.calls[-1].json["messages"]]
    assert sent == ["How far?", "384,400 km", "In miles?"]
    (file,) = (path for path in (tmp_path / "ledger").iterdir() if path.suffix == ".db")
    assert file.stat().st_mode & 0o077 == 0
