"""The cases of the Responses dialect for the contract suites."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.dialects.responses.samples import (
    BEGIN,
    CALLING,
    CUT,
    DONE,
    HELLO,
    METERED,
    OPENED,
    PLACE,
    USAGE,
    body,
    error_detail,
    event,
    response,
    text,
)
from trunkline import errors
from trunkline.dialects.base import NO_DEFAULTS, Back, Front, RequestDefaults, RequestSummary
from trunkline.dialects.responses import RESPONSES, ResponsesBack
from trunkline.dialects.responses.inspect import StreamInspector, WholeInspector
from trunkline.dialects.responses.read import StreamReader, WholeReader
from trunkline.dialects.responses.write import WholeWriter
from trunkline.dialects.responses.write_stream import StreamWriter
from trunkline.errors import Kind
from trunkline.events import (
    Cited,
    Finished,
    FinishReason,
    Media,
    Metered,
    NotShown,
    RefusalDelta,
    Started,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)
from trunkline.model import CanonicalRequest, ChatRequest, CompletionRequest, Message, Operation, Text, Usage

BACK = ResponsesBack("Acme")
MODEL = "up"
CHAT_REQUEST = ChatRequest(model="m", messages=(Message(role="user", parts=(Text(text="Hi"),)),))

# ------------------------------------------------------------------------------------------------ fronts

SSE, JSON = b"text/event-stream; charset=utf-8", b"application/json"
FRONTS: dict[str, tuple[Front, str, str, bytes, str | None]] = {
    "responses": (RESPONSES, "responses", "chat", SSE, None),
}
"""Front, dialect, operation, content type of a stream, default provider."""

REQUESTS: dict[str, tuple[Front, bytes, type, bytes]] = {
    "response": (RESPONSES, b'{"model":"m","input":"Hi"}', WholeWriter, JSON),
    "response, streamed": (RESPONSES, b'{"model":"m","input":"Hi","stream":true}', StreamWriter, SSE),
}
"""Front, body, class of the answer's writer, content type of the answer."""

BAD_BODIES: dict[str, tuple[bytes, Kind, str]] = {
    "empty": (b"", errors.INVALID_JSON, "The request body is empty"),
    "blank": (b"  ", errors.INVALID_JSON, "The request body is empty"),
    "cut": (b"{", errors.INVALID_JSON, "The request body is not JSON"),
    "not text": (b"\xff", errors.INVALID_JSON, "The request body is not JSON"),
    "not utf-8": (b'{"input": "\xff"}', errors.INVALID_JSON, "The request body is not JSON"),
    "nested without end": (
        b'{"prompt": ' + b"[" * 100_000,
        errors.INVALID_JSON,
        "The request body is not JSON",
    ),
    "a number": (b"1", errors.INVALID_REQUEST, "The request body is not a JSON object"),
    "a list": (b"[]", errors.INVALID_REQUEST, "The request body is not a JSON object"),
    "null": (b"null", errors.INVALID_REQUEST, "The request body is not a JSON object"),
    "a text": (b'"x"', errors.INVALID_REQUEST, "The request body is not a JSON object"),
}
"""Body, kind and beginning of the error."""

ERROR = errors.ProviderError("It was cut", errors.UPSTREAM_TRUNCATED, param="n")
ERROR_BODY = (
    b'{"error":{"message":"It was cut","type":"upstream_error","param":"n","code":"upstream_truncated"}}'
)
STREAM_ERROR = (
    b'event: error\ndata: {"type":"error","sequence_number":0,"code":"upstream_truncated",'
    b'"message":"It was cut","param":"n",' + ERROR_BODY[1:] + b"\n\n"
)

# ------------------------------------------------------------------------------------------------- backs

_TEMPLATED = CompletionRequest(model="m", prompts=("Hi",), templated=True)
TARGETS: dict[str, tuple[Back, Operation, CanonicalRequest | None, str | None]] = {
    "chat": (BACK, "chat", None, "/responses"),
    "a templated prompt": (BACK, "completions", _TEMPLATED, "/responses"),
    "below another path": (ResponsesBack("x", "/v1"), "chat", None, "/v1/responses"),
    "completions": (BACK, "completions", None, None),
    "embeddings": (BACK, "embeddings", None, None),
}
"""Back, operation, request, path."""

