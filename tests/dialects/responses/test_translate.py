"""A Responses client in front of upstreams of other dialects: their requests, and its answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.dialects.responses.writing import read
from trunkline.dialects.base import NO_DEFAULTS, Back
from trunkline.dialects.ollama import OllamaBack
from trunkline.dialects.openai import OpenAIBack, Quirks
from trunkline.dialects.responses import RESPONSES
from trunkline.exchange import Translate

OPENAI, OLLAMA = OpenAIBack(Quirks(name="Acme", history_reasoning_field="reasoning")), OllamaBack()

ASK: dict[str, Any] = {
    "model": "llama",
    "instructions": "Be brief",
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm"}]},
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": '{"x":1}'},
        {"type": "function_call_output", "call_id": "a", "output": "1"},
    ],
    "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
    "max_output_tokens": 9,
    "text": {"format": {"type": "json_schema", "name": "s", "schema": {"type": "object"}}},
}
SCHEMA = {"type": "object"}


def translate(back: Back, stream: bool) -> Translate:
    """The exchange of one attempt."""
    request = RESPONSES.parse(json.dumps(ASK | {"stream": stream}).encode())
    return Translate(
        RESPONSES,
        back,
        request,
        "up",
        NO_DEFAULTS,
        "acme",
        stream=stream,
        upstream_stream=stream,
        id_prefix="chatcmpl-",
    )


def test_a_request_to_an_openai_upstream() -> None:
    body = json.loads(translate(OPENAI, stream=False).body)
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}
    assert body == {
        "model": "up",
        "messages": [
            {"role": "system", "content": "Be brief"},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": None, "reasoning": "Hm", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "a", "content": "1"},
        ],
        "max_tokens": 9,
        "tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA | {"properties": {}}}}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}},
    }


def test_a_request_to_ollama() -> None:
    body = json.loads(translate(OLLAMA, stream=True).body)
    assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant", "tool"]
    assert body["messages"][2]["thinking"] == "Hm"
    assert (body["stream"], body["format"], body["options"]) == (True, SCHEMA, {"num_predict": 9})


def openai_stream() -> list[bytes]:
    """A chat stream: a role, two words, the end, usage."""
    deltas: list[dict[str, Any]] = [
        {"role": "assistant", "content": ""},
        {"content": "Hel"},
        {"content": "lo"},
        {},
    ]
    head = {"id": "chatcmpl-u", "model": "up", "created": 1700000000}
    chunks: list[dict[str, Any]] = [
        head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None if delta else "stop"}]}
        for delta in deltas
    ]
    chunks.append(head | {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}})
    return [*(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks), b"data: [DONE]\n\n"]


def ollama_stream() -> list[bytes]:
    """The same in Ollama's lines."""
    lines: list[dict[str, Any]] = [
        {"model": "up", "message": {"role": "assistant", "content": word}, "done": False}
        for word in ("", "Hel", "lo")
    ]
    end = {"done": True, "done_reason": "stop", "prompt_eval_count": 3, "eval_count": 2}
    lines.append({"model": "up", "message": {"role": "assistant", "content": ""}} | end)
    return [json.dumps(line).encode() + b"\n" for line in lines]


@pytest.mark.parametrize(
    ("back", "pieces"), [(OPENAI, openai_stream()), (OLLAMA, ollama_stream())], ids=["openai", "ollama"]
)
def test_a_stream(back: Back, pieces: list[bytes]) -> None:
    exchange = translate(back, stream=True)
    assert exchange.content_type == RESPONSES.stream_type
    written = [exchange.feed(piece) for piece in pieces]
    assert written[0] == b""
    events = read(b"".join(written) + exchange.finish())
    assert (exchange.error, exchange.complete) == (None, True)
    deltas = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
    response = events[-1]["response"]
    assert (deltas, response["model"]) == (["Hel", "lo"], "up")
    assert (response["usage"]["input_tokens"], response["usage"]["output_tokens"]) == (3, 2)


def test_an_upstream_that_fails_before_any_content_brings_no_first_byte() -> None:
    exchange = translate(OPENAI, stream=True)
    assert exchange.feed(openai_stream()[0]) == b""
    assert exchange.feed(b'data: {"error":{"message":"Overloaded","code":529}}\n\n') == b""
    assert exchange.error is not None
    assert exchange.error.kind.failover
