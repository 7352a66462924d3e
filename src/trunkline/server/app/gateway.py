"""The composition root: everything that a running gateway is made of, put together from the settings once.

Nothing is looked up globally; whoever needs a part is handed it. ``start`` and ``aclose`` bracket a life.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from typing import TYPE_CHECKING, Final

import structlog

from trunkline import __version__
from trunkline.errors import MODEL_NOT_FOUND, CallerError
from trunkline.ledger.policies import MICROS, Policies
from trunkline.ledger.reader import PolicyReader
from trunkline.ledger.writer import Ledger
from trunkline.observe.log import AccessLog
from trunkline.observe.metrics import BudgetState, Gauges, LedgerState, Metrics, UpstreamGauge
from trunkline.observe.traces import Tracer
from trunkline.pipeline.cache import AnswerCache, AnswerStore, MemoryStore
from trunkline.pipeline.pipeline import FIRST_LOOK_S, Pipeline
from trunkline.policy.auth import KeyRing
from trunkline.policy.guard import Guard, Spending
from trunkline.policy.leases import LeasedCounters
from trunkline.policy.prices import preload
from trunkline.policy.rules import CounterRule
from trunkline.routing.candidates import Candidate
from trunkline.server.accounting.recorder import Recorder
from trunkline.server.app.policy_config import Charge, Warnings, period, price_book, rulebook
from trunkline.server.app.reload import Reloader
from trunkline.server.app.wiring import Registry, Wiring
from trunkline.server.endpoints.stored_responses import Responses
from trunkline.server.http.admission import Admission, RequestIds
from trunkline.server.http.async_handler import AsyncHandler
from trunkline.server.http.dispatcher import Cancellable, Dispatcher
from trunkline.server.redis.cache import RedisAnswers, cache_rule
from trunkline.server.redis.limits import RedisLeases
from trunkline.settings import Exposure, Settings
from trunkline.transport import Client

if TYPE_CHECKING:
    from trunkline.ledger.store import Store

RETIRE_S: Final = 0.5
"""Seconds between two looks whether the requests of an old configuration have ended."""

BEAT_S: Final = 10.0
"""Seconds of silence in a stream after which clients that may give up hear a word."""

KEY_REFRESH_S: Final = 1.0
"""Seconds between two looks at the key store: a revoked key is dead within two of them."""

log: Final = structlog.stdlib.get_logger(__name__)


class Gateway:
    """One configured gateway."""

    def __init__(
        self,
        settings: Settings,
        where: Exposure,
        keys: PolicyReader | None = None,
        registry: Registry | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        """``keys`` reads the store's keys, teams, limits and budgets; without it only the settings' count.
        ``registry`` holds providers that a program has made. Without a ``ledger`` usage is not written down.

        Raises:
            SettingsError: a provider cannot be made, the models filter cannot be read, or what traces need
                is not installed.
        """
        self.where = where
        self.version = __version__
        self.started_at = time.time()
        self.stopping = False
        self._client = Client()
        self._key_source = keys
        self.policies = Policies() if keys is None else keys.load()
        self.key_ring = KeyRing(settings.api_keys, self.policies.keys, settings.keys, self.policies.teams)
        self.ledger = ledger
        self.metrics = Metrics(self._present)
        self.access_log = AccessLog(level=settings.log_level, log_format=settings.log_format)
        self.tracer = None
        if settings.otel_endpoint is not None:
            self.tracer = Tracer(settings.otel_endpoint, __version__)
        self.recorder = Recorder(self.metrics, self.access_log, ledger, self.tracer)
        self.request_ids = RequestIds()
        self.handlers: set[AsyncHandler] = set()
        self._registry = registry
        self.wiring = Wiring(settings, self._client, registry=registry)
        self._spent = None
        if ledger is not None:
            self._spent = Charge(settings.database_url.get_secret_value(), ledger)
        self._store: Store | None = None
        self._sharing, self._leases = _share(settings, self._spent)
        self._warnings = Warnings(None if self._sharing is None else self._sharing.is_first)
        self.guard = Guard(
            price_book(self.wiring),
            make_counter=None if self._sharing is None else self._sharing.make_counter,
            read_spent=self._spent,
            find_period=period,
            on_warning=self._warnings,
        )
        self.cache = AnswerCache(_answers(settings), time.time)
        self.pipeline = Pipeline(
            self.wiring.router, [self.recorder.observe], self.wiring.patience, self.guard, self.cache
        )
        self.responses = Responses(_answers(settings), self.pipeline, settings.responses)
        self.dispatcher = Dispatcher(self)
        self._take(self.wiring)
        self.reloader: Reloader | None = None
        """Takes over changed settings, where whoever started the gateway has said how to read them."""
        self._keepers: list[asyncio.Task[None]] = []
        self._retiring: set[asyncio.Task[None]] = set()

    def _take(self, wiring: Wiring) -> None:
        """From the next request on, this configuration."""
        self.wiring = wiring
        self.settings = wiring.settings
        self.providers = wiring.providers
        self.catalog = wiring.catalog
        self.router = wiring.router
        self.routes = wiring.routes
        self.admission = Admission(
            wiring.settings,
            self.key_ring,
            required=self.where.auth_required,
            open_network=self.where.open_network,
        )
        self.guard.reconfigure(
            rulebook(wiring.settings, self.policies), price_book(wiring), wiring.settings.budget_max_tokens
        )
        self.cache.reconfigure(cache_rule(wiring.settings))
        self.responses.reconfigure(wiring.settings.responses)
        self.pipeline.reconfigure(wiring.router, wiring.patience)
        self.dispatcher.reconfigure()

    async def start(self) -> None:
        """Begin discovery and the watch over the key store."""
        if self.tracer is not None:
            self.tracer.start()
        self.recorder.start(asyncio.get_running_loop())
        self.access_log.start(asyncio.get_running_loop())
        self.wiring.start()
        preload(provider.kind for provider in self.providers.values())
        if self.ledger is not None:
            self.ledger.start()
        if self._leases is not None and self._sharing is not None:
            self._leases.start(self._sharing)
        if self.reloader is not None:
            self.reloader.start()
        loop = asyncio.get_running_loop()
        self._keepers.append(loop.create_task(self._keep_awake()))
        if self._key_source is not None:
            self._keepers.append(loop.create_task(self._keep_keys(self._key_source)))

    async def reconfigure(self, settings: Settings) -> None:
        """Take over other settings, without a moment in which a request would find neither the old nor the
        new.

        Raises:
            SettingsError: they cannot be served; nothing has changed.
        """
        before = self.wiring
        wiring = Wiring(settings, self._client, before, self._registry)
        wiring.start()
        await wiring.catalog.wait_until_discovered(FIRST_LOOK_S)
        if self._key_source is not None:
            self.policies = await _load(self._key_source)
        stored = self.policies
        self.key_ring.reconfigure(settings.api_keys, stored.keys, settings.keys, stored.teams)
        self._take(wiring)
        await before.catalog.aclose()
        task = asyncio.get_running_loop().create_task(self._retire(before))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def _retire(self, before: Wiring) -> None:
        """Close the providers that are in use no more, once the requests that began with them have ended."""
        kept = {id(provider) for provider in self.providers.values()}
        leaving = [each for each in before.providers.values() if id(each) not in kept]
        under_way: set[Cancellable] = {*self.pipeline.active, *self.handlers}
        while not under_way.isdisjoint({*self.pipeline.active, *self.handlers}):  # noqa: ASYNC110
            await asyncio.sleep(RETIRE_S)
        for provider in leaving:
            await provider.aclose()

    async def _keep_keys(self, source: PolicyReader) -> None:
        while True:
            await asyncio.sleep(KEY_REFRESH_S)
            try:
                found = await asyncio.to_thread(_look, source) if source.blocking else _look(source)
                if found is not None:
                    self.take_policies(found)
            except Exception as error:  # the store is away: what was read last still holds
                log.error("the key store cannot be read", reason=type(error).__name__)

    async def _keep_awake(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            for call in list(self.pipeline.active):
                call.beat()

    async def look_at_policies(self) -> None:
        """Read the store's policies now: somebody has changed them here."""
        if self._key_source is not None:
            self.take_policies(await _load(self._key_source))

    def store(self) -> Store:
        """The database, opened when it is first asked for. Slow: for threads.

        Raises:
            StoreError: it cannot be opened.
        """
        from trunkline.ledger.store import Store

        if self._store is None:
            self._store = Store(self.settings.database_url.get_secret_value())
        return self._store

    def take_policies(self, found: Policies) -> None:
        """From the next request on, these keys, teams, limits and budgets of the store."""
        self.policies = found
        self.key_ring.replace(found.keys, found.teams)
        settings = self.settings
        self.guard.reconfigure(rulebook(settings, found), self.guard.prices, settings.budget_max_tokens)

    def _present(self) -> Gauges:
        now = time.perf_counter()
        return Gauges(
            self.pipeline.queue.depth,
            [
                UpstreamGauge(name, upstream.name, state.breaker.state(now), state.gate.in_flight)
                for name, provider in self.providers.items()
                for upstream, state in self.router.states(provider)
            ],
            [_budget_state(each) for each in self.guard.spendings()],
            LedgerState()
            if self.ledger is None
            else LedgerState(self.ledger.waiting, self.ledger.lost, self.ledger.away),
        )

    async def find(self, model: str, only: str | None = None) -> list[Candidate]:
        """Where ``model`` is, in the order in which it would be asked for.

        Raises:
            CallerError: nobody has it, or it may not be used.
        """
        await self.settle()
        try:
            return list(self.router.pool(model, None, only))
        except CallerError as error:
            if error.kind is not MODEL_NOT_FOUND or not await self.catalog.rediscover_local():
                raise
            return list(self.router.pool(model, None, only))

    async def settle(self) -> None:
        """Wait a moment for the first look at the providers, if that is not over yet."""
        if not self.catalog.discovered:
            await self.catalog.wait_until_discovered(FIRST_LOOK_S)

    def host_of(self, provider: str) -> str:
        """Where a provider's models are, for clients to show: its address, or its type where it has none."""
        first = self.providers[provider]
        url = first.upstreams[0].url
        return url or f"{first.kind}:{provider}"

    async def aclose(self) -> None:
        """End what is running and close what is open."""
        self.stopping = True
        await _end(self._keepers)
        if self._key_source is not None:
            self._key_source.close()
        if self.reloader is not None:
            await self.reloader.aclose()
        await _end(self._retiring)
        await self.catalog.aclose()
        self.pipeline.close()
        under_way: list[Cancellable] = [*self.pipeline.active, *self.handlers]
        for each in under_way:
            each.disconnected()
        for provider in self.providers.values():
            await provider.aclose()
        await self._client.aclose()
        self.recorder.close()
        await self._warnings.aclose()
        await self._close_stores()
        self.access_log.close()

    async def _close_stores(self) -> None:
        """Send or write what is still to be kept, and close whatever keeps it."""
        if self.tracer is not None:
            await asyncio.to_thread(self.tracer.close)
        if self.ledger is not None:
            await asyncio.to_thread(self.ledger.close)
        if self._leases is not None and self._sharing is not None:
            await self._leases.aclose(self._sharing)
        if self._spent is not None:
            self._spent.close()
        if self._store is not None:
            self._store.close()
        for answers in (self.cache.answers, self.responses.answers):
            if isinstance(answers, RedisAnswers):
                await answers.aclose()


