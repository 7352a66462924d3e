"""A program that takes Olla's place in tests: it forwards each request to the endpoint of its model."""

from __future__ import annotations

import http.client
import json
import sys
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ENDPOINTS: dict[str, int] = {}


class Handler(BaseHTTPRequestHandler):
    """Whole answers only."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """It is well."""
        self.answer(200, b"ok")

    def do_POST(self) -> None:
        """Forward."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        port = ENDPOINTS[json.loads(body)["model"]]
        path = self.path.removeprefix("/olla/openai")
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as upstream:
            upstream.request("POST", path, body, {"Content-Type": "application/json"})
            response = upstream.getresponse()
            self.answer(response.status, response.read())

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def main() -> None:
    config = json.loads(Path(sys.argv[sys.argv.index("--config") + 1]).read_text())
    for endpoint in config["discovery"]["static"]["endpoints"]:
        ENDPOINTS[endpoint["name"]] = int(endpoint["url"].rpartition(":")[2])
    ThreadingHTTPServer(("127.0.0.1", config["server"]["port"]), Handler).serve_forever()


if __name__ == "__main__":
    main()
