"""What a choice costs: resolving names among 10,000 models, picking among 200 upstreams by every strategy.

python -m bench.routing
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from trunkline.model import Operation
from trunkline.providers.base import ModelInfo, Upstream
from trunkline.routing.catalog import Catalog
from trunkline.routing.resolve import Rules
from trunkline.routing.router import Router
from trunkline.routing.strategies import STRATEGIES, SelectionContext

MODELS: Final = 10_000
UPSTREAMS: Final = 200
ROUNDS: Final = 20_000
OPERATION: Final[Operation] = "chat"


class Listed:
    """A provider that is only names: of its upstreams, and of the models that each of them has."""

    local = False
    local_only = False
    loads_models = False
    max_concurrent = None
    max_retries = 0

    def __init__(self, name: str, upstreams: int, models: Sequence[str]) -> None:
        self.name = self.kind = name
        self.upstreams = [Upstream(name=f"{name}-{at}:80", url="") for at in range(upstreams)]
        self._models = [ModelInfo(id=model, prices={"prompt": 1e-6, "completion": 2e-6}) for model in models]

    def supports(self, operation: str) -> bool:
        """Everything."""
        return True

    def resident(self, upstream: Upstream, model: str) -> bool:
        """Always."""
        return True

    async def fetch_models(self, upstream: Upstream) -> list[ModelInfo]:
        """All of them."""
        return self._models


def make_router(*listed: Listed, strategy: str = "auto") -> Router:
    """A router over these providers, who have said what they have."""
    providers: Any = {each.name: each for each in listed}
    catalog = Catalog(providers)
    asyncio.run(catalog.refresh())
    first = listed[0].name
    return Router(providers, catalog, Rules(preferred=first, strategies={first: strategy}))


def microseconds(work: Callable[[int], object], rounds: int) -> float:
    """Of one call: the best of five rows of them."""
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        for at in range(rounds):
            work(at)
        best = min(best, time.perf_counter() - began)
    return best / rounds * 1e6


def main() -> None:
    """Print the table."""
    vendors = [f"vendor-{at % 40}/model-{at}" for at in range(MODELS)]
    router = make_router(Listed("cloud", 1, vendors), Listed("local", 1, ["llama3.2:latest"]))
    names = [vendors[at * 7 % MODELS] for at in range(1000)]
    shorts = [name.partition("/")[2] for name in names]
    resolve = router.resolver.resolve
    rows = [
        ("a name that was asked before", microseconds(lambda at: router.pool(names[0], OPERATION), ROUNDS)),
        ("a full id, resolved anew", microseconds(lambda at: resolve(names[at % 1000]), ROUNDS)),
        ("a short name, resolved anew", microseconds(lambda at: resolve(shorts[at % 1000]), ROUNDS)),
        (
            "a prefixed name, resolved anew",
            microseconds(lambda at: resolve(f"cloud/{names[at % 1000]}"), ROUNDS),
        ),
    ]
    print(f"{MODELS} models in the catalog")
    for title, each in rows:
        print(f"  {title:<34}{each:8.2f} us")
    print(f"{UPSTREAMS} upstreams of one model")
    for strategy in STRATEGIES:
        pool = make_router(Listed("fleet", UPSTREAMS, ["m"]), strategy=strategy).pool("m", OPERATION)
        context = SelectionContext(time.perf_counter(), session=lambda: b"a session")
        each = microseconds(lambda at, pool=pool, context=context: pool.pick(context), 500)  # type: ignore[misc]
        print(f"  {strategy:<34}{each:8.2f} us")


if __name__ == "__main__":
    main()
