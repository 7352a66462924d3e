"""The cases of Anthropic's dialect for the contract suites."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
from trunkline import errors
from trunkline.dialects.anthropic import MESSAGES, AnthropicBack
from trunkline.dialects.anthropic.inspect import StreamInspector, WholeInspector
from trunkline.dialects.anthropic.read import StreamReader, WholeReader
from trunkline.dialects.anthropic.write import StreamWriter, WholeWriter
from trunkline.dialects.base import NO_DEFAULTS, Back, Front, RequestDefaults, RequestSummary
from trunkline.errors import Kind
from trunkline.events import (
    Cited,
    Finished,
    Metered,
    NotShown,
    Started,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)
from trunkline.model import (
    CanonicalRequest,
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    Message,
    Operation,
    Text,
    Usage,
)

BACK = AnthropicBack("Acme")
MODEL = "up"
HI = Message(role="user", parts=(Text(text="Hi"),))
CHAT_REQUEST = ChatRequest(model="m", messages=(HI,))

# ------------------------------------------------------------------------------------------------ fronts

SSE, JSON = b"text/event-stream; charset=utf-8", b"application/json"
FRONTS: dict[str, tuple[Front, str, str, bytes, str | None]] = {
    "messages": (MESSAGES, "anthropic", "chat", SSE, None),
}
"""Front, dialect, operation, content type of a stream, default provider."""

_BODY = b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}'
REQUESTS: dict[str, tuple[Front, bytes, type, bytes]] = {
    "messages": (MESSAGES, _BODY, WholeWriter, JSON),
    "messages, streamed": (MESSAGES, _BODY[:-1] + b',"stream":true}', StreamWriter, SSE),
}
"""Front, body, class of the answer's writer, content type of the answer."""

BAD_BODIES: dict[str, tuple[bytes, Kind, str]] = {
    "empty": (b"", errors.INVALID_JSON, "The request body is empty"),
    "blank": (b" \n", errors.INVALID_JSON, "The request body is empty"),
    "cut": (b"{", errors.INVALID_JSON, "The request body is not JSON"),
    "a form": (b"model=m", errors.INVALID_JSON, "The request body is not JSON"),
    "not a number": (b'{"model":NaN}', errors.INVALID_JSON, "The request body is not JSON"),
    "not utf-8": (b'{"model":"\xff"}', errors.INVALID_JSON, "The request body is not JSON"),
    "nested without end": (b'{"x":' + b"[" * 100_000, errors.INVALID_JSON, "The request body is not JSON"),
    "a list": (b"[]", errors.INVALID_REQUEST, "The request body is not a JSON object"),
    "null": (b"null", errors.INVALID_REQUEST, "The request body is not a JSON object"),
    "a text": (b'"text"', errors.INVALID_REQUEST, "The request body is not a JSON object"),
}
"""Body, kind and beginning of the error."""

ERROR = errors.ProviderError("It was cut", errors.UPSTREAM_TRUNCATED, param="n")
ERROR_BODY = b'{"type":"error","error":{"type":"api_error","message":"It was cut"}}'
STREAM_ERROR = b"event: error\ndata: " + ERROR_BODY + b"\n\n"

# ------------------------------------------------------------------------------------------------- backs

_TEMPLATED = CompletionRequest(model="m", prompts=("Hi",), templated=True, system="S")
TARGETS: dict[str, tuple[Back, Operation, CanonicalRequest | None, str | None]] = {
    "chat": (BACK, "chat", CHAT_REQUEST, "/messages"),
    "chat that passes through": (BACK, "chat", None, "/messages"),
    "a templated prompt": (BACK, "completions", _TEMPLATED, "/messages"),
    "below another path": (AnthropicBack("x", "/v1"), "chat", None, "/v1/messages"),
    "completions": (BACK, "completions", CompletionRequest(model="m", prompts=("Hi",)), None),
    "embeddings": (BACK, "embeddings", EmbeddingRequest(model="m", inputs=("a",)), None),
}
"""Back, operation, request, path."""

