"""Responses for coroutines: read piece by piece, or as a whole.

The data path is called back through a :class:`Sink`. What is not on it (model management, discovery, health
checks) awaits.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from trunkline.errors import ProviderError
from trunkline.pipe import Pipe
from trunkline.transport.in_flight import InFlightRequest, ResponseHead


class Response(NamedTuple):
    """A whole response."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class ResponseStream:
    """One response: a ``Sink`` for the transport, and a body to iterate over for a coroutine. Must be
    closed."""

    __slots__ = ("_head_received", "_in_flight", "body", "headers", "progress", "status")

    def __init__(self) -> None:
        self.progress = 0
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = Pipe(self._pause, self._resume)
        """Iterating raises TransportError where the response breaks off."""
        self._in_flight: InFlightRequest | None = None
        self._head_received: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def wait_head(self, in_flight: InFlightRequest) -> None:
        """Wait for the status and headers of ``in_flight``, whose sink this is.

        Raises:
            TransportError: there is no response.
        """
        self._in_flight = in_flight
        await self._head_received

    def close(self) -> None:
        """Cancel the request, unless the response is already complete."""
        if self._in_flight is not None:
            self._in_flight.cancel()

    def _pause(self) -> None:
        if self._in_flight is not None:
            self._in_flight.pause()

    def _resume(self) -> None:
        if self._in_flight is not None:
            self._in_flight.resume()

    # Sink

    def on_resend(self) -> None: ...

    def on_head(self, head: ResponseHead) -> None:
        self.status = head.status
        self.headers = head.headers
        if not self._head_received.done():  # the coroutine that waits may be cancelled
            self._head_received.set_result(None)

    def on_data(self, data: bytes) -> None:
        self.progress += 1
        self.body.feed(data)

    def on_end(self) -> None:
        self.body.end()

    def on_failure(self, failure: ProviderError) -> None:
        if self._head_received.done():
            self.body.end(failure)
        else:
            self._head_received.set_exception(failure)


class BufferedResponse:
    """One response, kept in memory as a whole: a ``Sink`` for the transport, a future for a coroutine.

    The request limits the size (``UpstreamRequest.max_body``).
    """

    __slots__ = ("_headers", "_pieces", "_status", "progress", "result")

    def __init__(self) -> None:
        self.progress = 0
        self._status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._pieces: list[bytes] = []
        self.result: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        """Raises TransportError if there is no complete response."""

    # Sink

    def on_resend(self) -> None: ...

    def on_head(self, head: ResponseHead) -> None:
        self._status = head.status
        self._headers = head.headers

    def on_data(self, data: bytes) -> None:
        self.progress += 1
        self._pieces.append(data)

    def on_end(self) -> None:
        if not self.result.done():  # the coroutine that waits may be cancelled
            self.result.set_result(Response(self._status, self._headers, b"".join(self._pieces)))

    def on_failure(self, failure: ProviderError) -> None:
        if not self.result.done():
            self.result.set_exception(failure)
