"""The pooled HTTP/1.1 client: requests in, callbacks out.

A :class:`Client` does what the pool's lanes decide: it takes, opens, keeps and closes connections, retries a
flight once whose kept connection turned out to be dead, and looks after all deadlines with a single timer. A
flight on a kept connection needs no task, no future and no timer. It does not know providers, dialects or
what the bytes mean.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, Callable
from dataclasses import replace
from functools import partial
from typing import Final, NamedTuple

from trunkline.errors import ProviderError
from trunkline.transport import failures
from trunkline.transport.connecting import Dial, open_connection
from trunkline.transport.connection import Connection
from trunkline.transport.failures import TransportError, cut_off, diagnose
from trunkline.transport.host_pool import Lane, Limits
from trunkline.transport.in_flight import CONNECTING, OVER, SENT, SILENCE, WAITING, Flight, Sink, overdue
from trunkline.transport.proxies import ProxyConfig
from trunkline.transport.request import Origin, UpstreamRequest
from trunkline.transport.response_stream import Incoming
from trunkline.transport.route import encode_head, make_route
from trunkline.transport.tls import TlsConfig, TlsContexts
from trunkline.transport.upload import upload

FETCH_LIMIT: Final = 32 * 1024 * 1024
"""Most bytes of body that ``fetch`` takes when the request does not say."""
_SWEEP: Final = 0.2
"""Seconds between two looks at the deadlines while something is in flight."""
_SWEEP_IDLE: Final = 5.0
"""Seconds between two looks while there are only idle connections."""

_Lane = Lane[Connection, Flight]


class Response(NamedTuple):
    """A whole answer."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Stats(NamedTuple):
    """What a client holds at this moment."""

    open: int
    """Connections that stand or are being opened."""
    idle: int
    waiting: int
    """Flights without a connection, because all slots are taken."""
    flights: int
    """Flights that are not over."""


