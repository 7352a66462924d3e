"""The cases of Ollama's dialect for the contract suites."""

from __future__ import annotations

from typing import Any

from tests.dialects.ollama.samples import CALLS, DONE, HEAD, HELLO, text
from trunkline import errors
from trunkline.dialects.base import NO_DEFAULTS, Back, Front, RequestDefaults, RequestSummary
from trunkline.dialects.ollama import CHAT, EMBED, EMBEDDINGS, GENERATE, OllamaBack
from trunkline.dialects.ollama.inspect import StreamInspector, WholeInspector
from trunkline.dialects.ollama.read import EmbeddingReader, StreamReader, WholeReader
from trunkline.dialects.ollama.write import EmbeddingWriter, StreamWriter
from trunkline.dialects.ollama.write import WholeWriter as WholeAnswerWriter
from trunkline.errors import Kind
from trunkline.events import (
    Embedded,
    Finished,
    Metered,
    Started,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    Timed,
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

BACK = OllamaBack()
MODEL = "llama3.2"
HI = Message(role="user", parts=(Text(text="Hi"),))
CHAT_REQUEST = ChatRequest(model="m", messages=(HI,))
COMPLETION_REQUEST = CompletionRequest(model="m", prompts=("Once ",))
EMBEDDING_REQUEST = EmbeddingRequest(model="m", inputs=("a", "b"))

# ------------------------------------------------------------------------------------------------ fronts

NDJSON, JSON = b"application/x-ndjson", b"application/json; charset=utf-8"
FRONTS: dict[str, tuple[Front, str, str, bytes, str | None]] = {
    "chat": (CHAT, "ollama", "chat", NDJSON, "ollama"),
    "generate": (GENERATE, "ollama", "completions", NDJSON, "ollama"),
    "embed": (EMBED, "ollama", "embeddings", NDJSON, "ollama"),
    "embeddings": (EMBEDDINGS, "ollama-legacy", "embeddings", NDJSON, "ollama"),
}
"""Front, dialect, operation, content type of a stream, default provider."""

_CHAT_BODY = b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}'
REQUESTS: dict[str, tuple[Front, bytes, type, bytes]] = {
    "chat": (CHAT, _CHAT_BODY[:-1] + b',"stream":false}', WholeAnswerWriter, JSON),
    "chat, streamed": (CHAT, _CHAT_BODY, StreamWriter, NDJSON),
    "generate": (GENERATE, b'{"model":"m","prompt":"a","stream":false}', WholeAnswerWriter, JSON),
    "generate, streamed": (GENERATE, b'{"model":"m","prompt":"a"}', StreamWriter, NDJSON),
    "embed": (EMBED, b'{"model":"m","input":"a"}', EmbeddingWriter, JSON),
    "embeddings": (EMBEDDINGS, b'{"model":"m","prompt":"a"}', EmbeddingWriter, JSON),
}
"""Front, body, class of the answer's writer, content type of the answer."""

BAD_BODIES: dict[str, tuple[bytes, Kind, str]] = {
    "empty": (b"", errors.INVALID_REQUEST, "missing request body"),
    "blank": (b" \n", errors.INVALID_REQUEST, "missing request body"),
    "cut": (b"{", errors.INVALID_JSON, "invalid JSON: "),
    "nested without end": (b'{"options":{"a":' + b"[" * 5000, errors.INVALID_JSON, "invalid JSON: "),
    "a list": (b"[]", errors.INVALID_REQUEST, "Expected `object`"),
}
"""Body, kind and beginning of the error."""

ERROR = errors.ProviderError("too slow", errors.UPSTREAM_TIMEOUT)
ERROR_BODY = b'{"error":"too slow"}'
STREAM_ERROR = ERROR_BODY + b"\n"

# ------------------------------------------------------------------------------------------------- backs

TARGETS: dict[str, tuple[Back, Operation, CanonicalRequest | None, str | None]] = {
    "chat": (BACK, "chat", CHAT_REQUEST, "/api/chat"),
    "completions": (BACK, "completions", COMPLETION_REQUEST, "/api/generate"),
    "embeddings": (BACK, "embeddings", EMBEDDING_REQUEST, "/api/embed"),
    "relayed": (BACK, "other", None, None),
}
"""Back, operation, request, path."""

