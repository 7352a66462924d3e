"""The fast end of the data plane: a subclass of uvicorn's httptools protocol.

It takes the data plane's routes itself, below ASGI: no scope, no task, no awaited send. Every other request,
and all connection handling (keep-alive, pipelining, flow control, limits, shutdown), stays uvicorn's. What
it leans on is private to uvicorn, so it is used with the versions it was tested with only (see
:data:`TESTED`); with others the ASGI end serves, and a log line says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from trunkline.errors import (
    HEAD_TOO_LARGE,
    INVALID_REQUEST,
    METHOD_NOT_ALLOWED,
    CallerError,
    GatewayError,
)
from trunkline.pipeline import Call, Lines
from trunkline.server.calls import Opened

if TYPE_CHECKING:
    from trunkline.server.gateway import Gateway

TESTED: Final = ((0, 45), (0, 55))
"""uvicorn versions from (included) and to (excluded) which this was tested."""

LINGER_S: Final = 5.0
"""Seconds that a client gets to finish what nobody wants, before the connection is closed: closed at once,
it could lose the answer that says why."""

HEAD_LIMIT: Final = 64 * 1024
"""Most bytes of a request's target and headers, and of what else brings no body (trailers, chunk lines)."""

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class _NoEvent:
    """Stands where uvicorn's cycles have the event that their tasks wait for."""

    def set(self) -> None:
        """Nobody waits."""


_NO_EVENT: Final = _NoEvent()


class _Stop(Exception):  # noqa: N818 - a signal to httptools, not an error
    """Raised in a callback to stop the parser."""


