"""Faults on the wire: a correct response that is sent incorrectly."""

from __future__ import annotations

import msgspec
import pytest

from trunkline_mock import FAULT_KINDS, Fault, FaultKind, MockUpstream, Script, ToolCall
from trunkline_mock.faults import CONTENT_FAULTS, WIRE_FAULTS

from ..wire import connect, decode_body, decode_events, encode_chat_request, exchange, streamed_text

_TEXT = "one two three"


def test_each_kind_is_in_one_table() -> None:
    assert sorted([*CONTENT_FAULTS, *WIRE_FAULTS]) == sorted(FAULT_KINDS)


async def outcome(
    fault: Fault, *, stream: bool = True, shape: str = "openai", close: bool = True
) -> tuple[bytes, str]:
    async with MockUpstream(shape, Script(text=_TEXT, fault=fault)) as mock:
        got = await exchange(mock, encode_chat_request(mock, stream=stream, close=close))
        await mock.closed()
        return got


@pytest.mark.parametrize(("kind", "ending"), [("refuse", "closed"), ("reset_before", "reset")])
@pytest.mark.parametrize("stream", [False, True])
async def test_connections_that_close_before_any_byte(kind: FaultKind, ending: str, stream: bool) -> None:
    got, actual_ending = await outcome(Fault(kind), stream=stream)
    assert got == b""
    assert actual_ending in (ending, "reset")  # a socket refused with bytes unread is reset by the system


@pytest.mark.parametrize(("kind", "ending"), [("reset_after", "reset"), ("close_after", "closed")])
@pytest.mark.parametrize("shape", ["openai", "ollama", "anthropic", "openrouter", "cerebras"])
async def test_a_stream_ends_early(kind: FaultKind, ending: str, shape: str) -> None:
    got, actual_ending = await outcome(Fault(kind, after=2), shape=shape)
    assert actual_ending == ending
    assert b"two" in got
    assert b"three" not in got
    assert not got.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize(("kind", "ending"), [("reset_after", "reset"), ("close_after", "closed")])
async def test_a_whole_body_ends_early(kind: FaultKind, ending: str) -> None:
    got, actual_ending = await outcome(Fault(kind), stream=False)
    head, _, body = got.partition(b"\r\n\r\n")
    length = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
    assert actual_ending == ending
    assert 0 < len(body) < length


async def test_a_stream_ends_before_any_content() -> None:
    got, actual_ending = await outcome(Fault("close_after", after=0), shape="ollama")
    assert actual_ending == "closed"
    assert got.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(("kind", "chunks"), [("stall_before", 0), ("stall_after", 2)])
async def test_a_stall_lasts_until_the_peer_closes(kind: FaultKind, chunks: int) -> None:
    async with MockUpstream("openai", Script(text=_TEXT, fault=Fault(kind, after=2))) as mock:
        async with connect(mock) as peer:
            peer.writer.write(encode_chat_request(mock, stream=True))
            if chunks:
                await peer.read_until(b"two ")
            await mock.until(lambda: len(mock.calls) == 1 and mock.calls[0].chunks == chunks)
            assert mock.connections == 1
        await mock.closed(mock.calls[0])
        assert mock.calls[0].aborted
        assert not mock.calls[0].finished


async def test_a_bad_head_and_a_big_head() -> None:
    got, actual_ending = await outcome(Fault("bad_head"))
    assert (got[:9], actual_ending) == (b"HTP/one f", "closed")
    got, _ = await outcome(Fault("big_head", size=100_000), stream=False)
    head, _, body = got.partition(b"\r\n\r\n")
    assert len(head) > 100_000
    assert msgspec.json.decode(body)["object"] == "chat.completion"


async def test_early_hints_come_before_a_complete_response() -> None:
    got, _ = await outcome(Fault("early_hints"))
    first, _, rest = got.partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 103 ")
    assert streamed_text(decode_events(rest)) == _TEXT


@pytest.mark.parametrize("stream", [False, True])
async def test_http_1_0_ends_by_closing(stream: bool) -> None:
    got, actual_ending = await outcome(Fault("http_1_0"), stream=stream, close=False)
    head, _, body = got.partition(b"\r\n\r\n")
    assert actual_ending == "closed"
    assert head.startswith(b"HTTP/1.0 200 OK")
    assert b"content-length" not in head
    assert b"transfer-encoding" not in head
    assert body.endswith(b"data: [DONE]\n\n" if stream else b"}")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_bad_chunk_size(stream: bool) -> None:
    got, _ = await outcome(Fault("bad_chunk"), stream=stream)
    assert b"\r\n\r\nzz\r\n" in got or b"\n\n\r\nzz\r\n" in got
    assert got.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize(
    ("shape", "heartbeat"),
    [
        ("openai", b": keep-alive\n\n"),
        ("ollama", b"\n"),
        ("anthropic", b'event: ping\ndata: {"type":"ping"}\n\n'),
    ],
)
async def test_heartbeats_without_end(shape: str, heartbeat: bytes) -> None:
    script = Script(fault=Fault("comments_only", delay_s=0.001))
    async with MockUpstream(shape, script) as mock:
        async with connect(mock) as peer:
            peer.writer.write(encode_chat_request(mock, stream=True))
            await peer.read_until(b"\r\n\r\n")
            wire = b"%x\r\n%b\r\n" % (len(heartbeat), heartbeat)
            for _ in range(5):
                assert await peer.reader.readexactly(len(wire)) == wire
        await mock.closed()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_record_without_end(stream: bool) -> None:
    got, _ = await outcome(Fault("long_record", size=200_000), stream=stream)
    longest = max(decode_body(got).splitlines(), key=len)
    assert len(longest) > 200_000
    assert longest.endswith(b"xxxx")


