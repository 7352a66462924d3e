"""The ledger of a gateway that is ended, killed, or loses its database, with traffic running."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from tests.e2e.conftest import GUARD, KEY, poll
from tests.e2e.processes import running
from tests.services import Postgres, free_port
from trunkline.ledger.store import Store
from trunkline.ledger.usage import list_usage_rows, sum_usage
from trunkline_mock import MockUpstream

BODY = msgspec.json.encode(
    {"model": "mock-model", "max_tokens": 5, "messages": [{"role": "user", "content": "Hello there"}]}
)
GRACE_S = 0.1
"""Seconds before a kill within which finished requests may be lost."""


class Traffic:
    """Requests without end, over some connections; it knows which of them were answered, and when."""

    def __init__(self, port: int, name: str, pause: float = 0.0) -> None:
        self.answered: dict[str, float] = {}
        """By request id, when the whole answer had come."""
        self.failed: list[str] = []
        self._port = port
        self._name = name
        self._pause = pause
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, connections: int) -> None:
        self._tasks = [asyncio.ensure_future(self._ask(number)) for number in range(connections)]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _ask(self, number: int) -> None:
        count = 0
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            while True:
                count += 1
                request_id = f"{self._name}-{number}-{count}"
                head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: t\r\nX-Api-Key: {KEY}\r\n"
                head += f"X-Request-Id: {request_id}\r\nContent-Length: {len(BODY)}\r\n\r\n"
                writer.write(head.encode() + BODY)
                answer = await reader.readuntil(b"\r\n\r\n")
                length = int(answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                if answer.startswith(b"HTTP/1.1 200"):
                    self.answered[request_id] = time.monotonic()
                else:
                    self.failed.append(answer.decode())
                if self._pause:
                    await asyncio.sleep(self._pause)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.transport.abort()


async def finished(traffic: Traffic, count: int) -> None:
    """Until so many requests were answered."""
    async with asyncio.timeout(GUARD):
        while len(traffic.answered) < count:  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)


def in_ledger(url: str) -> list[str]:
    """The ids of all requests in the database."""
    store = Store(url)
    try:
        found: list[str] = []
        before = None
        while rows := list_usage_rows(store, limit=1000, before=before):
            found += [row["request_id"] for row in rows]
            before = rows[-1]["id"]
        (total,) = sum_usage(store)
        assert total["requests"] == len(found)  # the sums are those of the rows
        return found
    finally:
        store.close()


@pytest.fixture
def mock() -> Iterator[MockUpstream]:
    with MockUpstream.in_thread("generic") as found:
        yield found


async def test_sigterm_loses_nothing(tmp_path: Path, mock: MockUpstream) -> None:
    url = f"sqlite:///{tmp_path}/trunkline.db"
    with running(tmp_path, mock, free_port()) as process:
        traffic = Traffic(process.port, "t")
        traffic.start(8)
        await finished(traffic, 300)
        process.popen.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(process.popen.wait, GUARD)
        await traffic.stop()
        assert code == 0, process.log()
    found = in_ledger(url)
    assert len(found) == len(set(found))
    assert set(traffic.answered) <= set(found)
    assert not traffic.failed
    assert list((tmp_path / "trunkline-ledger").iterdir()) == []


@pytest.mark.long
async def test_kill_twenty_times_loses_at_most_the_last_tenth_of_a_second(
    tmp_path: Path, mock: MockUpstream
) -> None:
    url = f"sqlite:///{tmp_path}/trunkline.db"
    answered: set[str] = set()
    due: set[str] = set()
    port = free_port()
    for number in range(20):
        with running(tmp_path, mock, port) as process:
            traffic = Traffic(port, f"r{number}", pause=0.01)
            traffic.start(4)  # about 350 a second
            await finished(traffic, 60 + 7 * number)
            process.popen.kill()
            killed = time.monotonic()
            process.popen.wait()
            await traffic.stop()
        assert not traffic.failed
        answered |= set(traffic.answered)
        due |= {name for name, at in traffic.answered.items() if at < killed - GRACE_S}
    with running(tmp_path, mock, port) as process:
        poll(lambda: "usage was left behind" not in process.log() or _only_one(tmp_path))
        process.popen.terminate()
        assert process.popen.wait(GUARD) == 0
    found = in_ledger(url)
    assert len(found) == len(set(found))
    assert due <= set(found)
    assert len(due) > 1000
    with sqlite3.connect(tmp_path / "trunkline.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def _only_one(folder: Path) -> bool:
    """No segment but the running process's own is left."""
    return len(list((folder / "trunkline-ledger").iterdir())) == 1


async def test_what_was_reserved_when_killed_is_free_after(tmp_path: Path, mock: MockUpstream) -> None:
    from trunkline_mock import Script

    mock.script = Script(delay_first_s=GUARD)
    port = free_port()
    headers = {"x-api-key": KEY}
    tight = {"BUDGET_MAX_TOKENS": "5"}
    with running(tmp_path, mock, port, **tight) as process:
        text = (tmp_path / "trunkline.yaml").read_text().replace("usd: 1000", "tokens: 60")
        (tmp_path / "trunkline.yaml").write_text(text)
        poll(lambda: "configuration taken over" in process.log())
        async with httpx.AsyncClient(headers=headers, timeout=GUARD) as client:
            url = f"http://127.0.0.1:{port}/v1/chat/completions"
            first = asyncio.ensure_future(client.post(url, content=BODY))
            async with asyncio.timeout(GUARD):
                while not mock.calls:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
            assert (await client.post(url, content=BODY)).status_code == 429
            process.popen.kill()
            process.popen.wait()
            await asyncio.gather(first, return_exceptions=True)
    mock.script = Script(text="one two")
    with running(tmp_path, mock, port, **tight) as process:
        (tmp_path / "trunkline.yaml").write_text(text)
        poll(lambda: "configuration taken over" in process.log())
        async with httpx.AsyncClient(headers=headers, timeout=GUARD) as client:
            assert (await client.post(url, content=BODY)).status_code == 200


@pytest.mark.long
async def test_postgresql_away_for_half_a_minute(
    tmp_path: Path, mock: MockUpstream, postgres: Postgres
) -> None:
    """No request fails, no row is lost, memory stays within bounds."""
    url = postgres.database()
    Store(url).close()
    with running(tmp_path, mock, free_port(), DATABASE_URL=url) as process:
        traffic = Traffic(process.port, "p", pause=0.03)
        traffic.start(6)  # about 180 a second
        await finished(traffic, 180)
        before = _resident(process.popen.pid)
        postgres.stop()
        stopped = time.monotonic()
        count = len(traffic.answered)
        async with asyncio.timeout(4 * GUARD):
            while time.monotonic() < stopped + 30:  # noqa: ASYNC110 - the half minute is the test
                await asyncio.sleep(0.1)
        during = len(traffic.answered) - count
        after = _resident(process.popen.pid)
        await asyncio.to_thread(postgres.start)
        await finished(traffic, len(traffic.answered) + 200)
        await traffic.stop()
        poll(lambda: "takes usage again" in process.log() and _only_one(tmp_path))
        process.popen.terminate()
        assert process.popen.wait(GUARD) == 0, process.log()
    assert not traffic.failed
    assert during > 1000
    assert after - before < 64 * 1024 * 1024
    found = in_ledger(url)
    assert len(found) == len(set(found))
    assert set(traffic.answered) <= set(found)
    assert "does not take usage" in process.log()


def _resident(pid: int) -> int:
    """Bytes of memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
