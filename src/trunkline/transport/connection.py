"""One connection to an upstream: it carries one request at a time and hands what it reads to the request's
sink.

Whether to reuse, retry or close is decided by the connection's :class:`ConnectionOwner`, the client. Requests
write themselves (``InFlightRequest.send``).
"""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

from trunkline.transport.host_pool import HostPool
from trunkline.transport.in_flight import InFlightRequest
from trunkline.transport.response import BODY, ResponseReader


class ConnectionOwner(Protocol):
    """The part of the client that a connection calls."""

    def time(self) -> float: ...

    def response_closed(self, connection: Connection, in_flight: InFlightRequest) -> None:
        """The response is complete, or broken (``connection.reader`` says which)."""

    def connection_lost(self, connection: Connection, error: Exception | None) -> None:
        """The connection is closed. If it carried a request, ``connection.in_flight`` still has it."""


class Connection(asyncio.Protocol):
    """One connection, from its opening to its loss."""

    __slots__ = (
        "_owner",
        "closed",
        "established",
        "expires_at",
        "in_flight",
        "pool",
        "reader",
        "transport",
        "writable",
    )

    transport: asyncio.Transport

    def __init__(self, owner: ConnectionOwner, pool: HostPool[Connection, InFlightRequest]) -> None:
        self._owner = owner
        self.pool = pool
        self.reader = ResponseReader()
        self.in_flight: InFlightRequest | None = None
        self.expires_at = 0.0
        self.established = False
        """Whether the client has taken it over; only then is it told of the loss."""
        self.closed = True
        self.writable: asyncio.Event | None = None
        """An upload's: set while the write buffer has room."""

    def abort(self) -> None:
        """Close at once. Bytes that wait to be written or read are discarded."""
        self.expires_at = 0.0
        if not self.closed:
            self.transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.closed = False

    def data_received(self, data: bytes) -> None:
        in_flight = self.in_flight
        if in_flight is None:
            self.abort()  # data on an idle connection answers no request
            return
        reader = self.reader
        body = reader.feed(data)
        if not in_flight.first_byte_at and reader.status:
            in_flight.first_byte_at = self._owner.time()
            in_flight.sink.on_head(reader)
            if self.in_flight is not in_flight:
                return
        if body:
            in_flight.sink.on_data(body)
        if reader.state > BODY and self.in_flight is in_flight:
            self._owner.response_closed(self, in_flight)

    def pause_writing(self) -> None:
        if self.writable is not None:
            self.writable.clear()

    def resume_writing(self) -> None:
        if self.writable is not None:
            self.writable.set()

    def eof_received(self) -> None:
        self.expires_at = 0.0  # the loop closes in its next turn; no new request is sent until then

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self.expires_at = 0.0
        if self.established:
            self._owner.connection_lost(self, exc)
