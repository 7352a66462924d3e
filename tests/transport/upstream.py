"""A scripted upstream and a sink that records its calls, for the transport's tests."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Protocol

from trunkline.errors import ProviderError
from trunkline.transport import Origin, ResponseHead, Timeouts, TransportError, UpstreamRequest

GUARD = 20.0
"""Seconds after which a test that hangs fails."""

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Peer:
    """The upstream's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self.reader = reader
        self.writer = writer
        self.number = number
        """The number of connections before this one."""

    async def request(self) -> bytes:
        """The next request, head and body."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        size = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                size = int(line[15:])
        return head + await self.reader.readexactly(size)

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def wait_closed(self) -> None:
        """Wait until the client has closed the connection."""
        with suppress(ConnectionError):
            while await self.reader.read(65536):
                pass

    def reset(self) -> None:
        """Close with a RST."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Peer], Awaitable[None]]


class Listen(Protocol):
    async def __call__(self, script: Script, tls: ssl.SSLContext | None = None) -> Origin: ...


@asynccontextmanager
async def listening(script: Script, tls: ssl.SSLContext | None) -> AsyncIterator[Origin]:
    """A server that runs ``script`` for each connection, then closes it."""
    tasks: set[asyncio.Task[None]] = set()
    writers: list[asyncio.StreamWriter] = []

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            await script(Peer(reader, writer, len(writers) - 1))
        writer.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        tasks.add(asyncio.get_running_loop().create_task(run(reader, writer)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    host, port = server.sockets[0].getsockname()
    try:
        yield Origin("http" if tls is None else "https", host, port)
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        for writer in writers:
            with suppress(AttributeError):  # asyncio's TLS before 3.11.4, when it was closed twice
                writer.transport.abort()
        await asyncio.gather(*tasks, return_exceptions=True)
        failed = [task.exception() for task in tasks if not task.cancelled()]
        assert not any(failed), failed


async def answer_all(peer: Peer) -> None:
    """The script of a server that answers every request."""
    while True:
        await peer.request()
        peer.send(OK)


async def close_after_request(peer: Peer) -> None:
    """The script of a server that closes instead of answering."""
    await peer.request()


def respond(data: bytes, *, reset: bool = False) -> Script:
    """The script of a server that sends ``data`` and closes, with a RST if ``reset``."""

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(data)
        if reset:
            await asyncio.sleep(0)
            peer.reset()

    return script


async def start_stream(peer: Peer) -> None:
    """The script of a server whose response begins and does not end."""
    await peer.request()
    peer.send(CHUNKED + b"2\r\nhi\r\n")
    await peer.wait_closed()


async def stay_silent(peer: Peer) -> None:
    """The script of a server that never answers."""
    await peer.wait_closed()


class Recorder:
    """A sink that records its calls, in order."""

    def __init__(self) -> None:
        self.progress = 0
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.calls: list[str] = []
        self.resends = 0
        self.failure: TransportError | None = None
        self.ended = asyncio.Event()
        self.head_received = asyncio.Event()
        self.data = asyncio.Event()
        self.actions: dict[str, Callable[[], object]] = {}
        """Functions to run in a call, by the name of the call."""

    def _record(self, call: str, event: asyncio.Event) -> None:
        assert not self.ended.is_set()
        self.calls.append(call)
        event.set()
        action = self.actions.get(call)
        if action is not None:
            action()

    def on_head(self, head: ResponseHead) -> None:
        self.status = head.status
        self.headers = head.headers
        self._record("head", self.head_received)

    def on_resend(self) -> None:
        self.resends += 1

    def on_data(self, data: bytes) -> None:
        assert data
        self.progress += 1
        self.body += data
        self._record("data", self.data)

    def on_end(self) -> None:
        self._record("end", self.ended)

    def on_failure(self, failure: ProviderError) -> None:
        assert isinstance(failure, TransportError)
        self.failure = failure
        self._record("failure", self.ended)

    async def wait_end(self) -> None:
        """Wait for the end of the response, which must not fail."""
        async with asyncio.timeout(GUARD):
            await self.ended.wait()
        assert self.failure is None, self.failure

    async def wait_failure(self) -> TransportError:
        """Wait for the failure."""
        async with asyncio.timeout(GUARD):
            await self.ended.wait()
        assert self.failure is not None
        return self.failure


def get(origin: Origin, target: bytes = b"/", *, timeouts: Timeouts | None = None) -> UpstreamRequest:
    return UpstreamRequest(origin, b"GET", target, timeouts=timeouts or Timeouts())


def post(origin: Origin, body: bytes, *, timeouts: Timeouts | None = None) -> UpstreamRequest:
    return UpstreamRequest(origin, b"POST", b"/v1", body=body, timeouts=timeouts or Timeouts())


async def until(condition: Callable[[], bool]) -> None:
    """Let the event loop run until ``condition`` holds."""
    async with asyncio.timeout(GUARD):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0)
