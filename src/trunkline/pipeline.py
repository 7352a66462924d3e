"""What happens to a request, from its bytes to its last answer byte: the sentence that the house reads as.

bytes in → the front dialect peeks → key → candidates for the model → one attempt after another, until one
has begun to answer → bytes out → what it came to is recorded.

:class:`Call` is one request under way: the server's two ends hold it on one side, a provider's exchange on
the other. :class:`Pipeline` is the sentence. Neither knows HTTP parsing, sockets or what dialects look like.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol

import structlog

from trunkline.dialects.base import Front, Peek
from trunkline.errors import CLIENT_GONE, MODEL_NOT_FOUND, CallerError, GatewayError
from trunkline.exchange import Exchange
from trunkline.model import Usage
from trunkline.providers.base import Flight
from trunkline.routing.router import Candidate, Router
from trunkline.steps import Turn

Lines = bytes
"""Header lines ready for the wire, each ended by CRLF."""

log: Final = structlog.stdlib.get_logger(__name__)
FIRST_LOOK_S: Final = 3.0
"""Seconds that the first requests after a start wait for the providers to say what they have."""
_now: Final = time.perf_counter
_STREAM_LINES: Final = b"cache-control: no-cache\r\nx-accel-buffering: no\r\n"
_GONE: Final = CallerError("The client closed the connection", CLIENT_GONE)


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


class Outcome(NamedTuple):
    """What a call came to, for logs, metrics and the ledger. What follows from it is derived later."""

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
        "answered",
        "attempts",
        "began",
        "candidate",
        "client",
        "error",
        "exchange",
        "first_byte_at",
        "flight",
        "front",
        "gone",
        "key",
        "only",
        "path",
        "peek",
        "request_id",
        "responder",
        "started",
        "status",
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
    ) -> None:
        """``key`` is what admission found, ``only`` the provider that the path names, ``client`` the
        peer's address."""
        self.responder = responder
        self.front = front
        self.path = path
        self.request_id = request_id
        self.only = only
        self.client = client
        self.key = key
        self.peek: Peek | None = None
        self.candidate: Candidate | None = None
        self.exchange: Exchange | None = None
        self.flight: Flight | None = None
        self.attempts = 0
        self.began = _now()
        self.first_byte_at: float | None = None
        self.started = False
        """Something of the answer was sent: no other upstream may be asked any more."""
        self.answered = False
        self.gone = False
        self.status = 0
        self.error: GatewayError | None = None
        self._attempt: Turn[GatewayError | None] | None = None

    # The server's side

    def disconnected(self) -> None:
        """The client has gone: stop the upstream, now."""
        self.gone = True
        if self.flight is not None:
            self.flight.cancel()
        self._end_attempt(_GONE)

    def pause(self) -> None:
        """The client reads more slowly than the upstream writes."""
        if self.flight is not None:
            self.flight.pause()

    def resume(self) -> None:
        """The client has caught up."""
        if self.flight is not None:
            self.flight.resume()

    # The provider's side: an ``Outlet``

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
            self.responder.send(200, self._lines(self.exchange.content_type), data)
        self._end_attempt(None)

    def fail(self, error: GatewayError) -> None:
        """The attempt failed. Before the first byte another may follow; after it, an error event ends all."""
        if self.started:
            self.responder.write(self.front.stream_error(error))
            self.responder.finish()
            self.answered = True
        self._end_attempt(error)

    def _start(self) -> None:
        assert self.exchange is not None
        self.started = True
        self.status = 200
        self.first_byte_at = _now()
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
            return _GONE
        attempt = self._attempt = Turn()
        self.flight = candidate.provider.open(exchange, candidate.upstream, self)
        return await attempt

    def refuse(self, error: GatewayError) -> None:
        """Answer with an error; if an answer has begun already, it was ended by :meth:`fail`."""
        self.error = error
        if self.started or self.gone:
            return
        self.started = self.answered = True
        self.status = error.status
        lines = self._lines(b"application/json") + error_lines(error)
        self.responder.send(error.status, lines, self.front.error(error))

    def _lines(self, content_type: bytes) -> Lines:
        lines = b"content-type: %b\r\nx-request-id: %b\r\n" % (content_type, self.request_id.encode())
        if self.candidate is None:
            return lines
        return b"%b%bx-trunkline-attempts: %d\r\n" % (lines, self.candidate.lines, self.attempts)

    @property
    def usage(self) -> Usage | None:
        """Tokens, as far as the upstream has told."""
        return None if self.exchange is None else self.exchange.usage

    @property
    def model(self) -> str | None:
        """The upstream's own name for the model."""
        if self.exchange is None:
            return None if self.peek is None else self.peek.model
        return self.exchange.model or self.exchange.upstream_model


