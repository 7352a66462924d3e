"""Requests that take the gateway some time and ask no model: pulls, merged listings, uploads.

An async endpoint is a coroutine function of a :class:`RequestContext`. It returns a :class:`~.page.Page`, or
a :class:`~.page.Progress`, whose lines are sent as they come. Before the first line an error has its own
status; after it, it is the last line.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import msgspec

from trunkline.errors import SHUTTING_DOWN, GatewayError
from trunkline.pipeline.responder import Responder, error_lines
from trunkline.pipeline.unforeseen import unforeseen
from trunkline.policy.guard import PendingRefill
from trunkline.server.http.page import JSON, NDJSON, Headers, Page
from trunkline.server.http.request_head import PageObserver, RequestHead
from trunkline.server.http.routes import AsyncRoute

if TYPE_CHECKING:
    from trunkline.pipe import Pipe
    from trunkline.policy.auth import ApiKey
    from trunkline.policy.guard import Guard
    from trunkline.policy.reservations import Reservation

ServicesT_co = TypeVar("ServicesT_co", covariant=True)
"""What an endpoint needs of the gateway."""


class RequestContext(NamedTuple, Generic[ServicesT_co]):
    """What an async endpoint is given of the request that it answers."""

    services: ServicesT_co
    key: ApiKey | None
    query: Mapping[str, str]
    body: bytes
    pieces: Pipe | None = None
    """The body, where the endpoint takes it piece by piece."""
    length: int | None = None
    """Bytes of that body, if the client stated it."""
    headers: Headers = ()
    """Of the request."""


class AsyncHandler:
    """One request of an async route while it runs: what the server's end holds, as it holds a ``Call``."""

    def __init__(
        self,
        route: AsyncRoute,
        context: RequestContext[Any],
        head: RequestHead,
        responder: Responder,
        observer: PageObserver,
        handlers: set[AsyncHandler],
        guard: Guard | None = None,
    ) -> None:
        """Begin to answer.

        Args:
            route: names the endpoint.
            context: what the endpoint is called with.
            head: the head of the request.
            responder: takes the answer.
            observer: writes down how the request ended.
            handlers: all requests of async routes that are under way; this one is among them until it ends.
            guard: has the limits under which the request is; None if it is under none.
        """
        self._route = route
        self._context = context
        self._head = head
        self._responder = responder
        self._observer = observer
        self._guard = guard
        self._began = time.perf_counter()
        self._started = False
        self._stopping = False
        """The gateway stops."""
        self._last_line = b""
        """The last line that was sent; empty while no other may follow it."""
        self._last_sent = 0.0
        self._writable = asyncio.Event()
        """Cleared while the client reads more slowly than lines come."""
        self._writable.set()
        self._task = asyncio.get_running_loop().create_task(self._serve())
        handlers.add(self)
        self._task.add_done_callback(lambda _: handlers.discard(self))

    def disconnected(self) -> None:
        """Stop this request, and everything that was begun for it: the client has disconnected."""
        self._last_line = b""
        self._task.cancel()

    def stop(self) -> None:
        """Stop this request because the gateway stops. The client is told so."""
        self._stopping = True
        self._task.cancel()

    def pause(self) -> None:
        """The client reads more slowly than lines come."""
        self._writable.clear()

    def resume(self) -> None:
        """The client has caught up."""
        self._writable.set()

    def keep_alive(self, now: float, interval: float) -> None:
        """Send the last line of a progress again if nothing was sent for so long: it still holds, and some
        clients give up on a silent stream.

        Args:
            now: by ``time.perf_counter``.
            interval: the longest silence, in seconds.
        """
        if self._last_line and now - self._last_sent >= interval and self._writable.is_set():
            self._last_sent = now
            self._responder.write(self._last_line)

    async def _serve(self) -> None:
        status, failure, reservation = 200, None, None
        try:
            reservation = await self._reserve()
            answer = await self._route.run(self._context, **self._route.arguments)
            if isinstance(answer, Page):
                status = answer.status
                self._responder.send(status, self._head.lines(answer.content_type), answer.body)
            else:
                await self._send_lines(answer.lines)
        except asyncio.CancelledError:
            status = 499
            if self._stopping:
                failure = GatewayError("The gateway is shutting down; try again in a moment", SHUTTING_DOWN)
            raise
        except GatewayError as error:
            failure = error
        except Exception as error:
            failure = unforeseen(error, self._context.body, self._head.request_id)
        finally:
            if reservation is not None and self._guard is not None:
                self._guard.settle(reservation, ())
            if failure is not None:
                status = failure.status
                self._fail(failure)
            seconds = time.perf_counter() - self._began
            self._observer.observe_page(self._head, status, failure, seconds)

    async def _reserve(self) -> Reservation | None:
        """Take what the request needs of its key's limits.

        Raises:
            CallerError: 429, a limit or budget is used up.
        """
        guard = self._guard
        if guard is None:
            return None
        answer = guard.admit_look(self._context.key)
        return await answer.wait() if isinstance(answer, PendingRefill) else answer

    async def _send_lines(self, lines: AsyncGenerator[dict[str, Any], None]) -> None:
        async with aclosing(lines):
            async for line in lines:
                if not self._started:
                    self._started = True
                    self._responder.start(200, self._head.lines(NDJSON) + b"cache-control: no-cache\r\n")
                self._last_line = msgspec.json.encode(line) + b"\n"
                self._last_sent = time.perf_counter()
                self._responder.write(self._last_line)
                await self._writable.wait()
        self._last_line = b""
        self._responder.finish()

    def _fail(self, error: GatewayError) -> None:
        self._last_line = b""
        body = self._head.render(error)
        if self._started:
            self._responder.write(body + b"\n")
            self._responder.finish()
        else:
            lines = self._head.lines(JSON) + error_lines(error)
            self._responder.send(error.status, lines, body)
