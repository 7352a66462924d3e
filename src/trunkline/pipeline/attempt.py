"""One try to have a request answered by one candidate.

An attempt receives what the exchange with its upstream yields and passes it to the response. Whether another
attempt follows is for ``pipeline`` to decide.
"""

from __future__ import annotations

from typing import Final

from trunkline.errors import CLIENT_GONE, CallerError, GatewayError
from trunkline.exchange import Exchange
from trunkline.immediate import ImmediateFuture
from trunkline.pipeline.response import Response
from trunkline.policy.reservations import NOTHING
from trunkline.providers.base import InFlight
from trunkline.routing.candidates import Candidate

DISCONNECTED: Final = CallerError("The client closed the connection", CLIENT_GONE)
"""The failure of an attempt whose client has disconnected."""


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
        """The client disconnected while the upstream was working, so that the upstream may bill it."""
        self.charge = NOTHING
        """What it used and cost, once that is settled."""
        self.span_id: int | None = None
        """Its span, where the request is traced."""

    def cancel(self) -> None:
        """End the attempt, and the upstream's work on it: the client has disconnected."""
        if self.in_flight is not None:
            self.abandoned = self.abandoned or (not self.settled and self.in_flight.sent)
            self.in_flight.cancel()
        self.settle(DISCONNECTED)

    def emit(self, data: bytes) -> None:
        """Pass on bytes of an answer that is not complete yet."""
        response = self.response
        if not response.started:
            self._start()
        response.responder.write(data)

    def done(self, data: bytes) -> None:
        """Pass on the last bytes of the answer."""
        exchange, response = self.exchange, self.response
        response.finished = True
        if response.started or exchange.streaming:
            if not response.started:
                self._start()
            if data:
                response.responder.write(data)
            response.responder.finish()
        else:
            response.send(exchange.content_type, data)
        self.settle(None)

    def fail(self, error: GatewayError) -> None:
        """The attempt failed. Before the first byte another may follow; after it, an error event ends the
        answer."""
        response = self.response
        if response.started:
            response.responder.write(self.exchange.fail(error))
            response.responder.finish()
            response.finished = True
        self.settle(error)

    def _start(self) -> None:
        if self.is_probe:
            self.is_probe = False
            self.candidate.state.breaker.record_success(probe=True)
        self.response.start(self.exchange.content_type)
