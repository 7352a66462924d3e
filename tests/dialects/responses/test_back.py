"""Responses clients in front of upstreams that have the API themselves: what passes, and what is watched."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from tests.feeding import ways
from trunkline import errors
from trunkline.dialects.base import NO_FILLS, Fills, Peek, Scanner
from trunkline.dialects.openai import OpenAIBack, Quirks
from trunkline.dialects.responses import RESPONSES, ResponsesBack
from trunkline.errors import CallerError, GatewayError, Kind
from trunkline.exchange import PassThrough
from trunkline.framing import MAX_RECORD, split_events
from trunkline.model import CompletionRequest, Usage

BACK = ResponsesBack("Acme")
USAGE = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 3},
    "total_tokens": 16,
}
METERED = Usage(
    prompt_tokens=9, completion_tokens=7, cached_tokens=4, cache_write_tokens=2, reasoning_tokens=3
)


def body(value: object) -> bytes:
    """``value`` as JSON."""
    return msgspec.json.encode(value)


def event(kind: str, **data: Any) -> bytes:
    """One event, named twice as the API does."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), body({"type": kind, "sequence_number": 0} | data))


def response(status: str = "completed", **more: Any) -> dict[str, Any]:
    """A response object with an item of every kind."""
    said = {"type": "output_text", "text": 'an "error"', "annotations": [], "logprobs": []}
    output: list[dict[str, Any]] = [
        {"id": "rs_u", "type": "reasoning", "summary": []},
        {"id": "msg_u", "type": "message", "role": "assistant", "status": "completed", "content": [said]},
        {"id": "fc_u", "type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    ]
    head = {"id": "resp_u", "object": "response", "created_at": 1700000000, "model": "up"}
    rest = {"tools": [], "tool_choice": "auto", "parallel_tool_calls": True, "metadata": {}}
    return head | {"status": status, "error": None, "output": output, "usage": USAGE} | rest | more


PLACE = {"item_id": "msg_u", "output_index": 0}
EMPTY = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
ITEM = {"id": "msg_u", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
BEGIN = b"".join(
    event(f"response.{name}", response=response("in_progress", output=[], usage=None))
    for name in ("created", "in_progress")
)
OPEN = event("response.output_item.added", output_index=0, item=ITEM) + event(
    "response.content_part.added", content_index=0, part=EMPTY, **PLACE
)


def text(piece: str) -> bytes:
    """A piece of the message."""
    return event("response.output_text.delta", content_index=0, delta=piece, logprobs=[], **PLACE)


SHUT = event("response.output_text.done", content_index=0, text="Hello", logprobs=[], **PLACE)
DONE = event("response.completed", response=response())
CUT = event(
    "response.incomplete", response=response("incomplete", incomplete_details={"reason": "max_output_tokens"})
)
HELLO = BEGIN + OPEN + text("Hel") + text("lo") + SHUT + DONE
CALLING = BEGIN + b"".join(
    [
        event("response.function_call_arguments.delta", delta='{"x"', **PLACE),
        event("response.reasoning_summary_text.delta", summary_index=0, delta="Hm", **PLACE),
        event("response.reasoning_text.delta", content_index=0, delta="Hm", **PLACE),
        event("response.refusal.delta", content_index=0, delta="No", **PLACE),
    ]
)


@pytest.mark.parametrize("data", [HELLO, CALLING + CUT], ids=["hello", "calling"])
def test_the_cases_are_what_the_api_sends(data: bytes) -> None:
    known: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
    for each in split_events(data):
        name, said = each.split(b"\ndata: ")
        assert name.decode() == f"event: {known.validate_json(said).type}"


def scanner(stream: bool = True) -> Scanner:
    """A scanner for one answer."""
    return BACK.scanner("chat", Peek(model="m", stream=stream))


def scan(data: bytes) -> tuple[Scanner, bytes]:
    """A stream that must be complete, fed in every way; what goes on is always the same."""
    outs = set()
    for pieces in ways(data):
        made = scanner()
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
    made, piece = scanner(), text("a")
    assert made.feed(BEGIN) is BEGIN
    assert made.feed(piece) is piece


def test_events_are_counted_and_comments_are_not() -> None:
    made = scanner()
    assert made.feed(b": OPENROUTER PROCESSING\n\n") == b""
    assert (made.records, made.model) == (0, None)
    assert made.feed(b": wait\n\n" + BEGIN) == BEGIN, "a comment is not a first byte"
    assert (made.records, made.model) == (2, "up")
    made.feed(b": wait\n\n" + OPEN)
    assert made.records == BACK.opening
    made.feed(text("a"))
    made.feed(text("b") + text("c"))
    assert made.records == BACK.opening + 3


def test_only_whole_events_go_on() -> None:
    made = scanner()
    assert made.feed(BEGIN + DONE[:-1]) == BEGIN
    assert made.feed(DONE[-1:]) == DONE


@pytest.mark.parametrize("after", [b"data: [DONE]\n\n", text("more"), event("error", message="late")])
def test_what_follows_the_end_is_nobodys(after: bytes) -> None:
    made = scanner()
    assert made.feed(HELLO + after) == HELLO
    assert made.feed(after) == made.close() == b""
    assert (made.complete, made.error) == (True, None)


def test_a_last_event_without_its_blank_line() -> None:
    made = scanner()
    assert made.feed(HELLO[:-2]) + made.close() == HELLO
    assert (made.complete, made.error) == (True, None)


@pytest.mark.parametrize("at", range(0, len(HELLO) - 2, 11))
def test_a_stream_without_its_end_is_cut(at: int) -> None:
    made = scanner()
    out = made.feed(HELLO[:at]) + made.close()
    assert HELLO.startswith(out)
    assert out.endswith(b"\n\n") or not out
    assert not made.complete
    assert made.error is not None
    assert made.error.kind is errors.UPSTREAM_TRUNCATED


def said(code: str | None, message: str = "Oh", **more: Any) -> dict[str, Any]:
    """The inside of an error."""
    return {"code": code, "message": message, "param": None} | more


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
        event("error", **said(None), error=said("insufficient_quota", type="insufficient_quota")),
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
        made = scanner()
        assert b"".join(made.feed(piece) for piece in pieces) + made.close() == start
        assert not made.complete
        check(made.error, kind, message)


def test_an_error_that_lacks_its_blank_line_is_still_one() -> None:
    made = scanner()
    assert made.feed(BEGIN + event("error", **said("server_error")).rstrip()) + made.close() == BEGIN
    check(made.error, errors.UPSTREAM_ERROR, "Acme answered 500: Oh")


def test_usage_of_a_response_that_failed_still_counts() -> None:
    made = scanner()
    assert made.feed(BEGIN + failed("server_error")) == BEGIN
    assert (made.usage, made.model, made.records) == (METERED, "up", 2)


def test_usage_that_is_told_in_part() -> None:
    made = scanner()
    made.feed(event("response.completed", response=response(usage={"input_tokens": 3, "cost": 0.5})))
    assert made.usage == Usage(prompt_tokens=3, cost=0.5)


def test_a_record_without_end_is_refused() -> None:
    made = scanner()
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
        made = scanner(stream=False)
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
        made = scanner(stream=False)
        assert b"".join(made.feed(piece) for piece in pieces) + made.close() == b""
        assert not made.complete
        check(made.error, kind, message)


def test_heartbeats_before_a_whole_answer_are_no_progress() -> None:
    made = scanner(stream=False)
    made.feed(b" \n")
    assert made.records == 0
    made.feed(b"{")
    assert made.records == 1


ASK: dict[str, Any] = {"model": "m", "max_output_tokens": 9, "temperature": None, "x": [1.0], "input": "Hi"}
FILLS = Fills(temperature=0.5, max_tokens=5, fields={"service_tier": "auto", "x": 3, "y": None})
ZDR = Fills(routing={"zdr": True})

REWRITES: list[tuple[str, Fills, dict[str, Any], dict[str, Any]]] = [
    ("m", Fills(), {}, {}),
    ("n", NO_FILLS, {}, {"model": "n"}),
    ("m", FILLS, {}, {"temperature": 0.5, "service_tier": "auto"}),
    ("m", FILLS, {"temperature": 0}, {"service_tier": "auto"}),
    ("m", Fills(max_tokens=5), {"max_output_tokens": None}, {"max_output_tokens": 5}),
    ("m", Fills(max_tokens=20), {}, {}),
    ("n", Fills(drop=frozenset({"x", "y"})), {}, {"model": "n", "x": ...}),
    ("m", Fills(temperature=0.5, drop=frozenset({"temperature"})), {}, {"temperature": ...}),
    ("m", ZDR, {}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "fills", "asked", "changes"), REWRITES)
def test_rewriting(name: str, fills: Fills, asked: dict[str, Any], changes: dict[str, Any]) -> None:
    data = body(ASK | asked)
    wanted = {key: value for key, value in (ASK | asked | changes).items() if value is not ...}
    assert msgspec.json.decode(BACK.rewrite(data, RESPONSES.peek(data), name, fills)) == wanted


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ({}, {"zdr": True}),
        ({"provider": {"order": ["a"], "zdr": False}}, {"order": ["a"], "zdr": True}),
        ({"provider": None}, {"zdr": True}),
        ({"provider": 7}, {"zdr": True}),
    ],
)
def test_how_openrouter_is_to_route_is_said_whatever_the_request_says(
    asked: dict[str, Any], sent: dict[str, Any]
) -> None:
    data = body(ASK | asked)
    made = ResponsesBack("OpenRouter", routes=True).rewrite(data, RESPONSES.peek(data), "m", ZDR)
    assert msgspec.json.decode(made) == ASK | {"provider": sent}


@pytest.mark.parametrize("fills", [NO_FILLS, Fills(max_tokens=5)])
def test_a_body_that_needs_no_change_is_the_same(fills: Fills) -> None:
    data = body(ASK).replace(b"1.0", b"1.00")
    assert BACK.rewrite(data, RESPONSES.peek(data), "m", fills) is data
    assert b"1.00" in BACK.rewrite(data, RESPONSES.peek(data), "n", fills)


def test_a_body_that_is_no_object() -> None:
    with pytest.raises(CallerError):
        BACK.rewrite(b"[]", Peek(model="m", stream=False), "n", NO_FILLS)


ANSWERS: dict[str, tuple[int, object, Kind, str, str | None, str | None]] = {
    "the request": (
        400,
        {"error": said("bad_input", type="invalid_request_error", param="input")},
        errors.INVALID_REQUEST, "Oh", "input", "bad_input",
    ),
    "the model": (
        404,
        {"error": said("model_not_found", param="model")},
        errors.MODEL_NOT_FOUND, "Acme answered 404: Oh", "model", "model_not_found",
    ),
    "no such endpoint": (
        404, {"detail": "Not Found"},
        errors.MODEL_NOT_FOUND, "Acme answered 404: Not Found", "model", "model_not_found",
    ),
    "a response that it does not know": (
        404, {"error": said("previous_response_not_found", param="previous_response_id")},
        errors.NOT_FOUND, "Oh", "previous_response_id", "previous_response_not_found",
    ),
    "an item that it does not know": (
        404, {"error": said(None, param="input")},
        errors.NOT_FOUND, "Oh", "input", "not_found",
    ),
    "no credit": (
        429, {"error": said("insufficient_quota")},
        errors.UPSTREAM_CREDIT, "Acme answered 429: Oh", None, "upstream_credit",
    ),
    "a sentence": (
        500, {"error": "it broke"},
        errors.UPSTREAM_ERROR, "Acme answered 500: it broke", None, "upstream_error",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ANSWERS)
def test_error_answers(case: str) -> None:
    status, sent, kind, message, param, code = ANSWERS[case]
    error = BACK.read_error(status, [(b"retry-after", b"7")], body(sent))
    assert (error.kind, error.message, error.param, error.code) == (kind, message, param, code)
    assert error.status == kind.status


def test_where_it_is_asked() -> None:
    assert BACK.target("chat", None) == "/responses"
    assert ResponsesBack("x", "/v1").target("chat", None) == "/v1/responses"
    assert BACK.target("embeddings", None) is BACK.target("completions", None) is None
    assert BACK.dialect == RESPONSES.dialect != OpenAIBack(Quirks()).dialect


def test_nothing_is_translated_into_it() -> None:
    job = CompletionRequest(model="m", prompts=("Hi",))
    for ask in (lambda: BACK.render(job, "m", False, NO_FILLS), lambda: BACK.reader(job, False)):
        with pytest.raises(GatewayError, match="Acme is asked in the Responses dialect by clients of") as met:
            ask()
        assert met.value.kind is errors.INTERNAL


def test_past_each_other() -> None:
    data = body(ASK | {"stream": True, "previous_response_id": "resp_1"})
    for pieces in ways(HELLO):
        made = PassThrough(RESPONSES, BACK, data, RESPONSES.peek(data), "up", NO_FILLS, "Acme")
        assert made.target() == "/responses"
        assert msgspec.json.decode(made.request()) == msgspec.json.decode(data) | {"model": "up"}
        made.head(200, [])
        assert b"".join(made.feed(piece) for piece in pieces) + made.finish() == HELLO
        assert (made.complete, made.error, made.usage, made.model) == (True, None, METERED, "up")
        assert made.pieces == 4
