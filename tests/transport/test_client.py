from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Callable

import pytest

from trunkline.transport import Client, Limits, Origin, ProxyConfig, Timeouts, TransportError, UpstreamRequest

from .upstream import GUARD, OK, Listen, Peer, Recorder, answer_all, get, post, until

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_an_answer(client: Client, listen: Listen) -> None:
    heads: list[bytes] = []

    async def script(peer: Peer) -> None:
        heads.append(await peer.request())
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Made\r\nX-A: b\r\nContent-Length: 2\r\n\r\nhi")
        await peer.gone()

    origin = await listen(script)
    sink = Recorder()
    in_flight = client.send(post(origin, b"{}"), sink)
    assert sink.calls == []
    await sink.end()
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


async def test_a_kept_connection_is_written_to_at_once(client: Client, listen: Listen) -> None:
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
        await sink.end()
        assert client.stats == (1, 1, 0, 0)
    assert peers == [0]


async def test_a_sink_may_send_again_when_its_answer_ends(client: Client, listen: Listen) -> None:
    origin = await listen(answer_all)
    first, second = Recorder(), Recorder()
    first.deeds["end"] = lambda: client.send(get(origin), second)
    client.send(get(origin), first)
    await second.end()
    assert client.stats.open == 1


async def test_nagle_is_off(client: Client, listen: Listen) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.gone()

    in_flight = client.send(get(await listen(script)), Recorder())
    await until(lambda: in_flight.connection is not None)
    assert in_flight.connection is not None
    sock = in_flight.connection.transport.get_extra_info("socket")
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    in_flight.cancel()


