"""Providers that are only names and models."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from trunkline.errors import ProviderError
from trunkline.providers.base import ModelInfo, Upstream
from trunkline.providers.vendors import COMPATIBLE, OPENROUTER
from trunkline.routing.catalog import Catalog
from trunkline.routing.resolve import Rules
from trunkline.routing.router import Router


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
        self.row = OPENROUTER if name == "openrouter" else COMPATIBLE
        self.upstreams = [Upstream(name=f"{name}-{at}", url="") for at in range(len(upstreams))]
        self.models = dict(zip((each.name for each in self.upstreams), upstreams, strict=True))
        self.without = without
        self.asked = 0
        self.gate: asyncio.Event | None = None
        """Answers wait for it."""

    def resident(self, upstream: Upstream, model: str) -> bool:
        return True

    async def look_at_residents(self, upstream: Upstream) -> None: ...

    def supports(self, operation: str) -> bool:
        return operation not in self.without

    async def fetch_models(self, upstream: Upstream) -> list[ModelInfo]:
        self.asked += 1
        if self.gate is not None:
            await self.gate.wait()
        models = self.models[upstream.name]
        if models is None:
            raise ProviderError("away")
        return [ModelInfo(id=model) for model in models]


def make_catalog(*fakes: Fake, **more: Any) -> Catalog:
    providers: Any = {fake.name: fake for fake in fakes}
    return Catalog(providers, **more)


async def make_router(*fakes: Fake, static: Mapping[str, Sequence[str]] | None = None, **more: Any) -> Router:
    """A router over these providers, who have been asked for their models; ``custom`` comes last."""
    allows = more.pop("allows", None)
    everybody = [*fakes, Fake("custom", ["custom"])]
    catalog = make_catalog(*everybody, static=static, allows=allows)
    await catalog.refresh()
    return Router(catalog._providers, catalog, Rules(**more))


def served(router: Router, model: str | None, operation: Any = "chat", only: str | None = None) -> list[str]:
    """``provider=model`` for each target, in order."""
    found = [f"{each.provider.name}={each.model}" for each in router.candidates(model, operation, only)]
    return list(dict.fromkeys(found))
