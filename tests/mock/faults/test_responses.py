"""Faults in the Responses API, and the errors that the gateway's inspector finds in them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from trunkline.dialects.base import RequestSummary
from trunkline.dialects.responses import ResponsesBack
from trunkline.errors import GatewayError
from trunkline_mock import Fault, FaultKind, MockUpstream, Script

from ..wire import decode_body, decode_events, encode_request, exchange

_TEXT = "one two three"
_MODELS = {"openai": "gpt-4o", "generic": "mock-model"}
_OPENING_EVENTS = 4
"""The number of events before the first content: two for the response, one each for the item and its part."""


async def send_request(fault: Fault, *, stream: bool, shape: str = "openai") -> tuple[bytes, str]:
    """The bytes that came, and the kind of the end: ``closed`` or ``reset``."""
    async with MockUpstream(shape, Script(text=_TEXT, fault=fault)) as mock:
        body = {"model": _MODELS[shape], "input": "tell me a story", "stream": stream}
        return await exchange(mock, encode_request("/v1/responses", body))


def find_error(got: bytes, *, stream: bool) -> GatewayError | None:
    """The error that the gateway's inspector finds in a body; without one, the body is complete."""
    inspector = ResponsesBack("Acme").inspector("chat", RequestSummary(model="m", stream=stream))
    inspector.feed(decode_body(got))
    inspector.close()
    assert inspector.complete is (inspector.error is None)
    return inspector.error


def streamed_text(events: list[Any]) -> str:
    """The text of a streamed response."""
    return "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")


@pytest.mark.parametrize("after", [0, 1, 2])
@pytest.mark.parametrize("shape", _MODELS)
async def test_an_error_in_mid_stream_has_the_next_number(shape: str, after: int) -> None:
    got, _ = await send_request(Fault("error_midstream", after=after, status=429), stream=True, shape=shape)
    assert got.endswith(b"0\r\n\r\n")
    events = decode_events(got)
    assert [event["sequence_number"] for event in events] == list(range(_OPENING_EVENTS + after + 1))
    assert streamed_text(events) == "".join(("one ", "two ")[:after])
    detail = {
        "message": "Rate limit reached for requests. Please try again later.",
        "param": None,
        "code": "rate_limit_exceeded",
    }
    head = {"type": "error", "sequence_number": _OPENING_EVENTS + after}
    if shape == "openai":
        assert events[-1] == head | {"error": detail | {"type": "rate_limit_error"}}
    else:
        assert events[-1] == head | detail
    assert b"event: error\n" in got
    error = find_error(got, stream=True)
    assert error is not None
    assert error.code == "rate_limit_exceeded"


async def test_an_error_in_mid_stream_of_a_whole_response_is_a_status() -> None:
    got, _ = await send_request(Fault("error_midstream"), stream=False)
    assert got.startswith(b"HTTP/1.1 500 ")


async def test_an_error_inside_a_200() -> None:
    got, _ = await send_request(Fault("error_in_200", message="boom", status=429), stream=False)
    answer = msgspec.json.decode(decode_body(got))
    assert (answer["status"], answer["output"]) == ("failed", [])
    assert answer["error"] == {"code": "rate_limit_exceeded", "message": "boom"}
    streamed, _ = await send_request(Fault("error_in_200", message="boom"), stream=True)
    (event,) = decode_events(streamed)
    assert (event["type"], event["sequence_number"], event["error"]["message"]) == ("error", 0, "boom")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_status_has_the_vendors_body(stream: bool) -> None:
    got, _ = await send_request(Fault("status", status=503, retry_after=7), stream=stream)
    assert b"retry-after: 7" in got
    assert msgspec.json.decode(decode_body(got))["error"]["code"] == "server_is_overloaded"


async def test_a_stream_without_its_end() -> None:
    events = decode_events((await send_request(Fault("no_done"), stream=True))[0])
    assert streamed_text(events) == _TEXT
    assert events[-1]["type"] == "response.output_text.delta"


@pytest.mark.parametrize("kind", ["reset_after", "close_after"])
async def test_a_stream_ends_early(kind: FaultKind) -> None:
    got, ending = await send_request(Fault(kind, after=2), stream=True)
    assert ending == ("reset" if kind == "reset_after" else "closed")
    assert streamed_text(decode_events(got)) == "one two "
    assert not got.endswith(b"0\r\n\r\n")


STREAMED: dict[FaultKind, str | None] = {
    "error_in_200": "upstream_error",
    "error_midstream": "upstream_error",
    "reset_after": "upstream_truncated",
    "close_after": "upstream_truncated",
    "cut_line": "upstream_truncated",
    "bad_json": "upstream_protocol",
    "bad_utf8": "upstream_protocol",
    "empty_body": "upstream_truncated",
    "no_done": "upstream_truncated",
    "missing_done_marker": None,
    "early_hints": None,
    "trickle": None,
    "split_every_byte": None,
    "huge": None,
}
"""Faults that leave a stream valid HTTP, and the code of the error that the gateway finds in it."""

WHOLE: dict[FaultKind, str | None] = {
    "error_in_200": "upstream_error",
    "cut_line": "upstream_protocol",
    "bad_json": "upstream_protocol",
    "bad_utf8": "upstream_protocol",
    "empty_body": "upstream_protocol",
    "no_done": None,
    "split_every_byte": None,
}


@pytest.mark.parametrize("shape", _MODELS)
@pytest.mark.parametrize("kind", STREAMED)
async def test_the_gateways_error_for_a_stream(kind: FaultKind, shape: str) -> None:
    got, _ = await send_request(Fault(kind, size=100_000, delay_s=0), stream=True, shape=shape)
    if kind == "early_hints":
        got = got.partition(b"\r\n\r\n")[2]
    error = find_error(got, stream=True)
    assert (error and error.code) == STREAMED[kind]


@pytest.mark.parametrize("kind", WHOLE)
async def test_the_gateways_error_for_a_whole_response(kind: FaultKind) -> None:
    got, _ = await send_request(Fault(kind), stream=False)
    error = find_error(got, stream=False)
    assert (error and error.code) == WHOLE[kind]
