"""What routing costs: resolving a name among 10,000 models, and selecting one of 200 upstreams.

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
from trunkline.routing.resolve import RoutingRules
from trunkline.routing.router import Router
from trunkline.routing.strategies import STRATEGIES, SelectionContext

MODELS: Final = 10_000
UPSTREAMS: Final = 200
ROUNDS: Final = 20_000
OPERATION: Final[Operation] = "chat"


class FakeProvider:
    """A provider without connections: the names of its upstreams, and of the models that each of them has."""

    local = False
    local_only = False
    loads_models = False
    max_concurrent = None
    max_retries = 0

    def __init__(self, name: str, upstreams: int, models: Sequence[str]) -> None:
        self.name = self.kind = name
        self.upstreams = [Upstream(name=f"{name}-{number}:80", url="") for number in range(upstreams)]
        self._models = [ModelInfo(id=model, prices={"prompt": 1e-6, "completion": 2e-6}) for model in models]

    def supports(self, operation: str) -> bool:
        """Every operation is supported."""
        return True

    def is_loaded(self, upstream: Upstream, model: str) -> bool:
        """Every model is loaded."""
        return True

    async def fetch_models(self, upstream: Upstream) -> list[ModelInfo]:
        """Every upstream has all models."""
        return self._models


def make_router(*fakes: FakeProvider, strategy: str = "auto") -> Router:
    """A router over these providers after their discovery; the first one is preferred."""
    providers: Any = {each.name: each for each in fakes}
    catalog = Catalog(providers)
    asyncio.run(catalog.refresh())
    first = fakes[0].name
    return Router(providers, catalog, RoutingRules(preferred=first, strategies={first: strategy}))


def microseconds(work: Callable[[int], object], rounds: int) -> float:
    """The microseconds of one call: the best of five rounds."""
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        for number in range(rounds):
            work(number)
        best = min(best, time.perf_counter() - began)
    return best / rounds * 1e6


def main() -> None:
    """Print the table."""
    ids = [f"vendor-{number % 40}/model-{number}" for number in range(MODELS)]
    router = make_router(FakeProvider("cloud", 1, ids), FakeProvider("local", 1, ["llama3.2:latest"]))
    names = [ids[number * 7 % MODELS] for number in range(1000)]
    shorts = [name.partition("/")[2] for name in names]
    resolve = router.resolver.resolve
    rows = [
        ("a name that was asked before", microseconds(lambda _: router.pool(names[0], OPERATION), ROUNDS)),
        ("a full id, resolved anew", microseconds(lambda number: resolve(names[number % 1000]), ROUNDS)),
        ("a short name, resolved anew", microseconds(lambda number: resolve(shorts[number % 1000]), ROUNDS)),
        (
            "a prefixed name, resolved anew",
            microseconds(lambda number: resolve(f"cloud/{names[number % 1000]}"), ROUNDS),
        ),
    ]
    print(f"{MODELS} models in the catalog")
    for title, each in rows:
        print(f"  {title:<34}{each:8.2f} us")
    print(f"{UPSTREAMS} upstreams of one model")
    for strategy in STRATEGIES:
        pool = make_router(FakeProvider("fleet", UPSTREAMS, ["m"]), strategy=strategy).pool("m", OPERATION)
        context = SelectionContext(time.perf_counter(), session=lambda: b"a session")
        each = microseconds(lambda _, pool=pool, context=context: pool.pick(context), 500)  # type: ignore[misc]
        print(f"  {strategy:<34}{each:8.2f} us")


if __name__ == "__main__":
    main()