READERS: dict[str, tuple[CanonicalRequest, bool, type]] = {
    "chat": (CHAT_REQUEST, False, WholeReader),
    "chat, streamed": (CHAT_REQUEST, True, StreamReader),
    "a templated prompt": (_TEMPLATED, True, StreamReader),
}
"""Request, streamed or not, class of the reader."""

INSPECTORS: dict[str, tuple[Back, Operation, bool, type]] = {
    "stream": (BACK, "chat", True, StreamInspector),
    "whole": (BACK, "chat", False, WholeInspector),
}
"""Back, operation, streamed or not, class of the inspector."""

_FIELDS: dict[str, Any] = {
    "model": "up",
    "max_output_tokens": 9,
    "temperature": None,
    "x": [1.0],
    "input": "Hi",
}
_DEFAULTS = RequestDefaults(temperature=0.5, max_tokens=5, fields={"service_tier": "auto", "x": 3, "y": None})
_ROUTING = RequestDefaults(routing={"zdr": True})
_OPENROUTER = ResponsesBack("OpenRouter", takes_routing=True)


def _changed(**changes: Any) -> bytes:
    """The body with these fields changed; ``...`` leaves one out."""
    return body({name: value for name, value in (_FIELDS | changes).items() if value is not ...})


UNPATCHED: dict[str, tuple[Back, Front, bytes, RequestDefaults]] = {
    "the same model": (BACK, RESPONSES, _changed().replace(b"1.0", b"1.00"), NO_DEFAULTS),
    "no defaults": (BACK, RESPONSES, _changed(), RequestDefaults()),
    "a bound of its own": (
        BACK,
        RESPONSES,
        _changed().replace(b"1.0", b"1.00"),
        RequestDefaults(max_tokens=5),
    ),
    "another bound of its own": (BACK, RESPONSES, _changed(), RequestDefaults(max_tokens=20)),
    "routing for a vendor that does not take it": (BACK, RESPONSES, _changed(), _ROUTING),
}
"""Back, front, body, defaults: the body goes on as it is to the model ``up``."""

PATCHED: Mapping[str, tuple[Back, Front, bytes, RequestDefaults, bytes]] = {
    "the model": (
        BACK,
        RESPONSES,
        _changed(model="n").replace(b"1.0", b"1.00"),
        NO_DEFAULTS,
        _changed().replace(b"1.0", b"1.00"),
    ),
    "defaults": (BACK, RESPONSES, _changed(), _DEFAULTS, _changed(temperature=0.5, service_tier="auto")),
    "defaults that the request overrules": (
        BACK,
        RESPONSES,
        _changed(temperature=0),
        _DEFAULTS,
        _changed(temperature=0, service_tier="auto"),
    ),
    "a default for an open bound": (
        BACK,
        RESPONSES,
        _changed(max_output_tokens=None),
        RequestDefaults(max_tokens=5),
        _changed(max_output_tokens=5),
    ),
    "dropped fields": (
        BACK,
        RESPONSES,
        _changed(model="n"),
        RequestDefaults(drop=frozenset({"x", "y"})),
        _changed(x=...),
    ),
    "a dropped default": (
        BACK,
        RESPONSES,
        _changed(),
        RequestDefaults(temperature=0.5, drop=frozenset({"temperature"})),
        _changed(temperature=...),
    ),
} | {
    f"routing over {provider}": (
        _OPENROUTER,
        RESPONSES,
        _changed(**provider),
        _ROUTING,
        _changed(**provider | {"provider": sent}),
    )
    for provider, sent in list[tuple[dict[str, Any], dict[str, Any]]](
        [
            ({}, {"zdr": True}),
            ({"provider": {"order": ["a"], "zdr": False}}, {"order": ["a"], "zdr": True}),
            ({"provider": None}, {"zdr": True}),
            ({"provider": 7}, {"zdr": True}),
        ]
    )
}
"""Back, front, body, defaults, the patched body for the model ``up``."""

