"""Places in traces, and spans on their way to a collector."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from tests.collector import collecting
from trunkline.observe import traces
from trunkline.observe.traces import ForwardedTrace, Span, Trace, Tracer, trace_of
from trunkline.settings import SettingsError

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
CALLERS = f"00-{TRACE}-{PARENT}-01".encode()

MALFORMED = (
    b"",
    b"00",
    CALLERS.upper(),
    CALLERS + b"0",
    CALLERS + b"-more",
    b"ff" + CALLERS[2:],
    b"00-" + b"0" * 32 + CALLERS[35:],
    CALLERS[:36] + b"0" * 16 + b"-01",
    CALLERS.replace(b"-", b"_"),
)


@pytest.mark.parametrize("header", [None, *MALFORMED])
def test_without_a_caller_in_a_trace(header: bytes | None) -> None:
    assert trace_of(header, on=False) is None
    trace = trace_of(header, on=True)
    assert isinstance(trace, Trace)
    assert trace.parent is None
    assert trace.trace_id != int(TRACE, 16)


@pytest.mark.parametrize(
    ("header", "on"),
    [
        (CALLERS, False),
        (CALLERS[:-1] + b"0", False),
        (CALLERS[:-1] + b"0", True),
        (CALLERS[:-1] + b"2", True),
        (b"cc" + CALLERS[2:] + b"-what-the-future-brings", False),
    ],
    ids=["off", "off and not recorded", "not recorded", "not recorded but random", "off, a later version"],
)
def test_the_callers_header_goes_on_as_it_is(header: bytes, on: bool) -> None:
    trace = trace_of(header, on)
    assert isinstance(trace, ForwardedTrace)
    assert [trace.attempt_header() for _ in range(2)] == [(0, (b"traceparent", header))] * 2


@pytest.mark.parametrize(
    ("header", "flags"),
    [(CALLERS, b"01"), (CALLERS[:-2] + b"ff", b"03"), (b"cc" + CALLERS[2:] + b"-more", b"01")],
)
def test_every_attempt_is_a_span_of_the_callers_trace(header: bytes, flags: bytes) -> None:
    trace = trace_of(header, on=True)
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
        tracer.put([span(), span(2, parent=1, inside=True, failed=True), span(3, parent=9)])
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


def test_opentelemetrys_own_variables_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=ours,deployment.environment.name=test")
    with collecting() as collector:
        tracer = Tracer(collector.url, "1")
        tracer.start()
        tracer.put([span()])
        tracer.close()
    resource = collector.resource()
    assert (resource["service.name"], resource["deployment.environment.name"]) == ("ours", "test")


@pytest.mark.parametrize("status", [400, 503], ids=["for good", "for now"])
def test_a_collector_that_refuses_holds_no_end_up(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "FLUSH_S", 0.2)
    with collecting() as collector:
        collector.status = status
        tracer = Tracer(collector.url, "1")
        tracer.start()
        tracer.put([span()])
        tracer.close()
        assert len(collector.bodies) < 3  # left alone, it would be asked again and again


def test_what_is_missing_is_named_with_its_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk", None)
    with pytest.raises(SettingsError, match=r"OTEL_ENDPOINT.*pip install 'trunkline\[otel\]'"):
        Tracer("http://localhost:4318", "1")


def test_opentelemetry_is_not_imported_for_those_who_do_without() -> None:
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
