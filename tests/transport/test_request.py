from __future__ import annotations

import pytest

from trunkline.transport import Origin, UpstreamRequest, parse_origin


@pytest.mark.parametrize(
    ("url", "origin", "path"),
    [
        ("http://localhost:11434", Origin("http", "localhost", 11434), ""),
        ("http://localhost:11434/", Origin("http", "localhost", 11434), ""),
        ("https://API.Example.com/api/v1/", Origin("https", "api.example.com", 443), "/api/v1"),
        ("HTTP://example.com", Origin("http", "example.com", 80), ""),
        ("http://[::1]:11434/v1", Origin("http", "::1", 11434), "/v1"),
        ("http://[2001:DB8:0:0:0:0:0:1]", Origin("http", "2001:db8::1", 80), ""),
        ("http://10.0.0.1", Origin("http", "10.0.0.1", 80), ""),
        ("http://my_host.", Origin("http", "my_host.", 80), ""),
        ("https://bücher.example/v1", Origin("https", "xn--bcher-kva.example", 443), "/v1"),
        ("http://h/a%20b", Origin("http", "h", 80), "/a%20b"),
    ],
)
def test_parse_origin(url: str, origin: Origin, path: str) -> None:
    assert parse_origin(url) == (origin, path)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:11434",
        "ftp://example.com",
        "http://",
        "http:///v1",
        "http://:80",
        "http://host:port",
        "http://host:70000",
        "http://host:0",
        "http://ho st",
        "http://host/a b",
        "http://host/\r\nX: y",
        "http://host\\evil",
        "http://host?x=1",
        "http://host/v1#top",
        "http://[::1",
        "http://[nonsense]:1",
        "http://a..b",
        "http://ho%73t",
        "http://" + "ü" * 70,
        "http://" + "a" * 64,
        "http://host/ü",
    ],
)
def test_parse_origin_refuses_other_addresses(url: str) -> None:
    with pytest.raises(ValueError, match="address"):
        parse_origin(url)


@pytest.mark.parametrize(
    "url", ["https://me:hunter2@host/v1", "me:hunter2@host", "http://hunter2@h:x", "http://h/ x?key=hunter2"]
)
def test_parse_origin_errors_do_not_repeat_a_secret(url: str) -> None:
    with pytest.raises(ValueError, match="must not hold") as caught:
        parse_origin(url)
    assert "hunter2" not in str(caught.value)


def test_str_of_an_origin() -> None:
    assert str(Origin("https", "example.com", 443)) == "https://example.com:443"
    assert str(Origin("http", "::1", 80)) == "http://[::1]:80"


def test_repr_of_a_request_does_not_show_the_body() -> None:
    request = UpstreamRequest(Origin("http", "h", 80), b"POST", b"/", body=b"private")
    assert "private" not in repr(request)
