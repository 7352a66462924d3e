"""The pooled HTTP/1.1 client: requests in, callbacks out.

A :class:`Client` acts on what its host pools decide: it takes, opens, keeps and closes connections. It
retries a request once if the kept connection that carried it turned out to be closed, and checks all
timeouts with a single timer. A request on a kept connection needs no task, no future and no timer of its
own. The client knows nothing of providers or of what the bytes mean.
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
from trunkline.transport.connecting import Resolver, open_connection
from trunkline.transport.connection import Connection
from trunkline.transport.failures import TransportError, diagnose, diagnose_loss
from trunkline.transport.host_pool import HostPool, Limits
from trunkline.transport.in_flight import InFlightRequest, InFlightUpload, Sink, expired_timeout
from trunkline.transport.proxies import ProxyConfig
from trunkline.transport.request import Origin, UpstreamRequest
from trunkline.transport.response_stream import BufferedResponse, Response, ResponseStream
from trunkline.transport.route import encode_head, encode_upload_head, make_route
from trunkline.transport.states import CLOSED, CONNECTING, QUEUED, SENDING, SENT
from trunkline.transport.tls import TlsConfig, TlsContexts

FETCH_LIMIT: Final = 32 * 1024 * 1024
"""The most bytes of body that ``fetch`` reads if the request does not set a limit."""
UPLOAD_RESPONSE_LIMIT: Final = 1024 * 1024
"""The most bytes of the response to an upload that are read."""
_CHECK_INTERVAL: Final = 0.2
"""Seconds between two checks of the timeouts while requests are in flight."""
_IDLE_CHECK_INTERVAL: Final = 5.0
"""Seconds between two checks while there are only idle connections."""

_HostPool = HostPool[Connection, InFlightRequest]


class Stats(NamedTuple):
    """What a client has at this moment."""

    open: int
    """Connections that are established or being opened."""
    idle: int
    waiting: int
    """Requests that wait for a connection because all slots are taken."""
    in_flight: int
    """Requests that are not over."""


class Client:
    """A client with its connections. The gateway has one, and one for each provider with its own certificate
    authority or proxy.

    It is bound to the event loop that runs at its first ``send``.
    """

    __slots__ = (
        "_all_closed",
        "_checks_often",
        "_closed",
        "_in_flight",
        "_limits",
        "_loop",
        "_pools",
        "_proxies",
        "_resolver",
        "_timer",
        "_tls",
        "time",
    )

    def __init__(
        self,
        *,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        tls: TlsConfig | None = None,
        proxy: ProxyConfig | None = None,
        resolver: Resolver | None = None,
    ) -> None:
        """Create a client without connections.

        Args:
            limits: The limits of each host pool.
            tls: The certificate authorities that are trusted.
            proxy: The proxies. None: those of the environment.
            resolver: Chooses the address to connect to, for a caller that must check it before anything is
                sent there. None: the event loop resolves names.

        Raises:
            ValueError: the environment names a proxy that cannot be used.
        """
        self._limits = limits
        self._resolver = resolver
        self._tls = TlsContexts(tls or TlsConfig())
        self._proxies = ProxyConfig.from_environment() if proxy is None else proxy
        self._pools: dict[Origin, _HostPool] = {}
        self._in_flight: set[InFlightRequest] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._checks_often = False
        self._closed = False
        self._all_closed: asyncio.Future[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.time: Callable[[], float] = time.monotonic  # the loop's clock, once there is a loop

    @property
    def stats(self) -> Stats:
        """The numbers of connections and requests."""
        pools = self._pools.values()
        return Stats(
            sum(pool.open_count for pool in pools),
            sum(len(pool.idle) for pool in pools),
            sum(len(pool.waiting) for pool in pools),
            len(self._in_flight),
        )

    def has_proxy(self, origin: Origin) -> bool:
        """Whether ``origin`` is reached through a proxy, which then also resolves its name."""
        return self._proxies.proxy_for(origin) is not None

    def send(self, request: UpstreamRequest, sink: Sink) -> InFlightRequest:
        """Send ``request``: at once, in this call, if a kept connection is idle.

        Failures of the upstream go to ``sink.on_failure``, after this has returned.

        Raises:
            ValueError: the request cannot be sent as one HTTP/1.1 request.
        """
        if self._loop is None:
            self._bind_loop()
        pool = self._pools.get(request.origin)
        if pool is None:
            pool = self._make_pool(request.origin)
        route, now = pool.route, self.time()
        encoded = route.encoded_heads.get((request.method, request.target))
        if encoded is not None and encoded[0] is request.headers:  # the same headers as before
            head = b"%bContent-Length: %d\r\n%b" % (encoded[1], len(request.body), route.default_end)
        else:
            head = encode_head(route, request)
        if not (self._checks_often or self._closed):
            self._start_timer()
        connection = None if self._closed else pool.take_idle(now)
        in_flight = InFlightRequest(self, pool, request, head, sink, now)
        if self._closed:
            self._refuse(in_flight)
            return in_flight
        self._in_flight.add(in_flight)
        if connection is not None:
            in_flight.reused = True
            in_flight.send(connection, now)
        else:
            self._connect_or_queue(in_flight, now)
        return in_flight

    async def fetch(self, request: UpstreamRequest) -> Response:
        """Send ``request`` and wait for the whole response, of at most ``max_body`` (or FETCH_LIMIT) bytes.

        For discovery, health checks and use as a library; the data path calls ``send``.

        Raises:
            TransportError: there is no complete response.
        """
        if not request.max_body:
            request = replace(request, max_body=FETCH_LIMIT)
        response = BufferedResponse()
        in_flight = self.send(request, response)
        try:
            return await response.result
        finally:
            in_flight.cancel()

    async def stream(self, request: UpstreamRequest) -> ResponseStream:
        """Send ``request`` and wait for the head of the response, which the caller must close.

        Raises:
            TransportError: there is no response.
        """
        response = ResponseStream()
        try:
            await response.wait_head(self.send(request, response))
        except BaseException:
            response.close()
            raise
        return response

    async def upload(
        self, request: UpstreamRequest, size: int | None, pieces: AsyncIterable[bytes]
    ) -> Response:
        """Send ``request`` with a body that comes in pieces, and wait for the whole response.

        ``pieces`` is read as fast as the upstream takes the body. A response that comes before all is sent (a
        refusal) ends the upload. An upload is never sent twice. It takes a new connection if a slot is free,
        because a kept one may turn out to be closed. The request's total timeout does not apply; neither does
        any other while ``pieces`` is waited for.

        Args:
            request: Its ``body`` is ignored.
            size: Bytes of the body. None: the body is sent in chunks.
            pieces: The body.

        Raises:
            TransportError: no connection, a timeout, or no complete response.
            Exception: whatever ``pieces`` raises.
        """
        if self._loop is None:
            self._bind_loop()
        timeouts = replace(request.timeouts, total=None)
        request = replace(request, max_body=UPLOAD_RESPONSE_LIMIT, timeouts=timeouts)
        pool = self._pools.get(request.origin) or self._make_pool(request.origin)
        head = encode_upload_head(pool.route, request, size)
        response = BufferedResponse()
        now = self.time()
        upload = InFlightUpload(self, pool, request, head, response, now, chunked=size is None)
        if self._closed:
            self._refuse(upload)
        else:
            self._in_flight.add(upload)
            self._connect_or_queue(upload, now)
            if not self._checks_often:
                self._start_timer()
        try:
            await upload.send_body(pieces)
            return await response.result
        finally:
            upload.cancel()
            if response.result.done() and not response.result.cancelled():
                response.result.exception()  # counts as retrieved, even if ``pieces`` has raised

    async def aclose(self) -> None:
        """Close all connections; requests in flight fail. Returns when the last connection is closed."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for in_flight in list(self._in_flight):
            self._fail(in_flight, TransportError(failures.CLOSED, in_flight.pool.route.address))
        for pool in self._pools.values():
            for connection in pool.unused_connections():
                connection.abort()
        if self._pools:
            if self._all_closed is None:
                self._all_closed = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._all_closed)

    # Requests

    def _bind_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.time = self._loop.time

    def _refuse(self, in_flight: InFlightRequest) -> None:
        """Fail a request that was sent after the client was closed."""
        assert self._loop is not None
        sink = in_flight.abort()
        self._loop.call_soon(sink.on_failure, TransportError(failures.CLOSED, in_flight.pool.route.address))

    def abort(self, in_flight: InFlightRequest) -> None:
        """End a request without a call to its sink; its connection is closed."""
        queued = in_flight.state is QUEUED
        self._in_flight.discard(in_flight)
        in_flight.abort()
        connection, in_flight.connection = in_flight.connection, None
        if connection is not None:
            connection.in_flight = None
            connection.abort()
        elif in_flight.connect_task is not None:
            in_flight.connect_task.cancel()
        elif queued:
            in_flight.pool.stop_waiting(in_flight)

    def _fail(self, in_flight: InFlightRequest, failure: ProviderError) -> None:
        sink = in_flight.sink
        self.abort(in_flight)
        sink.on_failure(failure)

    def response_closed(self, connection: Connection, in_flight: InFlightRequest) -> None:
        """A connection has read the end of a response, or a fault in it."""
        reader = connection.reader
        if reader.fault is not None:
            self._fail(in_flight, TransportError(reader.fault, connection.pool.route.address, reader.detail))
            return
        # A server may respond before it has read the whole request. Then the rest is still to be written, and
        # the connection cannot carry another request.
        reusable = (
            reader.reusable
            and in_flight.state is not SENDING
            and not connection.transport.get_write_buffer_size()
        )
        self._in_flight.discard(in_flight)
        sink = in_flight.complete()
        in_flight.connection = connection.in_flight = None
        if in_flight.paused:
            connection.transport.resume_reading()
        if reusable:
            self._return_to_pool(connection)
        else:
            connection.abort()
        sink.on_end()

    # Connections

    def _make_pool(self, origin: Origin) -> _HostPool:
        """A pool without connections. The client keeps it when the first connection is opened."""
        return HostPool(make_route(origin, self._proxies.proxy_for(origin)), self._limits)

    def _return_to_pool(self, connection: Connection) -> None:
        now = self.time()
        waiting = connection.pool.put(connection, now, connection.reader.keep_alive)
        if waiting is not None:
            waiting.reused = True
            waiting.send(connection, now)
        elif not connection.expires_at:
            connection.abort()

    def _connect_or_queue(self, in_flight: InFlightRequest, now: float) -> None:
        """Open a connection for a request if the pool has a free slot, else have it wait."""
        pool: _HostPool = in_flight.pool
        if pool.take_slot():
            self._pools[pool.route.origin] = pool
            self._connect(in_flight, now)
            return
        connection = pool.take_idle(now)  # only an upload may find one: it wants a new connection first
        if connection is None:
            pool.waiting.append(in_flight)
        else:
            in_flight.reused = True
            in_flight.send(connection, now)

    def _connect(self, in_flight: InFlightRequest, now: float) -> None:
        """Open a connection for a request, whose slot is taken already."""
        assert self._loop is not None
        connection = Connection(self, in_flight.pool)
        task = self._loop.create_task(
            open_connection(
                in_flight.pool.route,
                connection,
                self._tls,
                in_flight.request.timeouts.connect,
                self._resolver,
            )
        )
        in_flight.connect(task, now)
        # A callback, not the last lines of the task: a task that is cancelled at its start never runs them.
        task.add_done_callback(partial(self._connected, in_flight, connection))

    def _connected(
        self, in_flight: InFlightRequest, connection: Connection, task: asyncio.Task[None]
    ) -> None:
        """Opening a connection has succeeded or failed."""
        pool = in_flight.pool
        in_flight.connect_task = None
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None and connection.closed:
            error = ConnectionResetError()  # it was closed before it could be used
        if error is not None:
            connection.abort()
            self._free_slot(pool)
            if in_flight.state is CONNECTING:
                self._fail(in_flight, diagnose(error, pool.route.address))
            return
        connection.established = True
        if in_flight.state is CONNECTING:
            in_flight.send(connection, self.time())
        elif self._closed:
            connection.abort()
        else:
            self._return_to_pool(connection)  # cancelled too late; another request may use it

    def connection_lost(self, connection: Connection, error: Exception | None) -> None:
        """A connection is closed, by either side."""
        pool, in_flight, reader = connection.pool, connection.in_flight, connection.reader
        if in_flight is None:
            pool.discard(connection)
            self._free_slot(pool)
            return
        connection.in_flight = in_flight.connection = None
        if (
            in_flight.reused
            and in_flight.retryable
            and reader.nothing_received
            and in_flight.state is SENT
            and isinstance(error, OSError | None)
        ):
            # The upstream had closed the kept connection, or closes its idle connections just now. It has not
            # begun to respond, so the request is sent again.
            in_flight.reused = False
            in_flight.sink.on_resend()
            self._connect(in_flight, self.time())
            return
        self._in_flight.discard(in_flight)
        failure: TransportError | None = None
        if error is not None:
            failure = diagnose_loss(error, pool.route.address, nothing_received=reader.nothing_received)
        else:
            reader.eof()
            if reader.fault is not None:
                failure = TransportError(reader.fault, pool.route.address, reader.detail)
        sink = in_flight.complete() if failure is None else in_flight.abort()
        self._free_slot(pool)
        if failure is None:
            sink.on_end()
        else:
            sink.on_failure(failure)

    def _free_slot(self, pool: _HostPool) -> None:
        waiting = pool.free_slot()
        if waiting is not None:
            self._connect(waiting, self.time())
        elif not pool.open_count:
            del self._pools[pool.route.origin]
            if self._all_closed is not None and not self._pools:
                self._all_closed.set_result(None)

    # Timeouts

    def _start_timer(self) -> None:
        """Check the timeouts at the interval of requests in flight from now on."""
        assert self._loop is not None
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(_CHECK_INTERVAL, self._check_timeouts)
        self._checks_often = True

    def _check_timeouts(self) -> None:
        assert self._loop is not None
        now = self.time()
        late = [
            (in_flight, expired)
            for in_flight in self._in_flight
            if (expired := expired_timeout(in_flight, now))
        ]
        # The next check is scheduled first: a sink that raises must not end the checks for all others.
        self._checks_often = bool(self._in_flight)
        if self._in_flight or self._pools:
            interval = _CHECK_INTERVAL if self._in_flight else _IDLE_CHECK_INTERVAL
            self._timer = self._loop.call_later(interval, self._check_timeouts)
        else:
            self._timer = None
        for in_flight, expired in late:
            if in_flight.state is not CLOSED:  # the failure of another one may have ended it
                address = in_flight.pool.route.address
                self._fail(in_flight, TransportError(expired.fault, address, expired.detail))
        for pool in self._pools.values():
            for connection in pool.take_expired(now):
                connection.abort()
