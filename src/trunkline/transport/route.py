"""The way to an origin, and the encoding of request heads.

A :class:`Route` is computed once for an origin (and its proxy, if it has one). It holds everything that is
the same in all requests to the origin. It is a value; ``connecting.py`` connects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from trunkline.transport.proxies import Proxy
from trunkline.transport.request import PORTS, Origin, UpstreamRequest

_MANAGED_HEADERS: Final = frozenset({b"host", b"accept-encoding", b"content-length", b"transfer-encoding"})
"""Headers that the transport sends itself, or checks, if they are among a request's own."""
_MAX_ENCODED_HEADS: Final = 64
_METHODS_WITH_BODY: Final = frozenset({b"POST", b"PUT", b"PATCH"})


@dataclass(frozen=True, slots=True)
class Route:
    """The way to an origin."""

    origin: Origin
    proxy: Proxy | None
    address: str
    """``scheme://host:port``, for messages."""
    prefix: bytes
    """Comes before each target: the origin, if a proxy gets the request (RFC 9112, section 3.2.2)."""
    default_headers: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    """The headers that every request has: names in lower case, and encoded lines."""
    default_end: bytes = field(repr=False)
    """All these lines and the empty one: the end of most heads."""

    encoded_heads: dict[tuple[bytes, bytes], tuple[Sequence[tuple[bytes, bytes]], bytes]] = field(
        default_factory=dict, repr=False, compare=False
    )
    """A cache: (method, target) → headers, and the encoded head; see :func:`encode_head`."""

    @property
    def tunnel(self) -> bool:
        """Whether the proxy is asked for a tunnel (CONNECT). Else it gets the requests themselves."""
        return self.proxy is not None and self.origin.scheme == "https"

    @property
    def first_hop(self) -> Origin:
        """Where the socket connects to."""
        return self.origin if self.proxy is None else self.proxy.origin

    @property
    def first_hop_name(self) -> str:
        """The first hop, for messages."""
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

    A provider sends the same headers to the same few targets all day. The part that does not depend on the
    body is therefore kept in ``route.encoded_heads``, if the headers are a tuple. ``Client.send`` looks there
    first, and compares the tuples by identity.

    Raises:
        ValueError: the request would not be one request on the wire. It has line ends in a header, blanks
            in the target, a length that is not the body's, or a transfer encoding.
    """
    headers = request.headers
    head, managed = _encode(route, request)
    if managed:
        return head + _remaining_lines(route, request, managed)
    if isinstance(headers, tuple) and request.method in _METHODS_WITH_BODY:
        if len(route.encoded_heads) >= _MAX_ENCODED_HEADS:
            route.encoded_heads.clear()
        route.encoded_heads[request.method, request.target] = headers, head
    return head + _content_length(request) + route.default_end


def encode_upload_head(route: Route, request: UpstreamRequest, size: int | None) -> bytes:
    """The request line and headers of a request whose body follows in pieces.

    Args:
        route: The way to the request's origin.
        request: The request, without a body.
        size: Bytes of the body. None: the body follows in chunks.

    Raises:
        ValueError: as :func:`encode_head`, or the request sets a header that the transport sends itself.
    """
    head, managed = _encode(route, request)
    if managed:
        raise ValueError("An upload's headers must not hold Host, Accept-Encoding or the length of its body")
    framing = b"Transfer-Encoding: chunked" if size is None else b"Content-Length: %d" % size
    return b"%b%b\r\n%b" % (head, framing, route.default_end)


def _encode(route: Route, request: UpstreamRequest) -> tuple[bytes, dict[bytes, bytes]]:
    """The request line and the caller's headers; and those of these headers that the transport manages."""
    target = request.target
    if not target or b" " in target:
        raise ValueError("The target of a request is empty or holds a blank")
    parts = [request.method, b" ", route.prefix, target, b" HTTP/1.1\r\n"]
    managed: dict[bytes, bytes] = {}
    for name, value in request.headers:
        parts += (name, b": ", value, b"\r\n")
        lowered = name.lower()
        if lowered in _MANAGED_HEADERS:
            if lowered in managed:
                raise ValueError(f"A request has two headers {name!r}")
            managed[lowered] = value
    head = b"".join(parts)
    # There must be no line ends but those added here. One count runs in C; a check of each value would not.
    if len(head) - len(head.translate(None, b"\r\n\0")) != 2 + 2 * len(request.headers):
        raise ValueError("A header, the method or the target of a request holds a line end")
    return head, managed


def _content_length(request: UpstreamRequest) -> bytes:
    size = len(request.body)
    if size or request.method in _METHODS_WITH_BODY:
        return b"Content-Length: %d\r\n" % size
    return b""


def _remaining_lines(route: Route, request: UpstreamRequest, managed: dict[bytes, bytes]) -> bytes:
    """The headers that are still missing when the caller has set some that the transport manages."""
    if b"transfer-encoding" in managed:
        raise ValueError("The transport frames the body; a request must not set Transfer-Encoding")
    size = b"%d" % len(request.body)
    if managed.get(b"content-length", size) != size:
        raise ValueError("A request's Content-Length is not the length of its body")
    lines = b"" if b"content-length" in managed else _content_length(request)
    for name, line in route.default_headers:
        if name not in managed:
            lines += line
    return lines + b"\r\n"


def encode_connect(route: Route) -> bytes:
    """The request for a tunnel to the route's origin (RFC 9110, section 9.3.6)."""
    authority = route.origin.authority.encode()
    return b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (authority, authority, _credentials(route.proxy))


def _credentials(proxy: Proxy | None) -> bytes:
    if proxy is None or proxy.authorization is None:
        return b""
    return b"Proxy-Authorization: " + proxy.authorization + b"\r\n"
