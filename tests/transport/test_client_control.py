"""What a caller does with a request in flight: cancel, pause, resume, release."""

from __future__ import annotations

import asyncio

import pytest

from trunkline.transport import Client

from .upstream import (
    CHUNKED,
    GUARD,
    OK,
    Listen,
    Peer,
    Recorder,
    answer_all,
    get,
    start_stream,
    until,
)


async def test_cancel_within_the_response_closes_the_connection(client: Client, listen: Listen) -> None:
    closed = asyncio.Event()

    async def script(peer: Peer) -> None:
        await start_stream(peer)
        closed.set()

    sink = Recorder()
    in_flight = client.send(get(await listen(script)), sink)
    async with asyncio.timeout(GUARD):
        await sink.data.wait()
        in_flight.cancel()
        await closed.wait()
    assert sink.calls == ["head", "data"]
    await until(lambda: client.stats == (0, 0, 0, 0))


@pytest.mark.parametrize("call", ["head", "data"])
@pytest.mark.parametrize("action", ["cancel", "release"])
async def test_a_sink_may_end_its_request_while_it_is_called(
    client: Client, listen: Listen, call: str, action: str
) -> None:
    sink = Recorder()
    in_flight = client.send(get(await listen(answer_all)), sink)
    sink.actions[call] = getattr(in_flight, action)
    await until(lambda: client.stats.in_flight == 0)
    assert sink.calls == (["head"] if call == "head" else ["head", "data"])
    assert client.stats.idle == (1 if action == "release" else 0)


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


async def test_cancel_after_the_response_keeps_the_connection(client: Client, listen: Listen) -> None:
    sink = Recorder()
    in_flight = client.send(get(await listen(answer_all)), sink)
    await sink.wait_end()
    in_flight.cancel()
    in_flight.release()
    in_flight.pause()
    in_flight.resume()
    assert client.stats == (1, 1, 0, 0)


async def test_a_cancelled_fetch_closes_the_connection(client: Client, listen: Listen) -> None:
    requested, closed = asyncio.Event(), asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        requested.set()
        await peer.wait_closed()
        closed.set()

    task = asyncio.create_task(client.fetch(get(await listen(script))))
    async with asyncio.timeout(GUARD):
        await requested.wait()
        task.cancel()
        await closed.wait()
    assert task.cancelled() or task.cancelling()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_paused_response_is_not_read(client: Client, listen: Listen) -> None:
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
        await peer.wait_closed()

    sink = Recorder()
    in_flight = client.send(get(await listen(script)), sink)
    sink.actions["data"] = in_flight.pause
    await until(lambda: in_flight.paused)
    in_flight.pause()
    before, turns = sent, 0
    while before != sent or turns < 1000:  # until the buffers on the way are full
        before, turns = sent, turns + 1
        await asyncio.sleep(0)
    assert len(sink.calls) <= 3  # one more read may have begun before
    assert sent < 512
    del sink.actions["data"]
    in_flight.resume()
    in_flight.resume()
    await sink.wait_end()
    assert len(sink.body) == 512 * 65536
    assert client.stats.idle == 1


async def test_pause_before_there_is_a_connection(client: Client, listen: Listen) -> None:
    requested = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(OK)
        requested.set()
        await peer.wait_closed()

    sink = Recorder()
    in_flight = client.send(get(await listen(script)), sink)
    in_flight.pause()
    async with asyncio.timeout(GUARD):
        await requested.wait()
    for _ in range(20):
        await asyncio.sleep(0)
    assert sink.calls == []
    in_flight.resume()
    await sink.wait_end()


async def test_a_kept_connection_is_read_even_if_its_last_request_was_paused(
    client: Client, listen: Listen
) -> None:
    origin = await listen(answer_all)
    sink = Recorder()
    in_flight = client.send(get(origin), sink)
    sink.actions["head"] = in_flight.pause
    await sink.wait_end()
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

    def pause_and_release() -> None:
        in_flight.pause()
        in_flight.release()

    sink.actions["data"] = pause_and_release
    async with asyncio.timeout(GUARD):
        await sink.data.wait()
    finish.set()
    await until(lambda: client.stats.idle == 1)
    assert sink.calls == ["head", "data"]
    assert (await client.fetch(get(origin))).body == b"hi"
    assert client.stats.open == 1


async def test_release_closes_the_connection_if_the_end_does_not_come(client: Client, listen: Listen) -> None:
    sink = Recorder()
    in_flight = client.send(get(await listen(start_stream)), sink)
    sink.actions["data"] = in_flight.release
    async with asyncio.timeout(GUARD):
        await sink.data.wait()
    assert client.stats.in_flight == 1
    await until(lambda: client.stats == (0, 0, 0, 0))
    assert sink.calls == ["head", "data"]
