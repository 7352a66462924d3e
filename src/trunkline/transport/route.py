"""How one origin is reached and addressed: the first hop, and a request's head in bytes.

A :class:`Route` is computed once for an origin (and its proxy, if it has one) and holds what is the same in
every request to it. It is a value; ``opening.py`` does the connecting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from trunkline.transport.proxies import Proxy
from trunkline.transport.request import PORTS, Origin, UpstreamRequest

_OURS: Final = frozenset({b"host", b"accept-encoding", b"content-length", b"transfer-encoding"})
_MOST_KEPT: Final = 64
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
    lines: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    """Names, in lower case, and lines of the headers that every request has."""
    common: bytes = field(repr=False)
    """All these lines and the empty one: the end of most heads."""

    kept: dict[tuple[bytes, bytes], tuple[Sequence[tuple[bytes, bytes]], bytes]] = field(
        default_factory=dict, repr=False, compare=False
    )
    """Encoded heads by method and target, with the headers they are made of; see :func:`encode_head`."""

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
    lines = (
        (b"host", b"Host: %b\r\n" % authority.encode()),
        (b"accept-encoding", b"Accept-Encoding: identity\r\n"),
        (b"proxy-authorization", _credentials(proxy) if forwarded else b""),
    )
    return Route(
        origin,
        proxy,
        str(origin),
        f"http://{authority}".encode() if forwarded else b"",
        lines,
        b"".join(line for _, line in lines) + b"\r\n",
    )


def encode_head(route: Route, request: UpstreamRequest) -> bytes:
    """The request line and headers, up to and with the empty line.

    A provider sends the same headers to the same few targets all day: what does not depend on the body is
    encoded once and kept, for headers that come as one and the same tuple.

    Raises ValueError when the caller made a request that would not be one request on the wire: line ends in
    a header, blanks in the target, a length that is not the body's, an encoding of the transfer.
    """
    headers = request.headers
    kept = route.kept.get((request.method, request.target))
    if kept is not None and kept[0] is headers:
        return b"%bContent-Length: %d\r\n%b" % (kept[1], len(request.body), route.common)
    head, given = _encode(route, request)
    if given:
        return head + _others(route, request, given)
    if isinstance(headers, tuple) and request.method in _EXPECT_BODY:
        if len(route.kept) >= _MOST_KEPT:
            route.kept.clear()
        route.kept[request.method, request.target] = headers, head
    return head + _length(request) + route.common


def encode_upload(route: Route, request: UpstreamRequest, size: int | None) -> bytes:
    """The head of a request whose body follows in pieces: ``size`` bytes, or in chunks. Raises ValueError, as
    above."""
    head, given = _encode(route, request)
    if given:
        raise ValueError("An upload says itself where it goes and how long it is")
    framing = b"Transfer-Encoding: chunked" if size is None else b"Content-Length: %d" % size
    return b"%b%b\r\n%b" % (head, framing, route.common)


def _encode(route: Route, request: UpstreamRequest) -> tuple[bytes, dict[bytes, bytes]]:
    """The lines that the caller gave, and those of its headers that are ours to send otherwise."""
    target = request.target
    if not target or b" " in target:
        raise ValueError("The target of a request is empty or holds a blank")
    parts = [request.method, b" ", route.prefix, target, b" HTTP/1.1\r\n"]
    given: dict[bytes, bytes] = {}
    for name, value in request.headers:
        parts += (name, b": ", value, b"\r\n")
        lowered = name.lower()
        if lowered in _OURS:
            if lowered in given:
                raise ValueError(f"A request has two headers {name!r}")
            given[lowered] = value
    head = b"".join(parts)
    # Line ends must be those that were put here. Counting them all is done in C; a look at each value is not.
    if len(head) - len(head.translate(None, b"\r\n\0")) != 2 + 2 * len(request.headers):
        raise ValueError("A header, the method or the target of a request holds a line end")
    return head, given


def _length(request: UpstreamRequest) -> bytes:
    size = len(request.body)
    if size or request.method in _EXPECT_BODY:
        return b"Content-Length: %d\r\n" % size
    return b""


def _others(route: Route, request: UpstreamRequest, given: dict[bytes, bytes]) -> bytes:
    """What is still to be said when the caller has said a part of it."""
    if b"transfer-encoding" in given:
        raise ValueError("The transport frames the body; a request must not set Transfer-Encoding")
    size = b"%d" % len(request.body)
    if given.get(b"content-length", size) != size:
        raise ValueError("A request's Content-Length is not the length of its body")
    lines = b"" if b"content-length" in given else _length(request)
    for name, line in route.lines:
        if name not in given:
            lines += line
    return lines + b"\r\n"


def encode_connect(route: Route) -> bytes:
    """The request for a tunnel to the route's origin (RFC 9110, 9.3.6)."""
    authority = route.origin.authority.encode()
    return b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (authority, authority, _credentials(route.proxy))


def _credentials(proxy: Proxy | None) -> bytes:
    if proxy is None or proxy.authorization is None:
        return b""
    return b"Proxy-Authorization: " + proxy.authorization + b"\r\n"
