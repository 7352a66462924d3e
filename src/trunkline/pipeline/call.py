"""One request under way, between the server's two ends and a provider's exchange.

:class:`Call` is what a server's end holds and what an exchange's bytes flow into. It knows neither HTTP
parsing nor sockets nor what dialects look like, and decides nothing: who is asked is the pipeline's.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from trunkline.dialects.base import Front, RequestSummary
from trunkline.errors import CLIENT_GONE, CallerError, GatewayError
from trunkline.exchange import Exchange
from trunkline.immediate import ImmediateFuture
from trunkline.model import Usage
from trunkline.observe.traces import ForwardedTrace, Trace
from trunkline.policy.reservations import NO_CHARGE, Charge, Reservation
from trunkline.providers.base import InFlight
from trunkline.routing.candidates import Candidate
from trunkline.routing.queue import Waiter

Lines = bytes
"""Header lines ready for the wire, each ended by CRLF."""

_now: Final = time.perf_counter
_STREAM_LINES: Final = b"cache-control: no-cache\r\nx-accel-buffering: no\r\n"
GONE: Final = CallerError("The client closed the connection", CLIENT_GONE)


class Responder(Protocol):
    """The server's end of a call: where the answer goes. Calls after the client has gone do nothing."""

    def send(self, status: int, lines: Lines, body: bytes) -> None:
        """A whole answer."""

    def start(self, status: int, lines: Lines) -> None:
        """The head of an answer that comes in pieces."""

    def write(self, data: bytes) -> None:
        """A piece; ``start`` came before."""

    def finish(self) -> None:
        """No more pieces. A stream that broke off ends here too, after its error event."""


class CachedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that a client once got, to be given again."""

    streaming: bool
    content_type: bytes
    lines: Lines
    """Header lines that say who answered."""
    body: bytes
    provider: str
    model: str
    """The model that the upstream was asked for."""


class Attempt(NamedTuple):
    """An attempt that failed, and that another one followed."""

    candidate: Candidate
    spent: Charge
    began: float
    ended: float
    failure: GatewayError


class Outcome(NamedTuple):
    """What a call came to, for logs, metrics and the ledger, which work out the details later."""

    call: Call
    status: int
    ended: float
    """By ``time.perf_counter``."""

    @property
    def seconds(self) -> float:
        """How long the call took."""
        return self.ended - self.call.began

    @property
    def first_byte(self) -> float | None:
        """Seconds to the answer's first byte, if there was one."""
        first = self.call.first_byte_at
        return None if first is None else first - self.call.began


