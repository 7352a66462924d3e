"""One request on its way to an upstream: its states, what its caller may do with it, and its timeouts.

``Client.send`` takes a :class:`Sink` and returns an :class:`InFlightRequest`. All changes of its state are
made here, by the table in ``states.py``. Which connection carries the request, and what happens to that
connection afterwards, is decided by the client (:class:`InFlightOwner`). Times are those of the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from typing import Any, ClassVar, Final, NamedTuple, Protocol

from trunkline.errors import ProviderError
from trunkline.transport import failures
from trunkline.transport.failures import Fault
from trunkline.transport.host_pool import HostPool
from trunkline.transport.request import UpstreamRequest
from trunkline.transport.response import ResponseReader
from trunkline.transport.states import (
    ABORT,
    CLOSED,
    CONNECT,
    CONNECTING,
    DRAINING,
    QUEUED,
    RECEIVE_END,
    RELEASE,
    SEND_END,
    SEND_HEAD,
    SEND_REQUEST,
    SENDING,
    SENT,
    TRANSITIONS,
    State,
)

DRAIN_TIMEOUT: Final = 1.0
"""Seconds that a released request has for the rest of its response."""
JOIN_LIMIT: Final = 256 * 1024
"""The largest body, in bytes, that is copied behind its head so that one write sends both."""

_ON_CONNECT: Final = TRANSITIONS[CONNECT]
_ON_SEND_REQUEST: Final = TRANSITIONS[SEND_REQUEST]
_ON_SEND_HEAD: Final = TRANSITIONS[SEND_HEAD]
_ON_SEND_END: Final = TRANSITIONS[SEND_END]
_ON_RELEASE: Final = TRANSITIONS[RELEASE]
_ON_RECEIVE_END: Final = TRANSITIONS[RECEIVE_END]
_ON_ABORT: Final = TRANSITIONS[ABORT]


class ResponseHead(Protocol):
    """The head of a response, as a sink is shown it; it holds during that call only."""

    status: int

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Names are in lower case. They are split when they are first asked for."""


class Sink(Protocol):
    """What a response is delivered to, by synchronous calls on the event loop.

    After ``on_end`` or ``on_failure`` no other method is called. Exactly one of the two is called, unless the
    request was cancelled or released. A method may cancel, pause, resume or release its request; it must not
    raise.
    """

    progress: int
    """The sink raises it with every real record. The transport only reads it: until it has changed for the
    first time, the first byte is outstanding; each change starts the idle time anew."""

    def on_resend(self) -> None:
        """The kept connection was closed before a response began, and the request is sent again."""

    def on_head(self, head: ResponseHead) -> None:
        """The head of the final response. Interim (1xx) responses are not shown."""

    def on_data(self, data: bytes) -> None:
        """The next bytes of the body, dechunked and decompressed; at most one call for each read."""

    def on_end(self) -> None:
        """The response is complete."""

    def on_failure(self, failure: ProviderError) -> None:
        """There will be no (further) response. ``failure`` is a :class:`.failures.TransportError`."""


class InFlightOwner(Protocol):
    """The part of the client that an in-flight request calls."""

    def abort(self, in_flight: InFlightRequest) -> None:
        """End the request without a call to its sink."""

    def time(self) -> float: ...


class RequestConnection(Protocol):
    """The part of a connection that an in-flight request uses. ``connection.py`` has the class."""

    transport: asyncio.Transport
    reader: ResponseReader
    in_flight: InFlightRequest | None
    writable: asyncio.Event | None

    def abort(self) -> None: ...


class _NullSink:
    """Ignores the response. Takes the place of a sink that must not be called any more."""

    __slots__ = ("progress",)

    def __init__(self) -> None:
        self.progress = 0

    def on_resend(self) -> None: ...

    def on_head(self, head: ResponseHead) -> None: ...

    def on_data(self, data: bytes) -> None: ...

    def on_end(self) -> None: ...

    def on_failure(self, failure: ProviderError) -> None: ...


_NULL_SINK: Final[Sink] = _NullSink()


