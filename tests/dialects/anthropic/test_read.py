from __future__ import annotations

import msgspec
import pytest

from tests.dialects.anthropic import samples
from tests.dialects.anthropic.samples import (
    BEGIN,
    DONE,
    HELLO,
    PING,
    body,
    delta,
    end,
    event,
    message,
    start,
    stop,
    text,
    tool,
)
from tests.feeding import ways
from trunkline.dialects.anthropic import AnthropicBack
from trunkline.errors import (
    INVALID_REQUEST,
    UPSTREAM_ERROR,
    UPSTREAM_PROTOCOL,
    UPSTREAM_RATE_LIMIT,
    UPSTREAM_TRUNCATED,
    Kind,
)
from trunkline.events import (
    Finished,
    Metered,
    Started,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)
from trunkline.model import ChatRequest, Usage

BACK = AnthropicBack("Acme")
JOB = ChatRequest(model="m", messages=())
STARTED = Started("msg_u", "up")
FIRST = Metered(Usage(prompt_tokens=9, completion_tokens=1, cached_tokens=4, cache_write_tokens=2))
LAST = Metered(Usage(prompt_tokens=9, completion_tokens=7, cached_tokens=4, cache_write_tokens=2))
STOPPED = Finished("stop")
HEL, LO = TextDelta("Hel"), TextDelta("lo")


def read(data: bytes) -> list[StreamEvent]:
    """The events of a stream that must be complete, the same however it arrives."""
    found: list[list[StreamEvent]] = []
    for pieces in ways(data):
        reader = BACK.reader(JOB, stream=True)
        events = [event for piece in pieces for event in reader.feed(piece)] + reader.close()
        assert (reader.complete, reader.error) == (True, None)
        assert not found or events == found[0], pieces
        found.append(events)
    return found[0]


def wrap(*events: StreamEvent, finished: Finished = STOPPED) -> list[StreamEvent]:
    return [STARTED, FIRST, *events, finished, LAST]


