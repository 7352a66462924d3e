"""A request of an async route while it runs: what its client is sent while nothing happens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

from tests.gateways import until
from tests.pipeline.test_pipeline import Client
from trunkline.errors import UPSTREAM_ERROR, GatewayError, ProviderError
from trunkline.server.http.async_handler import AsyncHandler, RequestContext
from trunkline.server.http.page import Progress
from trunkline.server.http.request_head import RequestHead
from trunkline.server.http.routes import AsyncRoute

LINE = b'{"status":"verifying"}\n'


class Observer:
    """Takes no notice."""

    def observe_page(
        self, head: RequestHead, status: int, error: GatewayError | None, seconds: float = 0.0
    ) -> None: ...


class Work:
    """An operation whose progress the test decides."""

    def __init__(self) -> None:
        self.lines: asyncio.Queue[dict[str, Any] | GatewayError | None] = asyncio.Queue()
        self.client = Client()
        self.handlers: set[AsyncHandler] = set()
        route = AsyncRoute(self.run, "own")
        head = RequestHead(route=route, request_id="req_1")
        context = RequestContext[Any](None, None, {}, b"")
        self.handler = AsyncHandler(route, context, head, self.client, Observer(), self.handlers)

    async def run(self, context: RequestContext[Any]) -> Progress:
        return Progress(self.progress())

    async def progress(self) -> AsyncGenerator[dict[str, Any], None]:
        while (line := await self.lines.get()) is not None:
            if isinstance(line, GatewayError):
                raise line
            yield line

    def look(self, later_s: float) -> None:
        self.handler.keep_alive(time.perf_counter() + later_s, 15)

    @property
    def written(self) -> list[bytes]:
        return [told[1] for told in self.client.told if told[0] == "write"]


async def test_a_silent_progress_repeats_its_last_line() -> None:
    work = Work()
    work.look(60)
    assert work.client.told == []  # before its first line an operation may still fail with a status
    work.lines.put_nowait({"status": "verifying"})
    await until(lambda: bool(work.written))
    work.look(1)
    assert work.written == [LINE]
    work.look(16)
    work.look(17)
    assert work.written == [LINE] * 2
    work.handler.pause()
    work.look(60)
    work.handler.resume()
    assert work.written == [LINE] * 2
    work.look(60)
    work.lines.put_nowait(None)
    await until(lambda: not work.handlers)
    work.look(99)
    assert work.client.told == [("start", 200), *[("write", LINE)] * 3, ("finish",)]


async def test_nothing_follows_the_end_of_a_failed_progress() -> None:
    work = Work()
    work.lines.put_nowait({"status": "verifying"})
    work.lines.put_nowait(ProviderError("broken", UPSTREAM_ERROR))
    await until(lambda: not work.handlers)
    told = list(work.client.told)
    assert told[-1] == ("finish",)
    work.look(60)
    assert work.client.told == told


async def test_nothing_is_sent_to_a_client_that_has_left() -> None:
    work = Work()
    work.lines.put_nowait({"status": "verifying"})
    await until(lambda: bool(work.written))
    work.handler.disconnected()
    work.look(60)
    assert work.written == [LINE]
    await until(lambda: not work.handlers)