READERS: dict[str, tuple[CanonicalRequest, bool, type]] = {
    "stream": (CHAT_REQUEST, True, StreamReader),
    "whole": (CHAT_REQUEST, False, WholeReader),
    "completion": (COMPLETION_REQUEST, True, StreamReader),
    "embeddings": (EMBEDDING_REQUEST, False, EmbeddingReader),
}
"""Request, streamed or not, class of the reader."""

INSPECTORS: dict[str, tuple[Back, Operation, bool, type]] = {
    "stream": (BACK, "chat", True, StreamInspector),
    "completion": (BACK, "completions", True, StreamInspector),
    "whole": (BACK, "chat", False, WholeInspector),
    "embeddings": (BACK, "embeddings", True, WholeInspector),
}
"""Back, operation, streamed or not, class of the inspector."""

UNPATCHED: dict[str, tuple[Back, Front, bytes, RequestDefaults]] = {
    "the same model": (BACK, CHAT, b'{"model":"up", "messages":[], "unknown": 1.50 }', NO_DEFAULTS),
    "an option of its own": (
        BACK,
        CHAT,
        b'{"model":"up","options":{"num_ctx":2}}',
        RequestDefaults(options={"num_ctx": 1}),
    ),
    "a bound of its own": (
        BACK,
        CHAT,
        b'{"model":"up","options":{"num_predict":2}}',
        RequestDefaults(max_tokens=1),
    ),
    "a field of its own": (
        BACK,
        CHAT,
        b'{"model":"up","keep_alive":0}',
        RequestDefaults(fields={"keep_alive": "5m"}, drop=frozenset(("think",))),
    ),
    "embeddings are not sampled": (
        BACK,
        EMBED,
        b'{"model":"up","input":"a"}',
        RequestDefaults(temperature=1.0, max_tokens=1),
    ),
}
"""Back, front, body, defaults: the body goes on as it is to the model ``up``."""

PATCHED: dict[str, tuple[Back, Front, bytes, RequestDefaults, bytes]] = {
    "the model": (
        BACK,
        CHAT,
        b'{ "messages":[ {"role":"user"} ], "model":"m", "context":[1, 2], "x": 1.50 }',
        NO_DEFAULTS,
        b'{"messages":[ {"role":"user"} ],"model":"up","context":[1, 2],"x":1.50}',
    ),
    "fields of any type": (
        BACK,
        CHAT,
        b'{"model":"m","a":null,"b":[{"c":"\xc3\xa9"}],"stream":true,"format":""}',
        NO_DEFAULTS,
        b'{"model":"up","a":null,"b":[{"c":"\xc3\xa9"}],"stream":true,"format":""}',
    ),
    "no model": (BACK, GENERATE, b'{"prompt":""}', NO_DEFAULTS, b'{"prompt":"","model":"up"}'),
    "spellings that Go takes for the same field": (
        BACK,
        CHAT,
        b'{"model":"up","Model":"other","MODEL":"o","Options":{"num_predict":9}}',
        NO_DEFAULTS,
        b'{"model":"up"}',
    ),
    "options where they are open": (
        BACK,
        CHAT,
        b'{"model":"up","options":{"num_ctx":1,"seed":3}}',
        RequestDefaults(temperature=0.5, max_tokens=7, options={"num_ctx": 2, "top_k": 4}),
        b'{"model":"up","options":{"num_ctx":1,"seed":3,"temperature":0.5,"num_predict":7,"top_k":4}}',
    ),
    "options null": (
        BACK,
        CHAT,
        b'{"model":"up","options":null}',
        RequestDefaults(options={"num_ctx": 2}),
        b'{"model":"up","options":{"num_ctx":2}}',
    ),
    "a bound that says that there is none": (
        BACK,
        CHAT,
        b'{"model":"up","options":{"num_predict":-1,"temperature":null}}',
        RequestDefaults(temperature=0.5, max_tokens=7),
        b'{"model":"up","options":{"num_predict":7,"temperature":0.5}}',
    ),
    "fields where they are open": (
        BACK,
        CHAT,
        b'{"model":"up","keep_alive":"","think":null}',
        RequestDefaults(fields={"keep_alive": "5m", "think": False}),
        b'{"model":"up","keep_alive":"5m","think":false}',
    ),
    "dropped fields": (
        BACK,
        CHAT,
        b'{"model":"up","think":true}',
        RequestDefaults(drop=frozenset(("think",))),
        b'{"model":"up"}',
    ),
    "options of embeddings": (
        BACK,
        EMBED,
        b'{"model":"up","input":"a"}',
        RequestDefaults(max_tokens=1, options={"num_ctx": 2}),
        b'{"model":"up","input":"a","options":{"num_ctx":2}}',
    ),
}
"""Back, front, body, defaults, the patched body for the model ``up``."""

