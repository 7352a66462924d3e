"""Faults in the Responses API: what each makes of a response, and what a gateway's scanner makes of that."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from trunkline.dialects.base import RequestSummary
from trunkline.dialects.responses import ResponsesBack
from trunkline.errors import GatewayError
from trunkline_mock import Fault, FaultKind, MockUpstream, Script

from ..wire import body_of, events_of, exchange, request

_TEXT = "one two three"
_MODELS = {"openai": "gpt-4o", "generic": "mock-model"}
_BEFORE = 4
"""Events before the first content: the response's two, the item's and its part's."""


async def answered(fault: Fault, *, stream: bool, shape: str = "openai") -> tuple[bytes, str]:
    """What came, and how it ended."""
    async with MockUpstream(shape, Script(text=_TEXT, fault=fault)) as mock:
        body = {"model": _MODELS[shape], "input": "tell me a story", "stream": stream}
        return await exchange(mock, request("/v1/responses", body))


def error_of(got: bytes, *, stream: bool) -> GatewayError | None:
    """What a scanner says of a body; it is complete otherwise."""
    inspector = ResponsesBack("Acme").inspector("chat", RequestSummary(model="m", stream=stream))
    inspector.feed(body_of(got))
    inspector.close()
    assert inspector.complete is (inspector.error is None)
    return inspector.error


def said(events: list[Any]) -> str:
    """The text of a streamed response."""
    return "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")


@pytest.mark.parametrize("after", [0, 1, 2])
@pytest.mark.parametrize("shape", _MODELS)
async def test_an_error_in_mid_stream_has_the_next_number(shape: str, after: int) -> None:
    got, _ = await answered(Fault("error_midstream", after=after, status=429), stream=True, shape=shape)
    assert got.endswith(b"0\r\n\r\n")
    events = events_of(got)
    assert [event["sequence_number"] for event in events] == list(range(_BEFORE + after + 1))
    assert said(events) == "".join(("one ", "two ")[:after])
    detail = {
        "message": "Rate limit reached for requests. Please try again later.",
        "param": None,
        "code": "rate_limit_exceeded",
    }
    head = {"type": "error", "sequence_number": _BEFORE + after}
    if shape == "openai":
        assert events[-1] == head | {"error": detail | {"type": "rate_limit_error"}}
    else:
        assert events[-1] == head | detail
    assert b"event: error\n" in got
    error = error_of(got, stream=True)
    assert error is not None
    assert error.code == "rate_limit_exceeded"


async def test_an_error_in_mid_stream_of_a_whole_response_is_a_status() -> None:
    got, _ = await answered(Fault("error_midstream"), stream=False)
    assert got.startswith(b"HTTP/1.1 500 ")


async def test_an_error_inside_a_200() -> None:
    got, _ = await answered(Fault("error_in_200", message="boom", status=429), stream=False)
    answer = msgspec.json.decode(body_of(got))
    assert (answer["status"], answer["output"]) == ("failed", [])
    assert answer["error"] == {"code": "rate_limit_exceeded", "message": "boom"}
    streamed, _ = await answered(Fault("error_in_200", message="boom"), stream=True)
    (event,) = events_of(streamed)
    assert (event["type"], event["sequence_number"], event["error"]["message"]) == ("error", 0, "boom")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_status_has_the_vendors_body(stream: bool) -> None:
    got, _ = await answered(Fault("status", status=503, retry_after=7), stream=stream)
    assert b"retry-after: 7" in got
    assert msgspec.json.decode(body_of(got))["error"]["code"] == "server_is_overloaded"


async def test_a_stream_without_its_end() -> None:
    events = events_of((await answered(Fault("no_done"), stream=True))[0])
    assert said(events) == _TEXT
    assert events[-1]["type"] == "response.output_text.delta"


@pytest.mark.parametrize("kind", ["reset_after", "close_after"])
async def test_a_stream_breaks_off(kind: FaultKind) -> None:
    got, how = await answered(Fault(kind, after=2), stream=True)
    assert how == ("reset" if kind == "reset_after" else "closed")
    assert said(events_of(got)) == "one two "
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
"""Faults of a stream that is HTTP after all, and the error that they are."""

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
async def test_what_a_gateway_makes_of_a_stream(kind: FaultKind, shape: str) -> None:
    got, _ = await answered(Fault(kind, size=100_000, delay_s=0), stream=True, shape=shape)
    if kind == "early_hints":
        got = got.partition(b"\r\n\r\n")[2]
    error = error_of(got, stream=True)
    assert (error and error.code) == STREAMED[kind]


@pytest.mark.parametrize("kind", WHOLE)
async def test_what_a_gateway_makes_of_a_whole_response(kind: FaultKind) -> None:
    got, _ = await answered(Fault(kind), stream=False)
    error = error_of(got, stream=False)
    assert (error and error.code) == WHOLE[kind]
