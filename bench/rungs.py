"""Servers that do a part of what the gateway does: ``python -m bench.rungs KIND …``, for the budget.

`loop PORT ANSWER` reads, and writes the body in the file ANSWER. `http PORT ANSWER` also parses the request.
`forward PORT UPSTREAM` sends it on to the port UPSTREAM, over connections that are kept. `gateway FILE` is
the gateway with the settings in FILE, with or without a ledger. Each answers ``GET /health``.

"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import httptools
import uvloop

_HEALTH: Final = b"GET /health"
_WELL: Final = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Loop(asyncio.Protocol):
    """One read and one write for each request: what the event loop and the kernel cost."""

    def __init__(self, answer: bytes) -> None:
        self._answer = _head(answer) + answer
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """A request comes in one piece, and ends as its JSON ends."""
        if data.endswith(b"}"):
            self._transport.write(self._answer)
        elif data.startswith(_HEALTH):
            self._transport.write(_WELL)


class Http(asyncio.Protocol):
    """Parses requests and writes answers with a head of their own."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._parser = httptools.HttpRequestParser(self)
        self._transport: Any = None
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.url = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Parse."""
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        """Forget the request before."""
        self.headers, self.body, self.url = [], b"", b""

    def on_url(self, url: bytes) -> None:
        """Keep the path."""
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self.headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        """Keep the body."""
        self.body += body

    def on_message_complete(self) -> None:
        """Answer."""
        self.answer(b"ok" if self.url == b"/health" else self._answer)

    def answer(self, body: bytes) -> None:
        """Write a head and a body."""
        self._transport.write(_head(body) + body)


class Forward(Http):
    """Sends each request on, and its answer back: the least that a proxy in Python does."""

    def __init__(self, upstreams: Upstreams) -> None:
        super().__init__(b"")
        self._upstreams = upstreams

    def on_message_complete(self) -> None:
        """Ask an upstream."""
        if self.url == b"/health":
            self.answer(b"ok")
            return
        self._upstreams.ask(self.url, self.body, self.answer)


class Upstreams:
    """Connections to the upstream, kept alive."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free: deque[Connection] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(self, url: bytes, body: bytes, answer: Callable[[bytes], None]) -> None:
        """Have a request answered, at once on a connection that is free."""
        if self._free:
            self._free.pop().ask(url, body, answer)
            return
        task = asyncio.get_running_loop().create_task(self._connect(url, body, answer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, url: bytes, body: bytes, answer: Callable[[bytes], None]) -> None:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: Connection(self._free), "127.0.0.1", self._port)
        connection.ask(url, body, answer)


class Connection(asyncio.Protocol):
    """One connection to the upstream."""

    def __init__(self, free: deque[Connection]) -> None:
        self._free = free
        self._transport: Any = None
        self._parser = httptools.HttpResponseParser(self)
        self._answer: Callable[[bytes], None] = lambda _: None
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport

    def ask(self, url: bytes, body: bytes, answer: Callable[[bytes], None]) -> None:
        """Write a request; ``answer`` gets the body of what comes."""
        self._answer, self._body = answer, b""
        head = b"POST %b HTTP/1.1\r\nhost: up\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        self._transport.write(head % (url, len(body)) + body)

    def data_received(self, data: bytes) -> None:
        """Parse."""
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        """Keep the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """Hand the answer over; the connection is free again."""
        self._free.append(self)
        self._answer(self._body)


def _head(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)


def serve_gateway(path: Path) -> None:
    """Be the gateway with the settings in a file; it stops at a signal."""
    from trunkline.ledger.writer import Ledger
    from trunkline.server.app.run import run
    from trunkline.settings import Settings, exposure

    given = json.loads(path.read_text())
    settings = Settings.model_validate(given["settings"])
    url = settings.database_url.get_secret_value()
    ledger = Ledger(url, path.parent / "ledger") if given["ledger"] else None
    run(settings, exposure(settings, has_keys=bool(settings.allowed_api_keys)), ledger=ledger)


async def _serve(make: Callable[[], asyncio.Protocol], port: int) -> None:
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


def main() -> None:
    """Serve what the command line names, until a signal ends it."""
    kind, *words = sys.argv[1:]
    if kind == "gateway":
        serve_gateway(Path(words[0]))
        return
    port = int(words[0])
    make: Callable[[], asyncio.Protocol]
    if kind == "loop":
        make = partial(Loop, Path(words[1]).read_bytes())
    elif kind == "http":
        make = partial(Http, Path(words[1]).read_bytes())
    else:
        make = partial(Forward, Upstreams(int(words[1])))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(make, port))


if __name__ == "__main__":
    main()
