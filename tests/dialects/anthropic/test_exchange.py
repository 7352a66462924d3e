"""Anthropic's dialect in exchanges: passed through where both sides speak it, else translated."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.dialects.anthropic.samples import BEGIN, DONE, HELLO, PING, body, end, message, text, tool
from tests.feeding import ways
from trunkline.dialects import ollama, openai
from trunkline.dialects.anthropic import MESSAGES, AnthropicBack
from trunkline.dialects.base import NO_DEFAULTS, Back, Front
from trunkline.errors import UPSTREAM_ERROR, UPSTREAM_TRUNCATED
from trunkline.exchange import PassThrough, Translate
from trunkline.model import Usage

BACK = AnthropicBack("Acme")
ASK: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
METERED = Usage(prompt_tokens=9, completion_tokens=7, cached_tokens=4, cache_write_tokens=2)


def pass_through(stream: bool = True) -> PassThrough:
    data = body(ASK | {"stream": stream})
    return PassThrough(MESSAGES, BACK, data, MESSAGES.summarize(data), "up", NO_DEFAULTS, "Acme")


def translate(front: Front, back: Back, fields: dict[str, Any]) -> Translate:
    request = front.parse(body(fields))
    stream = front.summarize(body(fields)).stream
    return Translate(
        front,
        back,
        request,
        "up",
        NO_DEFAULTS,
        "Acme",
        stream=stream,
        upstream_stream=stream,
        id_prefix="chatcmpl-",
    )


def test_pass_through() -> None:
    for pieces in ways(HELLO):
        exchange = pass_through()
        assert exchange.path == "/messages"
        assert msgspec.json.decode(exchange.body) == ASK | {"stream": True, "model": "up"}
        exchange.head(200, [])
        assert b"".join(exchange.feed(piece) for piece in pieces) + exchange.finish() == HELLO
        assert (exchange.complete, exchange.error, exchange.usage, exchange.model) == (
            True,
            None,
            METERED,
            "up",
        )


def test_a_cut_is_an_error() -> None:
    exchange = pass_through()
    exchange.head(200, [])
    assert exchange.feed(BEGIN) + exchange.finish() == BEGIN
    assert exchange.error is not None
    assert exchange.error.kind is UPSTREAM_TRUNCATED


def test_an_error_answer() -> None:
    exchange = pass_through()
    exchange.head(529, [])
    exchange.feed(body({"type": "error", "error": {"type": "overloaded_error", "message": "Oh"}}))
    assert exchange.finish() == b""
    assert exchange.error is not None
    assert (exchange.error.kind, exchange.error.message) == (UPSTREAM_ERROR, "Acme answered 529: Oh")


def test_an_openai_client_is_answered_by_anthropic() -> None:
    fields = {
        "model": "m",
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "Hi"}],
    }
    data = PING + BEGIN + text("Hel", "lo") + PING + tool("{}", index=1) + end("tool_use") + DONE
    for pieces in ways(data):
        exchange = translate(openai.CHAT, BACK, fields)
        assert msgspec.json.decode(exchange.body) == {
            "model": "up",
            "max_tokens": 8192,
            "system": "S",
            "messages": [{"role": "user", "content": "Hi"}],
            "stream": True,
        }
        exchange.head(200, [])
        assert exchange.feed(PING) == b""
        assert exchange.progress == 0, "a ping is not a first byte"
        out = b"".join(exchange.feed(piece) for piece in pieces) + exchange.finish()
        assert (exchange.complete, exchange.error, exchange.usage) == (True, None, METERED)
        chunks = [msgspec.json.decode(line[6:]) for line in out.split(b"\n\n")[:-2]]
        deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
        assert "".join(delta.get("content") or "" for delta in deltas) == "Hello"
        assert [call["function"] for delta in deltas for call in delta.get("tool_calls", ())] == [
            {"name": "f", "arguments": ""},
            {"arguments": "{}"},
        ]
        assert chunks[-2]["choices"][0]["finish_reason"] == "tool_calls"
        assert chunks[-1]["usage"]["total_tokens"] == 16


def test_an_ollama_client_is_answered_by_anthropic() -> None:
    fields = {"model": "m", "stream": False, "messages": [{"role": "user", "content": "Hi"}]}
    exchange = translate(ollama.CHAT, BACK, fields)
    exchange.head(200, [])
    exchange.feed(body(message([{"type": "text", "text": "Hello"}], "max_tokens")))
    answer = msgspec.json.decode(exchange.finish())
    assert (answer["message"]["content"], answer["done_reason"]) == ("Hello", "length")
    assert (answer["prompt_eval_count"], answer["eval_count"]) == (9, 1)


TEXT_CHUNK = b'data: {"id":"x","model":"up","choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
END_CHUNK = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}\n\n'
USAGE_CHUNK = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\ndata: [DONE]\n\n'
TEXT_LINE = b'{"model":"up","message":{"role":"assistant","content":"Hi"},"done":false}\n'
END_LINE = b'{"model":"up","done":true,"done_reason":"length","prompt_eval_count":3,"eval_count":2}\n'


@pytest.mark.parametrize(
    ("back", "data"),
    [
        (openai.OpenAIBack(openai.Quirks()), TEXT_CHUNK + END_CHUNK + USAGE_CHUNK),
        (ollama.OllamaBack(), TEXT_LINE + END_LINE),
    ],
    ids=["openai", "ollama"],
)
def test_an_anthropic_client_is_answered_by_others(back: Back, data: bytes) -> None:
    for pieces in ways(data):
        exchange = translate(MESSAGES, back, ASK | {"stream": True})
        exchange.head(200, [])
        out = b"".join(exchange.feed(piece) for piece in pieces) + exchange.finish()
        assert (exchange.complete, exchange.error) == (True, None)
        names = [line[7:] for line in out.decode().split("\n") if line.startswith("event: ")]
        assert names == [
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ]
        assert b'"stop_reason":"max_tokens"' in out
        assert b'"input_tokens":3,' in out
        assert b'"output_tokens":2}' in out
