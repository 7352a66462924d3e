"""A model's name in, the pool of upstreams that may serve it out; and the live state of all of them.

:mod:`.resolve` says which providers a name means, :mod:`.pools` chooses among their upstreams. Pools are
kept until the catalog changes; live state and what strategies remember is kept for good.
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
    UPSTREAM_UNREACHABLE,
    CallerError,
    GatewayError,
)
from trunkline.model import Operation
from trunkline.providers.base import ModelInfo, Provider, Upstream
from trunkline.routing.candidates import UNKNOWN_PRICE, Candidate, CandidatePool, Tier
from trunkline.routing.catalog import Catalog
from trunkline.routing.names import spellings
from trunkline.routing.prediction import LatencyPredictor, Learned
from trunkline.routing.resolve import Resolver, Rules, Target
from trunkline.routing.strategies import STRATEGIES, SelectionContext, StrategyMemory, in_order
from trunkline.routing.upstream_state import CircuitBreaker, ConcurrencyGate, UpstreamState

MAX_KEPT: Final = 10_000
"""Pools that are kept at most: clients can ask for any name."""

_A_MILLION: Final = 1_000_000


class Router:
    """Pools by name, over the providers and their catalog."""

    def __init__(
        self,
        providers: Mapping[str, Provider],
        catalog: Catalog,
        rules: Rules,
        make_breaker: Callable[[], CircuitBreaker] = CircuitBreaker,
    ) -> None:
        self.providers = providers
        self.catalog = catalog
        self.rules = rules
        self.resolver = Resolver(providers, catalog, rules)
        self._make_breaker = make_breaker
        self._lives: dict[tuple[str, str], UpstreamState] = {}
        self._gates: dict[tuple[str, str, str], ConcurrencyGate] = {}
        self._outlooks: dict[tuple[str, str], LatencyPredictor] = {}
        self._learned: dict[str, Learned] = {}
        self._memories: dict[str, StrategyMemory] = {}
        self._public: dict[tuple[str, str], str] = {}
        self._pools: dict[tuple[str | None, Operation | None, str | None, bool], CandidatePool] = {}
        catalog.on_answer = self._answered
        self._version = -1
        """The version of the catalog from which the kept pools were made."""

    def inherit(self, before: Router) -> None:
        """Take over what is known of the upstreams of providers that are the same, and what strategies
        remember."""
        same = {name for name, each in self.providers.items() if before.providers.get(name) is each}
        self._lives = {key: state for key, state in before._lives.items() if key[0] in same}
        self._gates = {key: gate for key, gate in before._gates.items() if key[0] in same}
        self._outlooks = {key: predictor for key, predictor in before._outlooks.items() if key[0] in same}
        self._learned = {name: learned for name, learned in before._learned.items() if name in same}
        self._memories = before._memories

    @property
    def preferred(self) -> str:
        """The preferred provider's name."""
        return self.resolver.preferred

    def default_model(self, meant: str | None) -> str:
        """See :meth:`.resolve.Resolver.default_model`."""
        return self.resolver.default_model(meant)

    def pool(
        self,
        model: str | None,
        operation: Operation | None,
        only: str | None = None,
        local_only: bool = False,
    ) -> CandidatePool:
        """The upstreams for ``model``: at least one.

        Args:
            model: as the client wrote it; None where it wrote none.
            operation: what is asked; a provider without it is passed over. None: whatever can be asked.
            only: the provider that the path of the request names.
            local_only: leave out every provider that is not local.

        Raises:
            CallerError: no model, an unknown provider, a model that nobody has or that may not be used, or an
                operation that nobody who has the model can do.
        """
        self._forget_if_stale()
        context = (model, operation, only, local_only)
        pool = self._pools.get(context)
        if pool is None:
            pool = self._make_pool(model, operation, only, local_only)
            if len(self._pools) < MAX_KEPT:
                self._pools[context] = pool
        return pool

    def nameless(self, only: str | None, local_only: bool) -> CandidatePool:
        """Who takes those paths of OpenAI's API that need no model: the provider that the path of the request
        names, else the preferred one, else the first that has them.

        Raises:
            CallerError: 404, nobody has them.
        """
        named = [only] if only else [self.rules.preferred, *self.resolver.providers]
        for name in named:
            provider = self.resolver.providers.get(name)
            if provider is not None and provider.supports("other") and (provider.local or not local_only):
                return CandidatePool([self._tier_of_provider(Target(provider, ""))])
        raise CallerError("No provider here has this path of OpenAI's API", NOT_FOUND, provider=only)

    def candidates(
        self, model: str | None, operation: Operation | None, only: str | None = None, now: float = 0.0
    ) -> list[Candidate]:
        """The upstreams to ask for ``model``, in the order in which they would be asked were each to fail."""
        return self.pool(model, operation, only).order(SelectionContext(now))

    def _forget_if_stale(self) -> None:
        if self._version != self.catalog.version:
            self._version = self.catalog.version
            self._pools.clear()
            self._public.clear()

    def _make_pool(
        self, model: str | None, operation: Operation | None, only: str | None, local_only: bool
    ) -> CandidatePool:
        targets = self.resolver.resolve(model, only)
        route = None if only is not None or model is None else self.resolver.route(model)
        able = self._able(targets, operation)
        if local_only or (route is not None and route.local_only):
            able = [target for target in able if target.provider.local]
            if not able:
                who = "this key" if local_only else f"route '{model}'"
                at = targets[0].provider.name
                text = f"Model '{targets[0].model}' is at '{at}', which is not local; {who} is local_only"
                raise CallerError(text, FORBIDDEN, param="model", provider=at)
        if route is not None:
            return CandidatePool(
                self._tiers_of_route(str(model).lower(), able, route.strategy),
                fallback=self.rules.fallback,
                route=model,
            )
        able = _closed_after_local_only(able)
        if not self.rules.fallback:
            able = able[:1]
        return CandidatePool([self._tier_of_provider(target) for target in able])

    def _able(self, targets: Sequence[Target], operation: Operation | None) -> list[Target]:
        able = [each for each in targets if operation is None or each.provider.supports(operation)]
        if not able:
            target = targets[0]
            if operation == "other":
                raise CallerError(
                    f"Provider '{target.provider.name}' does not have this path of OpenAI's API",
                    NOT_FOUND,
                    param="model",
                    provider=target.provider.name,
                )
            raise CallerError(
                f"Provider '{target.provider.name}' has no {operation} endpoint for model '{target.model}'",
                UNSUPPORTED,
                param="model",
                provider=target.provider.name,
            )
        return able

    def _tiers_of_route(self, name: str, targets: Sequence[Target], strategy: str) -> list[Tier]:
        candidates = [candidate for target in targets for candidate in self._choices(target)]
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
            strategy = _usual_strategy(provider)
        candidates = self._choices(target)
        choose = in_order if strategy == "priority" else STRATEGIES[strategy]
        return Tier(candidates, choose, self._memory(f"/{provider.name}"), strategy)

    def _choices(self, target: Target) -> list[Candidate]:
        """The target's upstreams that have the model; its weight is shared among them."""
        provider, model = target.provider, target.model
        listing = self.catalog.listings[provider.name]
        lists, wanted = listing.by_upstream, frozenset(spellings(model))
        having = [each for each in provider.upstreams if wanted & lists.get(each.origin, wanted)]
        upstreams = having or list(provider.upstreams)
        known = listing.find(model)
        return [
            Candidate(
                provider,
                upstream,
                model,
                self.state(provider, upstream),
                weight=target.weight / len(upstreams),
                priority=target.priority,
                price=_price(provider, known),
                gate=self._gate(provider, upstream, model),
                predictor=self._predictor(provider, upstream),
                size=None if known is None else _size(known),
            )
            for upstream in upstreams
        ]

    def state(self, provider: Provider, upstream: Upstream) -> UpstreamState:
        """The live state of one upstream."""
        key = provider.name, upstream.name
        found = self._lives.get(key)
        if found is None:
            found = UpstreamState(upstream.name, self._make_breaker(), provider.max_concurrent)
            self._lives[key] = found
        return found

    def states(self, provider: Provider) -> list[tuple[Upstream, UpstreamState]]:
        """The live state of all upstreams of a provider."""
        return [(upstream, self.state(provider, upstream)) for upstream in provider.upstreams]

    def _answered(self, provider: str, origin: str) -> None:
        """A free look at an upstream was answered: if it had been away, a request may try it at once."""
        for upstream, state in self.states(self.providers[provider]):
            last = state.last_failure
            if upstream.origin == origin and last is not None and last.kind is UPSTREAM_UNREACHABLE:
                state.breaker.hint(time.perf_counter())

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
        """Only where there is something to predict: several servers that load models."""
        if not provider.loads_models or len(provider.upstreams) < 2:
            return None
        key = provider.name, upstream.name
        if key not in self._outlooks:
            learned = self._learned.setdefault(provider.name, Learned())
            self._outlooks[key] = LatencyPredictor(learned, provider.max_concurrent or 1)
        return self._outlooks[key]

    def _memory(self, name: str) -> StrategyMemory:
        return self._memories.setdefault(name, StrategyMemory())

    async def holders_first(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """The same choices; those at which the model is loaded now come first."""
        asked = {id(each.upstream): each.provider.look_at_residents(each.upstream) for each in candidates}
        await asyncio.gather(*asked.values())
        return sorted(candidates, key=lambda candidate: not candidate.resident)

    def public_id(self, provider: str, model: str) -> str:
        """A name that leads to this model at this provider: its own, if that does, else with the prefix.

        Found names are kept until the catalog changes.
        """
        self._forget_if_stale()
        found = self._public.get((provider, model))
        if found is None:
            try:
                target = self.resolver.resolve(model)[0]
                leads_here = target.provider.name == provider and target.model == model
            except GatewayError:
                leads_here = False
            found = self._public[provider, model] = model if leads_here else f"{provider}/{model}"
        return found


def _usual_strategy(provider: Provider) -> str:
    """Ollama servers by what they have to do; several keys of one address in their order; else in turn."""
    if provider.loads_models:
        return "predicted_wait"
    return "priority" if len({upstream.origin for upstream in provider.upstreams}) == 1 else "round_robin"


def _closed_after_local_only(targets: Sequence[Target]) -> list[Target]:
    """The targets in order; after one whose provider is ``local_only``, only local ones."""
    found: list[Target] = []
    closed = False
    for target in targets:
        if not closed or target.provider.local:
            found.append(target)
        closed = closed or target.provider.local_only
    return found


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
