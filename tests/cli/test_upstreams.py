"""``trunkline upstreams``, against the admin API of a gateway that serves."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.services import free_port
from trunkline.cli.running import gateway_url
from trunkline.settings import Settings
from trunkline.settings.sections import Server

KEY = "gw_admin"
FAILURE = {"code": "upstream_error", "status": 500, "concerns": "model", "at": 1_790_000_000}
HEALTHY = {
    "provider": "ollama",
    "id": "ollama/gpu1:11434#2",
    "breaker": "closed",
    "rests_for_s": 0.0,
    "in_flight": 2,
    "sent": 7,
    "last_failure": None,
    "resting_models": [],
}
RESTING = HEALTHY | {
    "last_failure": FAILURE,
    "resting_models": [{"model": "m2", "rests_for_s": 12.0, "last_failure": FAILURE}],
}


class _Admin(BaseHTTPRequestHandler):
    """The two answers of the admin API that the command asks for, and the gateway's refusals."""

    def do_GET(self) -> None:
        self._answer(200, {"data": [RESTING]})

    def do_POST(self) -> None:
        if self.path == "/admin/v1/upstreams/ollama/gpu1%3A11434%232/reset":
            self._answer(200, {"data": [HEALTHY]})
        else:
            self._answer(404, {"error": {"message": f"There is no upstream at {self.path}"}})

    def _answer(self, status: int, value: object) -> None:
        if self.headers["Authorization"] != f"Bearer {KEY}":
            status, value = 401, {"error": {"message": "Invalid API key"}}
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    """The address of a server with an admin API."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Admin) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_it_lists_what_rests_and_why(run: Run, url: str) -> None:
    done = run("upstreams", "--url", url, TRUNKLINE_KEY=KEY)
    lines = [line.split("\t") for line in done.out.splitlines()]
    assert done.code == 1
    assert lines[1][:3] == ["ollama/gpu1:11434#2", "ok", ""]
    assert lines[2][:4] == ["ollama/gpu1:11434#2: m2", "rests", "12 s", "upstream_error (status 500)"]
    assert json.loads(run("upstreams", "--url", url, "--key", KEY, "--json").out) == [RESTING]


def test_it_resets_an_upstream_by_its_id(run: Run, url: str) -> None:
    done = run("upstreams", "reset", "ollama/gpu1:11434#2", "--url", url, TRUNKLINE_KEY=KEY)
    assert (done.code, done.out.splitlines()[1].split("\t")[1]) == (0, "ok")
    done = run("upstreams", "reset", "ollama/gpu1:11434#2", "--url", url, "--key", KEY, "--json")
    assert json.loads(done.out) == [HEALTHY]
    done = run("upstreams", "reset", "nobody", "--url", url, TRUNKLINE_KEY=KEY)
    assert (done.code, "There is no upstream" in done.err) == (1, True)


def test_a_refused_key_names_the_fix(run: Run, url: str) -> None:
    done = run("upstreams", TRUNKLINE_URL=url)
    assert done.code == 1
    assert "TRUNKLINE_KEY" in done.err
    assert "trunkline keys create" in done.err


def test_no_gateway_answers(run: Run) -> None:
    done = run("upstreams", PORT=str(free_port()), HOST="127.0.0.1")
    assert done.code == 1
    assert "no gateway answers at http://127.0.0.1:" in done.err
    assert run("upstreams", "--url", "gateway:8000").code == 2


@pytest.mark.parametrize(
    ("host", "url"),
    [
        (None, "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::1", "http://[::1]:80"),
        ("box", "http://box:80"),
    ],
)
def test_the_address_is_that_of_the_settings(host: str | None, url: str) -> None:
    assert gateway_url(Settings(host=host, port=80)) == url


def test_a_gateway_with_tls_is_asked_over_https(tmp_path: Path) -> None:
    file = tmp_path / "pem"
    file.touch()
    settings = Settings(port=80, server=Server.model_validate({"tls": {"cert": file, "key": file}}))
    assert gateway_url(settings).startswith("https://")
