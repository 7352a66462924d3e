"""Pulls of models that a request asks for and no server has, as OLLAMA_AUTO_PULL allows.

There is one pull of a model at a time, for everybody who asks for it. It goes on when they have left.
"""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Final

import structlog

from trunkline.errors import (
    MODEL_NOT_FOUND,
    MODEL_PULL_FAILED,
    CallerError,
    GatewayError,
    ProviderError,
    redact,
)
from trunkline.providers.ollama import OllamaServer
from trunkline.routing import names
from trunkline.server.endpoints.ollama import fleet
from trunkline.server.endpoints.ollama.fleet import ManagedFleet

log: Final = structlog.stdlib.get_logger(__name__)

FAILED_S: Final = 10.0
"""Seconds for which a failed pull is not tried again: clients repeat what fails."""
AT_ONCE: Final = 3
"""The maximum number of models that are pulled at the same time; more wait."""
_UNKNOWN: Final = ("file does not exist", "not found", "manifest unknown")
_NO_ROOM: Final = ("no space left", "not enough space", "disk is full", "disk quota")


class AutoPull:
    """The pulls that requests have caused; satisfies ``pipeline.ModelPuller``."""

    def __init__(
        self, find_fleet: Callable[[], ManagedFleet], now: Callable[[], float] = time.monotonic
    ) -> None:
        """``find_fleet`` returns the fleet of the current configuration."""
        self._find_fleet = find_fleet
        self._now = now
        self._running: dict[tuple[str, str], asyncio.Task[GatewayError | None]] = {}
        self._failed: dict[tuple[str, str], tuple[float, GatewayError]] = {}
        self._at_servers: set[asyncio.Task[GatewayError | None]] = set()
        self._turns = asyncio.Semaphore(AT_ONCE)

    def pull(self, provider: str, model: str) -> asyncio.Future[GatewayError | None]:
        """Have a model pulled, or join a pull of it. The result is None, or why it has failed.

        Args:
            provider: the name of an Ollama provider.
            model: the model's name there.
        """
        key = provider, names.tagged(model.lower())
        running = self._running.get(key)
        if running is not None:
            return running
        loop = asyncio.get_running_loop()
        self._failed = {
            each: failed for each, failed in self._failed.items() if self._now() - failed[0] < FAILED_S
        }
        if key in self._failed:
            done: asyncio.Future[GatewayError | None] = loop.create_future()
            done.set_result(copy.copy(self._failed[key][1]))
            return done
        task = self._running[key] = loop.create_task(self._pull(key, model))
        return task

    async def _pull(self, key: tuple[str, str], model: str) -> GatewayError | None:
        provider = key[0]
        try:
            async with self._turns:
                error = await self._pull_at_servers(provider, model)
        except GatewayError as failure:
            error = failure
        finally:
            del self._running[key]
        if error is not None:
            self._failed[key] = self._now(), error
            log.warning(
                "a model could not be pulled", provider=provider, model=redact(model), reason=error.message
            )
        return error

    async def _pull_at_servers(self, provider: str, model: str) -> GatewayError | None:
        """Pull at the servers that OLLAMA_MANAGE names, until one has the model. The others go on."""
        services = self._find_fleet()
        servers = fleet.servers_of(services, provider, None)
        await fleet.refresh(services, servers)
        if services.catalog.listings[provider].find(model) is not None:
            return None  # it was made in the meantime
        servers = self._select(services, servers)
        log.info(
            "pulling a model",
            provider=provider,
            model=redact(model),
            upstreams=[each.name for each in servers],
        )
        pending = {asyncio.ensure_future(_pull_at(server, model)) for server in servers}
        self._at_servers |= pending
        for task in pending:
            task.add_done_callback(self._at_servers.discard)
        failure: GatewayError | None = None
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            results = [task.result() for task in done]
            if None in results:
                log.info("a model was pulled", provider=provider, model=redact(model))
                await fleet.refresh(services, servers)
                return None
            failure = results[0]
        return failure

    def _select(self, services: ManagedFleet, servers: Sequence[OllamaServer]) -> list[OllamaServer]:
        try:
            selected, selection = fleet.select_servers(services, servers, None)
        except CallerError:  # the server that OLLAMA_MANAGE names is of another provider
            selected, selection = list(servers), fleet.ALL
        if selection != fleet.NAMED:
            selected = fleet.answering(services, selected)
        return fleet.emptiest(services, selected) if selection == fleet.EMPTIEST else selected

    async def aclose(self) -> None:
        """Stop all pulls."""
        tasks = [*self._running.values(), *self._at_servers]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pull_at(server: OllamaServer, model: str) -> GatewayError | None:
    """Pull at one server. Returns why it failed, in the words of somebody who has not asked for a pull."""
    try:
        async with aclosing(server.progress("/api/pull", {"model": model})) as lines:
            async for _ in lines:
                pass
    except CallerError as error:
        return error
    except GatewayError as error:
        return _explain(error, server, redact(model))
    return None


def _explain(error: GatewayError, server: OllamaServer, model: str) -> GatewayError:
    words, who = error.message, server.provider.name
    lower = words.lower()
    if any(mark in lower for mark in _UNKNOWN):
        text = f"Model '{model}' not found: it is neither here nor in Ollama's registry ({words})"
        return ProviderError(text, MODEL_NOT_FOUND, param="model", provider=who)
    if any(mark in lower for mark in _NO_ROOM):
        text = f"Model '{model}' cannot be pulled: the disk of {server.name} is full ({words})"
    else:
        text = f"Model '{model}' cannot be pulled at {server.name}: {words}"
    return ProviderError(text, MODEL_PULL_FAILED, param="model", provider=who, advice="false")
