"""Streams whose vendor does not number its tool calls."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trunkline.dialects.openai.inspect import StreamInspector

FIRST: dict[str, Any] = {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"role": "assistant"}}]}


def chunk(*calls: dict[str, Any]) -> bytes:
    body = {"id": "c", "other": 1, "choices": [{"index": 0, "delta": {"tool_calls": list(calls)}}]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


STREAM = (
    b"data: "
    + json.dumps(FIRST).encode()
    + b"\n\n"
    + chunk({"id": "a", "function": {"name": "f", "arguments": '{"x":'}})
    + chunk({"function": {"arguments": "1}"}})
    + chunk({"id": "b", "function": {"name": "g", "arguments": {"y": 2}}})
    + b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}\n\n'
    + b"data: [DONE]\n\n"
)


@pytest.mark.parametrize("size", [1, 7, len(STREAM)])
def test_each_piece_gets_the_number_of_its_call(size: int) -> None:
    inspector = StreamInspector("Cerebras", drop_usage=False)
    out = b"".join(inspector.feed(STREAM[at : at + size]) for at in range(0, len(STREAM), size))
    out += inspector.close()
    assert inspector.complete
    chunks = [json.loads(event[6:]) for event in out.split(b"\n\n") if b"{" in event]
    pieces = [call for each in chunks for call in each["choices"][0]["delta"].get("tool_calls", ())]
    assert [(piece["index"], piece["function"]["arguments"]) for piece in pieces] == [
        (0, '{"x":'),
        (0, "1}"),
        (1, '{"y":2}'),
    ]
    assert chunks[1]["other"] == 1
    assert out.endswith(b"data: [DONE]\n\n")


def test_events_without_calls_are_not_changed() -> None:
    inspector = StreamInspector("Cerebras", drop_usage=False)
    data = b'data: {"id":"c", "choices":[{"index":0,"delta":{"content":"\\"tool_calls\\""}}]}\n\n'
    assert inspector.feed(data) == data
