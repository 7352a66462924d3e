from __future__ import annotations

import asyncio
import gc
import socket

import pytest

from trunkline.transport import Client, Limits, Origin, ProxyConfig, Timeouts, UpstreamRequest

from .upstream import (
    GUARD,
    OK,
    Listen,
    Peer,
    Recorder,
    answer_all,
    close_after_request,
    get,
    post,
    start_stream,
    stay_silent,
    until,
)


async def test_a_response(client: Client, listen: Listen) -> None:
    heads: list[bytes] = []

    async def script(peer: Peer) -> None:
        heads.append(await peer.request())
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Made\r\nX-A: b\r\nContent-Length: 2\r\n\r\nhi")
        await peer.wait_closed()

    origin = await listen(script)
    sink = Recorder()
    in_flight = client.send(post(origin, b"{}"), sink)
    assert sink.calls == []
    await sink.wait_end()
    assert (sink.status, sink.headers, sink.body) == (
        201,
        [(b"x-a", b"b"), (b"content-length", b"2")],
        b"hi",
    )
    assert sink.calls == ["head", "data", "end"]
    assert in_flight.sent
    assert 0.0 < in_flight.sent_at <= in_flight.first_byte_at
    assert not in_flight.reused
    assert heads == [
        b"POST /v1 HTTP/1.1\r\nContent-Length: 2\r\nHost: 127.0.0.1:%d\r\nAccept-Encoding: identity\r\n\r\n{}"
        % origin.port
    ]


async def test_send_writes_to_a_kept_connection_at_once(client: Client, listen: Listen) -> None:
    peers: list[int] = []

    async def script(peer: Peer) -> None:
        peers.append(peer.number)
        await answer_all(peer)

    origin = await listen(script)
    for number in range(3):
        sink = Recorder()
        in_flight = client.send(get(origin), sink)
        assert in_flight.reused is (number > 0)
        assert (in_flight.sent_at > 0) is in_flight.reused
        await sink.wait_end()
        assert client.stats == (1, 1, 0, 0)
    assert peers == [0]


async def test_a_sink_may_send_again_in_on_end(client: Client, listen: Listen) -> None:
    origin = await listen(answer_all)
    first, second = Recorder(), Recorder()
    first.actions["end"] = lambda: client.send(get(origin), second)
    client.send(get(origin), first)
    await second.wait_end()
    assert client.stats.open == 1


async def test_nagles_algorithm_is_off(client: Client, listen: Listen) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.wait_closed()

    in_flight = client.send(get(await listen(script)), Recorder())
    await until(lambda: in_flight.connection is not None)
    assert in_flight.connection is not None
    sock = in_flight.connection.transport.get_extra_info("socket")
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    in_flight.cancel()


@pytest.mark.parametrize("size", [0, 1000, 256 * 1024, 3 * 1024 * 1024])
async def test_request_bodies(client: Client, listen: Listen, size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    bodies: list[bytes] = []

    async def script(peer: Peer) -> None:
        bodies.append((await peer.request()).partition(b"\r\n\r\n")[2])
        peer.send(OK)
        await peer.wait_closed()

    await client.fetch(post(await listen(script), body[:size]))
    assert bodies == [body[:size]]


async def test_a_response_before_the_whole_request_was_read_closes_the_connection(
    client: Client, listen: Listen
) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.read(1)
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        peer.send(b"HTTP/1.1 413 Too large\r\nContent-Length: 0\r\n\r\n")
        await asyncio.Event().wait()

    sink = Recorder()
    client.send(post(await listen(script), bytes(32 * 1024 * 1024)), sink)
    await sink.wait_end()
    assert sink.status == 413
    assert client.stats.idle == 0


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi and more",
        OK + OK,
    ],
)
async def test_connections_that_are_not_kept(client: Client, listen: Listen, answer: bytes) -> None:
    closed = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(answer)
        await peer.wait_closed()
        closed.set()

    response = await client.fetch(get(await listen(script)))
    assert response.body == b"hi"
    assert client.stats.idle == 0
    async with asyncio.timeout(GUARD):
        await closed.wait()


async def test_a_response_to_head_has_no_body(client: Client, listen: Listen) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
        await peer.wait_closed()

    response = await client.fetch(UpstreamRequest(await listen(script), b"HEAD", b"/"))
    assert (response.status, response.body) == (200, b"")


async def test_a_body_that_ends_with_the_connection(client: Client, listen: Listen) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nall of it")

    assert (await client.fetch(get(await listen(script)))).body == b"all of it"


async def test_data_on_an_idle_connection_closes_it(client: Client, listen: Listen) -> None:
    send_more = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(OK)
        await send_more.wait()
        peer.send(OK)
        await peer.wait_closed()

    origin = await listen(script)
    await client.fetch(get(origin))
    assert client.stats.idle == 1
    send_more.set()
    await until(lambda: client.stats.open == 0)


async def test_an_idle_connection_that_the_upstream_closes_leaves_the_pool(
    client: Client, listen: Listen
) -> None:
    close = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(OK)
        await close.wait()

    await client.fetch(get(await listen(script)))
    assert client.stats == (1, 1, 0, 0)
    close.set()
    await until(lambda: client.stats.open == 0)
    assert client.stats.idle == 0


# Limits


