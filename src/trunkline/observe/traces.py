"""Traces: the trace context of a request (W3C Trace Context), and the export of its spans (OTLP).

A traced request holds only a few numbers while it runs (:class:`Trace`). Its spans are built when it has
ended. OpenTelemetry is imported only when a :class:`Tracer` is created. It sends spans from its own thread.
"""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from trunkline.settings import SettingsError

TRACEPARENT: Final = b"traceparent"
"""The header in which W3C Trace Context names a trace and the caller's span."""
FLUSH_S: Final = 5.0
"""The timeout for sending the last spans when the gateway stops, in seconds."""

_PATTERN: Final = re.compile(rb"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_PATH: Final = "/v1/traces"
_SAMPLED: Final = 1
_KNOWN_FLAGS: Final = 3

Value: TypeAlias = str | int | float | bool


class ForwardedTrace:
    """A caller's trace context that is forwarded unchanged. The gateway adds no spans to the trace."""

    __slots__ = ("_header",)

    def __init__(self, header: bytes) -> None:
        self._header = header

    def attempt_header(self) -> tuple[int, tuple[bytes, bytes]]:
        """Return 0 in place of a span id, and the header for an upstream, which is the caller's own."""
        return 0, (TRACEPARENT, self._header)


class Trace:
    """The trace context of one request.

    Args:
        trace_id: The caller's trace. 0 starts a new trace.
        parent: The id of the caller's span, or None in a new trace.
        flags: The trace flags that upstreams are sent.
    """

    __slots__ = ("_flags", "parent", "span_id", "trace_id")

    def __init__(self, trace_id: int = 0, parent: int | None = None, flags: int = _SAMPLED) -> None:
        self.trace_id = trace_id or _new_id(128)
        self.parent = parent
        self._flags = flags
        self.span_id = _new_id(64)

    def attempt_header(self) -> tuple[int, tuple[bytes, bytes]]:
        """Return the id of a new attempt's span, and the header that makes it the upstream's parent."""
        span_id = _new_id(64)
        return span_id, (TRACEPARENT, b"00-%032x-%016x-%02x" % (self.trace_id, span_id, self._flags))


def parse_traceparent(header: bytes | None, enabled: bool) -> Trace | ForwardedTrace | None:
    """Determine the trace context of a request.

    Args:
        header: The request's ``traceparent``. A malformed one is ignored, and is not forwarded.
        enabled: Whether this gateway exports spans.

    Returns:
        A :class:`Trace` if spans are exported, and a :class:`ForwardedTrace` if only the caller's header is
        passed on. The latter is also the case if the caller does not record its trace (the header's sampled
        flag). None if there is nothing to trace.
    """
    match = None if header is None else _PATTERN.fullmatch(header)
    if match is None or header is None:
        return Trace() if enabled else None
    version, trace_id = int(match[1], 16), int(match[2], 16)
    parent, flags = int(match[3], 16), int(match[4], 16)
    if not trace_id or not parent or (version == 0 and match[5] is not None):
        return Trace() if enabled else None
    if enabled and flags & _SAMPLED:
        return Trace(trace_id, parent, flags & _KNOWN_FLAGS)
    return ForwardedTrace(header)


class Span(NamedTuple):
    """A finished span. Its times are Unix time."""

    name: str
    trace_id: int
    span_id: int
    parent: int | None
    began: float
    ended: float
    attributes: Mapping[str, Value]
    failed: bool = False
    is_client: bool = False
    """Whether it is a client span, of an attempt at an upstream. The span of the request is a server span,
    and the parent of the others."""


class _Processor(Protocol):
    def on_end(self, span: Any) -> None: ...
    def shutdown(self) -> None: ...


class Tracer:
    """Sends spans to a collector.

    Everything but the endpoint can be configured with OpenTelemetry's own environment variables.

    Args:
        endpoint: The collector's OTLP/HTTP address, with or without ``/v1/traces``.
        version: The version of the gateway.

    Raises:
        SettingsError: The packages that are needed are not installed.
    """

    def __init__(self, endpoint: str, version: str) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http import trace_exporter
            from opentelemetry.sdk import resources, trace
            from opentelemetry.sdk.util import instrumentation
            from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
            from opentelemetry.trace.status import Status, StatusCode
        except ImportError as error:
            raise SettingsError(
                "OTEL_ENDPOINT: traces need packages that are not installed here; run "
                f"`pip install 'trunkline[otel]'`, or unset it ({error})"
            ) from None
        self._url = endpoint if endpoint.endswith(_PATH) else endpoint.rstrip("/") + _PATH
        self._exporter_class = trace_exporter.OTLPSpanExporter
        self._make, self._context = trace.ReadableSpan, SpanContext
        self._kinds = SpanKind.SERVER, SpanKind.CLIENT
        self._statuses = Status(StatusCode.UNSET), Status(StatusCode.ERROR)
        self._flags = TraceFlags(TraceFlags.SAMPLED)
        self._scope = instrumentation.InstrumentationScope("trunkline", version)
        resource = resources.Resource.create({"service.version": version})
        if str(resource.attributes["service.name"]).startswith("unknown_service"):
            resource = resource.merge(resources.Resource({"service.name": "trunkline"}))
        self._resource = resource
        self._processor: _Processor | None = None

    def start(self) -> None:
        """Start to send. Spans that were put before are lost."""
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        if self._processor is None:
            self._exporter = self._exporter_class(endpoint=self._url)
            self._processor = BatchSpanProcessor(self._exporter)

    def put(self, spans: Iterable[Span]) -> None:
        """Queue spans without blocking. If the collector does not keep up, the oldest are dropped."""
        processor = self._processor
        if processor is None:
            return
        make, context, flags = self._make, self._context, self._flags
        for span in spans:
            parent = span.parent
            processor.on_end(
                make(
                    span.name,
                    context(span.trace_id, span.span_id, False, flags),
                    None if parent is None else context(span.trace_id, parent, not span.is_client, flags),
                    self._resource,
                    span.attributes,
                    kind=self._kinds[span.is_client],
                    status=self._statuses[span.failed],
                    start_time=int(span.began * 1e9),
                    end_time=int(span.ended * 1e9),
                    instrumentation_scope=self._scope,
                )
            )

    def close(self) -> None:
        """Send the queued spans, within :data:`FLUSH_S`. Blocks, so call it in a thread."""
        processor, self._processor = self._processor, None
        if processor is None:
            return
        timeout = threading.Timer(FLUSH_S, self._exporter.shutdown)
        timeout.daemon = True
        timeout.start()
        processor.shutdown()
        timeout.cancel()


def _new_id(bits: int) -> int:
    return random.getrandbits(bits) or 1
