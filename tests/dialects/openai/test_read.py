from __future__ import annotations

import pytest

from tests.dialects.contract import check_error
from tests.dialects.openai import samples
from tests.dialects.openai.cases import METERED
from tests.dialects.openai.samples import DONE, STOP, calls, chunk, text, usage_chunk
from tests.feeding import ways
from trunkline.dialects.openai.read import StreamReader, WholeReader
from trunkline.dialects.vendor_state import Maker
from trunkline.errors import UPSTREAM_TRUNCATED
from trunkline.events import (
    Answer,
    Finished,
    Media,
    Metered,
    StreamEvent,
    ThinkingDelta,
    ToolCallDelta,
)
from trunkline.model import Usage

F0 = {"name": "f", "arguments": ""}


def read(data: bytes) -> list[StreamEvent]:
    """The events of a stream that must be complete, the same however it arrives."""
    found: list[list[StreamEvent]] = []
    for pieces in ways(data):
        reader = StreamReader("Acme")
        events = [event for piece in pieces for event in reader.feed(piece)] + reader.close()
        assert (reader.complete, reader.error) == (True, None)
        assert not found or events == found[0], pieces
        found.append(events)
    return found[0]


@pytest.mark.parametrize(
    ("wire_reason", "reason"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("tool_calls", "tool_calls"),
        ("function_call", "tool_calls"),
        ("content_filter", "content_filter"),
        ("eos", "stop"),
    ],
)
def test_finish_reasons(wire_reason: str, reason: str) -> None:
    assert read(chunk(finish=wire_reason) + DONE)[-1] == Finished(reason)  # type: ignore[arg-type]


Folded = list[tuple[str | None, str, str]]

TOOLS: dict[str, tuple[bytes, Folded]] = {
    "as OpenAI streams them": (
        calls({"index": 0, "id": "a", "type": "function", "function": F0})
        + calls({"index": 0, "function": {"arguments": '{"x"'}})
        + calls({"index": 0, "function": {"arguments": ":1}"}})
        + calls({"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": ""}})
        + calls({"index": 1, "function": {"arguments": "{}"}}),
        [("a", "f", '{"x":1}'), ("b", "g", "{}")],
    ),
    "without an index": (
        calls({"id": "a", "function": F0})
        + calls({"function": {"arguments": "{}"}})
        + calls({"id": "b", "function": {"name": "g", "arguments": "[1]"}}),
        [("a", "f", "{}"), ("b", "g", "[1]")],
    ),
    "without an index or an id": (
        calls({"function": {"name": "f", "arguments": "{"}})
        + calls({"function": {"arguments": "}"}})
        + calls({"function": {"name": "f", "arguments": "{}"}}),
        [(None, "f", "{}"), (None, "f", "{}")],
    ),
    "an id only from the second on": (
        calls({"function": {"name": "f", "arguments": "{}"}})
        + calls({"id": "b", "function": {"name": "g", "arguments": "{}"}}),
        [(None, "f", "{}"), ("b", "g", "{}")],
    ),
    "all with index 0": (
        calls({"index": 0, "id": "a", "function": F0}, {"index": 0, "id": "b", "function": F0})
        + calls({"index": 0, "function": {"arguments": "{}"}}),
        [("a", "f", ""), ("b", "f", "{}")],
    ),
    "all with index 0, whole": (
        calls({"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}})
        + calls({"index": 0, "id": "b", "function": {"name": "g", "arguments": "{}"}}),
        [("a", "f", "{}"), ("b", "g", "{}")],
    ),
    "the id in each delta": (
        calls({"index": 0, "id": "a", "function": F0})
        + calls({"index": 0, "id": "a", "function": {"arguments": "{"}})
        + calls({"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}})
        + calls({"index": 0, "id": "a", "function": {"arguments": "}"}}),
        [("a", "f", "{}"), ("b", "g", "{}")],
    ),
    "the name in each delta, the id empty": (
        calls({"index": 0, "id": "a", "function": F0})
        + calls({"index": 0, "id": "", "function": {"name": "f", "arguments": "{}"}}),
        [("a", "f", "{}")],
    ),
    "the id late": (
        calls({"index": 0, "function": F0})
        + calls({"index": 0, "id": "a", "function": {"arguments": "{}"}})
        + calls({"index": 0, "id": "b", "function": {"name": "g", "arguments": "{}"}}),
        [("a", "f", "{}"), ("b", "g", "{}")],
    ),
    "counted from 1": (
        calls({"index": 1, "id": "a", "function": F0}) + calls({"index": 1, "function": {"arguments": "{}"}}),
        [("a", "f", "{}")],
    ),
    "arguments as an object": (
        calls({"index": 0, "id": "a", "function": {"name": "f", "arguments": {"x": [1, "é"]}}}),
        [("a", "f", '{"x":[1,"é"]}')],
    ),
    "no arguments": (calls({"index": 0, "id": "a", "function": {"name": "f"}}), [("a", "f", "")]),
    "no function yet": (
        calls({"index": 0, "id": "a"}) + calls({"index": 0, "function": {"arguments": "{}"}}),
        [("a", "", "{}")],
    ),
    "legacy function_call": (
        chunk({"function_call": {"name": "f", "arguments": "{"}})
        + chunk({"function_call": {"arguments": "}"}}),
        [(None, "f", "{}")],
    ),
}


def _folded(events: list[StreamEvent]) -> Folded:
    return [(call.id, call.name, call.arguments) for call in Answer(events).choices[0].calls.values()]


@pytest.mark.parametrize("case", TOOLS)
@pytest.mark.parametrize("finish", ["tool_calls", "stop"])
def test_tool_calls(case: str, finish: str) -> None:
    data, expected = TOOLS[case]
    events = read(data + chunk(finish=finish) + DONE)
    assert _folded(events) == expected
    assert events[-1] == Finished("tool_calls")
    indices = [event.index for event in events if isinstance(event, ToolCallDelta) and event.name is not None]
    assert indices == list(range(len(expected)))


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({}, Usage()),
        ({"prompt_tokens": None, "completion_tokens": 4}, Usage(completion_tokens=4)),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 2},
                "cost": 0.25,
                "cost_details": {"upstream_inference_cost": None},
            },
            Usage(
                prompt_tokens=9,
                completion_tokens=5,
                cached_tokens=4,
                cache_write_tokens=1,
                reasoning_tokens=2,
                cost=0.25,
            ),
        ),
        (samples.USAGE | {"prompt_tokens_details": None}, METERED.usage),
    ],
)
def test_usage(usage: dict[str, object], expected: Usage) -> None:
    assert read(STOP + usage_chunk(usage) + DONE)[-1] == (Metered(expected) if usage else METERED)


