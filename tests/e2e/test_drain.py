"""A gateway that SIGTERM ends: its readiness, its listening, its streams, and a second signal."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import GUARD, KEY, poll
from tests.e2e.processes import Process, running
from tests.services import Redis, free_port
from trunkline.ledger.store import Store
from trunkline.ledger.usage import list_usage_rows
from trunkline_mock import Fault, MockUpstream, Script

BODY = {"model": "mock-model", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}
CHAT = "/v1/chat/completions"


@pytest.fixture(params=["fast", "asgi", "workers"])
def ends(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """What makes a gateway serve at this end."""
    if request.param == "workers":
        redis: Redis = request.getfixturevalue("redis")
        return {"WORKERS": "2", "REDIS_URL": redis.url, "REDIS_PREFIX": tmp_path.name}
    return {"FAST_HTTP": str(request.param == "fast").lower()}


@contextmanager
def with_a_stream(
    folder: Path, script: Script, env: dict[str, str]
) -> Iterator[tuple[Process, Iterator[str], httpx.Client]]:
    """A gateway, a stream there whose first line has come, and a client that keeps no connection."""
    with MockUpstream.in_thread("generic") as mock:
        mock.script = script
        with running(folder, mock, free_port(), **env) as process:
            poll(lambda: '"listening"' in process.log())
            one_by_one = httpx.Limits(max_keepalive_connections=0)
            url, headers = f"http://127.0.0.1:{process.port}", {"x-api-key": KEY}
            with (
                httpx.Client(base_url=url, headers=headers, timeout=GUARD, limits=one_by_one) as client,
                client.stream("POST", CHAT, json=BODY) as answer,
            ):
                assert answer.status_code == 200
                lines = answer.iter_lines()
                next(lines)
                mock.script = Script()
                yield process, lines, client


def status(client: httpx.Client, path: str = "/health/ready") -> int | None:
    """The status of a page; None where nobody listens."""
    try:
        return client.get(path).status_code
    except httpx.HTTPError:
        return None


def test_it_serves_while_it_is_not_ready_until_a_second_signal(tmp_path: Path, ends: dict[str, str]) -> None:
    stalled = Script(text="one two three", fault=Fault("stall_after", after=2))
    with with_a_stream(tmp_path, stalled, ends | {"SHUTDOWN_DELAY_S": "600"}) as (process, lines, client):
        process.popen.send_signal(signal.SIGTERM)
        # Each of several workers hears of it by itself, and any may answer.
        poll(lambda: [status(client) for _ in range(10)] == [503] * 10)
        for _ in range(5):
            answer = client.post(CHAT, json=BODY)
            assert answer.status_code == 200
            assert answer.text.endswith("data: [DONE]\n\n")
            assert answer.headers["connection"] == "close"
        assert status(client, "/health") == 200
        process.popen.send_signal(signal.SIGTERM)
        assert process.popen.wait(GUARD) == 0, process.log()
        with pytest.raises(httpx.HTTPError):
            assert "[DONE]" not in "".join(lines)
        assert status(client) is None
    with Store(f"sqlite:///{tmp_path / 'trunkline.db'}") as store:
        statuses = [row["status"] for row in list_usage_rows(store)]
    assert sorted(statuses)[:5] == [200] * 5
    assert len(statuses) == 6, "the stream that was cut is missing"


def test_streams_end_after_the_listening(tmp_path: Path, ends: dict[str, str]) -> None:
    slow = Script(text="word " * 30, delay_chunk_s=0.1)
    with with_a_stream(tmp_path, slow, ends | {"SHUTDOWN_DELAY_S": "0.5"}) as (process, lines, client):
        process.popen.send_signal(signal.SIGTERM)
        poll(lambda: status(client) is None)
        text = "".join(lines)
        assert text.count('"content":"word') >= 28
        assert text.endswith("data: [DONE]")
        assert process.popen.wait(GUARD) == 0, process.log()


@pytest.fixture
def heeds_ctrl_c() -> Iterator[None]:
    """Processes heed SIGINT: a shell that starts the tests in the background has them ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeds_ctrl_c")
def test_ctrl_c_waits_for_no_load_balancer(tmp_path: Path) -> None:
    with (
        MockUpstream.in_thread("generic") as mock,
        running(tmp_path, mock, free_port(), SHUTDOWN_DELAY_S="600") as process,
    ):
        process.popen.send_signal(signal.SIGINT)
        assert process.popen.wait(GUARD) == 130, process.log()
