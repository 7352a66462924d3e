from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import msgspec
import pytest

from tests.gateways import GUARD
from trunkline.server.app import webhook
from trunkline.server.app.webhook import WebhookError, post_json
from trunkline.transport import failures
from trunkline.transport.failures import Fault


class Received(NamedTuple):
    """One request to the server."""

    head: list[str]
    body: bytes


@asynccontextmanager
async def server(answer: bytes) -> AsyncIterator[tuple[str, list[Received]]]:
    """A server that sends ``answer`` to each request and closes; its authority, and the requests."""
    received: list[Received] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
        size = next(int(line[15:]) for line in head if line.lower().startswith("content-length:"))
        received.append(Received(head, await reader.readexactly(size)))
        writer.write(answer)
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield f"127.0.0.1:{listening.sockets[0].getsockname()[1]}", received


OK = b"HTTP/1.1 204 No Content\r\n\r\n"


@pytest.mark.parametrize(
    ("url", "target", "authorization"),
    [
        ("http://{}", "/", []),
        ("http://{}/hook", "/hook", []),
        ("http://{}/hook?sig=a%20b&x=/y?z#part", "/hook?sig=a%20b&x=/y?z", []),
        ("http://{}/a b/ü", "/a%20b/%C3%BC", []),
        ("http://me:p%40ss@{}/hook", "/hook", ["authorization: Basic bWU6cEBzcw=="]),
        ("http://me@{}/hook", "/hook", ["authorization: Basic bWU6"]),
    ],
)
async def test_post_json(url: str, target: str, authorization: list[str]) -> None:
    async with server(OK) as (authority, received), asyncio.timeout(GUARD):
        await post_json(url.format(authority), {"event": "budget_warning", "spent": 1.5, "subject": "ü"})
    [(head, body)] = received
    assert head == [
        f"POST {target} HTTP/1.1",
        "accept: */*",
        "user-agent: trunkline",
        "content-type: application/json",
        *authorization,
        f"Content-Length: {len(body)}",
        f"Host: {authority}",
        "Accept-Encoding: identity",
    ]
    assert body == '{"event":"budget_warning","spent":1.5,"subject":"ü"}'.encode()
    assert msgspec.json.decode(body)["subject"] == "ü"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", "HTTPStatusError"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "HTTPStatusError"),
        (b"HTTP/1.1 500 Error\r\nContent-Length: 0\r\n\r\n", "HTTPStatusError"),
        (b"", "RemoteProtocolError"),
        (b"SSH-2.0-x\r\n", "RemoteProtocolError"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", "RemoteProtocolError"),
    ],
)
async def test_answers_that_are_errors(answer: bytes, reason: str) -> None:
    async with server(answer) as (authority, received), asyncio.timeout(GUARD):
        with pytest.raises(WebhookError) as caught:
            await post_json(f"http://{authority}/", {})
    assert caught.value.reason == reason
    assert len(received) == 1


async def test_a_server_that_does_not_listen() -> None:
    with pytest.raises(WebhookError) as caught:
        await post_json("http://127.0.0.1:1/", {})
    assert caught.value.reason == "ConnectError"


async def test_a_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "TIMEOUT_S", 0.1)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening, asyncio.timeout(GUARD):
        with pytest.raises(WebhookError) as caught:
            await post_json(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/", {})
    assert caught.value.reason == "ReadTimeout"


@pytest.mark.parametrize("url", ["http://", "http://ho st/", "http://h:x/", "ftp://h/", "http://[/"])
async def test_addresses_that_cannot_be_used(url: str) -> None:
    with pytest.raises(WebhookError) as caught:
        await post_json(url, {})
    assert caught.value.reason == "InvalidURL"


async def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with server(OK) as (authority, received), asyncio.timeout(GUARD):
        monkeypatch.setenv("http_proxy", f"http://{authority}")
        monkeypatch.setenv("no_proxy", "")
        monkeypatch.setenv("NO_PROXY", "")
        await post_json("http://chat.invalid/hook", {})
    assert received[0].head[0] == "POST http://chat.invalid/hook HTTP/1.1"


def test_the_names_of_errors_belong_to_reasons_of_the_transport() -> None:
    reasons = {fault.reason for fault in vars(failures).values() if isinstance(fault, Fault)}
    assert set(webhook._ERROR_NAMES) <= reasons
