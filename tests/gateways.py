"""Gateways in this process on a real socket, and a client that speaks HTTP byte by byte."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NamedTuple

import msgspec
import uvicorn
from pydantic import SecretStr

from trunkline.ledger.reader import PolicyReader
from trunkline.ledger.writer import Ledger
from trunkline.server.app.gateway import Gateway
from trunkline.server.app.run import make_config
from trunkline.settings import Settings, exposure
from trunkline.settings.sections import ProviderConfig, ResponsesRule
from trunkline_mock import MockUpstream

GUARD = 30.0
"""Seconds after which a test that hangs fails."""

KEY = "gw_" + "t" * 43
BEARER = f"Authorization: Bearer {KEY}\r\n".encode()


def make_settings(**changes: Any) -> Settings:
    """A gateway with one key, no Ollama, and every surprise left out: nothing is tried twice or rests, and no
    test finds on disk what another one has stored."""
    given: dict[str, Any] = {"allowed_api_keys": (SecretStr(KEY),), "ollama_enabled": False}
    given |= {"max_retries": 0, "ollama_max_retries": 0, "breaker_failures": 0}
    given["responses"] = ResponsesRule(max_disk_bytes=0)
    return Settings(**given | changes)


def upstream(mock: MockUpstream, **more: Any) -> ProviderConfig:
    """The section of a provider that is ``mock``; its models are listed, so that nothing is discovered."""
    config: dict[str, Any] = {"type": mock.shape.name if mock.shape.name in _KINDS else "openai-compatible"}
    config |= {"url": mock.base_url, "models": ("gpt-4o",)}
    if config["type"] in ("openrouter", "cerebras", "openai", "anthropic"):
        config["api_key"] = ("sk-upstream-secret",)
    return ProviderConfig(**config | more)


_KINDS = ("openai", "openrouter", "cerebras", "anthropic", "ollama")


def make_gateway(
    settings: Settings, keys: PolicyReader | None = None, ledger: Ledger | None = None
) -> Gateway:
    """The parts, put together."""
    where = exposure(settings, has_keys=bool(settings.api_keys) or keys is not None)
    return Gateway(settings, where, keys, ledger=ledger)


class Server(uvicorn.Server):
    """uvicorn's server without signals and clocks."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()
        self.over = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        await self.on_tick(0)
        self.ready.set()
        await self.over.wait()


class Running(NamedTuple):
    """A gateway that listens."""

    gateway: Gateway
    server: Server
    port: int
    wires: list[Wire]
    """Connections that tests have made, to be closed with the gateway."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def connect(self) -> Wire:
        """A connection to it."""
        wire = Wire(*await asyncio.open_connection("127.0.0.1", self.port))
        self.wires.append(wire)
        return wire

    async def ask(self, request: bytes, *, head_only: bool = False) -> Answer:
        """The answer to one request on a connection of its own."""
        wire = await self.connect()
        try:
            wire.send(request)
            return await wire.answer(head_only=head_only)
        finally:
            await wire.close()


@asynccontextmanager
async def serving(
    settings: Settings,
    *,
    fast: bool = True,
    keys: PolicyReader | None = None,
    ledger: Ledger | None = None,
) -> AsyncIterator[Running]:
    """A gateway in this loop, at one of the two ends, until the block is left."""
    gateway = make_gateway(settings, keys, ledger)
    server = Server(make_config(gateway, settings.model_copy(update={"fast_http": fast})))
    listener = socket.create_server(("127.0.0.1", 0))
    task = asyncio.get_running_loop().create_task(server.serve([listener]))
    async with asyncio.timeout(GUARD):
        await server.ready.wait()
    running = Running(gateway, server, listener.getsockname()[1], [])
    try:
        yield running
    finally:
        for wire in running.wires:
            wire.writer.transport.abort()
        server.over.set()
        async with asyncio.timeout(GUARD):
            await task


class Answer(NamedTuple):
    """One HTTP answer."""

    status: int
    headers: dict[str, str]
    """By their names in lower case."""
    body: bytes
    """Dechunked."""
    whole: bool
    """It ended as its framing says."""

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def error(self) -> Any:
        """OpenAI's envelope, which must have all its keys and no other."""
        envelope = self.json
        assert list(envelope) == ["error"]
        assert set(envelope["error"]) == {"message", "type", "param", "code"}
        return envelope["error"]


class Wire:
    """A client's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> tuple[int, dict[str, str]]:
        """The status and headers of the next answer."""
        async with asyncio.timeout(GUARD):
            lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
        pairs = [line.split(": ", 1) for line in lines[1:]]
        headers = {name.lower(): value for name, value in pairs}
        assert len(headers) == len(pairs), lines
        assert lines[0].startswith("HTTP/1.1 ")
        return int(lines[0].split(" ")[1]), headers

    async def piece(self) -> bytes:
        """The next chunk of a chunked body; empty at its end."""
        async with asyncio.timeout(GUARD):
            size = int(await self.reader.readuntil(b"\r\n"), 16)
            data = await self.reader.readexactly(size + 2)
        assert data.endswith(b"\r\n")
        return data[:-2]

    async def answer(self, *, head_only: bool = False) -> Answer:
        """The next answer, whole or as far as it came."""
        status, headers = await self.head()
        body, whole = b"", True
        try:
            if head_only:
                pass
            elif headers.get("transfer-encoding") == "chunked":
                while piece := await self.piece():
                    body += piece
            elif "content-length" in headers:
                body = await self._exactly(int(headers["content-length"]))
            else:
                body = await self.rest()
        except (asyncio.IncompleteReadError, ConnectionError):
            whole = False
        return Answer(status, headers, body, whole)

    async def _exactly(self, size: int) -> bytes:
        async with asyncio.timeout(GUARD):
            return await self.reader.readexactly(size)

    async def rest(self) -> bytes:
        """Everything until the other side closes."""
        async with asyncio.timeout(GUARD):
            return await self.reader.read()

    async def close(self) -> None:
        self.writer.transport.abort()
        await asyncio.sleep(0)


def get(path: str, *lines: bytes, method: str = "GET", version: str = "1.1") -> bytes:
    """A request without a body; ``lines`` are header lines with their ends."""
    head = f"{method} {path} HTTP/{version}\r\nHost: localhost\r\n".encode()
    return head + b"".join(lines) + b"\r\n"


def post(body: bytes | dict[str, Any], *lines: bytes, path: str = "/v1/chat/completions") -> bytes:
    """A request with a body of known length."""
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n".encode()
    return head + b"".join(lines) + b"\r\n" + data


def chat(model: str = "custom", text: str = "Hello!", **more: Any) -> dict[str, Any]:
    """A chat request."""
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def events(body: bytes) -> list[Any]:
    """The payloads of a stream of server-sent events, the last of them as the text ``[DONE]`` if it came."""
    found = [line[6:] for line in body.split(b"\n") if line.startswith(b"data: ")]
    return ["[DONE]" if data == b"[DONE]" else msgspec.json.decode(data) for data in found]


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until ``condition`` holds."""
    async with asyncio.timeout(GUARD):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.001)
