from __future__ import annotations

from typing import Any

import msgspec
import pytest

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
from trunkline.dialects.anthropic import MESSAGES, AnthropicBack
from trunkline.dialects.base import NO_DEFAULTS, Inspector, RequestDefaults, RequestSummary
from trunkline.errors import (
    UPSTREAM_ERROR,
    UPSTREAM_PROTOCOL,
    UPSTREAM_RATE_LIMIT,
    UPSTREAM_TRUNCATED,
    CallerError,
    Kind,
)
from trunkline.model import Usage

BACK = AnthropicBack("Acme")
METERED = Usage(prompt_tokens=9, completion_tokens=7, cached_tokens=4, cache_write_tokens=2)


def inspector(stream: bool = True) -> Inspector:
    return BACK.inspector("chat", RequestSummary(model="m", stream=stream))


def scan(data: bytes) -> tuple[Inspector, bytes]:
    """A stream that must be complete, fed in every way until it says so; what goes on is always the same."""
    outs = set()
    for pieces in ways(data):
        made = inspector()
        out = b"".join(made.feed(piece) for piece in pieces) + made.close()
        assert (made.complete, made.error, made.usage) == (True, None, METERED)
        outs.add(out)
    assert len(outs) == 1
    return made, outs.pop()


ODD: dict[str, Any] = {"type": "hologram", "text": {"a": 1}, "id": 5, "thinking": [1]}
CITED = {"type": "citations_delta", "citation": {"url": "x"}}
UNCHANGED = {
    "plain": HELLO,
    "crlf": HELLO.replace(b"\n", b"\r\n"),
    "no names": HELLO.replace(b"event: ", b": "),
    "no space": HELLO.replace(b"data: ", b"data:"),
    "spaced": HELLO.replace(b":{", b" : {"),
    "comments in between": BEGIN + b": hello\n\n" + text("a") + end() + b": bye\n\n" + DONE,
    "calls": BEGIN + tool('{"x"', ":1}") + end("tool_use") + DONE,
    "unknown events and deltas": BEGIN
    + event("weather", sky="blue")
    + event("content_block_delta", index=0, delta=CITED)
    + end()
    + DONE,
    "unknown blocks and events whose fields have other types": BEGIN
    + start(0, **ODD)
    + stop(0)
    + event("weather", message=1, index="a", usage=[], delta="rain")
    + end()
    + DONE,
    "words that look like more": BEGIN + text('"error" message_stop "usage":7') + end() + DONE,
    "usage at the end": BEGIN + end(input_tokens=3, cache_read_input_tokens=4) + DONE,
}


@pytest.mark.parametrize("case", UNCHANGED)
def test_bytes_go_on_unchanged(case: str) -> None:
    data = UNCHANGED[case]
    made, out = scan(data)
    assert (out, made.model) == (data, "up")


def test_the_same_object_goes_on() -> None:
    made = inspector()
    assert made.feed(HELLO) is HELLO
    again, piece = inspector(), delta(0, "text_delta", text="a")
    again.feed(BEGIN)
    assert again.feed(piece) is piece


def test_pings_are_no_progress_and_no_first_byte() -> None:
    made = inspector()
    assert made.feed(PING) == made.feed(b": wait\n\n" + PING) == b""
    assert (made.records, made.model) == (0, None)
    assert made.feed(PING + BEGIN) == BEGIN
    assert (made.records, made.model) == (1, "up")
    assert made.feed(PING) == PING
    assert made.records == 1
    made.feed(start(0, type="text", text="") + delta(0, "text_delta", text="a"))
    made.feed(delta(0, "text_delta", text="b"))
    assert made.records == 4


def test_usage_so_far_is_known() -> None:
    made = inspector()
    made.feed(BEGIN)
    assert made.usage == Usage(prompt_tokens=9, completion_tokens=1, cached_tokens=4, cache_write_tokens=2)


def test_only_whole_events_go_on() -> None:
    made = inspector()
    assert made.feed(BEGIN + DONE[:-1]) == BEGIN
    assert made.feed(DONE[-1:]) == DONE


def test_what_follows_the_end_is_nobodys() -> None:
    made = inspector()
    assert made.feed(HELLO + text("more")) == HELLO
    assert made.feed(text("more")) == made.close() == b""


def test_a_last_event_without_its_blank_line() -> None:
    made = inspector()
    assert made.feed(HELLO[:-2]) + made.close() == HELLO
    assert (made.complete, made.error) == (True, None)


@pytest.mark.parametrize("at", range(0, len(HELLO) - 2, 7))
def test_a_stream_without_its_end_is_cut(at: int) -> None:
    made = inspector()
    out = made.feed(HELLO[:at]) + made.close()
    assert HELLO.startswith(out)
    assert out.endswith(b"\n\n") or not out
    assert not made.complete
    assert made.error is not None
    assert made.error.kind is UPSTREAM_TRUNCATED


