"""Answers for coroutines: read piece by piece, or whole.

The data path is called back; what is not on it (model management, discovery, health) awaits.
"""

from __future__ import annotations

import asyncio

from trunkline.errors import ProviderError
from trunkline.pipe import Pipe
from trunkline.transport.in_flight import InFlightRequest


class ResponseStream:
    """One answer: the sink of a flight on one side, its ``body`` on the other. To be closed."""

    __slots__ = ("_flight", "_headed", "body", "headers", "progress", "status")

    def __init__(self) -> None:
        self.progress = 0
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = Pipe(self._pause, self._resume)
        """Iterating raises TransportError where the answer breaks off."""
        self._flight: InFlightRequest | None = None
        self._headed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def head(self, in_flight: InFlightRequest) -> None:
        """Wait for the status and headers of ``in_flight``, whose sink this is. Raises TransportError."""
        self._flight = in_flight
        await self._headed

    def close(self) -> None:
        """No more is wanted; an answer that goes on is cancelled."""
        if self._flight is not None:
            self._flight.cancel()

    def _pause(self) -> None:
        if self._flight is not None:
            self._flight.pause()

    def _resume(self) -> None:
        if self._flight is not None:
            self._flight.resume()

    # A ``Sink``

    def on_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.status = status
        self.headers = headers
        self._headed.set_result(None)

    def on_data(self, data: bytes) -> None:
        self.progress += 1
        self.body.feed(data)

    def on_end(self) -> None:
        self.body.end()

    def on_failure(self, failure: ProviderError) -> None:
        if self._headed.done():
            self.body.end(failure)
        else:
            self._headed.set_exception(failure)
