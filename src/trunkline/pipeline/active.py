"""One request while it runs: its response, its attempts, and all of it together.

The server's end holds an :class:`ActiveRequest` and may cancel, pause and resume it; the pipeline works on
it; accounting reads its :class:`Outcome` when it is over. Whether another attempt follows a failed one is for
``pipeline`` to decide.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final, TypeVar

import msgspec

from trunkline.dialects.base import Front
from trunkline.errors import (
    BY_CLIENT,
    BY_GATEWAY,
    CLIENT_GONE,
    SHUTTING_DOWN,
    SUCCESS,
    UPSTREAM_TIMEOUT,
    CallerError,
    GatewayError,
    OutcomeLabel,
    blame,
)
from trunkline.exchange import Exchange
from trunkline.immediate import ImmediateFuture
from trunkline.model import Usage
from trunkline.observe.traces import ForwardedTrace, Trace
from trunkline.pipeline.request import Request
from trunkline.pipeline.responder import CachedAnswer, Lines, Responder, error_lines
from trunkline.policy.estimates import AVERAGE_BYTES_PER_TOKEN, estimate_usage
from trunkline.policy.prices import FREE, PriceBook, usd_to_micros
from trunkline.policy.reservations import NO_CHARGE, Charge, Reservation
from trunkline.providers.base import InFlight
from trunkline.routing.candidates import Candidate
from trunkline.routing.queue import Waiter

DISCONNECTED: Final = CallerError("The client closed the connection", CLIENT_GONE)
"""The failure of an attempt whose client has disconnected."""

_STREAM_LINES: Final = b"cache-control: no-cache\r\nx-accel-buffering: no\r\n"
_FREE: Final = Charge(Usage(), False, 0, FREE.source)
_UNKNOWN: Final = Charge(Usage(), False, None, None)
_now: Final = time.perf_counter
_Result = TypeVar("_Result")


class Response:
    """What the client has been sent so far for one request."""

    __slots__ = (
        "cache_status",
        "cached",
        "client_gone",
        "error",
        "explained",
        "finished",
        "first_byte_at",
        "is_open",
        "pieces",
        "request",
        "reservation",
        "responder",
        "served_by",
        "size",
        "started",
        "status",
        "times_sent",
        "unrecorded",
    )

    def __init__(self, request: Request, responder: Responder) -> None:
        self.request = request
        self.responder = self.unrecorded = responder
        """Takes the answer. Where the cache records it, this one writes to ``unrecorded``, which takes what
        belongs to no answer."""
        self.reservation: Reservation | None = None
        """What the request has taken of limits; headers tell the client what is left."""
        self.served_by: Lines = b""
        """Header lines that name the upstream that was asked last, and the number of attempts."""
        self.explained: Lines = b""
        """Header lines that a client has asked for: what was changed in its request."""
        self.times_sent = 0
        """How often the request was sent: once for each attempt, and again where a kept connection was closed
        before an answer began."""
        self.cache_status = ""
        """``hit`` or ``miss``; empty where the answer cache was not asked."""
        self.cached: CachedAnswer | None = None
        """The cached answer that was given, on a ``hit``."""
        self.is_open = False
        """The head of a streamed answer was sent, with or without a part of the answer."""
        self.started = False
        """A part of the answer was sent: no other upstream may be asked any more."""
        self.pieces = 0
        """How many pieces of a streamed answer were sent; the last one may be left out."""
        self.finished = False
        self.size = 0
        """Bytes of an answer that was sent whole."""
        self.status = 0
        self.error: GatewayError | None = None
        """Why the request failed, or broke off."""
        self.first_byte_at: float | None = None
        self.client_gone = False
        """The client has disconnected."""

    def send(self, content_type: bytes, body: bytes) -> None:
        """Send an upstream's whole answer."""
        self.started = True
        self.status = 200
        self.first_byte_at = _now()
        self.size = len(body)
        self.responder.send(200, self.head_lines(content_type), body)

    def start(self, content_type: bytes) -> None:
        """Send the head of an upstream's streamed answer, unless it was sent already."""
        self.started = True
        self.first_byte_at = _now()
        if self.is_open:
            return
        self.is_open = True
        self.status = 200
        self.responder.start(200, self.head_lines(content_type) + _STREAM_LINES)

    def ping(self, ping: bytes) -> None:
        """Send a ping of the client's dialect. If nothing was sent yet, the head of the answer goes before
        it. That head does not say who answers: it may be another upstream in the end."""
        if not self.is_open:
            self.is_open = True
            self.status = 200
            lines = self.head_lines(self.request.front.stream_type).removesuffix(self.served_by)
            self.responder.start(200, lines + _STREAM_LINES)
        self.unrecorded.write(ping)

    def sent_to(self, candidate: Candidate) -> None:
        """The request is sent, or sent again, to ``candidate``: the answer's headers tell."""
        self.times_sent += 1
        self.served_by = b"%bx-trunkline-attempts: %d\r\n" % (candidate.header_lines, self.times_sent)

    def replay(self, cached: CachedAnswer) -> None:
        """Send what an earlier client was sent."""
        self.cached, self.cache_status, self.served_by = cached, "hit", cached.lines
        self.finished = True
        if not cached.streaming:
            self.send(cached.content_type, cached.body)
            return
        self.start(cached.content_type)
        self.responder.write(cached.body)
        self.responder.finish()

    def refuse(self, error: GatewayError) -> None:
        """Send an error: as an error answer, or as an error event if the head was sent with a ping. An answer
        that has begun was ended by its attempt already."""
        if self.error is not None and self.finished:  # the client was told already why the request ended
            return
        self.error = error
        if self.started or self.client_gone:
            return
        self.started = self.finished = True
        if self.is_open:
            self.responder.write(self.request.front.stream_error(error))
            self.responder.finish()
            return
        self.status = error.status
        lines = self.head_lines(b"application/json") + error_lines(error)
        self.responder.send(error.status, lines, error.body or self.request.front.error_body(error))

    def head_lines(self, content_type: bytes) -> Lines:
        """The header lines of an answer, but for those of its connection."""
        request_id = self.request.request_id.encode()
        lines = b"content-type: %b\r\nx-request-id: %b\r\n" % (content_type, request_id)
        id_header = self.request.front.conventions.id_header
        if id_header is not None:
            lines += b"%b: %b\r\n" % (id_header, request_id)
        if self.reservation is not None:
            lines += self.reservation.header_lines()
        if self.cache_status:
            lines += b"x-trunkline-cache: %b\r\n" % self.cache_status.encode()
        return lines + self.served_by + self.explained


