from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.dialects.anthropic.samples import PING, delta, event, start, stop
from trunkline.dialects.anthropic import MESSAGES
from trunkline.dialects.base import Writer
from trunkline.errors import UPSTREAM_PROTOCOL, GatewayError, ProviderError
from trunkline.events import (
    Finished,
    FinishReason,
    Metered,
    RefusalDelta,
    Started,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    Timed,
    ToolCallDelta,
)
from trunkline.model import ChatRequest, CompletionRequest, Reasoning, Usage

STARTED = Started("msg_1", "up", 7)
NOTHING = {
    "input_tokens": 0,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "output_tokens": 0,
}
HEAD: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "up",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": NOTHING,
}
BEGIN = event("message_start", message=HEAD)
DONE = event("message_stop")
THINKS = Reasoning(effort="low")
THINKING = {"type": "thinking", "thinking": "", "signature": ""}


def writer(stream: bool = True, reasoning: Reasoning | None = THINKS) -> Writer:
    return MESSAGES.writer(ChatRequest(model="m", messages=(), stream=stream, reasoning=reasoning), "m", "x-")


def end(reason: str = "end_turn", sequence: str | None = None, **usage: Any) -> bytes:
    changes = {"stop_reason": reason, "stop_sequence": sequence}
    return event("message_delta", delta=changes, usage=NOTHING | usage) + DONE


def text(index: int, *pieces: str) -> bytes:
    deltas = b"".join(delta(index, "text_delta", text=piece) for piece in pieces)
    return start(index, type="text", text="") + deltas + stop(index)


def tool(index: int, id: str, name: str, *pieces: str) -> bytes:
    deltas = b"".join(delta(index, "input_json_delta", partial_json=piece) for piece in pieces)
    return start(index, type="tool_use", id=id, name=name, input={}) + deltas + stop(index)


def call(index: int, id: str | None, name: str, arguments: str = "") -> ToolCallDelta:
    return ToolCallDelta(index, id, name, arguments)


STREAMS: dict[str, tuple[list[StreamEvent], bytes]] = {
    "text": (
        [TextDelta("Hel"), TextDelta(""), TextDelta("lo"), Finished("stop")],
        text(0, "Hel", "lo") + end(),
    ),
    "nothing": ([Finished("stop")], end()),
    "no reason": ([TextDelta("a")], text(0, "a") + end()),
    "cut by length": ([TextDelta("a"), Finished("length")], text(0, "a") + end("max_tokens")),
    "filtered": ([TextDelta("a"), Finished("content_filter")], text(0, "a") + end("refusal")),
    "a refusal": ([RefusalDelta("No"), Finished("stop")], text(0, "No") + end("refusal")),
    "a stop sequence": (
        [TextDelta("a"), Finished("stop", stop_sequence="\n")],
        text(0, "a") + end("stop_sequence", "\n"),
    ),
    "a stop sequence that was not why": (
        [TextDelta("a"), Finished("length", stop_sequence="\n")],
        text(0, "a") + end("max_tokens"),
    ),
    "thinking": (
        [ThinkingDelta("H"), ThinkingDelta("m"), TextDelta("Hi"), Finished("stop")],
        start(0, **THINKING)
        + delta(0, "thinking_delta", thinking="H")
        + delta(0, "thinking_delta", thinking="m")
        + stop(0)
        + text(1, "Hi")
        + end(),
    ),
    "signed thinking": (
        [
            ThinkingDelta("Hm"),
            ThinkingDelta("", signature="s1"),
            ThinkingDelta("So", signature="s2"),
            ThinkingDelta(""),
            Finished("stop"),
        ],
        start(0, **THINKING)
        + delta(0, "thinking_delta", thinking="Hm")
        + delta(0, "signature_delta", signature="s1")
        + stop(0)
        + start(1, **THINKING)
        + delta(1, "thinking_delta", thinking="So")
        + delta(1, "signature_delta", signature="s2")
        + stop(1)
        + end(),
    ),
    "a call in pieces": (
        [
            TextDelta("Let me see"),
            call(0, "a", "f"),
            ToolCallDelta(0, arguments='{"x"'),
            ToolCallDelta(0, arguments=":1}"),
            Finished("tool_calls"),
        ],
        text(0, "Let me see") + tool(1, "a", "f", '{"x"', ":1}") + end("tool_use"),
    ),
    "calls one after the other": (
        [
            call(0, "a", "f", '{"x":1}'),
            call(1, "b", "g", "{"),
            ToolCallDelta(0, arguments=" "),
            ToolCallDelta(1, arguments="}"),
            Finished("tool_calls"),
        ],
        tool(0, "a", "f", '{"x":1}') + tool(1, "b", "g", "{", "}") + end("tool_use"),
    ),
    "calls at once wait for their turn": (
        [
            call(0, "a", "f"),
            call(1, "b", "g", "{"),
            ToolCallDelta(0, arguments='{"x"'),
            call(2, "c", "h", "{}"),
            ToolCallDelta(1, arguments="}"),
            ToolCallDelta(0, arguments=":1}"),
            Finished("tool_calls"),
        ],
        tool(0, "a", "f", '{"x"', ":1}")
        + tool(1, "b", "g", "{}")
        + tool(2, "c", "h", "{}")
        + end("tool_use"),
    ),
    "text ends what waits": (
        [call(0, "a", "f"), call(1, "b", "g", "{}"), TextDelta("So"), Finished("tool_calls")],
        tool(0, "a", "f") + tool(1, "b", "g", "{}") + text(2, "So") + end("tool_use"),
    ),
    "calls that never finish": (
        [call(0, "a", "f", "{"), call(1, "b", "g")],
        tool(0, "a", "f", "{") + tool(1, "b", "g") + end(),
    ),
    "usage": (
        [
            TextDelta("a"),
            Finished("stop"),
            Metered(
                Usage(
                    prompt_tokens=9,
                    completion_tokens=5,
                    cached_tokens=4,
                    cache_write_tokens=2,
                    reasoning_tokens=1,
                )
            ),
            Timed(1),
        ],
        text(0, "a")
        + end(
            input_tokens=3,
            cache_creation_input_tokens=2,
            cache_read_input_tokens=4,
            output_tokens=5,
            output_tokens_details={"thinking_tokens": 1},
        ),
    ),
    "other choices are skipped": (
        [TextDelta("b", 1), TextDelta("a"), Finished("length", 1), Finished("stop")],
        text(0, "a") + end(),
    ),
    "odd characters": ([TextDelta('"\n\u2028😀'), Finished("stop")], text(0, '"\n\u2028😀') + end()),
}