class FastProtocol(HttpToolsProtocol):
    """One client connection."""

    gateway: Gateway
    """Set by :func:`bind`, which makes a subclass per gateway."""
    cycle: Any
    """uvicorn's cycle or ours: the two are told apart by type."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # The parser takes its callbacks from attributes, once: a header field costs no frame of ours.
        fields: list[tuple[bytes, bytes]] = []
        keep = fields.append
        self._fields = fields
        self.on_header = lambda name, value: keep((name, value))  # type: ignore[method-assign]
        self._dry = 0
        """Bytes that came since the last head or piece of body."""
        self._idle_since = 0.0
        """Loop time since when there is nothing to do; 0 while there is."""
        self._deaf = False
        """What the client says is of no interest any more."""
        self.answering: FastCycle | None = None
        """Whose turn it is; ``cycle`` is the last that came, which differs when requests are pipelined."""
        super().__init__(*args, **kwargs)

    def data_received(self, data: bytes) -> None:
        """Bytes of requests."""
        if self._deaf:
            return
        self._dry += len(data)
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            self._stay(data[upgrade.args[0] :])
        except HttpParserError:
            if not self._deaf:
                self._give_up(CallerError("This is not a request in HTTP/1.1", INVALID_REQUEST))
        if self._dry > HEAD_LIMIT and not self._deaf:
            self._refuse_head()

    def on_message_begin(self) -> None:
        """A request begins. uvicorn's scope is made only if the request turns out to be uvicorn's."""
        self.url = b""
        self.expect_100_continue = False
        self._fields.clear()

    def on_headers_complete(self) -> None:
        """Take the request if its path is the data plane's."""
        parser = self.parser
        dry, self._dry = self._dry, 0
        if dry > HEAD_LIMIT and len(self.url) + _size(self._fields) > HEAD_LIMIT:
            self._refuse_head()
            raise _Stop
        if parser.should_upgrade():
            return
        headers = [(name.lower(), value) for name, value in self._fields]
        path = self.url.partition(b"?")[0].decode("latin-1")
        if "%" in path:
            path = unquote(path)
        opened = self.gateway.door.open(parser.get_method().decode("ascii"), path, headers)
        if opened is None:
            self._leave_to_uvicorn(headers)
            return
        http11 = parser.get_http_version() == "1.1"
        busy = self.cycle is not None and not self.cycle.response_complete
        cycle = FastCycle(self, opened, http11, http11 and parser.should_keep_alive())
        self.cycle = cycle
        if busy:  # pipelined: its turn comes when the answer before it is complete
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))  # type: ignore[arg-type]
        else:
            cycle.begin()

    def _leave_to_uvicorn(self, headers: list[tuple[bytes, bytes]]) -> None:
        url = self.url
        super().on_message_begin()
        self.url = url
        for name, value in headers:
            HttpToolsProtocol.on_header(self, name, value)
        super().on_headers_complete()

    def _refuse_head(self) -> None:
        text = f"The head of the request is larger than {HEAD_LIMIT} bytes"
        self._give_up(CallerError(text, HEAD_TOO_LARGE))

    def _stay(self, rest: bytes) -> None:
        """A client offers to change to another protocol, as some do with each first request: read that
        request again without the offer, since the parser takes no body with it. ``rest`` follows its head."""
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        if method == b"CONNECT":
            self._give_up(CallerError("This gateway is no proxy", METHOD_NOT_ALLOWED))
            return
        lines = [b"%b: %b\r\n" % field for field in self._fields if field[0].lower() != b"upgrade"]
        head = b"%b %b HTTP/%b\r\n%b\r\n" % (method, self.url, version, b"".join(lines))
        self.parser = HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.data_received(head + rest)

    def _give_up(self, error: GatewayError) -> None:
        """Answer what came, if nothing else is being answered, and hear no more."""
        self._deaf = True
        cycle = self.cycle
        if cycle is not None and cycle.response_complete and not cycle.keep_alive:
            return  # the last word was said
        if cycle is None or cycle.response_complete:
            self.cycle = FastCycle(self, self.gateway.door.turn_away(error), http11=True, keep_alive=False)
            self.cycle.begin()
        elif isinstance(cycle, FastCycle) and cycle.is_listening:
            cycle.refuse(error)
        else:
            self.transport.abort()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        if isinstance(cycle, FastCycle):
            # In a turn of its own: a long row of pipelined requests must not become a deep stack.
            self.loop.call_soon(cycle.begin)
        else:
            super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        """A piece of the request's body."""
        self._dry = 0
        cycle = self.cycle
        if isinstance(cycle, FastCycle):
            cycle.take(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        cycle = self.cycle
        if self.parser.should_upgrade():
            return
        if isinstance(cycle, FastCycle):
            cycle.whole()
        else:
            super().on_message_complete()

    # uvicorn makes and cancels a timer for every request; here one a connection looks after all of them.

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since = 0.0

    def on_response_complete(self) -> None:
        """An answer is complete: the next request's turn, or the connection is idle."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._look_in(self.timeout_keep_alive)

    def _look_in(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self._look_if_idle)

    def _look_if_idle(self) -> None:
        self.timeout_keep_alive_task = None
        if self._idle_since:  # else the end of the request that is under way has another look taken
            left = self._idle_since + self.timeout_keep_alive - self.loop.time()
            if left > 0:
                self._look_in(left)
            else:
                self.timeout_keep_alive_handler()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone, or everything was said."""
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        if self.answering is not None:
            self.answering.lost()

    def pause_writing(self) -> None:
        """The client reads slowly."""
        super().pause_writing()
        if self.answering is not None:
            self.answering.slow(True)

    def resume_writing(self) -> None:
        """The client has caught up."""
        super().resume_writing()
        if self.answering is not None:
            self.answering.slow(False)


class FastCycle:
    """One request and its answer: a ``Responder`` to the pipeline, and a cycle to uvicorn's protocol."""

    __slots__ = (
        "_active",
        "_body",
        "_call",
        "_chunked",
        "_head",
        "_head_only",
        "_http11",
        "_opened",
        "_protocol",
        "_read_all",
        "_size",
        "_write",
        "disconnected",
        "keep_alive",
        "message_event",
        "on_response",
        "response_complete",
    )

    def __init__(self, protocol: FastProtocol, opened: Opened, http11: bool, keep_alive: bool) -> None:
        self._protocol = protocol
        self._write = protocol.transport.write
        self._opened = opened
        self._call: Call | None = None
        self._head_only = opened.method == "HEAD"
        self._http11 = http11
        self._head: bytes | None = None
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
        opened = self._opened
        if opened.error is not None:
            if self._read_all or opened.awaits_body or self._expects_continue():
                self.refuse(opened.error)
            return
        if self._expects_continue():
            self._write(_CONTINUE)
        if self._read_all:
            self._serve()

    @property
    def is_listening(self) -> bool:
        """It is its turn, and more of its body is to come."""
        return self._active and not self._read_all and not self.response_complete

    def _expects_continue(self) -> bool:
        return self._opened.expects_continue and self._http11 and not (self._body or self._read_all)

    def take(self, data: bytes) -> None:
        """A piece of body."""
        if self.response_complete or self._opened.error is not None:
            return
        self._size += len(data)
        if self._size > self._protocol.gateway.admission.max_body:
            self._body.clear()
            try:
                self._protocol.gateway.admission.check_length(self._size)
            except CallerError as error:
                self._opened = self._opened._replace(error=error)
            if self._active and self._opened.error is not None:
                self.refuse(self._opened.error)
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
        elif self._opened.error is not None:
            self.refuse(self._opened.error)
        else:
            self._serve()

    def _serve(self) -> None:
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body.clear()
        protocol = self._protocol
        call = protocol.gateway.door.enter(self._opened, self, body, protocol.client)
        if not self.response_complete:
            self._call = call

    def refuse(self, error: GatewayError) -> None:
        """Answer before the body was read; a body that is still to come is read and thrown away."""
        if not self._read_all:
            self.keep_alive = False
            self._protocol.loop.call_later(LINGER_S, self._protocol.transport.close)
        self._protocol.gateway.door.refuse(self._opened, self, error)

    # The answer: a ``Responder``

    def send(self, status: int, lines: Lines, body: bytes) -> None:
        """A whole answer, in one write."""
        if self.disconnected:
            return
        self._chunked = False
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
        self._head = self._encode_head(status, lines)

    def write(self, data: bytes) -> None:
        """A piece."""
        if self.disconnected or not data:
            return
        if self._chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if self._head is not None:
            data = self._head + data
            self._head = None
        self._write(data)

    def finish(self) -> None:
        """The end."""
        if self.disconnected or self.response_complete:
            return
        last = b"0\r\n\r\n" if self._chunked else b""
        if self._head is not None:
            last = self._head + last
            self._head = None
        if last:
            self._write(last)
        self._complete()

    def _encode_head(self, status: int, lines: Lines) -> bytes:
        parts = [STATUS_LINE[status]]
        for name, value in self._protocol.server_state.default_headers:
            parts += (name, b": ", value, b"\r\n")
        parts += (lines, self._opened.cors, b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n")
        return b"".join(parts)

    def _complete(self) -> None:
        self.response_complete = True
        self._call = None  # the call knows its responder: such a circle would be left to the collector
        if not self.keep_alive and self._read_all:
            self._protocol.transport.close()
        self.on_response()

    # The connection

    def lost(self) -> None:
        """The connection is gone."""
        self.disconnected = True
        if self._call is not None:
            self._call.disconnected()

    def slow(self, slow: bool) -> None:
        """The client reads slowly, or has caught up."""
        if self._call is not None:
            if slow:
                self._call.pause()
            else:
                self._call.resume()


def bind(gateway: Gateway) -> type[FastProtocol]:
    """The protocol class for one gateway, to be given to uvicorn as ``http``."""
    return type("BoundFastProtocol", (FastProtocol,), {"gateway": gateway})


def _size(fields: list[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(value) for name, value in fields)


def is_tested(version: str) -> bool:
    """Whether this uvicorn is one that the fast end was tested with."""
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    return TESTED[0] <= numbers < TESTED[1]
