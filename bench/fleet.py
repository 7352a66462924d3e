"""How long requests wait on a fleet of Ollama servers, by strategy: a simulation that drives the router.

The servers and the clock are simulated. The pools, strategies, circuit breakers and latency predictors are
the gateway's own. Each server works on one request at a time, in order of arrival, and has memory for some
models. A model that is not loaded is loaded first, in place of the least recently used one.

    python -m bench.fleet              # the table
    python -m bench.fleet --seeds 5    # fewer seeds, sooner
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import random
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from trunkline.providers.base import ModelInfo, Upstream
from trunkline.providers.time_limits import AttemptTimeouts, TimeLimitRules
from trunkline.routing.candidates import Candidate
from trunkline.routing.catalog import Catalog
from trunkline.routing.latency_predictor import PredictedRequest
from trunkline.routing.resolve import RoutingRules
from trunkline.routing.router import Router
from trunkline.routing.strategies import SelectionContext
from trunkline.settings.time_limits import NO_LIMITS, TimeLimits

STRATEGIES: Final = ("round_robin", "least_busy", "predicted_wait")
SEEDS: Final = 20
GIB: Final = 1024**3


class Model(NamedTuple):
    """One model: the seconds that it really takes, and the size that its load time is estimated from."""

    name: str
    service_s: float
    load_s: float
    size: int
    share: float
    """Its share of all requests."""


class Scenario(NamedTuple):
    """A fleet and the requests that it gets."""

    name: str
    models: Sequence[Model]
    servers: int
    memory: int
    """The number of models that fit into a server's memory."""
    per_second: float
    requests: int
    warm: bool = False
    """Whether every server begins with its memory full of the first models."""
    speeds: Sequence[float] = ()
    """The factor by which each server is slower; 1 without an entry."""


def _models(
    count: int, *, service: float, load: float, skew: float = 0.0, size_error: float = 1.0
) -> list[Model]:
    shares = [1.0 / (rank + 1) ** skew for rank in range(count)]
    return [
        Model(
            f"model-{number}:latest",
            service * (0.6 + 0.8 * (number % 3) / 2),
            load,
            int(load * size_error * 1e9),
            share / sum(shares),
        )
        for number, share in enumerate(shares)
    ]


SCENARIOS: Final = (
    Scenario("cold", _models(6, service=2.0, load=12.0), servers=4, memory=3, per_second=1.0, requests=400),
    Scenario(
        "all resident",
        _models(3, service=2.0, load=12.0),
        servers=4,
        memory=3,
        per_second=1.4,
        requests=600,
        warm=True,
    ),
    Scenario(
        "skewed popularity",
        _models(8, service=1.5, load=10.0, skew=1.2),
        servers=4,
        memory=2,
        per_second=1.2,
        requests=600,
    ),
    Scenario(
        "wrong estimates",
        _models(4, service=2.0, load=15.0, size_error=0.1),
        servers=4,
        memory=3,
        per_second=1.0,
        requests=600,
        speeds=(1.0, 1.0, 2.0, 1.0),
    ),
)


class Machine:
    """One simulated server."""

    def __init__(self, scenario: Scenario, number: int) -> None:
        self.upstream = Upstream(name=f"gpu{number}", url="")
        self.speed = scenario.speeds[number] if scenario.speeds else 1.0
        self.memory = scenario.memory
        self.loaded: OrderedDict[str, None] = OrderedDict()
        self.queue: deque[Task] = deque()
        self.busy = False
        if scenario.warm:
            for model in scenario.models[: scenario.memory]:
                self.loaded[model.name] = None

    def seconds(self, model: Model, rng: random.Random) -> float:
        """The seconds that the next request takes here, including the loading of its model."""
        seconds = model.service_s * self.speed * (0.5 + rng.random())
        if model.name not in self.loaded:
            seconds += model.load_s * self.speed
            while len(self.loaded) >= self.memory:
                self.loaded.popitem(last=False)
        self.loaded[model.name] = None
        self.loaded.move_to_end(model.name)
        return seconds


class Task(NamedTuple):
    """One request in a server's queue."""

    arrived: float
    model: Model
    candidate: Candidate
    predicted: PredictedRequest | None


