"""The composition root: everything that a running gateway is made of, put together from the settings once.

Nothing is looked up globally; whoever needs a part is handed it. ``start`` and ``aclose`` bracket a life.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from functools import partial
from typing import Final

import structlog

from trunkline import __version__
from trunkline.errors import MODEL_NOT_FOUND, CallerError
from trunkline.ledger.reader import KeyReader
from trunkline.observe.log import AccessLog
from trunkline.observe.metrics import Metrics
from trunkline.pipeline import FIRST_LOOK_S, Patience, Pipeline
from trunkline.policy.auth import KeyRing
from trunkline.policy.filters import ModelFilter
from trunkline.providers.base import Provider
from trunkline.providers.build import build_providers
from trunkline.routing.catalog import Catalog
from trunkline.routing.live import Breaker
from trunkline.routing.pools import Choice
from trunkline.routing.resolve import RouteRule, Rules
from trunkline.routing.router import Router
from trunkline.server.admit import Admission, RequestIds
from trunkline.server.calls import Door, Held
from trunkline.server.errands import Errand
from trunkline.server.records import Recorder
from trunkline.server.routes import Routes
from trunkline.settings import Exposure, ProviderConfig, Settings, resolve_providers

KEY_REFRESH_S: Final = 1.0
"""Seconds between two looks at the key store: a revoked key is dead within two of them."""

log: Final = structlog.stdlib.get_logger(__name__)


class Gateway:
    """One configured gateway."""

    def __init__(self, settings: Settings, where: Exposure, keys: KeyReader | None = None) -> None:
        """``keys`` is the key store; without it only the settings' keys count.

        Raises:
            SettingsError: a provider cannot be made, or the models filter cannot be read.
        """
        self.settings = settings
        self.where = where
        self.version = __version__
        self.stopping = False
        self.providers: dict[str, Provider] = build_providers(settings)
        configured = resolve_providers(settings)
        allows = None if settings.models_filter is None else ModelFilter.load(settings.models_filter).allows
        self.catalog = Catalog(
            self.providers,
            static={name: config.models for name, config in configured.items()},
            allows=allows,
        )
        breaker = partial(Breaker, settings.breaker_failures, settings.breaker_recovery_s)
        self.router = Router(self.providers, self.catalog, _rules(settings, configured), breaker)
        self._key_source = keys
        self.key_ring = KeyRing(settings.api_keys, keys.load() if keys is not None else (), settings.keys)
        self.metrics = Metrics()
        self.access_log = AccessLog(level=settings.log_level, log_format=settings.log_format)
        self.recorder = Recorder(self.metrics, self.access_log)
        patience = Patience(settings.retry_deadline_s, settings.queue_limit, settings.queue_timeout_s)
        self.pipeline = Pipeline(self.router, [self.recorder.observe], patience)
        self.request_ids = RequestIds()
        self.admission = Admission(
            settings, self.key_ring, required=where.auth_required, open_network=where.open_network
        )
        self.started_at = time.time()
        self.errands: set[Errand] = set()
        self.routes = Routes(self.providers, metrics_public=settings.metrics_public)
        self.door = Door(self)
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin discovery and the watch over the key store."""
        self.recorder.start(asyncio.get_running_loop())
        self.access_log.start(asyncio.get_running_loop())
        self.catalog.start(self.settings.model_refresh_interval_s, self._health_intervals())
        if self._key_source is not None:
            self._keeper = asyncio.get_running_loop().create_task(self._keep_keys(self._key_source))

    def _health_intervals(self) -> dict[str, float]:
        """How often Ollama's servers are looked at: their list of models is their health check."""
        if not self.settings.ollama_auto_health_check:
            return {}
        pace = self.settings.ollama_health_check_interval
        return {name: pace for name, provider in self.providers.items() if provider.loads_models}

    async def _keep_keys(self, source: KeyReader) -> None:
        while True:
            await asyncio.sleep(KEY_REFRESH_S)
            try:
                if source.blocking:
                    await asyncio.to_thread(self._read_keys, source)
                else:
                    self._read_keys(source)
            except Exception as error:  # the store is away: what was read last still holds
                log.error("the key store cannot be read", reason=type(error).__name__)

    def _read_keys(self, source: KeyReader) -> None:
        if source.changed():
            self.key_ring.replace(source.load())

    async def find(self, model: str, only: str | None = None) -> list[Choice]:
        """Where ``model`` is, in the order in which it would be asked for.

        Raises:
            CallerError: nobody has it, or it may not be used.
        """
        await self.settle()
        try:
            return list(self.router.pool(model, None, only))
        except CallerError as error:
            if error.kind is not MODEL_NOT_FOUND or not await self.catalog.look_again():
                raise
            return list(self.router.pool(model, None, only))

    async def settle(self) -> None:
        """Wait a moment for the first look at the providers, if that is not over yet."""
        if not self.catalog.settled:
            await self.catalog.settle(FIRST_LOOK_S)

    def host_of(self, provider: str) -> str:
        """Where a provider's models are, for clients to show: its address, or its type where it has none."""
        first = self.providers[provider]
        url = first.upstreams[0].url
        return url or f"{first.kind}:{provider}"

    async def aclose(self) -> None:
        """End what is running and close what is open."""
        self.stopping = True
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._key_source is not None:
            self._key_source.close()
        await self.catalog.aclose()
        self.pipeline.close()
        under_way: list[Held] = [*self.pipeline.active, *self.errands]
        for each in under_way:
            each.disconnected()
        for provider in self.providers.values():
            await provider.aclose()
        self.recorder.close()
        self.access_log.close()


def _rules(settings: Settings, providers: Mapping[str, ProviderConfig]) -> Rules:
    return Rules(
        preferred=settings.preferred_provider,
        fallback=settings.enable_fallback,
        default_model=settings.ollama_default_model,
        aliases=settings.aliases,
        routes={
            name: RouteRule(
                [(each.provider, each.model, each.weight, each.priority) for each in route.targets],
                route.strategy,
                route.local_only,
            )
            for name, route in settings.routes.items()
        },
        strategies={name: config.strategy for name, config in providers.items()},
        model_limits={
            pattern.lower(): defaults.max_concurrent
            for pattern, defaults in settings.models.items()
            if defaults.max_concurrent is not None
        },
    )
