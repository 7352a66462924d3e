"""How one origin is reached and addressed: the first hop, and a request's head in bytes.

A :class:`Route` is computed once for an origin (and its proxy, if it has one) and holds what is the same in
every request to it. It is a value; ``opening.py`` does the connecting.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from trunkline.transport.proxies import Proxy
from trunkline.transport.request import PORTS, Origin, UpstreamRequest

_EXPECT_BODY: Final = frozenset({b"POST", b"PUT", b"PATCH"})


@dataclass(frozen=True, slots=True)
class Route:
    """The way to an origin."""

    origin: Origin
    proxy: Proxy | None
    address: str
    """``scheme://host:port``, for texts."""
    prefix: bytes
    """What stands before a target: the origin, when a proxy must be told (RFC 9112, 3.2.2)."""
    host: bytes
    """Value of ``Host``."""
    extra: bytes = field(repr=False)
    """Further header lines of every request: a proxy's credentials."""

    @property
    def tunnel(self) -> bool:
        """Whether the proxy is asked for a tunnel (CONNECT) instead of being given the requests."""
        return self.proxy is not None and self.origin.scheme == "https"

    @property
    def first_hop(self) -> Origin:
        """Where the socket connects to."""
        return self.origin if self.proxy is None else self.proxy.origin

    @property
    def first_hop_name(self) -> str:
        """The first hop, for texts."""
        return self.address if self.proxy is None else str(self.proxy)


def make_route(origin: Origin, proxy: Proxy | None) -> Route:
    """The route to ``origin``, through ``proxy`` if there is one."""
    authority = origin.authority
    if origin.port == PORTS[origin.scheme]:
        authority = authority.removesuffix(f":{origin.port}")
    forwarded = proxy is not None and origin.scheme == "http"
    return Route(
        origin,
        proxy,
        str(origin),
        f"http://{authority}".encode() if forwarded else b"",
        authority.encode(),
        _credentials(proxy) if forwarded else b"",
    )


def encode_head(route: Route, request: UpstreamRequest) -> bytes:
    """The request line and headers, up to and with the empty line.

    Raises ValueError when the caller made a request that would not be one request on the wire: line ends in
    a header, blanks in the target, a length that is not the body's, an encoding of the transfer.
    """
    parts = [request.method, b" ", route.prefix, request.target, b" HTTP/1.1\r\n"]
    lines = 1
    for name, value in request.headers:
        parts += (name, b": ", value, b"\r\n")
        lines += 1
    head = b"".join(parts)
    # Every line must end where we ended it. Counting is done in C; looking at each header is not.
    if head.count(b"\n") != lines or head.count(b"\r") != lines or b"\0" in head:
        raise ValueError("A header, the method or the target of a request holds a line end")
    if b" " in request.target or not request.target:
        raise ValueError("The target of a request is empty or holds a blank")
    known = head.lower()
    if b"\nhost:" not in known:
        head += b"Host: " + route.host + b"\r\n"
    if b"\naccept-encoding:" not in known:
        head += b"Accept-Encoding: identity\r\n"
    if b"\ntransfer-encoding:" in known:
        raise ValueError("The transport frames the body; a request must not set Transfer-Encoding")
    size = len(request.body)
    if b"\ncontent-length:" in known:
        if known.count(b"\ncontent-length:") > 1 or b"\ncontent-length: %d\r" % size not in known:
            raise ValueError("A request's Content-Length is not the length of its body")
    elif size or request.method in _EXPECT_BODY:
        head += b"Content-Length: %d\r\n" % size
    return head + route.extra + b"\r\n"


def encode_connect(route: Route) -> bytes:
    """The request for a tunnel to the route's origin (RFC 9110, 9.3.6)."""
    authority = route.origin.authority.encode()
    return b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (authority, authority, _credentials(route.proxy))


def _credentials(proxy: Proxy | None) -> bytes:
    if proxy is None or proxy.authorization is None:
        return b""
    return b"Proxy-Authorization: " + proxy.authorization + b"\r\n"
