from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest

from tests.dialects.openai import samples
from tests.dialects.openai.samples import DONE, HELLO, ROLE, STOP, chunk, record, text, usage_chunk
from tests.feeding import ways
from trunkline import errors
from trunkline.dialects.anthropic import MESSAGES, AnthropicBack
from trunkline.dialects.base import NO_DEFAULTS, Reader, RequestDefaults, RequestSummary
from trunkline.dialects.ollama import CHAT as OLLAMA_CHAT
from trunkline.dialects.openai import CHAT, COMPLETIONS, EMBEDDINGS, OpenAIBack, OpenAIFront, Quirks
from trunkline.dialects.openai.read import StreamReader
from trunkline.errors import CallerError, Kind
from trunkline.events import StreamEvent
from trunkline.exchange import MAX_ERROR_BODY, PassThrough, Translate
from trunkline.framing import SSESplitter
from trunkline.model import CanonicalRequest, Usage

BACK = OpenAIBack(Quirks(name="Acme"))
USAGE = Usage(prompt_tokens=3, completion_tokens=2)
ASK = {"model": "acme/up", "messages": [{"role": "user", "content": "Hi"}], "logit_bias": {"x": 1}}


def _body(**fields: Any) -> bytes:
    return msgspec.json.encode(ASK | fields)


def passing(
    *, front: OpenAIFront = CHAT, defaults: RequestDefaults = NO_DEFAULTS, **fields: Any
) -> PassThrough:
    body = _body(**fields)
    return PassThrough(front, BACK, body, front.summarize(body), "up", defaults, "acme")


def translating(*, upstream_stream: bool = True, **fields: Any) -> Translate:
    request = CHAT.parse(_body(**fields))
    return Translate(
        CHAT,
        BACK,
        request,
        "up",
        NO_DEFAULTS,
        "acme",
        stream=bool(fields.get("stream")),
        upstream_stream=upstream_stream,
        id_prefix="chatcmpl-",
    )


def carry(exchange: PassThrough | Translate, pieces: Any, status: int = 200) -> bytes:
    """Feed as a carrier does: until the exchange is complete or in error, else to the end of the body."""
    exchange.head(status, ())
    out = b""
    for piece in pieces:
        out += exchange.feed(piece)
        if exchange.complete or exchange.error is not None:
            return out
    return out + exchange.finish()


STREAMING: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}


def test_passing_asks_the_clients_own_question() -> None:
    exchange = passing(stream=True)
    assert (exchange.path, exchange.upstream_model) == ("/chat/completions", "up")
    assert (exchange.streaming, exchange.content_type) == (True, b"text/event-stream; charset=utf-8")
    told = msgspec.json.decode(exchange.body)
    assert told == ASK | {"model": "up", "stream": True, "stream_options": {"include_usage": True}}
    body = _body(model="up")
    same = PassThrough(CHAT, BACK, body, CHAT.summarize(body), "up", NO_DEFAULTS, "acme")
    assert same.body is body
    assert (same.streaming, same.content_type) == (False, b"application/json")
    dropped = passing(defaults=RequestDefaults(drop=frozenset({"logit_bias"})))
    assert "logit_bias" not in msgspec.json.decode(dropped.body)


def test_passing_forwards_a_stream_and_tells_its_usage() -> None:
    data = HELLO.replace(DONE, usage_chunk() + DONE)
    for pieces in ways(data):
        asked = passing(**STREAMING)
        assert carry(asked, pieces) == data
        assert (asked.complete, asked.error, asked.usage, asked.model) == (True, None, USAGE, "up")
        unasked = passing(stream=True)
        assert carry(unasked, pieces) == HELLO
        assert (unasked.complete, unasked.usage) == (True, USAGE)


def test_heartbeats_are_no_progress() -> None:
    exchange = passing(stream=True)
    exchange.head(200, ())
    assert exchange.feed(b": OPENROUTER PROCESSING\n\n") == b""
    assert exchange.progress == 0
    assert exchange.feed(b": wait\n\n" + ROLE) == ROLE
    seen = exchange.progress
    assert seen > 0
    assert exchange.feed(b": ping\n\n") == b": ping\n\n"
    assert exchange.progress == seen
    exchange.feed(text("a"))
    assert exchange.progress > seen


def test_what_a_client_used_is_known_whenever_it_leaves() -> None:
    exchange = passing(stream=True)
    exchange.feed(ROLE + text("a", usage=samples.USAGE))
    assert (exchange.usage, exchange.model, exchange.complete) == (USAGE, "up", False)


def test_passing_forwards_a_whole_answer() -> None:
    data = samples.whole(provider="X")
    for pieces in ways(data):
        exchange = passing()
        assert carry(exchange, pieces) == data
        assert (exchange.complete, exchange.usage, exchange.model) == (True, USAGE, "up")
        assert 0 < exchange.progress <= len(pieces)
    assert exchange.finish() == b""