ERROR_ANSWERS: dict[str, tuple[int, bytes, Kind, str, dict[str, Any]]] = {
    "the request": (
        400,
        body({"error": error_detail("bad_input", type="invalid_request_error", param="input")}),
        errors.INVALID_REQUEST,
        "Oh",
        {"param": "input", "code": "bad_input", "status": 400},
    ),
    "the model": (
        404,
        body({"error": error_detail("model_not_found", param="model")}),
        errors.MODEL_NOT_FOUND,
        "Acme answered 404: Oh",
        {"param": "model", "code": "model_not_found", "status": 404},
    ),
    "no such endpoint": (
        404,
        b'{"detail":"Not Found"}',
        errors.MODEL_NOT_FOUND,
        "Acme answered 404: Not Found",
        {"param": "model", "code": "model_not_found", "status": 404},
    ),
    "a response that it does not know": (
        404,
        body({"error": error_detail("previous_response_not_found", param="previous_response_id")}),
        errors.NOT_FOUND,
        "Oh",
        {"param": "previous_response_id", "code": "previous_response_not_found", "status": 404},
    ),
    "an item that it does not know": (
        404,
        body({"error": error_detail(None, param="input")}),
        errors.NOT_FOUND,
        "Oh",
        {"param": "input", "code": "not_found", "status": 404},
    ),
    "no credit": (
        429,
        body({"error": error_detail("insufficient_quota")}),
        errors.UPSTREAM_CREDIT,
        "Acme answered 429: Oh",
        {"param": None, "code": "upstream_credit", "status": 502, "retry_after": 3.0},
    ),
    "a sentence": (
        500,
        b'{"error":"it broke"}',
        errors.UPSTREAM_ERROR,
        "Acme answered 500: it broke",
        {"param": None, "code": "upstream_error", "status": 502, "retry_after": 3.0},
    ),
}
"""Status, body, kind and text of the error, further attributes of it. All have ``Retry-After: 3``."""

# ---------------------------------------------------------------------------------------------- streams

HELLO_STREAM = HELLO
MIN_COMPLETE = len(HELLO) - 2
"""Bytes of that stream that are a whole answer: all but the last blank line."""
STARTED = Started("resp_u", "up", 1700000000)
LAST = Metered(METERED)


def wrap(*events: StreamEvent, reason: FinishReason = "stop") -> list[StreamEvent]:
    """``events`` with what is around them in every answer."""
    return [STARTED, *events, Finished(reason), LAST]


HEL, LO = TextDelta("Hel"), TextDelta("lo")
HELLO_EVENTS = wrap(HEL, LO)
BEGUN = BEGIN + text("a")
BEGUN_EVENTS: list[StreamEvent] = [STARTED, TextDelta("a")]
STARTS = [b"", BEGIN, BEGUN]
"""What an inspector lets pass before a fault."""
AFTER = text("never") + DONE
HEARTBEATS = [b": OPENROUTER PROCESSING\n\n"]
OPENING = BEGIN + b": wait\n\n" + OPENED
STREAM_SUMMARIES = [RequestSummary(model="m", stream=True)]


def _item(kind: str, index: int = 0, **item: Any) -> bytes:
    """An item that begins (``added``) or has come whole (``done``)."""
    return event(f"response.output_item.{kind}", output_index=index, item=item)


def _piece(kind: str, index: int = 0, **data: Any) -> bytes:
    return event(f"response.{kind}", output_index=index, item_id="i", **data)


_SMALL: dict[str, Any] = {"id": "resp_u", "created_at": 1700000000, "model": "up"}
_OPEN = event("response.created", response=_SMALL)
"""The beginning in a few bytes, as a stream is cut at every one of them."""


def _end(*items: dict[str, Any], status: str = "completed", **more: Any) -> bytes:
    """The terminal event, with these items in it."""
    fields = _SMALL | {"status": status, "output": list(items), "usage": USAGE}
    return event(f"response.{status}", response=fields | more)


