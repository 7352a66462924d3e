"""The JSON that is taken out of an answer's text, whole and in pieces."""

from __future__ import annotations

import pytest

from trunkline.dialects.json_mode import JsonReader, JsonText, needs_json
from trunkline.errors import GatewayError
from trunkline.events import Finished, StreamEvent, TextDelta, ThinkingDelta, ToolCallDelta
from trunkline.model import ChatRequest, EmbeddingRequest, Format

TEXTS = [
    ('{"a": 1}', '{"a": 1}'),
    (' \n{"a": {"b": [1, "}"]}}\n', '{"a": {"b": [1, "}"]}}'),
    ('```json\n{"a": 1}\n```', '{"a": 1}'),
    ('```json\n[{"a": 1}, 2]\n``` Done.', '[{"a": 1}, 2]'),
    ("[1, [2]] ", "[1, [2]]"),
    ('Here it is [1]: {"a": "\\"}{\\\\"} Good luck!', '{"a": "\\"}{\\\\"}'),
    ("A set {x} and then { } are left.", "{ }"),
    ('{"a": "cut', '{"a": "cut'),
    ("I cannot do that.", "I cannot do that."),
    ("{x} is no JSON", "{x} is no JSON"),
    ("", ""),
]


@pytest.mark.parametrize(("text", "found"), TEXTS)
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_the_json_in_a_text(text: str, found: str, size: int) -> None:
    reader = JsonText()
    pieces = [text[index : index + size] for index in range(0, len(text), size)]
    assert "".join(reader.feed(piece) for piece in pieces) + reader.close() == found


class Scripted:
    """A reader that gives these events, one for each byte."""

    error: GatewayError | None = None
    complete = False

    def __init__(self, *events: StreamEvent) -> None:
        self.events = list(events)

    def feed(self, data: bytes) -> list[StreamEvent]:
        found, self.events = self.events[: len(data)], self.events[len(data) :]
        self.complete = not self.events
        return found

    def close(self) -> list[StreamEvent]:
        return []


@pytest.mark.parametrize("size", [1, 2, 9])
def test_other_events_stay_where_they_are(size: int) -> None:
    call, end = ToolCallDelta(0, "c", "f", "{}"), Finished("tool_calls")
    reader = JsonReader(Scripted(ThinkingDelta("{"), TextDelta("I "), TextDelta("look."), call, end))
    found: list[StreamEvent] = []
    for _ in range(9):
        found += reader.feed(b"." * size)
    assert reader.complete
    assert found == [ThinkingDelta("{"), TextDelta("I look."), call, end]
    assert reader.close() == []


def test_a_text_that_breaks_off_is_not_lost() -> None:
    reader = JsonReader(Scripted(TextDelta("Half a"), TextDelta(" sentence")))
    assert reader.feed(b"..") == []
    assert reader.close() == [TextDelta("Half a sentence")]


def test_errors_are_the_readers_own() -> None:
    inner = Scripted()
    inner.error = GatewayError("x")
    reader = JsonReader(inner)
    reader.feed(b".")
    assert reader.error is inner.error


def test_who_needs_json() -> None:
    assert needs_json(ChatRequest(model="m", messages=(), format=Format()))
    assert not needs_json(ChatRequest(model="m", messages=(), format=Format(schema={"type": "object"})))
    assert not needs_json(ChatRequest(model="m", messages=()))
    assert not needs_json(EmbeddingRequest(model="m", inputs=()))
