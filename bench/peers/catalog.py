"""The peers: where each comes from, how it is configured and started, and how it is asked.

Each forwards OpenAI's chat API to the same mocks as the gateway, on one core, with its log turned down and
its own limits off. A peer that is not here, or does not start, is left out, and the results say why.
"""

from __future__ import annotations

import http.client
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bench.client import Ask
from bench.machine import BenchError
from bench.peers import installing
from bench.rig import Mock, Process, free_ports
from bench.runs import PATHS, make_body
from bench.session import check

LITELLM: Final = "1.108.7"
PORTKEY: Final = "1.15.2"
KEY: Final = "sk-bench-bench-bench"
"""What a client sends; only LiteLLM checks it."""

OFFLINE: Final = {
    "NO_PROXY": "127.0.0.1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_TELEMETRY": "False",
}
"""Nothing is asked of the network while a peer runs."""


_ROUTED_S: Final = 30.0


class Installed(NamedTuple):
    """A peer that is here: its version, and how it is called."""

    version: str
    command: Sequence[str]


class Peer(NamedTuple):
    """One other gateway."""

    name: str
    does: str
    """What it does for a request in this configuration."""
    install: Callable[[Path | None], Installed]
    """Finds or installs it, given the program that the user names."""
    configure: Callable[[Path, int, Mapping[str, int]], Sequence[str]]
    """Writes its files; returns arguments. Given its folder, its port and the mocks' ports."""
    ready: str
    """The path that answers 200 when it is ready."""
    ask: Callable[[Mock, int, bytes], tuple[str, tuple[tuple[str, str], ...]]]
    """The path and the headers of a request for a mock at a port."""
    env: Mapping[str, str] = {}