class InFlightRequest:
    """A request that was sent, or is about to be. ``Client.send`` creates it."""

    __slots__ = (
        "_owner",
        "connect_task",
        "connection",
        "deadline",
        "first_byte_at",
        "has_progressed",
        "head",
        "last_progress",
        "last_unsent",
        "paused",
        "pool",
        "request",
        "reused",
        "sent_at",
        "silent_since",
        "sink",
        "state",
    )

    retryable: ClassVar[bool] = True
    """Whether it may be sent again if the kept connection that carries it turns out to be closed."""

    reused: bool
    """Whether a kept connection carries it. Becomes False when that turns out to be closed and a new one is
    opened."""
    sent_at: float
    """When the request was written; 0 before."""
    first_byte_at: float
    """When the head of the response was complete; 0 before."""

    def __init__(
        self,
        owner: InFlightOwner,
        pool: HostPool[Any, InFlightRequest],
        request: UpstreamRequest,
        head: bytes,
        sink: Sink,
        now: float,
    ) -> None:
        self._owner = owner
        self.pool = pool
        self.request = request
        self.head = head
        self.sink = sink
        self.state: State = QUEUED
        self.silent_since = now  # when the present phase, or the present silence of the upstream, began
        total = request.timeouts.total
        self.deadline = None if total is None else now + total
        self.last_progress = 0  # the sink's progress at the last check of the timeouts
        self.has_progressed = False  # whether that has ever changed
        self.last_unsent = 0  # bytes in the write buffer at the last check of the timeouts
        self.connection: RequestConnection | None = None
        self.connect_task: asyncio.Task[None] | None = None
        self.reused = False
        self.paused = False
        self.sent_at = 0.0
        self.first_byte_at = 0.0

    @property
    def sent(self) -> bool:
        """Whether the request was written."""
        return self.sent_at > 0.0

    # What its caller does

    def cancel(self) -> None:
        """Close the connection at once, unless the response is already complete. The sink is not called."""
        if self.state is not CLOSED:
            self._owner.abort(self)

    def pause(self) -> None:
        """Stop reading. Bytes that have been read already may still be delivered."""
        if not self.paused and self.state is not CLOSED and self.state is not DRAINING:
            self.paused = True
            if self.connection is not None:
                self.connection.transport.pause_reading()

    def resume(self) -> None:
        """Continue to read."""
        if self.paused:
            self.paused = False
            if self.connection is not None:
                self.connection.transport.resume_reading()
                self.silent_since = self._owner.time()

    def release(self) -> None:
        """Stop calling the sink, which needs no more. The connection is kept if the response ends within a
        second, else it is closed."""
        if self.state is SENT:
            self.resume()
            self.sink = _NULL_SINK
            self.state = _ON_RELEASE[self.state]
            self.silent_since = self._owner.time()
        elif self.state is not CLOSED and self.state is not DRAINING:
            self._owner.abort(self)

    # What the client does

    def connect(self, task: asyncio.Task[None], now: float) -> None:
        """``task`` has begun to open a connection for the request."""
        self.state = _ON_CONNECT[self.state]
        self.silent_since = now
        self.connect_task = task

    def send(self, connection: RequestConnection, now: float) -> None:
        """Write the request to ``connection``, and have its response read there."""
        self.state = _ON_SEND_REQUEST[self.state]
        request = self.request
        self.connection = connection
        self.sent_at = self.silent_since = now
        self.last_progress = self.sink.progress
        connection.in_flight = self
        connection.reader.begin(no_body=request.method == b"HEAD", max_body=request.max_body)
        transport = connection.transport
        if self.paused:
            transport.pause_reading()
        if len(request.body) > JOIN_LIMIT:
            transport.write(self.head)
            transport.write(request.body)
        else:
            transport.write(self.head + request.body)

    def complete(self) -> Sink:
        """The response has ended. See :meth:`abort` for the sink that is returned."""
        self.state = _ON_RECEIVE_END[self.state]
        sink, self.sink = self.sink, _NULL_SINK
        return sink

    def abort(self) -> Sink:
        """The request was cancelled or has failed.

        Returns:
            The sink, for a last call. The request itself lets go of it: a sink refers to its request, and
            such a reference cycle would be left to the garbage collector with every request.
        """
        self.state = _ON_ABORT[self.state]
        sink, self.sink = self.sink, _NULL_SINK
        return sink


