from __future__ import annotations

import pytest

from trunkline.transport import Origin, ProxyConfig
from trunkline.transport.proxies import Proxy, parse_proxy

P = Origin("http", "proxy", 3128)
Q = Origin("http", "other", 80)


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://proxy:3128", Proxy(P)),
        ("proxy:3128", Proxy(P)),
        (" http://proxy:3128/ ", Proxy(P)),
        ("https://proxy", Proxy(Origin("https", "proxy", 443))),
        ("http://me:pass@proxy:3128", Proxy(P, b"Basic bWU6cGFzcw==")),
        ("me:p%40ss@proxy:3128", Proxy(P, b"Basic bWU6cEBzcw==")),
        ("http://me@proxy:3128", Proxy(P, b"Basic bWU6")),
        ("http://[::1]:3128", Proxy(Origin("http", "::1", 3128))),
    ],
)
def test_parse_proxy(url: str, proxy: Proxy) -> None:
    assert parse_proxy(url) == proxy


@pytest.mark.parametrize("url", ["socks5://me:hunter2@proxy", "http://me:hunter2@pro xy", "http://hunter2@"])
def test_parse_proxy_errors_name_the_setting_and_no_password(url: str) -> None:
    with pytest.raises(ValueError, match="HTTPS_PROXY") as caught:
        parse_proxy(url, "HTTPS_PROXY")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_repr_and_str_do_not_show_the_password() -> None:
    proxy = parse_proxy("http://me:hunter2@proxy:3128")
    assert "Basic" not in repr(proxy)
    assert str(proxy) == "the proxy http://proxy:3128"


@pytest.mark.parametrize(
    ("environ", "url", "expected"),
    [
        ({}, "https://example.com", None),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "https://example.com", P),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "http://example.com", None),
        ({"http_proxy": "http://proxy:3128"}, "http://example.com", P),
        ({"http_proxy": "http://proxy:3128", "HTTP_PROXY": "http://other"}, "http://example.com", P),
        ({"http_proxy": "", "HTTP_PROXY": "http://other"}, "http://example.com", Q),
        ({"ALL_PROXY": "http://proxy:3128"}, "http://example.com", P),
        ({"all_proxy": "http://proxy:3128"}, "https://example.com", P),
        ({"ALL_PROXY": "http://proxy:3128", "https_proxy": "other"}, "https://example.com", Q),
        ({"ALL_PROXY": "socks5://x", "NO_PROXY": "*"}, "https://example.com", None),
    ],
)
def test_from_environment(environ: dict[str, str], url: str, expected: Origin | None) -> None:
    assert _proxy_origin(ProxyConfig.from_environment(environ), url) == expected


def test_from_environment_reads_os_environ_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    assert _proxy_origin(ProxyConfig.from_environment(), "https://example.com") == P


def test_from_environment_names_a_variable_that_cannot_be_used() -> None:
    with pytest.raises(ValueError, match="ALL_PROXY"):
        ProxyConfig.from_environment({"ALL_PROXY": "socks5://proxy:1080"})


@pytest.mark.parametrize(
    ("no_proxy", "url", "direct"),
    [
        ("example.com", "http://example.com", True),
        ("example.com", "http://api.example.com", True),
        ("example.com", "http://notexample.com", False),
        (".example.com", "http://api.example.com", True),
        ("*.example.com", "http://api.example.com", True),
        ("EXAMPLE.com", "http://example.com.", True),
        ("a.com, example.com", "http://example.com", True),
        ("a.com example.com", "http://example.com", True),
        ("a.com,b.com", "http://example.com", False),
        ("example.com:8000", "http://example.com:8000", True),
        ("example.com:8000", "http://example.com", False),
        ("10.0.0.0/8", "http://10.1.2.3:11434", True),
        ("10.0.0.1/8", "http://10.1.2.3", True),
        ("10.0.0.0/8", "http://11.1.2.3", False),
        ("10.0.0.0/8", "http://example.com", False),
        ("10.1.2.3", "http://10.1.2.3", True),
        ("10.1.2.3:81", "http://10.1.2.3", False),
        ("fd00::/8", "http://[fd00::1]:80", True),
        ("fd00::1", "http://[fd00::1]", True),
        ("[fd00::1]", "http://[fd00::1]", True),
        ("[fd00::1]:81", "http://[fd00::1]:81", True),
        ("[fd00::1]:81", "http://[fd00::1]", False),
        ("10.0.0.0/8", "http://[fd00::1]", False),
    ],
)
def test_no_proxy(no_proxy: str, url: str, direct: bool) -> None:
    config = ProxyConfig.from_environment({"http_proxy": "http://proxy:3128", "no_proxy": no_proxy})
    assert _proxy_origin(config, url) == (None if direct else P)


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.", "x.localhost", "127.0.0.1", "127.9.9.9", "[::1]"]
)
def test_loopback_is_reached_directly_unless_the_proxy_is_explicit(host: str) -> None:
    url = f"http://{host}:11434"
    assert _proxy_origin(ProxyConfig.from_environment({"http_proxy": "http://proxy:3128"}), url) is None
    assert _proxy_origin(ProxyConfig.explicit("http://proxy:3128"), url) == P


def _proxy_origin(config: ProxyConfig, url: str) -> Origin | None:
    scheme, _, rest = url.partition("://")
    host, port = rest, 443 if scheme == "https" else 80
    if rest.rpartition(":")[2].isdecimal():
        host, port = rest.rpartition(":")[0], int(rest.rpartition(":")[2])
    proxy = config.proxy_for(Origin(scheme, host.strip("[]").lower(), port))
    return None if proxy is None else proxy.origin
