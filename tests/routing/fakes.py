"""Fakes for tests of routing: providers that are only names and models, and candidates of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from trunkline.errors import UPSTREAM_RATE_LIMIT, ProviderError, Scope
from trunkline.providers.base import ModelInfo, Upstream
from trunkline.providers.time_limits import AttemptTimeouts, TimeLimitRules
from trunkline.routing.breaker import CircuitBreaker
from trunkline.routing.candidates import Candidate
from trunkline.routing.catalog import Catalog
from trunkline.routing.resolve import RoutingRules
from trunkline.routing.router import Router
from trunkline.routing.strategies import SelectionContext
from trunkline.routing.upstream_state import UpstreamState
from trunkline.settings.time_limits import NO_LIMITS, TimeLimits


class Fake:
    """A provider whose upstreams each have models, or do not answer (None)."""

    def __init__(self, name: str, *upstreams: Sequence[str] | None, without: Sequence[str] = ()) -> None:
        self.name = name
        self.kind = name
        self.local = name in ("ollama", "custom")
        self.loads_models = False
        self.local_only = False
        self.max_concurrent: int | None = None
        self.max_retries = 0
        self.has_vendor_ids = name == "openrouter"
        self.answers_any_name = name == "custom"
        self.upstreams = [Upstream(name=f"{name}-{index}", url="") for index in range(len(upstreams))]
        self.models = dict(zip((each.name for each in self.upstreams), upstreams, strict=True))
        self.without = without
        """The operations that it does not have."""
        self.fetches = 0
        """How often an upstream was asked for its models."""
        self.gate: asyncio.Event | None = None
        """Answers wait for this event."""
        self.gates: dict[str, asyncio.Event] = {}
        """Answers of single upstreams wait for these."""

    def is_loaded(self, upstream: Upstream, model: str) -> bool:
        return True

    async def refresh_loaded_models(self, upstream: Upstream) -> None: ...

    def timeouts_for(self, model: str, route: TimeLimits = NO_LIMITS) -> AttemptTimeouts:
        return TimeLimitRules().timeouts(model, route)

    def supports(self, operation: str) -> bool:
        return operation not in self.without

    async def fetch_models(self, upstream: Upstream) -> list[ModelInfo]:
        self.fetches += 1
        if self.gate is not None:
            await self.gate.wait()
        if upstream.name in self.gates:
            await self.gates[upstream.name].wait()
        models = self.models[upstream.name]
        if models is None:
            raise ProviderError("away")
        return [ModelInfo(id=model) for model in models]


def make_candidates(
    count: int, provider: str = "ollama", *, threshold: int = 1, **fields: Any
) -> list[Candidate]:
    """Candidates for so many upstreams of one provider; ``threshold`` failures open their breakers."""
    fake: Any = Fake(provider, *[["m"]] * count)
    return [
        Candidate(fake, upstream, "m", UpstreamState(partial(CircuitBreaker, threshold)), **fields)
        for upstream in fake.upstreams
    ]


def start_cooldown(candidate: Candidate, seconds: float, now: float, *, scope: Scope = "credential") -> None:
    """The upstream asks for no requests for so long."""
    failure = ProviderError("slow down", UPSTREAM_RATE_LIMIT, retry_after=seconds)
    failure.scope = scope
    candidate.state.record_failure(failure, candidate.model, False, now)


def make_catalog(*fakes: Fake, **arguments: Any) -> Catalog:
    providers: Any = {fake.name: fake for fake in fakes}
    return Catalog(providers, **arguments)


async def make_router(
    *fakes: Fake, static: Mapping[str, Sequence[str]] | None = None, **rules: Any
) -> Router:
    """A router over these providers after their discovery; ``custom`` comes last."""
    allows = rules.pop("allows", None)
    providers = [*fakes, Fake("custom", ["custom"])]
    catalog = make_catalog(*providers, static=static, allows=allows)
    await catalog.refresh()
    return Router(catalog._providers, catalog, RoutingRules(**rules))


def candidates_in_order(
    router: Router, model: str | None, operation: Any = "chat", only: str | None = None
) -> list[Candidate]:
    """The candidates for ``model`` in the order in which they would be asked if each failed."""
    return router.pool(model, operation, only).order(SelectionContext(0.0))


def targets_in_order(
    router: Router, model: str | None, operation: Any = "chat", only: str | None = None
) -> list[str]:
    """``provider=model`` for each target, in order."""
    candidates = candidates_in_order(router, model, operation, only)
    return list(dict.fromkeys(f"{each.provider.name}={each.model}" for each in candidates))
