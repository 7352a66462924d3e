"""One request of a connection at the fast end: its body gathered, its answer written."""

from __future__ import annotations

import asyncio
from typing import Any, Final, Protocol

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from trunkline.errors import CallerError, GatewayError
from trunkline.pipe import Pipe
from trunkline.pipeline.responder import Lines
from trunkline.server.http.dispatcher import Cancellable, HttpServices
from trunkline.server.http.request_head import RequestHead

LINGER_S: Final = 5.0
"""Seconds that a client has to finish a body that is not wanted, before the connection is closed. If it were
closed at once, the client could lose the answer that says why."""

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class _NoEvent:
    """Stands in for the event that the tasks of uvicorn's cycles wait for."""

    def set(self) -> None:
        """Do nothing: no task waits."""


_NO_EVENT: Final = _NoEvent()


class ClientConnection(Protocol):
    """The part of a connection that a request of it uses."""

    gateway: HttpServices
    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    flow: Any
    """uvicorn's: pauses and resumes reading."""
    client: tuple[str, int] | None
    server_state: Any
    """uvicorn's: has the headers of all answers."""
    answering: RequestCycle | None

    def on_response_complete(self) -> None:
        """The answer is complete."""


class RequestCycle:
    """One request of a connection: to uvicorn one of its cycles, to the pipeline a ``Responder``.

    It gathers the body, or hands it on as it comes, has the request answered when it is its turn, and writes
    the answer: the head together with the first piece, each piece in one write.
    """

    __slots__ = (
        "_answering",
        "_body",
        "_chunked",
        "_handle",
        "_head_only",
        "_http11",
        "_pending_head",
        "_pipe",
        "_protocol",
        "_read_all",
        "_request",
        "_size",
        "_write",
        "disconnected",
        "keep_alive",
        "message_event",
        "on_response",
        "response_complete",
    )

    def __init__(self, protocol: ClientConnection, head: RequestHead, http11: bool, keep_alive: bool) -> None:
        self._protocol = protocol
        self._write = protocol.transport.write
        self._request = head
        self._handle: Cancellable | None = None
        """The request under way, once it was dispatched."""
        self._pipe: Pipe | None = None
        """Takes the body as it comes, for a route that streams it."""
        self._head_only = head.method == "HEAD"
        self._http11 = http11
        self._pending_head: bytes | None = None
        """The head of a streamed answer, until its first piece comes."""
        self._chunked = False
        self._body: list[bytes] = []
        self._size = 0
        self._read_all = False
        self._answering = False
        # What uvicorn's protocol looks at:
        self.keep_alive = keep_alive
        self.disconnected = False
        self.response_complete = False
        self.message_event = _NO_EVENT
        self.on_response = protocol.on_response_complete

    # The request

    def begin(self) -> None:
        """Take its turn: refuse the request, ask for its body, or dispatch it if all of it has come."""
        if self._protocol.transport.is_closing():
            return
        self._answering = True
        self._protocol.answering = self
        head = self._request
        wants_continue = head.expects_continue and self._http11 and not (self._body or self._read_all)
        if head.error is not None:
            if self._read_all or head.awaits_body or wants_continue:
                self.refuse(head.error)
            return
        if wants_continue:
            self._write(_CONTINUE)
        if head.streams:
            self._dispatch_upload()
        elif self._read_all:
            self._dispatch()

    def begin_whole(self, body: bytes) -> None:
        """Take its turn with a body that is all there."""
        self._answering = self._read_all = True
        protocol = self._protocol
        protocol.answering = self
        handle = protocol.gateway.dispatcher.dispatch(self._request, self, body, protocol.client)
        if not self.response_complete:
            self._handle = handle

    @property
    def is_reading(self) -> bool:
        """It is its turn, and more of its body is to come."""
        return self._answering and not self._read_all and not self.response_complete

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        if self.response_complete or self._request.error is not None:
            return
        if self._pipe is not None:
            self._pipe.feed(data)
            return
        self._size += len(data)
        if self._size > self._protocol.gateway.admission.max_body:
            self._body.clear()
            try:
                self._protocol.gateway.admission.check_length(self._size)
            except CallerError as error:
                self._request.error = error
            if self._answering and self._request.error is not None:
                self.refuse(self._request.error)
            return
        self._body.append(data)

    def on_complete(self) -> None:
        """The request is complete."""
        self._read_all = True
        if not self._answering:
            return
        if self.response_complete:
            if not self.keep_alive:
                self._protocol.transport.close()
        elif self._request.error is not None:
            self.refuse(self._request.error)
        elif self._pipe is not None:
            self._pipe.end()
        else:
            self._dispatch()

    def _dispatch(self) -> None:
        pieces = self._body
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self.begin_whole(body)

    def _dispatch_upload(self) -> None:
        flow = self._protocol.flow
        self._pipe = Pipe(flow.pause_reading, flow.resume_reading)
        for piece in self._body:
            self._pipe.feed(piece)
        self._body.clear()
        if self._read_all:
            self._pipe.end()
        self._handle = self._protocol.gateway.dispatcher.dispatch_upload(self._request, self, self._pipe)

    def refuse(self, error: GatewayError) -> None:
        """Answer before the body was read; a body that still comes is read and discarded."""
        self._protocol.gateway.dispatcher.refuse(self._request, self, error)

    def _discard_body(self) -> None:
        """The answer comes before the whole request has come: discard what still comes, for a while."""
        self.keep_alive = False
        self._protocol.flow.resume_reading()
        self._protocol.loop.call_later(LINGER_S, self._protocol.transport.close)

    # The answer: a ``Responder``

    def send(self, status: int, lines: Lines, body: bytes) -> None:
        """Send a whole answer, in one write."""
        if self.disconnected:
            return
        self._chunked = False
        if not self._read_all:
            self._discard_body()
        head = self._encode_head(status, b"%bcontent-length: %d\r\n" % (lines, len(body)))
        self._write(head if self._head_only else head + body)
        self._complete()

    def start(self, status: int, lines: Lines) -> None:
        """Keep the head until the first piece comes: both go in one write."""
        self._chunked = self._http11
        if self._chunked:
            lines += b"transfer-encoding: chunked\r\n"
        else:
            self.keep_alive = False
        self._pending_head = self._encode_head(status, lines)

    def write(self, data: bytes) -> None:
        """Send a piece."""
        if self.disconnected or not data:
            return
        if self._chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if self._pending_head is not None:
            data = self._pending_head + data
            self._pending_head = None
        self._write(data)

    def finish(self) -> None:
        """End the answer."""
        if self.disconnected or self.response_complete:
            return
        last = b"0\r\n\r\n" if self._chunked else b""
        if self._pending_head is not None:
            last = self._pending_head + last
            self._pending_head = None
        if last:
            self._write(last)
        self._complete()

    def _encode_head(self, status: int, lines: Lines) -> bytes:
        parts = [STATUS_LINE[status]]
        for name, value in self._protocol.server_state.default_headers:
            parts += (name, b": ", value, b"\r\n")
        parts += (lines, self._request.cors, b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n")
        return b"".join(parts)

    def _complete(self) -> None:
        self.response_complete = True
        self._handle = None  # it refers to this cycle: a circle that only the garbage collector would free
        if not self.keep_alive and self._read_all:
            self._protocol.transport.close()
        self.on_response()

    # The connection

    def on_connection_lost(self) -> None:
        """The connection is closed."""
        self.disconnected = True
        if self._handle is not None:
            self._handle.disconnected()

    def pause(self) -> None:
        """The client reads more slowly than the answer comes."""
        if self._handle is not None:
            self._handle.pause()

    def resume(self) -> None:
        """The client has caught up."""
        if self._handle is not None:
            self._handle.resume()
