"""What is read of a response that passes through."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from tests.dialects.responses.samples import (
    BEGIN,
    CALLING,
    CUT,
    HELLO,
    METERED,
    error_detail,
    event,
    response,
)
from trunkline.dialects.base import Inspector, RequestSummary
from trunkline.dialects.responses import ResponsesBack
from trunkline.framing import split_events
from trunkline.model import Usage

BACK = ResponsesBack("Acme")


@pytest.mark.parametrize("data", [HELLO, CALLING + CUT], ids=["hello", "calling"])
def test_the_samples_are_valid_events(data: bytes) -> None:
    known: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
    for each in split_events(data):
        name, payload = each.split(b"\ndata: ")
        assert name.decode() == f"event: {known.validate_json(payload).type}"


def inspector(stream: bool = True) -> Inspector:
    """An inspector for one answer."""
    return BACK.inspector("chat", RequestSummary(model="m", stream=stream))


def failed(code: str) -> bytes:
    """The event of a response that failed."""
    return event("response.failed", response=response("failed", error=error_detail(code)))


def test_usage_of_a_response_that_failed_still_counts() -> None:
    stream_inspector = inspector()
    assert stream_inspector.feed(BEGIN + failed("server_error")) == BEGIN
    assert (stream_inspector.usage, stream_inspector.model, stream_inspector.records) == (METERED, "up", 2)


def test_usage_with_some_of_its_fields() -> None:
    stream_inspector = inspector()
    stream_inspector.feed(
        event("response.completed", response=response(usage={"input_tokens": 3, "cost": 0.5}))
    )
    assert stream_inspector.usage == Usage(prompt_tokens=3, cost=0.5)
