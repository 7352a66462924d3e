"""The server's side of HTTP: keep-alive, pipelining, unusual peers and closing."""

from __future__ import annotations

import msgspec
import pytest

from trunkline_mock import Fault, MockUpstream, Script

from .wire import MESSAGES, connect, encode_chat_request, encode_request, exchange

_LIST = encode_request("/v1/models", method="GET", close=False)


async def test_a_connection_serves_many_requests() -> None:
    async with MockUpstream("openai", Script(text="hi")) as mock, connect(mock) as peer:
        for _ in range(3):
            peer.writer.write(encode_chat_request(mock, stream=False, close=False))
            await peer.read_until(b"}}}")
        peer.writer.write(encode_chat_request(mock, stream=True, close=False))
        await peer.read_until(b"0\r\n\r\n")
        assert {call.connection for call in mock.requests} == {1}
        assert [call.finished for call in mock.requests] == [True] * 4
        assert mock.accepted == mock.connections == 1


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with MockUpstream("openai", Script(text="one two")) as mock, connect(mock) as peer:
        peer.writer.write(encode_chat_request(mock, stream=True, close=False) + _LIST)
        stream = await peer.read_until(b"0\r\n\r\n")
        assert b"[DONE]" in stream
        assert b'"object":"list"' in await peer.read_until(b"}]}")


async def test_a_request_in_pieces() -> None:
    async with MockUpstream("openai", Script(text="hi")) as mock, connect(mock) as peer:
        for byte in encode_chat_request(mock, stream=False):
            peer.writer.write(bytes([byte]))
            await peer.writer.drain()
        assert (await peer.read_all()).startswith(b"HTTP/1.1 200 OK")
        assert mock.calls[0].json["messages"] == MESSAGES


async def test_a_chunked_request() -> None:
    body = msgspec.json.encode({"model": "gpt-4o", "messages": MESSAGES})
    head = b"POST /v1/chat/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    pieces = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:9], body[9:]))
    async with MockUpstream("openai") as mock:
        got, ending = await exchange(mock, head + pieces + b"0\r\n\r\n")
        assert got.startswith(b"HTTP/1.1 200 OK")
        assert ending == "closed"
        assert mock.calls[0].body == body


async def test_a_peer_that_expects_100_continue_gets_it() -> None:
    sent = encode_request("/v1/chat/completions", {"model": "gpt-4o"}, headers={"Expect": "100-Continue"})
    head, _, body = sent.partition(b"\r\n\r\n")
    async with MockUpstream("openai") as mock, connect(mock) as peer:
        peer.writer.write(head + b"\r\n\r\n")
        assert await peer.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        peer.writer.write(body)
        assert (await peer.read_all()).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("stream", [False, True])
async def test_an_http_1_0_peer(stream: bool) -> None:
    body = {"model": "gpt-4o", "messages": MESSAGES, "stream": stream}
    async with MockUpstream("openai") as mock:
        got, ending = await exchange(
            mock, encode_request("/v1/chat/completions", body, version="1.0", close=False)
        )
    head, _, rest = got.partition(b"\r\n\r\n")
    assert ending == "closed"
    assert b"chunked" not in head
    assert rest.endswith(b"data: [DONE]\n\n" if stream else b"}")


async def test_a_head_request() -> None:
    async with MockUpstream("ollama") as mock:
        got, _ = await exchange(mock, encode_request("/", method="HEAD"))
        assert b"content-length: 17\r\n" in got
        assert got.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "sent",
    [
        b"this is not http\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
    ],
)
async def test_an_invalid_request_is_refused(sent: bytes) -> None:
    async with MockUpstream("openai") as mock:
        got, _ = await exchange(mock, sent)
        assert got.startswith(b"HTTP/1.1 ")
        await mock.closed()


async def test_a_peer_that_closes_during_a_pause_aborts_the_request() -> None:
    async with MockUpstream("openai", Script(text="one two", delay_chunk_s=60)) as mock:
        async with connect(mock) as peer:
            peer.writer.write(encode_chat_request(mock, stream=True))
            await peer.read_until(b"one ")
        await mock.closed(mock.calls[0])
        call = mock.calls[0]
        assert (call.aborted, call.finished, call.chunks, call.completion_tokens) == (True, False, 1, 1)


async def test_a_peer_that_closes_its_side_aborts_the_request() -> None:
    async with MockUpstream("openai", Script(delay_first_s=60)) as mock, connect(mock) as peer:
        peer.writer.write(encode_chat_request(mock, stream=True))
        peer.writer.write_eof()
        await mock.closed()
        assert mock.calls[0].aborted


async def test_a_slow_reader_gets_the_whole_response() -> None:
    script = Script(text="word " * 1000, chunk_size=5000, fault=Fault("huge", size=20_000_000))
    async with MockUpstream("openai", script) as mock:
        async with connect(mock) as peer:
            peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
            peer.writer.write(encode_chat_request(mock, stream=True))
            await mock.until(lambda: mock.throttled == 1)
            sent = mock.calls[0].chunks
            peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
            got = await peer.read_all()
        assert got.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        assert mock.calls[0].chunks > sent
        assert mock.tokens[0].completion == got.count(b"word ")


async def test_a_stalled_response_stays_stalled_after_back_pressure() -> None:
    script = Script(text=("x" * 20_000_000, "never"), fault=Fault("stall_after"))
    async with MockUpstream("openai", script) as mock:
        async with connect(mock) as peer:
            peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
            peer.writer.write(encode_chat_request(mock, stream=True))
            await mock.until(lambda: mock.throttled == 1)
            peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
            await peer.reader.readexactly(20_000_000)
            await mock.until(lambda: mock.throttled == 0)
        await mock.closed()
        assert mock.calls[0].aborted