class Attempt(ImmediateFuture[GatewayError | None]):
    """One attempt, which can be awaited: the result is its failure, or None once the answer is whole.

    It satisfies :class:`~trunkline.providers.base.AnswerReceiver`.
    """

    __slots__ = (
        "abandoned",
        "candidate",
        "charge",
        "ended_at",
        "exchange",
        "failure",
        "in_flight",
        "is_probe",
        "response",
        "sent_at",
        "span_id",
    )

    def __init__(self, candidate: Candidate, exchange: Exchange, response: Response, is_probe: bool) -> None:
        self.settled = False  # as the base class sets these, without a call of its own for every request
        self.resume = None
        self.candidate = candidate
        self.exchange = exchange
        self.response = response
        self.is_probe = is_probe
        """It tries whether an upstream with an open circuit breaker works again."""
        self.in_flight: InFlight | None = None
        """None while it was not sent."""
        self.sent_at: float | None = None
        """By ``time.perf_counter``, like the next."""
        self.ended_at: float | None = None
        self.failure: GatewayError | None = None
        self.abandoned = False
        """It was given up while the upstream was working, so that the upstream may bill it: the client has
        disconnected, a time limit has passed, or the gateway stops."""
        self.charge = NO_CHARGE
        """What it used and cost, once that is settled."""
        self.span_id: int | None = None
        """Its span, where the request is traced."""

    def cancel(self) -> None:
        """End the attempt, and the upstream's work on it: the client has disconnected."""
        if self.in_flight is not None:
            self.abandoned = self.abandoned or (not self.settled and self.in_flight.sent)
            self.in_flight.cancel()
        self.settle(DISCONNECTED)

    def stop(self, error: GatewayError) -> None:
        """End the attempt, and the upstream's work on it: the gateway stops, and ``error`` says so."""
        if self.in_flight is not None:
            self.abandoned = self.in_flight.sent
            self.in_flight.cancel()
        self.fail(error)

    def resent(self) -> None:
        """The request was sent once more over another connection: count it."""
        self.response.sent_to(self.candidate)

    def emit(self, data: bytes) -> None:
        """Pass on bytes of an answer that is not complete yet."""
        response = self.response
        if not response.started:
            self._start()
        response.pieces += 1
        response.responder.write(data)

    def done(self, data: bytes) -> None:
        """Pass on the last bytes of the answer."""
        exchange, response = self.exchange, self.response
        response.finished = True
        if response.is_open or exchange.streaming:
            if not response.started:
                self._start()
            if data:
                response.responder.write(data)
            response.responder.finish()
        else:
            if exchange.not_shown:
                response.served_by += (
                    b"x-trunkline-not-shown: %b\r\n" % ", ".join(exchange.not_shown).encode()
                )
            response.send(exchange.content_type, data)
        self.settle(None)

    def fail(self, error: GatewayError) -> None:
        """The attempt failed. Before the first byte another may follow; after it, an error event ends the
        answer."""
        exchange, response = self.exchange, self.response
        if error.kind is UPSTREAM_TIMEOUT and exchange.error is None and self.in_flight is not None:
            self.abandoned = self.in_flight.sent  # the gateway's own limit, and no answer of the upstream
        if response.started:
            response.responder.write(exchange.fail(error))
            response.responder.finish()
            response.finished = True
        self.settle(error)

    def _start(self) -> None:
        if self.is_probe:
            self.is_probe = False
            self.candidate.state.record_success(self.candidate.model, probe=True)
        self.response.start(self.exchange.content_type)

    def compute_charge(self, prices: PriceBook) -> Charge:
        """Work out what the attempt, which has ended, used and cost.

        An upstream that failed before it answered charges nothing. One that was working when the attempt was
        abandoned may charge what it had done by then: the prompt at least.
        """
        candidate, exchange, response = self.candidate, self.exchange, self.response
        request = response.request
        if not request.front.has_countable_tokens:  # images and audio: their price elsewhere is not known
            free = prices.request_rates(candidate.provider, candidate.model, countable=False)
            return _UNKNOWN if free is None else _FREE
        usage, estimated = exchange.usage, False
        if usage is None and response.first_byte_at is None and not self.abandoned:
            return NO_CHARGE
        whole = exchange.complete or not exchange.streaming
        if usage is None or not whole:
            pieces = exchange.pieces if exchange.streaming else response.size // AVERAGE_BYTES_PER_TOKEN
            if request.front.operation == "embeddings":
                pieces = 0
            usage, estimated = estimate_usage(usage, request.body, pieces, whole=whole)
        cost, source = None, None
        if usage.cost is not None:
            cost, source = usd_to_micros(usage.cost), "upstream"
        elif (rates := prices.rates(candidate.provider, candidate.model)) is not None:
            cost, source = rates.cost(usage), rates.source
        return Charge(usage, estimated, cost, source, candidate.provider.name)