class Call:
    """One request under way. It is the outlet of its current attempt, and what the server's end holds."""

    __slots__ = (
        "_attempt",
        "_heard",
        "_rest",
        "abandoned",
        "answered",
        "attempts",
        "began",
        "cache",
        "cache_wish",
        "candidate",
        "client",
        "end_user",
        "error",
        "exchange",
        "first_byte_at",
        "front",
        "gone",
        "headers",
        "in_flight",
        "kept",
        "key",
        "landed_at",
        "only",
        "past",
        "path",
        "probe",
        "prompt",
        "query",
        "request_id",
        "reservation",
        "responder",
        "route",
        "sent_at",
        "size",
        "spent",
        "started",
        "status",
        "summary",
        "trace",
        "waited",
        "waiter",
    )

    def __init__(
        self,
        responder: Responder,
        front: Front,
        path: str,
        request_id: str,
        key: Any = None,
        only: str | None = None,
        client: str | None = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
        query: bytes = b"",
    ) -> None:
        """``key`` is what admission found, ``only`` the provider that the path names, ``client`` the
        peer's address, ``headers`` the request's, with names in lower case, ``query`` what stands behind
        its path."""
        # The request
        self.responder = responder
        self.front = front
        self.path = path
        self.request_id = request_id
        self.only = only
        self.client = client
        self.headers = headers
        self.query = query
        self.key = key
        self.summary: RequestSummary | None = None
        self.route: str | None = None
        """The configured route that the model's name stands for, if it is one."""
        self.end_user: bytes | None = None
        """Whom the client asks for, where a header says it."""
        self.prompt: str | None = None
        """The request's body, where prompts are stored."""
        self.trace: Trace | ForwardedTrace | None = None
        """Its place in a trace, if it has one."""
        self.began = _now()

        # What policy and the cache say of it
        self.reservation: Reservation | None = None
        """What it has taken of limits and budgets."""
        self.cache_wish: bytes | None = None
        """Value of the request's header ``x-trunkline-cache``: ``on`` or ``off``, if it was sent."""
        self.cache = ""
        """``hit`` or ``miss``; empty where the cache of answers was not asked."""
        self.kept: CachedAnswer | None = None
        """The cached answer that was given, on a ``hit``."""

        # Its attempts, the current one first
        self.attempts = 0
        """How many were begun."""
        self.candidate: Candidate | None = None
        self.exchange: Exchange | None = None
        self.in_flight: InFlight | None = None
        self.probe = False
        """The current attempt is the one that tries whether an upstream with an open breaker works again."""
        self.sent_at: float | None = None
        """When the current attempt was sent."""
        self.landed_at: float | None = None
        """When the current attempt ended."""
        self.spent = NO_CHARGE
        """What its last attempt used, once it is settled."""
        self.past: list[Attempt] = []
        """The attempts before it, which failed."""
        self.waiter: Waiter | None = None
        """Its place in the queue, while all upstreams that it may be put to are full."""
        self.waited = 0.0
        """Seconds that it has spent in that queue, all its attempts together."""

        # Its answer
        self.started = False
        """Something of the answer was sent: no other upstream may be asked any more."""
        self.answered = False
        self.size = 0
        """Bytes of an answer that was sent whole."""
        self.gone = False
        self.abandoned = False
        """The client has gone while an upstream was working on it."""
        self.status = 0
        self.error: GatewayError | None = None
        self.first_byte_at: float | None = None

        # What its own methods remember
        self._heard = -1
        """The attempt's progress at the last :meth:`beat`."""
        self._attempt: ImmediateFuture[GatewayError | None] | None = None
        self._rest: ImmediateFuture[None] | None = None

    # The server's side

    def disconnected(self) -> None:
        """The client has gone: stop the upstream, now."""
        self.gone = True
        if self.in_flight is not None:
            under_way = self._attempt is not None and not self._attempt.settled
            self.abandoned = self.abandoned or (under_way and self.in_flight.sent)
            self.in_flight.cancel()
        self._end_attempt(GONE)
        if self.waiter is not None:
            self.waiter.give_up()
        if self._rest is not None:
            self._rest.settle(None)

    def pause(self) -> None:
        """The client reads more slowly than the upstream writes."""
        if self.in_flight is not None:
            self.in_flight.pause()

    def resume(self) -> None:
        """The client has caught up."""
        if self.in_flight is not None:
            self.in_flight.resume()

    def beat(self) -> None:
        """Called every few seconds. Writes a ping if nothing was written since the last call, for clients
        that give up on a silent stream."""
        exchange, ping = self.exchange, self.front.conventions.ping
        if not ping or exchange is None or not self.started or self.answered:
            return
        if exchange.progress == self._heard:
            self.responder.write(ping)
        self._heard = exchange.progress

    # The provider's side: an ``AnswerReceiver``

    def emit(self, data: bytes) -> None:
        """Bytes of an answer that goes on."""
        if not self.started:
            self._start()
        self.responder.write(data)

    def done(self, data: bytes) -> None:
        """The last bytes of the answer."""
        assert self.exchange is not None
        self.answered = True
        if self.started or self.exchange.streaming:
            if not self.started:
                self._start()
            if data:
                self.responder.write(data)
            self.responder.finish()
        else:
            self.started = True
            self.status = 200
            self.first_byte_at = _now()
            self.size = len(data)
            self.responder.send(200, self._lines(self.exchange.content_type), data)
        self._end_attempt(None)

    def fail(self, error: GatewayError) -> None:
        """The attempt failed. Before the first byte another may follow; after it, an error event ends all."""
        if self.started:
            assert self.exchange is not None
            self.responder.write(self.exchange.fail(error))
            self.responder.finish()
            self.answered = True
        self._end_attempt(error)

    def _start(self) -> None:
        assert self.exchange is not None
        self.started = True
        self.status = 200
        self.first_byte_at = _now()
        if self.probe and self.candidate is not None:
            self.probe = False
            self.candidate.state.breaker.record_success(probe=True)
        self.responder.start(200, self._lines(self.exchange.content_type) + _STREAM_LINES)

    def _end_attempt(self, error: GatewayError | None) -> None:
        if self._attempt is not None:
            self._attempt.settle(error)

    # The pipeline's side

    async def attempt(self, candidate: Candidate, exchange: Exchange) -> GatewayError | None:
        """Put the request to one upstream; None when the answer is whole."""
        self.candidate = candidate
        self.exchange = exchange
        self.attempts += 1
        if self.gone:
            return GONE
        exchange.said(self.headers, self.query)
        trace = self.trace
        if trace is not None:
            exchange.headers = (*exchange.headers, trace.depart())
        self.sent_at = _now()
        attempt = self._attempt = ImmediateFuture()
        self.in_flight = candidate.provider.open(exchange, candidate.upstream, self)
        if trace is None:
            return await attempt
        failure = await attempt
        trace.land(_now(), failure)
        return failure

    async def rest(self, seconds: float) -> None:
        """Wait so long, but not beyond the client's going: what the call has taken is not held for nobody."""
        if self.gone:
            return
        rest = self._rest = ImmediateFuture[None]()
        timer = asyncio.get_running_loop().call_later(seconds, rest.settle, None)
        try:
            await rest
        finally:
            timer.cancel()
            self._rest = None

    def replay(self, kept: CachedAnswer) -> None:
        """Answer with what somebody was answered before."""
        self.kept, self.cache = kept, "hit"
        self.started = self.answered = True
        self.status = 200
        self.first_byte_at = _now()
        if not kept.streaming:
            self.responder.send(200, self._lines(kept.content_type), kept.body)
            return
        self.responder.start(200, self._lines(kept.content_type) + _STREAM_LINES)
        self.responder.write(kept.body)
        self.responder.finish()

    def refuse(self, error: GatewayError) -> None:
        """Answer with an error; if an answer has begun already, it was ended by :meth:`fail`."""
        self.error = error
        if self.started or self.gone:
            return
        self.started = self.answered = True
        self.status = error.status
        lines = self._lines(b"application/json") + error_lines(error)
        self.responder.send(error.status, lines, error.body or self.front.error(error))

    def _lines(self, content_type: bytes) -> Lines:
        lines = b"content-type: %b\r\nx-request-id: %b\r\n" % (content_type, self.request_id.encode())
        if self.front.conventions.id_header is not None:
            lines += b"%b: %b\r\n" % (self.front.conventions.id_header, self.request_id.encode())
        if self.reservation is not None:
            lines += self.reservation.header_lines()
        if self.cache:
            lines += b"x-trunkline-cache: %b\r\n" % self.cache.encode()
        if self.candidate is None:
            return lines if self.kept is None else lines + self.kept.lines
        return b"%b%bx-trunkline-attempts: %d\r\n" % (lines, self.candidate.header_lines, self.attempts)

    @property
    def urgency(self) -> str:
        """Its priority class, should it have to wait: its key's, which a header may lower."""
        own = "normal" if self.key is None else self.key.priority
        for name, value in self.headers:
            if name == b"x-trunkline-priority" and value == b"low":
                return "low"
        return str(own)

    @property
    def usage(self) -> Usage | None:
        """Tokens, as far as the upstream has told."""
        return None if self.exchange is None else self.exchange.usage

    @property
    def model(self) -> str | None:
        """The upstream's own name for the model."""
        if self.exchange is None:
            if self.kept is not None:
                return self.kept.model
            return None if self.summary is None else self.summary.model
        return self.exchange.model or self.exchange.upstream_model


def error_lines(error: GatewayError) -> Lines:
    """Headers that an error's status calls for (RFC 9110: 11.6.1 and 10.2.3), and those that it brings."""
    lines = b"www-authenticate: Bearer\r\n" if error.status == 401 else b""
    if error.retry_after is not None:
        lines += b"retry-after: %d\r\n" % max(1, math.ceil(error.retry_after))
    if error.advice is not None:
        lines += b"x-should-retry: %b\r\n" % error.advice.encode()
    return lines + error.lines