def start(peer: Peer, installed: Installed, folder: Path, mocks: Mapping[str, int], core: int) -> Process:
    """Start a peer. The caller waits for it and stops it."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_ports(1)[0]
    arguments = peer.configure(folder, port, mocks)
    return Process(
        peer.name,
        (*installed.command, *arguments),
        folder,
        core,
        port=port,
        path=peer.ready,
        env={**OFFLINE, **peer.env, "PORT": str(port)},
    )


def make_ask(peer: Peer, port: int, mock: Mock, mock_port: int, *, stream: bool) -> Ask:
    """The request that a peer at ``port`` is asked."""
    body = make_body(mock.name, "openai", stream=stream)
    path, headers = peer.ask(mock, mock_port, body)
    return Ask(port, path, body, (("Authorization", f"Bearer {KEY}"), *headers))


def wait_routed(peer: Peer, port: int, mocks: Sequence[Mock], ports: Mapping[str, int]) -> None:
    """Wait until a peer sends what is for each mock to that mock: some look for models after they are ready.

    Raises:
        BenchError: it does not within half a minute; the text says what it answered.
    """
    end = time.monotonic() + _ROUTED_S
    for mock in mocks:
        ask = make_ask(peer, port, mock, ports[mock.name], stream=False)
        while True:
            try:
                check(ask, mock, whole=True)
                break
            except (BenchError, OSError, http.client.HTTPException) as error:
                if time.monotonic() > end:
                    raise BenchError(f"it does not answer for {mock.name}: {error}") from error
            time.sleep(0.2)


# ------------------------------------------------------------------------------------------------- Olla


def _find_olla(named: Path | None) -> Installed:
    program = str(named.resolve()) if named else shutil.which("olla")
    if program is None or not Path(program).exists():
        raise BenchError("no olla on the PATH; install its Go module, or name the program: --olla PATH")
    return Installed(_version_of(program), (program,))


def _version_of(program: str) -> str:
    """What a program says of its version, if it can be made out."""
    try:
        done = subprocess.run((program, "--version"), capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "version unknown"
    found = re.search(r"\bv?\d+\.\d+\.\d+[\w.+-]*", done.stdout + done.stderr)
    return found[0] if found else "version unknown"


def _configure_olla(folder: Path, port: int, mocks: Mapping[str, int]) -> Sequence[str]:
    endpoints = [
        {
            "url": f"http://127.0.0.1:{mock_port}",
            "name": name,
            "type": "openai-compatible",
            "priority": 100,
            "model_url": "/v1/models",
            "health_check_url": "/v1/models",
            "check_interval": "30s",
            "check_timeout": "5s",
        }
        for name, mock_port in mocks.items()
    ]
    unlimited = dict.fromkeys(
        ("global_requests_per_minute", "per_ip_requests_per_minute", "health_requests_per_minute"), 0
    )
    config = {
        "server": {
            "host": "127.0.0.1",
            "port": port,
            "request_logging": False,
            "rate_limits": unlimited,
            "write_timeout": "0s",
        },
        "proxy": {"engine": "olla", "profile": "auto", "load_balancer": "least-connections"},
        "discovery": {"type": "static", "refresh_interval": "5m", "static": {"endpoints": endpoints}},
        "logging": {"level": "error", "format": "json", "output": "stdout"},
        "engineering": {"show_nerdstats": False},
    }
    path = folder / "config.yaml"
    path.write_text(json.dumps(config))  # JSON is YAML
    return ("--config", str(path))


def _ask_olla(mock: Mock, port: int, body: bytes) -> tuple[str, tuple[tuple[str, str], ...]]:
    return "/olla/openai" + PATHS["openai"], ()


# ---------------------------------------------------------------------------------------------- LiteLLM


def _install_litellm(named: Path | None) -> Installed:
    programs = installing.install_python(installing.FOLDER / "litellm", "litellm[proxy]", LITELLM)
    return Installed(LITELLM, (str(programs / "litellm"),))


def _configure_litellm(folder: Path, port: int, mocks: Mapping[str, int]) -> Sequence[str]:
    models = [
        {
            "model_name": name,
            "litellm_params": {
                "model": "openai/bench",
                "api_base": f"http://127.0.0.1:{mock_port}/v1",
                "api_key": "none",
            },
        }
        for name, mock_port in mocks.items()
    ]
    path = folder / "config.yaml"
    path.write_text(json.dumps({"model_list": models, "general_settings": {"master_key": KEY}}))
    return ("--config", str(path), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1")


def _ask_directly(mock: Mock, port: int, body: bytes) -> tuple[str, tuple[tuple[str, str], ...]]:
    return PATHS["openai"], ()


# ---------------------------------------------------------------------------------------------- Portkey


def _install_portkey(named: Path | None) -> Installed:
    node = shutil.which("node")
    if node is None:
        raise BenchError("node is not installed (Debian: apt install nodejs)")
    package = installing.install_node(installing.FOLDER / "portkey", "@portkey-ai/gateway", PORTKEY)
    return Installed(PORTKEY, (node, str(package / "build" / "start-server.js")))


def _configure_portkey(folder: Path, port: int, mocks: Mapping[str, int]) -> Sequence[str]:
    return (f"--port={port}", "--headless")


def _ask_portkey(mock: Mock, port: int, body: bytes) -> tuple[str, tuple[tuple[str, str], ...]]:
    host = f"http://127.0.0.1:{port}/v1"
    return PATHS["openai"], (("x-portkey-provider", "openai"), ("x-portkey-custom-host", host))


PEERS: Final = (
    Peer(
        "olla",
        "routes by model over health-checked endpoints; no keys, no usage kept",
        _find_olla,
        _configure_olla,
        "/internal/health",
        _ask_olla,
    ),
    Peer(
        "litellm",
        "one key checked, routes by model, counts tokens and cost; no database",
        _install_litellm,
        _configure_litellm,
        "/health/liveliness",
        _ask_directly,
        {"LITELLM_LOG": "ERROR", "REPEATED_STREAMING_CHUNK_LIMIT": "1000000000"},
    ),
    Peer(
        "portkey",
        "goes where headers say; no keys, no usage kept",
        _install_portkey,
        _configure_portkey,
        "/",
        _ask_portkey,
        {"NODE_ENV": "production"},
    ),
)
