"""Opens connections: TCP, a proxy's tunnel, TLS. What fails here is a ``TransportError``.

The one place of the transport that awaits; it knows routes and sockets, and nothing of pools or flights.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from trunkline.transport import failures
from trunkline.transport.failures import TransportError, diagnose
from trunkline.transport.request import Origin
from trunkline.transport.response import HEAD, ResponseReader
from trunkline.transport.route import Route, encode_connect
from trunkline.transport.tls import TlsContexts

Dial = Callable[[str, int], Awaitable[str]]
"""Host and port → the address to connect to. The name stays what it is for TLS and for ``Host``. May raise
OSError, which becomes the ``__cause__`` of the failure."""

_HANDSHAKE_SLACK: Final = 5.0
"""Seconds by which TLS's own time limit lies after ours, so that ours speaks."""


async def open_connection(
    route: Route, protocol: asyncio.Protocol, tls: TlsContexts, connect_s: float, dial: Dial | None = None
) -> None:
    """Connect ``protocol`` along ``route``: ``connection_made`` has been called when this returns.

    ``connect_s`` (seconds) is only TLS's; the caller cancels what takes too long. ``dial`` replaces the
    look-up of the first hop's name. Raises TransportError.
    """
    hop, tunnel = route.first_hop, _Tunnel() if route.tunnel else None
    try:
        transport = await _connect(hop, tunnel or protocol, tls, connect_s, dial)
    except OSError as error:
        raise diagnose(error, route.first_hop_name) from error
    if tunnel is None:
        return
    try:
        transport.write(encode_connect(route))
        refusal = await tunnel.answer
        if refusal:
            raise TransportError(failures.PROXY, route.address, f"{route.proxy} {refusal}")
        secure = await asyncio.get_running_loop().start_tls(
            transport,
            protocol,
            _context(tls, route.origin),
            server_hostname=_certified(route.origin),
            ssl_handshake_timeout=connect_s + _HANDSHAKE_SLACK,
        )
        if secure is None:
            raise TransportError(failures.RESET, route.address)
    except OSError as error:
        _abort(transport)
        raise diagnose(error, route.address) from error
    except BaseException:
        _abort(transport)
        raise
    protocol.connection_made(secure)


async def _connect(
    hop: Origin, protocol: asyncio.Protocol, tls: TlsContexts, connect_s: float, dial: Dial | None
) -> asyncio.Transport:
    loop = asyncio.get_running_loop()
    address = hop.host if dial is None else await dial(hop.host, hop.port)
    if hop.scheme == "http":
        transport, _ = await loop.create_connection(lambda: protocol, address, hop.port)
    else:
        transport, _ = await loop.create_connection(
            lambda: protocol,
            address,
            hop.port,
            ssl=_context(tls, hop),
            server_hostname=_certified(hop),
            ssl_handshake_timeout=connect_s + _HANDSHAKE_SLACK,
        )
    return transport


def _abort(transport: asyncio.Transport) -> None:
    with suppress(AttributeError):  # asyncio's TLS, before 3.11.4: it is closed, and has forgotten all else
        transport.abort()


def _context(tls: TlsContexts, origin: Origin) -> ssl.SSLContext:
    try:
        return tls.get()
    except OSError as error:
        raise TransportError(failures.TLS, str(origin), "the CA file cannot be read") from error


def _certified(origin: Origin) -> str:
    """The name that a certificate has to hold, and that TLS names the server by: without the root's dot
    (RFC 6066, 3)."""
    return origin.host.removesuffix(".")


class _Tunnel(asyncio.Protocol):
    """Speaks to a proxy until it has agreed to a tunnel, or has not."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Empty when the tunnel stands, else what the proxy did instead."""
        self._reader = ResponseReader()
        self._reader.begin(no_body=True)

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        reader.feed(data)
        if reader.state == HEAD:
            return
        if reader.fault is not None:
            self._settle("does not answer in HTTP/1.1")
        elif reader.status >= 300:
            self._settle(f"refused a tunnel with status {reader.status}")
        else:
            self._settle("")

    def connection_lost(self, exc: Exception | None) -> None:
        self._settle("closed the connection")

    def _settle(self, refusal: str) -> None:
        if not self.answer.done():
            self.answer.set_result(refusal)