def _message(*content: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message", "id": "msg_u", "role": "assistant", "content": list(content)}


def _said(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "output_text", "text": words, "annotations": []} | more


def _summary(*texts: str) -> list[dict[str, Any]]:
    return [{"type": "summary_text", "text": each} for each in texts]


_REASONING: dict[str, Any] = {"type": "reasoning", "id": "rs_u", "summary": [], "encrypted_content": "gAAAAx"}
_CALL: dict[str, Any] = {
    "type": "function_call",
    "id": "fc_u",
    "call_id": "c",
    "name": "f",
    "arguments": '{"x":1}',
}
_CUSTOM: dict[str, Any] = {
    "type": "custom_tool_call",
    "id": "ctc_u",
    "call_id": "c",
    "name": "p",
    "input": 'say "hi"\n',
}
_CITATION = {"type": "url_citation", "url": "https://a.example", "title": "A", "start_index": 1}
_CITATION |= {"end_index": 3}
_CITED = Cited("https://a.example", "A", 3, 5)
_UNKNOWN = NotShown("file_citation")
_TOKEN = {"token": "Hel", "logprob": -0.5, "bytes": [72], "top_logprobs": []}
_LOGPROBS = {"content": [_TOKEN], "refusal": None}
_CALLED = [ToolCallDelta(0, "c", "f"), ToolCallDelta(0, arguments='{"x":1}')]
_IMAGE: dict[str, Any] = {"type": "image_generation_call", "id": "ig_u", "result": "AAAA"}

STREAMS: dict[str, tuple[bytes, list[StreamEvent]]] = {
    "plain": (HELLO, HELLO_EVENTS),
    "comments": (b": wait\n\n" + BEGIN + b": wait\n\n" + text("Hel") + text("lo") + DONE, HELLO_EVENTS),
    "no deltas": (BEGIN + DONE, wrap(TextDelta("Hello"))),
    "only the end": (DONE, wrap(TextDelta("Hello"))),
    "a text that only its end brings whole": (BEGIN + text("Hel") + DONE, HELLO_EVENTS),
    "a marker after the end": (HELLO + b"data: [DONE]\n\n", HELLO_EVENTS),
    "no names": (HELLO.replace(b"event: ", b": "), HELLO_EVENTS),
    "no indexes": (
        BEGIN
        + event("response.output_text.delta", item_id="msg_u", delta="Hel")
        + event("response.output_text.delta", item_id="msg_u", delta="lo")
        + DONE,
        HELLO_EVENTS,
    ),
    "numbers and nulls": (
        _OPEN
        + event("response.output_text.delta", output_index=0, content_index=None, delta=7)
        + event("response.output_text.delta", output_index=0, delta=None, logprobs=None)
        + _end(usage={"input_tokens": 9.0, "output_tokens": "7", "cost": {"total_cost": 0.25}}),
        [
            STARTED,
            TextDelta("7"),
            Finished("stop"),
            Metered(Usage(prompt_tokens=9, completion_tokens=7, cost=0.25)),
        ],
    ),
    "no usage": (_OPEN + text("Hello") + _end(usage=None), [STARTED, TextDelta("Hello"), Finished("stop")]),
    "a character in two pieces": (
        _OPEN + text("x").replace(b'"x"', b'"a\\ud83d"') + text("x").replace(b'"x"', b'"\\ude00b"') + _end(),
        wrap(TextDelta("a"), TextDelta("\U0001f600b")),
    ),
    "log probabilities": (
        _OPEN + event("response.output_text.delta", delta="Hel", logprobs=[_TOKEN], **PLACE) + _end(),
        wrap(TextDelta("Hel", logprobs=_LOGPROBS)),
    ),
    "two messages": (
        _OPEN
        + text("Hel")
        + _item("done", **_message(_said("Hel")))
        + _piece("output_text.delta", 1, content_index=0, delta="lo")
        + _end(_message(_said("Hel")), _message(_said("lo"))),
        wrap(HEL, LO),
    ),
    "sources": (
        _OPEN
        + text("Hel")
        + event("response.output_text.delta", output_index=0, content_index=1, delta="lolo")
        + event(
            "response.output_text.annotation.added",
            output_index=0,
            content_index=1,
            annotation_index=0,
            annotation=_CITATION | {"start_index": 0, "end_index": 2},
        )
        + _end(
            _message(
                _said("Hel"),
                _said("lolo", annotations=[_CITATION, _CITATION, {"type": "file_citation"}]),
            )
        ),
        wrap(
            HEL, TextDelta("lolo"), _CITED, Cited("https://a.example", "A", 4, 6), NotShown("file_citation")
        ),
    ),
    "a refusal": (
        _OPEN
        + event("response.refusal.delta", content_index=0, delta="I ", **PLACE)
        + event("response.refusal.done", content_index=0, refusal="I won't", **PLACE)
        + _end(_message({"type": "refusal", "refusal": "I won't"})),
        wrap(RefusalDelta("I "), RefusalDelta("won't")),
    ),
    "a summary in two parts, and state": (
        _OPEN
        + _piece("reasoning_summary_text.delta", summary_index=0, delta="Hm")
        + _piece("reasoning_summary_text.done", summary_index=0, text="Hm.")
        + _piece("reasoning_summary_text.delta", summary_index=1, delta="So")
        + _item("done", **_REASONING | {"summary": _summary("Hm.", "So.")})
        + _end(_REASONING | {"summary": _summary("Hm.", "So.")}),
        wrap(
            *map(ThinkingDelta, ("Hm", ".", "\n\nSo", ".")),
            ThinkingDelta("", signature="gAAAAx"),
        ),
    ),
    "state without a summary": (
        _OPEN + _item("done", **_REASONING) + _end(_REASONING),
        wrap(ThinkingDelta("", signature="gAAAAx")),
    ),
    "plain reasoning, and the summary that says the same": (
        _OPEN
        + _piece("reasoning_text.delta", content_index=0, delta="Hm")
        + _piece("reasoning_summary_text.delta", summary_index=0, delta="H")
        + _item("done", type="reasoning", summary=_summary("H"), content=[{"type": "x", "text": "Hm."}])
        + _end(),
        wrap(ThinkingDelta("Hm"), ThinkingDelta(".")),
    ),
    "a call": (
        _OPEN
        + _item("added", **_CALL | {"arguments": ""})
        + _piece("function_call_arguments.delta", delta='{"x"')
        + _piece("function_call_arguments.delta", delta=":1}")
        + _piece("function_call_arguments.done", arguments='{"x":1}', name="f")
        + _item("done", **_CALL)
        + _end(_CALL),
        wrap(
            ToolCallDelta(0, "c", "f"),
            ToolCallDelta(0, arguments='{"x"'),
            ToolCallDelta(0, arguments=":1}"),
            reason="tool_calls",
        ),
    ),
    "a call that comes whole": (
        _OPEN + _item("done", **_CALL) + _end(_CALL),
        wrap(*_CALLED, reason="tool_calls"),
    ),
    "two calls in turn": (
        _OPEN
        + _item("added", 0, **_CALL | {"arguments": ""})
        + _item("added", 1, **_CALL | {"arguments": "", "call_id": None, "id": "fc_2", "name": "g"})
        + _piece("function_call_arguments.delta", 1, delta="{}")
        + _piece("function_call_arguments.delta", 0, delta='{"x":1}')
        + _end(_CALL, _CALL | {"arguments": "{ }"}),
        wrap(
            ToolCallDelta(0, "c", "f"),
            ToolCallDelta(1, "fc_2", "g"),
            ToolCallDelta(1, arguments="{}"),
            ToolCallDelta(0, arguments='{"x":1}'),
            reason="tool_calls",
        ),
    ),
    "arguments in odd forms": (
        _OPEN
        + _item("done", 0, **_CALL | {"arguments": {"x": 1}})
        + _item("done", 1, **_CALL | {"arguments": None})
        + _item("done", 2, **_CALL | {"arguments": '"{}"'})
        + _end(),
        wrap(
            *_CALLED,
            ToolCallDelta(1, "c", "f"),
            ToolCallDelta(1, arguments="{}"),
            ToolCallDelta(2, "c", "f"),
            ToolCallDelta(2, arguments="{}"),
            reason="tool_calls",
        ),
    ),
    "a custom tool": (
        _OPEN
        + _item("added", **_CUSTOM | {"input": ""})
        + _piece("custom_tool_call_input.delta", delta='say "')
        + _item("done", **_CUSTOM)
        + _end(_CUSTOM),
        wrap(
            ToolCallDelta(0, "c", "p", '{"input":"'),
            ToolCallDelta(0, arguments='say \\"'),
            ToolCallDelta(0, arguments='hi\\"\\n"}'),
            reason="tool_calls",
        ),
    ),
    "an image": (
        _OPEN + _item("done", **_IMAGE | {"output_format": "webp"}) + _end(_IMAGE),
        wrap(Media("image", url="data:image/webp;base64,AAAA")),
    ),
    "what has no form here": (
        _OPEN
        + _piece("code_interpreter_call_code.delta", delta="1+1")
        + event("weather", sky="blue")
        + _item("done", 0, type="web_search_call", action={"type": "search"})
        + _item("done", 1, type="code_interpreter_call", code="1+1")
        + _item("done", 2, **_message({"type": "output_audio"}))
        + _end(),
        wrap(NotShown("code_interpreter_call"), NotShown("output_audio")),
    ),
    "cut": (_OPEN + text("a") + CUT, wrap(TextDelta("a"), reason="length")),
    "filtered": (
        _OPEN + _end(status="incomplete", incomplete_details={"reason": "content_filter"}),
        wrap(reason="content_filter"),
    ),
    "incomplete, nobody says why": (
        _OPEN + _end(status="incomplete", incomplete_details=None),
        wrap(reason="length"),
    ),
}
"""Bytes of a stream, and its events."""

_WHOLES: dict[str, tuple[bytes, list[StreamEvent]]] = {
    "every kind of item": (
        body(response()),
        wrap(
            TextDelta('an "error"'),
            ToolCallDelta(0, "c", "f"),
            ToolCallDelta(0, arguments="{}"),
            reason="tool_calls",
        ),
    ),
    "reasoning": (
        body(response(output=[_REASONING | {"summary": _summary("Hm.", "So.")}])),
        wrap(ThinkingDelta("Hm."), ThinkingDelta("\n\nSo."), ThinkingDelta("", signature="gAAAAx")),
    ),
    "sources and log probabilities": (
        body(response(output=[_message(_said("Hel", annotations=[_CITATION], logprobs=[_TOKEN]))])),
        wrap(TextDelta("Hel", logprobs=_LOGPROBS), Cited("https://a.example", "A", 1, 3)),
    ),
    "a refusal": (
        body(response(output=[_message({"type": "refusal", "refusal": "No"})])),
        wrap(RefusalDelta("No")),
    ),
    "a custom tool": (
        body(response(output=[_CUSTOM])),
        wrap(
            ToolCallDelta(0, "c", "p", '{"input":"'),
            ToolCallDelta(0, arguments='say \\"hi\\"\\n"}'),
            reason="tool_calls",
        ),
    ),
    "an image": (
        body(response(output=[_IMAGE])),
        wrap(Media("image", url="data:image/png;base64,AAAA")),
    ),
    "nothing": (body(response(output=[])), wrap()),
    "cut": (
        body(response("incomplete", output=[_message(_said("a"))], incomplete_details={"reason": "x"})),
        wrap(TextDelta("a"), reason="length"),
    ),
    "odd fields": (
        body(response(output=[_message(_said("a", logprobs=None))], created_at="soon", id=17)),
        [Started("17", "up"), TextDelta("a"), Finished("stop"), LAST],
    ),
    "a message without a type": (
        body(response(output=[{"role": "assistant", "content": [_said("a")]}])),
        wrap(TextDelta("a")),
    ),
    "usage as other servers count": (
        body(response(output=[_message(_said("a"))], usage=USAGE | {"input_tokens": 9.0})),
        wrap(TextDelta("a")),
    ),
}
WHOLES: dict[str, tuple[CanonicalRequest, bytes, list[StreamEvent]]] = {
    name: (CHAT_REQUEST, data, events) for name, (data, events) in _WHOLES.items()
}
"""Request, bytes of a whole answer, its events."""

ERROR_RECORD = event("error", **error_detail("server_error"))


def _failed(code: str) -> bytes:
    return event("response.failed", response=response("failed", error=error_detail(code)))


_MALFORMED = (errors.UPSTREAM_PROTOCOL, "Acme sent a malformed answer: ")
FAULTS: dict[str, tuple[bytes, Kind, str]] = {
    "flat": (ERROR_RECORD, errors.UPSTREAM_ERROR, "Acme answered 500: Oh"),
    "flat, without a code": (
        event("error", **error_detail(None)),
        errors.UPSTREAM_ERROR,
        "Acme answered 500: Oh",
    ),
    "flat, a rate limit": (
        event("error", **error_detail("rate_limit_exceeded")),
        errors.UPSTREAM_RATE_LIMIT,
        "Acme answered 429: Oh",
    ),
    "flat, the caller's": (
        event("error", **error_detail("context_length_exceeded", "Too long")),
        errors.INVALID_REQUEST,
        "Too long",
    ),
    "with the envelope": (
        event("error", error=error_detail("credit_balance_exhausted", type="insufficient_quota")),
        errors.UPSTREAM_CREDIT,
        "Acme answered 429: Oh",
    ),
    "the envelope, known by its type": (
        event("error", error=error_detail(None, type="invalid_request_error")),
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
        event("error", **error_detail("invalid_api_key", "Bad sk-abcdefghijklm")),
        errors.UPSTREAM_AUTH,
        "Acme answered 401: Bad ***",
    ),
    "failed": (_failed("server_error"), errors.UPSTREAM_ERROR, "Acme answered 500: Oh"),
    "failed by a rate": (
        _failed("rate_limit_exceeded"),
        errors.UPSTREAM_RATE_LIMIT,
        "Acme answered 429: Oh",
    ),
    "failed by the prompt": (_failed("invalid_prompt"), errors.INVALID_REQUEST, "Oh"),
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
        event("response.completed", response=response("failed", error=error_detail("server_error"))),
        errors.UPSTREAM_ERROR,
        "Acme answered 500: Oh",
    ),
    "not json": (b"event: response.output_text.delta\ndata: {\n\n", *_MALFORMED),
    "not utf-8": (text("odd").replace(b"odd", b"\xff"), *_MALFORMED),
    "another shape": (event("x", response=7), *_MALFORMED),
    "no object": (b"data: 7\n\n", *_MALFORMED),
    "nested without end": (b"data: " + b"[" * 3000 + b"\n\n", *_MALFORMED),
    "the end before the end": (
        b"data: [DONE]\n\n" + text("never") + DONE,
        errors.UPSTREAM_TRUNCATED,
        "Acme ended the stream",
    ),
    "a cut": (b"", errors.UPSTREAM_TRUNCATED, "Acme ended the stream"),
}
"""What ends a stream in an error, the error's kind, and the beginning of its text."""

