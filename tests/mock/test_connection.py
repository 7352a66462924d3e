"""The server's side of HTTP: keep-alive, pipelining, odd peers, closing."""

from __future__ import annotations

import msgspec
import pytest

from trunkline_mock import Fault, MockUpstream, Script

from .wire import MESSAGES, chat_request, connected, exchange, request

_LIST = request("/v1/models", method="GET", close=False)


async def test_a_connection_serves_many_requests() -> None:
    async with MockUpstream("openai", Script(text="hi")) as mock, connected(mock) as peer:
        for _ in range(3):
            peer.writer.write(chat_request(mock, stream=False, close=False))
            await peer.until(b"}}}")
        peer.writer.write(chat_request(mock, stream=True, close=False))
        await peer.until(b"0\r\n\r\n")
        assert {call.connection for call in mock.requests} == {1}
        assert [call.finished for call in mock.requests] == [True] * 4
        assert mock.accepted == mock.connections == 1


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with MockUpstream("openai", Script(text="one two")) as mock, connected(mock) as peer:
        peer.writer.write(chat_request(mock, stream=True, close=False) + _LIST)
        stream = await peer.until(b"0\r\n\r\n")
        assert b"[DONE]" in stream
        assert b'"object":"list"' in await peer.until(b"}]}")


async def test_a_request_in_pieces() -> None:
    sent = chat_request
    async with MockUpstream("openai", Script(text="hi")) as mock, connected(mock) as peer:
        for byte in sent(mock, stream=False):
            peer.writer.write(bytes([byte]))
            await peer.writer.drain()
        assert (await peer.all()).startswith(b"HTTP/1.1 200 OK")
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


async def test_a_peer_that_waits_for_leave_gets_it() -> None:
    sent = request("/v1/chat/completions", {"model": "gpt-4o"}, headers={"Expect": "100-Continue"})
    head, _, body = sent.partition(b"\r\n\r\n")
    async with MockUpstream("openai") as mock, connected(mock) as peer:
        peer.writer.write(head + b"\r\n\r\n")
        assert await peer.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        peer.writer.write(body)
        assert (await peer.all()).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("stream", [False, True])
async def test_an_http_1_0_peer(stream: bool) -> None:
    body = {"model": "gpt-4o", "messages": MESSAGES, "stream": stream}
    async with MockUpstream("openai") as mock:
        got, ending = await exchange(mock, request("/v1/chat/completions", body, version="1.0", close=False))
    head, _, rest = got.partition(b"\r\n\r\n")
    assert ending == "closed"
    assert b"chunked" not in head
    assert rest.endswith(b"data: [DONE]\n\n" if stream else b"}")


async def test_a_head_request() -> None:
    async with MockUpstream("ollama") as mock:
        got, _ = await exchange(mock, request("/", method="HEAD"))
        assert b"content-length: 17\r\n" in got
        assert got.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "sent",
    [
        b"this is not http\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
    ],
)
async def test_what_is_not_a_request_is_turned_away(sent: bytes) -> None:
    async with MockUpstream("openai") as mock:
        got, _ = await exchange(mock, sent)
        assert got.startswith(b"HTTP/1.1 ")
        await mock.closed()


async def test_a_peer_that_leaves_during_a_pause_is_noticed() -> None:
    async with MockUpstream("openai", Script(text="one two", delay_chunk_s=60)) as mock:
        async with connected(mock) as peer:
            peer.writer.write(chat_request(mock, stream=True))
            await peer.until(b"one ")
        await mock.closed(mock.calls[0])
        call = mock.calls[0]
        assert (call.aborted, call.finished, call.chunks, call.completion_tokens) == (True, False, 1, 1)


async def test_a_peer_that_stops_listening_has_given_up() -> None:
    async with MockUpstream("openai", Script(delay_first_s=60)) as mock, connected(mock) as peer:
        peer.writer.write(chat_request(mock, stream=True))
        peer.writer.write_eof()
        await mock.closed()
        assert mock.calls[0].aborted


async def test_a_slow_reader_gets_everything() -> None:
    script = Script(text="word " * 1000, chunk_size=5000, fault=Fault("huge", size=20_000_000))
    async with MockUpstream("openai", script) as mock:
        async with connected(mock) as peer:
            peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
            peer.writer.write(chat_request(mock, stream=True))
            await mock.until(lambda: mock.throttled == 1)
            sent = mock.calls[0].chunks
            peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
            got = await peer.all()
        assert got.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        assert mock.calls[0].chunks > sent
        assert mock.tokens[0].completion == got.count(b"word ")


async def test_a_stalled_answer_stays_stalled_when_its_reader_catches_up() -> None:
    script = Script(text=("x" * 20_000_000, "never"), fault=Fault("stall_after"))
    async with MockUpstream("openai", script) as mock:
        async with connected(mock) as peer:
            peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
            peer.writer.write(chat_request(mock, stream=True))
            await mock.until(lambda: mock.throttled == 1)
            peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
            await peer.reader.readexactly(20_000_000)
            await mock.until(lambda: mock.throttled == 0)
        await mock.closed()
        assert mock.calls[0].aborted
