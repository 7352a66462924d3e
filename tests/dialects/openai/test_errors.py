"""Errors of upstreams: inside a 200, in the middle of a stream, and as a cut."""

from __future__ import annotations

import pytest

from tests.dialects.openai import samples
from tests.dialects.openai.samples import DONE, HELLO, ROLE, STOP, chunk, record, text, usage_chunk
from tests.feeding import ways
from trunkline import errors
from trunkline.dialects.openai.inspect import StreamInspector, WholeInspector
from trunkline.dialects.openai.read import EmbeddingReader, StreamReader, WholeReader
from trunkline.errors import CallerError, GatewayError, Kind
from trunkline.events import Metered, StreamEvent, TextDelta
from trunkline.framing import MAX_RECORD
from trunkline.model import Usage

BEGUN = ROLE + text("Hi")

FAULTS: dict[str, tuple[bytes, Kind, str]] = {
    "OpenAI": (
        record({"error": {"message": "Overloaded", "type": "server_error", "param": None, "code": None}}),
        errors.UPSTREAM_ERROR,
        "Acme answered 500: Overloaded",
    ),
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
    "without end": (b"data: " + b"[" * 3000 + b"\n\n", errors.UPSTREAM_PROTOCOL, "Acme sent a malformed"),
    "no reason before the end": (DONE, errors.UPSTREAM_TRUNCATED, "Acme ended the stream before the answer"),
    "a cut": (b"", errors.UPSTREAM_TRUNCATED, "Acme ended the stream before the answer was complete"),
    "a cut inside a record": (text("lo")[:40], errors.UPSTREAM_TRUNCATED, "Acme ended the stream before"),
    "a cut inside a character": (b'data: {"a":"\xc3', errors.UPSTREAM_TRUNCATED, "Acme ended the stream"),
}


def check(error: GatewayError | None, kind: Kind, message: str) -> None:
    assert error is not None
    assert error.kind is kind
    assert error.message.startswith(message)
    assert isinstance(error, CallerError if kind.type == "invalid_request_error" else GatewayError)


@pytest.mark.parametrize("case", FAULTS)
def test_a_stream_that_is_read_ends_in_its_error(case: str) -> None:
    fault, kind, message = FAULTS[case]
    after = fault and fault.endswith(b"\n\n") and text("never")
    for pieces in ways(BEGUN + fault + (after or b"")) if len(fault) < 1000 else [[BEGUN, fault]]:
        reader = StreamReader("Acme")
        events: list[StreamEvent] = []
        for piece in pieces:
            events += reader.feed(piece)
            if reader.error is not None:
                break
        events += reader.close()
        assert not reader.complete
        assert [event.text for event in events if isinstance(event, TextDelta)] == ["Hi"]
        check(reader.error, kind, message)


@pytest.mark.parametrize("case", FAULTS)
def test_a_stream_that_passes_through_ends_in_its_error(case: str) -> None:
    fault, kind, message = FAULTS[case]
    for pieces in ways(BEGUN + fault) if len(fault) < 1000 else [[BEGUN, fault]]:
        inspector = StreamInspector("Acme", drop_usage=False)
        out = b"".join(inspector.feed(piece) for piece in pieces) + inspector.close()
        assert not inspector.complete
        assert out == BEGUN, "all that came before, and not the error itself"
        check(inspector.error, kind, message)


@pytest.mark.parametrize("case", FAULTS)
def test_an_error_before_the_first_record_emits_nothing(case: str) -> None:
    fault, kind, message = FAULTS[case]
    inspector = StreamInspector("Acme", drop_usage=False)
    assert inspector.feed(b": wait\n\n" + fault) + inspector.close() == b""
    assert inspector.records == 0
    check(inspector.error, kind, message)


