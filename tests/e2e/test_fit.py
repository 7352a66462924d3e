"""What a vendor refuses is changed before it is sent, and changed back in the answer."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import msgspec
import pytest

from tests.e2e.asking import CITY, ask, heard, sent_calls, sent_tools, tool_request
from tests.gateways import BEARER, Running, chat, make_settings, post, serving, upstream
from trunkline.settings import Settings
from trunkline_mock import MockUpstream, Script, ToolCall

LONG = "mcp__a_server_with_a_long_name__and_a_tool_with_an_even_longer_one__x"
FRONTS = ("openai", "anthropic", "responses", "ollama")
BACKS = ("openai", "anthropic", "mistral", "groq")
OWN = ("openai", "")
"""An unknown server gets what its own clients send."""
EXPLAIN = b"x-trunkline-explain: fit\r\n"
VALID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def behind(mock: MockUpstream, vendor: str, model: str = "gpt-4o") -> Settings:
    """A gateway in front of ``mock``, which plays ``vendor``."""
    if vendor in ("openai", "anthropic", "cerebras", "openrouter"):
        section = upstream(mock, models=(model,))
    else:
        section = upstream(mock, type="openai-compatible", vendor=vendor or None, models=(model,))
    return make_settings(providers={"up": section})


def playing(vendor: str, model: str, script: Script | None = None) -> MockUpstream:
    shape = vendor if vendor in ("openai", "anthropic", "cerebras", "openrouter") else "generic"
    quirks = {"usage": "always"} if vendor == "mistral" else {}
    return MockUpstream(shape, script or Script(text="Done."), models=(model,), quirks=quirks)


async def send(node: Running, body: dict[str, Any], *, front: str = "openai", explain: bool = False) -> Any:
    """A successful request; what the client got."""
    return await ask(node, front, body, *([EXPLAIN] if explain else []))


@pytest.mark.parametrize("back", BACKS)
@pytest.mark.parametrize("front", FRONTS)
async def test_names_that_a_vendor_refuses(front: str, back: str) -> None:
    """A tool that is named otherwise is called by the client's name again, and so on the next turn."""
    name = "fs.read" if back == "anthropic" else LONG
    tools = {name: CITY, "plain": CITY}
    async with playing(back, "gpt-4o") as mock, serving(behind(mock, back)) as node:
        sent: set[str] = set()
        for stream, history in [(False, False), (True, False), (False, True), (True, True)]:
            body = tool_request(front, "gpt-4o", tools, stream=stream, history=history, call_id="call12345")
            mock.script = Script(text="Done.")
            assert (await ask(node, front, body)).whole
            (short,) = set(sent_tools(mock.calls[-1].json)) - {"plain"}
            assert VALID.fullmatch(short)
            sent.add(short)
            mock.script = Script(tool_calls=(ToolCall(short, {"city": "Rome"}),))
            got = heard(front, await ask(node, front, body), stream)
            assert got.calls == ((name, {"city": "Rome"}),)
        assert sent == {short}
        assert {call for kind, _, call in sent_calls(mock.calls[-1].json) if kind == "call"} == sent


async def test_names_that_become_the_same_stay_apart() -> None:
    names = ["fs.read", "fs/read", "fs_read", "a" * 70 + "1", "a" * 70 + "2"]
    async with playing("anthropic", "m") as mock, serving(behind(mock, "anthropic", "m")) as node:
        await send(node, tool_request("openai", "m", dict.fromkeys(names, CITY), stream=False))
        sent = list(sent_tools(mock.calls[-1].json))
        assert len(set(sent)) == len(names)
        assert sent[2] == "fs_read"
        mock.script = Script(tool_calls=tuple(ToolCall(name, {"city": "Rome"}) for name in sent))
        body = tool_request("openai", "m", dict.fromkeys(names, CITY), stream=False)
        got = heard("openai", await send(node, body), False)
    assert [name for name, _ in got.calls] == names


async def test_a_forced_tool_has_the_name_that_was_sent() -> None:
    body = tool_request("openai", "gpt-4o", {LONG: CITY}, stream=False)
    body["tool_choice"] = {"type": "function", "function": {"name": LONG}}
    async with playing("openai", "gpt-4o") as mock, serving(behind(mock, "openai")) as node:
        await send(node, body)
        sent = mock.calls[-1].json
    assert sent["tool_choice"]["function"]["name"] == sent["tools"][0]["function"]["name"] != LONG