# ------------------------------------------------------------------------------------------- inspection

BROKEN_WHOLES: dict[str, tuple[bytes, Kind, str]] = {
    "cut": (body(response())[:-1], *_MALFORMED),
    "not utf-8": (body(response()).replace(b"an ", b"\xff"), *_MALFORMED),
    "empty": (b"", *_MALFORMED),
    "HTML": (b"<html></html>", *_MALFORMED),
    "no response": (
        b"{}",
        errors.UPSTREAM_PROTOCOL,
        "Acme sent a malformed answer: a response without",
    ),
    "failed": (
        body(response("failed", error=error_detail("rate_limit_exceeded"))),
        errors.UPSTREAM_RATE_LIMIT,
        "Acme answered 429: Oh",
    ),
    "failed by the prompt": (
        body(response("failed", error=error_detail("invalid_image_url"))),
        errors.INVALID_REQUEST,
        "Oh",
    ),
    "failed without a reason": (
        body(response("failed")),
        errors.UPSTREAM_ERROR,
        "Acme ended its answer",
    ),
    "an envelope": (
        body({"error": error_detail(None)}),
        errors.UPSTREAM_ERROR,
        "Acme answered 500: Oh",
    ),
}
"""Bytes that are no whole answer; kind of the error, beginning of its text."""

