"""Trace contexts of requests, and the export of spans."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from tests.collector import collecting
from trunkline.observe import traces
from trunkline.observe.traces import ForwardedTrace, Span, Trace, Tracer, parse_traceparent
from trunkline.settings import SettingsError

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
HEADER = f"00-{TRACE}-{PARENT}-01".encode()

MALFORMED = (
    b"",
    b"00",
    HEADER.upper(),
    HEADER + b"0",
    HEADER + b"-more",
    b"ff" + HEADER[2:],
    b"00-" + b"0" * 32 + HEADER[35:],
    HEADER[:36] + b"0" * 16 + b"-01",
    HEADER.replace(b"-", b"_"),
)


@pytest.mark.parametrize("header", [None, *MALFORMED])
def test_a_request_without_a_valid_header_starts_a_trace(header: bytes | None) -> None:
    assert parse_traceparent(header, enabled=False) is None
    trace = parse_traceparent(header, enabled=True)
    assert isinstance(trace, Trace)
    assert trace.parent is None
    assert trace.trace_id != int(TRACE, 16)


@pytest.mark.parametrize(
    ("header", "enabled"),
    [
        (HEADER, False),
        (HEADER[:-1] + b"0", False),
        (HEADER[:-1] + b"0", True),
        (HEADER[:-1] + b"2", True),
        (b"cc" + HEADER[2:] + b"-what-the-future-brings", False),
    ],
    ids=["off", "off and not recorded", "not recorded", "not recorded but random", "off, a later version"],
)
def test_the_callers_header_is_forwarded_unchanged(header: bytes, enabled: bool) -> None:
    trace = parse_traceparent(header, enabled)
    assert isinstance(trace, ForwardedTrace)
    assert [trace.attempt_header() for _ in range(2)] == [(0, (b"traceparent", header))] * 2


@pytest.mark.parametrize(
    ("header", "flags"),
    [(HEADER, b"01"), (HEADER[:-2] + b"ff", b"03"), (b"cc" + HEADER[2:] + b"-more", b"01")],
)
def test_every_attempt_has_a_span_in_the_callers_trace(header: bytes, flags: bytes) -> None:
    trace = parse_traceparent(header, enabled=True)
    assert isinstance(trace, Trace)
    assert trace.parent == int(PARENT, 16)
    attempts = [trace.attempt_header() for _ in range(2)]
    assert [header for _, header in attempts] == [
        (b"traceparent", f"00-{TRACE}-{span_id:016x}-".encode() + flags) for span_id, _ in attempts
    ]
    assert len({trace.parent, trace.span_id, *(span_id for span_id, _ in attempts)}) == 4


def span(number: int = 1, **more: Any) -> Span:
    return Span("chat a", 1, number, None, 10.5, 11.25, {"a": 1, "b": "x", "c": 0.5, "d": True})._replace(
        **more
    )


@pytest.mark.parametrize("path", ["", "/", "/v1/traces"])
def test_spans_reach_the_collector(path: str) -> None:
    with collecting() as collector:
        tracer = Tracer(collector.url + path, "1.2.3")
        tracer.start()
        tracer.start()
        tracer.put([span(), span(2, parent=1, is_client=True, failed=True), span(3, parent=9)])
        tracer.close()
        tracer.close()
        tracer.put([span(4)])
    assert collector.paths == {"/v1/traces"}
    first, second, third = sorted(collector.spans(), key=lambda each: each.span_id)
    assert first == (
        *("chat a", "SERVER", f"{1:032x}", f"{1:016x}", "", 10_500_000_000, 11_250_000_000),
        *({"a": 1, "b": "x", "c": 0.5, "d": True}, False, False),
    )
    assert (second.kind, second.parent, second.failed, second.remote_parent) == (
        *("CLIENT", f"{1:016x}"),
        *(True, False),
    )
    assert (third.kind, third.parent, third.remote_parent) == ("SERVER", f"{9:016x}", True)
    resource = collector.resource()
    assert (resource["service.name"], resource["service.version"]) == ("trunkline", "1.2.3")


def test_opentelemetrys_own_variables_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=ours,deployment.environment.name=test")
    with collecting() as collector:
        tracer = Tracer(collector.url, "1")
        tracer.start()
        tracer.put([span()])
        tracer.close()
    resource = collector.resource()
    assert (resource["service.name"], resource["deployment.environment.name"]) == ("ours", "test")


@pytest.mark.parametrize("status", [400, 503], ids=["for good", "for now"])
def test_a_collector_that_refuses_does_not_delay_closing(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "FLUSH_S", 0.2)
    with collecting() as collector:
        collector.status = status
        tracer = Tracer(collector.url, "1")
        tracer.start()
        tracer.put([span()])
        tracer.close()
        assert len(collector.bodies) < 3  # without the timeout there would be more retries


def test_the_error_about_missing_packages_says_how_to_install_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk", None)
    with pytest.raises(SettingsError, match=r"OTEL_ENDPOINT.*pip install 'trunkline\[otel\]'"):
        Tracer("http://localhost:4318", "1")


def test_opentelemetry_is_only_imported_if_traces_are_enabled() -> None:
    code = (
        "import sys\n"
        "from tests.gateways import make_gateway, make_settings\n"
        "make_gateway(make_settings())\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry.')])\n"
        "make_gateway(make_settings(otel_endpoint='http://127.0.0.1:9'))\n"
        "print('opentelemetry.sdk.trace' in sys.modules)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=_env(), timeout=60
    )
    assert ran.stdout.splitlines() == ["[]", "True"]


def _env() -> dict[str, str]:
    return {"PYTHONPATH": ":".join(filter(None, sys.path))}
