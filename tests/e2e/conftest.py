"""A gateway started as a user starts it, in front of one mock upstream of every shape."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import httpx
import openai
import pytest

from trunkline_mock import MockUpstream, Script

if TYPE_CHECKING:
    from tests.e2e.fleet import Fleet

KEY = "gw_" + "e" * 43
SECRET = "sk-planted-upstream-secret"

MODELS = {
    "ollama": "llama3.2",
    "openrouter": "openai/gpt-4o",
    "cerebras": "llama-3.3-70b",
    "openai": "gpt-4o",
    "plain": "mock-model",
}
"""A chat model of each provider."""

MAX_BODY = 100_000
GUARD = 30.0
"""Seconds after which a test that hangs fails."""


STEADY = {"MAX_RETRIES": "0", "OLLAMA_MAX_RETRIES": "0", "BREAKER_FAILURES": "0"}
"""Nothing is tried twice, and nobody is left alone after failures: each request stands for itself."""

Found = TypeVar("Found")


class World(NamedTuple):
    """A running gateway and what stands behind it."""

    url: str
    mocks: dict[str, MockUpstream]
    log: Path
    clients: dict[tuple[str, str], openai.OpenAI]

    def client(self, path: str = "/v1", key: str = KEY) -> openai.OpenAI:
        """OpenAI's client for this gateway; it does not retry, so that every failure is seen."""
        if (path, key) not in self.clients:
            client = openai.OpenAI(base_url=self.url + path, api_key=key, max_retries=0, timeout=GUARD)
            self.clients[path, key] = client
        return self.clients[path, key]

    def async_client(self) -> openai.AsyncOpenAI:
        """The same for coroutines."""
        return openai.AsyncOpenAI(base_url=self.url + "/v1", api_key=KEY, max_retries=0, timeout=GUARD)

    @contextmanager
    def saying(self, shape: str, **script: Any) -> Iterator[MockUpstream]:
        """The mock of that shape answers by this script until the block is left."""
        mock = self.mocks[shape]
        before, mock.script = mock.script, Script(**script)
        try:
            yield mock
        finally:
            mock.script = before

    def output(self) -> str:
        """All that the gateway has printed and logged."""
        return self.log.read_text()

    def line(self, request_id: str) -> dict[str, Any]:
        """The one log line of a request. It may come a moment after the answer."""
        found = poll(lambda: _lines(self.log, request_id))
        assert len(found) == 1, found
        return found[0]


def poll(look: Callable[[], Found]) -> Found:
    """What ``look`` finds, as soon as it finds something."""
    deadline = time.monotonic() + GUARD
    while not (found := look()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)  # leaves the processor to the process that is waited for
    return found


def _lines(log: Path, holding: str) -> list[dict[str, Any]]:
    """The log's whole lines that hold this as a JSON string."""
    lines = log.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if f'"{holding}"' in line and line.endswith("\n")]


@contextmanager
def gateway(
    folder: Path, config: str, mocks: dict[str, MockUpstream] | None = None, **env: str
) -> Iterator[World]:
    """``trunkline serve`` with a configuration file, from when it is ready. It ends as an init system ends
    it."""
    (folder / "trunkline.yaml").write_text(config)
    environment = os.environ | {"PORT": "0", "HOST": "127.0.0.1", "ALLOWED_API_KEYS": KEY} | STEADY | env
    log = folder / "gateway.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "trunkline", "serve", "--config", "trunkline.yaml"],
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment,
        )
    clients: dict[tuple[str, str], openai.OpenAI] = {}
    try:
        yield World(_ready(process, log), mocks or {}, log, clients)
        process.terminate()
        assert process.wait(GUARD) == 0, log.read_text()
    finally:
        for client in clients.values():
            client.close()
        process.kill()
        process.wait()


def _ready(process: subprocess.Popen[bytes], log: Path) -> str:
    """The address that the gateway says it listens on, once it has looked at its providers."""

    def listening() -> list[dict[str, Any]]:
        assert process.poll() is None, log.read_text()
        return _lines(log, "listening")

    url: str = poll(listening)[0]["urls"][0]
    with httpx.Client(base_url=url) as client:
        poll(lambda: client.get("/health/ready").status_code == 200)
    return url


@pytest.fixture(scope="session")
def nowhere() -> Iterator[str]:
    """An address that refuses connections, and that nobody else can take meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


@pytest.fixture(scope="session", params=["true", "false"], ids=["fast", "asgi"])
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, nowhere: str
) -> Iterator[World]:
    """The whole house, once with each end of the server."""
    folder = tmp_path_factory.mktemp("gateway")
    shapes = {"plain": "generic"}
    keys = dict.fromkeys(MODELS, SECRET) | {"ollama": None, "plain": None}
    with ExitStack() as stack:
        mocks = {
            name: stack.enter_context(MockUpstream.in_thread(shapes.get(name, name), require_key=key))
            for name, key in keys.items()
        }
        config = f"""
ollama_base_url: {mocks["ollama"].base_url}
openrouter_api_key: {SECRET}
openrouter_base_url: {mocks["openrouter"].base_url}
cerebras_api_key: {SECRET}
cerebras_base_url: {mocks["cerebras"].base_url}
openai_api_key: {SECRET}
openai_base_url: {mocks["openai"].base_url}
max_body_bytes: {MAX_BODY}
aliases: {{fast: ollama/llama3.2}}
providers:
  plain: {{type: openai-compatible, url: "{mocks["plain"].base_url}"}}
  gone: {{type: ollama, url: "http://{nowhere}"}}
"""
        yield stack.enter_context(gateway(folder, config, mocks, FAST_HTTP=request.param))


@pytest.fixture(scope="session", params=["true", "false"], ids=["fast", "asgi"])
def fleet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Two Ollama servers and OpenRouter behind a gateway, once with each end of the server."""
    from tests.e2e.fleet import running_fleet

    with running_fleet(tmp_path_factory.mktemp("fleet"), request.param) as found:
        yield found