@pytest.mark.parametrize("front", FRONTS)
async def test_call_ids_of_nine_characters(front: str) -> None:
    body = tool_request(front, "m", {"look": CITY}, stream=False, history=True)
    async with playing("mistral", "m") as mock, serving(behind(mock, "mistral", "m")) as node:
        await send(node, body, front=front)
        await send(node, body, front=front)
        first, second = (sent_calls(call.json) for call in mock.calls)
    (_, call, _), (_, result, _) = first
    assert call == result
    assert re.fullmatch("[a-zA-Z0-9]{9}", call)
    assert first == second


async def test_long_call_ids_at_openai() -> None:
    ids = ["call_" + "x" * 60 + end for end in "ab"]
    calls = [{"id": each, "type": "function", "function": {"name": "f", "arguments": "{}"}} for each in ids]
    results = [{"role": "tool", "tool_call_id": each, "content": "seen"} for each in ids]
    body = chat("gpt-4o") | {"messages": [{"role": "user", "content": "Look!"},
                                         {"role": "assistant", "content": None, "tool_calls": calls},
                                         *results]}  # fmt: skip
    async with playing("openai", "gpt-4o") as mock, serving(behind(mock, "openai")) as node:
        await send(node, body)
        found = sent_calls(mock.calls[-1].json)
    sent = [each for _, each, _ in found]
    assert sent[:2] == sent[2:]
    assert len(set(sent)) == 2
    assert max(map(len, sent)) <= 40


NESTED: dict[str, Any] = {
    "type": "object",
    "properties": {
        "who": {"type": "object", "properties": {"age": {"type": "integer", "minimum": 1}}},
        "tags": {"type": "array", "items": {"type": "string"}, "minItems": 2, "description": "Some."},
        "one": {"oneOf": [{"type": "string"}, {"type": "integer"}]},
    },
    "required": ["who"],
}


@pytest.mark.parametrize("front", ["openai", "responses", "ollama"])
async def test_schemas_of_answers_at_anthropic(front: str) -> None:
    body = tool_request(front, "m", {}, stream=False)
    del body["tools"]
    if front == "openai":
        wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": NESTED}}
        body |= {"response_format": wanted}
    elif front == "responses":
        body |= {"text": {"format": {"type": "json_schema", "name": "x", "schema": NESTED}}}
    else:
        body |= {"format": NESTED}
    async with playing("anthropic", "m") as mock, serving(behind(mock, "anthropic", "m")) as node:
        await send(node, body, front=front)
        sent = mock.calls[-1].json["output_config"]["format"]["schema"]
    assert sent == {
        "type": "object",
        "properties": {
            "who": {
                "type": "object",
                "properties": {"age": {"type": "integer", "description": "{minimum: 1}"}},
                "additionalProperties": False,
            },
            "tags": {"type": "array", "items": {"type": "string"}, "description": "Some.\n\n{minItems: 2}"},
            "one": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        },
        "required": ["who"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("front", "back"),
    [
        (front, back)
        for front in FRONTS
        for back in ("openai", "groq", "", "anthropic")
        if (front, back) != OWN
    ],
)
async def test_a_tool_without_properties(front: str, back: str) -> None:
    body = tool_request(front, "m", {"now": {"type": "object"}}, stream=False)
    async with playing(back, "m") as mock, serving(behind(mock, back, "m")) as node:
        await send(node, body, front=front)
        assert sent_tools(mock.calls[-1].json) == {"now": {"type": "object", "properties": {}}}


@pytest.mark.parametrize("back", ["openai", "anthropic"])
@pytest.mark.parametrize("front", FRONTS)
async def test_a_choice_at_the_top_of_a_schema(front: str, back: str) -> None:
    """It becomes one object, so that arguments need not be changed back."""
    place = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    point = {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]}
    schema = {"anyOf": [{"$ref": "#/$defs/place"}, point], "$defs": {"place": place}}
    body = tool_request(front, "m", {"go": schema | {"type": "object"}}, stream=False)
    async with playing(back, "m") as mock, serving(behind(mock, back, "m")) as node:
        await send(node, body, front=front)
        sent = sent_tools(mock.calls[-1].json)["go"]
    assert sent["type"] == "object"
    assert sent["properties"] == {"city": {"type": "string"}, "x": {"type": "number"}}
    assert not {"anyOf", "oneOf", "required"} & sent.keys()
    assert "city; or x" in sent["description"]