class ActiveRequest:
    """One request under way."""

    __slots__ = (
        "_pieces_seen",
        "_rest",
        "_silent_since",
        "attempts",
        "current",
        "is_paused",
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
        """The pause before an attempt, while it lasts."""
        self.is_paused = False
        """The client reads more slowly than the answer comes."""
        self._pieces_seen = 0
        """How many pieces had been sent at the last :meth:`keep_alive`."""
        self._silent_since = request.received_at
        """When the client was last sent something, as far as :meth:`keep_alive` has seen."""

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

    def stop(self) -> None:
        """End the request because the gateway stops. The client is told so if it still waits."""
        error = GatewayError("The gateway is shutting down; try again in a moment", SHUTTING_DOWN)
        if self.attempts and not self.attempts[-1].settled:
            self.attempts[-1].stop(error)
            return
        if not self.response.started:
            self.response.refuse(error)
        self.disconnected()

    def pause(self) -> None:
        """Stop reading from the upstream: the client reads more slowly than the upstream writes."""
        self.is_paused = True
        if self.attempts and (in_flight := self.attempts[-1].in_flight) is not None:
            in_flight.pause()

    def resume(self) -> None:
        """Read on: the client has caught up."""
        self.is_paused = False
        if self.attempts and (in_flight := self.attempts[-1].in_flight) is not None:
            in_flight.resume()

    def keep_alive(self, now: float, interval: float) -> None:
        """Send a ping to a client that streams and was sent nothing for so long: some clients, and proxies
        before them, give up on a silent stream. To be called several times in each interval.

        Args:
            now: by ``time.perf_counter``.
            interval: the longest silence, in seconds.
        """
        response, summary = self.response, self.request.summary
        if response.pieces != self._pieces_seen:
            self._pieces_seen = response.pieces
            self._silent_since = now
        if now - self._silent_since < interval or summary is None or not summary.stream:
            return
        if response.finished or response.client_gone or self.is_paused:
            return
        ping = self.request.front.ping(summary.model or "")
        if ping:
            self._silent_since = now
            response.ping(ping)

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

    async def wait_for(self, work: asyncio.Future[_Result]) -> _Result:
        """Wait for ``work``, which goes on if the client disconnects meanwhile.

        Raises:
            CallerError: the client has disconnected.
        """
        if not self.response.client_gone:
            rest = self._rest = ImmediateFuture[None]()
            work.add_done_callback(lambda _: rest.settle(None))
            try:
                await rest
            finally:
                self._rest = None
        if self.response.client_gone:
            raise DISCONNECTED
        return work.result()

    @property
    def model(self) -> str | None:
        """The upstream's own name for the model; before an upstream was asked, the client's."""
        if self.current is not None:
            return self.current.exchange.model or self.current.exchange.upstream_model
        if self.response.cached is not None:
            return self.response.cached.model
        summary = self.request.summary
        return None if summary is None else summary.model


class Outcome(msgspec.Struct, frozen=True, eq=False):
    """How a request ended, for logs, metrics, ledger and traces, which work out the details later."""

    active: ActiveRequest
    status: int
    """The HTTP status that the client was sent; 499 if it has disconnected."""
    ended_at: float
    """By ``time.perf_counter``."""
    label: OutcomeLabel
    """Whether the answer is complete, and if not, who broke it off."""


def outcome_of(active: ActiveRequest, ended_at: float) -> Outcome:
    """The outcome of a request that has ended: a success only if the client was sent a complete answer."""
    response = active.response
    error = response.error
    if error is None and response.finished:
        return Outcome(active, response.status, ended_at, SUCCESS)
    if response.client_gone and not response.finished:
        return Outcome(active, CLIENT_GONE.status, ended_at, BY_CLIENT)
    label = BY_GATEWAY if error is None else blame(error, begun=response.first_byte_at is not None)
    return Outcome(active, response.status, ended_at, label)