ERROR_ANSWERS: dict[str, tuple[int, bytes, Kind, str, dict[str, Any]]] = {
    "the request": (
        400,
        b'{"error":"x does not support tools"}',
        errors.INVALID_REQUEST,
        "x does not support tools",
        {"retry_after": 3.0},
    ),
    "too large": (413, b'{"error":"too big"}', errors.TOO_LARGE, "too big", {"retry_after": 3.0}),
    "no text": (
        422,
        b"",
        errors.UNPROCESSABLE,
        "Ollama refused the request with status 422",
        {"retry_after": 3.0},
    ),
    "no key": (
        401,
        b'{"error":"unauthorized"}',
        errors.UPSTREAM_AUTH,
        "Ollama answered 401: unauthorized",
        {"retry_after": 3.0},
    ),
    "forbidden": (403, b"", errors.UPSTREAM_AUTH, "Ollama answered 403", {"retry_after": 3.0}),
    "no model": (
        404,
        b'{"error":"model \'llama2\' not found"}',
        errors.MODEL_NOT_FOUND,
        "Model 'llama2' not found in Ollama. Pull the model with `ollama pull llama2`",
        {"param": "model"},
    ),
    "no model, with advice": (
        404,
        b'{"error":"model \\"a/b:7b\\" not found, try pulling it first"}',
        errors.MODEL_NOT_FOUND,
        "Model 'a/b:7b' not found in Ollama. Pull the model with `ollama pull a/b:7b`",
        {"param": "model"},
    ),
    "no page": (
        404,
        b"404 page not found",
        errors.UPSTREAM_PROTOCOL,
        "Ollama answered 404: 404 page not found",
        {"retry_after": 3.0},
    ),
    "a rate limit": (
        429,
        b'{"error":"slow down"}',
        errors.UPSTREAM_RATE_LIMIT,
        "Ollama answered 429: slow down",
        {"retry_after": 3.0},
    ),
    "a crash": (
        500,
        b'{"error":"llama runner crashed"}',
        errors.UPSTREAM_MODEL_ERROR,
        "llama runner crashed",
        {"retry_after": 3.0, "status": 500, "advice": "false"},
    ),
    "another object": (
        500,
        b'{"detail":"oh"}',
        errors.UPSTREAM_ERROR,
        "Ollama answered 500: oh",
        {"retry_after": 3.0},
    ),
    "a text": (500, b'"oh"', errors.UPSTREAM_ERROR, "Ollama answered 500: oh", {"retry_after": 3.0}),
    "not utf-8": (
        502,
        b"\xff<html>",
        errors.UPSTREAM_ERROR,
        "Ollama answered 502: \ufffd<html>",
        {"retry_after": 3.0},
    ),
    "loading": (
        503,
        b'{"error":"loading"}',
        errors.UPSTREAM_MODEL_ERROR,
        "loading",
        {"retry_after": 3.0, "status": 503, "advice": "false"},
    ),
    "busy": (
        503,
        b'{"error":"server busy, please try again.  maximum pending requests exceeded"}',
        errors.UPSTREAM_BUSY,
        "Ollama answered 503: server busy, please try again.  maximum pending requests exceeded",
        {"retry_after": 3.0},
    ),
}
"""Status, body, kind and text of the error, further attributes of it. All have ``Retry-After: 3``."""

# ---------------------------------------------------------------------------------------------- streams

