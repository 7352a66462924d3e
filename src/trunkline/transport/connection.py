"""One socket to an upstream: carries one flight at a time and hands what it reads to the flight's sink.

It reads and writes; whether to reuse, retry or close is decided by its :class:`ConnectionOwner`, the client.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol, cast

from trunkline.transport.host_pool import HostPool
from trunkline.transport.in_flight import SENT, InFlightRequest
from trunkline.transport.response import BODY, ResponseReader

JOIN_LIMIT: Final = 256 * 1024
"""Largest body that is copied behind its head to make one write of the two."""


class ConnectionOwner(Protocol):
    """Who keeps a connection and is told what becomes of it."""

    def time(self) -> float: ...

    def finished(self, connection: Connection, in_flight: InFlightRequest) -> None:
        """The flight's answer is complete, or broken (``connection.reader`` says which)."""

    def lost(self, connection: Connection, error: Exception | None) -> None:
        """The connection is closed; its flight, if it has one, is still on it."""


class Connection(asyncio.Protocol):
    """One connection, from its opening to its loss."""

    __slots__ = ("_owner", "closed", "established", "expires_at", "in_flight", "pool", "reader", "transport")

    transport: asyncio.Transport

    def __init__(self, owner: ConnectionOwner, pool: HostPool[Connection, InFlightRequest]) -> None:
        self._owner = owner
        self.pool = pool
        self.reader = ResponseReader()
        self.in_flight: InFlightRequest | None = None
        self.expires_at = 0.0
        self.established = False
        """Whether the client has taken it over, and so wants to hear when it is lost."""
        self.closed = True

    def start(self, in_flight: InFlightRequest, now: float) -> None:
        """Send a flight's request and read its answer."""
        request = in_flight.request
        in_flight.connection = self
        in_flight.state = SENT
        in_flight.sent_at = in_flight.since = now
        in_flight.seen = in_flight.sink.progress
        self.in_flight = in_flight
        self.reader.begin(no_body=request.method == b"HEAD", max_body=request.max_body)
        transport = self.transport
        if in_flight.paused:
            transport.pause_reading()
        if len(request.body) > JOIN_LIMIT:
            transport.write(in_flight.head)
            transport.write(request.body)
        else:
            transport.write(in_flight.head + request.body)

    def abort(self) -> None:
        """Close at once; nothing that waits to be written or read is waited for."""
        self.expires_at = 0.0
        if not self.closed:
            self.transport.abort()

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.closed = False

    def data_received(self, data: bytes) -> None:
        in_flight = self.in_flight
        if in_flight is None:
            self.abort()  # an answer to nobody's question
            return
        reader = self.reader
        body = reader.feed(data)
        if not in_flight.first_byte_at and reader.status:
            in_flight.first_byte_at = self._owner.time()
            in_flight.sink.on_head(reader.status, reader.headers)
            if self.in_flight is not in_flight:
                return
        if body:
            in_flight.sink.on_data(body)
        if reader.state > BODY and self.in_flight is in_flight:
            self._owner.finished(self, in_flight)

    def eof_received(self) -> None:
        self.expires_at = 0.0  # the close follows with the next turn of the loop: no new flight until then

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self.expires_at = 0.0
        if self.established:
            self._owner.lost(self, exc)
