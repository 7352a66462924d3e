"""A gateway started as a user starts it, in front of one mock upstream of every shape."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import httpx
import openai
import pytest

from trunkline.testing import MockUpstream

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


class World(NamedTuple):
    """A running gateway and what stands behind it."""

    url: str
    mocks: dict[str, MockUpstream]
    log: Path

    def client(self, path: str = "/v1", key: str = KEY) -> openai.OpenAI:
        """OpenAI's client for this gateway; it does not retry, so that every failure is seen."""
        return openai.OpenAI(base_url=self.url + path, api_key=key, max_retries=0, timeout=30)

    def lines(self) -> str:
        """All that the gateway has logged."""
        return self.log.read_text()


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start_gateway(folder: Path, config: str, *args: str, **env: str) -> tuple[subprocess.Popen[bytes], str]:
    """``trunkline serve`` with a configuration file, once it is ready; (process, its URL)."""
    file = folder / "trunkline.yaml"
    file.write_text(config)
    port = free_port()
    environment = os.environ | {"PORT": str(port), "HOST": "127.0.0.1", "ALLOWED_API_KEYS": KEY} | env
    with (folder / "gateway.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "trunkline", "serve", "--config", str(file), *args],
            stderr=log,
            cwd=folder,
            env=environment,
        )
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(url + "/health/ready").status_code == 200:
                return process, url
        except httpx.TransportError:
            continue
    process.kill()
    process.wait()
    raise AssertionError((folder / "gateway.log").read_text())


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a gateway as an init system does."""
    process.terminate()
    assert process.wait(30) == 0


@pytest.fixture(scope="session", params=["true", "false"], ids=["fast", "asgi"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The whole house, once with each end of the server."""
    folder = tmp_path_factory.mktemp("gateway")
    shapes = {"plain": "generic"}
    with ExitStack() as stack:
        mocks = {
            name: stack.enter_context(MockUpstream.in_thread(shapes.get(name, name), any_model=False))
            for name in MODELS
        }
        config = f"""
ollama_base_url: {mocks["ollama"].base_url}
openrouter_api_key: {SECRET}
openrouter_base_url: {mocks["openrouter"].base_url}
cerebras_api_key: {SECRET}
cerebras_base_url: {mocks["cerebras"].base_url}
openai_api_key: {SECRET}
openai_base_url: {mocks["openai"].base_url}
providers:
  plain: {{type: openai-compatible, url: "{mocks["plain"].base_url}", models: [mock-model]}}
"""
        process, url = start_gateway(folder, config, FAST_HTTP=request.param)
        stack.callback(stop, process)
        yield World(url, mocks, folder / "gateway.log")
