"""Every field of a full request and of a full answer, replaced by what it should not be: no traceback."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from tests.dialects.anthropic.samples import BEGIN, DONE, PING, body, delta, end, message, start, stop, tool
from trunkline.dialects.anthropic import MESSAGES, AnthropicBack
from trunkline.dialects.base import RequestSummary
from trunkline.errors import UPSTREAM_PROTOCOL, CallerError
from trunkline.model import ChatRequest

BACK = AnthropicBack()
ODD = [None, True, -1, 0.5, 2**70, "x", "", [], [None], {}, {"type": "x"}, {"type": 7}, ...]
"""What is put in a field's place; ``...`` leaves it out."""

FULL: dict[str, Any] = {
    "model": "m",
    "max_tokens": 9,
    "stream": True,
    "system": [{"type": "text", "text": "S", "cache_control": {"type": "ephemeral"}}],
    "temperature": 0.5,
    "top_p": 0.5,
    "top_k": 5,
    "stop_sequences": ["a"],
    "metadata": {"user_id": "u"},
    "thinking": {"type": "enabled", "budget_tokens": 2000, "display": "omitted"},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}},
    "tools": [{"name": "f", "description": "F", "input_schema": {"type": "object"}, "strict": True}],
    "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Hi"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "x"}},
                {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
                {"type": "document", "title": "A", "source": {"type": "text", "data": "x"}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm", "signature": "s"},
                {"type": "redacted_thinking", "data": "x"},
                {"type": "tool_use", "id": "a", "name": "f", "input": {"x": [1, None]}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "a",
                    "is_error": True,
                    "content": [{"type": "text", "text": "4"}],
                },
                {"type": "text", "text": "And?"},
            ],
        },
    ],
}


def mutants(value: Any) -> Iterator[Any]:
    """``value`` with each of its parts replaced, at every depth."""
    pairs = list(value.items() if isinstance(value, dict) else enumerate(value))
    for key, part in pairs:
        if isinstance(part, dict | list):
            for mutant in mutants(part):
                yield type(value)(
                    {**value, key: mutant}
                    if isinstance(value, dict)
                    else [*value[:key], mutant, *value[key + 1 :]]
                )
        for odd in ODD:
            replaced = [(name, odd if name == key else old) for name, old in pairs]
            replaced = [(name, new) for name, new in replaced if new is not ...]
            yield dict(replaced) if isinstance(value, dict) else [new for _, new in replaced]


def outcome(data: bytes) -> ChatRequest | CallerError:
    """What becomes of a body; anything else that is raised fails the test."""
    try:
        MESSAGES.summarize(data)
        return MESSAGES.parse(data)
    except CallerError as error:
        return error


def test_requests() -> None:
    outcomes = [(mutant, outcome(body(mutant))) for mutant in mutants(FULL)]
    refused = [(mutant, found) for mutant, found in outcomes if isinstance(found, CallerError)]
    assert len(outcomes) > len(refused) > len(outcomes) / 2
    for mutant, error in refused:
        assert error.status == 400
        assert error.param, mutant


RECORDS = (
    BEGIN
    + PING
    + start(0, type="text", text="a")
    + delta(0, "text_delta", text="b")
    + stop(0)
    + start(1, type="thinking", thinking="", signature="")
    + delta(1, "signature_delta", signature="s")
    + stop(1)
    + tool("{", "}", index=2)
    + end("tool_use")
    + DONE
)
WHOLE = message(
    [
        {"type": "text", "text": "a"},
        {"type": "thinking", "thinking": "Hm", "signature": "s"},
        {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
    ],
    "tool_use",
)
REQUEST = ChatRequest(model="m", messages=(), stream=True)


def ends(stream: bool, data: bytes) -> str:
    """The code of the error in which a reader ends, or "whole". An inspector also comes to a clear end."""
    reader, inspector = (
        BACK.reader(REQUEST, stream),
        BACK.inspector("chat", RequestSummary(model="m", stream=stream)),
    )
    reader.feed(data)
    reader.close()
    inspector.feed(data)
    inspector.close()
    assert reader.complete is (reader.error is None)
    assert inspector.complete is (inspector.error is None)
    return "whole" if reader.error is None else reader.error.code


@pytest.mark.parametrize("index", range(RECORDS.count(b"\n\n")))
def test_streams(index: int) -> None:
    records = RECORDS.split(b"\n\n")[:-1]
    record = msgspec.json.decode(records[index].partition(b"data: ")[2])
    found = set()
    for mutant in mutants(record):
        records[index] = b"data: " + body(mutant)
        found.add(ends(True, b"\n\n".join(records) + b"\n\n"))
    assert found <= {"whole", UPSTREAM_PROTOCOL.code, "upstream_truncated", "upstream_error"}
    assert UPSTREAM_PROTOCOL.code in found


def test_whole_answers() -> None:
    found = {ends(False, body(mutant)) for mutant in mutants(WHOLE)}
    assert found == {"whole", UPSTREAM_PROTOCOL.code}