class Client:
    """One for the gateway, and one for each provider that has its own authority or proxy.

    Bound to the event loop that runs at its first ``send``.
    """

    __slots__ = (
        "_closed",
        "_dial",
        "_emptied",
        "_flights",
        "_lanes",
        "_limits",
        "_loop",
        "_proxies",
        "_timer",
        "_tls",
        "_watching",
        "time",
    )

    def __init__(
        self,
        *,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        tls: TlsConfig | None = None,
        proxy: ProxyConfig | None = None,
        dial: Dial | None = None,
    ) -> None:
        """``proxy`` None: as the environment says. Raises ValueError if that says something unusable.
        ``dial`` names the address to connect to, for whoever must know it before anything is sent there."""
        self._limits = limits
        self._dial = dial
        self._tls = TlsContexts(tls or TlsConfig())
        self._proxies = ProxyConfig.from_environment() if proxy is None else proxy
        self._lanes: dict[Origin, _Lane] = {}
        self._flights: set[Flight] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._watching = False
        self._closed = False
        self._emptied: asyncio.Future[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.time: Callable[[], float] = time.monotonic  # the loop's clock, once there is a loop

    @property
    def stats(self) -> Stats:
        lanes = self._lanes.values()
        return Stats(
            sum(lane.open for lane in lanes),
            sum(len(lane.idle) for lane in lanes),
            sum(len(lane.waiting) for lane in lanes),
            len(self._flights),
        )

    def send(self, request: UpstreamRequest, sink: Sink) -> Flight:
        """Send ``request``: at once, in this call, if a kept connection is free.

        Trouble with the upstream goes to ``sink.on_failure``, after this has returned. Raises ValueError for
        a request that cannot be put on the wire.
        """
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self.time = self._loop.time
        lane = self._lanes.get(request.origin)
        if lane is None:
            lane = Lane(make_route(request.origin, self._proxies.choose(request.origin)), self._limits)
        head = encode_head(lane.route, request)
        now = self.time()
        flight = Flight(self, lane, request, head, sink, now)
        if self._closed:
            flight.state = OVER
            self._loop.call_soon(sink.on_failure, TransportError(failures.CLOSED, lane.route.address))
            return flight
        self._flights.add(flight)
        connection = lane.take(now)
        if connection is not None:
            flight.reused = True
            connection.start(flight, now)
        elif lane.take_slot():
            self._lanes[request.origin] = lane
            self._connect(flight, now)
        else:
            lane.waiting.append(flight)
        if not self._watching:
            self._watch()
        return flight

    async def fetch(self, request: UpstreamRequest) -> Response:
        """The whole answer to ``request``, of at most ``max_body`` (or FETCH_LIMIT) bytes. For discovery,
        health and library use; the data path sends. Raises TransportError."""
        if not request.max_body:
            request = replace(request, max_body=FETCH_LIMIT)
        incoming = await self.stream(request)
        try:
            return Response(incoming.status, incoming.headers, await incoming.body.read())
        finally:
            incoming.close()

    async def stream(self, request: UpstreamRequest) -> Incoming:
        """The answer to ``request`` from when its head is there; to be closed. Raises TransportError."""
        incoming = Incoming()
        try:
            await incoming.head(self.send(request, incoming))
        except BaseException:
            incoming.close()
            raise
        return incoming

    async def upload(
        self, request: UpstreamRequest, size: int | None, pieces: AsyncIterable[bytes]
    ) -> Response:
        """The answer to ``request`` with a body of ``size`` bytes that come in pieces; without a size it is
        sent in chunks. Raises TransportError, and whatever ``pieces`` raises."""
        route = make_route(request.origin, self._proxies.choose(request.origin))

        def connect(wire: asyncio.Protocol) -> asyncio.Task[None]:
            opening = open_connection(route, wire, self._tls, request.timeouts.connect, self._dial)
            return asyncio.ensure_future(opening)

        return Response(*await upload(route, request, size, pieces, connect))

    async def aclose(self) -> None:
        """Close everything; what is in flight fails. Returns when the last connection is gone."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for flight in list(self._flights):
            self._fail(flight, TransportError(failures.CLOSED, flight.lane.route.address))
        for lane in self._lanes.values():
            for connection in lane.everything():
                connection.abort()
        if self._lanes:
            if self._emptied is None:
                self._emptied = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._emptied)

    # Flights

    def drop(self, flight: Flight) -> None:
        """End a flight without a word to its sink."""
        state = flight.state
        self._land(flight)
        connection, flight.connection = flight.connection, None
        if connection is not None:
            connection.flight = None
            connection.abort()
        elif flight.opener is not None:
            flight.opener.cancel()
        elif state == WAITING:
            flight.lane.withdraw(flight)

    def _fail(self, flight: Flight, failure: ProviderError) -> None:
        sink = flight.sink
        self.drop(flight)
        sink.on_failure(failure)

    def _land(self, flight: Flight) -> Sink:
        """A flight is over. Who still has to hear it is returned, and let go: sinks know their flights, and
        such a circle would be left to the garbage collector with every request."""
        self._flights.discard(flight)
        flight.state = OVER
        sink, flight.sink = flight.sink, SILENCE
        return sink

    def finished(self, connection: Connection, flight: Flight) -> None:
        """A connection has read the end of an answer, or a fault in it."""
        reader = connection.reader
        if reader.fault is not None:
            self._fail(flight, TransportError(reader.fault, connection.lane.route.address, reader.detail))
            return
        sink = self._land(flight)
        flight.connection = connection.flight = None
        if flight.paused:
            connection.transport.resume_reading()
        # A server may answer before it has read the whole request; then the rest of that is in the way.
        if reader.reusable and not connection.transport.get_write_buffer_size():
            self._keep(connection)
        else:
            connection.abort()
        sink.on_end()

    # Connections

    def _keep(self, connection: Connection) -> None:
        now = self.time()
        heir = connection.lane.put(connection, now, connection.reader.keep_alive)
        if heir is not None:
            heir.reused = True
            connection.start(heir, now)
        elif not connection.expires_at:
            connection.abort()

    def _connect(self, flight: Flight, now: float) -> None:
        """Open a connection for a flight; its lane's slot is taken already."""
        assert self._loop is not None
        connection = Connection(self, flight.lane)
        flight.state = CONNECTING
        flight.since = now
        flight.opener = self._loop.create_task(
            open_connection(
                flight.lane.route, connection, self._tls, flight.request.timeouts.connect, self._dial
            )
        )
        # A callback, not the task's own last lines: those are never reached if it is cancelled at its start.
        flight.opener.add_done_callback(partial(self._opened, flight, connection))

    def _opened(self, flight: Flight, connection: Connection, opener: asyncio.Task[None]) -> None:
        lane = flight.lane
        flight.opener = None
        error = asyncio.CancelledError() if opener.cancelled() else opener.exception()
        if error is None and connection.closed:
            error = ConnectionResetError()  # it stood, and fell before anybody could use it
        if error is not None:
            connection.abort()
            self._free_slot(lane)
            if flight.state == CONNECTING:
                self._fail(flight, diagnose(error, lane.route.address))
            return
        connection.established = True
        if flight.state == CONNECTING:
            connection.start(flight, self.time())
        elif self._closed:
            connection.abort()
        else:
            self._keep(connection)  # cancelled too late; another may use it

    def lost(self, connection: Connection, error: Exception | None) -> None:
        """A connection is closed, by either side."""
        lane, flight, reader = connection.lane, connection.flight, connection.reader
        if flight is None:
            lane.lose(connection)
            self._free_slot(lane)
            return
        connection.flight = flight.connection = None
        if flight.reused and reader.untouched and flight.state == SENT and isinstance(error, OSError | None):
            # The upstream had closed it, or closes idle connections just now: nothing was lost but time.
            flight.reused = False
            self._connect(flight, self.time())
            return
        sink = self._land(flight)
        self._free_slot(lane)
        if error is not None:
            sink.on_failure(cut_off(error, lane.route.address, untouched=reader.untouched))
            return
        reader.eof()
        if reader.fault is None:
            sink.on_end()
        else:
            sink.on_failure(TransportError(reader.fault, lane.route.address, reader.detail))

    def _free_slot(self, lane: _Lane) -> None:
        heir = lane.free_slot()
        if heir is not None:
            self._connect(heir, self.time())
        elif not lane.open:
            del self._lanes[lane.route.origin]
            if self._emptied is not None and not self._lanes:
                self._emptied.set_result(None)

    # Time

    def _watch(self) -> None:
        """From idle pace to the pace of flights."""
        assert self._loop is not None
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(_SWEEP, self._sweep)
        self._watching = True

    def _sweep(self) -> None:
        assert self._loop is not None
        now = self.time()
        late = [(flight, due) for flight in self._flights if (due := overdue(flight, now))]
        # The next look is arranged first: a sink that raises must not stop the clock for all others.
        self._watching = bool(self._flights)
        if self._flights or self._lanes:
            self._timer = self._loop.call_later(_SWEEP if self._flights else _SWEEP_IDLE, self._sweep)
        else:
            self._timer = None
        for flight, (fault, seconds) in late:
            if flight.state != OVER:  # an earlier one's failure may have ended it
                self._fail(flight, TransportError(fault, flight.lane.route.address, seconds))
        for lane in self._lanes.values():
            for connection in lane.expire(now):
                connection.abort()
