"""One client connection of the mock: httptools parses the requests, and each step of a response is one write.

The connection owns the socket: keep-alive, back-pressure, and closing in the ways that a fault demands. It
fills in the :class:`RecordedRequest` of the current request. A :class:`ConnectionDelegate` decides what is
answered.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Iterator
from typing import Final, Protocol, cast

import httptools

from trunkline_mock.recording import ConnectionState, RecordedRequest
from trunkline_mock.steps import End, Step, Write

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_BAD_REQUEST: Final = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
"""``SO_LINGER`` with a timeout of 0: closing the socket sends a reset."""


class ConnectionDelegate(Protocol):
    """The server, as its connections use it."""

    def connection_opened(self, connection: Connection) -> bool:
        """A peer has connected; ``False`` closes the connection at once."""

    def respond(self, request: RecordedRequest, *, keep_alive: bool, http_1_0: bool) -> Iterator[Step]:
        """The steps of the response to ``request``."""

    def state_changed(self) -> None:
        """Something has happened that a test may be waiting for."""

    def connection_closed(self, connection: Connection) -> None:
        """The connection is closed."""


class Connection(asyncio.Protocol):
    """A client's connection."""

    def __init__(self, delegate: ConnectionDelegate, number: int, loop: asyncio.AbstractEventLoop) -> None:
        self.state = ConnectionState(number)
        self._delegate = delegate
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._pending: deque[tuple[RecordedRequest, bool, bool]] = deque()
        """Requests that wait for the response before theirs, each with keep-alive and HTTP/1.0."""
        self._request: RecordedRequest | None = None
        self._steps: Iterator[Step] | None = None
        self._next_step: Step | None = None
        self._timer: asyncio.Handle | None = None
        self.paused = False
        """Whether the response waits because the peer reads too slowly."""
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []

    # Callbacks of the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept the connection, unless the script refuses it."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transports are not a subclass of it
        if not self._delegate.connection_opened(self):
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop sending, and record that the connection is closed."""
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._request is not None and not self._request.finished:
            self._request.aborted = True
        self.state.closed = True
        self._steps = None
        self._delegate.connection_closed(self)

    def eof_received(self) -> bool:
        """Close at once, whatever is unsent: a peer that closes its side no longer waits for the response."""
        self.abort()
        return False

    def pause_writing(self) -> None:
        """Stop making the response: the peer reads too slowly."""
        self.paused = True
        self._delegate.state_changed()

    def resume_writing(self) -> None:
        """Go on with the response."""
        self.paused = False
        if self._steps is not None and self._timer is None:
            self._run_step()

    def data_received(self, data: bytes) -> None:
        """Parse bytes of requests."""
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

    # Callbacks of httptools.

    def on_message_begin(self) -> None:
        """A request begins."""
        self._target = b""
        self._headers = []
        self._body = []

    def on_url(self, url: bytes) -> None:
        """The request's target, or a part of it."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is complete. A peer that expects ``100 Continue`` before it sends the body gets that."""
        for name, value in self._headers:
            if name == b"expect" and value.lower() == b"100-continue" and self._transport is not None:
                self._transport.write(_CONTINUE)

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """The request is complete. It is answered after those that came before it."""
        parser = self._parser
        request = RecordedRequest(
            parser.get_method().decode("ascii"),
            self._target.decode("latin-1"),
            self._headers,
            self._body[0] if len(self._body) == 1 else b"".join(self._body),
            self.state,
        )
        self._pending.append((request, parser.should_keep_alive(), parser.get_http_version() == "1.0"))
        if self._steps is None:
            self._start_response()

    # Responses.

    def _start_response(self) -> None:
        """Answer the oldest pending request."""
        request, keep_alive, http_1_0 = self._pending.popleft()
        self._request = request
        self._steps = self._delegate.respond(request, keep_alive=keep_alive, http_1_0=http_1_0)
        self._delegate.state_changed()
        self._run_step()

    def _run_step(self) -> None:
        """Execute the next step: at most one write per iteration of the event loop, so that the peer sees it.

        After a write, the step that follows it is looked up already: a response that ends there needs no
        further iteration of the event loop.
        """
        self._timer = None
        transport, request, steps = self._transport, self._request, self._steps
        if transport is None or request is None or steps is None or self.paused:
            return
        step = self._next_step or next(steps)
        self._next_step = None
        if type(step) is Write:
            transport.write(step.data)
            request.completion_tokens += step.tokens
            request.chunks += step.chunks
            self._delegate.state_changed()
            step = next(steps)
            if (
                type(step) is Write or step is End.RESET
            ):  # a reset at once would discard what was just written
                self._next_step = step
                if not self.paused:
                    self._timer = self._loop.call_soon(self._run_step)
                return
        if isinstance(step, End):
            self._end_response(step, transport, request)
        elif isinstance(step, int | float):
            self._timer = self._loop.call_later(step, self._run_step)

    def _end_response(self, end: End, transport: asyncio.Transport, request: RecordedRequest) -> None:
        if end is End.HANG:
            self._next_step = end  # so that nothing more is sent when the peer resumes reading
            return
        request.finished = True
        self._steps = None
        if end is End.CLOSE:
            transport.close()
        elif end is End.RESET:
            raw_socket: socket.socket = transport.get_extra_info("socket")
            raw_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            transport.abort()
        elif self._pending:
            self._start_response()
        self._delegate.state_changed()
