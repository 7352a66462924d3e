"""An outlet that remembers, and that a test can wait for."""

from __future__ import annotations

import asyncio

from trunkline.errors import GatewayError


class Recorder:
    """Satisfies ``base.AnswerReceiver``."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.error: GatewayError | None = None
        self.ended = asyncio.Event()
        self.heard = asyncio.Event()

    def resent(self) -> None: ...

    def emit(self, data: bytes) -> None:
        self.pieces.append(data)
        self.heard.set()

    def done(self, data: bytes) -> None:
        assert not self.ended.is_set()
        self.pieces.append(data)
        self.ended.set()

    def fail(self, error: GatewayError) -> None:
        assert not self.ended.is_set()
        self.error = error
        self.ended.set()

    async def answer(self) -> bytes:
        """All of it, once it has ended well."""
        await asyncio.wait_for(self.ended.wait(), 10)
        assert self.error is None
        return b"".join(self.pieces)

    async def failure(self) -> GatewayError:
        """The error that it ended in."""
        await asyncio.wait_for(self.ended.wait(), 10)
        assert self.error is not None
        return self.error
