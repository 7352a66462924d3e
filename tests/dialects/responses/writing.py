"""Writers for Responses clients, whose bytes are validated with the types of OpenAI's own SDK."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from trunkline.dialects.base import Writer
from trunkline.dialects.responses import RESPONSES
from trunkline.events import Started, StreamEvent

STARTED = Started("resp_1", "llama3.2", 1700000000)
_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def writer(*, stream: bool = False, **fields: Any) -> Writer:
    """A writer for the answer to a request with these fields."""
    request = {"model": "m", "input": "Hi", "stream": stream} | fields
    return RESPONSES.writer(RESPONSES.parse(json.dumps(request).encode()), "m", "chatcmpl-")


def whole(events: Sequence[StreamEvent], **fields: Any) -> dict[str, Any]:
    """The response object that these events become, valid in every field."""
    answer_writer = writer(**fields)
    assert not any(answer_writer.feed([event]) for event in events)
    body = answer_writer.finish()
    Response.model_validate_json(body, strict=True)
    answer: dict[str, Any] = json.loads(body)
    return answer


def read(data: bytes) -> list[dict[str, Any]]:
    """The events of a stream: each valid, named by its line, and numbered from 0 without a gap."""
    assert data.endswith(b"\n\n")
    found: list[dict[str, Any]] = []
    for number, record in enumerate(data[:-2].split(b"\n\n")):
        name, payload = record.split(b"\n")
        event = json.loads(payload.removeprefix(b"data: "))
        assert name.decode() == f"event: {event['type']}"
        assert event["sequence_number"] == number
        _EVENT.validate_python(event, strict=True)
        found.append(event)
    return found


def stream(events: Sequence[StreamEvent], **fields: Any) -> list[dict[str, Any]]:
    """The events of the stream that these events become, fed one by one."""
    answer_writer = writer(stream=True, **fields)
    return read(b"".join(answer_writer.feed([event]) for event in events) + answer_writer.finish())
