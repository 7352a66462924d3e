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
from trunkline.transport.host_pool import HostPool, Limits
from trunkline.transport.in_flight import (
    CONNECTING,
    OVER,
    SENT,
    SILENCE,
    WAITING,
    InFlightRequest,
    Sink,
    overdue,
)
from trunkline.transport.proxies import ProxyConfig
from trunkline.transport.request import Origin, UpstreamRequest
from trunkline.transport.response_stream import ResponseStream
from trunkline.transport.route import encode_head, make_route
from trunkline.transport.tls import TlsConfig, TlsContexts
from trunkline.transport.upload import upload

FETCH_LIMIT: Final = 32 * 1024 * 1024
"""Most bytes of body that ``fetch`` takes when the request does not say."""
_SWEEP: Final = 0.2
"""Seconds between two looks at the deadlines while something is in flight."""
_SWEEP_IDLE: Final = 5.0
"""Seconds between two looks while there are only idle connections."""

_HostPool = HostPool[Connection, InFlightRequest]


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
    in_flight: int
    """Flights that are not over."""


class Client:
    """One for the gateway, and one for each provider that has its own authority or proxy.

    Bound to the event loop that runs at its first ``send``.
    """

    __slots__ = (
        "_closed",
        "_dial",
        "_emptied",
        "_in_flight",
        "_limits",
        "_loop",
        "_pools",
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
        self._pools: dict[Origin, _HostPool] = {}
        self._in_flight: set[InFlightRequest] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._watching = False
        self._closed = False
        self._emptied: asyncio.Future[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.time: Callable[[], float] = time.monotonic  # the loop's clock, once there is a loop

    @property
    def stats(self) -> Stats:
        pools = self._pools.values()
        return Stats(
            sum(pool.open for pool in pools),
            sum(len(pool.idle) for pool in pools),
            sum(len(pool.waiting) for pool in pools),
            len(self._in_flight),
        )

    def send(self, request: UpstreamRequest, sink: Sink) -> InFlightRequest:
        """Send ``request``: at once, in this call, if a kept connection is free.

        Trouble with the upstream goes to ``sink.on_failure``, after this has returned. Raises ValueError for
        a request that cannot be put on the wire.
        """
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self.time = self._loop.time
        pool = self._pools.get(request.origin)
        if pool is None:
            pool = HostPool(make_route(request.origin, self._proxies.choose(request.origin)), self._limits)
        head = encode_head(pool.route, request)
        now = self.time()
        in_flight = InFlightRequest(self, pool, request, head, sink, now)
        if self._closed:
            in_flight.state = OVER
            self._loop.call_soon(sink.on_failure, TransportError(failures.CLOSED, pool.route.address))
            return in_flight
        self._in_flight.add(in_flight)
        connection = pool.take(now)
        if connection is not None:
            in_flight.reused = True
            connection.start(in_flight, now)
        elif pool.take_slot():
            self._pools[request.origin] = pool
            self._connect(in_flight, now)
        else:
            pool.waiting.append(in_flight)
        if not self._watching:
            self._watch()
        return in_flight

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

    async def stream(self, request: UpstreamRequest) -> ResponseStream:
        """The answer to ``request`` from when its head is there; to be closed. Raises TransportError."""
        incoming = ResponseStream()
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
        for in_flight in list(self._in_flight):
            self._fail(in_flight, TransportError(failures.CLOSED, in_flight.pool.route.address))
        for pool in self._pools.values():
            for connection in pool.everything():
                connection.abort()
        if self._pools:
            if self._emptied is None:
                self._emptied = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._emptied)

    # Flights

    def drop(self, in_flight: InFlightRequest) -> None:
        """End a flight without a word to its sink."""
        state = in_flight.state
        self._land(in_flight)
        connection, in_flight.connection = in_flight.connection, None
        if connection is not None:
            connection.in_flight = None
            connection.abort()
        elif in_flight.opener is not None:
            in_flight.opener.cancel()
        elif state == WAITING:
            in_flight.pool.withdraw(in_flight)

    def _fail(self, in_flight: InFlightRequest, failure: ProviderError) -> None:
        sink = in_flight.sink
        self.drop(in_flight)
        sink.on_failure(failure)

    def _land(self, in_flight: InFlightRequest) -> Sink:
        """A flight is over. Who still has to hear it is returned, and let go: sinks know their flights, and
        such a circle would be left to the garbage collector with every request."""
        self._in_flight.discard(in_flight)
        in_flight.state = OVER
        sink, in_flight.sink = in_flight.sink, SILENCE
        return sink

    def finished(self, connection: Connection, in_flight: InFlightRequest) -> None:
        """A connection has read the end of an answer, or a fault in it."""
        reader = connection.reader
        if reader.fault is not None:
            self._fail(in_flight, TransportError(reader.fault, connection.pool.route.address, reader.detail))
            return
        sink = self._land(in_flight)
        in_flight.connection = connection.in_flight = None
        if in_flight.paused:
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
        heir = connection.pool.put(connection, now, connection.reader.keep_alive)
        if heir is not None:
            heir.reused = True
            connection.start(heir, now)
        elif not connection.expires_at:
            connection.abort()

    def _connect(self, in_flight: InFlightRequest, now: float) -> None:
        """Open a connection for a flight; its lane's slot is taken already."""
        assert self._loop is not None
        connection = Connection(self, in_flight.pool)
        in_flight.state = CONNECTING
        in_flight.since = now
        in_flight.opener = self._loop.create_task(
            open_connection(
                in_flight.pool.route, connection, self._tls, in_flight.request.timeouts.connect, self._dial
            )
        )
        # A callback, not the task's own last lines: those are never reached if it is cancelled at its start.
        in_flight.opener.add_done_callback(partial(self._opened, in_flight, connection))

    def _opened(self, in_flight: InFlightRequest, connection: Connection, opener: asyncio.Task[None]) -> None:
        pool = in_flight.pool
        in_flight.opener = None
        error = asyncio.CancelledError() if opener.cancelled() else opener.exception()
        if error is None and connection.closed:
            error = ConnectionResetError()  # it stood, and fell before anybody could use it
        if error is not None:
            connection.abort()
            self._free_slot(pool)
            if in_flight.state == CONNECTING:
                self._fail(in_flight, diagnose(error, pool.route.address))
            return
        connection.established = True
        if in_flight.state == CONNECTING:
            connection.start(in_flight, self.time())
        elif self._closed:
            connection.abort()
        else:
            self._keep(connection)  # cancelled too late; another may use it

    def lost(self, connection: Connection, error: Exception | None) -> None:
        """A connection is closed, by either side."""
        pool, in_flight, reader = connection.pool, connection.in_flight, connection.reader
        if in_flight is None:
            pool.lose(connection)
            self._free_slot(pool)
            return
        connection.in_flight = in_flight.connection = None
        if (
            in_flight.reused
            and reader.untouched
            and in_flight.state == SENT
            and isinstance(error, OSError | None)
        ):
            # The upstream had closed it, or closes idle connections just now: nothing was lost but time.
            in_flight.reused = False
            self._connect(in_flight, self.time())
            return
        sink = self._land(in_flight)
        self._free_slot(pool)
        if error is not None:
            sink.on_failure(cut_off(error, pool.route.address, untouched=reader.untouched))
            return
        reader.eof()
        if reader.fault is None:
            sink.on_end()
        else:
            sink.on_failure(TransportError(reader.fault, pool.route.address, reader.detail))

    def _free_slot(self, pool: _HostPool) -> None:
        heir = pool.free_slot()
        if heir is not None:
            self._connect(heir, self.time())
        elif not pool.open:
            del self._pools[pool.route.origin]
            if self._emptied is not None and not self._pools:
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
        late = [(in_flight, due) for in_flight in self._in_flight if (due := overdue(in_flight, now))]
        # The next look is arranged first: a sink that raises must not stop the clock for all others.
        self._watching = bool(self._in_flight)
        if self._in_flight or self._pools:
            self._timer = self._loop.call_later(_SWEEP if self._in_flight else _SWEEP_IDLE, self._sweep)
        else:
            self._timer = None
        for in_flight, (fault, seconds) in late:
            if in_flight.state != OVER:  # an earlier one's failure may have ended it
                self._fail(in_flight, TransportError(fault, in_flight.pool.route.address, seconds))
        for pool in self._pools.values():
            for connection in pool.expire(now):
                connection.abort()