class Fleet:
    """The provider that the router has: what it takes to be loaded is what its servers last answered."""

    name = kind = "ollama"
    local = True
    local_only = False
    loads_models = True
    max_concurrent = None
    max_retries = 0

    def __init__(self, scenario: Scenario) -> None:
        self.machines = [Machine(scenario, number) for number in range(scenario.servers)]
        self.upstreams = [machine.upstream for machine in self.machines]
        self.by_name = {machine.upstream.name: machine for machine in self.machines}
        self.last_known = {machine.upstream.name: set(machine.loaded) for machine in self.machines}
        self._scenario = scenario

    def supports(self, operation: str) -> bool:
        """Every operation is supported."""
        return True

    def timeouts_for(self, model: str, route: TimeLimits = NO_LIMITS) -> AttemptTimeouts:
        """The default ones; the simulation takes no notice of them."""
        return TimeLimitRules().timeouts(model, route)

    def is_loaded(self, upstream: Upstream, model: str) -> bool:
        """Whether the model was loaded when the server was last asked."""
        return model in self.last_known[upstream.name]

    def refresh_loaded(self, upstream: Upstream) -> None:
        """Ask the server what it has loaded, as ``/api/ps`` does."""
        self.last_known[upstream.name] = set(self.by_name[upstream.name].loaded)

    async def refresh_loaded_models(self, upstream: Upstream) -> None:
        """The same in the form that the router calls."""
        self.refresh_loaded(upstream)

    async def fetch_models(self, upstream: Upstream) -> list[ModelInfo]:
        """All models are on every server's disk."""
        return [ModelInfo(id=model.name, listing={"size": model.size}) for model in self._scenario.models]


def simulate(scenario: Scenario, strategy: str, seed: int) -> list[float]:
    """The seconds from arrival to the whole answer, of every request."""
    rng = random.Random(seed)
    fleet = Fleet(scenario)
    providers: Any = {"ollama": fleet}
    catalog = Catalog(providers)
    asyncio.run(catalog.refresh())
    router = Router(providers, catalog, RoutingRules(preferred="ollama", strategies={"ollama": strategy}))
    latencies: list[float] = []
    events: list[tuple[float, int, Callable[[float], None]]] = []
    count = 0

    def schedule(when: float, what: Callable[[float], None]) -> None:
        nonlocal count
        count += 1
        heapq.heappush(events, (when, count, what))

    def arrive(model: Model) -> Callable[[float], None]:
        def run(now: float) -> None:
            candidate = router.pool(model.name, "chat").pick(SelectionContext(now))
            assert candidate is not None
            candidate.acquire()
            predicted = None
            if candidate.predictor is not None:
                predicted = candidate.predictor.begin(
                    candidate.model, candidate.is_loaded, candidate.size, now
                )
            fleet.last_known[candidate.upstream.name].add(candidate.model)
            machine = fleet.by_name[candidate.upstream.name]
            machine.queue.append(Task(now, model, candidate, predicted))
            if not machine.busy:
                begin(machine, now)

        return run

    def begin(machine: Machine, now: float) -> None:
        machine.busy = True
        task = machine.queue.popleft()
        schedule(now + machine.seconds(task.model, rng), lambda then: end(machine, task, then))

    def end(machine: Machine, task: Task, now: float) -> None:
        latencies.append(now - task.arrived)
        task.candidate.release()
        if task.candidate.predictor is not None and task.predicted is not None:
            task.candidate.predictor.end(task.predicted, True, now)
            if task.predicted.cold:
                fleet.refresh_loaded(machine.upstream)
        machine.busy = False
        if machine.queue:
            begin(machine, now)

    when = 0.0
    for _ in range(scenario.requests):
        when += rng.expovariate(scenario.per_second)
        model = rng.choices(scenario.models, [each.share for each in scenario.models])[0]
        schedule(when, arrive(model))
    while events:
        now, _, what = heapq.heappop(events)
        what(now)
    return latencies


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def p95(scenario: Scenario, strategy: str, seeds: int) -> float:
    """The 95th percentile of the latencies of all seeds together, in seconds."""
    return percentile([each for seed in range(seeds) for each in simulate(scenario, strategy, seed)], 0.95)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    seeds = parser.parse_args().seeds
    print(f"p95 of completion in seconds, {seeds} seeds")
    print(f"{'scenario':<20}" + "".join(f"{name:>16}" for name in STRATEGIES) + f"{'to the better':>16}")
    for scenario in SCENARIOS:
        found = {name: p95(scenario, name, seeds) for name in STRATEGIES}
        better = min(found["round_robin"], found["least_busy"])
        ratio = found["predicted_wait"] / better
        print(
            f"{scenario.name:<20}" + "".join(f"{found[name]:16.1f}" for name in STRATEGIES) + f"{ratio:16.2f}"
        )


if __name__ == "__main__":
    main()
