"""The router: a model name in, the pool of upstreams that may serve it out; and the state of all upstreams.

:mod:`.resolve` says which providers a name means, and :mod:`.pools` selects one of their upstreams. Pools are
kept until the catalog changes. The live state of upstreams and the strategies' memories are kept for good.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final

from trunkline.errors import (
    FORBIDDEN,
    NOT_FOUND,
    UNSUPPORTED,
    CallerError,
    GatewayError,
)
from trunkline.model import Operation
from trunkline.providers.base import ModelInfo, Provider, Upstream
from trunkline.routing.breaker import CircuitBreaker
from trunkline.routing.candidates import UNKNOWN_PRICE, Candidate
from trunkline.routing.catalog import Catalog
from trunkline.routing.latency_predictor import FleetAverages, LatencyPredictor
from trunkline.routing.names import spellings, untagged
from trunkline.routing.pools import CandidatePool, Tier
from trunkline.routing.resolve import Resolver, RoutingRules, Target
from trunkline.routing.strategies import STRATEGIES, StrategyMemory, in_order
from trunkline.routing.upstream_state import Address, ConcurrencyGate, UpstreamState

MAX_POOLS: Final = 10_000
"""The maximum number of pools that are kept: clients can ask for any name."""

_A_MILLION: Final = 1_000_000


class Router:
    """Candidate pools by model name, over the providers and their catalog."""

    def __init__(
        self,
        providers: Mapping[str, Provider],
        catalog: Catalog,
        rules: RoutingRules,
        make_breaker: Callable[[], CircuitBreaker] = CircuitBreaker,
    ) -> None:
        self.providers = providers
        self.catalog = catalog
        self.rules = rules
        self.resolver = Resolver(providers, catalog, rules)
        self._make_breaker = make_breaker
        self._states: dict[tuple[str, str], UpstreamState] = {}
        self._addresses: dict[tuple[str, str], Address] = {}
        self._gates: dict[tuple[str, str, str], ConcurrencyGate] = {}
        self._predictors: dict[tuple[str, str], LatencyPredictor] = {}
        self._fleet_averages: dict[str, FleetAverages] = {}
        self._memories: dict[str, StrategyMemory] = {}
        self._public_ids: dict[tuple[str, str], str] = {}
        self._pools: dict[tuple[str | None, Operation | None, str | None, bool], CandidatePool] = {}
        catalog.observers.append(self._on_answer)
        self._version = -1
        """The version of the catalog from which the kept pools were built."""

    def inherit(self, before: Router) -> None:
        """Take over the states of upstreams whose providers are the same objects in an earlier router.

        The strategies' memories are taken over as well. Circuit breakers keep what they know and go by this
        router's settings.
        """
        same = {name for name, each in self.providers.items() if before.providers.get(name) is each}
        self._states = {key: state for key, state in before._states.items() if key[0] in same}
        self._addresses = {key: each for key, each in before._addresses.items() if key[0] in same}
        self._gates = {key: gate for key, gate in before._gates.items() if key[0] in same}
        self._predictors = {key: each for key, each in before._predictors.items() if key[0] in same}
        self._fleet_averages = {name: each for name, each in before._fleet_averages.items() if name in same}
        self._memories = before._memories
        for state in self._states.values():
            state.adopt_breakers(self._make_breaker)

    @property
    def preferred(self) -> str:
        """The preferred provider's name."""
        return self.resolver.preferred

    def default_model(self, provider: str | None) -> str:
        """See :meth:`.resolve.Resolver.default_model`."""
        return self.resolver.default_model(provider)

    def pool(
        self,
        model: str | None,
        operation: Operation | None,
        only: str | None = None,
        local_only: bool = False,
    ) -> CandidatePool:
        """The pool of candidates for ``model``: at least one.

        Args:
            model: the name as the client wrote it; None where the client wrote none.
            operation: what is asked; providers without it are left out. With None no provider is.
            only: the provider that the path of the request names.
            local_only: whether to leave out every provider that is not local.

        Raises:
            CallerError: there is no model, the provider is unknown, nobody has the model or it may not be
                used, or nobody who has the model has the operation.
        """
        if self._version != self.catalog.version:
            self._clear_if_stale()
        key = (model, operation, only, local_only)
        pool = self._pools.get(key)
        if pool is None:
            pool = self._make_pool(model, operation, only, local_only)
            if self.rules.auto_pull:
                missing = [each for each in pool if self.resolver.may_pull(each.provider, each.model)]
                pool.missing = tuple(dict.fromkeys((each.provider.name, each.model) for each in missing))
            if len(self._pools) < MAX_POOLS:
                self._pools[key] = pool
        return pool

    def pool_without_model(self, only: str | None, local_only: bool) -> CandidatePool:
        """The pool for those paths of OpenAI's API that need no model.

        It has the provider that the path of the request names; else the preferred one; else the first that
        has these paths.

        Raises:
            CallerError: 404, nobody has them.
        """
        to_try = [only] if only else [self.rules.preferred, *self.resolver.providers]
        for name in to_try:
            provider = self.resolver.providers.get(name)
            if provider is not None and provider.supports("other") and (provider.local or not local_only):
                return CandidatePool([self._tier_of_provider(Target(provider, ""))])
        raise CallerError("No provider here has this path of OpenAI's API", NOT_FOUND, provider=only)

    def _clear_if_stale(self) -> None:
        if self._version != self.catalog.version:
            self._version = self.catalog.version
            self._pools.clear()
            self._public_ids.clear()

    def _make_pool(
        self, model: str | None, operation: Operation | None, only: str | None, local_only: bool
    ) -> CandidatePool:
        resolved = self.resolver.resolve(model, only)
        route_name = None if only is not None or model is None else self.resolver.route_name(model)
        route = None if route_name is None else self.rules.routes[route_name]
        targets = _supporting(resolved, operation)
        if local_only or (route is not None and route.local_only):
            targets = [target for target in targets if self._is_local(target)]
            if not targets:
                subject = "this key" if local_only else f"route '{route_name}'"
                provider = resolved[0].provider.name
                where = (
                    f"is in a cloud that '{provider}' asks"
                    if resolved[0].provider.local
                    else f"is at '{provider}', which is not local"
                )
                text = f"Model '{resolved[0].model}' {where}; {subject} is local_only"
                raise CallerError(text, FORBIDDEN, param="model", provider=provider)
        if route is not None and route_name is not None:
            return CandidatePool(
                self._tiers_of_route(route_name.lower(), targets, route.strategy),
                fallback=self.rules.fallback,
                route=route_name,
            )
        targets = self._local_after_local_only(targets)
        if not self.rules.fallback:
            targets = targets[:1]
        return CandidatePool([self._tier_of_provider(target) for target in targets])

    def _is_local(self, target: Target) -> bool:
        return self.resolver.is_local(target.provider, target.model)

    def _local_after_local_only(self, targets: Sequence[Target]) -> list[Target]:
        """The targets in order; after one whose provider is ``local_only``, only local ones."""
        found: list[Target] = []
        only_local = False
        for target in targets:
            if not only_local or self._is_local(target):
                found.append(target)
            only_local = only_local or target.provider.local_only
        return found

    def _tiers_of_route(self, name: str, targets: Sequence[Target], strategy: str) -> list[Tier]:
        candidates = [
            candidate
            for number, target in enumerate(targets)
            for candidate in self._candidates(target, number)
        ]
        if strategy != "priority":
            return [Tier(candidates, STRATEGIES[strategy], self._memory(name), strategy)]
        return [
            Tier(
                [each for each in candidates if each.priority == priority],
                STRATEGIES["priority"],
                self._memory(f"{name}#{priority}"),
                strategy,
            )
            for priority in sorted({each.priority for each in candidates})
        ]

    def _tier_of_provider(self, target: Target) -> Tier:
        provider = target.provider
        strategy = self.rules.strategies.get(provider.name, "auto")
        if strategy == "auto":
            strategy = _default_strategy(provider)
        function = in_order if strategy == "priority" else STRATEGIES[strategy]
        return Tier(self._candidates(target), function, self._memory(f"/{provider.name}"), strategy)

    def _candidates(self, target: Target, number: int = 0) -> list[Candidate]:
        """A candidate for each upstream of the target that has the model; they share the target's weight.
        ``number`` is the target's in its route."""
        provider, model = target.provider, target.model
        listing = self.catalog.listings[provider.name]
        by_upstream, model_spellings = listing.by_upstream, frozenset(spellings(model))
        listed = [
            each
            for each in provider.upstreams
            if model_spellings & by_upstream.get(each.origin, model_spellings)
        ]
        upstreams = listed or list(provider.upstreams)
        info = listing.find(model)
        timeouts = provider.timeouts_for(model, target.limits)
        local = self._is_local(target)
        return [
            Candidate(
                provider,
                upstream,
                model,
                self.state(provider, upstream),
                target=number,
                target_weight=target.weight,
                weight=target.weight / len(upstreams),
                priority=target.priority,
                price=_price(provider, info),
                gate=self._gate(provider, upstream, model),
                predictor=self._predictor(provider, upstream),
                size=None if info is None else _size(info),
                timeouts=timeouts,
                local=local,
            )
            for upstream in upstreams
        ]

    def state(self, provider: Provider, upstream: Upstream) -> UpstreamState:
        """The live state of one upstream."""
        key = provider.name, upstream.name
        state = self._states.get(key)
        if state is None:
            address = self._addresses.get((provider.name, upstream.origin))
            if address is None:
                address = Address(self._make_breaker())
                self._addresses[provider.name, upstream.origin] = address
            state = UpstreamState(self._make_breaker, provider.max_concurrent, address)
            self._states[key] = state
        return state

    def states(self, provider: Provider) -> list[tuple[Upstream, UpstreamState]]:
        """The live state of all upstreams of a provider."""
        return [(upstream, self.state(provider, upstream)) for upstream in provider.upstreams]

    def _on_answer(self, provider: str, origin: str) -> None:
        """Discovery, which is free, was answered: what has failed there may be probed at once. Discovery asks
        with the first credential of an address."""
        now = time.perf_counter()
        for upstream, state in self.states(self.providers[provider]):
            if upstream.origin == origin and state.degraded:
                state.allow_probe(now, only_address=upstream.name != origin)

    def _gate(self, provider: Provider, upstream: Upstream, model: str) -> ConcurrencyGate | None:
        name = f"{provider.name}/{model}".lower()
        limits = (limit for pattern, limit in self.rules.model_limits.items() if fnmatchcase(name, pattern))
        limit = min(limits, default=None)
        if limit is None:
            return None
        gate = self._gates.setdefault((provider.name, upstream.name, model.lower()), ConcurrencyGate(limit))
        gate.limit = limit
        return gate

    def _predictor(self, provider: Provider, upstream: Upstream) -> LatencyPredictor | None:
        """The upstream's predictor; None unless there are several servers that load models."""
        if not provider.loads_models or len(provider.upstreams) < 2:
            return None
        key = provider.name, upstream.name
        if key not in self._predictors:
            averages = self._fleet_averages.setdefault(provider.name, FleetAverages())
            self._predictors[key] = LatencyPredictor(averages, provider.max_concurrent or 1)
        return self._predictors[key]

    def _memory(self, name: str) -> StrategyMemory:
        return self._memories.setdefault(name, StrategyMemory())

    async def resident_first(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """The same candidates; those at which the model is loaded now come first."""
        by_upstream = {id(each.upstream): each for each in candidates}.values()
        await asyncio.gather(*(each.provider.refresh_loaded_models(each.upstream) for each in by_upstream))
        return sorted(candidates, key=lambda candidate: not candidate.is_loaded)

    def public_id(self, provider: str, model: str) -> str:
        """A name that leads to this model at this provider: its own if that does, else with the prefix.

        The names found are kept until the catalog changes.
        """
        self._clear_if_stale()
        public_id = self._public_ids.get((provider, model))
        if public_id is None:
            try:
                target = self.resolver.resolve(model)[0]
                leads_here = target.provider.name == provider and untagged(target.model) == untagged(model)
            except GatewayError:
                leads_here = False
            public_id = self._public_ids[provider, model] = model if leads_here else f"{provider}/{model}"
        return public_id


def _supporting(targets: Sequence[Target], operation: Operation | None) -> list[Target]:
    """The targets whose providers have the operation."""
    supporting = [each for each in targets if operation is None or each.provider.supports(operation)]
    if supporting:
        return supporting
    provider, model = targets[0].provider.name, targets[0].model
    if operation == "other":
        text = f"Provider '{provider}' does not have this path of OpenAI's API"
        raise CallerError(text, NOT_FOUND, param="model", provider=provider)
    text = f"Provider '{provider}' has no {operation} endpoint for model '{model}'"
    raise CallerError(text, UNSUPPORTED, param="model", provider=provider)


def _default_strategy(provider: Provider) -> str:
    """The strategy where none is configured.

    Ollama servers are chosen by prediction, several keys of one address in their order, others in turn.
    """
    if provider.loads_models:
        return "predicted_wait"
    return "priority" if len({upstream.origin for upstream in provider.upstreams}) == 1 else "round_robin"


def _price(provider: Provider, model: ModelInfo | None) -> float:
    if provider.local:
        return 0.0
    prices = None if model is None else model.prices
    if not prices or "prompt" not in prices or "completion" not in prices:
        return UNKNOWN_PRICE
    return (prices["prompt"] + prices["completion"]) / 2 * _A_MILLION


def _size(model: ModelInfo) -> int | None:
    size = (model.listing or {}).get("size")
    return size if isinstance(size, int) else None