async def test_a_document_without_a_title_has_a_name() -> None:
    data = base64.b64encode(b"%PDF-1.4 x").decode()
    source = {"type": "base64", "media_type": "application/pdf", "data": data}
    content = [{"type": "document", "source": source}, {"type": "text", "text": "Read it."}]
    body = {"model": "gpt-4o", "max_tokens": 50, "messages": [{"role": "user", "content": content}]}
    async with playing("openai", "gpt-4o") as mock, serving(behind(mock, "openai")) as node:
        await send(node, body, front="anthropic")
        file = {"file_data": f"data:application/pdf;base64,{data}"}
        part = {"type": "file", "file": file}
        await send(node, chat("gpt-4o") | {"messages": [{"role": "user", "content": [part]}]})
        files = [part["file"] for call in mock.calls for part in call.json["messages"][0]["content"][:1]]
    assert files == [file | {"filename": "document.pdf"}] * 2


@pytest.mark.parametrize(("model", "kept"), [("claude-sonnet-4-5", True), ("claude-3-5-haiku-latest", False)])
async def test_strict_tools_reach_models_that_have_them(model: str, kept: bool) -> None:
    function = {"name": "f", "strict": True, "parameters": CITY | {"additionalProperties": False}}
    body = chat(model) | {"tools": [{"type": "function", "function": function}]}
    async with playing("anthropic", model) as mock, serving(behind(mock, "anthropic", model)) as node:
        await send(node, body)
        assert ("strict" in mock.calls[-1].json["tools"][0]) is kept


CACHED = {"type": "text", "text": "Long ago", "cache_control": {"type": "ephemeral", "ttl": "1h"}}


@pytest.mark.parametrize("back", ["", "moonshot", "openai", "groq"])
async def test_cache_breakpoints_stay_behind_where_they_are_unknown(back: str) -> None:
    body = {
        "model": "m",
        "max_tokens": 50,
        "system": [CACHED],
        "messages": [{"role": "user", "content": [CACHED]}],
    }
    async with playing(back, "m") as mock, serving(behind(mock, back, "m")) as node:
        await send(node, body, front="anthropic")
        assert b"cache_control" not in mock.calls[-1].body
        assert [each["content"] for each in mock.calls[-1].json["messages"]] == ["Long ago", "Long ago"]
        if back:
            await send(node, chat("m") | {"messages": [{"role": "user", "content": [CACHED]}]})
            assert b"cache_control" not in mock.calls[-1].body


@pytest.mark.parametrize(("front", "back"), [("anthropic", "dashscope"), ("openai", "anthropic")])
async def test_cache_breakpoints_keep_their_lifetime(front: str, back: str) -> None:
    body = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": [CACHED]}]}
    async with playing(back, "m") as mock, serving(behind(mock, back, "m")) as node:
        await send(node, body, front=front)
        assert mock.calls[-1].json["messages"][0]["content"] == [CACHED]


@pytest.mark.parametrize("front", ["openai", "anthropic", "ollama"])
@pytest.mark.parametrize(("model", "both"), [("claude-sonnet-4-5", False), ("claude-3-5-haiku-latest", True)])
async def test_sampling_fields_that_are_refused_together(front: str, model: str, both: bool) -> None:
    knobs = {"temperature": 0.7, "top_p": 0.9}
    body = tool_request(front, model, {"f": CITY}, stream=False)
    body |= {"options": knobs} if front == "ollama" else knobs
    async with playing("anthropic", model) as mock, serving(behind(mock, "anthropic", model)) as node:
        await send(node, body, front=front)
        sent = mock.calls[-1].json
    assert sent["temperature"] == 0.7
    assert ("top_p" in sent) is both


KNOBS = {"top_k": 40, "repetition_penalty": 1.1, "reasoning_effort": "low", "seed": 7, "logprobs": True}