READERS: dict[str, tuple[CanonicalRequest, bool, type]] = {
    "stream": (CHAT_REQUEST, True, StreamReader),
    "whole": (CHAT_REQUEST, False, WholeReader),
}
"""Request, streamed or not, class of the reader."""

INSPECTORS: dict[str, tuple[Back, Operation, bool, type]] = {
    "stream": (BACK, "chat", True, StreamInspector),
    "whole": (BACK, "chat", False, WholeInspector),
}
"""Back, operation, streamed or not, class of the inspector."""

_FIELDS: dict[str, Any] = {
    "model": "up",
    "max_tokens": 9,
    "temperature": None,
    "x": [1.0],
    "messages": [1],
}
_DEFAULTS = RequestDefaults(
    temperature=0.5, max_tokens=5, fields={"service_tier": "auto", "top_k": 3, "y": None}
)


def _changed(**changes: Any) -> bytes:
    """The body with these fields changed; ``...`` leaves one out."""
    return body({name: value for name, value in (_FIELDS | changes).items() if value is not ...})


UNPATCHED: dict[str, tuple[Back, Front, bytes, RequestDefaults]] = {
    "the same model": (BACK, MESSAGES, _changed().replace(b"1.0", b"1.00"), NO_DEFAULTS),
    "no defaults": (BACK, MESSAGES, _changed(), RequestDefaults()),
    "a bound of its own": (
        BACK,
        MESSAGES,
        _changed().replace(b"1.0", b"1.00"),
        RequestDefaults(max_tokens=5),
    ),
}
"""Back, front, body, defaults: the body goes on as it is to the model ``up``."""

PATCHED: Mapping[str, tuple[Back, Front, bytes, RequestDefaults, bytes]] = {
    "the model": (
        BACK,
        MESSAGES,
        _changed(model="n").replace(b"1.0", b"1.00"),
        NO_DEFAULTS,
        _changed().replace(b"1.0", b"1.00"),
    ),
    "defaults": (
        BACK,
        MESSAGES,
        _changed(),
        _DEFAULTS,
        _changed(temperature=0.5, service_tier="auto", top_k=3),
    ),
    "dropped fields": (
        BACK,
        MESSAGES,
        _changed(model="n"),
        RequestDefaults(drop=frozenset({"x", "y"})),
        _changed(x=...),
    ),
    "a dropped default": (
        BACK,
        MESSAGES,
        _changed(),
        RequestDefaults(temperature=0.5, drop=frozenset({"temperature"})),
        _changed(temperature=...),
    ),
}
"""Back, front, body, defaults, the patched body for the model ``up``."""


