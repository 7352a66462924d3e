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
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from trunkline.errors import (
    HEAD_TOO_LARGE,
    INVALID_REQUEST,
    METHOD_NOT_ALLOWED,
    CallerError,
    GatewayError,
)
from trunkline.server.http.cycle import FastCycle

if TYPE_CHECKING:
    import asyncio

    from trunkline.server.http.dispatcher import HttpServices

TESTED: Final = ((0, 45), (0, 55))
"""uvicorn versions from (included) and to (excluded) which this was tested."""

HEAD_LIMIT: Final = 64 * 1024
"""Most bytes of a request's target and headers, and of what else brings no body (trailers, chunk lines)."""
SEND_TIMEOUT_S: Final = 60.0
"""Seconds in which a client must have read something of what waits for it, once it is much."""


class _Stop(Exception):  # noqa: N818 - a signal to httptools, not an error
    """Raised in a callback to stop the parser."""


class FastProtocol(HttpToolsProtocol):
    """One client connection."""

    gateway: HttpServices
    """Set by :func:`bind`, which makes a subclass per gateway."""
    cycle: Any
    """uvicorn's cycle or ours: the two are told apart by type."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # The parser takes its callbacks from attributes, once: a header field costs no frame of ours.
        fields: list[tuple[bytes, bytes]] = []
        keep = fields.append
        self._fields = fields
        self.on_header = lambda name, value: keep((name.lower(), value))  # type: ignore[method-assign]
        self._dry = 0
        """Bytes that came since the last complete head or piece of body; bounded by :data:`HEAD_LIMIT`."""
        self._idle_since = 0.0
        """Loop time since which no request is under way; 0 while one is. The head of a request has as long
        to come as the connection may be idle."""
        self._heard = False
        """Whether something came since the last look."""
        self._held = False
        """The next request waits until the client has read enough of the answers before it."""
        self._deaf = False
        """The connection is about to be closed, and whatever the client still sends is ignored."""
        self._read_timer: asyncio.TimerHandle | None = None
        """Runs while the client does not read: no upstream is held for one who is not there."""
        self.answering: FastCycle | None = None
        """The request that is being answered. With pipelining, ``cycle`` (the last one that came) may be
        another."""
        super().__init__(*args, **kwargs)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there."""
        super().connection_made(transport)
        self._idle_since = self.loop.time()
        self._look_in(self.timeout_keep_alive)

    def data_received(self, data: bytes) -> None:
        """Bytes of requests."""
        if self._deaf:
            return
        self._dry += len(data)
        self._heard = True
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
        self._idle_since = 0.0
        headers = self._fields.copy()
        target, _, query = self.url.partition(b"?")
        path = target.decode("latin-1")
        if "%" in path:
            path = unquote(path)
        head = self.gateway.dispatcher.open(parser.get_method().decode("ascii"), path, headers, query)
        if head is None:
            self._leave_to_uvicorn(headers)
            return
        http11 = parser.get_http_version() == "1.1"
        busy = self.cycle is not None and not self.cycle.response_complete
        cycle = FastCycle(self, head, http11, http11 and parser.should_keep_alive())
        self.cycle = cycle
        held = not busy and self.flow.write_paused
        if busy or held:  # its turn comes when the answer before it is complete, and most of it read
            self._held |= held
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
        lines = [b"%b: %b\r\n" % field for field in self._fields if field[0] != b"upgrade"]
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
            self.cycle = FastCycle(
                self, self.gateway.dispatcher.unreadable_head(error), http11=True, keep_alive=False
            )
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
        if self.pipeline:
            self._held = self.flow.write_paused
            if not self._held:
                self._go_on()
            return
        self.flow.resume_reading()
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._look_in(self.timeout_keep_alive)

    def _go_on(self) -> None:
        self.flow.resume_reading()
        self._start_asgi_task(*self.pipeline.pop())

    def _look_in(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self._look_if_idle)

    def _look_if_idle(self) -> None:
        self.timeout_keep_alive_task = None
        heard, self._heard = self._heard, False
        if self._idle_since:
            left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        elif isinstance(self.cycle, FastCycle) and self.cycle.is_listening:
            left = self.timeout_keep_alive if heard or self.flow.read_paused else 0
        else:
            return  # the end of the request that is under way has another look taken
        if left > 0:
            self._look_in(left)
        else:
            self.timeout_keep_alive_handler()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone, or everything was said."""
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        if self._read_timer is not None:
            self._read_timer.cancel()
        if self.answering is not None:
            self.answering.lost()

    def pause_writing(self) -> None:
        """The client reads slowly."""
        super().pause_writing()
        self._wait_for_reader(None)
        if self.answering is not None:
            self.answering.slow(True)

    def resume_writing(self) -> None:
        """The client has caught up."""
        super().resume_writing()
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None
        if self._held:
            self._held = False
            if not self.transport.is_closing():
                self._go_on()
        elif self.answering is not None:
            self.answering.slow(False)

    def _wait_for_reader(self, unread: int | None) -> None:
        """Look again later; ``unread`` bytes were waiting at the last look."""
        self._read_timer = self.loop.call_later(SEND_TIMEOUT_S, self._look_if_read, unread)

    def _look_if_read(self, before: int | None) -> None:
        unread = self.transport.get_write_buffer_size()
        if before is not None and unread >= before:
            self.transport.abort()
        else:
            self._wait_for_reader(unread)


def bind(gateway: HttpServices) -> type[FastProtocol]:
    """The protocol class for one gateway, to be given to uvicorn as ``http``."""
    return type("BoundFastProtocol", (FastProtocol,), {"gateway": gateway})


def _size(fields: list[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(value) for name, value in fields)


def is_tested(version: str) -> bool:
    """Whether this uvicorn is one that the fast end was tested with."""
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    return TESTED[0] <= numbers < TESTED[1]
