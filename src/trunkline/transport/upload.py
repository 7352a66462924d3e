"""Requests with a body that is too large to hold: sent piece by piece, as fast as the upstream takes it.

An upload has a connection of its own, which is never kept, and is never sent twice: its pieces are gone once
they were sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable
from typing import Final, cast

from trunkline.transport import failures
from trunkline.transport.failures import TransportError, cut_off, diagnose
from trunkline.transport.request import UpstreamRequest
from trunkline.transport.response import BODY, ResponseReader
from trunkline.transport.route import Route, encode_upload

_LIMIT: Final = 1024 * 1024
"""Bytes of an answer to an upload that are read."""

Connect = Callable[[asyncio.Protocol], "asyncio.Future[None] | asyncio.Task[None]"]
"""Opens a connection for a protocol."""


async def upload(
    route: Route, request: UpstreamRequest, size: int | None, pieces: AsyncIterable[bytes], connect: Connect
) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Send ``request`` with the ``size`` bytes that ``pieces`` bring (None: as many as come); returns status,
    headers and body.

    An answer that comes before all is sent (a refusal) ends the upload.

    Raises:
        TransportError: no connection, silence for longer than the request's timeouts allow, no answer.
    """
    wire, timeouts = _Wire(route.address), request.timeouts
    try:
        try:
            async with asyncio.timeout(timeouts.connect):
                await connect(wire)
        except TimeoutError as error:
            fault = failures.CONNECT_TIMEOUT
            raise TransportError(fault, route.address, timeouts.connect) from error
        except OSError as error:
            raise diagnose(error, route.address) from error
        wire.transport.write(encode_upload(route, request, size))
        async for piece in pieces:
            if wire.answer.done():
                break
            if piece:
                wire.transport.write(piece if size is not None else b"%x\r\n%b\r\n" % (len(piece), piece))
            try:
                async with asyncio.timeout(timeouts.idle):
                    await wire.drained()
            except TimeoutError as error:
                raise TransportError(failures.IDLE_TIMEOUT, route.address, timeouts.idle) from error
        if size is None and not wire.answer.done():
            wire.transport.write(b"0\r\n\r\n")
        try:
            async with asyncio.timeout(timeouts.first_byte):
                return await wire.answer
        except TimeoutError as error:
            raise TransportError(failures.FIRST_BYTE_TIMEOUT, route.address, timeouts.first_byte) from error
    finally:
        wire.close()


class _Wire(asyncio.Protocol):
    """One connection that carries one upload."""

    transport: asyncio.Transport

    def __init__(self, address: str) -> None:
        self._address = address
        self._reader = ResponseReader()
        self._reader.begin(no_body=False, max_body=_LIMIT)
        self._body: list[bytes] = []
        self._writable = asyncio.Event()
        self._writable.set()
        self._open = False
        self.answer: asyncio.Future[tuple[int, list[tuple[bytes, bytes]], bytes]]
        self.answer = asyncio.get_running_loop().create_future()

    async def drained(self) -> None:
        """Until the upstream has taken enough of what was written, or has answered."""
        if not self.answer.done():
            await self._writable.wait()

    def close(self) -> None:
        if self._open:
            self.transport.abort()
        if self.answer.done() and not self.answer.cancelled():
            self.answer.exception()  # it was looked at, or nobody waits any more

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._open = True

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        self._body.append(self._reader.feed(data))
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        self._open = False
        self._writable.set()
        if exc is None:
            self._reader.eof()
            self._look()
        if not self.answer.done():
            untouched = self._reader.untouched
            lost = exc or ConnectionResetError()
            self.answer.set_exception(cut_off(lost, self._address, untouched=untouched))

    def _look(self) -> None:
        reader = self._reader
        if reader.state <= BODY or self.answer.done():
            return
        self._writable.set()
        if reader.fault is not None:
            self.answer.set_exception(TransportError(reader.fault, self._address, reader.detail))
        else:
            self.answer.set_result((reader.status, reader.headers, b"".join(self._body)))
