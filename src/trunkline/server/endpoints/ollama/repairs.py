"""What servers of the fleet have missed while they were away, and are told when they answer again.

Everything is kept in memory and for a day: a server that has been away for longer may have been given another
purpose. Then, and when a server refuses, the log says what the difference is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import aclosing
from typing import Final

import structlog

from trunkline.errors import MODEL_NOT_FOUND, GatewayError
from trunkline.providers.ollama import OllamaServer
from trunkline.routing import names
from trunkline.server.endpoints.ollama.fleet import Command, Fleet, servers_of

log: Final = structlog.stdlib.get_logger(__name__)

MAX_KEPT: Final = 1000
"""The maximum number of commands that are kept, for all servers together."""
KEPT_S: Final = 24 * 3600.0
"""Seconds for which a command is kept."""
PROGRESS: Final = ("/api/pull", "/api/create")
"""Paths whose work is answered with lines of progress."""


class Repairs:
    """The commands that servers have missed."""

    def __init__(self, find_fleet: Callable[[], Fleet], now: Callable[[], float] = time.monotonic) -> None:
        """``find_fleet`` returns the fleet of the current configuration."""
        self._find_fleet = find_fleet
        self._now = now
        self._missed: dict[tuple[str, str], dict[str, tuple[Command, float]]] = {}
        """By provider and server, and by the model in its usual spelling: the last command for a model is the
        one that counts."""
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, servers: Iterable[OllamaServer], command: Command) -> None:
        """Keep a command for servers that do not answer."""
        for server in servers:
            log.warning(
                "a server has missed a command",
                provider=server.provider.name,
                upstream=server.name,
                path=command.path,
                model=command.model,
            )
            missed = self._missed.setdefault((server.provider.name, server.name), {})
            if sum(map(len, self._missed.values())) < MAX_KEPT:
                missed[_spelling(command.model)] = command, self._now()

    def forget(self, servers: Iterable[OllamaServer], model: str) -> None:
        """Drop what servers have missed for a model: they were given a newer command for it."""
        for server in servers:
            self._missed.get((server.provider.name, server.name), {}).pop(_spelling(model), None)

    def on_answer(self, provider: str, server: str) -> None:
        """A server answers: give it what it has missed, in the background."""
        missed = self._missed.pop((provider, server), None)
        if missed:
            task = asyncio.get_running_loop().create_task(self._catch_up(provider, server, missed))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _catch_up(self, provider: str, name: str, missed: dict[str, tuple[Command, float]]) -> None:
        fleet = self._find_fleet()
        server = next((each for each in servers_of(fleet, provider, None) if each.name == name), None)
        if server is None:
            return
        for command, at in missed.values():
            details = {"provider": provider, "upstream": name, "path": command.path, "model": command.model}
            if self._now() - at > KEPT_S:
                log.warning("a server differs from the fleet", **details, reason="it was away too long")
                continue
            try:
                await _give(server, command)
                log.info("a server has caught up", **details)
            except GatewayError as error:
                if command.method != "DELETE" or error.kind is not MODEL_NOT_FOUND:
                    log.warning("a server differs from the fleet", **details, reason=error.message)
        await fleet.catalog.refresh({provider})

    async def aclose(self) -> None:
        """Stop what is running."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _give(server: OllamaServer, command: Command) -> None:
    if command.path not in PROGRESS:
        await server.command(command.method, command.path, command.body)
        return
    async with aclosing(server.progress(command.path, command.body)) as lines:
        async for _ in lines:
            pass


def _spelling(model: str) -> str:
    return names.tagged(model.lower())
