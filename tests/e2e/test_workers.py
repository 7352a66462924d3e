"""One address, two processes: started, watched over and ended together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import KEY, poll
from tests.e2e.processes import Process, running
from tests.services import Redis, free_port
from trunkline.ledger.store import Store
from trunkline.ledger.usage import list_usage_rows
from trunkline.server.app.workers import SOCKETS
from trunkline_mock import MockUpstream

BODY = {"model": "mock-model", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture
def gateway(tmp_path: Path, redis: Redis) -> Iterator[Process]:
    with MockUpstream.in_thread("generic") as mock:
        more = {"WORKERS": "2", "REDIS_URL": redis.url, "REDIS_PREFIX": tmp_path.name}
        with running(tmp_path, mock, free_port(), **more) as found:
            try:
                poll(lambda: '"listening"' in found.log())
                yield found
            finally:
                left = workers(found)
                found.popen.terminate()
                found.popen.wait()
                assert not any(map(is_alive, left))


def workers(process: Process) -> set[int]:
    """The ids of a process's children."""
    try:
        path = Path(f"/proc/{process.popen.pid}/task/{process.popen.pid}/children")
        return {int(number) for number in path.read_text().split()}
    except FileNotFoundError:
        return set()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def has_begun(pid: int) -> bool:
    """It is a worker already, and no copy of its parent."""
    return SOCKETS.encode() in Path(f"/proc/{pid}/environ").read_bytes()


def ask(process: Process) -> int:
    """The status of a request on a connection of its own."""
    try:
        answer = httpx.post(
            f"http://127.0.0.1:{process.port}/v1/chat/completions",
            json=BODY,
            headers={"Authorization": f"Bearer {KEY}"},
        )
    except httpx.HTTPError:
        return 0
    return answer.status_code


def test_all_of_them_serve_and_write_down(gateway: Process, tmp_path: Path) -> None:
    assert [ask(gateway) for _ in range(20)] == [200] * 20
    gateway.popen.send_signal(signal.SIGTERM)
    assert gateway.popen.wait() == 0
    store = Store(f"sqlite:///{tmp_path}/trunkline.db")
    assert len(list_usage_rows(store)) == 20
    store.close()
    log = gateway.log()
    assert log.count('"listening"') == 1


def test_one_that_dies_is_started_again(gateway: Process) -> None:
    before = workers(gateway)
    os.kill(min(before), signal.SIGKILL)
    poll(lambda: len(workers(gateway) - before) == 1 and len(workers(gateway)) == 2)
    poll(lambda: [ask(gateway) for _ in range(4)] == [200] * 4)
    assert "a worker has died and is started again" in gateway.log()


def test_none_outlives_the_parent(gateway: Process) -> None:
    left = workers(gateway)
    gateway.popen.kill()
    gateway.popen.wait()
    poll(lambda: not any(map(is_alive, left)))


def test_one_that_cannot_start_ends_all(tmp_path: Path, redis: Redis) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "trunkline", "serve", "--port", "0", "--workers", "2"],
        cwd=tmp_path,
        env=os.environ | {"REDIS_URL": redis.url, "ALLOWED_API_KEYS": KEY, "MODELS_FILTER": "nowhere.yaml"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert "nowhere.yaml" in done.stderr


def test_a_reload_does_not_end_those_that_only_start(tmp_path: Path, redis: Redis) -> None:
    with (tmp_path / "gateway.log").open("wb") as out:
        popen = subprocess.Popen(
            [sys.executable, "-m", "trunkline", "serve", "--port", "0", "--workers", "2"],
            cwd=tmp_path,
            env=os.environ | {"REDIS_URL": redis.url, "REDIS_PREFIX": tmp_path.name, "ALLOWED_API_KEYS": KEY},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    process = Process(popen, 0, tmp_path)
    try:
        poll(lambda: sum(map(has_begun, workers(process))) == 2)
        popen.send_signal(signal.SIGHUP)
        poll(lambda: popen.poll() is not None or '"listening"' in process.log())
        popen.terminate()
        assert popen.wait() == 0
    finally:
        popen.kill()
        popen.wait()
