"""The gateway's own address: can it listen there?"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from typing import TYPE_CHECKING

from trunkline.cli.doctor import peek
from trunkline.cli.doctor.findings import Finding
from trunkline.settings.values import OLLAMA_PORT, is_wildcard, unbracket

if TYPE_CHECKING:
    from trunkline.settings import Settings


async def check_address(host: str, settings: Settings, limit_s: float) -> list[Finding]:
    """What is in the way of listening at the gateway's ports.

    Args:
        host: the address to listen on.
        settings: all of them.
        limit_s: the longest time in seconds that this may take.
    """
    found = await asyncio.gather(*(_check_port(host, port, settings, limit_s) for port in settings.ports))
    return [each for each in found if each is not None]


async def _check_port(host: str, port: int, settings: Settings, limit_s: float) -> Finding | None:
    number = _bind(host, port)
    if number is None:
        return None
    where = f"{host} port {port}"
    if number == errno.EADDRINUSE:
        if await _is_gateway(host, port, settings.server.tls is not None, limit_s):
            return None  # this is what a look at a running gateway finds
        fix = f"end that program (`ss -ltnp 'sport = :{port}'` names it), or set PORT to another"
        if port == OLLAMA_PORT and settings.as_ollama:
            fix = "move Ollama to another port (OLLAMA_HOST=127.0.0.1:11435 for it), or leave out AS_OLLAMA"
        return Finding("port_taken", f"another program listens on {where}", fix)
    if number in (errno.EACCES, errno.EPERM):
        problem = f"this user may not listen on {where}"
        return Finding("port_forbidden", problem, "set PORT to one from 1024 on, or let a proxy listen there")
    problem = f"the gateway cannot listen on {where} ({os.strerror(number)})"
    return Finding("address_unknown", problem, "set HOST to an address of this machine, or leave it out")


def _bind(host: str, port: int) -> int | None:
    """The number of the error with which the system refuses the address; None if it takes it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host.strip("[]"), port))
            listener.listen(1)
        except OSError as error:
            # A name that cannot be found has a negative number of its own.
            return error.errno if error.errno is not None and error.errno > 0 else errno.EADDRNOTAVAIL
    return None


async def _is_gateway(host: str, port: int, tls: bool, limit_s: float) -> bool:
    """Whether a gateway like this one answers there."""
    address = unbracket(host)
    if is_wildcard(address):
        address = "::1" if ":" in address else "127.0.0.1"
    try:
        async with asyncio.timeout(limit_s):
            answer = await peek.get_head(address, port, tls=tls, path="/health")
    except TimeoutError:
        return False
    return b"x-request-id: " in answer.lower() and b'"version"' in answer
