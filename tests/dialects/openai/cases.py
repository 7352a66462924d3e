"""The cases of OpenAI's dialect for the contract suites."""

from __future__ import annotations

import base64
import struct
from typing import Any

from tests.dialects.openai import samples
from tests.dialects.openai.samples import (
    DONE,
    HELLO,
    ROLE,
    STOP,
    body,
    chunk,
    record,
    text,
    usage_chunk,
)
from trunkline import errors
from trunkline.dialects.base import NO_DEFAULTS, Back, Front, RequestDefaults, RequestSummary
from trunkline.dialects.openai import CHAT, COMPLETIONS, EMBEDDINGS, OpenAIBack, Quirks, RelayFront
from trunkline.dialects.openai.inspect import RelayInspector, StreamInspector, WholeInspector
from trunkline.dialects.openai.read import EmbeddingReader, StreamReader, WholeReader
from trunkline.dialects.openai.write import ChatStreamWriter, CompletionStreamWriter, WholeWriter
from trunkline.errors import Kind
from trunkline.events import (
    Embedded,
    Finished,
    Metered,
    RefusalDelta,
    Started,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
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

BACK = OpenAIBack(Quirks(name="Acme"))
MODEL = "up"
HI = Message(role="user", parts=(Text(text="Hi"),))
CHAT_REQUEST = ChatRequest(model="m", messages=(HI,))
EMBEDDING_REQUEST = EmbeddingRequest(model="m", inputs=("a", "b"))

# ------------------------------------------------------------------------------------------------ fronts

SSE, JSON = b"text/event-stream; charset=utf-8", b"application/json"
FRONTS: dict[str, tuple[Front, str, str, bytes, str | None]] = {
    "chat": (CHAT, "openai", "chat", SSE, None),
    "completions": (COMPLETIONS, "openai", "completions", SSE, None),
    "embeddings": (EMBEDDINGS, "openai", "embeddings", SSE, None),
}
"""Front, dialect, operation, content type of a stream, default provider."""

_CHAT_BODY = b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}'
_COMPLETION_BODY = b'{"model":"m","prompt":"p"}'
REQUESTS: dict[str, tuple[Front, bytes, type, bytes]] = {
    "chat": (CHAT, _CHAT_BODY, WholeWriter, JSON),
    "chat, streamed": (CHAT, _CHAT_BODY[:-1] + b',"stream":true}', ChatStreamWriter, SSE),
    "completion": (COMPLETIONS, _COMPLETION_BODY, WholeWriter, JSON),
    "completion, streamed": (
        COMPLETIONS,
        _COMPLETION_BODY[:-1] + b',"stream":true}',
        CompletionStreamWriter,
        SSE,
    ),
    "embedding": (EMBEDDINGS, b'{"model":"m","input":"a"}', WholeWriter, JSON),
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
ERROR_BODY = (
    b'{"error":{"message":"It was cut","type":"upstream_error","param":"n","code":"upstream_truncated"}}'
)
STREAM_ERROR = b"data: " + ERROR_BODY + b"\n\n"

# ------------------------------------------------------------------------------------------------- backs

_ONE_ENDPOINT = OpenAIBack(Quirks(endpoints={"chat": "/c"}))
TARGETS: dict[str, tuple[Back, Operation, CanonicalRequest | None, str | None]] = {
    "chat": (BACK, "chat", None, "/chat/completions"),
    "completions": (BACK, "completions", None, "/completions"),
    "embeddings": (BACK, "embeddings", None, "/embeddings"),
    "relayed": (BACK, "other", None, ""),
    "a templated prompt": (
        BACK,
        "completions",
        CompletionRequest(model="m", prompts=("p",), templated=True),
        "/chat/completions",
    ),
    "another path": (_ONE_ENDPOINT, "chat", None, "/c"),
    "no endpoint": (_ONE_ENDPOINT, "embeddings", None, None),
}
"""Back, operation, request, path."""

READERS: dict[str, tuple[CanonicalRequest, bool, type]] = {
    "stream": (CHAT_REQUEST, True, StreamReader),
    "whole": (CHAT_REQUEST, False, WholeReader),
    "embeddings": (EMBEDDING_REQUEST, False, EmbeddingReader),
}
"""Request, streamed or not, class of the reader."""

INSPECTORS: dict[str, tuple[Back, Operation, bool, type]] = {
    "stream": (BACK, "chat", True, StreamInspector),
    "whole": (BACK, "chat", False, WholeInspector),
    "embeddings": (BACK, "embeddings", False, WholeInspector),
    "relayed": (BACK, "other", False, RelayInspector),
}
"""Back, operation, streamed or not, class of the inspector."""

_QUIET = OpenAIBack(Quirks(usage_on_request=False))
UNPATCHED: dict[str, tuple[Back, Front, bytes, RequestDefaults]] = {
    "the same model": (
        BACK,
        CHAT,
        b'{ "model":"up",  "messages":[{"role":"user"}] ,"stream":false}',
        NO_DEFAULTS,
    ),
    "usage asked for": (
        BACK,
        CHAT,
        b'{"model":"up","messages":[1],"stream":true,"stream_options":{"include_usage":true}}',
        NO_DEFAULTS,
    ),
    "usage that always comes": (
        _QUIET,
        CHAT,
        b'{"model":"up","messages":[1],"stream":true}',
        NO_DEFAULTS,
    ),
    "nothing to drop": (
        BACK,
        CHAT,
        b'{ "model":"up","messages":[1]}',
        RequestDefaults(drop=frozenset({"absent"})),
    ),
    "no body": (BACK, RelayFront("/files", "GET"), b"", NO_DEFAULTS),
}
"""Back, front, body, defaults: the body goes on as it is to the model ``up``."""

_ROUTER = OpenAIBack(Quirks(takes_routing=True))
_ZDR = RequestDefaults(routing={"zdr": True})
PATCHED: dict[str, tuple[Back, Front, bytes, RequestDefaults, bytes]] = {
    "the model": (
        BACK,
        CHAT,
        b'{"x":[1, 2 ,{"y":1.0}],"model":"openai/m","messages":[ {"a" : "\\u00e9"} ]}',
        NO_DEFAULTS,
        b'{"x":[1, 2 ,{"y":1.0}],"model":"up","messages":[ {"a" : "\\u00e9"} ]}',
    ),
    "no model": (BACK, CHAT, b'{"messages":[1]}', NO_DEFAULTS, b'{"messages":[1],"model":"up"}'),
    "usage not asked for": (
        BACK,
        CHAT,
        b'{"model":"up","messages":[1],"stream":true}',
        NO_DEFAULTS,
        b'{"model":"up","messages":[1],"stream":true,"stream_options":{"include_usage":true}}',
    ),
    "usage not asked for, other options stay": (
        BACK,
        CHAT,
        b'{"model":"up","messages":[1],"stream":true,"stream_options":{"x":1}}',
        NO_DEFAULTS,
        b'{"model":"up","messages":[1],"stream":true,"stream_options":{"x":1,"include_usage":true}}',
    ),
    "usage refused": (
        BACK,
        CHAT,
        b'{"model":"up","messages":[1],"stream":true,"stream_options":{"include_usage":false}}',
        NO_DEFAULTS,
        b'{"model":"up","messages":[1],"stream":true,"stream_options":{"include_usage":true}}',
    ),
    "options null": (
        BACK,
        CHAT,
        b'{"model":"up","messages":[1],"stream":true,"stream_options":null}',
        NO_DEFAULTS,
        b'{"model":"up","messages":[1],"stream":true,"stream_options":{"include_usage":true}}',
    ),
    "options that the upstream refuses": (
        BACK,
        CHAT,
        b'{"model":"up","messages":[1],"stream":true}',
        RequestDefaults(drop=frozenset({"stream_options"})),
        b'{"model":"up","messages":[1],"stream":true}',
    ),
    "defaults": (
        BACK,
        CHAT,
        b'{"model":"up","messages":[1],"temperature":null}',
        RequestDefaults(temperature=0.5, max_tokens=7),
        b'{"model":"up","messages":[1],"temperature":0.5,"max_tokens":7}',
    ),
    "defaults for a bound under its other name": (
        BACK,
        CHAT,
        b'{"model":"up","messages":[1],"max_completion_tokens":3,"temperature":0}',
        RequestDefaults(temperature=0.5, max_tokens=7),
        b'{"model":"up","messages":[1],"max_completion_tokens":3,"temperature":0}',
    ),
    "defaults for a bound that says that there is none": (
        BACK,
        CHAT,
        b'{"model":"up","messages":[1],"max_tokens":-1}',
        RequestDefaults(max_tokens=7),
        b'{"model":"up","messages":[1],"max_tokens":7}',
    ),
    "defaults for such a bound under its other name": (
        BACK,
        CHAT,
        b'{"model":"up","messages":[1],"max_completion_tokens":-1}',
        RequestDefaults(max_tokens=7),
        b'{"model":"up","messages":[1],"max_tokens":7}',
    ),
    "one default for two names of the bound": (
        BACK,
        CHAT,
        b'{"model":"up","messages":[1]}',
        RequestDefaults(max_tokens=7, fields={"max_completion_tokens": 5}),
        b'{"model":"up","messages":[1],"max_completion_tokens":5}',
    ),
    "dropped fields": (
        BACK,
        CHAT,
        b'{"model":"up","messages":[1],"logit_bias":{"1":2},"user":"u"}',
        RequestDefaults(drop=frozenset({"logit_bias", "seed"})),
        b'{"model":"up","messages":[1],"user":"u"}',
    ),
    "routing": (
        _ROUTER,
        CHAT,
        b'{"model":"up","messages":[1],"provider":{"order":["a"],"zdr":false}}',
        _ZDR,
        b'{"model":"up","messages":[1],"provider":{"order":["a"],"zdr":true}}',
    ),
    "routing in place of something else": (
        _ROUTER,
        CHAT,
        b'{"model":"up","messages":[1],"provider":7}',
        _ZDR,
        b'{"model":"up","messages":[1],"provider":{"zdr":true}}',
    ),
    "a form": (
        BACK,
        RelayFront("/audio/transcriptions"),
        b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--b--\r\n',
        NO_DEFAULTS,
        b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nup\r\n--b--\r\n',
    ),
    "a relayed body": (
        BACK,
        RelayFront("/moderations"),
        b'{"input":"a", "model":"m"}',
        NO_DEFAULTS,
        b'{"input":"a","model":"up"}',
    ),
}
"""Back, front, body, defaults, the patched body for the model ``up``."""

ERROR_ANSWERS: dict[str, tuple[int, bytes, Kind, str, dict[str, Any]]] = {
    "an envelope": (
        429,
        b'{"error":{"message":"Slow"}}',
        errors.UPSTREAM_RATE_LIMIT,
        "Acme answered 429: Slow",
        {"retry_after": 3.0},
    ),
}
"""Status, body, kind and text of the error, further attributes of it. All have ``Retry-After: 3``. More are
in ``test_error_envelope``."""

# ---------------------------------------------------------------------------------------------- streams

BEGIN = Started("chatcmpl-u", "up", 1700000000)
METERED = Metered(Usage(prompt_tokens=3, completion_tokens=2))
STOPPED = Finished("stop")
HELLO_STREAM = HELLO
HELLO_EVENTS: list[StreamEvent] = [BEGIN, TextDelta("Hel"), TextDelta("lo"), STOPPED]
MIN_COMPLETE = len(HELLO) - len(DONE) - 2
"""Bytes of that stream that are a whole answer: its reason is there, perhaps without its blank line."""
BEGUN = ROLE + text("Hi")
BEGUN_EVENTS: list[StreamEvent] = [BEGIN, TextDelta("Hi")]
STARTS = [b"", ROLE, BEGUN]
"""What an inspector lets pass before a fault."""
AFTER = text("never")
HEARTBEATS = [b": wait\n\n", b"\n\n"]
OPENING = ROLE
STREAM_SUMMARIES = [
    RequestSummary(model="m", stream=True, include_usage=include_usage) for include_usage in (True, False)
]

STREAMS: dict[str, tuple[bytes, list[StreamEvent]]] = {
    "plain": (HELLO, HELLO_EVENTS),
    "crlf": (HELLO.replace(b"\n", b"\r\n"), HELLO_EVENTS),
    "cr": (HELLO.replace(b"\n", b"\r"), HELLO_EVENTS),
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
    "records after the terminal marker": (HELLO + text("more"), HELLO_EVENTS),
    "unknown fields": (
        text("Hi", obfuscation="xx", choice_matched_stop=7, time_info={"queue_time": 0.1}) + STOP + DONE,
        [BEGIN, TextDelta("Hi"), STOPPED],
    ),
}
"""Bytes of a complete stream, and its events."""

ERROR_RECORD = record(
    {"error": {"message": "Overloaded", "type": "server_error", "param": None, "code": None}}
)
FAULTS: dict[str, tuple[bytes, Kind, str]] = {
    "OpenAI": (ERROR_RECORD, errors.UPSTREAM_ERROR, "Acme answered 500: Overloaded"),
    "OpenRouter": (
        chunk({"content": ""}, "error", error={"code": 502, "message": "Provider disconnected"}),
        errors.UPSTREAM_ERROR,
        "Acme answered 502: Provider disconnected",
    ),
    "OpenRouter, code as text": (
        chunk({"content": ""}, "error", error={"code": "429", "message": "Slow down"}),
        errors.UPSTREAM_RATE_LIMIT,
        "Acme answered 429: Slow down",
    ),
    "Cerebras": (
        record({"error": {"message": "Too long", "type": "x", "code": "y"}, "status_code": 400}),
        errors.INVALID_REQUEST,
        "Too long",
    ),
    "in a choice": (
        chunk({}, choice_error={"code": 503, "message": "No capacity"}),
        errors.UPSTREAM_ERROR,
        "Acme answered 503: No capacity",
    ),
    "flat, as SGLang": (
        record({"object": "error", "message": "Bad", "type": "BadRequestError", "param": "n", "code": 400}),
        errors.INVALID_REQUEST,
        "Bad",
    ),
    "flat, without a code": (
        record({"message": "Queue is full", "type": "too_many", "param": "queue", "code": "queue_exceeded"}),
        errors.UPSTREAM_ERROR,
        "Acme answered 500: Queue is full",
    ),
    "only a sentence": (record({"error": "boom"}), errors.UPSTREAM_ERROR, "Acme answered 500: boom"),
    "a code that is no status": (
        record({"error": {"message": "boom", "code": 13}}),
        errors.UPSTREAM_ERROR,
        "Acme answered 500: boom",
    ),
    "only a reason": (
        chunk({"content": ""}, "error"),
        errors.UPSTREAM_ERROR,
        "Acme ended its answer with an error that it did not name",
    ),
    "the key in the text": (
        record({"error": {"message": "Incorrect API key sk-abcdefghijklm", "code": 401}}),
        errors.UPSTREAM_AUTH,
        "Acme answered 401: Incorrect API key ***",
    ),
    "moderation": (
        record({"error": {"code": 403, "message": "Flagged", "metadata": {"flagged_input": "…"}}}),
        errors.FORBIDDEN,
        "Flagged",
    ),
    "bad JSON": (b"data: {nope}\n\n", errors.UPSTREAM_PROTOCOL, "Acme sent a malformed answer: "),
    "another shape": (record({"choices": 7}), errors.UPSTREAM_PROTOCOL, "Acme sent a malformed answer: "),
    "no object": (b"data: 7\n\n", errors.UPSTREAM_PROTOCOL, "Acme sent a malformed answer: "),
    "not utf-8": (
        text("odd").replace(b"odd", b"\xff\xc0"),
        errors.UPSTREAM_PROTOCOL,
        "Acme sent a malformed answer: 'utf-8'",
    ),
    "nested without end": (
        b"data: " + b"[" * 3000 + b"\n\n",
        errors.UPSTREAM_PROTOCOL,
        "Acme sent a malformed",
    ),
    "no reason before the end": (
        DONE + text("never"),
        errors.UPSTREAM_TRUNCATED,
        "Acme ended the stream before the answer",
    ),
    "a cut": (b"", errors.UPSTREAM_TRUNCATED, "Acme ended the stream before the answer was complete"),
    "a cut inside a record": (text("lo")[:40], errors.UPSTREAM_TRUNCATED, "Acme ended the stream before"),
    "a cut inside a character": (b'data: {"a":"\xc3', errors.UPSTREAM_TRUNCATED, "Acme ended the stream"),
}
"""What ends a stream in an error, the error's kind, and the beginning of its text."""

# ---------------------------------------------------------------------------------------- whole answers

_VECTORS = [[0.5, -1.0], [2.0, 0.25]]


def _vectors(*sent: Any) -> bytes:
    data = [{"object": "embedding", "index": 1, "embedding": sent[1]}, {"index": 0, "embedding": sent[0]}]
    return body({"data": data, "model": "e", "usage": {"prompt_tokens": 3}})


def _base64(vector: list[float]) -> str:
    return base64.b64encode(struct.pack("<2f", *vector)).decode()


_EMBEDDED: list[StreamEvent] = [
    Started(None, "e"),
    Embedded(_VECTORS),
    Metered(Usage(prompt_tokens=3)),
]
WHOLES: dict[str, tuple[CanonicalRequest, bytes, list[StreamEvent]]] = {
    "plain": (CHAT_REQUEST, samples.whole(), [BEGIN, TextDelta("Hi"), STOPPED, METERED]),
    "no reason": (
        CHAT_REQUEST,
        samples.whole(finish=None, usage=None),
        [BEGIN, TextDelta("Hi"), STOPPED],
    ),
    "legacy completion": (
        CHAT_REQUEST,
        body({"id": "c", "choices": [{"text": "a", "index": 0}, {"text": "b", "index": 1}]}),
        [Started("c"), TextDelta("a"), TextDelta("b", 1), STOPPED, Finished("stop", 1)],
    ),
    "embeddings": (EMBEDDING_REQUEST, _vectors(*_VECTORS), _EMBEDDED),
    "embeddings without usage": (
        EMBEDDING_REQUEST,
        body({"data": [{"index": 0, "embedding": _VECTORS[0]}]}),
        [Started(), Embedded(_VECTORS[:1])],
    ),
    "embeddings in base64": (EMBEDDING_REQUEST, _vectors(*map(_base64, _VECTORS)), _EMBEDDED),
}
"""Request, bytes of its whole answer, events."""

_MALFORMED = (errors.UPSTREAM_PROTOCOL, "Acme sent a malformed answer: ")
BROKEN_WHOLES: dict[str, tuple[bytes, Kind, str]] = {
    name: (fault[6:].strip(), kind, message)
    for name, (fault, kind, message) in FAULTS.items()
    if kind is not errors.UPSTREAM_TRUNCATED and name not in ("another shape", "not utf-8")
} | {
    "cut": (samples.whole()[:-9], *_MALFORMED),
    "not utf-8": (samples.whole().replace(b"Hi", b"\xff"), *_MALFORMED),
    "empty": (b"", *_MALFORMED),
    "HTML": (b"<html></html>", *_MALFORMED),
}
"""Bytes that are no whole answer, whether read or inspected; kind of the error, beginning of its text."""

UNREAD_WHOLES: dict[str, tuple[CanonicalRequest, bytes, Kind, str]] = {
    **{f"embeddings, {name}": (EMBEDDING_REQUEST, *values) for name, values in BROKEN_WHOLES.items()},
    "no choices": (CHAT_REQUEST, b'{"choices":[]}', errors.UPSTREAM_PROTOCOL, "Acme "),
    "no content": (CHAT_REQUEST, b'{"id":"x"}', errors.UPSTREAM_PROTOCOL, "Acme "),
    "another shape": (CHAT_REQUEST, b'{"choices":7}', errors.UPSTREAM_PROTOCOL, "Acme "),
    "no vectors": (EMBEDDING_REQUEST, b'{"data":[]}', errors.UPSTREAM_PROTOCOL, "Acme "),
    "a cut vector": (
        EMBEDDING_REQUEST,
        b'{"data":[{"embedding":"AAA="}]}',
        errors.UPSTREAM_PROTOCOL,
        "Acme ",
    ),
    "not base64": (EMBEDDING_REQUEST, b'{"data":[{"embedding":"!"}]}', errors.UPSTREAM_PROTOCOL, "Acme "),
    "no vector": (EMBEDDING_REQUEST, b'{"data":[{"index":0}]}', errors.UPSTREAM_PROTOCOL, "Acme "),
}
"""Request, and bytes that a reader takes for no answer to it; kind of the error, beginning of its text."""

# ------------------------------------------------------------------------------------------- inspection

_EVERY = samples.USAGE | {"completion_tokens": 1}
_METERED = METERED.usage
PASSED: dict[str, tuple[bytes, bytes, Usage | None]] = {
    name: (data, data, usage)
    for name, data, usage in [
        ("plain", HELLO, None),
        ("crlf", HELLO.replace(b"\n", b"\r\n"), None),
        ("cr", HELLO.replace(b"\n", b"\r"), None),
        ("byte order mark", b"\xef\xbb\xbf" + HELLO, None),
        ("no space", HELLO.replace(b"data: ", b"data:"), None),
        ("with spaces", HELLO.replace(b":null", b": null").replace(b'":{', b'" : {'), None),
        ("many lines", HELLO.replace(b',"model"', b',\ndata: "model"'), None),
        (
            "comments in between",
            ROLE + b": ping\n\n" + text("a") + b": ping\n: pong\n\n" + STOP + DONE,
            None,
        ),
        ("a comment with the record", b": hello\n" + HELLO, None),
        ("event names", HELLO.replace(b"data: ", b"event: message\ndata: "), None),
        ("blank lines", HELLO.replace(b"\n\n", b"\n\n\n", 3), None),
        ("no terminal marker", ROLE + text("a") + STOP, None),
        (
            "usage in every chunk",
            ROLE + text("a", usage=_EVERY) + chunk(finish="stop", usage=samples.USAGE) + DONE,
            _METERED,
        ),
        ("usage null", ROLE + text("a", usage=None) + text("b", usage=None, error=None) + STOP + DONE, None),
        ("usage with a choice", ROLE + chunk(finish="stop", usage=samples.USAGE) + DONE, _METERED),
        (
            "two choices",
            ROLE + text("a") + text("b", choice_index=1) + STOP + chunk(finish="length") + DONE,
            None,
        ),
        ("unknown fields", ROLE + text("a", obfuscation="x7", choice_token_ids=[1]) + STOP + DONE, None),
        (
            "tool calls",
            ROLE
            + samples.calls({"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}})
            + STOP
            + DONE,
            None,
        ),
        (
            "text that looks like fields",
            ROLE + text('"error" "usage":7 [DONE] "finish_reason":"x"') + STOP + DONE,
            None,
        ),
        ("more than ASCII", ROLE + text("naïve ☃") + STOP + DONE, None),
        (
            "half a surrogate pair",
            ROLE + text("a").replace(b'"a"', b'"\\ud83d"') + STOP + DONE,
            None,
        ),
        (
            "first record without choices",
            record({"choices": [], "id": "x", "model": "up"}) + text("a") + STOP + DONE,
            None,
        ),
        (
            "legacy completion",
            record({"model": "up", "choices": [{"text": "a", "finish_reason": "stop"}]}) + DONE,
            None,
        ),
    ]
}
"""Bytes of a stream, the bytes of it that go on, and its usage."""
SAME_OBJECTS: dict[str, tuple[bytes, bytes]] = {name: (b"", data) for name, (data, _, _) in PASSED.items()}
"""What comes first, and what goes on as the same object."""

_ENDS = {
    b"data: [DONE]": DONE,
    b"data: [DONE]\r\n": DONE,
    b"data: [DO": b"",
    b": bye": b"",
    b"dat": b"",
    b"data:": b"",
    b"": b"",
}
PASSED |= {
    f"ends in {end!r}": (ROLE + STOP + end, ROLE + STOP + passed, None) for end, passed in _ENDS.items()
}
PASSED["ends in a reason without its blank line"] = (ROLE + STOP[:-2], ROLE + STOP, None)

Step = tuple[bytes, bytes, int, str | None]
STEPS: dict[str, tuple[list[Step]]] = {
    "heartbeats do not count": (
        [
            (b": wait\n\n", b"", 0, None),
            (b"\n\n", b"", 0, None),
            (b": wait\n\n" + ROLE, ROLE, 1, "up"),  # a comment before the first record is held back
            (text("a"), text("a"), 2, "up"),
            (text("b") + text("c"), text("b") + text("c"), 4, "up"),
            (b": ping\n\n", b": ping\n\n", 4, "up"),
            (b"data:\n\n", b"data:\n\n", 4, "up"),
        ],
    ),
    "only whole events": (
        [
            ((ROLE + text("a"))[:-1], ROLE, 1, "up"),
            (b"\n" + STOP[:9], text("a"), 2, "up"),
            (STOP[9:], STOP, 3, "up"),
        ],
    ),
    "nothing after the end": ([(HELLO + text("more"), HELLO, 4, "up"), (text("more"), b"", 4, "up")],),
}
"""Steps of one stream: what is fed, what goes on, and then the records and the model so far."""

WHOLES_PASSED: dict[str, tuple[bytes, Usage | None]] = {
    "chat": (samples.whole(), _METERED),
    "spaced": (samples.whole().replace(b":", b": ").replace(b",", b" ,\n"), _METERED),
    "with the word": (
        samples.whole({"role": "assistant", "content": "an error", "error": None}),
        _METERED,
    ),
    "error null": (samples.whole(error=None), _METERED),
    "unknown fields": (
        samples.whole(system_fingerprint="fp", provider="X", choice_native_finish_reason="STOP"),
        _METERED,
    ),
    "completion": (
        body({"model": "up", "choices": [{"text": "a"}], "usage": samples.USAGE}),
        _METERED,
    ),
    "embeddings": (
        body({"model": "up", "data": [{"embedding": [1.0]}], "usage": samples.USAGE}),
        _METERED,
    ),
}
"""Bytes of a whole answer, and its usage."""