async def _end(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel tasks, and wait until they are over."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _budget_state(spending: Spending) -> BudgetState:
    mark, rule, spent, *_ = spending
    unit = MICROS if rule.unit == "usd" else 1
    return BudgetState(mark.scope, mark.subject, rule.unit, rule.per, rule.amount / unit, spent / unit)


def _share(settings: Settings, spent: Charge | None) -> tuple[LeasedCounters | None, RedisLeases | None]:
    """What shares limits and budgets with other nodes, where Redis is configured."""
    if settings.redis_url is None:
        return None, None

    async def before(marked: CounterRule, since: int) -> int:
        return 0 if spent is None else await spent(marked.counter_key, since)

    leases = RedisLeases(settings.redis_url.get_secret_value(), settings.redis_prefix)
    closed, share = settings.redis_loss == "closed", settings.redis_local_share
    return LeasedCounters(leases, period, before, fail_closed=closed, local_share=share), leases


def _answers(settings: Settings) -> AnswerStore:
    """Where answers are kept: all nodes share them, where Redis is configured."""
    if settings.redis_url is None:
        return MemoryStore(settings.cache.max_bytes)
    return RedisAnswers(settings.redis_url.get_secret_value(), settings.redis_prefix)


def _look(source: PolicyReader) -> Policies | None:
    """The store's policies, if they have changed."""
    return source.load() if source.changed() else None


async def _load(source: PolicyReader) -> Policies:
    """The store's policies, without holding up the loop where that takes time."""
    return await asyncio.to_thread(source.load) if source.blocking else source.load()
