"""Clients that leave or read slowly: the upstream is stopped or held back, and nothing piles up."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from tests.gateways import BEARER, GUARD, KEY, chat, make_settings, post, serving, until
from tests.gateways import upstream as section
from trunkline_mock import Fault, MockUpstream, Script

MEGABYTE = 1024 * 1024
ENDLESS = Script(text="word ", repeat=5000, delay_chunk_s=0.01)


@pytest.mark.parametrize("shape", ["openai", "openrouter", "cerebras", "ollama"])
@pytest.mark.parametrize(
    ("script", "stream"),
    [
        (ENDLESS, True),
        (Script(fault=Fault("stall_before")), True),
        (Script(fault=Fault("stall_before")), False),
        (Script(fault=Fault("stall_after")), True),
        (Script(fault=Fault("stall_after")), False),
    ],
    ids=["words", "before stream", "before whole", "after stream", "after whole"],
)
async def test_who_leaves_stops_the_upstream(shape: str, script: Script, stream: bool, fast: bool) -> None:
    async with MockUpstream(shape, script, any_model=True) as mock:
        async with serving(make_settings(providers={"up": section(mock)}), fast=fast) as running:
            wire = await running.connect()
            wire.send(post(chat("up/gpt-4o", stream=stream), BEARER))
            await mock.until(lambda: bool(mock.calls))
            if stream and not (script.fault and script.fault.kind == "stall_before"):
                await wire.head()
                await wire.piece()
            await wire.close()
            async with asyncio.timeout(1):
                await mock.closed(mock.calls[0])
            assert mock.calls[0].aborted
            await until(lambda: not running.gateway.pipeline.active)
        assert len(mock.calls) == 1  # nobody else was asked for who has left


async def test_who_leaves_while_the_upstream_is_held_back(fast: bool) -> None:
    async with (
        MockUpstream("openai", Script(fault=Fault("huge")), any_model=True) as mock,
        serving(make_settings(providers={"up": section(mock)}), fast=fast) as running,
    ):
        wire = await running.connect()
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
        wire.send(post(chat("up/gpt-4o", stream=True), BEARER))
        await mock.until(lambda: mock.throttled == 1)
        await wire.close()
        async with asyncio.timeout(1):
            await mock.closed(mock.calls[0])
        await until(lambda: not running.gateway.pipeline.active)


class Process:
    """A gateway in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.port = port
        self._status = Path(f"/proc/{process.pid}/status")

    @property
    def resident(self) -> int:
        """Bytes."""
        found = re.search(r"VmRSS:\s+(\d+) kB", self._status.read_text(encoding="ascii"))
        assert found
        return int(found[1]) * 1024


@asynccontextmanager
async def process(folder: Path, **env: str) -> AsyncIterator[Process]:
    """``trunkline serve`` with these settings."""
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "trunkline", "serve", "--port", "0", "--host", "127.0.0.1"),
        cwd=folder,
        env={**os.environ, "ALLOWED_API_KEYS": KEY, **env},
        stderr=asyncio.subprocess.PIPE,
    )
    assert running.stderr is not None
    printed = b""
    try:
        async with asyncio.timeout(GUARD):
            while not (found := re.search(rb"http://127\.0\.0\.1:(\d+)\"\]", printed)):
                line = await running.stderr.readline()
                assert line, printed
                printed += line
        yield Process(running, int(found[1]))
        running.send_signal(signal.SIGTERM)
        async with asyncio.timeout(GUARD):
            await running.communicate()
        assert running.returncode == 0
    finally:
        if running.returncode is None:
            running.kill()
            await running.communicate()


async def read_slowly(gateway: Process, mock: MockUpstream, request: bytes) -> tuple[int, int]:
    """Read a stream to its end, standing still every few megabytes until the upstream does, too.

    Returns the bytes that came, and the most that the gateway grew by."""
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        client.setblocking(False)
        await loop.sock_connect(client, ("127.0.0.1", gateway.port))
        await loop.sock_sendall(client, request)
        before = gateway.resident
        came, grown, rest, tail = 0, 0, 0, b""
        while data := await loop.sock_recv(client, MEGABYTE):
            came += len(data)
            tail = (tail + data)[-100:]
            if tail.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n"):
                break
            if came >= rest:
                rest = came + 16 * MEGABYTE
                if not mock.calls[-1].finished:
                    await mock.until(lambda: mock.throttled == 1 or mock.calls[-1].finished)
                grown = max(grown, gateway.resident - before)
    assert tail.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n"), tail
    return came, grown


def recorded(database: Path) -> bool:
    """Whether the ledger has written something down."""
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            return bool(connection.execute("SELECT count(*) FROM usage").fetchone()[0])
    except sqlite3.OperationalError:
        return False


@pytest.mark.parametrize(("shape", "size"), [("openai", 200 * MEGABYTE), ("ollama", 40 * MEGABYTE)])
async def test_a_slow_reader_holds_the_upstream_back(
    tmp_path: Path, fast: bool, shape: str, size: int
) -> None:
    """Passed through, and translated (in a stream of fewer bytes, which take longer)."""
    scripts = [Script(fault=Fault("huge", size=10 * MEGABYTE)), Script(fault=Fault("huge", size=size))]
    async with MockUpstream(shape, scripts[1], scripts=scripts, models=["big"]) as mock:
        # of no type that the bundled table of prices knows: its import would be measured, too
        kind = {"openai": "openai-compatible", "ollama": "ollama"}[shape]
        provider = {"type": kind, "url": mock.base_url}
        (tmp_path / "trunkline.yaml").write_text(json.dumps({"providers": {shape: provider}}))
        env = {"FAST_HTTP": str(fast), "DATABASE_URL": f"sqlite:///{tmp_path}/usage.db"}
        async with process(tmp_path, **env) as gateway:
            request = post(chat(f"{shape}/big", stream=True), BEARER)
            await read_slowly(gateway, mock, request)  # what is used for the first time is taken once
            await until(lambda: recorded(tmp_path / "usage.db"))  # the ledger's libraries, too
            came, grown = await read_slowly(gateway, mock, request)
            assert came >= (size if shape == "openai" else size // 2)
            assert grown < 8 * MEGABYTE
