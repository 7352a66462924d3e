"""What an awkward shape is: a function that changes the correct response of a mock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

from trunkline_mock.response import Record, RecordKind, Response

Carries: TypeAlias = Literal["text", "calls", "thinking", "image", "citation", "error"]
"""What an answer of an awkward shape still says, so that it must reach the client."""
Api: TypeAlias = Literal["chat", "messages", "ollama"]

Event: TypeAlias = "dict[str, Any] | bytes"
"""An event of a stream, decoded, or bytes that are sent as they are (comments, ``[DONE]``)."""
Whole: TypeAlias = Callable[[dict[str, Any]], Any]
Stream: TypeAlias = Callable[[list[Event]], list[Event]]

WORDS: Final = "BOOM words"
"""What the errors of awkward shapes say."""
IMAGE: Final = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
"""A PNG of one pixel, base64."""
CITED_URL: Final = "https://example.com/cited"


class Awkward(NamedTuple):
    """One shape."""

    name: str
    seen: str
    """What is odd, and where it was seen."""
    whole: Whole | None = None
    """Changes the body of a whole answer; ``None``: it stays."""
    stream: Stream | None = None
    """Changes the events of a stream; ``None``: they stay."""
    carries: Carries = "text"
    api: Api = "chat"
    status: int | None = None
    """The HTTP status; ``None``: the one of the answer."""
    content_type: str | None = None
    reply: Callable[[Response], Response] | None = None
    """Changes the response beyond its body; the last step."""


def make_awkward(shape: Awkward, response: Response) -> Response:
    """The response in an awkward shape.

    Args:
        shape: The shape; it changes nothing in answers of another API.
        response: The correct answer.
    """
    if response.status != 200 or _api(response) != shape.api:
        return response
    changed = response
    if response.streamed and shape.stream is not None:
        changed = _with_events(response, shape.stream(_events(response)))
    elif not response.streamed and shape.whole is not None:
        body = shape.whole(msgspec.json.decode(response.body))
        data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        changed = _replace(response, records=(Record(data, RecordKind.CONTENT, response.records[0].tokens),))
    if shape.status is not None:
        changed = _replace(changed, status=shape.status)
    if shape.content_type is not None:
        changed = _replace(changed, content_type=shape.content_type)
    return changed if shape.reply is None else shape.reply(changed)


def _replace(response: Response, **fields: Any) -> Response:
    return msgspec.structs.replace(response, **fields)


def _api(response: Response) -> Api | None:
    """The API whose answer this is, by its first record that is JSON."""
    if response.content_type == "application/x-ndjson":
        return "ollama"
    for record in response.records:
        text = record.data.partition(b"data: ")[2] if response.streamed else record.data
        if text.startswith(b"{"):
            body = msgspec.json.decode(text)
            if "choices" in body:
                return "chat"
            if body.get("type") in ("message", "message_start"):
                return "messages"
            return "ollama" if "done" in body else None
    return None


def _events(response: Response) -> list[Event]:
    events: list[Event] = []
    for record in response.records:
        data = record.data if response.content_type == "application/x-ndjson" else None
        if data is None:
            data = record.data.partition(b"data: ")[2]
        events.append(msgspec.json.decode(data) if data.startswith(b"{") else record.data)
    return events


def _with_events(response: Response, events: list[Event]) -> Response:
    tokens = iter(record.tokens for record in response.records if record.tokens)
    ndjson = response.content_type == "application/x-ndjson"
    records = [
        Record(encode_event(event, ndjson=ndjson), RecordKind.CONTENT, next(tokens, 0)) for event in events
    ]
    return _replace(response, records=tuple(records))


def encode_event(event: Event, *, ndjson: bool = False) -> bytes:
    """The bytes of an event. Those of Anthropic's API have a name.

    Args:
        event: The event.
        ndjson: Whether the stream has lines of JSON instead of server-sent events.
    """
    if isinstance(event, bytes):
        return event
    data = msgspec.json.encode(event)
    if ndjson:
        return data + b"\n"
    name = event.get("type")
    return (b"event: %b\n" % name.encode() if isinstance(name, str) else b"") + b"data: %b\n\n" % data


# Tools for the tables.


def on_choices(change: Callable[[dict[str, Any], dict[str, Any]], None]) -> tuple[Whole, Stream]:
    """A change of every choice, whole and streamed: ``change(choice, message or delta)``."""

    def whole(body: dict[str, Any]) -> Any:
        for choice in body["choices"]:
            change(choice, choice["message"])
        return body

    def stream(events: list[Event]) -> list[Event]:
        for event in events:
            if isinstance(event, dict):
                for choice in event["choices"]:
                    change(choice, choice["delta"])
        return events

    return whole, stream


def on_bodies(change: Callable[[dict[str, Any]], Any]) -> tuple[Whole, Stream]:
    """A change of the body of a whole answer, and of every event of a stream, in place."""

    def whole(body: dict[str, Any]) -> Any:
        change(body)
        return body

    def stream(events: list[Event]) -> list[Event]:
        for event in events:
            if isinstance(event, dict):
                change(event)
        return events

    return whole, stream


def on_usage(change: Callable[[dict[str, Any]], Any]) -> tuple[Whole, Stream]:
    """A change of ``usage``: ``change`` returns the new value."""

    def edit(body: dict[str, Any]) -> None:
        if body.get("usage"):
            body["usage"] = change(body["usage"])

    return on_bodies(edit)


def dicts(events: list[Event]) -> list[dict[str, Any]]:
    """The events that are JSON."""
    return [event for event in events if isinstance(event, dict)]
