"""The limit on open files, and the end of a gateway."""

from __future__ import annotations

import asyncio
import resource
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import NamedTuple

import msgspec
import pytest

from tests.gateways import BEARER, GUARD, Answer, Wire, chat, get, make_gateway, make_settings, post
from trunkline.server.app.drain import Drain
from trunkline.server.app.run import _Server, allow_files, make_config
from trunkline.settings.sections import ProviderConfig


@pytest.fixture
def limits() -> Iterator[tuple[int, int]]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_limit_on_open_files_is_raised_as_far_as_the_machine_permits(limits: tuple[int, int]) -> None:
    _, most = limits
    resource.setrlimit(resource.RLIMIT_NOFILE, (900, most))
    allow_files(1000)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (1000, most)
    allow_files(950)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (1000, most)
    if most != resource.RLIM_INFINITY:
        allow_files(most + 1)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most, most)


# The end


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class HeldUpstream:
    """An OpenAI-compatible server whose streams stay open until they are let go."""

    def __init__(self) -> None:
        self.let_go = asyncio.Event()
        self.answering: set[asyncio.Future[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.answering.add(asyncio.ensure_future(self._answer(reader, writer)))

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
            choice = {"index": 0, "delta": {"content": "Hello"}, "finish_reason": None}
            chunk = {"id": "c", "object": "chat.completion.chunk", "model": "gpt-4o", "created": 1}
            writer.write(b"data: " + msgspec.json.encode(chunk | {"choices": [choice]}) + b"\n\n")
            await self.let_go.wait()
            last = chunk | {"choices": [choice | {"delta": {}, "finish_reason": "stop"}]}
            writer.write(b"data: " + msgspec.json.encode(last) + b"\n\ndata: [DONE]\n\n")
        writer.close()


class Ending(NamedTuple):
    """A gateway that a signal is about to end."""

    server: _Server
    clock: Clock
    upstream: HeldUpstream
    port: int
    task: asyncio.Task[None]
    wires: list[Wire]
    """Connections that tests have made, to be closed with the gateway."""

    async def connect(self) -> Wire:
        wire = Wire(*await asyncio.open_connection("127.0.0.1", self.port))
        self.wires.append(wire)
        return wire

    async def ask(self, request: bytes) -> Answer:
        """The answer to a request on a connection of its own."""
        wire = await self.connect()
        wire.send(request)
        try:
            return await wire.answer()
        finally:
            await wire.close()

    async def stream(self) -> Wire:
        """A stream of which the first piece has come."""
        wire = await self.connect()
        wire.send(post(chat("up/gpt-4o", stream=True), BEARER))
        status, _ = await wire.head()
        assert status == 200
        await wire.piece()
        return wire

    async def until_refused(self) -> None:
        """Until nobody listens."""
        async with asyncio.timeout(GUARD):
            while True:
                try:
                    wire = await self.connect()
                except OSError:
                    return
                await wire.close()


class _Unsignalled(_Server):
    """Without handlers of signals: the test calls what they call."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def about_to_end(fast: bool) -> AsyncIterator[Ending]:
    upstream = HeldUpstream()
    listening = await asyncio.start_server(upstream.accept, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    config = ProviderConfig(type="openai-compatible", url=url, models=("gpt-4o",))
    settings = make_settings(providers={"up": config}, fast_http=fast, shutdown_delay_s=60)
    gateway = make_gateway(settings)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    ready = asyncio.Event()
    server = _Unsignalled(make_config(gateway, settings), gateway, lambda urls: ready.set(), [])
    clock = Clock()
    server._drain = Drain(settings.shutdown_delay_s, clock=clock)
    task = asyncio.get_running_loop().create_task(server.serve([listener]))
    wires: list[Wire] = []
    try:
        async with asyncio.timeout(GUARD):
            await ready.wait()
        gateway.catalog.discovered = True
        yield Ending(server, clock, upstream, port, task, wires)
    finally:
        for wire in wires:
            await wire.close()
        upstream.let_go.set()
        server.should_exit = server.force_exit = True
        async with asyncio.timeout(GUARD):
            await task
        listening.close()
        await asyncio.gather(*upstream.answering)


ends = pytest.mark.parametrize("fast", [True, False], ids=["fast", "asgi"])


@ends
async def test_it_serves_for_the_delay_and_then_lets_streams_end(fast: bool) -> None:
    async with about_to_end(fast) as ending:
        kept = await ending.connect()
        kept.send(get("/health/ready"))
        before = await kept.answer()
        assert (before.status, before.headers.get("connection")) == (200, None)
        stream = await ending.stream()
        ending.server.handle_exit(signal.SIGTERM, None)

        unready = await ending.ask(get("/health/ready"))
        assert (unready.status, unready.json) == (503, {"status": "stopping"})
        assert (await ending.ask(get("/health"))).status == 200
        later = await ending.ask(post(chat(), BEARER))
        assert (later.status, later.headers["connection"]) == (200, "close")
        kept.send(post(chat(), BEARER))
        last = await kept.answer()
        assert (last.status, last.headers["connection"]) == (200, "close")
        assert await kept.rest() == b""
        begun_meanwhile = await ending.stream()

        ending.clock.now += 61
        await ending.until_refused()
        assert not ending.task.done()
        ending.upstream.let_go.set()
        for wire in (stream, begun_meanwhile):
            body = b""
            while piece := await wire.piece():
                body += piece
            assert body.endswith(b"data: [DONE]\n\n")
        async with asyncio.timeout(GUARD):
            await asyncio.shield(ending.task)


@ends
@pytest.mark.parametrize("in_delay", [True, False], ids=["in the delay", "after it"])
async def test_a_second_signal_ends_at_once(fast: bool, in_delay: bool) -> None:
    async with about_to_end(fast) as ending:
        stream = await ending.stream()
        ending.server.handle_exit(signal.SIGTERM, None)
        if not in_delay:
            ending.clock.now += 61
            await ending.until_refused()
        ending.clock.now += 1
        ending.server.handle_exit(signal.SIGTERM, None)
        async with asyncio.timeout(GUARD):
            await asyncio.shield(ending.task)
        with suppress(ConnectionError):
            assert b"[DONE]" not in await stream.rest()
        assert not ending.upstream.let_go.is_set()
        assert ending.server._gateway.pipeline.active == set()


@ends
async def test_ctrl_c_has_no_delay(fast: bool) -> None:
    async with about_to_end(fast) as ending:
        ending.server.handle_exit(signal.SIGINT, None)
        async with asyncio.timeout(GUARD):
            await asyncio.shield(ending.task)
