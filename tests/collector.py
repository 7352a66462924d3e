"""A collector of traces in this process, which speaks OTLP over HTTP and forgets nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status


class Seen(NamedTuple):
    """A span as it came."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent: str
    began: int
    ended: int
    attributes: dict[str, Any]
    failed: bool
    remote_parent: bool


class Collector:
    """What was sent, and where to."""

    def __init__(self) -> None:
        self.url = ""
        self.status = 200
        """What exports are answered with."""
        self.paths: set[str] = set()
        self.bodies: list[bytes] = []

    @property
    def raw(self) -> bytes:
        """Every byte that was sent."""
        return b"".join(self.bodies)

    def requests(self) -> list[ExportTraceServiceRequest]:
        """Every export."""
        return [ExportTraceServiceRequest.FromString(body) for body in self.bodies]

    def resource(self) -> dict[str, Any]:
        """What the sender says of itself."""
        [resource] = {
            each.resource.SerializeToString(deterministic=True): each.resource
            for request in self.requests()
            for each in request.resource_spans
        }.values()
        return _plain(resource.attributes)

    def spans(self, kind: str | None = None) -> list[Seen]:
        """Every span (of one kind), the earliest first."""
        found = [
            _seen(span)
            for request in self.requests()
            for of_resource in request.resource_spans
            for of_scope in of_resource.scope_spans
            for span in of_scope.spans
        ]
        return sorted((each for each in found if kind in (None, each.kind)), key=lambda each: each.began)


def _seen(span: Span) -> Seen:
    return Seen(
        span.name,
        Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        _plain(span.attributes),
        span.status.code == Status.STATUS_CODE_ERROR,
        bool(span.flags & 0x200),
    )


def _plain(pairs: Any) -> dict[str, Any]:
    def value(given: AnyValue) -> Any:
        return getattr(given, given.WhichOneof("value") or "string_value")

    def pair(given: KeyValue) -> tuple[str, Any]:
        return given.key, value(given.value)

    return dict(map(pair, pairs))


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens until the block is left."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.bodies.append(self.rfile.read(int(self.headers["content-length"])))
            collector.paths.add(self.path)
            self.send_response(collector.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()
