"""Faults in the content of a response: correct HTTP with wrong content."""

from __future__ import annotations

import gzip
import zlib
from typing import Any

import msgspec
import pytest

from trunkline_mock import Fault, FaultKind, MockUpstream, Script

from ..wire import decode_body, decode_events, encode_chat_request, exchange, streamed_text

_VENDORS = ("ollama", "openai", "anthropic", "openrouter", "cerebras")
_TEXT = "one two three"


async def streamed_response(shape: str, fault: Fault) -> bytes:
    async with MockUpstream(shape, Script(text=_TEXT, fault=fault)) as mock:
        got, ending = await exchange(mock, encode_chat_request(mock, stream=True))
    assert ending == "closed"
    return got


async def whole_response(shape: str, fault: Fault) -> bytes:
    async with MockUpstream(shape, Script(text=_TEXT, fault=fault)) as mock:
        got, ending = await exchange(mock, encode_chat_request(mock, stream=False))
    assert ending == "closed"
    return got


@pytest.mark.parametrize(
    ("shape", "status", "body"),
    [
        (
            "openai",
            429,
            {
                "error": {
                    "message": "Rate limit reached for requests. Please try again later.",
                    "type": "rate_limit_error",
                    "param": None,
                    "code": "rate_limit_exceeded",
                }
            },
        ),
        (
            "openrouter",
            402,
            {
                "error": {
                    "code": 402,
                    "message": "Insufficient credits. Add more using https://openrouter.ai/settings/credits",
                }
            },
        ),
        (
            "cerebras",
            401,
            {
                "message": "Wrong API Key",
                "type": "invalid_request_error",
                "param": None,
                "code": "wrong_api_key",
            },
        ),
        ("ollama", 503, {"error": "server busy, please try again.  maximum pending requests exceeded"}),
        (
            "sglang",
            400,
            {
                "object": "error",
                "message": "The request is not valid.",
                "type": "invalid_request_error",
                "param": None,
                "code": 400,
            },
        ),
        (
            "vllm",
            418,
            {
                "error": {
                    "message": "Something went wrong.",
                    "type": "server_error",
                    "param": None,
                    "code": 418,
                }
            },
        ),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_status_has_the_vendors_body(shape: str, status: int, body: Any, stream: bool) -> None:
    fault = Fault("status", status=status, retry_after=7)
    got = await (streamed_response if stream else whole_response)(shape, fault)
    head = got.partition(b"\r\n\r\n")[0]
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"retry-after: 7" in head
    assert msgspec.json.decode(decode_body(got)) == body


@pytest.mark.parametrize("shape", _VENDORS)
async def test_a_status_with_a_scripted_message(shape: str) -> None:
    got = await whole_response(
        shape, Fault("status", status=500, message="boom", code="c", retry_after="soon")
    )
    assert b"boom" in got
    assert b"retry-after: soon" in got


@pytest.mark.parametrize(
    ("kind", "start", "part"),
    [
        ("redirect", b"HTTP/1.1 307 ", b"location: /elsewhere\r\n"),
        ("html_error", b"HTTP/1.1 502 ", b"content-type: text/html"),
        ("status", b"HTTP/1.1 500 ", b"content-length: "),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_responses_that_are_no_answers(
    kind: FaultKind, start: bytes, part: bytes, stream: bool
) -> None:
    got = await (streamed_response if stream else whole_response)("openai", Fault(kind))
    assert got.startswith(start)
    assert part in got


async def test_an_empty_body_is_a_complete_message() -> None:
    assert decode_body(await whole_response("openai", Fault("empty_body"))) == b""
    assert (await streamed_response("openai", Fault("empty_body"))).endswith(b"\r\n\r\n0\r\n\r\n")


async def test_an_error_in_mid_stream_in_each_vendors_format() -> None:
    fault = Fault("error_midstream", after=2, message="boom", status=502)
    last = {shape: decode_events(await streamed_response(shape, fault)) for shape in _VENDORS}
    assert all(streamed_text(events).startswith("one two") for events in last.values())
    assert all("three" not in streamed_text(events) for events in last.values())
    assert last["ollama"][-1] == {"error": "boom"}
    assert last["openai"][-1]["error"] == {
        "message": "boom",
        "type": "server_error",
        "param": None,
        "code": None,
    }
    assert last["anthropic"][-1]["type"] == "error"
    assert last["anthropic"][-1]["error"] == {"type": "api_error", "message": "boom"}
    assert last["cerebras"][-1]["status_code"] == 502
    assert last["cerebras"][-1]["error"]["message"] == "boom"
    chunk = last["openrouter"][-1]
    assert chunk["error"] == {"code": 502, "message": "boom"}
    assert chunk["choices"][0]["finish_reason"] == "error"
    assert chunk["id"] == last["openrouter"][0]["id"]


async def test_an_error_in_mid_stream_before_any_content() -> None:
    events = decode_events(await streamed_response("ollama", Fault("error_midstream", after=0)))
    assert events == [{"error": "llama runner process has terminated: exit status 2"}]


async def test_an_error_in_mid_stream_of_a_whole_answer_is_a_status() -> None:
    assert (await whole_response("openai", Fault("error_midstream"))).startswith(b"HTTP/1.1 500 ")


async def test_an_error_inside_a_200() -> None:
    fault = Fault("error_in_200", message="boom", status=502)
    choice = msgspec.json.decode(decode_body(await whole_response("openrouter", fault)))["choices"][0]
    assert choice["error"] == {"code": 502, "message": "boom"}
    assert choice["finish_reason"] == "error"
    assert msgspec.json.decode(decode_body(await whole_response("ollama", fault))) == {"error": "boom"}
    for shape in ("openai", "cerebras", "anthropic"):
        assert (
            msgspec.json.decode(decode_body(await whole_response(shape, fault)))["error"]["message"] == "boom"
        )
    for shape in ("openai", "anthropic"):
        assert decode_events(await streamed_response(shape, fault))[0]["error"]["message"] == "boom"
    assert decode_events(await streamed_response("openrouter", fault)) == [
        {
            "error": {"code": 502, "message": "boom"},
            "id": decode_events(await streamed_response("openrouter", Fault("no_done")))[0]["id"],
            "object": "chat.completion.chunk",
            "created": decode_events(await streamed_response("openrouter", fault))[0]["created"],
            "model": "openai/gpt-4o",
            "provider": "Mock",
            "choices": [
                {
                    "index": 0,
                    "delta": {"role": "assistant", "content": ""},
                    "finish_reason": "error",
                    "native_finish_reason": "error",
                }
            ],
        }
    ]


@pytest.mark.parametrize("shape", _VENDORS)
async def test_a_cut_line_is_half_a_record_in_a_complete_body(shape: str) -> None:
    got = await streamed_response(shape, Fault("cut_line", after=2))
    assert got.endswith(b"0\r\n\r\n")
    *records, last = decode_body(got).splitlines()
    assert b"two" in b"".join(records)
    assert b"three" not in last
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(last.removeprefix(b"data: "))
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(decode_body(await whole_response(shape, Fault("cut_line"))))


@pytest.mark.parametrize("shape", _VENDORS)
@pytest.mark.parametrize(
    ("kind", "error"), [("bad_json", msgspec.DecodeError), ("bad_utf8", UnicodeDecodeError)]
)
async def test_one_record_is_damaged(shape: str, kind: FaultKind, error: type[Exception]) -> None:
    got = await streamed_response(shape, Fault(kind, after=1))
    lines = [line for line in decode_body(got).splitlines() if line.startswith((b"data: ", b"{"))]
    payloads = [line.removeprefix(b"data: ") for line in lines]
    damaged = 0
    for payload in payloads:
        if payload != b"[DONE]":
            try:
                payload.decode()
                msgspec.json.decode(payload)
            except error:
                damaged += 1
    assert damaged == 1
    assert b"three" in payloads[-2] + payloads[-3] + payloads[-4]
    with pytest.raises(error):
        msgspec.json.decode(decode_body(await whole_response(shape, Fault(kind))).decode())


async def test_a_stream_without_its_end() -> None:
    events = decode_events(await streamed_response("openai", Fault("no_done")))
    assert streamed_text(events) == _TEXT
    assert [event["choices"][0]["finish_reason"] for event in events] == [None] * 4
    assert not any(
        event["done"] for event in decode_events(await streamed_response("ollama", Fault("no_done")))
    )
    assert (
        decode_events(await streamed_response("anthropic", Fault("no_done")))[-1]["type"]
        == "content_block_stop"
    )


async def test_a_stream_without_the_end_marker() -> None:
    events = decode_events(await streamed_response("openai", Fault("missing_done_marker")))
    assert events[-1]["choices"][0]["finish_reason"] == "stop"
    assert decode_events(await streamed_response("ollama", Fault("missing_done_marker")))[-1]["done"]
    last = decode_events(await streamed_response("anthropic", Fault("missing_done_marker")))[-1]
    assert (last["type"], last["delta"]["stop_reason"]) == ("message_delta", "end_turn")


async def test_a_gzip_response_is_valid() -> None:
    got = await whole_response("openai", Fault("gzip"))
    assert b"content-encoding: gzip" in got
    assert _TEXT in gzip.decompress(decode_body(got)).decode()
    unpacked = gzip.decompress(decode_body(await streamed_response("openai", Fault("gzip"))))
    assert unpacked.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_bad_gzip_response_is_invalid(stream: bool) -> None:
    got = await (streamed_response if stream else whole_response)("openai", Fault("bad_gzip"))
    with pytest.raises((zlib.error, gzip.BadGzipFile, EOFError)):
        gzip.decompress(decode_body(got))
