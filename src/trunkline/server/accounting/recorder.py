"""Records how every request ended: a line of the log, the metrics, rows of the ledger, and spans."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from trunkline.errors import (
    BY_CLIENT,
    BY_GATEWAY,
    CLIENT_GONE,
    REFUSED,
    SUCCESS,
    GatewayError,
    OutcomeLabel,
    blame,
    redact,
    redact_keys,
)
from trunkline.ledger.usage_rows import RowIds
from trunkline.ledger.writer import Ledger
from trunkline.observe.log import AccessLog, RequestLine
from trunkline.observe.metrics import Metrics
from trunkline.observe.traces import Tracer
from trunkline.pipeline.active import ActiveRequest, Outcome
from trunkline.server.accounting.spans import spans_of
from trunkline.server.accounting.usage_records import rows_of

if TYPE_CHECKING:
    from trunkline.server.http.request_head import RequestHead

DELAY_S: Final = 0.03
"""Seconds for which an outcome may wait to be recorded."""

MOST_PENDING: Final = 64
"""The number of outcomes that may wait: each of them still holds its request in memory."""

_MANY_NAMES: Final = 4096
"""Names of models that are remembered with what is left of them in a log."""

_QUIET: Final = ("/health", "/metrics")
"""Beginnings of paths that machines poll: only their failures are logged."""


class Recorder:
    """The pipeline's observer. The outcome of a request is only put into a list; the list is processed a few
    times a second, or when it has grown, so that many outcomes are recorded in one go."""

    def __init__(
        self,
        metrics: Metrics,
        access_log: AccessLog,
        ledger: Ledger | None = None,
        tracer: Tracer | None = None,
        redact: Callable[[str], str] = redact_keys,
    ) -> None:
        """
        Args:
            metrics: counts requests.
            access_log: takes a line for each.
            ledger: takes rows, where usage is written down.
            tracer: takes spans, where requests are traced.
            redact: takes keys out of the names that clients have written.
        """
        self._redact = lru_cache(_MANY_NAMES)(redact)
        self._metrics = metrics
        self._tracer = tracer
        self._ledger = ledger
        self._ids = RowIds()
        self._log = access_log
        self._pending: list[Outcome] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Process the list by timers of ``loop`` from now on; until then each outcome is recorded at once."""
        self._loop = loop

    def observe(self, outcome: Outcome) -> None:
        """Record one outcome, soon."""
        self._pending.append(outcome)
        if self._loop is None or len(self._pending) >= MOST_PENDING:
            self.flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(DELAY_S, self.flush)

    def flush(self) -> None:
        """Record the outcomes that wait."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        pending, self._pending = self._pending, []
        offset = time.time() - time.perf_counter()
        for outcome in pending:
            self._record(outcome, offset)
        if self._ledger is not None and pending:
            self._ledger.put(rows_of(pending, offset, self._ids, self._redact))
        if self._tracer is not None:
            self._tracer.put(span for each in pending for span in spans_of(each, offset, self._redact))

    def close(self) -> None:
        """Record what waits, and every later outcome at once."""
        self._loop = None
        self.flush()

    def _record(self, outcome: Outcome, offset: float) -> None:
        """Count and log one request. No prompt, no answer and no key stands in what is recorded."""
        active, status, ended_at = outcome.active, outcome.status, outcome.ended_at
        request, response, attempts, attempt = (
            active.request,
            active.response,
            active.attempts,
            active.current,
        )
        summary, error, queued_s = request.summary, response.error, active.queued_s
        seconds, first_byte_at = ended_at - request.received_at, response.first_byte_at
        first_byte_s = None if first_byte_at is None else first_byte_at - request.received_at
        candidate = attempts[-1].candidate if attempts else None
        provider = None if candidate is None else candidate.provider.name
        usage = None if attempt is None else attempt.exchange.usage
        if queued_s:
            self._metrics.queue_waits.add(queued_s)
        self._metrics.count(
            operation=request.front.operation,
            provider=provider,
            status=status,
            outcome=outcome.label,
            duration_s=seconds,
            first_byte_s=first_byte_s,
            usage=usage,
            cost_micros=0 if attempt is None else attempt.charge.cost,
            overhead_s=None if attempt is None or attempt.sent_at is None else _overhead(active, ended_at),
            retries=response.times_sent - 1 if attempts else 0,
        )
        if len(attempts) > 1 or attempt is None:
            for each in attempts:
                if each is not attempt:
                    name = each.candidate.provider.name
                    self._metrics.add_failed_attempt(request.front.operation, name, each.charge.cost)
        severity = status if error is None else max(status, error.status)  # a stream that broke off has 200
        if severity < self._log.min_status:
            return
        model = active.model and self._redact(active.model)
        asked = None if summary is None else summary.model and self._redact(summary.model)
        if error is not None:  # a name that no provider knows may be a key in the wrong place
            model = model and redact(model)
            asked = asked and redact(asked)
        self._log.emit(
            RequestLine(
                timestamp=ended_at + offset,
                method="POST",
                path=request.path,
                request_id=request.request_id,
                dialect=request.front.dialect,
                operation=request.front.operation,
                key=None if request.key is None else request.key.id,
                client=request.client,
                provider=provider,
                upstream=None if candidate is None else candidate.upstream.name,
                asked=asked,
                model=model,
                status=status,
                severity=severity,
                outcome=outcome.label,
                code=None if error is None else error.code,
                prompt_tokens=None if usage is None else usage.prompt_tokens,
                completion_tokens=None if usage is None else usage.completion_tokens,
                latency_ms=round(seconds * 1000, 3),
                ttft_ms=None if first_byte_s is None else round(first_byte_s * 1000, 3),
                queued_ms=round(queued_s * 1000, 3) if queued_s else None,
                attempts=response.times_sent,
                streamed=summary is not None and summary.stream,
                not_shown=None if attempt is None else tuple(attempt.exchange.not_shown) or None,
            )
        )

    def observe_page(
        self, head: RequestHead, status: int, error: GatewayError | None, seconds: float = 0.0
    ) -> None:
        """Record a request that reached no model: a page, an async route, or a refusal by admission."""
        if status < 400 and head.path.startswith(_QUIET):
            return
        self._log.emit(
            RequestLine(
                method=head.method or None,
                path=head.path,
                request_id=head.request_id,
                key=None if head.key is None else head.key.id,
                status=status,
                outcome=_outcome_of_page(status, error),
                code=None if error is None else error.code,
                latency_ms=round(seconds * 1000, 3),
            )
        )


def _outcome_of_page(status: int, error: GatewayError | None) -> OutcomeLabel:
    if error is not None:
        return blame(error)
    if status < 400:
        return SUCCESS
    if status == CLIENT_GONE.status:
        return BY_CLIENT
    return REFUSED if status < 500 else BY_GATEWAY


def _overhead(active: ActiveRequest, ended_at: float) -> float:
    """Seconds that the request spent in the gateway itself."""
    own = ended_at - active.request.received_at - active.queued_s
    for attempt in active.attempts:
        if attempt.sent_at is not None:
            own -= (attempt.ended_at or ended_at) - attempt.sent_at
    return max(0.0, own)
