from __future__ import annotations

import msgspec
import pytest

from tests.dialects.anthropic import samples
from tests.dialects.anthropic.samples import (
    BEGIN,
    DONE,
    HELLO,
    body,
    end,
    message,
)
from tests.feeding import ways
from trunkline.dialects.anthropic import AnthropicBack
from trunkline.events import (
    Finished,
    StreamEvent,
    TextDelta,
)
from trunkline.model import ChatRequest

BACK = AnthropicBack("Acme")
REQUEST = ChatRequest(model="m", messages=())
STOPPED = Finished("stop")
HEL, LO = TextDelta("Hel"), TextDelta("lo")


def read(data: bytes) -> list[StreamEvent]:
    """The events of a stream that must be complete, the same however it arrives."""
    found: list[list[StreamEvent]] = []
    for pieces in ways(data):
        reader = BACK.reader(REQUEST, stream=True)
        events = [event for piece in pieces for event in reader.feed(piece)] + reader.close()
        assert (reader.complete, reader.error) == (True, None)
        assert not found or events == found[0], pieces
        found.append(events)
    return found[0]


@pytest.mark.parametrize(
    ("wire_reason", "sequence", "finished"),
    [
        ("end_turn", None, STOPPED),
        ("stop_sequence", "\n", Finished("stop", stop_sequence="\n")),
        ("max_tokens", None, Finished("length")),
        ("model_context_window_exceeded", None, Finished("length")),
        ("tool_use", None, Finished("tool_calls")),
        ("refusal", None, Finished("content_filter")),
        ("pause_turn", None, STOPPED),
        ("boredom", None, STOPPED),
    ],
)
def test_stop_reasons(wire_reason: str, sequence: str | None, finished: Finished) -> None:
    assert read(BEGIN + end(wire_reason, sequence) + DONE)[2] == finished
    reader = BACK.reader(REQUEST, stream=False)
    reader.feed(body(message(reason=wire_reason, stop_sequence=sequence)))
    assert reader.close()[-1] == finished


def test_the_samples_are_as_documented() -> None:
    """The stream of the vendor's documentation."""
    lines = HELLO.decode().split("\n\n")
    assert [line.partition("\n")[0] for line in lines if line] == [
        "event: message_start",
        "event: ping",
        "event: content_block_start",
        "event: content_block_delta",
        "event: content_block_delta",
        "event: content_block_stop",
        "event: message_delta",
        "event: message_stop",
    ]
    assert msgspec.json.decode(lines[1].partition("data: ")[2]) == {"type": "ping"}
    assert samples.USAGE["input_tokens"] == 3
