"""Which provider has which models: what discovery found, kept in memory and refreshed in the background.

A look-up touches dictionaries only. When a provider stops answering, what it last said is kept and marked
stale; before it ever answered, its catalog is unknown, which is not the same as empty.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import structlog

from trunkline.errors import GatewayError
from trunkline.providers.base import ModelInfo, Provider
from trunkline.routing import names

log: Final = structlog.stdlib.get_logger(__name__)

Allows = Callable[[str, str, str], bool]
"""The models filter: short name, tagged name and full id → whether the model may be used."""


LOOK_AGAIN_S: Final = 5.0
"""Seconds between two looks that unknown names may cause."""


class Look(NamedTuple):
    """When an upstream was last asked what it has, and what went wrong."""

    at: float
    """Unix time."""
    error: str | None


class ModelListing:
    """One provider's models."""

    __slots__ = (
        "_by_short",
        "_by_spelling",
        "by_upstream",
        "known",
        "looks",
        "models",
        "stale",
    )

    def __init__(self) -> None:
        self.models: dict[str, ModelInfo] = {}
        """By id, all upstreams together."""
        self.by_upstream: dict[str, frozenset[str]] = {}
        """Ids in lower case by upstream, of those that answered."""
        self.known = False
        """Discovery has answered at least once, or the settings list the models."""
        self.stale = False
        """The last look failed; what is here is from an earlier one."""
        self.looks: dict[str, Look] = {}
        """The last look at each upstream, by its origin."""
        self._by_spelling: dict[str, ModelInfo] = {}
        self._by_short: dict[str, list[ModelInfo]] = {}

    def fill(self, found: Mapping[str, Sequence[ModelInfo]]) -> None:
        """Replace everything by what each upstream was found to have."""
        self.by_upstream = {
            upstream: frozenset(model.id.lower() for model in models) for upstream, models in found.items()
        }
        self.models = {model.id: model for models in found.values() for model in models}
        self._by_spelling = {}
        self._by_short = {}
        for model in sorted(self.models.values(), key=lambda model: model.id):
            for spelling in reversed(names.spellings(model.id)):
                self._by_spelling.setdefault(spelling, model)
            self._by_short.setdefault(names.short(model.id.lower()), []).append(model)
        for model in self.models.values():
            self._by_spelling[model.id.lower()] = model
        self.known = True
        self.stale = False

    def find(self, name: str) -> ModelInfo | None:
        """The model of that name: as it is, with or without ``:latest``, by its short name, or without what
        Ollama takes for granted in a full one."""
        for spelling in names.spellings(name):
            model = self._by_spelling.get(spelling)
            if model is not None:
                return model
        if "/" in name:
            shown = names.shown(name)
            return None if shown == name else self.find(shown)
        namesakes = self.namesakes(name)
        return namesakes[0] if namesakes else None

    def namesakes(self, name: str) -> list[ModelInfo]:
        """All models whose id ends in this short name, in the order of their ids."""
        for spelling in names.spellings(name):
            if spelling in self._by_short:
                return self._by_short[spelling]
        return []


