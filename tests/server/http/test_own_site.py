"""Where no key is asked for, only this machine's names and pages may ask: at both ends."""

from __future__ import annotations

import pytest

from tests.gateways import KEY, Answer, Running, make_settings, upstream
from tests.server.conftest import Serve
from trunkline.server.http.own_site import OwnSite
from trunkline.settings import Settings
from trunkline_mock import MockUpstream

OPEN = {"allowed_api_keys": (), "require_auth": False, "development_mode": True}
CHAT = b'{"model":"custom","messages":[{"role":"user","content":"x"}]}'
KEY_WANTED = b'{"name":"mine","role":"admin"}'
EVIL = b"Origin: https://evil.example\r\n"


async def ask(
    running: Running,
    path: str,
    *lines: bytes,
    host: bytes | None = b"localhost",
    method: str = "POST",
    body: bytes = CHAT,
) -> Answer:
    """The answer to a request with just these headers."""
    version, named = (b"1.0", b"") if host is None else (b"1.1", b"Host: %b\r\n" % host)
    head = b"%b %b HTTP/%b\r\n%b" % (method.encode(), path.encode(), version, named)
    size = b"content-type: text/plain\r\ncontent-length: %d\r\n" % len(body)
    return await running.ask(head + size + b"".join(lines) + b"\r\n" + body, head_only=method == "HEAD")


@pytest.fixture
async def running(serve: Serve) -> Running:
    """A gateway in open mode."""
    return await serve(make_settings(**OPEN))


HOSTS = [
    b"localhost",
    b"LOCALHOST:8000",
    b"localhost.",
    b"127.0.0.1",
    b"127.0.0.1:11434",
    b"127.1.2.3:1",
    b"[::1]",
    b"[::1]:8000",
    b"[::ffff:127.0.0.1]:8000",
    b"0.0.0.0:8000",
    b"app.localhost:3000",
    b"host.docker.internal:8000",
    None,
]
STRANGERS = [
    b"evil.example",
    b"evil.example:8000",
    b"localhost.evil.example",
    b"127.0.0.1.evil.example",
    b"127.0.0.1.nip.io",
    b"evillocalhost",
    b"evil.local",
    b"192.168.1.5:8000",
    b"10.0.0.1",
    b"[fe80::1]",
    b"localhost@evil.example",
    b"localhost:80:80",
    b"localhost, evil.example",
    b"localhost evil.example",
    b"\xff",
]
PATHS = [
    "/v1/chat/completions",
    "/api/chat",
    "/v1/messages",
    "/",
    "/health",
    "/v1/models",
    "/admin/v1/keys",
    "/docs",
    "/nothing",
]


@pytest.mark.parametrize("host", HOSTS)
async def test_own_names(running: Running, host: bytes | None) -> None:
    assert (await ask(running, "/v1/chat/completions", host=host)).status == 200