@pytest.mark.parametrize("case", STREAMS)
def test_streams(case: str) -> None:
    events, data = STREAMS[case]
    at_once, one_by_one = writer(), writer()
    assert at_once.feed([STARTED, *events]) + at_once.finish() == BEGIN + data
    out = b"".join(one_by_one.feed([event]) for event in [STARTED, *events]) + one_by_one.finish()
    assert out.replace(PING, b"") == BEGIN + data


GOLDEN = b"""event: message_start
data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"up",\
"content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,\
"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"",\
"signature":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"sig"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Hello"}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: content_block_start
data: {"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"a","name":"f",\
"input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":2}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},\
"usage":{"input_tokens":3,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":5}}

event: message_stop
data: {"type":"message_stop"}

"""


def test_the_golden_stream() -> None:
    """Byte by byte, as in the vendor's documentation."""
    stream_writer = writer()
    out = stream_writer.feed(
        [
            STARTED,
            ThinkingDelta("Hm", signature="sig"),
            TextDelta("Hello"),
            call(0, "a", "f", "{}"),
            Finished("tool_calls"),
            Metered(Usage(prompt_tokens=3, completion_tokens=5)),
        ]
    )
    assert (out + stream_writer.finish()).decode() == GOLDEN.decode()


def test_nothing_is_written_before_there_is_content() -> None:
    """Until then another upstream may be asked."""
    stream_writer = writer()
    assert stream_writer.feed([STARTED]) == b""
    assert stream_writer.feed([Metered(Usage(prompt_tokens=3)), TextDelta("")]) == b""
    metered = HEAD | {"usage": NOTHING | {"input_tokens": 3}}
    opening = event("message_start", message=metered) + start(0, type="text", text="")
    assert stream_writer.feed([TextDelta("a")]) == opening + delta(0, "text_delta", text="a")


@pytest.mark.parametrize("reasoning", [None, Reasoning(effort="none"), Reasoning(exclude=True)])
def test_thinking_that_was_not_asked_for_is_a_ping(reasoning: Reasoning | None) -> None:
    stream_writer = writer(reasoning=reasoning)
    assert stream_writer.feed([STARTED, ThinkingDelta("H"), ThinkingDelta("m")]) == BEGIN + PING
    assert stream_writer.feed([ThinkingDelta("m", signature="s")]) == PING
    text_block = start(0, type="text", text="") + delta(0, "text_delta", text="a")
    assert stream_writer.feed([ThinkingDelta("!"), TextDelta("a")]) == text_block
    whole = writer(stream=False, reasoning=reasoning)
    whole.feed([ThinkingDelta("Hm"), TextDelta("a"), Finished("stop")])
    assert msgspec.json.decode(whole.finish())["content"] == [{"type": "text", "text": "a"}]


def test_a_call_that_waits_is_a_ping() -> None:
    stream_writer = writer()
    stream_writer.feed([STARTED, call(0, "a", "f"), call(1, "b", "g")])
    assert stream_writer.feed([ToolCallDelta(1, arguments="{")]) == PING