class Catalog:
    """Every provider's shelf."""

    def __init__(
        self,
        providers: Mapping[str, Provider],
        *,
        static: Mapping[str, Iterable[str]] | None = None,
        allows: Allows | None = None,
    ) -> None:
        """``static`` are models that the settings list, by provider; ``allows`` is the models filter."""
        self._providers = providers
        self._allows = allows
        self._static = {name: tuple(ids) for name, ids in (static or {}).items() if ids}
        self.listings = {name: ModelListing() for name in providers}
        self.on_answer: Callable[[str, str], None] = _ignore
        """Told the provider and the origin of each upstream that has answered."""
        self.version = 0
        """Raised whenever a shelf is filled or becomes stale."""
        self._looked_at = -LOOK_AGAIN_S
        self.settled = True
        """The first look at all providers is over; before that, a name that nobody lists may yet be found."""
        self._first_look: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        for name, ids in self._static.items():
            upstreams = providers[name].upstreams
            self._fill(name, {each.origin: [ModelInfo(id=each_id) for each_id in ids] for each in upstreams})

    def inherit(self, before: Catalog) -> None:
        """Take over what was found of providers that are the same."""
        for name, provider in self._providers.items():
            if before._providers.get(name) is provider and name not in self._static:
                self.listings[name] = before.listings[name]

    def _fill(self, name: str, found: Mapping[str, Sequence[ModelInfo]]) -> None:
        allowed = {
            upstream: [model for model in models if self.allows(model.id)]
            for upstream, models in found.items()
        }
        self.listings[name].fill(allowed)
        self.version += 1

    def allows(self, model: str) -> bool:
        """Whether the models filter lets this id through."""
        if self._allows is None:
            return True
        short = names.short(model)
        return self._allows(names.bare(short), names.tagged(short), model)

    def start(self, interval: float, intervals: Mapping[str, float] | None = None) -> None:
        """Refresh now, and then each provider every ``interval`` seconds, or at its own of ``intervals``."""
        loop = asyncio.get_running_loop()
        self.settled = False
        self._first_look = loop.create_future()
        paces = {name: (intervals or {}).get(name, interval) for name in self._providers}
        self._task = loop.create_task(self._keep_fresh(paces))

    async def settle(self, patience: float) -> None:
        """Wait for the first look at the providers, for at most ``patience`` seconds."""
        if self._first_look is not None:
            await asyncio.wait([self._first_look], timeout=patience)
        self.settled = True

    async def look_again(self) -> bool:
        """Ask the local providers anew: a model may have been pulled since. False if that was just done."""
        now = time.monotonic()
        if now - self._looked_at < LOOK_AGAIN_S:
            return False
        self._looked_at = now
        before = self.version
        local = [name for name, provider in self._providers.items() if provider.local]
        await asyncio.wait([asyncio.ensure_future(self.refresh(local))], timeout=LOOK_AGAIN_S)
        return self.version != before

    async def _keep_fresh(self, paces: Mapping[str, float]) -> None:
        await self.refresh()
        self.settled = True
        if self._first_look is not None and not self._first_look.done():
            self._first_look.set_result(None)
        async with asyncio.TaskGroup() as group:
            for pace in set(paces.values()):
                group.create_task(self._keep(pace, [name for name in paces if paces[name] == pace]))

    async def _keep(self, pace: float, wanted: Sequence[str]) -> None:
        while True:
            await asyncio.sleep(pace)
            await self.refresh(wanted)

    async def refresh(self, only: Iterable[str] | None = None) -> None:
        """Ask the providers (or ``only`` these) for their models, all at once; failures are logged."""
        wanted = [name for name in (only or self._providers) if name not in self._static]
        await asyncio.gather(*(self._refresh(name) for name in wanted))

    async def _refresh(self, name: str) -> None:
        provider, listing = self._providers[name], self.listings[name]
        upstreams = [upstream for upstream in provider.upstreams if upstream.name == upstream.origin]
        answers = await asyncio.gather(
            *(provider.fetch_models(upstream) for upstream in upstreams), return_exceptions=True
        )
        found: dict[str, Sequence[ModelInfo]] = {}
        for upstream, answer in zip(upstreams, answers, strict=True):
            if not isinstance(answer, BaseException):
                found[upstream.origin] = answer
                listing.looks[upstream.origin] = Look(time.time(), None)
                self.on_answer(name, upstream.origin)
                continue
            reason = answer.message if isinstance(answer, GatewayError) else type(answer).__name__
            listing.looks[upstream.origin] = Look(time.time(), reason)
            level = log.debug if listing.stale or not listing.known else log.warning
            level("discovery failed", provider=name, upstream=upstream.name, reason=reason)
        if found:
            self._fill(name, found)
        elif not listing.stale:
            listing.stale = True
            self.version += 1

    async def aclose(self) -> None:
        """Stop refreshing."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


def _ignore(provider: str, origin: str) -> None:
    """Nobody wants to know."""