STARTED = Started(None, "llama3.2", 1785858739)
USAGE = Usage(prompt_tokens=26, completion_tokens=7)
ENDED: list[StreamEvent] = [Metered(USAGE), Timed(40, 10, 20, 5)]
CALLED: list[StreamEvent] = [
    ToolCallDelta(0, "call_a", "f", '{"x": [1, 2.50]}'),
    ToolCallDelta(1, "call_b", "g", '{"y":"é"}'),
    ToolCallDelta(2, "call_c", "h", "{}"),
    ToolCallDelta(3, "call_d", "i", "{}"),
    ToolCallDelta(4, "call_e", "j", "{}"),
]
HELLO_STREAM = HELLO
HELLO_EVENTS: list[StreamEvent] = [
    STARTED,
    TextDelta("Hel"),
    TextDelta("lo"),
    Finished("stop"),
    *ENDED,
]
MIN_COMPLETE = len(HELLO) - 1
"""Bytes of that stream that are a whole answer: all but the last newline."""
BEGUN = text("Hi")
BEGUN_EVENTS: list[StreamEvent] = [STARTED, TextDelta("Hi")]
STARTS = [b"", BEGUN]
"""What an inspector lets pass before a fault."""
AFTER = text("never") + DONE
HEARTBEATS = [b"\n", b" \r\n"]
OPENING = b""
STREAM_SUMMARIES = [RequestSummary(model="m", stream=True)]

STREAMS: dict[str, tuple[bytes, list[StreamEvent]]] = {
    "text": (
        text("Hé") + text("llo 🌍") + DONE,
        [STARTED, TextDelta("Hé"), TextDelta("llo 🌍"), Finished("stop"), *ENDED],
    ),
    "only the end": (DONE, [STARTED, Finished("stop"), *ENDED]),
    "blank lines": (
        b"\n" + text("a") + b"\r\n  \n" + DONE.replace(b"\n", b"\r\n"),
        [STARTED, TextDelta("a"), Finished("stop"), *ENDED],
    ),
    "no last newline": (
        text("a") + DONE.rstrip(),
        [STARTED, TextDelta("a"), Finished("stop"), *ENDED],
    ),
    "thinking": (
        text("", b',"thinking":"Hm"') + text("a", b',"thinking":null') + DONE,
        [STARTED, ThinkingDelta("Hm"), TextDelta("a"), Finished("stop"), *ENDED],
    ),
    "calls before the end": (
        text("", CALLS) + DONE,
        [STARTED, *CALLED, Finished("tool_calls"), *ENDED],
    ),
    "calls at the end": (
        DONE.replace(b'"content":""', b'"content":""' + CALLS),
        [STARTED, *CALLED, Finished("tool_calls"), *ENDED],
    ),
    "calls cut by length": (
        text("", CALLS) + DONE.replace(b'"stop"', b'"length"'),
        [STARTED, *CALLED, Finished("length"), *ENDED],
    ),
    "length": (DONE.replace(b'"stop"', b'"length"'), [STARTED, Finished("length"), *ENDED]),
    "load": (DONE.replace(b'"stop"', b'"load"'), [STARTED, Finished("stop"), *ENDED]),
    "the barest end": (
        b'{"message":{},"done":true}\n',
        [Started(), Finished("stop"), Metered(Usage()), Timed()],
    ),
    "generate": (
        b'{"created_at":"0001-01-01T00:00:00Z","response":"a","thinking":"b"}\n{"done":true,"error":null}\n',
        [Started(), ThinkingDelta("b"), TextDelta("a"), Finished("stop"), Metered(Usage()), Timed()],
    ),
    "values of look-alikes": (
        b'{"created_at":"soon","total_duration":1.5,"done":true}\n',
        [Started(), Finished("stop"), Metered(Usage()), Timed(1)],
    ),
    "records after the end": (DONE + b"junk\n", [STARTED, Finished("stop"), *ENDED]),
    "unknown fields": (
        text("a", b',"oops":{"b":[1]}') + DONE,
        [STARTED, TextDelta("a"), Finished("stop"), *ENDED],
    ),
}
"""Bytes of a complete stream, and its events."""

