"""Uploads: requests whose body comes in pieces."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from trunkline.transport import Client, Limits, Origin, ProxyConfig, Timeouts, TransportError, UpstreamRequest

from .upstream import GUARD, OK, Listen, Peer, answer_all, close_after_request, get, until

PIECE = bytes(range(256)) * 256
CREATED = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nhi"


async def pieces(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield PIECE


def upload_to(origin: Origin, timeouts: Timeouts | None = None) -> UpstreamRequest:
    return UpstreamRequest(origin, b"POST", b"/blob", ((b"x-a", b"b"),), timeouts=timeouts or Timeouts())


async def read_chunked(peer: Peer) -> bytes:
    """The head and the decoded body of a request in chunks."""
    request = await peer.reader.readuntil(b"\r\n\r\n")
    while size := int(await peer.reader.readuntil(b"\r\n"), 16):
        request += await peer.reader.readexactly(size)
        assert await peer.reader.readexactly(2) == b"\r\n"
    assert await peer.reader.readexactly(2) == b"\r\n"
    return request


async def fail(client: Client, request: UpstreamRequest, count: int = 1000) -> TransportError:
    """The failure of an upload of ``count`` pieces."""
    with pytest.raises(TransportError) as caught:
        async with asyncio.timeout(GUARD):
            await client.upload(request, count * len(PIECE), pieces(count))
    return caught.value


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("count", [0, 1, 40])
async def test_an_upload(client: Client, listen: Listen, chunked: bool, count: int) -> None:
    requests: list[bytes] = []

    async def script(peer: Peer) -> None:
        requests.append(await (read_chunked(peer) if chunked else peer.request()))
        peer.send(CREATED)
        await answer_all(peer)

    origin = await listen(script)
    size = count * len(PIECE)
    response = await client.upload(upload_to(origin), None if chunked else size, pieces(count))
    assert response == (201, [(b"content-length", b"2")], b"hi")
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % size
    head = b"POST /blob HTTP/1.1\r\nx-a: b\r\n%b\r\nHost: 127.0.0.1:%d\r\nAccept-Encoding: identity\r\n\r\n"
    assert requests == [head % (framing, origin.port) + count * PIECE]
    assert client.stats == (1, 1, 0, 0)
    assert (await client.fetch(get(origin))).body == b"hi"
    assert client.stats == (1, 1, 0, 0)  # the same connection


async def test_an_upload_is_written_as_fast_as_the_upstream_reads(client: Client, listen: Listen) -> None:
    read = asyncio.Event()
    supplied = 0

    async def counted() -> AsyncIterator[bytes]:
        nonlocal supplied
        async for piece in pieces(1000):
            supplied += 1
            yield piece

    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await read.wait()
        await peer.reader.readexactly(1000 * len(PIECE))
        peer.send(OK)
        await peer.wait_closed()

    request = upload_to(await listen(script))
    uploading = asyncio.create_task(client.upload(request, 1000 * len(PIECE), counted()))
    before, turns = -1, 0
    while before != supplied or turns < 1000:  # until the buffers on the way are full
        before, turns = supplied, turns + 1
        await asyncio.sleep(0)
    assert 0 < supplied < 500
    read.set()
    assert (await uploading).status == 200
    assert supplied == 1000


async def test_a_response_before_the_end_of_the_body_ends_the_upload(client: Client, listen: Listen) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.read(1)
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        peer.send(b"HTTP/1.1 413 Too large\r\nContent-Length: 2\r\n\r\nno")
        await peer.wait_closed()

    async with asyncio.timeout(GUARD):
        response = await client.upload(upload_to(await listen(script)), 1000 * len(PIECE), pieces(1000))
    assert (response.status, response.body) == (413, b"no")
    assert client.stats.idle == 0


async def test_a_large_response_before_the_end_of_the_body_is_read(client: Client, listen: Listen) -> None:
    text = b"x" * 600_000

    async def script(peer: Peer) -> None:
        await peer.reader.read(1)
        peer.send(b"HTTP/1.1 400 Bad\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))
        await peer.wait_closed()

    async with asyncio.timeout(GUARD):
        response = await client.upload(upload_to(await listen(script)), 1000 * len(PIECE), pieces(1000))
    assert (response.status, response.body) == (400, text)


async def test_the_response_to_an_upload_is_limited(client: Client, listen: Listen) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n")
        await peer.wait_closed()

    failure = await fail(client, upload_to(await listen(script)), 1)
    assert failure.reason == "too_large"


async def test_an_upload_is_not_sent_again(listen: Listen) -> None:
    peers: list[int] = []

    async def script(peer: Peer) -> None:
        peers.append(peer.number)
        await peer.request()
        peer.send(OK)
        await close_after_request(peer)

    client = Client(limits=Limits(per_origin=1), proxy=ProxyConfig())
    origin = await listen(script)
    await client.fetch(get(origin))
    failure = await fail(client, upload_to(origin), 1)  # no slot is free: on the kept connection
    assert failure.reason == "reset"
    assert peers == [0]
    await client.aclose()


async def test_an_upload_prefers_a_new_connection(client: Client, listen: Listen) -> None:
    origin = await listen(answer_all)
    await client.fetch(get(origin))
    await client.upload(upload_to(origin), len(PIECE), pieces(1))
    assert client.stats == (2, 2, 0, 0)


async def test_an_upload_waits_for_a_slot(listen: Listen) -> None:
    client = Client(limits=Limits(per_origin=1), proxy=ProxyConfig())
    origin = await listen(answer_all)
    size = 3 * len(PIECE)
    uploads = [client.upload(upload_to(origin), size, pieces(3)) for _ in range(3)]
    assert [response.status for response in await asyncio.gather(*uploads)] == [200] * 3
    assert client.stats == (1, 1, 0, 0)
    await client.aclose()


async def test_an_upload_to_a_closed_port(client: Client) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        origin = Origin("http", "127.0.0.1", unused.getsockname()[1])
        failure = await fail(client, upload_to(origin))
    assert failure.message == f"Connection refused to {origin}"
    assert client.stats == (0, 0, 0, 0)


@pytest.mark.parametrize("reset", [False, True])
async def test_a_connection_that_is_lost_ends_the_upload(client: Client, listen: Listen, reset: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        if reset:
            peer.reset()

    failure = await fail(client, upload_to(await listen(script)))
    assert failure.reason == "reset"
    await until(lambda: client.stats == (0, 0, 0, 0))


@pytest.mark.parametrize(
    ("timeouts", "reads", "reason"),
    [
        (Timeouts(first_byte=0.01), True, "first_byte"),
        (Timeouts(idle=0.01), False, "idle"),
    ],
)
async def test_an_upstream_that_does_not_answer_an_upload(
    client: Client, listen: Listen, timeouts: Timeouts, reads: bool, reason: str
) -> None:
    async def script(peer: Peer) -> None:
        if reads:
            await peer.wait_closed()
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.Event().wait()

    failure = await fail(client, upload_to(await listen(script), timeouts), 10 if reads else 1000)
    assert (failure.code, failure.reason) == ("upstream_timeout", reason)


async def test_a_slow_source_of_the_body_is_no_timeout(client: Client, listen: Listen) -> None:
    async def slow_pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            await asyncio.sleep(0.3)
            yield PIECE

    timeouts = Timeouts(first_byte=5.0, idle=0.01, total=0.01)
    request = upload_to(await listen(answer_all), timeouts)
    assert (await client.upload(request, 3 * len(PIECE), slow_pieces())).status == 200


@pytest.mark.parametrize("failed_before", [False, True])
async def test_an_error_of_the_source_ends_the_upload(
    client: Client, listen: Listen, failed_before: bool
) -> None:
    closed = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        if not failed_before:
            await peer.wait_closed()
        closed.set()

    async def broken() -> AsyncIterator[bytes]:
        yield PIECE
        if failed_before:
            await until(lambda: client.stats.in_flight == 0)
        raise KeyError("source")

    with pytest.raises(KeyError, match="source"):
        await client.upload(upload_to(await listen(script)), None, broken())
    async with asyncio.timeout(GUARD):
        await closed.wait()


async def test_a_cancelled_upload_closes_the_connection(client: Client, listen: Listen) -> None:
    requested, closed = asyncio.Event(), asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        requested.set()
        await peer.wait_closed()
        closed.set()

    async def endless() -> AsyncIterator[bytes]:
        yield PIECE
        await asyncio.Event().wait()

    task = asyncio.create_task(client.upload(upload_to(await listen(script)), None, endless()))
    async with asyncio.timeout(GUARD):
        await requested.wait()
        task.cancel()
        await closed.wait()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()


async def test_aclose_fails_uploads(listen: Listen) -> None:
    client = Client(proxy=ProxyConfig())
    requested = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        requested.set()
        await peer.wait_closed()

    request = upload_to(await listen(script))
    task = asyncio.create_task(client.upload(request, len(PIECE), pieces(1)))
    async with asyncio.timeout(GUARD):
        await requested.wait()
        await client.aclose()
        with pytest.raises(TransportError) as caught:
            await task
    assert caught.value.reason == "closed"
    assert (await fail(client, request)).reason == "closed"


async def test_an_upload_whose_headers_hold_its_length_is_refused(client: Client) -> None:
    request = UpstreamRequest(Origin("http", "127.0.0.1", 1), b"POST", b"/", ((b"Content-Length", b"3"),))
    with pytest.raises(ValueError, match="upload"):
        await client.upload(request, 3, pieces(1))
    assert client.stats == (0, 0, 0, 0)
