"""Looks at a port, at the system, and calls that nobody waits for."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from pathlib import Path

import pytest

from tests.cli.doctor.scripted import Reply, scripted
from tests.services import free_port
from trunkline.cli.doctor import peek as module

# The fixture of this folder replaces the module's own.
from trunkline.cli.doctor.peek import accepts, find_host, get_head, in_container, in_thread, speaks_tls


async def test_a_plain_port() -> None:
    with scripted({"/": Reply(200, b"Hello")}) as server:
        assert (await get_head("127.0.0.1", server.port)).startswith(b"HTTP/1.0 200")
        assert await accepts("127.0.0.1", server.port)
        assert not await speaks_tls("127.0.0.1", server.port)
        assert await get_head("127.0.0.1", server.port, tls=True) == b""


async def test_a_tls_port(tls: ssl.SSLContext) -> None:
    with scripted({"/": Reply(200, b"Hello")}, tls) as server:
        assert await speaks_tls("127.0.0.1", server.port)
        assert await get_head("127.0.0.1", server.port) == b""
        assert b"Hello" in await get_head("127.0.0.1", server.port, tls=True)


async def test_a_port_where_nobody_listens() -> None:
    port = free_port()
    assert not await accepts("127.0.0.1", port)
    assert not await speaks_tls("127.0.0.1", port)
    assert await get_head("127.0.0.1", port) == b""


async def test_names() -> None:
    await find_host("127.0.0.1", 80)
    with pytest.raises(socket.gaierror):
        await find_host("a" * 64, 80)


async def test_nobody_waits_for_a_thread_that_blocks() -> None:
    over = threading.Event()
    waiting = asyncio.ensure_future(in_thread(over.wait))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    over.set()
    assert await in_thread(lambda: 5) == 5
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)


def make(root: Path, name: str, text: str = "") -> Path:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("name", "text", "environ", "is_one"),
    [
        (".dockerenv", "", {}, True),
        ("run/.containerenv", "", {}, True),
        ("proc/1/cgroup", "0::/kubepods/besteffort/pod1", {}, True),
        ("proc/1/cgroup", "12:pids:/docker/0123", {}, True),
        ("proc/1/cgroup", "0::/init.scope", {}, False),
        ("etc/hosts", "", {}, False),
        ("etc/hosts", "", {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, True),
    ],
)
def test_containers(tmp_path: Path, name: str, text: str, environ: dict[str, str], is_one: bool) -> None:
    assert in_container(make(tmp_path, name, text), environ) is is_one
    assert module.in_container is not in_container