ERROR_RECORD = b'{"error":"out of memory"}\n'
_INVALID = (errors.UPSTREAM_PROTOCOL, "The upstream sent a record that is not valid: ")
_CUT = (errors.UPSTREAM_TRUNCATED, "The upstream ended its answer before it was complete")
FAULTS: dict[str, tuple[bytes, Kind, str]] = {
    "an error": (ERROR_RECORD, errors.UPSTREAM_ERROR, "out of memory"),
    "the key in the text": (
        b'{"error":"bad key sk-abcdefgh"}\n',
        errors.UPSTREAM_ERROR,
        "bad key ***",
    ),
    "an error as an object": (b'{"error":{"message":"busy"}}\n', errors.UPSTREAM_ERROR, "busy"),
    "an error as a list": (b'{"error":["odd"]}\n', errors.UPSTREAM_ERROR, "odd"),
    "an error without its newline": (b'{"error":"no"}', errors.UPSTREAM_ERROR, "no"),
    "half of json": (b'{"oops\n', *_INVALID),
    "a list": (b"[]\n", *_INVALID),
    "not utf-8": (b'{"message":{"content":"\xff"}}\n', *_INVALID),
    "another shape": (b'{"done":1}\n', *_INVALID),
    "nested without end": (b'{"done":false,"oops":' + b"[" * 5000 + b"\n", *_INVALID),
    "a cut": (b"", *_CUT),
    "blank lines": (b"\n\n", *_CUT),
    "a cut inside a record": (DONE[:40], *_CUT),
    "a cut at the end of a record": (DONE[:-10], *_CUT),
}
"""What ends a stream in an error, the error's kind, and the beginning of its text."""

UNREAD_FAULTS: dict[str, tuple[bytes, Kind, str]] = {
    "content of another type": (b'{"message":{"content":{"text":7}}}\n', *_INVALID),
    "done of another type": (b'{"done":"yes"}\n', *_INVALID),
    "a call without a name": (text("", b',"tool_calls":[{"function":{}}]'), *_INVALID),
    "arguments that are not utf-8": (
        text("", b',"tool_calls":[{"function":{"name":"f","arguments":{"a":"\xff"}}}]'),
        *_INVALID,
    ),
}
"""Faults only for a reader, which decodes more than an inspector does."""

# ---------------------------------------------------------------------------------------- whole answers

_WHOLE = DONE.replace(b'"content":""', b'"content":"Hi","thinking":"Hm"' + CALLS)
_WHOLE_EVENTS: list[StreamEvent] = [
    STARTED,
    ThinkingDelta("Hm"),
    TextDelta("Hi"),
    *CALLED,
    Finished("tool_calls"),
    *ENDED,
]
WHOLES: dict[str, tuple[CanonicalRequest, bytes, list[StreamEvent]]] = {
    "everything": (CHAT_REQUEST, _WHOLE, _WHOLE_EVENTS),
    "not marked as done": (CHAT_REQUEST, _WHOLE.replace(b'"done":true,', b""), _WHOLE_EVENTS),
    "embeddings": (
        EMBEDDING_REQUEST,
        (
            b'{"model":"nomic","embeddings":[[1,0],[0.5,-0.25]],"total_duration":9,"load_duration":2,'
            b'"prompt_eval_count":4}'
        ),
        [
            Started(None, "nomic"),
            Embedded([[1.0, 0.0], [0.5, -0.25]]),
            Metered(Usage(prompt_tokens=4)),
            Timed(9, 2),
        ],
    ),
}
"""Request, bytes of its whole answer, events."""

BROKEN_WHOLES: dict[str, tuple[bytes, Kind, str]] = {
    "empty": (b"", *_INVALID),
    "cut": (DONE[:-9], *_INVALID),
    "HTML": (b"<html>", *_INVALID),
    "an error": (b'{"error":"no"}', errors.UPSTREAM_ERROR, "no"),
}
"""Bytes that are no whole answer, whether read or inspected; kind of the error, beginning of its text."""

