"""The composition root: everything that a running gateway is made of, put together from the settings once.

Nothing is looked up globally: each part is handed what it needs. ``start`` begins a gateway's work,
``aclose`` ends it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from trunkline import __version__
from trunkline.ledger.locate import StoreError
from trunkline.ledger.policies import Policies
from trunkline.ledger.reader import PolicyReader
from trunkline.ledger.writer import Ledger
from trunkline.observe.log import AccessLog
from trunkline.observe.metrics import Metrics
from trunkline.observe.traces import Tracer
from trunkline.pipeline.cache import AnswerCache
from trunkline.pipeline.pipeline import FIRST_LOOK_S, Pipeline
from trunkline.policy.auth import KeyRing
from trunkline.policy.guard import Guard
from trunkline.policy.prices import preload
from trunkline.providers import model_facts
from trunkline.server.accounting.recorder import Recorder
from trunkline.server.app.gauges import read_gauges
from trunkline.server.app.policy_config import BudgetWarnings, SpendingReader, period, price_book, rulebook
from trunkline.server.app.policy_watcher import PolicyWatcher
from trunkline.server.app.reload import Reloader
from trunkline.server.app.shared_state import (
    SharedCounters,
    make_answer_store,
    make_state_store,
    state_bounds,
)
from trunkline.server.app.wiring import Registry, Wiring
from trunkline.server.endpoints.ollama.auto_pull import AutoPull
from trunkline.server.endpoints.ollama.repairs import Repairs
from trunkline.server.endpoints.route_table import EndpointServices
from trunkline.server.endpoints.stored_responses import ResponseStore
from trunkline.server.endpoints.threads import MessageThreads
from trunkline.server.http.admission import Admission
from trunkline.server.http.async_handler import AsyncHandler
from trunkline.server.http.dispatcher import Cancellable, Dispatcher, RequestIds
from trunkline.server.redis.cache import RedisAnswers, cache_policy
from trunkline.settings import Exposure, Settings
from trunkline.transport import Client

if TYPE_CHECKING:
    from trunkline.ledger.store import Store

RETIRE_S: Final = 0.5
"""Seconds between two looks whether the requests of an old configuration have ended."""

LOOKS_PER_PING: Final = 8
"""How often the gateway looks for silent streams in the time after which these are sent a ping."""
LONGEST_PAUSE_S: Final = 2.0
"""The longest time between two such looks, in seconds."""


class Gateway:
    """One configured gateway."""

    def __init__(
        self,
        settings: Settings,
        exposure: Exposure,
        policy_reader: PolicyReader | None = None,
        registry: Registry | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        """Put a gateway together.

        Args:
            settings: all of them.
            exposure: where it listens, and whether keys are required.
            policy_reader: reads the store's keys, teams, limits and budgets; without it only those of the
                settings count.
            registry: providers that a program has made.
            ledger: where usage is written down, if it is.

        Raises:
            SettingsError: a provider cannot be made, the models filter cannot be read, or what traces need
                is not installed.
        """
        self.exposure = exposure
        self.version = __version__
        self.started_at = time.time()
        self.stopping = False
        self._client = Client()
        self._registry = registry
        self._policy_watcher = None if policy_reader is None else PolicyWatcher(policy_reader, self._apply)
        self._policies = Policies() if policy_reader is None else policy_reader.load()
        self.key_ring = KeyRing(settings.api_keys, self._policies.keys, settings.keys, self._policies.teams)
        self.ledger = ledger
        self.metrics = Metrics(lambda: read_gauges(self))
        self.access_log = AccessLog(level=settings.log_level, log_format=settings.log_format)
        self.tracer = None
        if settings.otel_endpoint is not None:
            self.tracer = Tracer(settings.otel_endpoint, __version__)
        self.recorder = Recorder(
            self.metrics, self.access_log, ledger, self.tracer, redact=self.key_ring.redact
        )
        self.request_ids = RequestIds(self.key_ring.redact)
        self.handlers: set[AsyncHandler] = set()
        self.repairs = Repairs(lambda: self)
        self.auto_pull = AutoPull(lambda: self)
        self.wiring = Wiring(settings, self._client, registry=registry)
        self._spending = None
        if ledger is not None:
            self._spending = SpendingReader(settings.database_url.get_secret_value(), ledger)
        self._store: Store | None = None
        self._shared: SharedCounters | None = None
        if settings.redis_url is not None:
            self._shared = SharedCounters(settings.redis_url.get_secret_value(), settings, self._spending)
        self._warnings = BudgetWarnings(None if self._shared is None else self._shared.counters.is_first)
        self.guard = Guard(
            price_book(self.wiring),
            make_counter=None if self._shared is None else self._shared.counters.make_counter,
            read_spent=self._spending,
            find_period=period,
            on_warning=self._warnings,
        )
        self.cache = AnswerCache(make_answer_store(settings), time.time)
        self.pipeline = Pipeline(
            self.wiring.router,
            [self.recorder.observe],
            self.wiring.pipeline_settings,
            self.guard,
            self.cache,
            self.auto_pull,
        )
        self._state = make_state_store(settings)
        self.responses = ResponseStore(self._state, self.pipeline)
        self.threads = MessageThreads(self._state, self.pipeline)
        self._use(self.wiring)
        endpoint_services: EndpointServices = self
        self.dispatcher = Dispatcher(self, endpoint_services)
        self.dispatcher.reconfigure()
        self.reloader: Reloader | None = None
        """Takes over changed settings. None where the gateway was started without a way to read them
        again."""
        self._pinger: asyncio.Task[None] | None = None
        self._retiring: set[asyncio.Task[None]] = set()

    def _use(self, wiring: Wiring) -> None:
        """Use this configuration from the next request on."""
        self.wiring = wiring
        self.settings = wiring.settings
        self.providers = wiring.providers
        self.catalog = wiring.catalog
        self.catalog.observers.append(self.repairs.on_answer)
        self.router = wiring.router
        self.routes = wiring.routes
        self.admission = Admission(
            wiring.settings,
            self.key_ring,
            required=self.exposure.auth_required,
            open_network=self.exposure.open_network,
        )
        self.guard.reconfigure(
            rulebook(wiring.settings, self._policies), price_book(wiring), wiring.settings.budget_max_tokens
        )
        self.cache.reconfigure(cache_policy(wiring.settings))
        self._state.resize(state_bounds(wiring.settings))
        self.responses.is_on = self.threads.is_on = wiring.settings.responses.store
        self.pipeline.reconfigure(wiring.router, wiring.pipeline_settings)

    def _apply(self, policies: Policies) -> None:
        """Use these keys, teams, limits and budgets of the store from the next request on."""
        self._policies = policies
        self.key_ring.replace(policies.keys, policies.teams)
        settings = self.settings
        self.guard.reconfigure(rulebook(settings, policies), self.guard.prices, settings.budget_max_tokens)

    async def refresh_policies(self) -> None:
        """Read the store's policies now, after a change through this gateway."""
        if self._policy_watcher is not None:
            await self._policy_watcher.refresh()

    def store(self) -> Store:
        """The database, opened at the first call. Slow: to be called in a thread.

        Raises:
            StoreError: it cannot be opened.
        """
        from trunkline.ledger.store import Store

        if self._store is None:  # a file that had keys and is missing is an accident: no new one is made
            url = self.settings.database_url.get_secret_value()
            self._store = Store(url, create=not self._policies.keys)
        return self._store

    async def start(self) -> None:
        """Begin discovery, the watch over the key store, and what else runs beside requests."""
        loop = asyncio.get_running_loop()
        if self.tracer is not None:
            self.tracer.start()
        self.recorder.start(loop)
        self.access_log.start(loop)
        self.wiring.start()
        preload(provider.kind for provider in self.providers.values())
        model_facts.preload(self.providers.values())
        if self.ledger is not None:
            self.ledger.start()
        if self._shared is not None:
            self._shared.start()
        if self.reloader is not None:
            self.reloader.start()
        self._pinger = loop.create_task(self._ping_silent_streams())
        if self._policy_watcher is not None:
            self._policy_watcher.start()

    async def _ping_silent_streams(self) -> None:
        while True:
            interval = self.settings.stream_keepalive_s
            await asyncio.sleep(min(interval / LOOKS_PER_PING, LONGEST_PAUSE_S) or LONGEST_PAUSE_S)
            if interval:
                now = time.perf_counter()
                for active in list(self.pipeline.active):
                    active.keep_alive(now, interval)
                for handler in list(self.handlers):
                    handler.keep_alive(now, interval)

    # Another configuration

    async def reconfigure(self, settings: Settings) -> None:
        """Go over to other settings. Every request finds either all of the old ones or all of the new ones.

        Raises:
            SettingsError: they cannot be served; nothing has changed.
        """
        before = self.wiring
        wiring = Wiring(settings, self._client, before, self._registry)
        wiring.start()
        await wiring.catalog.wait_until_discovered(FIRST_LOOK_S)
        if self._policy_watcher is not None:
            with suppress(StoreError):  # the watcher logs it; what was read last still holds
                self._policies = await self._policy_watcher.load()
        stored = self._policies
        self.key_ring.reconfigure(settings.api_keys, stored.keys, settings.keys, stored.teams)
        self._use(wiring)
        self.dispatcher.reconfigure()
        await before.catalog.aclose()
        task = asyncio.get_running_loop().create_task(self._retire(before))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def _retire(self, before: Wiring) -> None:
        """Close the providers no longer in use, once the requests that began with them have ended."""
        in_use = {id(provider) for provider in self.providers.values()}
        unused = [provider for provider in before.providers.values() if id(provider) not in in_use]
        under_way = self._under_way()
        while not under_way.isdisjoint(self._under_way()):  # noqa: ASYNC110
            await asyncio.sleep(RETIRE_S)
        for provider in unused:
            await provider.aclose()

    def _under_way(self) -> set[Cancellable]:
        return {*self.pipeline.active, *self.handlers}

    # The end

    async def aclose(self) -> None:
        """End what is running and close what is open."""
        self.stopping = True
        if self._pinger is not None:
            await _cancel([self._pinger])
        if self._policy_watcher is not None:
            await self._policy_watcher.aclose()
        if self.reloader is not None:
            await self.reloader.aclose()
        await _cancel(self._retiring)
        await self.catalog.aclose()
        await self.repairs.aclose()
        await self.auto_pull.aclose()
        self.pipeline.close()
        for request in self._under_way():
            request.stop()
        for provider in self.providers.values():
            await provider.aclose()
        await self._client.aclose()
        self.recorder.close()
        await self._warnings.aclose()
        await self._close_stores()
        self.access_log.close()

    async def _close_stores(self) -> None:
        """Send or write what still waits, and close where it goes."""
        if self.tracer is not None:
            await asyncio.to_thread(self.tracer.close)
        if self.ledger is not None:
            await asyncio.to_thread(self.ledger.close)
        if self._shared is not None:
            await self._shared.aclose()
        if self._spending is not None:
            self._spending.close()
        if self._store is not None:
            self._store.close()
        await self._state.aclose()
        if isinstance(self.cache.store, RedisAnswers):
            await self.cache.store.aclose()


async def _cancel(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel tasks, and wait until they are over."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
