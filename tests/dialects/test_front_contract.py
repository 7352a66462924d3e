"""What every front does: what it says of itself, how it refuses bodies, and how its answers begin and end."""

from __future__ import annotations

import re
from types import ModuleType

import pytest

from tests.dialects.contract import every_case, every_dialect
from trunkline.dialects.base import Front
from trunkline.errors import CallerError
from trunkline.events import Finished, Metered, Started, StreamEvent, TextDelta, ThinkingDelta, ToolCallDelta
from trunkline.model import Usage

EVENTS: list[StreamEvent] = [
    Started("resp_1", "up", 1700000000),
    ThinkingDelta("Hm"),
    TextDelta("Hel"),
    TextDelta("lo"),
    ToolCallDelta(0, "a", "f", '{"x"'),
    ToolCallDelta(0, arguments=":1}"),
    ToolCallDelta(1, "b", "g", "{}"),
    Finished("tool_calls"),
    Metered(Usage(prompt_tokens=3, completion_tokens=2)),
]


@every_case("front", "name", "operation", "stream_type", "default_provider", of="FRONTS")
def test_what_a_front_says_of_itself(
    dialect: ModuleType,
    front: Front,
    name: str,
    operation: str,
    stream_type: bytes,
    default_provider: str | None,
) -> None:
    assert (front.dialect, front.operation, front.stream_type) == (name, operation, stream_type)
    assert front.default_provider == default_provider
    assert (front.is_relayed, front.has_countable_tokens, front.may_name_no_model) == (False, True, False)
    assert (front.method, front.subpath) == ("POST", "")


@every_case("front", "name", "operation", "stream_type", "default_provider", of="FRONTS")
def test_errors(
    dialect: ModuleType,
    front: Front,
    name: str,
    operation: str,
    stream_type: bytes,
    default_provider: str | None,
) -> None:
    assert front.error_body(dialect.ERROR) == dialect.ERROR_BODY
    assert front.stream_error(dialect.ERROR) == dialect.STREAM_ERROR


@every_dialect
@pytest.mark.parametrize("method", ["summarize", "parse"])
def test_a_body_that_cannot_be_read_is_refused(dialect: ModuleType, method: str) -> None:
    for front, *_ in dialect.FRONTS.values():
        for case, (body, kind, message) in dialect.BAD_BODIES.items():
            with pytest.raises(CallerError) as caught:
                getattr(front, method)(body)
            error = caught.value
            assert (error.status, error.kind, error.param) == (400, kind, None), case
            assert error.message.startswith(message), case


@every_case("front", "body", "writer_type", "content_type", of="REQUESTS")
def test_a_request_has_its_writer(
    dialect: ModuleType, front: Front, body: bytes, writer_type: type, content_type: bytes
) -> None:
    assert front.summarize(body).model == "m"
    writer = front.writer(front.parse(body), "m", "chatcmpl-")
    assert type(writer) is writer_type
    assert writer.content_type == content_type


@every_case("front", "body", "writer_type", "content_type", of="REQUESTS")
def test_an_unknown_field_matters_only_where_a_request_is_translated(
    dialect: ModuleType, front: Front, body: bytes, writer_type: type, content_type: bytes
) -> None:
    """Ollama itself skips it. Others refuse it, and so does the gateway, which cannot know what it means."""
    more = body[:-1] + b',"unheard_of":[{"x":1.0}]}'
    assert front.summarize(more) == front.summarize(body)
    if front.dialect == "ollama" or front.operation == "embeddings":
        assert front.parse(more) == front.parse(body)
        return
    with pytest.raises(CallerError, match="unheard_of") as caught:
        front.parse(more)
    assert (caught.value.status, caught.value.param) == (400, "unheard_of")


@every_case("front", "body", "writer_type", "content_type", of="REQUESTS")
def test_a_request_that_asks_for_an_answer_is_no_load_request(
    dialect: ModuleType, front: Front, body: bytes, writer_type: type, content_type: bytes
) -> None:
    assert front.answer_load_request(front.parse(body), "m") is None


@every_case("front", "body", "writer_type", "content_type", of="REQUESTS")
def test_a_writer_fails_in_the_form_of_its_answer(
    dialect: ModuleType, front: Front, body: bytes, writer_type: type, content_type: bytes
) -> None:
    """A stream ends in its error event, a whole answer is an error body instead."""
    writer = front.writer(front.parse(body), "m", "chatcmpl-")
    failure = writer.fail(dialect.ERROR)
    if content_type != front.stream_type:
        assert failure == front.error_body(dialect.ERROR)
    elif front.dialect != "responses":  # whose writer also gives the response as far as it came
        assert failure == front.stream_error(dialect.ERROR)


@every_case("front", "body", "writer_type", "content_type", of="REQUESTS")
def test_many_events_at_once_are_the_same_bytes(
    dialect: ModuleType, front: Front, body: bytes, writer_type: type, content_type: bytes
) -> None:
    one_by_one, at_once = (front.writer(front.parse(body), "m", "chatcmpl-") for _ in range(2))
    pieces = [one_by_one.feed([event]) for event in EVENTS]
    fed = at_once.feed(EVENTS)
    if content_type != front.stream_type:
        assert not any(pieces)
        assert fed == b""
    first, second = b"".join(pieces) + one_by_one.finish(), fed + at_once.finish()
    ping = front.ping("m")
    if ping:  # thinking that nobody asked for is a ping, unless something follows at once
        first, second = first.replace(ping, b""), second.replace(ping, b"")
    assert _timeless(first) == _timeless(second)


def _timeless(data: bytes) -> bytes:
    """An answer without the times that Ollama's writers measure."""
    return re.sub(rb'"created_at":"[^"]*"|_duration":\d+', b"", data)
