"""Looks at a port beside the transport. No key and no header of a provider is sent here."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

Result = TypeVar("Result")

_CONTAINER_FILES: Final = (".dockerenv", "run/.containerenv")
_CONTAINER_GROUPS: Final = ("docker", "kubepods", "containerd", "libpod", "lxc")
_MOST: Final = 64 * 1024


async def speaks_tls(host: str, port: int) -> bool:
    """Whether the port takes a TLS connection, whatever its certificate is."""
    try:
        _, writer = await asyncio.open_connection(host, port, ssl=_unverified(), server_hostname=host)
    except OSError:
        return False
    writer.transport.abort()
    return True


async def get_head(host: str, port: int, *, tls: bool = False, path: str = "/") -> bytes:
    """The first bytes of the answer to a GET; empty where no HTTP comes."""
    more: dict[str, Any] = {"ssl": _unverified(), "server_hostname": host} if tls else {}
    try:
        reader, writer = await asyncio.open_connection(host, port, **more)
    except OSError:
        return b""
    found = b""
    try:
        name = f"[{host}]" if ":" in host else host
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {name}:{port}\r\nConnection: close\r\n\r\n".encode())
        with suppress(OSError, ssl.SSLError):
            while len(found) < _MOST and (piece := await reader.read(_MOST)):
                found += piece
    finally:
        writer.transport.abort()
    return found if found.startswith(b"HTTP/1") else b""


async def accepts(host: str, port: int) -> bool:
    """Whether something listens there."""
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.transport.abort()
    return True


async def find_host(host: str, port: int) -> None:
    """Ask the name server.

    Raises:
        OSError: there is no such host.
    """
    try:
        await in_thread(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except UnicodeError:  # a label of more than 63 letters
        raise socket.gaierror(socket.EAI_NONAME, "no host can have this name") from None


async def in_thread(call: Callable[[], Result]) -> Result:
    """Call something that may block for long, in a thread of which nobody waits for the end."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def settle(result: Result | None, error: Exception | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, error = None, None
        try:
            result = call()
        except Exception as caught:
            error = caught
        with suppress(RuntimeError):  # the loop is closed: it came too late
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, daemon=True).start()
    return await future


def in_container(root: Path = Path("/"), environ: Mapping[str, str] | None = None) -> bool:
    """Whether this process runs in a container (Docker, Podman, Kubernetes).

    Args:
        root: the file system's root.
        environ: the environment; None takes the process's.
    """
    if "KUBERNETES_SERVICE_HOST" in (os.environ if environ is None else environ):
        return True
    if any((root / name).exists() for name in _CONTAINER_FILES):
        return True
    try:
        groups = (root / "proc/1/cgroup").read_text()
    except OSError:
        return False
    return any(name in groups for name in _CONTAINER_GROUPS)


def _unverified() -> ssl.SSLContext:
    """A context that takes any certificate: only whether TLS is spoken is of interest."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
