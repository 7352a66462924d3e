"""A small HTTP server on loopback that answers by a table, in plain HTTP or TLS."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, NamedTuple

import msgspec


class Reply(NamedTuple):
    """One answer."""

    status: int = 200
    body: Any = b""
    """Bytes as they are; anything else as JSON."""
    headers: Mapping[str, str] = {}


Pages = Mapping[str, Reply]
"""Answers by path (without query); ``*`` is for all others, which else get 404."""


class Scripted(NamedTuple):
    """A server that runs."""

    url: str
    """Without a path."""
    port: int
    requests: list[tuple[str, str, dict[str, str]]]
    """Method, path and headers of each request."""


@contextmanager
def scripted(pages: Pages, tls: ssl.SSLContext | None = None) -> Iterator[Scripted]:
    """A server, until the block is left."""
    seen: list[tuple[str, str, dict[str, str]]] = []

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_POST(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            seen.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
            path = self.path.partition("?")[0]
            reply = pages.get(path) or pages.get("*") or Reply(404, {"error": {"message": "nothing here"}})
            body = reply.body if isinstance(reply.body, bytes) else msgspec.json.encode(reply.body)
            self.send_response_only(reply.status)
            headers = {"Date": self.date_time_string(), "Content-Length": str(len(body))}
            for name, value in (headers | dict(reply.headers)).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = _Quiet(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    port = server.server_address[1]
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield Scripted(f"http{'' if tls is None else 's'}://127.0.0.1:{port}", port, seen)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: clients of another protocol are what is tested."""


def listing(*names: str) -> Reply:
    """OpenAI's list of these models."""
    return Reply(200, {"object": "list", "data": [{"id": name, "object": "model"} for name in names]})


def tags(*names: str) -> Reply:
    """Ollama's list of these models."""
    return Reply(200, {"models": [{"name": name, "model": name} for name in names]})
