"""``LOG_LEVEL=DEBUG`` tells the way of a request, line by line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import msgspec

from tests.e2e.conftest import KEY, poll
from tests.e2e.processes import Process, running
from tests.gateways import chat
from tests.services import free_port
from trunkline_mock import Fault, MockUpstream, Script

WAY = {"resolved", "attempt", "attempt ended", "trying again", "settled"}


def way_of(gateway: Process, request_id: str) -> list[dict[str, Any]]:
    """The lines about one request, in order."""
    lines = map(msgspec.json.decode, gateway.log().splitlines())
    return [line for line in lines if line.get("request_id") == request_id and line["event"] in WAY]


def test_the_way_of_a_request(tmp_path: Path) -> None:
    fault = Script(fault=Fault("status", status=500, message="a private prompt"))
    with (
        MockUpstream.in_thread("generic", models=["m1"], scripts=[fault]) as mock,
        running(tmp_path, mock, free_port(), LOG_LEVEL="DEBUG", MAX_RETRIES="1") as gateway,
    ):
        url = f"http://127.0.0.1:{gateway.port}/v1/chat/completions"
        answer = httpx.post(url, json=chat("up/m1"), headers={"x-api-key": KEY})
        assert answer.status_code == 200
        request_id = answer.headers["x-request-id"]
        poll(lambda: len(way_of(gateway, request_id)) == 7)
        lines = way_of(gateway, request_id)
    assert [line["event"] for line in lines] == [
        "resolved",
        "attempt",
        "attempt ended",
        "trying again",
        "attempt",
        "attempt ended",
        "settled",
    ]
    resolved, _, failed, _, again, ended, settled = lines
    (candidate,) = resolved["candidates"]
    assert candidate["candidate"].endswith("/m1")
    assert candidate["now"] == "may be asked"
    assert (failed["failure"], failed["status"], failed["concerns"]) == ("upstream_error", 500, "model")
    assert (again["number"], ended["failure"]) == (2, None)
    assert (settled["status"], settled["times_sent"]) == (200, 2)
    assert "a private prompt" not in str(lines)


def test_nothing_of_it_is_told_at_info(tmp_path: Path) -> None:
    with (
        MockUpstream.in_thread("generic", models=["m1"]) as mock,
        running(tmp_path, mock, free_port(), LOG_LEVEL="INFO") as gateway,
    ):
        url = f"http://127.0.0.1:{gateway.port}/v1/chat/completions"
        request_id = httpx.post(url, json=chat("up/m1"), headers={"x-api-key": KEY}).headers["x-request-id"]
        poll(lambda: request_id in gateway.log())
        assert way_of(gateway, request_id) == []
