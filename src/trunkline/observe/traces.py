"""Traces: a request's place in its caller's trace, and finished spans on their way to a collector (OTLP).

A request that is traced holds two or three numbers while it runs (:class:`Trace`); its spans are made when it
is over. OpenTelemetry is imported only when :class:`Tracer` is made, and sends from a thread of its own.
"""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from trunkline.settings import SettingsError

HEADER: Final = b"traceparent"
"""The header in which W3C Trace Context names a trace and the caller's span."""
FLUSH_S: Final = 5.0
"""Seconds that the last spans may take when the gateway stops."""

_FORM: Final = re.compile(rb"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_PATH: Final = "/v1/traces"
_SAMPLED: Final = 1
_KNOWN_FLAGS: Final = 3

Value: TypeAlias = str | int | float | bool


class ForwardedTrace:
    """A trace of the caller's in which the gateway itself does not appear."""

    __slots__ = ("_header",)

    def __init__(self, header: bytes) -> None:
        self._header = header

    def attempt_header(self) -> tuple[int, tuple[bytes, bytes]]:
        """The header that an upstream is sent, which is the caller's own; no span is made here (id 0)."""
        return 0, (HEADER, self._header)


class Trace:
    """Where one request stands in a trace."""

    __slots__ = ("_flags", "parent", "span_id", "trace_id")

    def __init__(self, trace_id: int = 0, parent: int | None = None, flags: int = _SAMPLED) -> None:
        """``parent`` is the caller's span; without one a new trace begins here."""
        self.trace_id = trace_id or _new_id(128)
        self.parent = parent
        self._flags = flags
        self.span_id = _new_id(64)

    def attempt_header(self) -> tuple[int, tuple[bytes, bytes]]:
        """The id of an attempt's span, and the header that makes it the parent of the upstream's span."""
        span_id = _new_id(64)
        return span_id, (HEADER, b"00-%032x-%016x-%02x" % (self.trace_id, span_id, self._flags))


def trace_of(header: bytes | None, on: bool) -> Trace | ForwardedTrace | None:
    """What is to be known of a request's trace, from its ``traceparent`` and whether spans are made here.

    A caller that does not record its own trace (the header's sampled flag) is followed in that; a header that
    is none is as good as no header, and goes nowhere.
    """
    form = None if header is None else _FORM.fullmatch(header)
    if form is None or header is None:
        return Trace() if on else None
    version, trace_id, parent, flags = int(form[1], 16), int(form[2], 16), int(form[3], 16), int(form[4], 16)
    if not trace_id or not parent or (version == 0 and form[5] is not None):
        return Trace() if on else None
    if on and flags & _SAMPLED:
        return Trace(trace_id, parent, flags & _KNOWN_FLAGS)
    return ForwardedTrace(header)


class Span(NamedTuple):
    """A finished span. Times are Unix time in seconds."""

    name: str
    trace_id: int
    span_id: int
    parent: int | None
    began: float
    ended: float
    attributes: Mapping[str, Value]
    failed: bool = False
    inside: bool = False
    """A client span, of an attempt at an upstream, inside the server span of the request."""


class _Processor(Protocol):
    def on_end(self, span: Any) -> None: ...
    def shutdown(self) -> None: ...


class Tracer:
    """Sends spans to a collector."""

    def __init__(self, endpoint: str, version: str) -> None:
        """``endpoint`` is the collector's OTLP/HTTP address, with or without ``/v1/traces``; everything else
        can be said by OpenTelemetry's own environment variables.

        Raises:
            SettingsError: the packages that this needs are not installed.
        """
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
        self._exporter_of = trace_exporter.OTLPSpanExporter
        self._make, self._context = trace.ReadableSpan, SpanContext
        self._kinds = SpanKind.SERVER, SpanKind.CLIENT
        self._statuses = Status(StatusCode.UNSET), Status(StatusCode.ERROR)
        self._flags = TraceFlags(TraceFlags.SAMPLED)
        self._scope = instrumentation.InstrumentationScope("trunkline", version)
        named = resources.Resource.create({"service.version": version})
        if str(named.attributes["service.name"]).startswith("unknown_service"):
            named = named.merge(resources.Resource({"service.name": "trunkline"}))
        self._resource = named
        self._processor: _Processor | None = None

    def start(self) -> None:
        """Begin to send; what was put before is lost."""
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        if self._processor is None:
            self._exporter = self._exporter_of(endpoint=self._url)
            self._processor = BatchSpanProcessor(self._exporter)

    def put(self, spans: Iterable[Span]) -> None:
        """Send these some time. Never blocks: a collector that does not keep up loses the oldest."""
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
                    None if parent is None else context(span.trace_id, parent, not span.inside, flags),
                    self._resource,
                    span.attributes,
                    kind=self._kinds[span.inside],
                    status=self._statuses[span.failed],
                    start_time=int(span.began * 1e9),
                    end_time=int(span.ended * 1e9),
                    instrumentation_scope=self._scope,
                )
            )

    def close(self) -> None:
        """Send what is left, as far as a collector takes it within :data:`FLUSH_S`. Slow: for threads."""
        processor, self._processor = self._processor, None
        if processor is None:
            return
        end = threading.Timer(FLUSH_S, self._exporter.shutdown)
        end.daemon = True
        end.start()
        processor.shutdown()
        end.cancel()


def _new_id(bits: int) -> int:
    return random.getrandbits(bits) or 1
