"""The catalog: which provider has which models, as discovery found it, refreshed in the background.

A look-up touches dictionaries only. When a provider stops answering, its last listing is kept and marked
stale. Before it has ever answered its listing is unknown, which is not the same as empty.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar

import structlog

from trunkline.errors import GatewayError, Kind
from trunkline.providers.base import ModelInfo, Provider, Upstream
from trunkline.routing import names
from trunkline.routing.looks import Looks

log: Final = structlog.stdlib.get_logger(__name__)
_Found = TypeVar("_Found")

AllowsModel = Callable[[str, str, str], bool]
"""The models filter: whether the model with this short name, tagged name and full id may be used."""

CompletesModel = Callable[[Provider, ModelInfo], ModelInfo]

SLOW_S: Final = 1.0
"""Seconds after which discovery goes on with the upstreams of a provider that have answered."""


class Discovery(NamedTuple):
    """The last time that an upstream was asked for its models."""

    ended_at: float
    """Unix time."""
    error: str | None
    """What went wrong, if it failed."""
    kind: Kind | None = None
    """The kind of that failure, if the upstream or the way to it caused it."""


class ModelListing:
    """The models of one provider."""

    __slots__ = (
        "_by_short",
        "_by_spelling",
        "by_upstream",
        "discoveries",
        "found",
        "known",
        "models",
        "stale",
    )

    def __init__(self) -> None:
        self.models: dict[str, ModelInfo] = {}
        """The models of all upstreams together, by id."""
        self.by_upstream: dict[str, frozenset[str]] = {}
        """The ids in lower case, by upstream, of those upstreams that answered."""
        self.found: Mapping[str, Sequence[ModelInfo]] = {}
        """The models by upstream, of the same upstreams."""
        self.known = False
        """Whether discovery has succeeded at least once, or the settings list the models."""
        self.stale = False
        """Whether the last discovery failed, so that the models are from an earlier one."""
        self.discoveries: dict[str, Discovery] = {}
        """The last discovery at each upstream, by its origin."""
        self._by_spelling: dict[str, ModelInfo] = {}
        self._by_short: dict[str, list[ModelInfo]] = {}

    def replace(self, found: Mapping[str, Sequence[ModelInfo]]) -> None:
        """Replace all models by those that each upstream was found to have."""
        self.found = found
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
        """Find a model by its name.

        The name may be the id, with or without ``:latest``; the short name; or an Ollama name with the
        default registry and library written out.
        """
        for spelling in names.spellings(name):
            model = self._by_spelling.get(spelling)
            if model is not None:
                return model
        if "/" in name:
            shown = names.without_default_registry(name)
            return None if shown == name else self.find(shown)
        namesakes = self.find_by_short_name(name)
        return namesakes[0] if namesakes else None

    def find_by_short_name(self, name: str) -> list[ModelInfo]:
        """All models whose id ends in this short name, in the order of their ids."""
        for spelling in names.spellings(name):
            if spelling in self._by_short:
                return self._by_short[spelling]
        return []


class Catalog:
    """The model listings of all providers."""

    def __init__(
        self,
        providers: Mapping[str, Provider],
        *,
        static: Mapping[str, Iterable[str]] | None = None,
        allows: AllowsModel | None = None,
        complete: CompletesModel | None = None,
    ) -> None:
        """
        Args:
            providers: the providers by name.
            static: the models that the settings list, by provider.
            allows: the models filter; without one every model may be used.
            complete: adds to what a list says of a model what is known of it besides.
        """
        self._providers = providers
        self._allows = allows
        self._complete = complete
        self._static = {name: tuple(ids) for name, ids in (static or {}).items() if ids}
        self.listings = {name: ModelListing() for name in providers}
        self.observers: list[Callable[[str, str], None]] = []
        """Called with the provider's name and the origin of each upstream that has answered."""
        self.version = 0
        """Raised whenever a listing is replaced or becomes stale."""
        self._looks = Looks(self._refresh_local)
        self.discovered = True
        """Whether the first discovery of all providers is over, or was waited for long enough. Before that, a
        model that no provider lists may still be found."""
        self._first_discovery: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        for name, ids in self._static.items():
            models = [ModelInfo(id=model_id) for model_id in ids]
            self._replace(name, {upstream.origin: models for upstream in providers[name].upstreams})

    def inherit(self, before: Catalog) -> None:
        """Take over the listings of providers that are the same objects in an earlier catalog."""
        for name, provider in self._providers.items():
            if before._providers.get(name) is provider and name not in self._static:
                self.listings[name] = before.listings[name]

    def _replace(self, name: str, found: Mapping[str, Sequence[ModelInfo]]) -> None:
        allowed = {
            upstream: [model for model in models if self.allows(model.id)]
            for upstream, models in found.items()
        }
        self.listings[name].replace(allowed)
        self.version += 1

    def allows(self, model: str) -> bool:
        """Whether the models filter allows this model id."""
        if self._allows is None:
            return True
        short = names.short(model)
        return self._allows(names.bare(short), names.tagged(short), model)

    def describe(self, provider: str, model: ModelInfo) -> ModelInfo:
        """All that is known of a provider's model, for those who show it to clients."""
        return model if self._complete is None else self._complete(self._providers[provider], model)

    def start(self, interval: float, intervals: Mapping[str, float | None] | None = None) -> None:
        """Begin to refresh the listings, now and then again and again.

        Args:
            interval: the seconds between two refreshes of a provider.
            intervals: the providers that have an interval of their own; None: asked now, and not again.
        """
        loop = asyncio.get_running_loop()
        self.discovered = False
        self._first_discovery = loop.create_future()
        by_provider = {name: (intervals or {}).get(name, interval) for name in self._providers}
        self._task = loop.create_task(self._keep_fresh(by_provider))

    async def wait_until_discovered(self, max_wait: float) -> None:
        """Wait for the first discovery, for at most ``max_wait`` seconds.

        After that nobody waits for it again, whether it is over or not.
        """
        if self._first_discovery is not None:
            await asyncio.wait([self._first_discovery], timeout=max_wait)
        self.discovered = True

    async def find_after_look(self, find: Callable[[], _Found]) -> _Found:
        """Ask the local providers again, because a model may have been made since, and look it up again.

        See :meth:`.looks.Looks.find`, also for what it raises.
        """
        return await self._looks.find(find) if self._to_look_at() else find()

    def _to_look_at(self) -> list[str]:
        """The local providers that may have got a model since they were asked."""
        return [
            name
            for name, provider in self._providers.items()
            if provider.local
            and name not in self._static
            and not (provider.answers_any_name and self.listings[name].known)
        ]

    async def _refresh_local(self, publish: Callable[[], None]) -> None:
        await asyncio.gather(*(self._refresh(name, publish) for name in self._to_look_at()))

    async def _keep_fresh(self, intervals: Mapping[str, float | None]) -> None:
        await self.refresh()
        self.discovered = True
        if self._first_discovery is not None and not self._first_discovery.done():
            self._first_discovery.set_result(None)
        async with asyncio.TaskGroup() as group:
            for interval in {each for each in intervals.values() if each is not None}:
                providers = [name for name in intervals if intervals[name] == interval]
                group.create_task(self._refresh_repeatedly(interval, providers))

    async def _refresh_repeatedly(self, interval: float, providers: Sequence[str]) -> None:
        while True:
            await asyncio.sleep(interval)
            await self.refresh(providers)

    async def refresh(self, only: Iterable[str] | None = None) -> None:
        """Ask the providers, or ``only`` these, for their models, all at once; failures are logged."""
        to_ask = [name for name in (self._providers if only is None else only) if name not in self._static]
        await asyncio.gather(*(self._refresh(name) for name in to_ask))

    async def check(self, only: Iterable[str] | None = None) -> None:
        """Ask every provider, or ``only`` these, whether it answers: for its models, also where the settings
        list them."""
        await asyncio.gather(*(self._refresh(name) for name in (self._providers if only is None else only)))

    async def _refresh(self, name: str, publish: Callable[[], None] | None = None) -> None:
        """Ask one provider. If some of its upstreams take long, the listing is replaced twice: with what the
        others say, and when all have answered or failed. ``publish`` is called in between."""
        provider, listing = self._providers[name], self.listings[name]
        upstreams = [upstream for upstream in provider.upstreams if upstream.name == upstream.origin]
        tasks = [asyncio.ensure_future(provider.fetch_models(upstream)) for upstream in upstreams]
        found: dict[str, Sequence[ModelInfo]] = {}
        try:
            if tasks:
                await asyncio.wait(tasks, timeout=SLOW_S)
            if (pending := [each for each in tasks if not each.done()]) and len(pending) < len(tasks):
                earlier = listing.found
                for upstream, task in zip(upstreams, tasks, strict=True):
                    if task.done() and not task.cancelled() and task.exception() is None:
                        found[upstream.origin] = task.result()
                    elif not task.done() and upstream.origin in earlier:
                        found[upstream.origin] = earlier[upstream.origin]
                if found and name not in self._static:
                    self._replace(name, found)
                if publish is not None:
                    publish()
            answers = await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            for task in tasks:
                task.cancel()
        self._record(name, dict(zip(upstreams, answers, strict=True)))

    def _record(self, name: str, answers: Mapping[Upstream, Sequence[ModelInfo] | BaseException]) -> None:
        """Take over what the upstreams of a provider have answered."""
        listing = self.listings[name]
        found: dict[str, Sequence[ModelInfo]] = {}
        for upstream, answer in answers.items():
            if name in self._static and _has_no_list(answer):
                answer = ()
            if not isinstance(answer, BaseException):
                found[upstream.origin] = answer
                listing.discoveries[upstream.origin] = Discovery(time.time(), None)
                for observe in self.observers:
                    observe(name, upstream.origin)
                continue
            reason, kind = type(answer).__name__, None
            if isinstance(answer, GatewayError):
                reason, kind = answer.message, answer.kind
            listing.discoveries[upstream.origin] = Discovery(time.time(), reason, kind)
            level = log.debug if listing.stale or not listing.known else log.warning
            level("discovery failed", provider=name, upstream=upstream.name, reason=reason)
        if name in self._static:
            return
        if found:
            self._replace(name, found)
        elif not listing.stale:
            listing.stale = True
            self.version += 1

    async def aclose(self) -> None:
        """Stop refreshing."""
        await self._looks.aclose()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


def _has_no_list(answer: object) -> bool:
    """Whether an upstream has answered that it has no list of models: it can be reached all the same."""
    return isinstance(answer, GatewayError) and answer.upstream_status in (404, 405, 501)
