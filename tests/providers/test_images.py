"""Images by URL: fetched within limits, and never from our own network."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.gateways import BEARER, make_settings, post, serving, upstream
from trunkline import CallerError
from trunkline.providers import build
from trunkline.providers.images import ImageFetcher, is_public
from trunkline_mock import MockUpstream

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("192.168.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::5db8:d822", False),
        ("64:ff9b:1::7f00:1", False),
        ("2002:7f00:1::", False),
        ("2002:5db8:d822::1", False),
        ("2001:0:5db8:d822::1", False),
        ("2001:20::1", False),
        ("2001:db8::1", False),
        ("2620:4f:8000::1", False),
        ("3fff::1", False),
        ("5f00::1", False),
        ("100::1", False),
        ("4000::1", False),
        ("fec0::1", False),
        ("ff0e::1", False),
        ("::127.0.0.1", False),
        ("::5db8:d822", False),
        ("::ffff:0:127.0.0.1", False),
        ("::", False),
        ("192.0.0.192", False),
        ("192.0.0.9", False),
        ("192.0.2.1", False),
        ("192.31.196.1", False),
        ("192.52.193.1", False),
        ("192.88.99.1", False),
        ("192.175.48.1", False),
        ("100.64.0.1", False),
        ("198.18.0.1", False),
        ("198.51.100.1", False),
        ("203.0.113.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("172.16.0.1", False),
        ("no address", False),
    ],
)
def test_public_addresses(address: str, public: bool) -> None:
    assert is_public(address) is public


ANSWERS = {
    "/image": b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: %d\r\n\r\n" % len(PNG) + PNG,
    "/page": b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nhi",
    "/large": b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: 5000\r\n\r\n" + bytes(5000),
    "/moved": b"HTTP/1.1 302 Found\r\nlocation: /image\r\ncontent-length: 0\r\n\r\n",
    "/inside": b"HTTP/1.1 302 Found\r\nlocation: http://inside.test/x\r\ncontent-length: 0\r\n\r\n",
    "/loop": b"HTTP/1.1 302 Found\r\nlocation: /loop\r\ncontent-length: 0\r\n\r\n",
}
GONE = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"


@asynccontextmanager
async def web() -> AsyncIterator[int]:
    """A small web server; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ")[1].decode()
        if path == "/never":
            await reader.read()
        writer.write(ANSWERS.get(path.partition("?")[0], GONE))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def resolve(host: str, port: int) -> list[str]:
    """A name service: one public name, which our test server stands for, and one inside."""
    return ["10.0.0.1"] if host == "inside.test" else ["127.0.0.1"]


def fetcher() -> ImageFetcher:
    return ImageFetcher(max_bytes=1000, timeout=5, resolver=resolve, allowed=lambda ip: ip == "127.0.0.1")


@pytest.mark.parametrize("path", ["/image", "/moved"])
async def test_an_image_becomes_data(path: str) -> None:
    async with web() as port:
        images = fetcher()
        assert (await images.fetch(f"http://public.test:{port}{path}")).startswith(
            "data:image/png;base64,iVBO"
        )
        await images.aclose()


@pytest.mark.parametrize(
    ("url", "message", "status"),
    [
        ("http://public.test:{port}/page", "is not a PNG", 400),
        ("http://public.test:{port}/large", "larger than 1000 bytes", 413),
        ("http://public.test:{port}/gone", "status 404", 400),
        ("http://public.test:{port}/loop", "redirects too often", 400),
        ("http://public.test:{port}/inside", "not at a public address", 400),
        ("http://inside.test/x", "not at a public address", 400),
        ("http://user:pass@public.test/x", "is not an http", 400),
        ("http://127.0.0.1:1/x", "cannot be fetched", 400),
    ],
)
async def test_what_is_refused(url: str, message: str, status: int) -> None:
    async with web() as port:
        images = fetcher()
        with pytest.raises(CallerError, match=message) as raised:
            await images.fetch(url.format(port=port), "messages[0].content[0].image_url.url")
        await images.aclose()
    assert raised.value.status == status
    assert raised.value.param == "messages[0].content[0].image_url.url"


async def test_a_body_gets_its_images_by_value() -> None:
    async with web() as port:
        images = fetcher()
        url = f"http://public.test:{port}/image"
        parts = [
            {"type": "text", "text": url},
            {"type": "image_url", "image_url": {"url": url}},
            {"type": "image_url", "image_url": url},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        ]
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": parts}]}).encode()
        found = json.loads(await images.inline(body))["messages"][0]["content"]
        await images.aclose()
    assert found[0] == parts[0]
    assert [part["image_url"]["url"][:15] for part in found[1:]] == ["data:image/png;"] * 3