UNREAD_WHOLES: dict[str, tuple[CanonicalRequest, bytes, Kind, str]] = {
    "no content": (
        CHAT_REQUEST,
        b'{"done":true}',
        errors.UPSTREAM_PROTOCOL,
        "The upstream sent an answer without a message or a response",
    ),
    "a chat that was cut": (CHAT_REQUEST, b'{"message":{"content":"Hel"},"done":false}', *_CUT),
    "a completion that was cut": (COMPLETION_REQUEST, b'{"response":"Hel","done":false}', *_CUT),
    "no embeddings at all": (EMBEDDING_REQUEST, b"", *_INVALID),
    "too few embeddings": (
        EMBEDDING_REQUEST,
        b'{"embeddings":[[1]]}',
        errors.UPSTREAM_PROTOCOL,
        "The upstream sent 1 embeddings for 2 inputs",
    ),
    "embeddings under another name": (
        EMBEDDING_REQUEST,
        b'{"embedding":[1]}',
        errors.UPSTREAM_PROTOCOL,
        "The upstream sent 0 embeddings for 2 inputs",
    ),
    "embeddings of text": (EMBEDDING_REQUEST, b'{"embeddings":[["a"],["b"]]}', *_INVALID),
    "an error for embeddings": (
        EMBEDDING_REQUEST,
        b'{"error":"no"}',
        errors.UPSTREAM_ERROR,
        "no",
    ),
}
"""Request, and bytes that a reader takes for no answer to it; kind of the error, beginning of its text."""

# ------------------------------------------------------------------------------------------- inspection

LINE = b"{" + HEAD + b',"message":{"role":"assistant","content":"a\\"done\\":true"},"done":false}\n'
SPACED = b"{" + HEAD + b', "message": {"content": "error"}, "done": false}\n'
NESTED = (
    b"{"
    + HEAD
    + b',"message":{"tool_calls":[{"function":{"name":"f","arguments":{"done":true,"error":1}}}]},'
    b'"done":false}\n'
)
MISLEADING = (
    b'{"message":{"tool_calls":[{"function":{"name":"f","arguments":{"done":false}}}]},"done":true}\n'
)
PASSED: dict[str, tuple[bytes, bytes, Usage | None]] = {
    "only the end": (DONE, DONE, USAGE),
    "one line": (LINE + DONE, LINE + DONE, USAGE),
    "five lines": (LINE * 5 + DONE, LINE * 5 + DONE, USAGE),
    "spaced": (SPACED + LINE + SPACED + DONE, SPACED + LINE + SPACED + DONE, USAGE),
    "nested fields that look like more": (LINE + NESTED + LINE + DONE, LINE + NESTED + LINE + DONE, USAGE),
    "a nested field that looks like the opposite": (LINE + MISLEADING, LINE + MISLEADING, Usage()),
    "error null": (
        LINE + b'{"error":null,"done":false}\n' + DONE,
        LINE + b'{"error":null,"done":false}\n' + DONE,
        USAGE,
    ),
    "unknown fields": (LINE + b'{"hello":1}\n' + DONE, LINE + b'{"hello":1}\n' + DONE, USAGE),
    "more than ASCII": (text("naïve ☃") + text("é") + DONE, text("naïve ☃") + text("é") + DONE, USAGE),
    "blank lines": (b"\n" + LINE + b"\n \r\n" + LINE + DONE + b"\n", LINE + LINE + DONE, USAGE),
    "ends without its newline": (LINE + DONE[:-1], LINE + DONE, USAGE),
    "records after the end": (LINE + DONE + LINE + b"junk", LINE + DONE, USAGE),
}
"""Bytes of a stream, the bytes of it that go on, and its usage."""
SAME_OBJECTS: dict[str, tuple[bytes, bytes]] = {"a line after the first": (LINE, LINE + LINE)}
"""What comes first, and what goes on as the same object."""

Step = tuple[bytes, bytes, int, str | None]
STEPS: dict[str, tuple[list[Step]]] = {
    "blank lines do not count": (
        [
            (b"\n \n", b"", 0, None),
            (b"\n" + LINE, LINE, 1, "llama3.2"),
            (b"\n", b"", 1, "llama3.2"),
            (LINE + SPACED + LINE, LINE + SPACED + LINE, 4, "llama3.2"),
            (DONE, DONE, 5, "llama3.2"),
        ],
    ),
    "only whole lines": (
        [
            (LINE + LINE[:30], LINE, 1, "llama3.2"),
            (LINE[30:], LINE, 2, "llama3.2"),
        ],
    ),
    "nothing after the end": ([(DONE + LINE, DONE, 1, "llama3.2"), (LINE, b"", 1, "llama3.2")],),
}
"""Steps of one stream: what is fed, what goes on, and then the records and the model so far."""

WHOLES_PASSED: dict[str, tuple[bytes, Usage | None]] = {"plain": (DONE, USAGE)}
"""Bytes of a whole answer, and its usage."""
