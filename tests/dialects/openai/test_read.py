from __future__ import annotations

import base64
import struct

import pytest

from tests.dialects.openai import samples
from tests.dialects.openai.samples import (
    DONE,
    HELLO,
    STOP,
    body,
    calls,
    chunk,
    record,
    text,
    usage_chunk,
)
from tests.feeding import ways
from trunkline.dialects.openai.read import EmbeddingReader, StreamReader, WholeReader
from trunkline.events import (
    Answer,
    Embedded,
    Finished,
    Metered,
    RefusalDelta,
    Started,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)
from trunkline.model import Usage

BEGIN = Started("chatcmpl-u", "up", 1700000000)
METERED = Metered(Usage(prompt_tokens=3, completion_tokens=2))
STOPPED = Finished("stop")
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


STREAMS: dict[str, tuple[bytes, list[StreamEvent]]] = {
    "plain": (HELLO, [BEGIN, TextDelta("Hel"), TextDelta("lo"), STOPPED]),
    "crlf": (HELLO.replace(b"\n", b"\r\n"), [BEGIN, TextDelta("Hel"), TextDelta("lo"), STOPPED]),
    "cr": (HELLO.replace(b"\n", b"\r"), [BEGIN, TextDelta("Hel"), TextDelta("lo"), STOPPED]),
    "comments and a byte order mark": (
        b"\xef\xbb\xbf: OPENROUTER PROCESSING\n\n" + text("Hi") + b": ping\n\n" + STOP + DONE,
        [BEGIN, TextDelta("Hi"), STOPPED],
    ),
    "a record on two lines": (
        text("Hi").replace(b',"model"', b',\ndata: "model"') + STOP + DONE,
        [BEGIN, TextDelta("Hi"), STOPPED],
    ),
    "no last newline": (text("Hi") + STOP + b"data: [DONE]", [BEGIN, TextDelta("Hi"), STOPPED]),
    "no terminal marker": (text("Hi") + STOP, [BEGIN, TextDelta("Hi"), STOPPED]),
    "half a terminal marker": (text("Hi") + STOP + b"data: [DO", [BEGIN, TextDelta("Hi"), STOPPED]),
    "usage at the end": (
        text("Hi") + STOP + usage_chunk() + DONE,
        [BEGIN, TextDelta("Hi"), STOPPED, METERED],
    ),
    "usage with the finish reason": (
        text("Hi") + chunk(finish="stop", usage=samples.USAGE) + DONE,
        [BEGIN, TextDelta("Hi"), STOPPED, METERED],
    ),
    "usage in every chunk": (
        text("Hi", usage={"prompt_tokens": 3}) + chunk(finish="stop", usage=samples.USAGE) + DONE,
        [BEGIN, TextDelta("Hi"), Metered(Usage(prompt_tokens=3)), STOPPED, METERED],
    ),
    "usage null": (
        text("Hi", usage=None) + chunk(finish="stop", usage=None),
        [BEGIN, TextDelta("Hi"), STOPPED],
    ),
    "Azure's first chunk names nothing": (
        record({"id": "", "model": "", "choices": [], "prompt_filter_results": []})
        + text("Hi")
        + STOP
        + DONE,
        [BEGIN, TextDelta("Hi"), STOPPED],
    ),
    "nothing but a reason": (STOP + DONE, [BEGIN, STOPPED]),
    "a reason twice": (STOP + STOP + DONE, [BEGIN, STOPPED]),
    "two choices": (
        text("a") + text("b", choice_index=1) + STOP + chunk(finish="length", choice_index=1) + DONE,
        [BEGIN, TextDelta("a"), TextDelta("b", 1), STOPPED, Finished("length", 1)],
    ),
    "reasoning": (
        chunk({"reasoning": "Hm"}) + chunk({"reasoning_content": "m"}) + text("Hi") + STOP + DONE,
        [BEGIN, ThinkingDelta("Hm"), ThinkingDelta("m"), TextDelta("Hi"), STOPPED],
    ),
    "reasoning under both names is one": (
        chunk({"reasoning": "Hm", "reasoning_content": "Hm", "content": None}) + STOP + DONE,
        [BEGIN, ThinkingDelta("Hm"), STOPPED],
    ),
    "refusal": (chunk({"refusal": "No"}) + STOP + DONE, [BEGIN, RefusalDelta("No"), STOPPED]),
    "log probabilities": (
        text("Hi", choice_logprobs={"content": [{"token": "Hi"}]}) + STOP + DONE,
        [BEGIN, TextDelta("Hi", 0, {"content": [{"token": "Hi"}]}), STOPPED],
    ),
    "text in parts": (
        chunk({"content": [{"type": "text", "text": "H"}, {"type": "text", "text": "i"}]}) + STOP,
        [BEGIN, TextDelta("Hi"), STOPPED],
    ),
    "legacy completion": (
        record({"id": "cmpl-1", "model": "up", "created": 7.0, "choices": [{"index": 0, "text": "Hi"}]})
        + record({"choices": [{"index": 0, "text": "", "finish_reason": "length"}]})
        + DONE,
        [Started("cmpl-1", "up", 7), TextDelta("Hi"), Finished("length")],
    ),
    "what follows the terminal marker is nobody's": (HELLO + text("more"), read(HELLO)),
    "unknown fields": (
        text("Hi", obfuscation="xx", choice_matched_stop=7, time_info={"queue_time": 0.1}) + STOP + DONE,
        [BEGIN, TextDelta("Hi"), STOPPED],
    ),
}


