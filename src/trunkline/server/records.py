"""What every call came to, written down: one log line and the counters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trunkline.errors import GatewayError
from trunkline.observe.log import AccessLog, RequestLine
from trunkline.observe.metrics import Metrics
from trunkline.pipeline import Outcome

if TYPE_CHECKING:
    from trunkline.server.calls import Opened

_QUIET: Final = ("/health", "/metrics")
"""Beginnings of paths that machines ask every few seconds: only their failures are worth a line."""


class Recorder:
    """The pipeline's observer."""

    def __init__(self, metrics: Metrics, access_log: AccessLog) -> None:
        self._metrics = metrics
        self._log = access_log

    def observe(self, outcome: Outcome) -> None:
        """Note one call. No prompt, no answer and no key stands in what is noted."""
        call, status, error, seconds, first_byte = outcome
        candidate, usage, peek = call.candidate, call.usage, call.peek
        provider = None if candidate is None else candidate.provider.name
        self._metrics.count(call.front.operation, provider, status, seconds, first_byte, usage)
        self._log.emit(
            RequestLine(
                method="POST",
                path=call.path,
                request_id=call.request_id,
                dialect=call.front.dialect,
                operation=call.front.operation,
                key=None if call.key is None else call.key.id,
                client=call.client,
                provider=provider,
                upstream=None if candidate is None else candidate.upstream.name,
                model=call.model,
                status=status,
                code=None if error is None else error.code,
                prompt_tokens=None if usage is None else usage.prompt_tokens,
                completion_tokens=None if usage is None else usage.completion_tokens,
                latency_ms=round(seconds * 1000, 3),
                ttft_ms=None if first_byte is None else round(first_byte * 1000, 3),
                attempts=call.attempts,
                streamed=peek is not None and peek.stream,
            )
        )

    def observe_page(self, opened: Opened, status: int, error: GatewayError | None) -> None:
        """Note one request that reached no model: a page, or a refusal at the door."""
        if status < 400 and opened.path.startswith(_QUIET):
            return
        self._log.emit(
            RequestLine(
                method=opened.method or None,
                path=opened.path,
                request_id=opened.request_id,
                key=None if opened.key is None else opened.key.id,
                status=status,
                code=None if error is None else error.code,
                latency_ms=0.0,
            )
        )