BROKEN: dict[str, tuple[bytes, Kind]] = {
    "an error": (event("error", error={"type": "overloaded_error", "message": "Oh"}), UPSTREAM_ERROR),
    "a rate limit": (
        event("error", error={"type": "rate_limit_error", "message": "Oh"}),
        UPSTREAM_RATE_LIMIT,
    ),
    "an error without its type": (b'data: {"error":{"message":"Oh"}}\n\n', UPSTREAM_ERROR),
    "not json": (b"event: content_block_delta\ndata: {\n\n", UPSTREAM_PROTOCOL),
    "not utf-8": (delta(0, "text_delta", text="odd").replace(b"odd", b"\xff"), UPSTREAM_PROTOCOL),
    "another type": (event("message_delta", usage=7), UPSTREAM_PROTOCOL),
    "another type where nobody looks": (b'data: {"type":"content_block_delta"\n\n', UPSTREAM_PROTOCOL),
}


@pytest.mark.parametrize("start", [b"", BEGIN, BEGIN + text("a")], ids=len)
@pytest.mark.parametrize("case", BROKEN)
def test_what_is_broken_goes_no_further(case: str, start: bytes) -> None:
    data, kind = BROKEN[case]
    for pieces in ways(start + data + end() + DONE):
        made = inspector()
        assert b"".join(made.feed(piece) for piece in pieces) + made.close() == start
        assert not made.complete
        assert made.error is not None
        assert made.error.kind is kind


def test_a_record_without_end_is_refused() -> None:
    made = inspector()
    for _ in range(18):
        assert made.feed(b"x" * 1024 * 1024) == b""
    assert made.error is not None
    assert made.error.code == "upstream_too_large"


WHOLE = body(message([{"type": "text", "text": 'an "error"'}], "end_turn", more=[1]))


@pytest.mark.parametrize("data", [WHOLE, body(message([ODD]))], ids=["plain", "unknown-block"])
def test_a_whole_answer_goes_on_unchanged_at_its_end(data: bytes) -> None:
    for pieces in ways(data):
        made = inspector(stream=False)
        assert not any(made.feed(piece) for piece in pieces)
        assert 0 < made.records <= len(pieces)
        assert made.close() == data
        assert (made.complete, made.error, made.model) == (True, None, "up")
        assert made.usage == Usage(
            prompt_tokens=9, completion_tokens=1, cached_tokens=4, cache_write_tokens=2
        )


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (WHOLE[:-1], UPSTREAM_PROTOCOL),
        (WHOLE.replace(b"an ", b"\xff"), UPSTREAM_PROTOCOL),
        (b"{}", UPSTREAM_PROTOCOL),
        (b"", UPSTREAM_PROTOCOL),
        (body({"type": "error", "error": {"type": "api_error", "message": "Oh"}}), UPSTREAM_ERROR),
    ],
)
def test_a_whole_answer_that_is_none_reaches_nobody(data: bytes, kind: Kind) -> None:
    made = inspector(stream=False)
    assert made.feed(data) + made.close() == b""
    assert not made.complete
    assert made.error is not None
    assert made.error.kind is kind


def test_heartbeats_before_a_whole_answer_are_no_progress() -> None:
    made = inspector(stream=False)
    made.feed(b" \n")
    assert made.records == 0
    made.feed(b"{")
    assert made.records == 1


ASK: dict[str, Any] = {"model": "m", "max_tokens": 9, "temperature": None, "x": [1.0], "messages": [1]}
FILLS = RequestDefaults(temperature=0.5, max_tokens=5, fields={"service_tier": "auto", "top_k": 3})

REWRITES: list[tuple[str, RequestDefaults, dict[str, Any]]] = [
    ("m", RequestDefaults(), {}),
    ("n", NO_DEFAULTS, {"model": "n"}),
    ("m", FILLS, {"temperature": 0.5, "service_tier": "auto", "top_k": 3}),
    ("n", RequestDefaults(drop=frozenset({"x", "y"})), {"model": "n", "x": ...}),
    ("m", RequestDefaults(temperature=0.5, drop=frozenset({"temperature"})), {"temperature": ...}),
]


@pytest.mark.parametrize(("name", "defaults", "changes"), REWRITES)
def test_rewriting(name: str, defaults: RequestDefaults, changes: dict[str, Any]) -> None:
    data = body(ASK)
    wanted = {key: value for key, value in (ASK | changes).items() if value is not ...}
    assert msgspec.json.decode(BACK.patch(data, MESSAGES.summarize(data), name, defaults)) == wanted


@pytest.mark.parametrize("defaults", [NO_DEFAULTS, RequestDefaults(max_tokens=5)])
def test_a_body_that_needs_no_change_is_the_same(defaults: RequestDefaults) -> None:
    data = body(ASK).replace(b"1.0", b"1.00")
    assert BACK.patch(data, MESSAGES.summarize(data), "m", defaults) is data
    assert b"1.00" in BACK.patch(data, MESSAGES.summarize(data), "n", defaults)


def test_a_body_that_is_no_object() -> None:
    with pytest.raises(CallerError):
        BACK.patch(b"[]", RequestSummary(model="m", stream=False), "n", NO_DEFAULTS)


def test_what_opens_a_stream_is_counted_apart() -> None:
    made = inspector()
    made.feed(BEGIN + PING + start(0, type="text", text=""))
    assert made.records == BACK.opening_records
