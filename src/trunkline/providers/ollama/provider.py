"""Ollama servers, over their native API (not their /v1, which loses mid-stream errors).

It adds to a provider over HTTP what only Ollama has: models that must be loaded before they answer, a fleet
of equal servers, images that must be fetched for it, and error texts that its users know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

import msgspec

from trunkline.dialects.base import NO_DEFAULTS, Front, RequestDefaults, RequestSummary
from trunkline.dialects.ollama import OllamaBack
from trunkline.dialects.vendor_state import MadeState
from trunkline.errors import UPSTREAM_PROTOCOL, UPSTREAM_UNREACHABLE, GatewayError, ProviderError
from trunkline.exchange import Exchange
from trunkline.providers.base import ModelInfo, Upstream
from trunkline.providers.from_settings import client_for, headers_for, limits_for, read_settings_of
from trunkline.providers.http import HttpProvider, Rule
from trunkline.providers.images import ImageFetcher
from trunkline.providers.ollama import discovery
from trunkline.providers.ollama.discovery import ModelDetails, tagged
from trunkline.providers.thought_rules import maker_of
from trunkline.providers.time_limits import TimeLimitRules
from trunkline.providers.vendors import other_backs
from trunkline.transport import Client, Timeouts

_LOAD_TIMEOUT_S: Final = 300.0
_MAX_SHOW_REQUESTS: Final = 8
_SHOW_TIMEOUT_S: Final = 2.0
"""Seconds that discovery of one server waits for answers of ``/api/show``."""


class OllamaProvider(HttpProvider):
    """One Ollama server, or a fleet of them.

    As a library: ``await OllamaProvider().chat_completions(request)`` asks the server that the settings name,
    ``OllamaProvider(base_url="http://gpu1:11434")`` another one.
    """

    loads_models = True
    list_path = "/api/tags"

    def __init__(
        self,
        base_url: str | Sequence[str] | None = None,
        *,
        name: str = "ollama",
        client: Client | None = None,
        limits: TimeLimitRules | None = None,
        load_timeout: float | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        streaming: bool = True,
        images: ImageFetcher | None = None,
        rules: Sequence[Rule] = (),
        local: bool = True,
        speaks: Sequence[str] = (),
        made: MadeState | None = None,
        **more: Any,
    ) -> None:
        """What the settings of this process say is taken from them where it is left out: ``base_url`` (with
        the headers and the key of the section ``ollama``, if there is one), ``limits`` and
        ``load_timeout``. They are not read where the first two are given.

        ``load_timeout`` is how many more seconds a model that is known not to be loaded gets to its first
        byte; ``temperature`` and ``max_tokens`` fill what a request leaves open; ``images`` fetches images
        by URL, which are refused without it; ``speaks`` are dialects that the servers have besides their
        own (``anthropic`` from 0.14 on); ``made`` is what is known of who made which state; ``more`` is
        :class:`.WireProvider`'s.

        Raises:
            ValueError: an address is none.
            SettingsError: the settings are needed and invalid.
        """
        if base_url is None or limits is None:
            settings, config = read_settings_of("ollama")
            if base_url is None:
                base_url = config.addresses
                client = client or client_for(config, Client())
                key = next((key.get_secret_value() for key in config.api_key), None)
                more.setdefault("headers", headers_for(config, {}, key))
            limits = limits or limits_for("ollama", config, settings)
            load_timeout = load_timeout or settings.ollama_load_timeout
        urls = [base_url] if isinstance(base_url, str) else list(base_url)
        maker = maker_of(name, "ollama", made=made)
        own = [Rule("*", RequestDefaults(temperature=temperature, max_tokens=max_tokens))]
        super().__init__(
            name,
            "ollama",
            OllamaBack(maker),
            [url.rstrip("/") for url in urls],
            client=client or Client(),
            limits=limits,
            local=local,
            rules=[*(own if temperature is not None or max_tokens is not None else ()), *rules],
            streaming=streaming,
            other_backs=other_backs("Ollama", speaks, "/v1", maker=maker),
            made=made,
            images=images,
            **more,
        )
        self._has_credential = bool(more.get("headers"))
        self._load_timeout = load_timeout or _LOAD_TIMEOUT_S
        self._resident: dict[str, set[str]] = {}
        """Loaded models by upstream, according to the last ``/api/ps`` and later answers."""
        self._unload_tasks: set[asyncio.Task[None]] = set()
        self._details: dict[tuple[str, str], ModelDetails] = {}
        """Answers of ``/api/show``, by name and digest."""

    def exchange(
        self,
        front: Front,
        body: bytes,
        summary: RequestSummary,
        model: str,
        wanted: RequestDefaults = NO_DEFAULTS,
    ) -> Exchange:
        """As for other providers. A request that unloads a model unloads it at every server that has it."""
        if summary.load == "unload":
            self._unload(model)
        return super().exchange(front, body, summary, model, wanted)

    def timeouts_to_load(self, timeouts: Timeouts, exchange: Exchange, upstream: Upstream) -> Timeouts:
        """A model that is known not to be loaded gets more time to its first byte."""
        loaded = self._resident.get(upstream.name)
        model = tagged(exchange.upstream_model).lower()
        if loaded is None or model in loaded:
            return timeouts
        loaded.add(model)  # it is being loaded now; the next answer of /api/ps says whether it stayed
        names = timeouts.names
        return replace(
            timeouts,
            first_byte=timeouts.first_byte + self._load_timeout,
            names=names._replace(first_byte=f"{names.first_byte} + OLLAMA_LOAD_TIMEOUT".removeprefix(" + ")),
        )

    def attributed(self, error: GatewayError) -> GatewayError:
        """The error in the terms that Ollama's users know, with the command that helps."""
        if error.kind is UPSTREAM_UNREACHABLE and error.message.startswith("Connection refused to "):
            where = error.message.removeprefix("Connection refused to ")
            error.message = f"Connection refused to Ollama server {where}. Start it with `ollama serve`"
            error.provider = self.name
        error = super().attributed(error)
        if error.scope == "credential" and not self._has_credential:
            error.scope = "model"  # one of Ollama's cloud: the server itself asks for no key
        return error

    async def fetch_models(self, upstream: Upstream) -> list[ModelInfo]:
        """``GET /api/tags``, ``/api/ps`` for what is loaded, and ``/api/show`` of models not seen before."""
        items = discovery.entries(await self.get_json(upstream, self.list_path))
        if items is None:
            problem = ProviderError("Ollama sent a list of models that is none", UPSTREAM_PROTOCOL)
            raise self.attributed(problem)
        await self.refresh_loaded_models(upstream)
        await self._read_details(upstream, items)
        return [
            discovery.model_info(item, self._details.get(_details_key(item), ModelDetails()))
            for item in items
        ]

    def _unload(self, model: str) -> None:
        """Unload the model in the background at every server that holds it. The client is answered by one."""
        body = msgspec.json.encode({"model": model, "keep_alive": 0})
        for upstream in self.upstreams:
            if self.is_loaded(upstream, model):
                task = asyncio.ensure_future(self._try_json(upstream, "/api/generate", body))
                self._unload_tasks.add(task)
                task.add_done_callback(self._unload_tasks.discard)

    async def _try_json(self, upstream: Upstream, path: str, body: bytes) -> None:
        with suppress(GatewayError):
            await self.get_json(upstream, path, body)

    async def aclose(self) -> None:
        """Close what is open."""
        for task in self._unload_tasks:
            task.cancel()
        await super().aclose()

    async def refresh_loaded_models(self, upstream: Upstream) -> None:
        """``GET /api/ps``: which models are loaded there now."""
        try:
            running = discovery.entries(await self.get_json(upstream, "/api/ps"))
        except ProviderError:
            running = None  # servers before 0.1.33 have no /api/ps
        if running is None:
            self._resident.pop(upstream.name, None)
        else:
            self._resident[upstream.name] = {discovery.name_of(item).lower() for item in running}

    def is_loaded(self, upstream: Upstream, model: str) -> bool:
        """Whether the model is loaded at the upstream, as far as is known."""
        return tagged(model).lower() in self._resident.get(upstream.name, ())

    async def _read_details(self, upstream: Upstream, items: Sequence[dict[str, Any]]) -> None:
        """Ask ``/api/show`` for what ``/api/tags`` leaves out, once for each model and version of it. What is
        not answered soon is asked again at the next discovery."""
        incomplete = (item for item in items if discovery.is_incomplete(item))
        missing = [item for item in incomplete if _details_key(item) not in self._details]
        if not missing:
            return
        turns = asyncio.Semaphore(_MAX_SHOW_REQUESTS)

        async def read(item: dict[str, Any]) -> None:
            async with turns:
                asked = msgspec.json.encode({"model": discovery.name_of(item)})
                shown = await self.get_json(upstream, "/api/show", asked)
            self._details[_details_key(item)] = discovery.read_details(
                shown if isinstance(shown, dict) else {}
            )

        tasks = [asyncio.ensure_future(read(item)) for item in missing]
        try:
            await asyncio.wait(tasks, timeout=_SHOW_TIMEOUT_S)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _details_key(item: dict[str, Any]) -> tuple[str, str]:
    return discovery.name_of(item), str(item.get("digest"))
