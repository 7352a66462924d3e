"""What a response that passes through is watched for."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from tests.dialects.responses.upstreams import (
    BEGIN,
    CALLING,
    CUT,
    DONE,
    HELLO,
    METERED,
    OPEN,
    body,
    event,
    response,
    said,
    text,
)
from tests.feeding import ways
from trunkline import errors
from trunkline.dialects.base import Inspector, RequestSummary
from trunkline.dialects.responses import ResponsesBack
from trunkline.errors import CallerError, GatewayError, Kind
from trunkline.framing import MAX_RECORD, split_events
from trunkline.model import Usage

BACK = ResponsesBack("Acme")


@pytest.mark.parametrize("data", [HELLO, CALLING + CUT], ids=["hello", "calling"])
def test_the_cases_are_what_the_api_sends(data: bytes) -> None:
    known: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
    for each in split_events(data):
        name, said = each.split(b"\ndata: ")
        assert name.decode() == f"event: {known.validate_json(said).type}"


def inspector(stream: bool = True) -> Inspector:
    """A scanner for one answer."""
    return BACK.inspector("chat", RequestSummary(model="m", stream=stream))


def scan(data: bytes) -> tuple[Inspector, bytes]:
    """A stream that must be complete, fed in every way; what goes on is always the same."""
    outs = set()
    for pieces in ways(data):
        made = inspector()
        out = b"".join(made.feed(piece) for piece in pieces) + made.close()
        assert (made.complete, made.error, made.usage, made.model) == (True, None, METERED, "up")
        outs.add(out)
    assert len(outs) == 1
    return made, outs.pop()


UNCHANGED = {
    "plain": HELLO,
    "incomplete": BEGIN + OPEN + text("a") + CUT,
    "every kind of delta": CALLING + DONE,
    "crlf": HELLO.replace(b"\n", b"\r\n"),
    "cr": HELLO.replace(b"\n", b"\r"),
    "byte order mark": b"\xef\xbb\xbf" + HELLO,
    "no names": HELLO.replace(b"event: ", b": "),
    "no space": HELLO.replace(b"data: ", b"data:"),
    "spaced": HELLO.replace(b'":{', b'" : {'),
    "comments in between": BEGIN + b": hello\n\n" + text("a") + b": bye\n\n" + DONE,
    "unknown events and fields": BEGIN + event("weather", sky="blue") + text("a") + DONE,
    "words that look like more": BEGIN + text('"error" response.failed "usage":7 [DONE]') + DONE,
    "more than ASCII": BEGIN + text("naïve ☃") + DONE,
    "only the end": DONE,
}


@pytest.mark.parametrize("case", UNCHANGED)
def test_bytes_go_on_unchanged(case: str) -> None:
    assert scan(UNCHANGED[case])[1] == UNCHANGED[case]


def test_the_same_object_goes_on() -> None:
    made, piece = inspector(), text("a")
    assert made.feed(BEGIN) is BEGIN
    assert made.feed(piece) is piece


def test_events_are_counted_and_comments_are_not() -> None:
    made = inspector()
    assert made.feed(b": OPENROUTER PROCESSING\n\n") == b""
    assert (made.records, made.model) == (0, None)
    assert made.feed(b": wait\n\n" + BEGIN) == BEGIN, "a comment is not a first byte"
    assert (made.records, made.model) == (2, "up")
    made.feed(b": wait\n\n" + OPEN)
    assert made.records == BACK.opening_records
    made.feed(text("a"))
    made.feed(text("b") + text("c"))
    assert made.records == BACK.opening_records + 3


def test_only_whole_events_go_on() -> None:
    made = inspector()
    assert made.feed(BEGIN + DONE[:-1]) == BEGIN
    assert made.feed(DONE[-1:]) == DONE


@pytest.mark.parametrize("after", [b"data: [DONE]\n\n", text("more"), event("error", message="late")])
def test_what_follows_the_end_is_nobodys(after: bytes) -> None:
    made = inspector()
    assert made.feed(HELLO + after) == HELLO
    assert made.feed(after) == made.close() == b""
    assert (made.complete, made.error) == (True, None)


def test_a_last_event_without_its_blank_line() -> None:
    made = inspector()
    assert made.feed(HELLO[:-2]) + made.close() == HELLO
    assert (made.complete, made.error) == (True, None)


@pytest.mark.parametrize("at", range(0, len(HELLO) - 2, 11))
def test_a_stream_without_its_end_is_cut(at: int) -> None:
    made = inspector()
    out = made.feed(HELLO[:at]) + made.close()
    assert HELLO.startswith(out)
    assert out.endswith(b"\n\n") or not out
    assert not made.complete
    assert made.error is not None
    assert made.error.kind is errors.UPSTREAM_TRUNCATED


def failed(code: str) -> bytes:
    """The event of a response that failed."""
    return event("response.failed", response=response("failed", error=said(code)))


BROKEN: dict[str, tuple[bytes, Kind, str]] = {
    "flat": (event("error", **said("server_error")), errors.UPSTREAM_ERROR, "Acme answered 500: Oh"),
    "flat, without a code": (event("error", **said(None)), errors.UPSTREAM_ERROR, "Acme answered 500: Oh"),
    "flat, a rate limit": (
        event("error", **said("rate_limit_exceeded")),
        errors.UPSTREAM_RATE_LIMIT,
        "Acme answered 429: Oh",
    ),
    "flat, the caller's": (
        event("error", **said("context_length_exceeded", "Too long")),
        errors.INVALID_REQUEST,
        "Too long",
    ),
    "with the envelope": (
        event("error", error=said("credit_balance_exhausted", type="insufficient_quota")),
        errors.UPSTREAM_CREDIT,
        "Acme answered 429: Oh",
    ),
    "the envelope, told by its type": (
        event("error", error=said(None, type="invalid_request_error")),
        errors.INVALID_REQUEST,
        "Oh",
    ),
    "the envelope alone": (
        b'data: {"error":{"message":"Oh","code":503}}\n\n',
        errors.UPSTREAM_ERROR,
        "Acme answered 503: Oh",
    ),
    "only a sentence": (b'data: {"error":"Oh"}\n\n', errors.UPSTREAM_ERROR, "Acme answered 500: Oh"),
    "the key in the text": (
        event("error", **said("invalid_api_key", "Bad sk-abcdefghijklm")),
        errors.UPSTREAM_AUTH,
        "Acme answered 401: Bad ***",
    ),
    "failed": (failed("server_error"), errors.UPSTREAM_ERROR, "Acme answered 500: Oh"),
    "failed by a rate": (failed("rate_limit_exceeded"), errors.UPSTREAM_RATE_LIMIT, "Acme answered 429: Oh"),
    "failed by the prompt": (failed("invalid_prompt"), errors.INVALID_REQUEST, "Oh"),
    "failed without a reason": (
        event("response.failed", response=response("failed")),
        errors.UPSTREAM_ERROR,
        "Acme ended its answer with an error that it did not name",
    ),
    "failed without a response": (
        event("response.failed"),
        errors.UPSTREAM_ERROR,
        "Acme ended its answer with an error that it did not name",
    ),
    "failed under another name": (
        event("response.completed", response=response("failed", error=said("server_error"))),
        errors.UPSTREAM_ERROR,
        "Acme answered 500: Oh",
    ),
    "not json": (b"event: response.output_text.delta\ndata: {\n\n", errors.UPSTREAM_PROTOCOL, "Acme sent a"),
    "not utf-8": (text("odd").replace(b"odd", b"\xff"), errors.UPSTREAM_PROTOCOL, "Acme sent a malformed"),
    "another shape": (event("x", response=7), errors.UPSTREAM_PROTOCOL, "Acme sent a malformed answer: "),
    "no object": (b"data: 7\n\n", errors.UPSTREAM_PROTOCOL, "Acme sent a malformed answer: "),
    "without end": (b"data: " + b"[" * 3000 + b"\n\n", errors.UPSTREAM_PROTOCOL, "Acme sent a malformed"),
    "the end before the end": (b"data: [DONE]\n\n", errors.UPSTREAM_TRUNCATED, "Acme ended the stream"),
}


def check(error: GatewayError | None, kind: Kind, message: str) -> None:
    """``error`` is of this kind and in these words."""
    assert error is not None
    assert error.kind is kind
    assert error.message.startswith(message)
    assert isinstance(error, CallerError if kind is errors.INVALID_REQUEST else errors.ProviderError)


@pytest.mark.parametrize("start", [b"", BEGIN, BEGIN + text("a")], ids=["", "begun", "said"])
@pytest.mark.parametrize("case", BROKEN)
def test_what_is_broken_goes_no_further(case: str, start: bytes) -> None:
    data, kind, message = BROKEN[case]
    whole = start + data + text("never") + DONE
    for pieces in ways(whole) if len(data) < 2000 else [[start, data]]:
        made = inspector()
        assert b"".join(made.feed(piece) for piece in pieces) + made.close() == start
        assert not made.complete
        check(made.error, kind, message)


def test_an_error_that_lacks_its_blank_line_is_still_one() -> None:
    made = inspector()
    assert made.feed(BEGIN + event("error", **said("server_error")).rstrip()) + made.close() == BEGIN
    check(made.error, errors.UPSTREAM_ERROR, "Acme answered 500: Oh")


def test_usage_of_a_response_that_failed_still_counts() -> None:
    made = inspector()
    assert made.feed(BEGIN + failed("server_error")) == BEGIN
    assert (made.usage, made.model, made.records) == (METERED, "up", 2)


def test_usage_that_is_told_in_part() -> None:
    made = inspector()
    made.feed(event("response.completed", response=response(usage={"input_tokens": 3, "cost": 0.5})))
    assert made.usage == Usage(prompt_tokens=3, cost=0.5)


def test_a_record_without_end_is_refused() -> None:
    made = inspector()
    assert made.feed(b"data: " + b"x" * MAX_RECORD) == b""
    check(made.error, errors.UPSTREAM_TOO_LARGE, "The upstream sent a record of more than")
    assert made.close() == b""


@pytest.mark.parametrize(
    "data",
    [
        body(response()),
        body(response("incomplete", incomplete_details={"reason": "content_filter"})),
        body(response(more=[1])).replace(b":", b" : "),
        b"\n " + body(response()),
    ],
    ids=["completed", "incomplete", "spaced", "behind a heartbeat"],
)
def test_a_whole_answer_goes_on_unchanged_at_its_end(data: bytes) -> None:
    for pieces in ways(data):
        made = inspector(stream=False)
        assert not any(made.feed(piece) for piece in pieces)
        assert 0 < made.records <= len(pieces)
        assert made.close() == data
        assert (made.complete, made.error, made.model, made.usage) == (True, None, "up", METERED)


WHOLE: dict[str, tuple[bytes, Kind, str]] = {
    "cut": (body(response())[:-1], errors.UPSTREAM_PROTOCOL, "Acme sent a malformed answer: "),
    "not utf-8": (body(response()).replace(b"an ", b"\xff"), errors.UPSTREAM_PROTOCOL, "Acme sent a"),
    "empty": (b"", errors.UPSTREAM_PROTOCOL, "Acme sent a malformed answer: "),
    "HTML": (b"<html></html>", errors.UPSTREAM_PROTOCOL, "Acme sent a malformed answer: "),
    "no response": (b"{}", errors.UPSTREAM_PROTOCOL, "Acme sent a malformed answer: a response without"),
    "failed": (
        body(response("failed", error=said("rate_limit_exceeded"))),
        errors.UPSTREAM_RATE_LIMIT,
        "Acme answered 429: Oh",
    ),
    "failed by the prompt": (
        body(response("failed", error=said("invalid_image_url"))),
        errors.INVALID_REQUEST,
        "Oh",
    ),
    "failed without a reason": (body(response("failed")), errors.UPSTREAM_ERROR, "Acme ended its answer"),
    "an envelope": (body({"error": said(None)}), errors.UPSTREAM_ERROR, "Acme answered 500: Oh"),
}


@pytest.mark.parametrize("case", WHOLE)
def test_a_whole_answer_that_is_none_reaches_nobody(case: str) -> None:
    data, kind, message = WHOLE[case]
    for pieces in ways(data):
        made = inspector(stream=False)
        assert b"".join(made.feed(piece) for piece in pieces) + made.close() == b""
        assert not made.complete
        check(made.error, kind, message)


def test_heartbeats_before_a_whole_answer_are_no_progress() -> None:
    made = inspector(stream=False)
    made.feed(b" \n")
    assert made.records == 0
    made.feed(b"{")
    assert made.records == 1