async def test_requests_wait_for_a_slot_in_order(listen: Listen) -> None:
    client = Client(limits=Limits(per_origin=1), proxy=ProxyConfig())
    targets: list[bytes] = []

    async def script(peer: Peer) -> None:
        while True:
            targets.append((await peer.request()).split()[1])
            peer.send(OK)

    origin = await listen(script)
    sinks = [Recorder() for _ in range(5)]
    in_flight = [client.send(get(origin, b"/%d" % number), sinks[number]) for number in range(5)]
    assert client.stats == (1, 0, 4, 5)
    in_flight[2].cancel()
    for number in (0, 1, 3, 4):
        await sinks[number].wait_end()
    assert targets == [b"/0", b"/1", b"/3", b"/4"]
    assert in_flight[4].reused
    await client.aclose()


async def test_the_slot_of_a_lost_connection_goes_to_a_waiting_request(listen: Listen) -> None:
    client = Client(limits=Limits(per_origin=1), proxy=ProxyConfig())
    origin = await listen(close_after_request)
    sinks = [Recorder() for _ in range(3)]
    for sink in sinks:
        client.send(get(origin), sink)
    for sink in sinks:
        assert (await sink.wait_failure()).reason == "reset"
    assert client.stats == (0, 0, 0, 0)
    await client.aclose()


async def test_the_slot_of_a_failed_connection_attempt_goes_to_a_waiting_request() -> None:
    client = Client(limits=Limits(per_origin=1), proxy=ProxyConfig())
    sinks = [Recorder() for _ in range(3)]
    for sink in sinks:
        client.send(get(Origin("http", "127.0.0.1", 1)), sink)
    for sink in sinks:
        assert (await sink.wait_failure()).reason == "refused"
    assert client.stats == (0, 0, 0, 0)
    await client.aclose()


async def test_busy_timeout(listen: Listen) -> None:
    client = Client(limits=Limits(per_origin=1), proxy=ProxyConfig())
    origin = await listen(start_stream)
    first, second = Recorder(), Recorder()
    client.send(get(origin), first)
    client.send(get(origin, timeouts=Timeouts(queue=0.01)), second)
    failure = await second.wait_failure()
    assert (failure.code, failure.reason) == ("upstream_busy", "busy")
    assert failure.message.endswith("none became free within 0.01 s")
    assert first.failure is None
    await client.aclose()
    assert (await first.wait_failure()).reason == "closed"


async def test_the_number_of_idle_connections_is_limited(listen: Listen) -> None:
    client = Client(limits=Limits(idle_per_origin=1), proxy=ProxyConfig())
    origin = await listen(answer_all)
    await asyncio.gather(*(client.fetch(get(origin)) for _ in range(5)))
    await until(lambda: client.stats.open == 1)
    assert client.stats.idle == 1
    await client.aclose()


async def test_idle_connections_expire(listen: Listen) -> None:
    client = Client(limits=Limits(keep_alive=0.01), proxy=ProxyConfig())
    origin = await listen(answer_all)
    other = await listen(start_stream)
    await client.fetch(get(origin))
    assert client.stats == (1, 1, 0, 0)
    sink = Recorder()
    client.send(get(other), sink)  # with a request in flight the client checks often
    await until(lambda: client.stats.idle == 0 and client.stats.open == 1)
    await client.aclose()


async def test_an_expired_connection_is_not_reused(client: Client, listen: Listen) -> None:
    origin = await listen(answer_all)
    await client.fetch(get(origin))
    sink = Recorder()
    [connection] = client._pools[origin].idle
    connection.expires_at = client.time()
    assert not client.send(get(origin), sink).reused
    await sink.wait_end()
    await until(lambda: client.stats.open == 1)


# Closing the client


async def test_aclose_fails_requests_in_flight(listen: Listen) -> None:
    client = Client(limits=Limits(per_origin=2), proxy=ProxyConfig())
    streaming, silent = await listen(start_stream), await listen(stay_silent)
    sinks = [Recorder() for _ in range(5)]
    client.send(get(streaming), sinks[0])
    await sinks[0].data.wait()
    for sink in sinks[1:]:
        client.send(get(silent), sink)  # two are connecting, two wait
    await asyncio.gather(client.aclose(), client.aclose())
    for sink in sinks:
        assert (await sink.wait_failure()).code == "shutting_down"
    assert client.stats == (0, 0, 0, 0)
    await client.aclose()


async def test_send_after_aclose_fails(listen: Listen) -> None:
    client = Client(proxy=ProxyConfig())
    await client.aclose()
    sink = Recorder()
    in_flight = client.send(get(Origin("http", "127.0.0.1", 1)), sink)
    assert sink.calls == []
    assert (await sink.wait_failure()).reason == "closed"
    in_flight.cancel()


async def test_aclose_leaves_no_socket_open(listen: Listen) -> None:
    client = Client(proxy=ProxyConfig())
    await client.fetch(get(await listen(answer_all)))
    await client.aclose()
    gc.collect()  # a ResourceWarning here is an error


async def test_many_concurrent_requests(client: Client, listen: Listen) -> None:
    origin = await listen(answer_all)
    for _ in range(3):
        responses = await asyncio.gather(*(client.fetch(get(origin)) for _ in range(50)))
        assert {response.body for response in responses} == {b"hi"}
    assert client.stats == (50, 50, 0, 0)
