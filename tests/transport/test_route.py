from __future__ import annotations

import pytest

from trunkline.transport import Origin, UpstreamRequest
from trunkline.transport.proxies import Proxy
from trunkline.transport.route import encode_connect, encode_head, make_route

HTTP = Origin("http", "example.com", 80)
HTTPS = Origin("https", "example.com", 443)
PROXY = Proxy(Origin("http", "proxy", 3128), b"Basic c2VjcmV0")

Headers = list[tuple[bytes, bytes]]


def head(method: bytes, headers: Headers, body: bytes = b"", target: bytes = b"/v1?a=b") -> bytes:
    return encode_head(make_route(HTTP, None), UpstreamRequest(HTTP, method, target, headers, body))


DEFAULT_HEADERS = b"Host: example.com\r\nAccept-Encoding: identity\r\n"


@pytest.mark.parametrize(
    ("method", "headers", "body", "lines"),
    [
        (b"GET", [], b"", DEFAULT_HEADERS),
        (b"DELETE", [], b"", DEFAULT_HEADERS),
        (b"DELETE", [], b"x", b"Content-Length: 1\r\n" + DEFAULT_HEADERS),
        (b"POST", [], b"", b"Content-Length: 0\r\n" + DEFAULT_HEADERS),
        (b"POST", [(b"X", b"y")], b"abc", b"X: y\r\nContent-Length: 3\r\n" + DEFAULT_HEADERS),
        (b"POST", [(b"content-length", b"3")], b"abc", b"content-length: 3\r\n" + DEFAULT_HEADERS),
        (
            b"GET",
            [(b"HOST", b"other"), (b"accept-encoding", b"gzip")],
            b"",
            b"HOST: other\r\naccept-encoding: gzip\r\n",
        ),
        # Only a header with exactly that name counts, not a value or the end of another name.
        (b"GET", [(b"X-Host", b"host:")], b"", b"X-Host: host:\r\n" + DEFAULT_HEADERS),
    ],
)
def test_encode_head(method: bytes, headers: Headers, body: bytes, lines: bytes) -> None:
    assert head(method, headers, body) == method + b" /v1?a=b HTTP/1.1\r\n" + lines + b"\r\n"


@pytest.mark.parametrize(
    ("headers", "target"),
    [
        ([(b"X", b"y\r\nHost: evil")], b"/"),
        ([(b"X", b"y\n")], b"/"),
        ([(b"X", b"y\r")], b"/"),
        ([(b"X", b"y\0")], b"/"),
        ([(b"X\r\nY", b"y")], b"/"),
        ([], b"/ HTTP/1.1\r\nX: y"),
        ([], b"/a b"),
        ([], b""),
        ([(b"Transfer-Encoding", b"chunked")], b"/"),
        ([(b"Host", b"a"), (b"Host", b"b")], b"/"),
        ([(b"Content-Length", b"4")], b"/"),
        ([(b"Content-Length", b"3"), (b"content-length", b"3")], b"/"),
    ],
)
def test_encode_head_refuses_what_would_not_be_one_request(headers: Headers, target: bytes) -> None:
    with pytest.raises(ValueError, match=r"request"):
        head(b"POST", headers, b"abc", target)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (HTTP, b"example.com"),
        (HTTPS, b"example.com"),
        (Origin("http", "example.com", 443), b"example.com:443"),
        (Origin("http", "::1", 11434), b"[::1]:11434"),
        (Origin("http", "::1", 80), b"[::1]"),
    ],
)
def test_host_header(origin: Origin, host: bytes) -> None:
    assert dict(make_route(origin, None).default_headers)[b"host"] == b"Host: %b\r\n" % host


def test_a_proxy_gets_the_whole_url_and_its_credentials() -> None:
    route = make_route(HTTP, PROXY)
    assert not route.tunnel
    assert route.first_hop == PROXY.origin
    assert route.first_hop_name == "the proxy http://proxy:3128"
    assert encode_head(route, UpstreamRequest(HTTP, b"GET", b"/x")) == (
        b"GET http://example.com/x HTTP/1.1\r\n"
        + DEFAULT_HEADERS
        + b"Proxy-Authorization: Basic c2VjcmV0\r\n\r\n"
    )


def test_a_request_in_a_tunnel_does_not_hold_the_proxys_credentials() -> None:
    route = make_route(HTTPS, PROXY)
    assert route.tunnel
    assert encode_connect(route) == (
        b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n"
        b"Proxy-Authorization: Basic c2VjcmV0\r\n\r\n"
    )
    assert encode_head(route, UpstreamRequest(HTTPS, b"GET", b"/x")) == (
        b"GET /x HTTP/1.1\r\n" + DEFAULT_HEADERS + b"\r\n"
    )


def test_encode_connect_without_credentials() -> None:
    route = make_route(HTTPS, Proxy(PROXY.origin))
    assert encode_connect(route) == b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n"


def test_repr_of_a_route_does_not_show_credentials() -> None:
    assert "c2VjcmV0" not in repr(make_route(HTTP, PROXY))
