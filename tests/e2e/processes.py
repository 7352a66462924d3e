"""A gateway in a process of its own, with a ledger, in front of one mock upstream."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

from tests.e2e.conftest import KEY, STEADY, poll
from trunkline_mock import MockUpstream


class Process(NamedTuple):
    """A gateway process."""

    popen: subprocess.Popen[bytes]
    port: int
    folder: Path

    def log(self) -> str:
        return (self.folder / "gateway.log").read_text()


@contextmanager
def running(folder: Path, mock: MockUpstream, port: int, **env: str) -> Iterator[Process]:
    """``trunkline serve`` on a port, from when it answers; killed at the end if it still runs."""
    (folder / "trunkline.yaml").write_text(
        f"providers: {{up: {{type: openai-compatible, url: '{mock.base_url}', local: false}}}}\n"
        "prices: {'up/*': {input: 3, output: 7}}\n"
        "budgets: [{usd: 1000, per: day}]\n"
        "ollama_enabled: false\n"
    )
    environment = os.environ | STEADY | {"PORT": str(port), "HOST": "127.0.0.1", "ALLOWED_API_KEYS": KEY}
    with (folder / "gateway.log").open("ab") as out:
        popen = subprocess.Popen(
            [sys.executable, "-m", "trunkline", "serve"],
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment | env,
        )
    process = Process(popen, port, folder)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            poll(lambda: popen.poll() is not None or _answers(client))
        assert popen.poll() is None, process.log()
        yield process
    finally:
        popen.kill()
        popen.wait()


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/health/ready").status_code == 200
    except httpx.HTTPError:
        return False