def error_lines(error: GatewayError) -> Lines:
    """Headers that an error's status calls for (RFC 9110: 11.6.1 and 10.2.3)."""
    lines = b"www-authenticate: Bearer\r\n" if error.status == 401 else b""
    if error.retry_after is not None:
        lines += b"retry-after: %d\r\n" % max(1, round(error.retry_after))
    return lines


class Pipeline:
    """The way of every request through the gateway."""

    def __init__(self, router: Router, observers: Sequence[Callable[[Outcome], None]] = ()) -> None:
        """``observers`` are told what every call came to; they must be quick and must not raise."""
        self.router = router
        self._observers = tuple(observers)
        self.active: set[Call] = set()

    async def serve(self, call: Call, body: bytes) -> None:
        """Answer one call whose key was checked and whose body has arrived. Raises only when cancelled."""
        self.active.add(call)
        try:
            await self._answer(call, body)
        except GatewayError as error:
            call.refuse(error)
        except asyncio.CancelledError:
            call.disconnected()
            raise
        except Exception:
            log.exception("a request failed inside the gateway", request_id=call.request_id)
            call.refuse(GatewayError("The gateway failed; its log says more under this request's id"))
        finally:
            self.active.discard(call)
            self.settle(call)

    async def _answer(self, call: Call, body: bytes) -> None:
        front = call.front
        peek = call.peek = front.peek(body)
        router, operation = self.router, front.operation
        if not router.catalog.settled:
            await asyncio.ensure_future(router.catalog.settle(FIRST_LOOK_S))
        model = peek.model or router.default_model(call.only or front.home)
        try:
            candidates = router.candidates(model, operation, call.only)
        except CallerError as error:
            if error.kind is not MODEL_NOT_FOUND:
                raise
            if not await asyncio.ensure_future(router.catalog.look_again()):
                raise
            candidates = router.candidates(model, operation, call.only)
        if peek.load is not None:
            candidates = await asyncio.ensure_future(router.holders_first(candidates))
        failure: GatewayError | None = None
        for candidate in candidates:
            provider = candidate.provider
            preparation = provider.preparation(front, body)
            if preparation is not None:
                body = await asyncio.ensure_future(preparation)
            exchange = provider.exchange(front, body, peek, candidate.model)
            failure = call.error = await call.attempt(candidate, exchange)
            if failure is None:
                return
            if call.started or call.gone or not failure.kind.failover:
                break
            if candidate is not candidates[-1]:
                _log_fallback(call, candidate, failure)
        assert failure is not None
        raise failure

    def settle(self, call: Call) -> None:
        """Tell the observers what the call came to."""
        status = CLIENT_GONE.status if call.gone and not call.answered else call.status
        outcome = Outcome(call, status, _now())
        for observe in self._observers:
            observe(outcome)


def _log_fallback(call: Call, candidate: Candidate, failure: GatewayError) -> None:
    log.warning(
        "falling back",
        request_id=call.request_id,
        provider=candidate.provider.name,
        upstream=candidate.upstream.name,
        model=candidate.model,
        code=failure.code,
    )