def _envelope(kind: str, message: str) -> bytes:
    return body({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"})


_WAIT: dict[str, Any] = {"retry_after": 3.0}
ERROR_ANSWERS: dict[str, tuple[int, bytes, Kind, str, dict[str, Any]]] = {
    "the request": (
        400,
        _envelope("invalid_request_error", "max_tokens: bad"),
        errors.INVALID_REQUEST,
        "max_tokens: bad",
        _WAIT | {"status": 400},
    ),
    "no key": (
        401,
        _envelope("authentication_error", "invalid x-api-key"),
        errors.UPSTREAM_AUTH,
        "Acme answered 401: invalid x-api-key",
        _WAIT | {"status": 502},
    ),
    "a bill": (
        402,
        _envelope("billing_error", "pay"),
        errors.UPSTREAM_CREDIT,
        "Acme answered 402: pay",
        _WAIT | {"status": 502},
    ),
    "forbidden": (
        403,
        _envelope("permission_error", "no"),
        errors.UPSTREAM_AUTH,
        "Acme answered 403: no",
        _WAIT | {"status": 502},
    ),
    "no model": (
        404,
        _envelope("not_found_error", "model: x"),
        errors.MODEL_NOT_FOUND,
        "Acme answered 404: model: x",
        _WAIT | {"status": 404},
    ),
    "too large": (
        413,
        _envelope("request_too_large", "big"),
        errors.TOO_LARGE,
        "big",
        _WAIT | {"status": 413},
    ),
    "a rate limit": (
        429,
        _envelope("rate_limit_error", "slow"),
        errors.UPSTREAM_RATE_LIMIT,
        "Acme answered 429: slow",
        _WAIT | {"status": 429},
    ),
    "a crash": (
        500,
        _envelope("api_error", "oh"),
        errors.UPSTREAM_ERROR,
        "Acme answered 500: oh",
        _WAIT | {"status": 502},
    ),
    "overload": (
        529,
        _envelope("overloaded_error", "busy"),
        errors.UPSTREAM_ERROR,
        "Acme answered 529: busy",
        _WAIT | {"status": 502},
    ),
    "HTML": (
        500,
        b"<html>oh</html>",
        errors.UPSTREAM_ERROR,
        "Acme answered 500",
        _WAIT | {"status": 502},
    ),
    "not utf-8": (
        500,
        b"oh \xff",
        errors.UPSTREAM_ERROR,
        "Acme answered 500: oh \ufffd",
        _WAIT | {"status": 502},
    ),
    "no body": (500, b"", errors.UPSTREAM_ERROR, "Acme answered 500", _WAIT | {"status": 502}),
    "a list": (500, b"[1]", errors.UPSTREAM_ERROR, "Acme answered 500", _WAIT | {"status": 502}),
    "a sentence": (
        500,
        b'{"error":"oh"}',
        errors.UPSTREAM_ERROR,
        "Acme answered 500: oh",
        _WAIT | {"status": 502},
    ),
    "flat": (
        500,
        b'{"message":"oh"}',
        errors.UPSTREAM_ERROR,
        "Acme answered 500: oh",
        _WAIT | {"status": 502},
    ),
    "no text": (
        400,
        b'{"error":{"message":7}}',
        errors.INVALID_REQUEST,
        "Acme refused the request with status 400",
        _WAIT | {"status": 400},
    ),
}
"""Status, body, kind and text of the error, further attributes of it. All have ``Retry-After: 3``."""

# ---------------------------------------------------------------------------------------------- streams

STARTED = Started("msg_u", "up")
FIRST = Metered(Usage(prompt_tokens=9, completion_tokens=1, cached_tokens=4, cache_write_tokens=2))
LAST = Metered(Usage(prompt_tokens=9, completion_tokens=7, cached_tokens=4, cache_write_tokens=2))
STOPPED = Finished("stop")
HEL, LO = TextDelta("Hel"), TextDelta("lo")


def wrap(*events: StreamEvent, finished: Finished = STOPPED) -> list[StreamEvent]:
    """These events between those of every answer's beginning and end."""
    return [STARTED, FIRST, *events, finished, LAST]


HELLO_STREAM = HELLO
HELLO_EVENTS = wrap(HEL, LO)
MIN_COMPLETE = len(HELLO) - 2
"""Bytes of that stream that are a whole answer: all but the last blank line."""
BEGUN = BEGIN + text("Hi")
BEGUN_EVENTS: list[StreamEvent] = [STARTED, FIRST, TextDelta("Hi")]
STARTS = [b"", BEGIN, BEGUN]
"""What an inspector lets pass before a fault."""
AFTER = text("lo") + end() + DONE
HEARTBEATS = [PING, b": wait\n\n" + PING]
OPENING = BEGIN + PING + start(0, type="text", text="")
STREAM_SUMMARIES = [RequestSummary(model="m", stream=True)]

STREAMS: dict[str, tuple[bytes, list[StreamEvent]]] = {
    "plain": (HELLO, wrap(HEL, LO)),
    "crlf": (HELLO.replace(b"\n", b"\r\n"), wrap(HEL, LO)),
    "no names": (HELLO.replace(b"event: ", b": "), wrap(HEL, LO)),
    "no last blank line": (HELLO[:-2], wrap(HEL, LO)),
    "pings and comments": (
        PING + b": hello\n\n" + BEGIN + PING + text("Hel", "lo") + PING + end() + PING + DONE,
        wrap(HEL, LO),
    ),
    "records after the end": (HELLO + text("more") + b"data: [DONE]\n\n", wrap(HEL, LO)),
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
        wrap(
            ThinkingDelta("Hm"),
            ThinkingDelta("", signature="sig"),
            ThinkingDelta("", signature="trunkline::redacted:xx"),
            HEL,
        ),
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
    "blocks of the vendor's servers": (
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
        wrap(HEL, Cited("x", start=0, end=3)),
    ),
    "blocks of unknown types": (
        BEGIN + start(0, type="hologram", depth=3) + stop(0) + text("Hel") + end() + DONE,
        wrap(NotShown("hologram"), HEL),
    ),
    "unknown events": (
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
"""Bytes of a complete stream, and its events."""


def _fault(kind: str) -> bytes:
    return event("error", error={"type": kind, "message": "Oh"})


_MALFORMED = (errors.UPSTREAM_PROTOCOL, "Acme sent a malformed answer")
ERROR_RECORD = _fault("overloaded_error")
FAULTS: dict[str, tuple[bytes, Kind, str]] = {
    "overloaded": (ERROR_RECORD, errors.UPSTREAM_ERROR, "Acme answered 529: Oh"),
    "api error": (_fault("api_error"), errors.UPSTREAM_ERROR, "Acme answered 500: Oh"),
    "rate limit": (_fault("rate_limit_error"), errors.UPSTREAM_RATE_LIMIT, "Acme answered 429: Oh"),
    "invalid": (_fault("invalid_request_error"), errors.INVALID_REQUEST, "Oh"),
    "unknown": (_fault("boredom"), errors.UPSTREAM_ERROR, "Acme answered 500: Oh"),
    "no detail": (event("error"), errors.UPSTREAM_ERROR, "Acme answered 500"),
    "text": (event("error", error="Oh"), errors.UPSTREAM_ERROR, "Acme answered 500: Oh"),
    "no type": (
        b'data: {"error":{"message":"Oh"}}\n\n',
        errors.UPSTREAM_ERROR,
        "Acme answered 500: Oh",
    ),
    "not json": (b"data: {\n\n", *_MALFORMED),
    "not json, named": (b"event: content_block_delta\ndata: {\n\n", *_MALFORMED),
    "not json behind an ordinary type": (b'data: {"type":"content_block_delta"\n\n', *_MALFORMED),
    "not utf-8": (delta(0, "text_delta", text="odd").replace(b"odd", b"\xff"), *_MALFORMED),
    "not an object": (b"data: [1]\n\n", *_MALFORMED),
    "a delta of another type": (event("message_delta", delta=7), *_MALFORMED),
    "nested without end": (b"data: " + b"[" * 5000 + b"\n\n", *_MALFORMED),
    "a cut": (b"", errors.UPSTREAM_TRUNCATED, "Acme ended the stream"),
}
"""What ends a stream in an error, the error's kind, and the beginning of its text."""

# ---------------------------------------------------------------------------------------- whole answers

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
WHOLES: dict[str, tuple[CanonicalRequest, bytes, list[StreamEvent]]] = {
    "everything": (
        CHAT_REQUEST,
        body(WHOLE),
        [
            STARTED,
            FIRST,
            ThinkingDelta("Hm", signature="sig"),
            ThinkingDelta("", signature="trunkline::redacted:x"),
            HEL,
            ToolCallDelta(0, "toolu_1", "f"),
            ToolCallDelta(0, arguments='{"x":1}'),
            ToolCallDelta(1, "toolu_2", "g"),
            ToolCallDelta(1, arguments="{}"),
            Finished("tool_calls"),
        ],
    ),
}
"""Request, bytes of its whole answer, events."""

BROKEN_WHOLES: dict[str, tuple[bytes, Kind, str]] = {
    "empty": (b"", *_MALFORMED),
    "no content": (b"{}", *_MALFORMED),
    "cut": (b'{"content":', *_MALFORMED),
    "cut at its end": (body(WHOLE)[:-1], *_MALFORMED),
    "another shape": (b'{"content":7}', *_MALFORMED),
    "a list": (b"[]", *_MALFORMED),
    "not utf-8": (body(WHOLE).replace(b"Hm", b"\xff"), *_MALFORMED),
    "an error": (
        body({"type": "error", "error": {"type": "overloaded_error", "message": "Oh"}}),
        errors.UPSTREAM_ERROR,
        "Acme answered 529: Oh",
    ),
    "an error of the API": (
        body({"type": "error", "error": {"type": "api_error", "message": "Oh"}}),
        errors.UPSTREAM_ERROR,
        "Acme answered 500: Oh",
    ),
    "an error without detail": (body({"type": "error"}), errors.UPSTREAM_ERROR, "Acme answered 500"),
}
"""Bytes that are no whole answer, whether read or inspected; kind of the error, beginning of its text."""

# ------------------------------------------------------------------------------------------- inspection

_ODD: dict[str, Any] = {"type": "hologram", "text": {"a": 1}, "id": 5, "thinking": [1]}
_CITATION = {"type": "citations_delta", "citation": {"url": "x"}}
PASSED: Mapping[str, tuple[bytes, bytes, Usage | None]] = {
    name: (data, data, LAST.usage)
    for name, data in {
        "plain": HELLO,
        "crlf": HELLO.replace(b"\n", b"\r\n"),
        "cr": HELLO.replace(b"\n", b"\r"),
        "byte order mark": b"\xef\xbb\xbf" + HELLO,
        "no names": HELLO.replace(b"event: ", b": "),
        "no space": HELLO.replace(b"data: ", b"data:"),
        "spaced": HELLO.replace(b":{", b" : {"),
        "comments in between": BEGIN + b": hello\n\n" + text("a") + end() + b": bye\n\n" + DONE,
        "calls": BEGIN + tool('{"x"', ":1}") + end("tool_use") + DONE,
        "unknown events and deltas": BEGIN
        + event("weather", sky="blue")
        + event("content_block_delta", index=0, delta=_CITATION)
        + end()
        + DONE,
        "unknown blocks, and fields of other types": BEGIN
        + start(0, **_ODD)
        + stop(0)
        + event("weather", message=1, index="a", usage=[], delta="rain")
        + end()
        + DONE,
        "text that looks like fields": BEGIN + text('"error" message_stop "usage":7') + end() + DONE,
        "more than ASCII": BEGIN + text("naïve ☃") + end() + DONE,
        "usage at the end": BEGIN + end(input_tokens=3, cache_read_input_tokens=4) + DONE,
    }.items()
} | {
    "records after the end": (HELLO + text("more"), HELLO, LAST.usage),
    "ends without its blank line": (HELLO[:-2], HELLO, LAST.usage),
}
"""Bytes of a stream, the bytes of it that go on, and its usage."""
SAME_OBJECTS: dict[str, tuple[bytes, bytes]] = {
    "all at once": (b"", HELLO),
    "a piece of text": (BEGIN, delta(0, "text_delta", text="a")),
}
"""What comes first, and what goes on as the same object."""

Step = tuple[bytes, bytes, int, str | None]
_BLOCK = start(0, type="text", text="") + delta(0, "text_delta", text="a")
STEPS: dict[str, tuple[list[Step]]] = {
    "pings do not count": (
        [
            (PING, b"", 0, None),
            (b": wait\n\n" + PING, b"", 0, None),
            (PING + BEGIN, BEGIN, 1, "up"),  # a ping before the first event is not the first byte
            (PING, PING, 1, "up"),
            (_BLOCK, _BLOCK, 3, "up"),
            (delta(0, "text_delta", text="b"), delta(0, "text_delta", text="b"), 4, "up"),
        ],
    ),
    "only whole events": ([(BEGIN + DONE[:-1], BEGIN, 1, "up"), (DONE[-1:], DONE, 2, "up")],),
    "nothing after the end": ([(HELLO + text("more"), HELLO, 7, "up"), (text("more"), b"", 7, "up")],),
}
"""Steps of one stream: what is fed, what goes on, and then the records and the model so far."""

WHOLES_PASSED: dict[str, tuple[bytes, Usage | None]] = {
    "plain": (
        body(message([{"type": "text", "text": 'an "error"'}], "end_turn", more=[1])),
        FIRST.usage,
    ),
    "unknown block": (body(message([_ODD])), FIRST.usage),
}
"""Bytes of a whole answer, and its usage."""