class InFlightUpload(InFlightRequest):
    """A request whose body comes in pieces, which are written as fast as the upstream takes them.

    It is never sent twice, because pieces that were written are not kept.
    """

    __slots__ = ("_chunked", "_writable")

    retryable: ClassVar[bool] = False

    def __init__(
        self,
        owner: InFlightOwner,
        pool: HostPool[Any, InFlightRequest],
        request: UpstreamRequest,
        head: bytes,
        sink: Sink,
        now: float,
        *,
        chunked: bool,
    ) -> None:
        """``chunked``: the head announces chunks instead of a length."""
        super().__init__(owner, pool, request, head, sink, now)
        self._chunked = chunked
        self._writable = asyncio.Event()

    async def send_body(self, pieces: AsyncIterable[bytes]) -> None:
        """Write the body, after waiting for a connection. Returns early if the request is over before.

        It is over when it has failed, or when the upstream has answered before all was sent.
        """
        await self._writable.wait()
        iterator = aiter(pieces)
        while self._is_sending():
            piece = await anext(iterator, None)
            if not self._is_sending():
                break
            if piece is None:
                self._write_end()
            elif piece:
                self._write(b"%x\r\n%b\r\n" % (len(piece), piece) if self._chunked else piece)
                await self._writable.wait()

    def _is_sending(self) -> bool:
        return self.state is SENDING

    def _write(self, data: bytes) -> None:
        assert self.connection is not None
        self.connection.transport.write(data)

    def _write_end(self) -> None:
        self.state = _ON_SEND_END[self.state]
        self.silent_since = self._owner.time()
        if self._chunked:
            self._write(b"0\r\n\r\n")

    @property
    def is_blocked(self) -> bool:
        """Whether the upstream has to take some of what was written before more is."""
        return not self._writable.is_set()

    def send(self, connection: RequestConnection, now: float) -> None:
        """Write the head to ``connection``, and have the response read there."""
        self.state = _ON_SEND_HEAD[self.state]
        self.connection = connection
        self.sent_at = self.silent_since = now
        self.last_progress = self.sink.progress
        connection.in_flight = self
        connection.reader.begin(max_body=self.request.max_body)
        if self.paused:
            connection.transport.pause_reading()
        self._writable.set()
        connection.writable = self._writable
        connection.transport.write(self.head)

    def complete(self) -> Sink:
        self._stop_writing()
        return super().complete()

    def abort(self) -> Sink:
        self._stop_writing()
        return super().abort()

    def _stop_writing(self) -> None:
        if self.connection is not None:
            self.connection.writable = None
        self._writable.set()


class ExpiredTimeout(NamedTuple):
    """A timeout that has passed."""

    fault: Fault
    seconds: float
    name: str
    """What the caller calls it; empty if it has no name."""

    @property
    def detail(self) -> str:
        """The ``{detail}`` of the fault's text."""
        return f"{self.seconds:g} s ({self.name})" if self.name else f"{self.seconds:g} s"


def expired_timeout(in_flight: InFlightRequest, now: float) -> ExpiredTimeout | None:
    """The timeout that has passed, if one has. Remembers the progress for the next check."""
    timeouts = in_flight.request.timeouts
    names = timeouts.names
    state = in_flight.state
    if state is DRAINING:
        expired = now - in_flight.silent_since >= DRAIN_TIMEOUT
        return ExpiredTimeout(failures.IDLE_TIMEOUT, DRAIN_TIMEOUT, "") if expired else None
    if in_flight.deadline is not None and now >= in_flight.deadline:
        return ExpiredTimeout(failures.TOTAL_TIMEOUT, timeouts.total or 0.0, names.total)
    if state is SENT:
        progress = in_flight.sink.progress
        if progress != in_flight.last_progress:
            in_flight.last_progress = progress
            in_flight.has_progressed = True
            in_flight.silent_since = now
            return None
        if in_flight.paused:
            in_flight.silent_since = now
            return None
        if not in_flight.has_progressed and _takes_more(in_flight):
            in_flight.silent_since = now
            return None
        fault, limit, name = (
            (failures.IDLE_TIMEOUT, timeouts.idle, names.idle)
            if in_flight.has_progressed
            else (failures.FIRST_BYTE_TIMEOUT, timeouts.first_byte, names.first_byte)
        )
    elif state is SENDING:
        assert isinstance(in_flight, InFlightUpload)
        if _takes_more(in_flight) or not in_flight.is_blocked:  # not blocked: the next piece is waited for
            in_flight.silent_since = now
            return None
        fault, limit, name = failures.IDLE_TIMEOUT, timeouts.idle, names.idle
    elif state is CONNECTING:
        fault, limit, name = failures.CONNECT_TIMEOUT, timeouts.connect, names.connect
    else:
        fault, limit, name = failures.BUSY, timeouts.queue, names.queue
    return ExpiredTimeout(fault, limit, name) if now - in_flight.silent_since >= limit else None


def _takes_more(in_flight: InFlightRequest) -> bool:
    """Whether the upstream has taken bytes of the request since the last check: then it is not silent."""
    if in_flight.connection is None:
        return False
    unsent = in_flight.connection.transport.get_write_buffer_size()
    changed = unsent != in_flight.last_unsent
    in_flight.last_unsent = unsent
    return changed
