"""A gateway in front of two Ollama servers and OpenRouter, with an admin's key, for Ollama's own clients."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.e2e.conftest import KEY, World, gateway
from trunkline_mock import MockUpstream, Script

LOCAL = "llama3.2"
"""A model of both servers."""
CLOUD = "openai/gpt-4o"
"""A model of OpenRouter."""
MODELS = (LOCAL, CLOUD)


class Fleet(NamedTuple):
    """The gateway and who stands behind it."""

    world: World
    admin: str
    """An admin's key."""

    @property
    def url(self) -> str:
        return self.world.url

    @property
    def servers(self) -> list[MockUpstream]:
        """The Ollama servers."""
        return [self.world.mocks["one"], self.world.mocks["two"]]

    @property
    def cloud(self) -> MockUpstream:
        """OpenRouter."""
        return self.world.mocks["openrouter"]

    @property
    def member(self) -> str:
        """A key that may use models and no more."""
        return KEY

    @contextmanager
    def saying(self, **script: object) -> Iterator[None]:
        """Every upstream answers by this script."""
        before = {name: mock.script for name, mock in self.world.mocks.items()}
        for mock in self.world.mocks.values():
            mock.script = Script(**script)  # type: ignore[arg-type]
        try:
            yield
        finally:
            for name, mock in self.world.mocks.items():
                mock.script = before[name]

    @contextmanager
    def watching(self, model: str) -> Iterator[list[Any]]:
        """The bodies of the requests for answers that the upstreams of ``model`` get meanwhile; filled when
        the block is left."""
        mocks = [self.cloud] if model == CLOUD else self.servers
        before = [len(mock.calls) for mock in mocks]
        seen: list[Any] = []
        yield seen
        for mock, count in zip(mocks, before, strict=True):
            seen += [call.json for call in mock.calls[count:] if call.inference]


@contextmanager
def running_fleet(folder: Path, fast: str) -> Iterator[Fleet]:
    """The fleet, from when the gateway is ready."""
    store = f"sqlite:///{folder / 'keys.db'}"
    made = subprocess.run(
        [sys.executable, "-m", "trunkline", "keys", "create", "admin", "--role", "admin"],
        cwd=folder,
        env={"DATABASE_URL": store, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=True,
        text=True,
    )
    with ExitStack() as stack:
        mocks = {
            "one": stack.enter_context(MockUpstream.in_thread("ollama")),
            "two": stack.enter_context(MockUpstream.in_thread("ollama")),
            "openrouter": stack.enter_context(MockUpstream.in_thread("openrouter")),
        }
        config = f"""
ollama_base_url: {mocks["one"].base_url},{mocks["two"].base_url}
openrouter_api_key: sk-planted
openrouter_base_url: {mocks["openrouter"].base_url}
allow_key_in_path: true
"""
        world = stack.enter_context(gateway(folder, config, mocks, FAST_HTTP=fast, DATABASE_URL=store))
        yield Fleet(world, made.stdout.strip())