async def test_a_huge_stream_is_complete_and_counted() -> None:
    async with MockUpstream("openai", Script(text="word " * 100, fault=Fault("huge", size=300_000))) as mock:
        got, _ = await exchange(mock, encode_chat_request(mock, stream=True))
        events = decode_events(got)
        assert len(got) > 300_000
        assert events[-2]["choices"][0]["finish_reason"] == "stop"
        assert mock.tokens[0].completion == len(streamed_text(events).split())
        assert mock.calls[0].chunks == len(events) - 3


async def test_a_huge_stream_of_several_blocks_is_in_order() -> None:
    script = Script(text=_TEXT, thinking="hm", tool_calls=(ToolCall("f"),), fault=Fault("huge", size=100_000))
    async with MockUpstream("anthropic", script) as mock:
        got, _ = await exchange(mock, encode_chat_request(mock, stream=True))
    events = decode_events(got)
    assert len(got) > 100_000
    assert streamed_text(events) == ""
    assert [(event["type"], event["index"]) for event in events if "content_block" in event["type"]][-6:] == [
        ("content_block_delta", 0),
        ("content_block_stop", 0),
        ("content_block_start", 1),
        ("content_block_stop", 1),
        ("content_block_start", 2),
        ("content_block_stop", 2),
    ]
    assert [event["type"] for event in events[-2:]] == ["message_delta", "message_stop"]


async def test_a_huge_whole_body_is_complete() -> None:
    got, _ = await outcome(Fault("huge", size=200_000), stream=False)
    body = decode_body(got)
    assert len(body) > 200_000
    assert msgspec.json.decode(body)["choices"][0]["message"]["content"] == _TEXT


async def test_a_huge_response_waits_for_its_reader() -> None:
    fault = Fault("huge", size=200 * 1024 * 1024)
    async with MockUpstream("openai", Script(text="word " * 500, fault=fault)) as mock:
        async with connect(mock) as peer:
            peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
            peer.writer.write(encode_chat_request(mock, stream=True))
            await mock.until(lambda: mock.throttled == 1)
            assert not mock.calls[0].finished
        await mock.closed()
        assert mock.calls[0].aborted


@pytest.mark.parametrize(("kind", "error"), [("wrong_length", 100), ("short_length", -10)])
@pytest.mark.parametrize("stream", [False, True])
async def test_false_content_lengths(kind: FaultKind, error: int, stream: bool) -> None:
    got, actual_ending = await outcome(Fault(kind), stream=stream)
    head, _, body = got.partition(b"\r\n\r\n")
    assert int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]) == len(body) + error
    assert actual_ending == "closed"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_second_response_without_a_request(stream: bool) -> None:
    got, _ = await outcome(Fault("extra_bytes"), stream=stream)
    first, _, smuggled = got.partition(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 16"
    )
    assert smuggled.endswith(b'{"smuggled":"1"}')
    assert first.endswith(b"0\r\n\r\n") is stream


@pytest.mark.parametrize("kind", ["trickle", "split_every_byte"])
@pytest.mark.parametrize("shape", ["openai", "ollama", "anthropic"])
async def test_a_response_in_single_bytes_is_complete(kind: FaultKind, shape: str) -> None:
    async with MockUpstream(shape, Script(text="a b", fault=Fault(kind, delay_s=0))) as mock:
        got, _ = await exchange(mock, encode_chat_request(mock, stream=True))
        assert streamed_text(decode_events(got)) == "a b"
        assert mock.calls[0].chunks == 2
        assert mock.calls[0].finished
        got, _ = await exchange(mock, encode_chat_request(mock, stream=False))
        assert msgspec.json.decode(decode_body(got))


async def test_ending_after_the_last_chunk_omits_only_the_end() -> None:
    got, _ = await outcome(Fault("close_after", after=99))
    assert b"three" in got
    assert b'"finish_reason":"stop"' not in got


async def test_pauses_apply_to_a_response_in_single_bytes() -> None:
    script = Script(text="a b", delay_chunk_s=0.001, fault=Fault("split_every_byte"))
    async with MockUpstream("openai", script) as mock:
        got, _ = await exchange(mock, encode_chat_request(mock, stream=True))
    assert streamed_text(decode_events(got)) == "a b"