def test_passing_ends_in_an_error_after_what_came_before_it() -> None:
    error = record({"error": {"message": "Overloaded", "code": 503}})
    exchange = passing(stream=True)
    assert carry(exchange, [ROLE + text("a") + error + text("never")]) == ROLE + text("a")
    assert exchange.error is not None
    assert (exchange.error.message, exchange.complete) == ("Acme answered 503: Overloaded", False)
    assert exchange.finish() == b""


def test_translating_asks_in_the_upstreams_dialect() -> None:
    exchange = translating(stream=True)
    assert (exchange.path, exchange.upstream_model, exchange.streaming) == (
        "/chat/completions",
        "up",
        True,
    )
    told = msgspec.json.decode(exchange.body)
    assert told == {
        "model": "up",
        "messages": ASK["messages"],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def _chunks(data: bytes) -> list[dict[str, Any]]:
    *payloads, done = SSESplitter().feed(data)
    assert done == b"[DONE]"
    return [json.loads(payload) for payload in payloads]


WAYS_TO_ASK = [
    pytest.param({}, True, HELLO + usage_chunk(), id="whole from a stream"),
    pytest.param({}, False, samples.whole({"content": "Hello"}), id="whole from whole"),
    pytest.param(STREAMING, True, HELLO, id="stream from a stream"),
    pytest.param(STREAMING, False, samples.whole({"content": "Hello"}), id="stream from whole"),
]


@pytest.mark.parametrize(("asked", "upstream_stream", "data"), WAYS_TO_ASK)
def test_translating_answers_as_it_was_asked(
    asked: dict[str, Any], upstream_stream: bool, data: bytes
) -> None:
    data = data.replace(DONE, usage_chunk() + DONE)
    for pieces in ways(data):
        exchange = translating(upstream_stream=upstream_stream, **asked)
        out = carry(exchange, pieces)
        assert (exchange.complete, exchange.error, exchange.usage) == (True, None, USAGE)
        assert exchange.model == "up"
        assert exchange.progress > 0
        if asked:
            *chunks, last = _chunks(out)
            texts = [each["delta"].get("content", "") for chunk in chunks for each in chunk["choices"]]
            assert "".join(texts) == "Hello"
            assert (chunks[-1]["choices"][0]["finish_reason"], last["usage"]) == ("stop", samples.USAGE)
        else:
            answer = json.loads(out)
            assert answer["choices"][0]["message"]["content"] == "Hello"
            assert (answer["id"], answer["model"], answer["usage"]) == ("chatcmpl-u", "up", samples.USAGE)
        assert exchange.finish() == b""


def test_translating_names_what_the_upstream_does_not() -> None:
    exchange = translating()
    answer = json.loads(
        carry(exchange, [b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}'])
    )
    assert re.fullmatch(r"chatcmpl-[0-9a-f-]{36}", answer["id"])
    assert (answer["model"], type(answer["created"])) == ("up", int)
    assert answer["usage"] == {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


def test_translating_streams_without_usage_unless_asked() -> None:
    out = carry(translating(stream=True), [HELLO])
    assert b"usage" not in out
    assert len(_chunks(out)) == 4


def test_heartbeats_are_no_progress_in_translation_either() -> None:
    exchange = translating(stream=True)
    exchange.head(200, ())
    assert exchange.feed(b": ping\n\n") == b""
    assert exchange.progress == 0
    exchange.feed(ROLE)
    assert exchange.progress == 1
    gathering = translating(upstream_stream=False)
    gathering.feed(b"{")
    assert gathering.progress == 1


CUTS: dict[str, tuple[bytes, Kind]] = {
    "nothing": (b"", errors.UPSTREAM_TRUNCATED),
    "cut": (ROLE + text("a"), errors.UPSTREAM_TRUNCATED),
    "bad JSON": (ROLE + text("a") + b"data: {\n\n", errors.UPSTREAM_PROTOCOL),
    "an error": (ROLE + text("a") + chunk(finish="error"), errors.UPSTREAM_ERROR),
    "an end without a reason": (ROLE + text("a") + DONE, errors.UPSTREAM_TRUNCATED),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("case", CUTS)
def test_translating_an_answer_that_falls_short(case: str, stream: bool) -> None:
    data, kind = CUTS[case]
    for pieces in ways(data) if data else [[]]:
        exchange = translating(stream=stream)
        out = carry(exchange, pieces)
        assert exchange.error is not None
        assert (exchange.error.kind, exchange.complete) == (kind, False)
        assert DONE not in out
        assert (b'"content":"a"' in out) == (stream and bool(data))


@pytest.mark.parametrize("make", [passing, translating])
def test_an_error_answer_is_read_whole(make: Any) -> None:
    body = b'{"error":{"message":"Slow down","code":429}}'
    for pieces in ways(body):
        exchange: PassThrough | Translate = make(stream=True)
        exchange.head(429, [(b"retry-after", b"3")])
        assert not any(exchange.feed(piece) for piece in pieces)
        assert exchange.finish() == b""
        error = exchange.error
        assert error is not None
        assert error.message == "Acme answered 429: Slow down"
        assert (error.kind, error.retry_after) == (errors.UPSTREAM_RATE_LIMIT, 3.0)
        assert 0 < exchange.progress <= len(pieces)


@pytest.mark.parametrize("status", [301, 500])
def test_an_error_answer_is_read_up_to_a_limit(status: int) -> None:
    exchange = passing()
    body = b'{"error":{"message":"Broken"}}'
    exchange.head(status, ())
    assert exchange.feed(body) == b""
    assert exchange.feed(b" " * MAX_ERROR_BODY) == b""  # and no end: it is not waited for
    assert exchange.error is not None
    assert (exchange.error.message, exchange.error.status) == (f"Acme answered {status}: Broken", 502)


def test_a_provider_without_the_endpoint_says_so() -> None:
    back = OpenAIBack(Quirks(endpoints={"chat": "/chat/completions"}))
    summary = RequestSummary(model="m", stream=False)
    assert PassThrough(CHAT, back, b"", summary, "m", NO_DEFAULTS, "cerebras").path == "/chat/completions"
    for front in COMPLETIONS, EMBEDDINGS:
        with pytest.raises(
            CallerError, match=f"Provider 'cerebras' has no {front.operation} endpoint"
        ) as caught:
            PassThrough(
                front, back, b"", RequestSummary(model="m", stream=False), "m", NO_DEFAULTS, "cerebras"
            )
        assert (caught.value.kind, caught.value.param) == (errors.UNSUPPORTED, "model")


def test_other_operations_pass_too() -> None:
    legacy = passing(front=COMPLETIONS, prompt="p")
    assert legacy.path == "/completions"
    vectors = passing(front=EMBEDDINGS, input="a")
    assert vectors.path == "/embeddings"
    data = samples.body({"object": "list", "model": "e", "data": [], "usage": {"prompt_tokens": 3}})
    assert carry(vectors, [data]) == data
    assert (vectors.usage, vectors.model) == (Usage(prompt_tokens=3), "e")


def test_a_reason_without_a_terminal_marker_is_an_end() -> None:
    for pieces in ways(ROLE + text("a") + STOP):
        through, translated = passing(stream=True), translating(stream=True)
        assert carry(through, pieces) == ROLE + text("a") + STOP
        assert carry(translated, pieces).endswith(DONE)
        assert (through.complete, translated.complete) == (True, True)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("upstream_stream", [False, True])
def test_an_answer_without_a_form_in_the_clients_dialect(stream: bool, upstream_stream: bool) -> None:
    """Ollama's clients get a tool call's arguments as an object: text that is none cannot be told them."""
    call = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{nope"}}
    streamed = ROLE + samples.calls(call) + chunk(finish="tool_calls") + DONE
    data = streamed if upstream_stream else samples.whole({"tool_calls": [call]})
    body = _body(stream=stream)
    exchange = Translate(
        OLLAMA_CHAT,
        BACK,
        OLLAMA_CHAT.parse(body),
        "up",
        NO_DEFAULTS,
        "acme",
        stream=stream,
        upstream_stream=upstream_stream,
        id_prefix="chatcmpl-",
    )
    assert b'"done":true' not in carry(exchange, [data])
    assert exchange.error is not None
    assert (exchange.error.status, exchange.complete) == (502, False)


class Unending(StreamReader):
    """A reader with a fault of its own: it neither completes nor complains."""

    def close(self) -> list[StreamEvent]:
        return []


class Forgetful(OpenAIBack):
    """A back with that reader."""

    def reader(self, request: CanonicalRequest, stream: bool) -> Reader:
        return Unending(self.quirks.name)


def test_no_answer_ends_without_an_end() -> None:
    request = CHAT.parse(_body())
    exchange = Translate(
        CHAT,
        Forgetful(Quirks()),
        request,
        "up",
        NO_DEFAULTS,
        "acme",
        stream=False,
        upstream_stream=True,
        id_prefix="x",
    )
    assert carry(exchange, [ROLE]) == b""
    assert exchange.error is not None
    assert exchange.error.kind is errors.UPSTREAM_PROTOCOL


def test_what_follows_the_end_is_nobodys() -> None:
    exchange = translating(stream=True)
    assert exchange.feed(HELLO).endswith(DONE)
    assert exchange.feed(text("more")) == b""
    assert exchange.finish() == b""


QUERIES = {
    b"": "/messages",
    b"beta=true": "/messages?beta=true",
    b"key=secret&beta=true&x": "/messages?beta=true",
    b"beta=a%20b&beta=a b": "/messages?beta=a%20b",
    b"beta=\xff": "/messages",
    b"beta=a\r\nx": "/messages",
    b"Beta=true": "/messages",
}


@pytest.mark.parametrize(("query", "target"), QUERIES.items())
def test_of_a_query_only_what_the_dialect_knows_goes_on(query: bytes, target: str) -> None:
    body = b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"Hi"}]}'
    passing = PassThrough(MESSAGES, AnthropicBack(), body, MESSAGES.summarize(body), "m", NO_DEFAULTS, "acme")
    passing.forward_head([(b"anthropic-beta", b"b"), (b"x-api-key", b"k")], query)
    assert passing.path == target
    assert passing.headers == [(b"anthropic-beta", b"b")]
