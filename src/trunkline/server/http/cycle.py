"""One request at the fast end: a ``Responder`` to the pipeline, and a cycle to uvicorn's protocol.

It gathers the body (or hands it on as it comes), has the request answered when it is its turn, and writes
the answer: the head together with the first piece, each piece in one write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from trunkline.errors import CallerError, GatewayError
from trunkline.pipe import Pipe
from trunkline.pipeline.call import Lines
from trunkline.server.http.dispatcher import Cancellable
from trunkline.server.http.request_head import RequestHead

if TYPE_CHECKING:
    from trunkline.server.http.protocol import FastProtocol

LINGER_S: Final = 5.0
"""Seconds that a client gets to finish what nobody wants, before the connection is closed: closed at once,
it could lose the answer that says why."""

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class _NoEvent:
    """Stands where uvicorn's cycles have the event that their tasks wait for."""

    def set(self) -> None:
        """Nobody waits."""


_NO_EVENT: Final = _NoEvent()


class FastCycle:
    """One request of a connection: uvicorn sees one of its cycles, the pipeline a ``Responder``."""

    __slots__ = (
        "_active",
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

    def __init__(self, protocol: FastProtocol, head: RequestHead, http11: bool, keep_alive: bool) -> None:
        self._protocol = protocol
        self._write = protocol.transport.write
        self._request = head
        self._handle: Cancellable | None = None
        self._pipe: Pipe | None = None
        """Takes the body as it comes, where that is wanted."""
        self._head_only = head.method == "HEAD"
        self._http11 = http11
        self._pending_head: bytes | None = None
        self._chunked = False
        self._body: list[bytes] = []
        self._size = 0
        self._read_all = False
        self._active = False
        # What uvicorn's protocol looks at:
        self.keep_alive = keep_alive
        self.disconnected = False
        self.response_complete = False
        self.message_event = _NO_EVENT
        self.on_response = protocol.on_response_complete

    # The request

    def begin(self) -> None:
        """Its turn: refuse it, ask for its body, or answer it if all of it has come."""
        if self._protocol.transport.is_closing():
            return
        self._active = True
        self._protocol.answering = self
        head = self._request
        if head.error is not None:
            if self._read_all or head.awaits_body or self._expects_continue():
                self.refuse(head.error)
            return
        if self._expects_continue():
            self._write(_CONTINUE)
        if head.streams:
            self._serve_streaming()
        elif self._read_all:
            self._serve()

    @property
    def is_listening(self) -> bool:
        """It is its turn, and more of its body is to come."""
        return self._active and not self._read_all and not self.response_complete

    def _expects_continue(self) -> bool:
        return self._request.expects_continue and self._http11 and not (self._body or self._read_all)

    def take(self, data: bytes) -> None:
        """A piece of body."""
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
            if self._active and self._request.error is not None:
                self.refuse(self._request.error)
            return
        self._body.append(data)

    def whole(self) -> None:
        """The request is whole."""
        self._read_all = True
        if not self._active:
            return
        if self.response_complete:
            if not self.keep_alive:
                self._protocol.transport.close()
        elif self._request.error is not None:
            self.refuse(self._request.error)
        elif self._pipe is not None:
            self._pipe.end()
        else:
            self._serve()

    def _serve_streaming(self) -> None:
        flow = self._protocol.flow
        self._pipe = Pipe(flow.pause_reading, flow.resume_reading)
        for piece in self._body:
            self._pipe.feed(piece)
        self._body.clear()
        if self._read_all:
            self._pipe.end()
        self._handle = self._protocol.gateway.dispatcher.dispatch_upload(self._request, self, self._pipe)

    def _serve(self) -> None:
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body.clear()
        protocol = self._protocol
        call = protocol.gateway.dispatcher.enter(self._request, self, body, protocol.client)
        if not self.response_complete:
            self._handle = call

    def refuse(self, error: GatewayError) -> None:
        """Answer before the body was read; a body that is still to come is read and thrown away."""
        self._protocol.gateway.dispatcher.refuse(self._request, self, error)

    def _let_go(self) -> None:
        """An answer comes before the whole request has: what is still to come is of no interest."""
        self.keep_alive = False
        self._protocol.flow.resume_reading()
        self._protocol.loop.call_later(LINGER_S, self._protocol.transport.close)

    # The answer: a ``Responder``

    def send(self, status: int, lines: Lines, body: bytes) -> None:
        """A whole answer, in one write."""
        if self.disconnected:
            return
        self._chunked = False
        if not self._read_all:
            self._let_go()
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
        """A piece."""
        if self.disconnected or not data:
            return
        if self._chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if self._pending_head is not None:
            data = self._pending_head + data
            self._pending_head = None
        self._write(data)

    def finish(self) -> None:
        """The end."""
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
        self._handle = None  # the call knows its responder: such a circle would be left to the collector
        if not self.keep_alive and self._read_all:
            self._protocol.transport.close()
        self.on_response()

    # The connection

    def lost(self) -> None:
        """The connection is gone."""
        self.disconnected = True
        if self._handle is not None:
            self._handle.disconnected()

    def slow(self, slow: bool) -> None:
        """The client reads slowly, or has caught up."""
        if self._handle is not None:
            if slow:
                self._handle.pause()
            else:
                self._handle.resume()
