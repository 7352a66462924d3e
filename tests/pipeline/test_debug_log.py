"""The way of a request in the log at the level DEBUG."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.pipeline.requests import make_active
from tests.pipeline.test_pipeline import Client, Played
from tests.pipeline.test_retry_policy import BODY, Failing, make_pipeline
from tests.simulation import SimulatedLoop, served, simulate
from trunkline.dialects.base import Fitted
from trunkline.errors import UPSTREAM_AUTH, UPSTREAM_RATE_LIMIT
from trunkline.pipeline import debug_log
from trunkline.pipeline.pipeline import Pipeline
from trunkline.routing.resolve import RouteRule, RouteTarget

Lines = list[dict[str, Any]]


def read(monkeypatch: pytest.MonkeyPatch, *upstreams: Failing, requests: int = 1, **arguments: Any) -> Lines:
    """The lines of the last one of so many requests, without what all of them have."""

    async def main(loop: SimulatedLoop) -> Lines:
        pipeline: Pipeline = await make_pipeline(upstreams, **arguments)
        pipeline._debug = True
        for _ in range(requests):
            with capture_logs() as captured:
                await served(pipeline, make_active(Client(), BODY, received_at=loop.time()))
        return [dict(line) for line in captured]

    lines = simulate(monkeypatch, main)
    assert {line.pop("request_id") for line in lines} == {"req_1"}
    return [line for line in lines if line.pop("log_level") == "debug"]


def resolved(*conditions: str, **fields: Any) -> dict[str, Any]:
    """The first line, with the condition of each candidate, which are one to a tier."""
    return {
        "event": "resolved",
        "asked": "m",
        "route": None,
        "candidates": [
            {"candidate": f"{name}/{name}-0/m", "tier": number, "by": "priority", "now": condition}
            for number, (name, condition) in enumerate(zip("abc", conditions, strict=False), start=1)
        ],
        **fields,
    }


def test_an_attempt_that_fails_and_one_that_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = read(monkeypatch, Failing("a", lasts=0.12345), Failing("b", failures=0, lasts=2.0))
    settled = lines.pop()
    assert lines == [
        resolved("may be asked", "may be asked"),
        {"event": "attempt", "number": 1, "candidate": "a/a-0/m", "probe": False},
        {
            "event": "attempt ended",
            "number": 1,
            "candidate": "a/a-0/m",
            "ms": 123.5,
            "failure": "upstream_error",
            "status": None,
            "concerns": "model",
            "retry": True,
            "failover": "any",
        },
        {"event": "attempt", "number": 2, "candidate": "b/b-0/m", "probe": False},
        {"event": "attempt ended", "number": 2, "candidate": "b/b-0/m", "ms": 2000.0, "failure": None},
    ]
    assert settled == {"event": "settled", "status": 200, "outcome": settled["outcome"], "code": None} | {
        "times_sent": 2,
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "cost_micros": 0,
        "estimated": False,
    }


def test_what_rests_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    upstreams = [Failing("a", UPSTREAM_AUTH), Failing("b", failures=0)]
    lines = read(monkeypatch, *upstreams, requests=2, threshold=1, recovery=30.0)
    assert lines[0] == resolved("rests for 30.0 s after upstream_auth", "may be asked")
    assert [line.get("candidate") for line in lines[1:]] == ["b/b-0/m", "b/b-0/m", None]


def test_a_request_that_nobody_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    failing = Failing("a", UPSTREAM_RATE_LIMIT, retry_after=5.0)
    first, settled = read(monkeypatch, failing, requests=2, threshold=9)
    assert first == resolved("rests for 5.0 s after rate_limit_exceeded")
    assert (settled["status"], settled["code"], settled["times_sent"]) == (429, "rate_limit_exceeded", 0)
    without = ("prompt_tokens", "completion_tokens", "cost_micros", "estimated")
    assert [settled[name] for name in without] == [None] * 4


def test_a_probe_and_a_route(monkeypatch: pytest.MonkeyPatch) -> None:
    route = RouteRule([RouteTarget("a", "m")], "weighted")
    lines = read(monkeypatch, Failing("a"), requests=2, threshold=1, recovery=0.0, routes={"m": route})
    assert lines[0]["route"] == "m"
    assert lines[0]["candidates"] == [
        {"candidate": "a/a-0/m", "tier": 1, "by": "weighted", "now": "may be asked"}
    ]
    assert lines[1]["probe"] is True


def test_what_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(loop: SimulatedLoop) -> Lines:
        pipeline = await make_pipeline([Failing("a", failures=0)])
        (candidate,) = pipeline.router.pool("m", "chat")
        candidate.state.gate.limit = 1
        candidate.acquire()
        active = make_active(Client(), BODY)
        with capture_logs() as captured:
            debug_log.log_resolved(active, pipeline.router.pool("m", "chat"), loop.time())
        return [dict(line) for line in captured]

    (line,) = simulate(monkeypatch, main)
    assert [each["now"] for each in line["candidates"]] == ["full"]


@pytest.mark.parametrize(("level", "enabled"), [(logging.DEBUG, True), (logging.INFO, False)])
def test_the_level_of_the_log_decides(level: int, enabled: bool) -> None:
    logger = logging.getLogger(debug_log.__name__)
    logger.setLevel(level)
    try:
        assert debug_log.is_enabled() is enabled
    finally:
        logger.setLevel(logging.NOTSET)


def test_what_was_made_to_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Played, "fitted", Fitted(b"{}", ("stop", "messages[0]"), {}, lambda *_: False))
    lines = read(monkeypatch, Failing("a", failures=0))
    assert [line["event"] for line in lines] == [
        "resolved",
        "attempt",
        "made to fit",
        "attempt ended",
        "settled",
    ]
    assert lines[2] == {
        "event": "made to fit",
        "candidate": "a/a-0/m",
        "changes": ["stop", "messages[0]"],
    }
