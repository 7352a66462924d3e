"""A bounded buffer between a protocol's callbacks and a coroutine.

The source is paused while the coroutine reads slowly. The data path does not use it, because it consists of
callbacks from end to end; uploads and model management do.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

HIGH_WATER: Final = 256 * 1024
"""Bytes in the buffer above which the source is paused. It is resumed at half of that."""


class Pipe:
    """An async iterator over the pieces that are fed into it."""

    __slots__ = ("_buffered", "_changed", "_ended", "_failure", "_pause", "_paused", "_pieces", "_resume")

    def __init__(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        """Create an empty pipe.

        Args:
            pause: Stops the source.
            resume: Lets the source continue.
        """
        self._pause = pause
        self._resume = resume
        self._paused = False
        self._pieces: deque[bytes] = deque()
        self._buffered = 0
        self._changed = asyncio.Event()
        self._ended = False
        self._failure: Exception | None = None

    def feed(self, data: bytes) -> None:
        """Add a piece."""
        self._pieces.append(data)
        self._buffered += len(data)
        if self._buffered > HIGH_WATER and not self._paused:
            self._paused = True
            self._pause()
        self._changed.set()

    def end(self, failure: Exception | None = None) -> None:
        """End the pieces. If there is a ``failure``, the reader gets it after the last piece."""
        if not self._ended:
            self._ended = True
            self._failure = failure
            self._changed.set()

    def __aiter__(self) -> Pipe:
        return self

    async def __anext__(self) -> bytes:
        while not self._pieces:
            if self._failure is not None:
                raise self._failure
            if self._ended:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        piece = self._pieces.popleft()
        self._buffered -= len(piece)
        if self._paused and self._buffered < HIGH_WATER // 2:
            self._paused = False
            self._resume()
        return piece

    async def read(self) -> bytes:
        """Read to the end; the pieces in one."""
        return b"".join([piece async for piece in self])
