"""A client that works with raw bytes: requests on one connection, and everything that comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from trunkline_mock import MockUpstream

MESSAGES = [{"role": "user", "content": "tell me a story"}]

PATHS = {"ollama": "/api/chat", "anthropic": "/v1/messages", "openrouter": "/api/v1/chat/completions"}
MODELS = {
    "anthropic": "claude-haiku-4-5",
    "ollama": "llama3.2",
    "openai": "gpt-4o",
    "openrouter": "openai/gpt-4o",
    "cerebras": "llama3.1-8b",
}


class Peer:
    """A client's end of a connection to a mock."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.ending = "open"
        """``open``, ``closed`` or ``reset``."""

    async def read_all(self) -> bytes:
        """Read until the connection ends, and set ``ending`` to the kind of its end."""
        got = bytearray()
        async with asyncio.timeout(20):
            try:
                while data := await self.reader.read(65536):
                    got += data
                self.ending = "closed"
            except ConnectionResetError:
                self.ending = "reset"
        return bytes(got)

    async def read_until(self, end: bytes) -> bytes:
        """Read until and including ``end``."""
        async with asyncio.timeout(20):
            return await self.reader.readuntil(end)


@asynccontextmanager
async def connect(mock: MockUpstream) -> AsyncIterator[Peer]:
    """A connection that is closed after use."""
    reader, writer = await asyncio.open_connection(mock.host, mock.port)
    try:
        yield Peer(reader, writer)
    finally:
        writer.transport.abort()


def encode_request(
    path: str,
    body: Any = None,
    *,
    method: str = "POST",
    headers: dict[str, str] | None = None,
    close: bool = True,
    version: str = "1.1",
) -> bytes:
    """The bytes of a request."""
    raw = body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)
    lines = [f"{method} {path} HTTP/{version}", "host: mock", f"content-length: {len(raw)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if close:
        lines.append("connection: close")
    return "\r\n".join([*lines, "", ""]).encode() + raw


def encode_chat_request(mock: MockUpstream, *, stream: bool, close: bool = True, **fields: Any) -> bytes:
    """The bytes of a chat request in the format of the mock's shape."""
    name = mock.shape.name
    body = {"model": MODELS.get(name, "mock-model"), "messages": MESSAGES, "stream": stream, **fields}
    headers = {"anthropic-version": "2023-06-01"} if name == "anthropic" else {}
    if name == "anthropic":
        body.setdefault("max_tokens", 1000)
    return encode_request(PATHS.get(name, "/v1/chat/completions"), body, headers=headers, close=close)


async def exchange(mock: MockUpstream, sent: bytes) -> tuple[bytes, str]:
    """Send bytes and read until the connection ends.

    Returns:
        The bytes that came, and the kind of the end: ``closed`` or ``reset``.
    """
    async with connect(mock) as peer:
        peer.writer.write(sent)
        got = await peer.read_all()
        return got, peer.ending


def decode_body(raw: bytes) -> bytes:
    """The body of a response, with its HTTP chunks joined as far as they are complete."""
    head, _, body = raw.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" not in head:
        return body
    joined = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        joined += rest[:length]
        body = rest[length + 2 :]
        if length == 0:
            break
    return joined


def decode_events(raw: bytes) -> list[Any]:
    """The decoded records of a streamed response: SSE payloads (``[DONE]`` as text) or NDJSON lines."""
    body = decode_body(raw)
    if b"application/x-ndjson" in raw.partition(b"\r\n\r\n")[0]:
        return [msgspec.json.decode(line) for line in body.splitlines() if line]
    payloads = [line[6:] for line in body.splitlines() if line.startswith(b"data: ")]
    return ["[DONE]" if payload == b"[DONE]" else msgspec.json.decode(payload) for payload in payloads]


def streamed_text(events: list[Any]) -> str:
    """The text of a streamed answer."""
    text = ""
    for event in events:
        if isinstance(event, dict):
            for choice in event.get("choices", ()):
                text += choice["delta"].get("content") or ""
            text += event.get("delta", {}).get("text") or ""
            text += event.get("message", {}).get("content") or ""
    return text