@pytest.mark.parametrize("size", [0, 1000, 256 * 1024, 3 * 1024 * 1024])
async def test_bodies_of_requests(client: Client, listen: Listen, size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    bodies: list[bytes] = []

    async def script(peer: Peer) -> None:
        bodies.append((await peer.request()).partition(b"\r\n\r\n")[2])
        peer.send(OK)
        await peer.gone()

    await client.fetch(post(await listen(script), body[:size]))
    assert bodies == [body[:size]]


async def test_an_answer_before_the_whole_request_was_read_ends_the_connection(
    client: Client, listen: Listen
) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.read(1)
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        peer.send(b"HTTP/1.1 413 Too large\r\nContent-Length: 0\r\n\r\n")
        await asyncio.Event().wait()

    sink = Recorder()
    client.send(post(await listen(script), bytes(32 * 1024 * 1024)), sink)
    await sink.end()
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
    left = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(answer)
        await peer.gone()
        left.set()

    response = await client.fetch(get(await listen(script)))
    assert response.body == b"hi"
    assert client.stats.idle == 0
    async with asyncio.timeout(GUARD):
        await left.wait()


async def test_head_has_no_body(client: Client, listen: Listen) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
        await peer.gone()

    response = await client.fetch(UpstreamRequest(await listen(script), b"HEAD", b"/"))
    assert (response.status, response.body) == (200, b"")


async def test_a_body_until_the_end(client: Client, listen: Listen) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nall of it")

    assert (await client.fetch(get(await listen(script)))).body == b"all of it"


async def test_words_on_an_idle_connection_close_it(client: Client, listen: Listen) -> None:
    speak = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(OK)
        await speak.wait()
        peer.send(OK)
        await peer.gone()

    origin = await listen(script)
    await client.fetch(get(origin))
    assert client.stats.idle == 1
    speak.set()
    await until(lambda: client.stats.open == 0)


async def test_a_connection_that_the_upstream_closes_is_forgotten(client: Client, listen: Listen) -> None:
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


# Failures


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
async def test_refused(client: Client, host: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        origin = Origin("http", host, unused.getsockname()[1])
        sink = Recorder()
        client.send(get(origin), sink)
        failure = await sink.failed()
    if host != "::1" or failure.reason == "refused":  # not every machine has IPv6
        assert failure.reason == "refused"
        assert failure.message == f"Connection refused to {origin}"
    assert failure.code == "upstream_unreachable"
    assert sink.calls == ["failure"]
    assert client.stats == (0, 0, 0, 0)


async def test_unknown_hosts(client: Client) -> None:
    with pytest.raises(TransportError) as caught:
        await client.fetch(get(Origin("http", "nowhere.invalid", 80)))
    assert (caught.value.code, caught.value.reason) == ("upstream_unreachable", "dns")


async def _hang_up(peer: Peer) -> None:
    await peer.request()


async def _reset(peer: Peer) -> None:
    await peer.request()
    peer.reset()


def _say(data: bytes, *, reset: bool = False) -> Callable[[Peer], object]:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(data)
        if reset:
            await asyncio.sleep(0)
            peer.reset()

    return script


@pytest.mark.parametrize(
    ("script", "code", "calls"),
    [
        (_hang_up, "upstream_reset", ["failure"]),
        (_reset, "upstream_reset", ["failure"]),
        (_say(b"HTTP/1.1 200 O"), "upstream_truncated", ["failure"]),
        (_say(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"), "upstream_truncated", ["head", "failure"]),
        (
            _say(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi"),
            "upstream_truncated",
            ["head", "data", "failure"],
        ),
        (_say(CHUNKED + b"2\r\nhi\r\n"), "upstream_truncated", ["head", "data", "failure"]),
        (_say(CHUNKED + b"2\r\nhi\r\nno"), "upstream_protocol", ["head", "data", "failure"]),
        (_say(b"what?\r\n"), "upstream_protocol", ["failure"]),
        (_say(b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\nxx"), "upstream_protocol", ["failure"]),
        (
            _say(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nxxxxxxxxxxx"),
            "upstream_protocol",
            ["head", "failure"],
        ),
        (
            _say(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08"),
            "upstream_protocol",
            ["head", "failure"],
        ),
    ],
)
async def test_bad_upstreams(
    client: Client, listen: Listen, script: Callable[[Peer], object], code: str, calls: list[str]
) -> None:
    origin = await listen(script)  # type: ignore[arg-type]
    sink = Recorder()
    client.send(get(origin), sink)
    failure = await sink.failed()
    assert (failure.code, sink.calls) == (code, calls)
    assert str(origin) in failure.message
    await until(lambda: client.stats.open == 0)


async def test_a_reset_in_the_answer(client: Client, listen: Listen) -> None:
    reset = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(CHUNKED + b"2\r\nhi\r\n")
        await reset.wait()
        peer.reset()

    sink = Recorder()
    sink.deeds["data"] = reset.set
    client.send(get(await listen(script)), sink)
    assert (await sink.failed()).reason == "truncated"


async def test_fetch_has_a_limit(client: Client, listen: Listen) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(CHUNKED + b"5\r\nhello\r\n")
        await peer.gone()

    request = get(await listen(script))
    request.max_body = 4
    with pytest.raises(TransportError, match="larger than 4 bytes"):
        await client.fetch(request)
    await until(lambda: client.stats.open == 0)


async def test_a_sink_that_fails_is_not_the_upstreams_fault(client: Client, listen: Listen) -> None:
    reported: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    sink = Recorder()

    def fail() -> None:
        raise KeyError("sk-secret")

    sink.deeds["head"] = fail
    client.send(get(await listen(answer_all)), sink)
    failure = await sink.failed()
    assert (failure.code, failure.kind.breaker) == ("internal_error", False)
    assert "secret" not in failure.message
    assert len(reported) == 1


async def test_a_request_that_cannot_be_sent_is_refused_at_once(client: Client) -> None:
    request = UpstreamRequest(Origin("http", "127.0.0.1", 1), b"GET", b"/", [(b"X", b"a\r\nY: b")])
    with pytest.raises(ValueError, match="line end"):
        client.send(request, Recorder())
    assert client.stats == (0, 0, 0, 0)


# Kept connections that are dead


@pytest.mark.parametrize("reset", [False, True])
async def test_a_stale_connection_is_replaced_silently(client: Client, listen: Listen, reset: bool) -> None:
    numbers: list[int] = []

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(OK)
        await peer.request()
        numbers.append(peer.number)
        if peer.number == 0:
            if reset:
                peer.reset()
            return
        peer.send(OK)
        await peer.gone()

    async def second(peer: Peer) -> None:
        if peer.number == 0:
            await script(peer)
        else:
            numbers.append(peer.number)
            await answer_all(peer)

    origin = await listen(second)
    await client.fetch(get(origin))
    sink = Recorder()
    in_flight = client.send(post(origin, b"again"), sink)
    reused = [in_flight.reused]
    await sink.end()
    reused.append(in_flight.reused)
    assert reused == [True, False]
    assert numbers == [0, 1]
    assert client.stats == (1, 1, 0, 0)


async def test_a_stale_connection_is_replaced_once(client: Client, listen: Listen) -> None:
    async def script(peer: Peer) -> None:
        if peer.number == 0:
            await peer.request()
            peer.send(OK)
        await peer.request()

    origin = await listen(script)
    await client.fetch(get(origin))
    sink = Recorder()
    client.send(get(origin), sink)
    assert (await sink.failed()).reason == "reset"
    assert client.stats == (0, 0, 0, 0)


async def test_nothing_is_sent_twice_once_an_answer_has_begun(client: Client, listen: Listen) -> None:
    peers: list[int] = []

    async def script(peer: Peer) -> None:
        peers.append(peer.number)
        await peer.request()
        peer.send(OK)
        await peer.request()
        peer.send(b"HTTP/1.1 2")

    origin = await listen(script)
    await client.fetch(get(origin))
    sink = Recorder()
    client.send(get(origin), sink)
    assert (await sink.failed()).reason == "truncated"
    assert peers == [0]


async def test_a_closed_connection_is_not_taken(client: Client, listen: Listen) -> None:
    numbers: list[int] = []

    async def script(peer: Peer) -> None:
        numbers.append(peer.number)
        await peer.request()
        peer.send(OK)

    origin = await listen(script)
    for _ in range(3):
        await client.fetch(get(origin))
        await until(lambda: client.stats.open == 0)
    assert numbers == [0, 1, 2]


# What an owner does with its flight


async def _stream(peer: Peer) -> None:
    await peer.request()
    peer.send(CHUNKED + b"2\r\nhi\r\n")
    await peer.gone()


async def test_cancel_in_the_answer_closes_the_connection(client: Client, listen: Listen) -> None:
    left = asyncio.Event()

    async def script(peer: Peer) -> None:
        await _stream(peer)
        left.set()

    sink = Recorder()
    in_flight = client.send(get(await listen(script)), sink)
    async with asyncio.timeout(GUARD):
        await sink.data.wait()
        in_flight.cancel()
        await left.wait()
    assert sink.calls == ["head", "data"]
    await until(lambda: client.stats == (0, 0, 0, 0))


@pytest.mark.parametrize("call", ["head", "data"])
@pytest.mark.parametrize("deed", ["cancel", "release"])
async def test_a_sink_may_end_its_flight_while_it_is_called(
    client: Client, listen: Listen, call: str, deed: str
) -> None:
    sink = Recorder()
    in_flight = client.send(get(await listen(answer_all)), sink)
    sink.deeds[call] = getattr(in_flight, deed)
    await until(lambda: client.stats.in_flight == 0)
    assert sink.calls == (["head"] if call == "head" else ["head", "data"])
    assert client.stats.idle == (1 if deed == "release" else 0)


async def test_cancel_while_connecting(client: Client, listen: Listen) -> None:
    origin = await listen(answer_all)
    for turns in range(4):
        sink = Recorder()
        in_flight = client.send(get(origin), sink)
        for _ in range(turns):
            await asyncio.sleep(0)
        in_flight.cancel()
        in_flight.cancel()
        assert client.stats.in_flight == 0
        await client.fetch(get(origin))
        assert "failure" not in sink.calls


async def test_cancel_when_the_answer_is_complete_keeps_the_connection(
    client: Client, listen: Listen
) -> None:
    sink = Recorder()
    in_flight = client.send(get(await listen(answer_all)), sink)
    await sink.end()
    in_flight.cancel()
    in_flight.release()
    in_flight.pause()
    in_flight.resume()
    assert client.stats == (1, 1, 0, 0)


async def test_a_fetch_that_is_cancelled(client: Client, listen: Listen) -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        asked.set()
        await peer.gone()
        left.set()

    task = asyncio.create_task(client.fetch(get(await listen(script))))
    async with asyncio.timeout(GUARD):
        await asked.wait()
        task.cancel()
        await left.wait()
    assert task.cancelled() or task.cancelling()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_paused_flight_is_not_read(client: Client, listen: Listen) -> None:
    chunk = b"%x\r\n" % 65536 + bytes(65536) + b"\r\n"
    sent = 0

    async def script(peer: Peer) -> None:
        nonlocal sent
        await peer.request()
        peer.send(CHUNKED)
        for _ in range(512):
            peer.send(chunk)
            await peer.writer.drain()
            sent += 1
        peer.send(b"0\r\n\r\n")
        await peer.gone()

    sink = Recorder()
    in_flight = client.send(get(await listen(script)), sink)
    sink.deeds["data"] = in_flight.pause
    await until(lambda: in_flight.paused)
    in_flight.pause()
    before, turns = sent, 0
    while before != sent or turns < 1000:  # until the buffers between us are full
        before, turns = sent, turns + 1
        await asyncio.sleep(0)
    assert len(sink.calls) <= 3  # one more read may have been under way
    assert sent < 512
    del sink.deeds["data"]
    in_flight.resume()
    in_flight.resume()
    await sink.end()
    assert len(sink.body) == 512 * 65536
    assert client.stats.idle == 1


async def test_pausing_before_there_is_a_connection(client: Client, listen: Listen) -> None:
    asked = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(OK)
        asked.set()
        await peer.gone()

    sink = Recorder()
    in_flight = client.send(get(await listen(script)), sink)
    in_flight.pause()
    async with asyncio.timeout(GUARD):
        await asked.wait()
    for _ in range(20):
        await asyncio.sleep(0)
    assert sink.calls == []
    in_flight.resume()
    await sink.end()


async def test_a_connection_is_kept_readable_when_its_flight_ends_paused(
    client: Client, listen: Listen
) -> None:
    origin = await listen(answer_all)
    sink = Recorder()
    in_flight = client.send(get(origin), sink)
    sink.deeds["head"] = in_flight.pause
    await sink.end()
    assert (await client.fetch(get(origin))).body == b"hi"
    assert client.stats.open == 1


async def test_release_keeps_the_connection_if_the_end_comes_soon(client: Client, listen: Listen) -> None:
    finish = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(CHUNKED + b"2\r\nhi\r\n")
        await finish.wait()
        peer.send(b"2\r\nho\r\n0\r\n\r\n")
        await answer_all(peer)

    origin = await listen(script)
    sink = Recorder()
    in_flight = client.send(get(origin), sink)

    def enough() -> None:
        in_flight.pause()
        in_flight.release()

    sink.deeds["data"] = enough
    async with asyncio.timeout(GUARD):
        await sink.data.wait()
    finish.set()
    await until(lambda: client.stats.idle == 1)
    assert sink.calls == ["head", "data"]
    assert (await client.fetch(get(origin))).body == b"hi"
    assert client.stats.open == 1


async def test_release_closes_the_connection_if_the_end_does_not_come(client: Client, listen: Listen) -> None:
    sink = Recorder()
    in_flight = client.send(get(await listen(_stream)), sink)
    sink.deeds["data"] = in_flight.release
    async with asyncio.timeout(GUARD):
        await sink.data.wait()
    assert client.stats.in_flight == 1
    await until(lambda: client.stats == (0, 0, 0, 0))
    assert sink.calls == ["head", "data"]


# Limits


async def test_flights_wait_for_a_slot_in_order(listen: Listen) -> None:
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
        await sinks[number].end()
    assert targets == [b"/0", b"/1", b"/3", b"/4"]
    assert in_flight[4].reused
    await client.aclose()


async def test_a_slot_that_is_lost_goes_to_who_waits(listen: Listen) -> None:
    client = Client(limits=Limits(per_origin=1), proxy=ProxyConfig())
    origin = await listen(_hang_up)
    sinks = [Recorder() for _ in range(3)]
    for sink in sinks:
        client.send(get(origin), sink)
    for sink in sinks:
        assert (await sink.failed()).reason == "reset"
    assert client.stats == (0, 0, 0, 0)
    await client.aclose()


async def test_a_connection_that_could_not_be_opened_gives_its_slot_on() -> None:
    client = Client(limits=Limits(per_origin=1), proxy=ProxyConfig())
    sinks = [Recorder() for _ in range(3)]
    for sink in sinks:
        client.send(get(Origin("http", "127.0.0.1", 1)), sink)
    for sink in sinks:
        assert (await sink.failed()).reason == "refused"
    assert client.stats == (0, 0, 0, 0)
    await client.aclose()


async def test_waiting_too_long(listen: Listen) -> None:
    client = Client(limits=Limits(per_origin=1), proxy=ProxyConfig())
    origin = await listen(_stream)
    first, second = Recorder(), Recorder()
    client.send(get(origin), first)
    client.send(get(origin, timeouts=Timeouts(connect=0.01)), second)
    failure = await second.failed()
    assert (failure.code, failure.reason) == ("upstream_busy", "busy")
    assert failure.message.endswith("none became free within 0.01 s")
    assert first.failure is None
    await client.aclose()
    assert (await first.failed()).reason == "closed"


async def test_no_more_idle_connections_than_allowed(listen: Listen) -> None:
    client = Client(limits=Limits(idle_per_origin=1), proxy=ProxyConfig())
    origin = await listen(answer_all)
    await asyncio.gather(*(client.fetch(get(origin)) for _ in range(5)))
    await until(lambda: client.stats.open == 1)
    assert client.stats.idle == 1
    await client.aclose()


async def test_idle_connections_expire(listen: Listen) -> None:
    client = Client(limits=Limits(keep_alive=0.01), proxy=ProxyConfig())
    origin = await listen(answer_all)
    other = await listen(_stream)
    await client.fetch(get(origin))
    assert client.stats == (1, 1, 0, 0)
    sink = Recorder()
    client.send(get(other), sink)  # something in flight makes the client look often
    await until(lambda: client.stats.idle == 0 and client.stats.open == 1)
    await client.aclose()


async def test_an_expired_connection_is_not_used(client: Client, listen: Listen) -> None:
    origin = await listen(answer_all)
    await client.fetch(get(origin))
    sink = Recorder()
    [kept] = client._pools[origin].idle
    kept.expires_at = client.time()
    assert not client.send(get(origin), sink).reused
    await sink.end()
    await until(lambda: client.stats.open == 1)


# Time


async def _silence(peer: Peer) -> None:
    await peer.gone()


async def _heartbeats(peer: Peer) -> None:
    await peer.request()
    peer.send(CHUNKED)
    while True:
        peer.send(b"1\r\n:\r\n")
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("script", "timeouts", "reason", "text"),
    [
        (_silence, Timeouts(first_byte=0.01), "first_byte", "waiting for an answer from {} after 0.01 s"),
        (_heartbeats, Timeouts(first_byte=0.3), "first_byte", "waiting for an answer from {} after 0.3 s"),
        (_stream, Timeouts(idle=0.01), "idle", "in the answer from {}: silent for 0.01 s"),
        (_silence, Timeouts(total=0.01), "total", "the answer from {} was not complete after 0.01 s"),
        (_stream, Timeouts(total=0.25), "total", "the answer from {} was not complete after 0.25 s"),
    ],
)
async def test_timeouts(
    client: Client,
    listen: Listen,
    script: Callable[[Peer], object],
    timeouts: Timeouts,
    reason: str,
    text: str,
) -> None:
    class Deaf(Recorder):
        """Takes nothing for a record in a stream of heartbeats."""

        def on_data(self, data: bytes) -> None:
            if data.strip(b":"):
                super().on_data(data)

    origin = await listen(script)  # type: ignore[arg-type]
    sink = Deaf()
    client.send(get(origin, timeouts=timeouts), sink)
    failure = await sink.failed()
    assert (failure.code, failure.reason) == ("upstream_timeout", reason)
    assert failure.message.endswith(text.format(origin))
    await until(lambda: client.stats == (0, 0, 0, 0))


async def test_connecting_too_long(client: Client, listen: Listen) -> None:
    origin = (await listen(_silence))._replace(scheme="https")  # a handshake that is never answered
    sink = Recorder()
    client.send(get(origin, timeouts=Timeouts(connect=0.01)), sink)
    failure = await sink.failed()
    assert (failure.code, failure.reason) == ("upstream_timeout", "connect")
    assert failure.message == f"Timed out connecting to {origin} after 0.01 s"


async def test_one_late_flight_may_end_another(client: Client, listen: Listen) -> None:
    origin = await listen(_silence)
    timeouts = Timeouts(first_byte=0.01)
    sinks = [Recorder(), Recorder()]
    in_flight = [client.send(get(origin, timeouts=timeouts), sink) for sink in sinks]
    for sink, other in zip(sinks, reversed(in_flight), strict=True):
        sink.deeds["failure"] = other.cancel
    await until(lambda: client.stats.in_flight == 0)
    assert sorted(len(sink.calls) for sink in sinks) == [0, 1]


async def test_a_sink_that_raises_does_not_stop_the_clock(client: Client, listen: Listen) -> None:
    reported: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    origin = await listen(_silence)

    def fail() -> None:
        raise KeyError

    sinks = [Recorder(), Recorder()]
    for sink in sinks:
        sink.deeds["failure"] = fail
        client.send(get(origin, timeouts=Timeouts(first_byte=0.01)), sink)
    for sink in sinks:
        await sink.failed()
    assert len(reported) == 2


async def test_no_timer_is_left_when_there_is_nothing_to_watch(client: Client, listen: Listen) -> None:
    await client.fetch(
        get(await listen(_say(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")))  # type: ignore[arg-type]
    )
    await until(lambda: client._timer is None)


# The end


async def test_closing_fails_what_is_in_flight(listen: Listen) -> None:
    client = Client(limits=Limits(per_origin=2), proxy=ProxyConfig())
    streaming, silent = await listen(_stream), await listen(_silence)
    sinks = [Recorder() for _ in range(5)]
    client.send(get(streaming), sinks[0])
    await sinks[0].data.wait()
    for sink in sinks[1:]:
        client.send(get(silent), sink)  # two that connect, two that wait
    await asyncio.gather(client.aclose(), client.aclose())
    for sink in sinks:
        assert (await sink.failed()).code == "shutting_down"
    assert client.stats == (0, 0, 0, 0)
    await client.aclose()


async def test_sending_after_the_end(listen: Listen) -> None:
    client = Client(proxy=ProxyConfig())
    await client.aclose()
    sink = Recorder()
    in_flight = client.send(get(Origin("http", "127.0.0.1", 1)), sink)
    assert sink.calls == []
    assert (await sink.failed()).reason == "closed"
    in_flight.cancel()


async def test_a_connection_is_collected_with_its_client(listen: Listen) -> None:
    client = Client(proxy=ProxyConfig())
    await client.fetch(get(await listen(answer_all)))
    await client.aclose()
    gc.collect()  # a ResourceWarning here is an error


async def test_many_at_once(client: Client, listen: Listen) -> None:
    origin = await listen(answer_all)
    for _ in range(3):
        responses = await asyncio.gather(*(client.fetch(get(origin)) for _ in range(50)))
        assert {response.body for response in responses} == {b"hi"}
    assert client.stats == (50, 50, 0, 0)
