"""What the contract suite says nothing of: whose state reasoning becomes, and where an answer ends."""

from __future__ import annotations

from typing import Any

from tests.dialects.responses.samples import BEGIN, DONE, HELLO, body, event, response, text
from tests.feeding import ways
from trunkline.dialects.custom_tools import read_input
from trunkline.dialects.responses.read import StreamReader, WholeReader
from trunkline.dialects.vendor_state import Maker, seal
from trunkline.errors import UPSTREAM_TRUNCATED
from trunkline.events import Answer, StreamEvent, ThinkingDelta


def whole(maker: Maker, *items: dict[str, Any]) -> list[StreamEvent]:
    reader = WholeReader("Acme", maker)
    assert reader.feed(body(response(output=list(items)))) == []
    events = reader.close()
    assert (reader.complete, reader.error) == (True, None)
    return events


def test_state_is_sealed_for_its_maker() -> None:
    maker = Maker("acme")
    item = {"type": "reasoning", "summary": [], "encrypted_content": "gAAAAx"}
    (state,) = [each for each in whole(maker, item) if isinstance(each, ThinkingDelta)]
    assert state.signature == seal("acme", "encrypted", "gAAAAx")
    assert not maker.reasons_openly


def test_plain_reasoning_is_marked_as_its_makers() -> None:
    maker = Maker("acme")
    item = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm"}]}
    thoughts = [each for each in whole(maker, item) if isinstance(each, ThinkingDelta)]
    assert thoughts == [
        ThinkingDelta("Hm"),
        ThinkingDelta("", signature=seal("acme", "field", "reasoning_text")),
    ]
    assert maker.reasons_openly


def test_a_marker_before_the_end_cuts_an_answer() -> None:
    reader = StreamReader("Acme", Maker())
    reader.feed(BEGIN + text("a") + b"data: [DONE]\n\n" + DONE)
    assert reader.error is not None
    assert reader.error.kind is UPSTREAM_TRUNCATED


def test_the_input_of_a_custom_tool_is_whole_wherever_it_is_cut() -> None:
    said = 'a "b"\\n\n\u00fc\U0001f600'
    call = {"type": "custom_tool_call", "call_id": "c", "name": "p", "input": said}
    deltas = b"".join(
        event("response.custom_tool_call_input.delta", output_index=0, delta=each) for each in said
    )
    begun = event("response.output_item.added", output_index=0, item=call | {"input": ""})
    done = event("response.completed", response=response(output=[call]))
    for pieces in ways(BEGIN + begun + deltas + done):
        reader = StreamReader("Acme", Maker())
        answer = Answer([each for piece in pieces for each in reader.feed(piece)] + reader.close())
        assert read_input(answer.choices[0].calls[0].arguments) == said
        assert answer.choices[0].reason == "tool_calls"


def test_a_stream_that_ended_reads_no_more() -> None:
    reader = StreamReader("Acme", Maker())
    assert len(reader.feed(HELLO + text("more"))) == 5
    assert reader.complete
    assert reader.feed(text("more")) == reader.close() == []