def test_whole_tool_calls_are_calls_of_their_own() -> None:
    """Even where a server gives all of them one id, or one index."""
    call = {"id": "x", "index": 0, "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "reasoning_content": "Hm", "tool_calls": [call, call]}
    reader = WholeReader("Acme")
    reader.feed(samples.whole(message, "stop"))
    events = reader.close()
    assert _folded(events) == [("x", "f", "{}"), (None, "f", "{}")]  # whoever writes it makes an id
    assert ThinkingDelta("Hm") in events
    assert Finished("tool_calls") in events


def test_thinking_among_the_content_says_whose_it_is() -> None:
    """Once, behind all of it; and it is not sent back in a field, since it came in none."""
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}
    data = chunk({"content": [thought]}) + chunk({"content": [thought]}) + text("Ho") + STOP + DONE
    maker = Maker("me")
    for pieces in ways(data):
        reader = StreamReader("Mistral", maker)
        events = [event for piece in pieces for event in reader.feed(piece)] + reader.close()
        assert [event for event in events if isinstance(event, ThinkingDelta)] == [
            ThinkingDelta("Hm"),
            ThinkingDelta("Hm"),
            ThinkingDelta("", 0, "trunkline:me:field:content"),
        ]
    assert maker.thinking_field is None


def test_thinking_ends_before_any_other_part() -> None:
    thought = {"type": "thinking", "thinking": "Hm"}
    image = {"type": "image_url", "image_url": "https://x.test/a.png"}
    for content in ([thought, image], [thought, {"type": "text", "text": "Ho"}, image]):
        reader = StreamReader("Mistral", Maker("me"))
        events = reader.feed(chunk({"content": content}))
        assert events[1:4] == [
            ThinkingDelta("Hm"),
            ThinkingDelta("", 0, "trunkline:me:field:content"),
            Media("image", url="https://x.test/a.png"),
        ]
        assert len([event for event in events if isinstance(event, ThinkingDelta)]) == 2


def test_an_answer_with_an_open_choice_is_cut() -> None:
    reader = StreamReader("Acme")
    reader.feed(text("a") + text("b", choice_index=1) + STOP + DONE)
    check_error(reader.error, UPSTREAM_TRUNCATED, "Acme ended the stream")