PASSED: Mapping[str, tuple[bytes, bytes, Usage | None]] = {
    name: (data, data, METERED)
    for name, data in {
        "plain": HELLO,
        "incomplete": BEGIN + OPENED + text("a") + CUT,
        "every kind of delta": CALLING + DONE,
        "crlf": HELLO.replace(b"\n", b"\r\n"),
        "cr": HELLO.replace(b"\n", b"\r"),
        "byte order mark": b"\xef\xbb\xbf" + HELLO,
        "no names": HELLO.replace(b"event: ", b": "),
        "no space": HELLO.replace(b"data: ", b"data:"),
        "spaced": HELLO.replace(b'":{', b'" : {'),
        "comments in between": BEGIN + b": hello\n\n" + text("a") + b": bye\n\n" + DONE,
        "unknown events and fields": BEGIN + event("weather", sky="blue") + text("a") + DONE,
        "text that looks like fields": BEGIN + text('"error" response.failed "usage":7 [DONE]') + DONE,
        "more than ASCII": BEGIN + text("naïve ☃") + DONE,
        "only the end": DONE,
    }.items()
} | {
    "ends without its blank line": (HELLO[:-2], HELLO, METERED),
    "a marker after the end": (HELLO + b"data: [DONE]\n\n", HELLO, METERED),
    "text after the end": (HELLO + text("more"), HELLO, METERED),
    "an error after the end": (HELLO + event("error", message="late"), HELLO, METERED),
}
"""Bytes of a stream, the bytes of it that go on, and its usage."""
SAME_OBJECTS: dict[str, tuple[bytes, bytes]] = {
    "the beginning": (b"", BEGIN),
    "a piece of text": (BEGIN, text("a")),
}
"""What comes first, and what goes on as the same object."""

