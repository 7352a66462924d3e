"""What every call came to, written down: one log line, the counters, the ledger's rows, and spans."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from trunkline.errors import GatewayError, redact
from trunkline.ledger.usage_rows import RowIds
from trunkline.ledger.writer import Ledger
from trunkline.observe.log import AccessLog, RequestLine
from trunkline.observe.metrics import Metrics
from trunkline.observe.traces import Tracer
from trunkline.pipeline.call import Call, Outcome
from trunkline.server.accounting.spans import spans_of
from trunkline.server.accounting.usage_records import rows_of

if TYPE_CHECKING:
    from trunkline.server.http.request_head import RequestHead

DELAY_S: Final = 0.03
"""Seconds for which a call may wait to be noted."""

MOST_PENDING: Final = 64
"""Calls that may wait to be noted: each of them still holds its request in memory."""

_QUIET: Final = ("/health", "/metrics")
"""Beginnings of paths that machines ask every few seconds: only their failures are worth a line."""


class Recorder:
    """The pipeline's observer. A call that ends only puts itself into a list; the list is worked off a few
    times a second, or when it has grown, so that the work of many calls is done in one go."""

    def __init__(
        self,
        metrics: Metrics,
        access_log: AccessLog,
        ledger: Ledger | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self._metrics = metrics
        self._tracer = tracer
        self._ledger = ledger
        self._ids = RowIds()
        self._log = access_log
        self._pending: list[Outcome] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Work the list off by timers of ``loop`` from now on; until then each call is noted at once."""
        self._loop = loop

    def observe(self, outcome: Outcome) -> None:
        """Note one call."""
        self._pending.append(outcome)
        if self._loop is None or len(self._pending) >= MOST_PENDING:
            self.flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(DELAY_S, self.flush)

    def flush(self) -> None:
        """Count and log what is pending."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        pending, self._pending = self._pending, []
        offset = time.time() - time.perf_counter()
        for outcome in pending:
            self._note(outcome, offset)
        if self._ledger is not None and pending:
            self._ledger.put(rows_of(pending, offset, self._ids))
        if self._tracer is not None:
            self._tracer.put(span for each in pending for span in spans_of(each, offset))

    def close(self) -> None:
        """Note the rest, and every later call at once."""
        self._loop = None
        self.flush()

    def _note(self, outcome: Outcome, offset: float) -> None:
        """One call. No prompt, no answer and no key stands in what is noted."""
        call, status, ended = outcome
        candidate, usage, summary, error = call.candidate, call.usage, call.summary, call.error
        seconds, first_byte = outcome.seconds, outcome.first_byte
        provider = None if candidate is None else candidate.provider.name
        if call.waited:
            self._metrics.queue_waits.add(call.waited)
        self._metrics.count(
            call.front.operation,
            provider,
            status,
            seconds,
            first_byte,
            usage,
            call.spent.cost,
            _overhead(call, ended),
            max(0, call.attempts - 1),
        )
        if not self._log.wants(status):
            return
        model = call.model
        asked = None if summary is None else summary.model
        if error is not None:  # a name that nobody knows may be a key in the wrong place
            model = model and redact(model)
            asked = asked and redact(asked)
        self._log.emit(
            RequestLine(
                timestamp=ended + offset,
                method="POST",
                path=call.path,
                request_id=call.request_id,
                dialect=call.front.dialect,
                operation=call.front.operation,
                key=None if call.key is None else call.key.id,
                client=call.client,
                provider=provider,
                upstream=None if candidate is None else candidate.upstream.name,
                asked=asked,
                model=model,
                status=status,
                code=None if error is None else error.code,
                prompt_tokens=None if usage is None else usage.prompt_tokens,
                completion_tokens=None if usage is None else usage.completion_tokens,
                latency_ms=round(seconds * 1000, 3),
                ttft_ms=None if first_byte is None else round(first_byte * 1000, 3),
                queued_ms=round(call.waited * 1000, 3) if call.waited else None,
                attempts=call.attempts,
                streamed=summary is not None and summary.stream,
            )
        )

    def observe_page(
        self, head: RequestHead, status: int, error: GatewayError | None, seconds: float = 0.0
    ) -> None:
        """Note one request that reached no model: a page, an errand, or a refusal at the door."""
        if status < 400 and head.path.startswith(_QUIET):
            return
        self._log.emit(
            RequestLine(
                method=head.method or None,
                path=head.path,
                request_id=head.request_id,
                key=None if head.key is None else head.key.id,
                status=status,
                code=None if error is None else error.code,
                latency_ms=round(seconds * 1000, 3),
            )
        )


def _overhead(call: Call, ended: float) -> float | None:
    """Seconds that the request spent in the gateway itself, if an upstream was asked."""
    if call.sent_at is None:
        return None
    own = ended - call.began - call.waited
    if call.past:
        own -= sum(past.ended - past.began for past in call.past)
    if call.exchange is not None:
        own -= (call.landed_at or ended) - call.sent_at
    return max(0.0, own)
