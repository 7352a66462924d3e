"""Bytes from a protocol's callbacks to a coroutine: bounded, because a slow reader pauses the source.

Not for the data path, which calls back from end to end; for what awaits: uploads, listings, management.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

HIGH_WATER: Final = 256 * 1024
"""Bytes waiting for the reader above which the source is paused; it is resumed at half of that."""


class Pipe:
    """An async iterator over the pieces that its other end is fed."""

    __slots__ = ("_ended", "_failure", "_pause", "_paused", "_pieces", "_resume", "_waiting", "_wake")

    def __init__(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        """``pause`` and ``resume`` stop the source and let it go on."""
        self._pause = pause
        self._resume = resume
        self._paused = False
        self._pieces: deque[bytes] = deque()
        self._waiting = 0
        self._wake = asyncio.Event()
        self._ended = False
        self._failure: Exception | None = None

    def feed(self, data: bytes) -> None:
        """The next piece."""
        self._pieces.append(data)
        self._waiting += len(data)
        if self._waiting > HIGH_WATER and not self._paused:
            self._paused = True
            self._pause()
        self._wake.set()

    def end(self, failure: Exception | None = None) -> None:
        """No more pieces; the reader gets ``failure`` after the last."""
        if not self._ended:
            self._ended = True
            self._failure = failure
            self._wake.set()

    def __aiter__(self) -> Pipe:
        return self

    async def __anext__(self) -> bytes:
        while not self._pieces:
            if self._failure is not None:
                raise self._failure
            if self._ended:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        piece = self._pieces.popleft()
        self._waiting -= len(piece)
        if self._paused and self._waiting < HIGH_WATER // 2:
            self._paused = False
            self._resume()
        return piece

    async def read(self) -> bytes:
        """All that is still to come."""
        return b"".join([piece async for piece in self])