@pytest.mark.parametrize(
    ("back", "model", "kept"),
    [
        ("groq", "llama-3.3-70b", {"seed": 7}),
        ("groq", "openai/gpt-oss-120b", {"seed": 7, "reasoning_effort": "low"}),
        ("groq", "qwen/qwen3-32b", {"seed": 7, "reasoning_effort": "default"}),
        ("mistral", "mistral-large-latest", {"random_seed": 7}),
        ("mistral", "mistral-small-latest", {"random_seed": 7, "reasoning_effort": "high"}),
        ("deepseek", "deepseek-chat", {"logprobs": True, "reasoning_effort": "low"}),
        ("openai", "o4-mini", {"seed": 7, "logprobs": True, "reasoning_effort": "low"}),
    ],
)
async def test_knobs_that_a_strict_vendor_refuses(back: str, model: str, kept: dict[str, Any]) -> None:
    """They pass through no more than they are translated."""
    names = {*KNOBS, "random_seed"}
    async with playing(back, model) as mock, serving(behind(mock, back, model)) as node:
        await send(node, chat(model) | KNOBS)
        sent = mock.calls[-1].json
    assert {name: value for name, value in sent.items() if name in names} == kept


@pytest.mark.parametrize(("back", "most"), [("openai", 4), ("groq", 4), ("gemini", 5), ("zai", 1)])
@pytest.mark.parametrize("front", ["openai", "anthropic"])
async def test_stop_sequences_beyond_a_vendors_number(front: str, back: str, most: int) -> None:
    stops = list("ABCDEFG")
    body = tool_request(front, "m", {"f": CITY}, stream=False)
    body["stop" if front == "openai" else "stop_sequences"] = stops
    async with playing(back, "m") as mock, serving(behind(mock, back, "m")) as node:
        await send(node, body, front=front)
        assert mock.calls[-1].json["stop"] == stops[:most]


async def test_fields_that_clients_echo_do_not_reach_mistral() -> None:
    said: Any = {"role": "assistant", "content": "Hi"}
    echoed = said | {"refusal": None, "annotations": [], "function_call": None}
    turns = [{"role": "developer", "content": "Be kind."}, {"role": "user", "content": "Hi"}, echoed,
             {"role": "user", "content": "And?"}]  # fmt: skip
    async with playing("mistral", "m") as mock, serving(behind(mock, "mistral", "m")) as node:
        await send(
            node, chat("m") | {"messages": turns, "stream": True, "stream_options": {"include_usage": True}}
        )
        sent = mock.calls[-1].json
    assert "stream_options" not in sent
    assert sent["messages"][0]["role"] == "system"
    assert sent["messages"][2] == said


async def test_a_forced_tool_stops_the_thinking_that_refuses_it() -> None:
    body = tool_request("openai", "m", {"f": CITY}, stream=False) | {"tool_choice": "required"}
    async with playing("deepseek", "m") as mock, serving(behind(mock, "deepseek", "m")) as node:
        await send(node, body | {"reasoning_effort": "high"})
        sent = mock.calls[-1].json
    assert sent["thinking"] == {"type": "disabled"}
    assert "reasoning_effort" not in sent


async def test_what_was_changed_is_told_to_those_who_ask() -> None:
    body = tool_request("openai", "m", {LONG: CITY}, stream=True) | {"top_k": 3}
    async with playing("groq", "m") as mock, serving(behind(mock, "groq", "m")) as node:
        told = await send(node, body, explain=True)
        untold = await send(node, body)
        fits = await send(node, chat("m"), explain=True)
    assert told.headers["x-trunkline-fit"] == "-top_k; tools[0].function.name"
    assert LONG not in str(told.headers)
    assert "x-trunkline-fit" not in untold.headers
    assert "x-trunkline-fit" not in fits.headers


@pytest.mark.parametrize("back", ["openai", "groq", "mistral", "anthropic"])
async def test_what_fits_goes_on_byte_by_byte(back: str) -> None:
    front = "anthropic" if back == "anthropic" else "openai"
    body = tool_request(front, "m", {"f": CITY}, stream=False, history=True, call_id="abcdefghi")
    fields = {name: msgspec.Raw(json.dumps(value, indent=1).encode()) for name, value in body.items()}
    raw = msgspec.json.encode(fields)
    async with playing(back, "m") as mock, serving(behind(mock, back, "m")) as node:
        await node.ask(
            post(raw, BEARER, path="/v1/messages" if front == "anthropic" else "/v1/chat/completions")
        )
        assert mock.calls[-1].body == raw


async def test_an_unknown_server_gets_what_its_own_client_sends() -> None:
    body = tool_request("openai", "m", {LONG: {"type": "object"}}, stream=False) | KNOBS
    async with playing("", "m") as mock, serving(behind(mock, "", "m")) as node:
        await send(node, body)
        assert mock.calls[-1].json == body
