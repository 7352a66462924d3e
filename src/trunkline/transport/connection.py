"""One socket to an upstream: carries one flight at a time and hands what it reads to the flight's sink.

It reads and writes; whether to reuse, retry or close is decided by its :class:`Owner`, the client.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol, cast

from trunkline.transport.host_pool import Lane
from trunkline.transport.in_flight import SENT, Flight
from trunkline.transport.response import BODY, ResponseReader

JOIN_LIMIT: Final = 256 * 1024
"""Largest body that is copied behind its head to make one write of the two."""


class Owner(Protocol):
    """Who keeps a connection and is told what becomes of it."""

    def time(self) -> float: ...

    def finished(self, connection: Connection, flight: Flight) -> None:
        """The flight's answer is complete, or broken (``connection.reader`` says which)."""

    def lost(self, connection: Connection, error: Exception | None) -> None:
        """The connection is closed; its flight, if it has one, is still on it."""


class Connection(asyncio.Protocol):
    """One connection, from its opening to its loss."""

    __slots__ = ("_owner", "closed", "established", "expires_at", "flight", "lane", "reader", "transport")

    transport: asyncio.Transport

    def __init__(self, owner: Owner, lane: Lane[Connection, Flight]) -> None:
        self._owner = owner
        self.lane = lane
        self.reader = ResponseReader()
        self.flight: Flight | None = None
        self.expires_at = 0.0
        self.established = False
        """Whether the client has taken it over, and so wants to hear when it is lost."""
        self.closed = True

    def start(self, flight: Flight, now: float) -> None:
        """Send a flight's request and read its answer."""
        request = flight.request
        flight.connection = self
        flight.state = SENT
        flight.sent_at = flight.since = now
        flight.seen = flight.sink.progress
        self.flight = flight
        self.reader.begin(no_body=request.method == b"HEAD", max_body=request.max_body)
        transport = self.transport
        if flight.paused:
            transport.pause_reading()
        if len(request.body) > JOIN_LIMIT:
            transport.write(flight.head)
            transport.write(request.body)
        else:
            transport.write(flight.head + request.body)

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
        flight = self.flight
        if flight is None:
            self.abort()  # an answer to nobody's question
            return
        reader = self.reader
        body = reader.feed(data)
        if not flight.first_byte_at and reader.status:
            flight.first_byte_at = self._owner.time()
            flight.sink.on_head(reader.status, reader.headers)
            if self.flight is not flight:
                return
        if body:
            flight.sink.on_data(body)
        if reader.state > BODY and self.flight is flight:
            self._owner.finished(self, flight)

    def eof_received(self) -> None:
        self.expires_at = 0.0  # the close follows with the next turn of the loop: no new flight until then

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self.expires_at = 0.0
        if self.established:
            self._owner.lost(self, exc)
