"""Opens connections: TCP, a proxy's tunnel, TLS. All failures are ``TransportError``.

This module knows routes and sockets, and nothing of pools or requests.
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

Resolver = Callable[[str, int], Awaitable[str]]
"""Host and port → the address to connect to. TLS and ``Host`` still use the name. May raise OSError, which
becomes the ``__cause__`` of the failure."""

_HANDSHAKE_MARGIN: Final = 5.0
"""Seconds by which TLS's own timeout is longer than the connect timeout, so that the latter is reported."""


async def open_connection(
    route: Route,
    protocol: asyncio.Protocol,
    tls: TlsContexts,
    connect_s: float,
    resolver: Resolver | None = None,
) -> None:
    """Connect ``protocol`` along ``route``: ``connection_made`` has been called when this returns.

    Args:
        route: The way to the origin.
        protocol: The connection.
        tls: The context for TLS, if the origin or its proxy needs one.
        connect_s: Seconds after which the caller cancels this. Only TLS has a timeout here, a longer one.
        resolver: Resolves the first hop's name instead of the event loop.

    Raises:
        TransportError: there is no connection.
    """
    hop, tunnel = route.first_hop, _Tunnel() if route.tunnel else None
    try:
        transport = await _connect(hop, tunnel or protocol, tls, connect_s, resolver)
    except OSError as error:
        raise diagnose(error, route.first_hop_name) from error
    if tunnel is None:
        return
    try:
        transport.write(encode_connect(route))
        refusal = await tunnel.refusal
        if refusal:
            raise TransportError(failures.PROXY, route.address, f"{route.proxy} {refusal}")
        tls_transport = await asyncio.get_running_loop().start_tls(
            transport,
            protocol,
            _context(tls, route.origin),
            server_hostname=_certificate_name(route.origin),
            ssl_handshake_timeout=connect_s + _HANDSHAKE_MARGIN,
        )
        if tls_transport is None:
            raise TransportError(failures.RESET, route.address)
    except OSError as error:
        _abort(transport)
        raise diagnose(error, route.address) from error
    except BaseException:
        _abort(transport)
        raise
    protocol.connection_made(tls_transport)


async def _connect(
    hop: Origin, protocol: asyncio.Protocol, tls: TlsContexts, connect_s: float, resolver: Resolver | None
) -> asyncio.Transport:
    loop = asyncio.get_running_loop()
    address = hop.host if resolver is None else await resolver(hop.host, hop.port)
    if hop.scheme == "http":
        transport, _ = await loop.create_connection(lambda: protocol, address, hop.port)
    else:
        transport, _ = await loop.create_connection(
            lambda: protocol,
            address,
            hop.port,
            ssl=_context(tls, hop),
            server_hostname=_certificate_name(hop),
            ssl_handshake_timeout=connect_s + _HANDSHAKE_MARGIN,
        )
    return transport


def _abort(transport: asyncio.Transport) -> None:
    with suppress(AttributeError):  # asyncio's TLS before 3.11.4, when it is closed already
        transport.abort()


def _context(tls: TlsContexts, origin: Origin) -> ssl.SSLContext:
    try:
        return tls.get()
    except OSError as error:
        raise TransportError(failures.TLS, str(origin), "the CA file cannot be read") from error


def _certificate_name(origin: Origin) -> str:
    """The name that the certificate must have, and that is sent to the server: without the root's dot
    (RFC 6066, section 3)."""
    return origin.host.removesuffix(".")


class _Tunnel(asyncio.Protocol):
    """Reads a proxy's response to CONNECT."""

    def __init__(self) -> None:
        self.refusal: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Empty when the tunnel is established, else what the proxy did instead."""
        self._reader = ResponseReader()
        self._reader.begin(no_body=True)

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        reader.feed(data)
        if reader.state == HEAD:
            return
        if reader.fault is not None:
            self._finish("does not answer in HTTP/1.1")
        elif reader.status >= 300:
            self._finish(f"refused a tunnel with status {reader.status}")
        else:
            self._finish("")

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish("closed the connection")

    def _finish(self, refusal: str) -> None:
        if not self.refusal.done():
            self.refusal.set_result(refusal)