@pytest.mark.parametrize("host", STRANGERS)
async def test_other_names(running: Running, host: bytes) -> None:
    answer = await ask(running, "/v1/chat/completions", host=host)
    assert 400 <= answer.status < 500
    assert "ALLOWED_HOSTS" in answer.error["message"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
async def test_other_names_at_every_path(running: Running, path: str, method: str) -> None:
    assert (await ask(running, path, host=b"evil.example", method=method, body=b"")).status == 403
    assert (await ask(running, path, EVIL, method=method, body=b"")).status == 403


async def test_no_key_is_made_for_a_stranger(running: Running) -> None:
    for lines, host in ((EVIL, b"localhost"), (b"", b"evil.example")):
        answer = await ask(running, "/admin/v1/keys", lines, host=host, body=KEY_WANTED)
        assert answer.status == 403


@pytest.mark.parametrize(
    ("lines", "allowed"),
    [
        (b"Origin: http://localhost:3000\r\n", True),
        (b"Origin: http://127.0.0.1\r\n", True),
        (b"Origin: https://[::1]:5173\r\n", True),
        (b"Origin: http://gw.localhost\r\n", True),
        (b"Origin: app://obsidian.md\r\n", True),
        (b"Origin: vscode-webview://abc\r\nSec-Fetch-Site: cross-site\r\n", True),
        (b"Origin: null\r\n", False),
        (b"Origin: \r\n", False),
        (b"Origin: http://localhost.evil.example\r\n", False),
        (b"Origin: http://evil.example:8000\r\n", False),
        (b"Origin: http://localhost@evil.example\r\n", False),
        (b"Origin: chrome-extension://abc\r\n", False),
        (b"Origin: http://192.168.1.9\r\n", False),
        (b"Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n", False),
        (b"Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n", False),
        (b"Sec-Fetch-Site: same-origin\r\n", True),
        (b"Sec-Fetch-Site: none\r\n", True),
    ],
)
async def test_pages(running: Running, lines: bytes, allowed: bool) -> None:
    answer = await ask(running, "/v1/chat/completions", lines)
    assert answer.status == (200 if allowed else 403)
    if not allowed:
        assert "access-control-allow-origin" not in answer.headers


async def test_a_link_may_lead_here_and_a_picture_may_not(running: Running) -> None:
    link, picture = (
        b"Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: %b\r\n" % mode for mode in (b"navigate", b"no-cors")
    )
    assert (await ask(running, "/v1/models", link, method="GET", body=b"")).status == 200
    assert (await ask(running, "/v1/models", picture, method="GET", body=b"")).status == 403


async def test_no_upstream_is_asked(serve: Serve) -> None:
    async with MockUpstream("ollama", models=["m"]) as mock:
        settings = make_settings(**OPEN, providers={"fleet": upstream(mock, models=("m",))})
        running = await serve(settings)
        await running.gateway.catalog.wait_until_discovered(30)
        mock.calls.clear()
        for path in (
            "/v1/chat/completions",
            "/api/chat",
            "/api/pull",
            "/api/show",
            "/v1/messages/count_tokens",
        ):
            body = b'{"model":"fleet/m","max_tokens":1,"messages":[{"role":"user","content":"x"}]}'
            assert (await ask(running, path, EVIL, body=body)).status == 403
        assert not mock.calls


async def test_what_is_listed(serve: Serve) -> None:
    settings = make_settings(
        **OPEN,
        allowed_hosts=("ai.example.com", "*.corp.example"),
        cors_allowed_origins=("https://chat.example",),
    )
    running = await serve(settings)
    for host, allowed in (
        (b"AI.example.com:8000", True),
        (b"a.b.corp.example", True),
        (b"corp.example", False),
        (b"xcorp.example", False),
    ):
        assert (await ask(running, "/v1/models", host=host, method="GET", body=b"")).status == (
            200 if allowed else 403
        )
    own = b"Origin: https://ai.example.com\r\n"
    assert (await ask(running, "/v1/chat/completions", own, host=b"ai.example.com")).status == 200
    assert (await ask(running, "/v1/chat/completions", b"Origin: https://chat.example\r\n")).status == 200
    assert (await ask(running, "/v1/chat/completions", own)).status == 403


async def test_where_keys_are_asked_for_names_do_not_matter(serve: Serve) -> None:
    running = await serve()
    key = f"x-api-key: {KEY}\r\n".encode()
    assert (await ask(running, "/v1/chat/completions", key, EVIL, host=b"ai.example.com")).status == 200


def site(*, open_network: bool) -> OwnSite:
    return OwnSite(Settings(), open_network=open_network)


@pytest.mark.parametrize("host", [b"192.168.1.5:8000", b"[fd00::1]", b"gateway:80", b"box.lan", b"pi.local"])
def test_names_of_a_private_network(host: bytes) -> None:
    fields = {b"host": host}
    assert site(open_network=True).refusal("POST", list(fields.items()), fields) is None
    assert site(open_network=False).refusal("POST", list(fields.items()), fields) is not None


def test_public_names_are_strangers_in_an_open_network_too() -> None:
    fields = {b"host": b"evil.example"}
    assert site(open_network=True).refusal("POST", list(fields.items()), fields) is not None