@pytest.mark.parametrize("case", STREAMS)
def test_streams(case: str) -> None:
    data, events = STREAMS[case]
    assert read(data) == events


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("tool_calls", "tool_calls"),
        ("function_call", "tool_calls"),
        ("content_filter", "content_filter"),
        ("eos", "stop"),
    ],
)
def test_finish_reasons(said: str, reason: str) -> None:
    assert read(chunk(finish=said) + DONE)[-1] == Finished(reason)  # type: ignore[arg-type]


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
        [(None, "f", "{}"), ("b", "g", "{}")],
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


def read_whole(data: bytes, kind: type[WholeReader | EmbeddingReader] = WholeReader) -> list[StreamEvent]:
    for pieces in ways(data):
        reader = kind("Acme")
        assert not any(reader.feed(piece) for piece in pieces)
        events = reader.close()
        assert (reader.complete, reader.error) == (True, None)
    return events


def test_a_whole_answer() -> None:
    events = read_whole(samples.whole())
    assert events == [BEGIN, TextDelta("Hi"), STOPPED, METERED]


def test_a_whole_answer_without_a_reason_is_finished() -> None:
    data = samples.whole(finish=None, usage=None)
    assert read_whole(data) == [BEGIN, TextDelta("Hi"), STOPPED]


def test_whole_tool_calls_are_calls_of_their_own() -> None:
    """Even where a server gives all of them one id, or one index."""
    call = {"id": "x", "index": 0, "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "reasoning_content": "Hm", "tool_calls": [call, call]}
    events = read_whole(samples.whole(message, "stop"))
    assert _folded(events) == [("x", "f", "{}"), ("x", "f", "{}")]
    assert ThinkingDelta("Hm") in events
    assert Finished("tool_calls") in events


def test_a_whole_legacy_completion() -> None:
    data = body({"id": "c", "choices": [{"text": "a", "index": 0}, {"text": "b", "index": 1}]})
    assert read_whole(data) == [
        Started("c"), TextDelta("a"), TextDelta("b", 1), STOPPED, Finished("stop", 1)
    ]  # fmt: skip


@pytest.mark.parametrize("as_base64", [False, True])
def test_embeddings_come_in_the_order_of_the_inputs(as_base64: bool) -> None:
    vectors = [[0.5, -1.0], [2.0, 0.25]]
    sent = [
        base64.b64encode(struct.pack("<2f", *vector)).decode() if as_base64 else vector for vector in vectors
    ]
    data = [{"object": "embedding", "index": 1, "embedding": sent[1]}, {"index": 0, "embedding": sent[0]}]
    events = read_whole(body({"data": data, "model": "e", "usage": {"prompt_tokens": 3}}), EmbeddingReader)
    assert events == [Started(None, "e"), Embedded(vectors), Metered(Usage(prompt_tokens=3))]
    assert read_whole(body({"data": data[1:]}), EmbeddingReader)[1:] == [Embedded(vectors[:1])]
