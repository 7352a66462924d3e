"""The fast end of the data plane: a subclass of uvicorn's httptools protocol.

It takes the data plane's routes itself, below ASGI: there is no scope, no task and no awaited send. Every
other request, and all connection handling (keep-alive, pipelining, flow control, limits, shutdown), stays
uvicorn's. What it depends on is private to uvicorn, so it is used only with the versions that it was tested
with (see :data:`TESTED`); with others the ASGI end serves, and a log line says so.

:class:`FastProtocol` is one connection, :class:`RequestCycle` one request of it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import msgspec
from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from trunkline.errors import (
    HEAD_TOO_LARGE,
    INVALID_REQUEST,
    METHOD_NOT_ALLOWED,
    CallerError,
    GatewayError,
)
from trunkline.server.http.dispatcher import SMALL_BODY, KnownHead, remember
from trunkline.server.http.request_cycle import RequestCycle

if TYPE_CHECKING:
    from trunkline.server.http.dispatcher import HttpServices

TESTED: Final = ((0, 45), (0, 55))
"""uvicorn versions from (included) and to (excluded) which this was tested."""

HEAD_LIMIT: Final = 64 * 1024
"""The maximum number of bytes of a request's target and headers, and of anything else that brings no body
(trailers, chunk lines)."""
SEND_TIMEOUT_S: Final = 60.0
"""Seconds in which a client must read a part of what waits for it, once that is much."""


class _StopParsing(Exception):  # noqa: N818 - a signal to httptools, not an error
    """Raised in a callback to stop the parser."""


class FastProtocol(HttpToolsProtocol):
    """One client connection."""

    gateway: HttpServices
    """Set by :func:`bind`, which makes a subclass per gateway."""
    cycle: Any
    """uvicorn's own cycle or a :class:`RequestCycle`; the type tells which."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # The parser takes its callbacks from attributes, once: a header field costs no frame of ours.
        fields: list[tuple[bytes, bytes]] = []
        keep = fields.append
        self._fields = fields
        self.on_header = lambda name, value: keep((name.lower(), value))  # type: ignore[method-assign]
        self._bodyless_bytes = 0
        """Bytes received since the last complete head or piece of body, at most :data:`HEAD_LIMIT`."""
        self._idle_since = 0.0
        """Loop time since which no request is under way; 0 while one is. The head of a request may take as
        long to come as the connection may be idle."""
        self._received = False
        """Whether anything was received since the last idle check."""
        self._turn_deferred = False
        """The next request waits until the client has read enough of the answers before it."""
        self._ignores_input = False
        """The connection is about to be closed; what the client still sends is ignored."""
        self._read_timer: asyncio.TimerHandle | None = None
        """Runs while the client does not read, so that no upstream is held for a client that has left."""
        self.answering: RequestCycle | None = None
        """The request that is being answered. With pipelining, ``cycle`` (the last one that came) may be
        another."""
        self._known: KnownHead | None = None
        """The head of the last request, if the next one is likely to bring the same."""
        self._between_requests = True
        """The parser has read all of the last request, and nothing of another."""
        self._first_read = b""
        """What came first after the connection was idle: a head, if it came whole."""
        self._body_left = 0
        """Bytes to come of a body whose head was known."""
        super().__init__(*args, **kwargs)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        self._idle_since = self.loop.time()
        self._schedule_idle_check(self.timeout_keep_alive)

    def data_received(self, data: bytes) -> None:
        """Parse bytes of requests, unless they are the head that came before, and its body."""
        if self._ignores_input:
            return
        self._received = True
        if self._body_left:
            self._take_body(data)
            return
        if self._idle_since and self._between_requests and not self._bodyless_bytes:
            if self._known is not None and self._begin_known(self._known, data):
                return
            self._first_read = data
        self._bodyless_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            self._reject_upgrade(data[upgrade.args[0] :])
        except HttpParserError:
            if not self._ignores_input:
                self._answer_unreadable(CallerError("This is not a request in HTTP/1.1", INVALID_REQUEST))
        if self._bodyless_bytes > HEAD_LIMIT and not self._ignores_input:
            self._refuse_head()

    def _begin_known(self, known: KnownHead, data: bytes) -> bool:
        """Begin a request without the parser, if ``data`` begins with the head of the one before it."""
        gateway = self.gateway
        found = known.find(data, gateway.dispatcher)
        if found is None or self.flow.write_paused or gateway.stopping or self.transport.is_closing():
            return False
        start, length = found
        missing = start + length - len(data)
        if missing < 0:  # more than one request; the parser tells them apart
            return False
        self._idle_since = 0.0
        head = msgspec.structs.replace(
            known.head,
            request_id=gateway.request_ids.get(None),
            length=length,
            awaits_body=length > SMALL_BODY,
        )
        cycle = self.cycle = RequestCycle(self, head, http11=True, keep_alive=True)
        if not missing:
            cycle.begin_whole(data[start:])
            return True
        self._body_left = length
        cycle.begin()
        if len(data) > start:
            self._take_body(data[start:])
        return True

    def _take_body(self, data: bytes) -> None:
        """Take a piece of the body whose head was known; what follows it is another request's."""
        left = self._body_left
        more = data[left:]
        self._body_left = max(0, left - len(data))
        self.cycle.on_body(data[:left] if more else data)
        if not self._body_left:
            self.cycle.on_complete()
        if more:
            self.data_received(more)

    def on_message_begin(self) -> None:
        """A request begins. The ASGI scope is made only for a request that uvicorn serves."""
        self.url = b""
        self.expect_100_continue = False
        self._between_requests = False
        self._fields.clear()

    def on_headers_complete(self) -> None:
        """Take the request if its path is a route of the data plane."""
        parser = self.parser
        size, self._bodyless_bytes = self._bodyless_bytes, 0
        if size > HEAD_LIMIT and len(self.url) + _size(self._fields) > HEAD_LIMIT:
            self._refuse_head()
            raise _StopParsing
        if parser.should_upgrade():
            return
        self._idle_since = 0.0
        headers = self._fields.copy()
        target, _, query = self.url.partition(b"?")
        path = target.decode("latin-1")
        if "%" in path:
            path = unquote(path)
        head = self.gateway.dispatcher.read_head(parser.get_method().decode("ascii"), path, headers, query)
        if head is None:
            self._pass_to_uvicorn(headers)
            return
        http11 = parser.get_http_version() == "1.1"
        busy = self.cycle is not None and not self.cycle.response_complete
        keep_alive = http11 and parser.should_keep_alive() and not self.gateway.stopping
        if keep_alive:
            self._known = remember(self._first_read, head, self.gateway.dispatcher, self.gateway.admission)
        self._first_read = b""
        cycle = RequestCycle(self, head, http11, keep_alive)
        self.cycle = cycle
        deferred = not busy and self.flow.write_paused
        if busy or deferred:  # its turn comes when the answer before it is complete, and most of it read
            self._turn_deferred |= deferred
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))  # type: ignore[arg-type]
        else:
            cycle.begin()

    def _pass_to_uvicorn(self, headers: list[tuple[bytes, bytes]]) -> None:
        url = self.url
        super().on_message_begin()
        self.url = url
        for name, value in headers:
            HttpToolsProtocol.on_header(self, name, value)
        super().on_headers_complete()

    def _refuse_head(self) -> None:
        text = f"The head of the request is larger than {HEAD_LIMIT} bytes"
        self._answer_unreadable(CallerError(text, HEAD_TOO_LARGE))

    def _reject_upgrade(self, rest: bytes) -> None:
        """Parse a request again without its offer to change to another protocol, which the parser answers by
        taking no body. Some clients make that offer with each first request. ``rest`` follows the head."""
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        if method == b"CONNECT":
            self._answer_unreadable(CallerError("This gateway is no proxy", METHOD_NOT_ALLOWED))
            return
        lines = [b"%b: %b\r\n" % field for field in self._fields if field[0] != b"upgrade"]
        head = b"%b %b HTTP/%b\r\n%b\r\n" % (method, self.url, version, b"".join(lines))
        self.parser = HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.data_received(head + rest)

    def _answer_unreadable(self, error: GatewayError) -> None:
        """Answer input that cannot be read, if no other request is being answered, and read no more."""
        self._ignores_input = True
        cycle = self.cycle
        if cycle is not None and cycle.response_complete and not cycle.keep_alive:
            return  # the last answer was sent
        if cycle is None or cycle.response_complete:
            self.cycle = RequestCycle(
                self, self.gateway.dispatcher.unreadable_head(error), http11=True, keep_alive=False
            )
            self.cycle.begin()
        elif isinstance(cycle, RequestCycle) and cycle.is_reading:
            cycle.refuse(error)
        else:
            self.transport.abort()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        if isinstance(cycle, RequestCycle):
            # From the event loop: a long row of pipelined requests must not become a deep stack.
            self.loop.call_soon(cycle.begin)
        else:
            super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        """Take a piece of the request's body."""
        self._bodyless_bytes = 0
        cycle = self.cycle
        if isinstance(cycle, RequestCycle):
            cycle.on_body(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        self._between_requests = True
        cycle = self.cycle
        if self.parser.should_upgrade():
            return
        if isinstance(cycle, RequestCycle):
            cycle.on_complete()
        else:
            super().on_message_complete()

    # uvicorn makes and cancels a timer for every request; here one timer a connection serves all of them.

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since = 0.0

    def on_response_complete(self) -> None:
        """An answer is complete: start the next request, or let the connection be idle."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.pipeline:
            self._turn_deferred = self.flow.write_paused
            if not self._turn_deferred:
                self._start_next()
            return
        if self.flow.read_paused:
            self.flow.resume_reading()
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._schedule_idle_check(self.timeout_keep_alive)

    def _start_next(self) -> None:
        self.flow.resume_reading()
        self._start_asgi_task(*self.pipeline.pop())

    def _schedule_idle_check(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self._check_idle)

    def _check_idle(self) -> None:
        self.timeout_keep_alive_task = None
        received, self._received = self._received, False
        if self._idle_since:
            left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        elif isinstance(self.cycle, RequestCycle) and self.cycle.is_reading:
            left = self.timeout_keep_alive if received or self.flow.read_paused else 0
        else:
            return  # the end of the request that is under way schedules the next check
        if left > 0:
            self._schedule_idle_check(left)
        else:
            self.timeout_keep_alive_handler()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed, by either side."""
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        if self._read_timer is not None:
            self._read_timer.cancel()
        if self.answering is not None:
            self.answering.on_connection_lost()

    def pause_writing(self) -> None:
        """The client reads more slowly than the answer comes."""
        super().pause_writing()
        self._schedule_read_check(None)
        if self.answering is not None:
            self.answering.pause()

    def resume_writing(self) -> None:
        """The client has caught up."""
        super().resume_writing()
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None
        if self._turn_deferred:
            self._turn_deferred = False
            if not self.transport.is_closing():
                self._start_next()
        elif self.answering is not None:
            self.answering.resume()

    def _schedule_read_check(self, unread: int | None) -> None:
        """Check again later; ``unread`` bytes waited for the client at the last check."""
        self._read_timer = self.loop.call_later(SEND_TIMEOUT_S, self._check_read, unread)

    def _check_read(self, before: int | None) -> None:
        unread = self.transport.get_write_buffer_size()
        if before is not None and unread >= before:
            self.transport.abort()
        else:
            self._schedule_read_check(unread)


def bind(gateway: HttpServices) -> type[FastProtocol]:
    """The protocol class for one gateway, to be given to uvicorn as ``http``."""
    return type("BoundFastProtocol", (FastProtocol,), {"gateway": gateway})


def _size(fields: list[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(value) for name, value in fields)


def is_tested(version: str) -> bool:
    """Whether this uvicorn is one that the fast end was tested with."""
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    return TESTED[0] <= numbers < TESTED[1]
