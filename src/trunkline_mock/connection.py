"""One connection of the mock: requests in by httptools, steps of answers out, one write a step.

It owns the socket's side of things (keep-alive, back-pressure, closing in the ways a fault asks for) and
fills in the :class:`Recorded` of the request at hand. What is answered is the :class:`Brain`'s affair.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Iterator
from typing import Final, Protocol, cast

import httptools

from trunkline_mock.delivery import End, Step, Write
from trunkline_mock.recorded import Link, Recorded

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_BAD_REQUEST: Final = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class Brain(Protocol):
    """Who decides what a connection does."""

    def opened(self, connection: Connection) -> bool:
        """A peer connected; ``False`` turns it away at once."""

    def plan(self, request: Recorded, *, keep_alive: bool, old_peer: bool) -> Iterator[Step]:
        """The steps of the answer to ``request``."""

    def changed(self) -> None:
        """Something that one may wait for has happened."""

    def closed_connection(self, connection: Connection) -> None:
        """The connection is gone."""


class Connection(asyncio.Protocol):
    """A peer's connection."""

    def __init__(self, brain: Brain, number: int, loop: asyncio.AbstractEventLoop) -> None:
        self.link = Link(number)
        self._brain = brain
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[Recorded, bool, bool]] = deque()
        self._request: Recorded | None = None
        self._steps: Iterator[Step] | None = None
        self._ahead: Step | None = None
        self._timer: asyncio.Handle | None = None
        self.paused = False
        """The peer reads too slowly: the answer waits."""
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, unless the script refuses it."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass of it
        if not self._brain.opened(self):
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop what was being sent, and say so in the records."""
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._request is not None and not self._request.finished:
            self._request.aborted = True
        self.link.closed = True
        self._steps = None
        self._brain.closed_connection(self)

    def eof_received(self) -> bool:
        """A peer that stops listening for its answer has given up on it: close, whatever is unsent."""
        self.abort()
        return False

    def pause_writing(self) -> None:
        """The peer reads slowly: make no more of the answer."""
        self.paused = True
        self._brain.changed()

    def resume_writing(self) -> None:
        """Go on."""
        self.paused = False
        if self._steps is not None and self._timer is None:
            self._play()

    def data_received(self, data: bytes) -> None:
        """Bytes of requests."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserUpgrade, httptools.HttpParserError):
            if self._transport is not None:
                self._transport.write(_BAD_REQUEST)
                self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    # httptools' callbacks.

    def on_message_begin(self) -> None:
        """A request starts."""
        self._target = b""
        self._headers = []
        self._body = []

    def on_url(self, url: bytes) -> None:
        """The target, perhaps in pieces."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is complete: a peer that waits for leave to send its body gets it."""
        for name, value in self._headers:
            if name == b"expect" and value.lower() == b"100-continue" and self._transport is not None:
                self._transport.write(_CONTINUE)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """The request is complete: answer it, after those before it."""
        parser = self._parser
        request = Recorded(
            parser.get_method().decode("ascii"),
            self._target.decode("latin-1"),
            self._headers,
            self._body[0] if len(self._body) == 1 else b"".join(self._body),
            self.link,
        )
        self._waiting.append((request, parser.should_keep_alive(), parser.get_http_version() == "1.0"))
        if self._steps is None:
            self._next()

    # Answers.

    def _next(self) -> None:
        """Answer the oldest request that waits."""
        request, keep_alive, old_peer = self._waiting.popleft()
        self._request = request
        self._steps = self._brain.plan(request, keep_alive=keep_alive, old_peer=old_peer)
        self._brain.changed()
        self._play()

    def _play(self) -> None:
        """Do the next step of the answer. One write per turn of the loop, so that the peer can see it.

        A write looks one step ahead: an answer that ends after it needs no turn of the loop of its own.
        """
        self._timer = None
        transport, request, steps = self._transport, self._request, self._steps
        if transport is None or request is None or steps is None or self.paused:
            return
        step = self._ahead or next(steps)
        self._ahead = None
        if type(step) is Write:
            transport.write(step.data)
            request.completion_tokens += step.tokens
            request.chunks += step.chunks
            self._brain.changed()
            step = next(steps)
            if type(step) is Write or step is End.RESET:  # a reset would take the bytes before it along
                self._ahead = step
                if not self.paused:
                    self._timer = self._loop.call_soon(self._play)
                return
        if isinstance(step, End):
            self._end(step, transport, request)
        elif isinstance(step, int | float):
            self._timer = self._loop.call_later(step, self._play)

    def _end(self, end: End, transport: asyncio.Transport, request: Recorded) -> None:
        if end is End.HANG:
            self._ahead = end  # whatever wakes this connection up, nothing more is answered on it
            return
        request.finished = True
        self._steps = None
        if end is End.CLOSE:
            transport.close()
        elif end is End.RESET:
            raw: socket.socket = transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            transport.abort()
        elif self._waiting:
            self._next()
        self._brain.changed()