STREAMS: dict[str, tuple[bytes, list[StreamEvent]]] = {
    "plain": (HELLO, wrap(HEL, LO)),
    "crlf": (HELLO.replace(b"\n", b"\r\n"), wrap(HEL, LO)),
    "no names": (HELLO.replace(b"event: ", b": "), wrap(HEL, LO)),
    "no last blank line": (HELLO[:-2], wrap(HEL, LO)),
    "pings and comments": (
        PING + b": hello\n\n" + BEGIN + PING + text("Hel", "lo") + PING + end() + PING + DONE,
        wrap(HEL, LO),
    ),
    "what follows the end is nobody's": (HELLO + text("more") + b"data: [DONE]\n\n", wrap(HEL, LO)),
    "text at the start of its block": (
        BEGIN + start(0, type="text", text="Hel") + delta(0, "text_delta", text="lo") + end() + DONE,
        wrap(HEL, LO),
    ),
    "nothing": (BEGIN + end() + DONE, wrap()),
    "no reason": (BEGIN + text("Hel") + DONE, [STARTED, FIRST, HEL, STOPPED]),
    "a call without a reason": (
        BEGIN + tool("{}") + DONE,
        [STARTED, FIRST, ToolCallDelta(0, "toolu_1", "f"), ToolCallDelta(0, arguments="{}"),
         Finished("tool_calls")],
    ),
    "thinking": (
        BEGIN
        + start(0, type="thinking", thinking="", signature="")
        + delta(0, "thinking_delta", thinking="Hm")
        + delta(0, "signature_delta", signature="sig")
        + stop(0)
        + start(1, type="redacted_thinking", data="xx")
        + stop(1)
        + text("Hel", index=2)
        + end()
        + DONE,
        wrap(ThinkingDelta("Hm"), ThinkingDelta("", signature="sig"), HEL),
    ),
    "calls": (
        BEGIN
        + text("Hel")
        + tool("", '{"x"', ":1}", index=1)
        + tool("{}", index=2, name="g", id="toolu_2")
        + end("tool_use")
        + DONE,
        wrap(
            HEL,
            ToolCallDelta(0, "toolu_1", "f"),
            ToolCallDelta(0, arguments='{"x"'),
            ToolCallDelta(0, arguments=":1}"),
            ToolCallDelta(1, "toolu_2", "g"),
            ToolCallDelta(1, arguments="{}"),
            finished=Finished("tool_calls"),
        ),
    ),
    "a call without input": (
        BEGIN + tool() + end("tool_use") + DONE,
        wrap(
            ToolCallDelta(0, "toolu_1", "f"),
            ToolCallDelta(0, arguments="{}"),
            finished=Finished("tool_calls"),
        ),
    ),
    "a call with all of its input at its start": (
        BEGIN
        + start(0, type="tool_use", id="toolu_1", name="f", input={"x": 1})
        + stop(0)
        + end("tool_use")
        + DONE,
        wrap(
            ToolCallDelta(0, "toolu_1", "f"),
            ToolCallDelta(0, arguments='{"x":1}'),
            finished=Finished("tool_calls"),
        ),
    ),
    "the servers' own blocks": (
        BEGIN
        + start(0, type="server_tool_use", id="srv", name="web_search", input={})
        + delta(0, "input_json_delta", partial_json="{}")
        + stop(0)
        + start(1, type="web_search_tool_result", tool_use_id="srv", content=[])
        + stop(1)
        + start(2, type="text", text="")
        + event("content_block_delta", index=2, delta={"type": "citations_delta", "citation": {"url": "x"}})
        + delta(2, "text_delta", text="Hel")
        + stop(2)
        + end()
        + DONE,
        wrap(HEL),
    ),
    "events that nobody knows yet": (
        BEGIN + event("weather", sky="blue") + text("Hel") + end() + DONE,
        wrap(HEL),
    ),
    "usage at the end only": (
        event("message_start", message=message(usage=None)) + text("Hel") + end(input_tokens=5) + DONE,
        [STARTED, HEL, STOPPED, Metered(Usage(prompt_tokens=5, completion_tokens=7))],
    ),
    "usage that grows": (
        BEGIN + text("Hel") + end(input_tokens=30, cache_read_input_tokens=0) + DONE,
        [
            STARTED,
            FIRST,
            HEL,
            STOPPED,
            Metered(Usage(prompt_tokens=32, completion_tokens=7, cached_tokens=0, cache_write_tokens=2)),
        ],
    ),
    "thinking tokens": (
        BEGIN
        + event(
            "message_delta",
            delta={"stop_reason": "end_turn"},
            usage={"output_tokens": 7, "output_tokens_details": {"thinking_tokens": 5}},
        )
        + DONE,
        [
            STARTED,
            FIRST,
            STOPPED,
            Metered(
                Usage(
                    prompt_tokens=9,
                    completion_tokens=7,
                    cached_tokens=4,
                    cache_write_tokens=2,
                    reasoning_tokens=5,
                )
            ),
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", STREAMS)
def test_streams(case: str) -> None:
    data, events = STREAMS[case]
    assert read(data) == events


@pytest.mark.parametrize(
    ("said", "sequence", "finished"),
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
def test_stop_reasons(said: str, sequence: str | None, finished: Finished) -> None:
    assert read(BEGIN + end(said, sequence) + DONE)[2] == finished
    reader = BACK.reader(JOB, stream=False)
    reader.feed(body(message(reason=said, stop_sequence=sequence)))
    assert reader.close()[-1] == finished


@pytest.mark.parametrize("feed_with", [b"", PING])
def test_a_ping_is_not_a_first_byte(feed_with: bytes) -> None:
    reader = BACK.reader(JOB, stream=True)
    assert reader.feed(PING + feed_with) == []
    assert reader.feed(BEGIN) == [STARTED, FIRST]
    assert reader.feed(feed_with) == []


@pytest.mark.parametrize("at", range(0, len(HELLO) - 2, 7))
def test_a_stream_without_its_end_is_cut(at: int) -> None:
    reader = BACK.reader(JOB, stream=True)
    events = reader.feed(HELLO[:at]) + reader.close()
    assert events == wrap(HEL, LO)[: len(events)]
    assert not reader.complete
    assert reader.error is not None
    assert reader.error.kind is UPSTREAM_TRUNCATED


def fault(kind: str, note: str = "Oh") -> bytes:
    return event("error", error={"type": kind, "message": note})


BROKEN: dict[str, tuple[bytes, Kind, str]] = {
    "overloaded": (fault("overloaded_error"), UPSTREAM_ERROR, "Acme answered 529: Oh"),
    "api error": (fault("api_error"), UPSTREAM_ERROR, "Acme answered 500: Oh"),
    "rate limit": (fault("rate_limit_error"), UPSTREAM_RATE_LIMIT, "Acme answered 429: Oh"),
    "invalid": (fault("invalid_request_error"), INVALID_REQUEST, "Oh"),
    "unknown": (fault("boredom"), UPSTREAM_ERROR, "Acme answered 500: Oh"),
    "no detail": (event("error"), UPSTREAM_ERROR, "Acme answered 500"),
    "text": (event("error", error="Oh"), UPSTREAM_ERROR, "Acme answered 500: Oh"),
    "no type": (b'data: {"error":{"message":"Oh"}}\n\n', UPSTREAM_ERROR, "Acme answered 500: Oh"),
    "not json": (b"data: {\n\n", UPSTREAM_PROTOCOL, "Acme sent a malformed answer"),
    "not utf-8": (text("x").replace(b'"x"', b'"\xff"'), UPSTREAM_PROTOCOL, "Acme sent a malformed answer"),
    "not an object": (b"data: [1]\n\n", UPSTREAM_PROTOCOL, "Acme sent a malformed answer"),
    "another type": (event("message_delta", delta=7), UPSTREAM_PROTOCOL, "Acme sent a malformed answer"),
    "without end": (b"data: " + b"[" * 5000 + b"\n\n", UPSTREAM_PROTOCOL, "Acme sent a malformed answer"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_came_before_an_error_still_counts(case: str) -> None:
    data, kind, said = BROKEN[case]
    reader = BACK.reader(JOB, stream=True)
    assert reader.feed(BEGIN + text("Hel") + data + text("lo") + end() + DONE)[:3] == [STARTED, FIRST, HEL]
    assert reader.feed(HELLO) == reader.close() == []
    assert not reader.complete
    assert reader.error is not None
    assert reader.error.kind is kind
    assert reader.error.message.startswith(said)


def test_a_record_without_end_is_refused() -> None:
    reader = BACK.reader(JOB, stream=True)
    for _ in range(18):
        reader.feed(b"x" * 1024 * 1024)
    assert reader.error is not None
    assert reader.error.code == "upstream_too_large"


WHOLE = message(
    [
        {"type": "thinking", "thinking": "Hm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "text", "text": "Hel", "citations": None},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"x": 1}},
        {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}},
    ],
    "tool_use",
)


def test_whole_answers() -> None:
    data = body(WHOLE)
    for pieces in ways(data):
        reader = BACK.reader(JOB, stream=False)
        assert not any(reader.feed(piece) for piece in pieces)
        assert reader.close() == [
            STARTED,
            FIRST,
            ThinkingDelta("Hm", signature="sig"),
            HEL,
            ToolCallDelta(0, "toolu_1", "f"),
            ToolCallDelta(0, arguments='{"x":1}'),
            ToolCallDelta(1, "toolu_2", "g"),
            ToolCallDelta(1, arguments="{}"),
            Finished("tool_calls"),
        ]
        assert (reader.complete, reader.error) == (True, None)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", UPSTREAM_PROTOCOL),
        (b"{}", UPSTREAM_PROTOCOL),
        (b'{"content":', UPSTREAM_PROTOCOL),
        (b'{"content":7}', UPSTREAM_PROTOCOL),
        (b"[]", UPSTREAM_PROTOCOL),
        (body(WHOLE).replace(b"Hm", b"\xff"), UPSTREAM_PROTOCOL),
        (body({"type": "error", "error": {"type": "overloaded_error", "message": "Oh"}}), UPSTREAM_ERROR),
        (body({"type": "error"}), UPSTREAM_ERROR),
    ],
)
def test_a_whole_answer_that_is_none(data: bytes, kind: Kind) -> None:
    reader = BACK.reader(JOB, stream=False)
    reader.feed(data)
    assert reader.close() == []
    assert not reader.complete
    assert reader.error is not None
    assert reader.error.kind is kind


def test_samples_are_what_they_say() -> None:
    """The golden stream, as the vendor writes it down."""
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