def test_a_call_cannot_go_on_after_its_end() -> None:
    stream_writer = writer()
    stream_writer.feed([call(0, "a", "f", "{}"), call(1, "b", "g", "{")])
    with pytest.raises(ProviderError) as caught:
        stream_writer.feed([ToolCallDelta(0, arguments='{"x":1}')])
    assert caught.value.kind is UPSTREAM_PROTOCOL


def test_ids_and_names_that_the_upstream_does_not_give() -> None:
    stream_writer = writer()
    out = stream_writer.feed([call(0, None, "f", "{}")]) + stream_writer.finish()
    records = [msgspec.json.decode(line[6:]) for line in out.split(b"\n") if line.startswith(b"data: ")]
    assert records[0]["message"]["id"].startswith("msg_")
    assert records[0]["message"]["model"] == "m"
    assert records[1]["content_block"]["id"].startswith("toolu_")


WHOLES: dict[str, tuple[list[StreamEvent], dict[str, Any]]] = {
    "text": (
        [TextDelta("Hel"), TextDelta("lo"), Finished("stop")],
        {"content": [{"type": "text", "text": "Hello"}], "stop_reason": "end_turn"},
    ),
    "nothing": ([Finished("length")], {"stop_reason": "max_tokens"}),
    "no reason": ([], {"stop_reason": "end_turn"}),
    "a refusal": (
        [RefusalDelta("No"), Finished("stop")],
        {"content": [{"type": "text", "text": "No"}], "stop_reason": "refusal"},
    ),
    "a stop sequence": (
        [Finished("stop", stop_sequence="x")],
        {"stop_reason": "stop_sequence", "stop_sequence": "x"},
    ),
    "all kinds": (
        [
            ThinkingDelta("H"),
            ThinkingDelta("m", signature="s"),
            TextDelta("Hi"),
            call(0, "a", "f", '{"x"'),
            ToolCallDelta(0, arguments=":1.0}"),
            call(1, "b", "g"),
            Finished("tool_calls"),
            Metered(Usage(prompt_tokens=5, completion_tokens=2, cached_tokens=5)),
        ],
        {
            "content": [
                {"type": "thinking", "thinking": "Hm", "signature": "s"},
                {"type": "text", "text": "Hi"},
                {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1.0}},
                {"type": "tool_use", "id": "b", "name": "g", "input": {}},
            ],
            "stop_reason": "tool_use",
            "usage": NOTHING | {"cache_read_input_tokens": 5, "output_tokens": 2},
        },
    ),
    "unsigned thinking": (
        [ThinkingDelta("Hm"), Finished("stop")],
        {
            "content": [{"type": "thinking", "thinking": "Hm", "signature": ""}],
            "stop_reason": "end_turn",
        },
    ),
    "each thought under its own signature": (
        [ThinkingDelta("a", signature="s1"), ThinkingDelta("b", signature="s2"), ThinkingDelta("c")],
        {
            "content": [
                {"type": "thinking", "thinking": "a", "signature": "s1"},
                {"type": "thinking", "thinking": "b", "signature": "s2"},
                {"type": "thinking", "thinking": "c", "signature": ""},
            ],
            "stop_reason": "end_turn",
        },
    ),
    "a call cut by length": (
        [call(0, "a", "f", "{}"), call(1, "b", "g", '{"x'), Finished("length")],
        {
            "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}],
            "stop_reason": "max_tokens",
        },
    ),
}


@pytest.mark.parametrize("case", WHOLES)
def test_whole_answers(case: str) -> None:
    events, fields = WHOLES[case]
    stream_writer = writer(stream=False)
    assert stream_writer.feed([STARTED, *events]) == b""
    assert msgspec.json.decode(stream_writer.finish()) == HEAD | fields


@pytest.mark.parametrize(
    ("arguments", "value"), [("{", "{"), ("[1]", [1]), ('"x"', "x"), ("7", 7)], ids=lambda each: str(each)
)
def test_a_whole_call_has_an_object(arguments: str, value: Any) -> None:
    stream_writer = writer(stream=False)
    stream_writer.feed([call(0, "a", "f", arguments), Finished("tool_calls")])
    block = msgspec.json.decode(stream_writer.finish())["content"][0]
    assert (block["name"], block["input"]) == ("f", {"arguments": value})


@pytest.mark.parametrize("reason", ["stop", "length", "tool_calls", "content_filter"])
def test_a_stream_and_a_whole_answer_end_alike(reason: FinishReason) -> None:
    stream_writer, whole = writer(), writer(stream=False)
    whole.feed([Finished(reason)])
    ended = msgspec.json.decode(whole.finish())["stop_reason"]
    assert stream_writer.feed([Finished(reason)]) + stream_writer.finish() != b""
    again = writer()
    again.feed([Finished(reason)])
    assert b'"stop_reason":"' + ended.encode() + b'"' in again.finish()


def test_only_chats_are_answered() -> None:
    with pytest.raises(GatewayError):
        MESSAGES.writer(CompletionRequest(model="m", prompts=("a",)), "m", "x-")
