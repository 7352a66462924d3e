"""Broken responses, stale connections and timeouts."""

from __future__ import annotations

import asyncio
import socket

import pytest

from trunkline.transport import Client, Origin, Timeouts, TransportError, UpstreamRequest

from .upstream import (
    CHUNKED,
    OK,
    Listen,
    Peer,
    Recorder,
    Script,
    answer_all,
    close_after_request,
    get,
    post,
    respond,
    start_stream,
    stay_silent,
    until,
)

# Broken responses


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
async def test_connection_refused(client: Client, host: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        origin = Origin("http", host, unused.getsockname()[1])
        sink = Recorder()
        client.send(get(origin), sink)
        failure = await sink.wait_failure()
    if host != "::1" or failure.reason == "refused":  # not every machine has IPv6
        assert failure.reason == "refused"
        assert failure.message == f"Connection refused to {origin}"
    assert failure.code == "upstream_unreachable"
    assert sink.calls == ["failure"]
    assert client.stats == (0, 0, 0, 0)


async def test_an_unknown_host(client: Client) -> None:
    with pytest.raises(TransportError) as caught:
        await client.fetch(get(Origin("http", "nowhere.invalid", 80)))
    assert (caught.value.code, caught.value.reason) == ("upstream_unreachable", "dns")


async def _reset(peer: Peer) -> None:
    await peer.request()
    peer.reset()


@pytest.mark.parametrize(
    ("script", "code", "calls"),
    [
        (close_after_request, "upstream_reset", ["failure"]),
        (_reset, "upstream_reset", ["failure"]),
        (respond(b"HTTP/1.1 200 O"), "upstream_truncated", ["failure"]),
        (respond(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"), "upstream_truncated", ["head", "failure"]),
        (
            respond(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi"),
            "upstream_truncated",
            ["head", "data", "failure"],
        ),
        (respond(CHUNKED + b"2\r\nhi\r\n"), "upstream_truncated", ["head", "data", "failure"]),
        (respond(CHUNKED + b"2\r\nhi\r\nno"), "upstream_protocol", ["head", "data", "failure"]),
        (respond(b"what?\r\n"), "upstream_protocol", ["failure"]),
        (respond(b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\nxx"), "upstream_protocol", ["failure"]),
        (
            respond(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nxxxxxxxxxxx"),
            "upstream_protocol",
            ["head", "failure"],
        ),
        (
            respond(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08"),
            "upstream_protocol",
            ["head", "failure"],
        ),
    ],
)
async def test_broken_responses(
    client: Client, listen: Listen, script: Script, code: str, calls: list[str]
) -> None:
    origin = await listen(script)
    sink = Recorder()
    client.send(get(origin), sink)
    failure = await sink.wait_failure()
    assert (failure.code, sink.calls) == (code, calls)
    assert str(origin) in failure.message
    await until(lambda: client.stats.open == 0)


async def test_a_reset_within_the_response(client: Client, listen: Listen) -> None:
    reset = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(CHUNKED + b"2\r\nhi\r\n")
        await reset.wait()
        peer.reset()

    sink = Recorder()
    sink.actions["data"] = reset.set
    client.send(get(await listen(script)), sink)
    assert (await sink.wait_failure()).reason == "truncated"


async def test_fetch_limits_the_body(client: Client, listen: Listen) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(CHUNKED + b"5\r\nhello\r\n")
        await peer.wait_closed()

    request = get(await listen(script))
    request.max_body = 4
    with pytest.raises(TransportError, match="larger than 4 bytes"):
        await client.fetch(request)
    await until(lambda: client.stats.open == 0)


async def test_a_sink_that_raises_is_an_internal_error(client: Client, listen: Listen) -> None:
    reported: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    sink = Recorder()

    def fail() -> None:
        raise KeyError("sk-secret")

    sink.actions["head"] = fail
    client.send(get(await listen(answer_all)), sink)
    failure = await sink.wait_failure()
    assert (failure.code, failure.scope) == ("internal_error", "request")
    assert "secret" not in failure.message
    assert len(reported) == 1


async def test_send_raises_for_a_request_that_cannot_be_encoded(client: Client) -> None:
    request = UpstreamRequest(Origin("http", "127.0.0.1", 1), b"GET", b"/", [(b"X", b"a\r\nY: b")])
    with pytest.raises(ValueError, match="line end"):
        client.send(request, Recorder())
    assert client.stats == (0, 0, 0, 0)


# Stale connections


@pytest.mark.parametrize("reset", [False, True])
async def test_a_request_on_a_stale_connection_is_sent_again(
    client: Client, listen: Listen, reset: bool
) -> None:
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
        await peer.wait_closed()

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
    await sink.wait_end()
    reused.append(in_flight.reused)
    assert reused == [True, False]
    assert (numbers, sink.resends) == ([0, 1], 1)
    assert client.stats == (1, 1, 0, 0)


async def test_a_request_is_sent_again_once(client: Client, listen: Listen) -> None:
    async def script(peer: Peer) -> None:
        if peer.number == 0:
            await peer.request()
            peer.send(OK)
        await peer.request()

    origin = await listen(script)
    await client.fetch(get(origin))
    sink = Recorder()
    client.send(get(origin), sink)
    assert (await sink.wait_failure()).reason == "reset"
    assert client.stats == (0, 0, 0, 0)


async def test_a_request_is_not_sent_again_after_its_response_has_begun(
    client: Client, listen: Listen
) -> None:
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
    assert (await sink.wait_failure()).reason == "truncated"
    assert peers == [0]


async def test_a_closed_connection_is_not_reused(client: Client, listen: Listen) -> None:
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


# Timeouts


async def _heartbeats(peer: Peer) -> None:
    await peer.request()
    peer.send(CHUNKED)
    while True:
        peer.send(b"1\r\n:\r\n")
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("script", "timeouts", "reason", "text"),
    [
        (stay_silent, Timeouts(first_byte=0.01), "first_byte", "waiting for an answer from {} after 0.01 s"),
        (_heartbeats, Timeouts(first_byte=0.3), "first_byte", "waiting for an answer from {} after 0.3 s"),
        (start_stream, Timeouts(idle=0.01), "idle", "in the answer from {}: silent for 0.01 s"),
        (stay_silent, Timeouts(total=0.01), "total", "the answer from {} was not complete after 0.01 s"),
        (start_stream, Timeouts(total=0.25), "total", "the answer from {} was not complete after 0.25 s"),
    ],
)
async def test_timeouts(
    client: Client,
    listen: Listen,
    script: Script,
    timeouts: Timeouts,
    reason: str,
    text: str,
) -> None:
    class HeartbeatFilter(Recorder):
        """Counts no heartbeat as a record."""

        def on_data(self, data: bytes) -> None:
            if data.strip(b":"):
                super().on_data(data)

    origin = await listen(script)
    sink = HeartbeatFilter()
    client.send(get(origin, timeouts=timeouts), sink)
    failure = await sink.wait_failure()
    assert (failure.code, failure.reason) == ("upstream_timeout", reason)
    assert failure.message.endswith(text.format(origin))
    await until(lambda: client.stats == (0, 0, 0, 0))


async def test_connect_timeout(client: Client, listen: Listen) -> None:
    origin = (await listen(stay_silent))._replace(scheme="https")  # a handshake that is never answered
    sink = Recorder()
    client.send(get(origin, timeouts=Timeouts(connect=0.01)), sink)
    failure = await sink.wait_failure()
    assert (failure.code, failure.reason) == ("upstream_timeout", "connect")
    assert failure.message == f"Timed out connecting to {origin} after 0.01 s"


async def test_the_failure_of_one_late_request_may_cancel_another(client: Client, listen: Listen) -> None:
    origin = await listen(stay_silent)
    timeouts = Timeouts(first_byte=0.01)
    sinks = [Recorder(), Recorder()]
    in_flight = [client.send(get(origin, timeouts=timeouts), sink) for sink in sinks]
    for sink, other in zip(sinks, reversed(in_flight), strict=True):
        sink.actions["failure"] = other.cancel
    await until(lambda: client.stats.in_flight == 0)
    assert sorted(len(sink.calls) for sink in sinks) == [0, 1]


async def test_a_sink_that_raises_does_not_end_the_checks_of_timeouts(client: Client, listen: Listen) -> None:
    reported: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    origin = await listen(stay_silent)

    def fail() -> None:
        raise KeyError

    sinks = [Recorder(), Recorder()]
    for sink in sinks:
        sink.actions["failure"] = fail
        client.send(get(origin, timeouts=Timeouts(first_byte=0.01)), sink)
    for sink in sinks:
        await sink.wait_failure()
    assert len(reported) == 2


async def test_no_timer_is_left_without_requests_and_connections(client: Client, listen: Listen) -> None:
    await client.fetch(
        get(await listen(respond(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")))
    )
    await until(lambda: client._timer is None)