@pytest.mark.parametrize(
    "body", [b"not json", b"[]", b'{"messages": 3}', b'{"messages": [1, {"content": [2]}]}']
)
async def test_what_is_no_request_is_left_to_the_parser(body: bytes) -> None:
    images = fetcher()
    assert json.loads(
        json.dumps((await images.inline(body)).decode().replace(" ", ""))
    ) == body.decode().replace(" ", "")
    await images.aclose()


@pytest.mark.parametrize("body", [b'{"messages": "\xff"}', b'{"messages": ' + b"[" * 5000])
async def test_what_cannot_be_read_stays_as_it_is(body: bytes) -> None:
    images = fetcher()
    assert await images.inline(body) == body
    await images.aclose()


def picture_message(*urls: str) -> bytes:
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return json.dumps({"messages": [{"role": "user", "content": parts}]}).encode()


def bounded(**bounds: Any) -> ImageFetcher:
    given: dict[str, Any] = {
        "max_bytes": 6000,
        "timeout": 5,
        "resolver": resolve,
        "allowed": lambda ip: ip == "127.0.0.1",
    }
    return ImageFetcher(**given | bounds)


@pytest.mark.parametrize(
    ("paths", "bounds", "told"),
    [
        (["/image"] * 4, {"max_count": 3}, "more than 3 images"),
        (["/large", "/large?again"], {"max_total": 9000}, "more than 9000 bytes"),
        (["/large", "/large"], {"max_total": 9000}, "more than 9000 bytes"),
        (["/never"], {"total": 0.05}, "within 0.05 seconds"),
    ],
)
async def test_all_images_of_a_request_together_are_bounded(
    paths: list[str], bounds: dict[str, Any], told: str
) -> None:
    async with web() as port:
        images = bounded(**bounds)
        body = picture_message(*(f"http://public.test:{port}{path}" for path in paths))
        with pytest.raises(CallerError, match=told) as caught:
            await images.inline(body)
        assert 400 <= caught.value.status < 500
        assert str(caught.value.param).startswith("messages[0].content[")
        await images.aclose()


async def test_an_address_is_asked_once_for_a_request() -> None:
    async with web() as port:
        images = bounded()
        url = f"http://public.test:{port}/image"
        found = json.loads(await images.inline(picture_message(url, url)))
        first, second = found["messages"][0]["content"]
        assert first == second
        assert first["image_url"]["url"].startswith("data:image/png;base64,")
        await images.aclose()


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses"])
@pytest.mark.parametrize("fetches", [True, False])
async def test_kimi_is_sent_images_by_value(
    monkeypatch: pytest.MonkeyPatch, path: str, fetches: bool
) -> None:
    monkeypatch.setattr(build, "ImageFetcher", lambda **_: fetcher())
    async with web() as port, MockUpstream("moonshot", models=("kimi-k2.6",), strict=True) as mock:
        kimi = upstream(mock, type="openai-compatible", vendor="moonshot", models=("kimi-k2.6",))
        made = make_settings(providers={"kimi": kimi}, fetch_image_urls=fetches)
        async with serving(made) as gateway:
            answer = await gateway.ask(
                post(_look(path, f"http://public.test:{port}/image"), BEARER, path=path)
            )
        sent = json.dumps([call.json for call in mock.calls])
    assert answer.status == (200 if fetches else 400), answer.body
    assert ("data:image/png;base64," in sent) is fetches
    if not fetches and path != "/v1/chat/completions":
        assert b"FETCH_IMAGE_URLS" in answer.body


def _look(path: str, url: str) -> dict[str, Any]:
    """A request with an image, in the dialect of a path."""
    by_path: dict[str, dict[str, Any]] = {
        "/v1/chat/completions": {"type": "image_url", "image_url": {"url": url}},
        "/v1/messages": {"type": "image", "source": {"type": "url", "url": url}},
        "/v1/responses": {"type": "input_image", "image_url": url},
    }
    turns = [{"role": "user", "content": [by_path[path]]}]
    field = "input" if path == "/v1/responses" else "messages"
    return {"model": "kimi/kimi-k2.6", field: turns} | ({"max_tokens": 9} if path == "/v1/messages" else {})
