"""One request while it runs: the request, its attempts and its response, together.

The server's end holds it and may cancel, pause and resume it; the pipeline works on it; accounting reads it
when it is over.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import msgspec

from trunkline.dialects.base import Front
from trunkline.immediate import ImmediateFuture
from trunkline.observe.traces import ForwardedTrace, Trace
from trunkline.pipeline.attempt import Attempt
from trunkline.pipeline.request import Request
from trunkline.pipeline.response import Response
from trunkline.routing.queue import Waiter


class ActiveRequest:
    """One request under way."""

    __slots__ = (
        "_last_progress",
        "_rest",
        "attempts",
        "current",
        "queued_s",
        "request",
        "response",
        "route",
        "trace",
        "waiter",
    )

    def __init__(
        self, request: Request, response: Response, trace: Trace | ForwardedTrace | None = None
    ) -> None:
        self.request = request
        self.response = response
        self.trace = trace
        """The request's place in a trace, if it has one."""
        self.attempts: list[Attempt] = []
        """Each is added when it begins; the last one may be running."""
        self.current: Attempt | None = None
        """The attempt that runs, or with which the request ended. None before the first, and after a failure
        that another candidate is to make good, until that one's attempt begins."""
        self.route: str | None = None
        """The configured route that the model's name stands for, if it is one."""
        self.waiter: Waiter | None = None
        """Its place in the queue, while all its candidates are at their limit."""
        self.queued_s = 0.0
        """Seconds that it has spent in that queue, for all its attempts together."""
        self._rest: ImmediateFuture[None] | None = None
        """The pause before another attempt, while it lasts."""
        self._last_progress = -1
        """The progress of the running attempt at the last :meth:`keep_alive`."""

    def replace(self, front: Front, body: bytes) -> None:
        """Go on with another body, which ``front`` reads: the one that came, made complete.

        Raises:
            CallerError: it cannot be read.
        """
        self.request = self.response.request = msgspec.structs.replace(
            self.request, front=front, body=body, summary=front.summarize(body)
        )

    def disconnected(self) -> None:
        """The client has disconnected: stop the upstream, now."""
        self.response.client_gone = True
        if self.attempts:
            self.attempts[-1].cancel()
        if self.waiter is not None:
            self.waiter.give_up()
        if self._rest is not None:
            self._rest.settle(None)

    def pause(self) -> None:
        """Stop reading from the upstream: the client reads more slowly than the upstream writes."""
        if self.attempts and (in_flight := self.attempts[-1].in_flight) is not None:
            in_flight.pause()

    def resume(self) -> None:
        """Read on: the client has caught up."""
        if self.attempts and (in_flight := self.attempts[-1].in_flight) is not None:
            in_flight.resume()

    def keep_alive(self) -> None:
        """Send a ping if nothing was sent since the last call: some clients give up on a silent stream. To be
        called every few seconds."""
        response, ping = self.response, self.request.front.conventions.ping
        if not ping or not self.attempts or not response.started or response.finished:
            return
        progress = self.attempts[-1].exchange.progress
        if progress == self._last_progress:
            response.responder.write(ping)
        self._last_progress = progress

    async def rest(self, seconds: float) -> None:
        """Wait for so many ``seconds``, or until the client disconnects: what the request has taken of limits
        is not held for a client that has left."""
        if self.response.client_gone:
            return
        rest = self._rest = ImmediateFuture[None]()
        timer = asyncio.get_running_loop().call_later(seconds, rest.settle, None)
        try:
            await rest
        finally:
            timer.cancel()
            self._rest = None

    @property
    def model(self) -> str | None:
        """The upstream's own name for the model; before an upstream was asked, the client's."""
        if self.current is not None:
            return self.current.exchange.model or self.current.exchange.upstream_model
        if self.response.cached is not None:
            return self.response.cached.model
        summary = self.request.summary
        return None if summary is None else summary.model


class Outcome(NamedTuple):
    """How a request ended, for logs, metrics, ledger and traces, which work out the details later."""

    active: ActiveRequest
    status: int
    ended_at: float
    """By ``time.perf_counter``."""
