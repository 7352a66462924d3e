"""Requests that take the gateway some time and are no question to a model: pulls, merged listings, uploads.

An errand is a coroutine function of a :class:`RequestContext`. It returns a :class:`~.pages.Page`, or
:class:`Progress`, whose lines are sent as they come. Before the first line an error has its own status; after
it, it is the last line.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import msgspec
import structlog

from trunkline.errors import GatewayError
from trunkline.pipeline.response import Responder, error_lines
from trunkline.server.endpoints.pages import Headers, Page

if TYPE_CHECKING:
    from trunkline.pipe import Pipe
    from trunkline.policy.auth import ApiKey
    from trunkline.server.app.gateway import Gateway
    from trunkline.server.http.dispatcher import RequestHead

NDJSON: Final = b"application/x-ndjson"

log: Final = structlog.stdlib.get_logger(__name__)


class RequestContext(NamedTuple):
    """One request, as an errand sees it."""

    gateway: Gateway
    key: ApiKey | None
    query: Mapping[str, str]
    body: bytes
    pieces: Pipe | None = None
    """The body, for an errand that takes it piece by piece."""
    length: int | None = None
    """Bytes of that body, if the client said how many."""
    headers: Headers = ()
    """Of the request."""


class Progress(NamedTuple):
    """An answer that comes line by line."""

    lines: AsyncGenerator[dict[str, Any], None]


Answer: TypeAlias = Page | Progress
Run: TypeAlias = Callable[..., Awaitable[Answer]]
"""Called with the visit and what the path holds beyond its pattern."""


class AsyncHandler:
    """One errand under way: what the server's end holds, as it holds a ``Call``."""

    def __init__(
        self,
        context: RequestContext,
        head: RequestHead,
        responder: Responder,
        run: Run,
        arguments: Mapping[str, Any],
    ) -> None:
        self._context = context
        self._opened = head
        self._responder = responder
        self._began = time.perf_counter()
        self._started = False
        self._may_go_on = asyncio.Event()
        self._may_go_on.set()
        self._task = asyncio.get_running_loop().create_task(self._serve(run, arguments))
        context.gateway.handlers.add(self)
        self._task.add_done_callback(lambda _: context.gateway.handlers.discard(self))

    def disconnected(self) -> None:
        """The client has gone: stop, and everything that was begun for it."""
        self._task.cancel()

    def pause(self) -> None:
        """The client reads more slowly than lines come."""
        self._may_go_on.clear()

    def resume(self) -> None:
        """The client has caught up."""
        self._may_go_on.set()

    async def _serve(self, run: Run, arguments: Mapping[str, Any]) -> None:
        status, failure = 200, None
        try:
            answer = await run(self._context, **arguments)
            if isinstance(answer, Page):
                status = answer.status
                self._responder.send(status, self._opened.lines(answer.content_type), answer.body)
            else:
                await self._send_lines(answer.lines)
        except asyncio.CancelledError:
            status = 499
            raise
        except GatewayError as error:
            failure = error
        except Exception:
            log.exception("an errand failed inside the gateway", request_id=self._opened.request_id)
            failure = GatewayError("The gateway failed; its log says more under this request's id")
        finally:
            if failure is not None:
                status = failure.status
                self._fail(failure)
            seconds = time.perf_counter() - self._began
            self._context.gateway.recorder.observe_page(self._opened, status, failure, seconds)

    async def _send_lines(self, lines: AsyncGenerator[dict[str, Any], None]) -> None:
        async with aclosing(lines):
            async for line in lines:
                if not self._started:
                    self._started = True
                    self._responder.start(200, self._opened.lines(NDJSON) + b"cache-control: no-cache\r\n")
                self._responder.write(msgspec.json.encode(line) + b"\n")
                await self._may_go_on.wait()
        self._responder.finish()

    def _fail(self, error: GatewayError) -> None:
        body = self._opened.render(error)
        if self._started:
            self._responder.write(body + b"\n")
            self._responder.finish()
        else:
            lines = self._opened.lines(b"application/json") + error_lines(error)
            self._responder.send(error.status, lines, body)