@pytest.mark.parametrize("make", [StreamReader, lambda who: StreamInspector(who, False)])
def test_an_error_that_lacks_its_blank_line_is_still_one(make: type[StreamReader]) -> None:
    fault, kind, message = FAULTS["OpenAI"]
    reader = make("Acme")
    reader.feed(BEGUN + fault.rstrip())
    assert not reader.close()
    check(reader.error, kind, message)


@pytest.mark.parametrize("make", [StreamReader, lambda who: StreamInspector(who, False)])
def test_text_that_is_not_utf8(make: type[StreamReader]) -> None:
    reader = make("Acme")
    reader.feed(b'data: {"choices":[{"index":0,"delta":{"content":"\xff"}}]}\n\n')
    check(reader.error, errors.UPSTREAM_PROTOCOL, "Acme sent a malformed answer: 'utf-8'")


@pytest.mark.parametrize("make", [StreamReader, lambda who: StreamInspector(who, False)])
def test_a_record_without_end(make: type[StreamReader]) -> None:
    reader = make("Acme")
    assert not reader.feed(b"data: " + b"x" * MAX_RECORD)
    check(reader.error, errors.UPSTREAM_TOO_LARGE, "The upstream sent a record of more than")
    assert not reader.close()


def test_one_of_two_choices_is_not_an_answer() -> None:
    reader = StreamReader("Acme")
    reader.feed(text("a") + text("b", choice_index=1) + STOP + DONE)
    check(reader.error, errors.UPSTREAM_TRUNCATED, "Acme ended the stream")


def test_usage_before_an_error_still_counts() -> None:
    data = BEGUN + usage_chunk() + FAULTS["OpenAI"][0]
    reader, inspector = StreamReader("Acme"), StreamInspector("Acme", drop_usage=True)
    usage = Usage(prompt_tokens=3, completion_tokens=2)
    assert Metered(usage) in reader.feed(data)
    assert inspector.feed(data) == BEGUN
    assert inspector.usage == usage


WHOLE: dict[str, tuple[bytes, Kind, str]] = {
    name: (fault[6:].strip(), kind, message)
    for name, (fault, kind, message) in FAULTS.items()
    if kind is not errors.UPSTREAM_TRUNCATED and name != "another shape"
} | {
    "cut": (samples.whole()[:-9], errors.UPSTREAM_PROTOCOL, "Acme sent a malformed answer: "),
    "empty": (b"", errors.UPSTREAM_PROTOCOL, "Acme sent a malformed answer: "),
    "HTML": (b"<html></html>", errors.UPSTREAM_PROTOCOL, "Acme sent a malformed answer: "),
}


@pytest.mark.parametrize("case", WHOLE)
@pytest.mark.parametrize("make", [WholeReader, EmbeddingReader, WholeInspector])
def test_errors_inside_a_200(case: str, make: type[WholeReader]) -> None:
    data, kind, message = WHOLE[case]
    reader = make("Acme")
    for at in range(0, len(data), 7):
        reader.feed(data[at : at + 7])
    assert not reader.close()
    assert not reader.complete
    check(reader.error, kind, message)


@pytest.mark.parametrize(
    ("make", "data"),
    [
        (WholeReader, b'{"choices":[]}'),
        (WholeReader, b'{"id":"x"}'),
        (WholeReader, b'{"choices":7}'),
        (EmbeddingReader, b'{"data":[]}'),
        (EmbeddingReader, b'{"data":[{"embedding":"AAA="}]}'),
        (EmbeddingReader, b'{"data":[{"embedding":"!"}]}'),
        (EmbeddingReader, b'{"data":[{"index":0}]}'),
    ],
)
def test_an_answer_without_content_is_none(make: type[WholeReader], data: bytes) -> None:
    reader = make("Acme")
    reader.feed(data)
    assert reader.close() == []
    check(reader.error, errors.UPSTREAM_PROTOCOL, "Acme ")


def test_a_healthy_stream_has_none() -> None:
    inspector = StreamInspector("Acme", drop_usage=False)
    assert inspector.feed(HELLO) == HELLO
    assert inspector.error is None