Step = tuple[bytes, bytes, int, str | None]
STEPS: dict[str, tuple[list[Step]]] = {
    "comments do not count": (
        [
            (b": OPENROUTER PROCESSING\n\n", b"", 0, None),
            (b": wait\n\n" + BEGIN, BEGIN, 2, "up"),  # a comment is not the first byte
            (b": wait\n\n" + OPENED, b": wait\n\n" + OPENED, BACK.opening_records, "up"),
            (text("a"), text("a"), BACK.opening_records + 1, "up"),
            (text("b") + text("c"), text("b") + text("c"), BACK.opening_records + 3, "up"),
        ],
    ),
    "only whole events": ([(BEGIN + DONE[:-1], BEGIN, 2, "up"), (DONE[-1:], DONE, 3, "up")],),
    "nothing after the end": (
        [
            (HELLO + text("more"), HELLO, 8, "up"),
            (text("more"), b"", 8, "up"),
            (b"data: [DONE]\n\n", b"", 8, "up"),
            (event("error", message="late"), b"", 8, "up"),
        ],
    ),
}
"""Steps of one stream: what is fed, what goes on, and then the records and the model so far."""

WHOLES_PASSED: dict[str, tuple[bytes, Usage | None]] = {
    "completed": (body(response()), METERED),
    "incomplete": (
        body(response("incomplete", incomplete_details={"reason": "content_filter"})),
        METERED,
    ),
    "spaced": (body(response(more=[1])).replace(b":", b" : "), METERED),
    "behind a heartbeat": (b"\n " + body(response()), METERED),
}
"""Bytes of a whole answer, and its usage."""
