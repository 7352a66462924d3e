"""How long requests wait on a fleet of Ollama servers, by strategy: a simulation that drives the router.

The servers are simulated, with a clock of their own; the pools, strategies, breakers and predictions are the
gateway's. Each server works on one request at a time, in order of arrival, and has memory for some models;
one that is not loaded is loaded first, in place of the one that was not used for longest.

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
from trunkline.routing.candidates import Candidate
from trunkline.routing.catalog import Catalog
from trunkline.routing.prediction import PredictedRequest
from trunkline.routing.resolve import Rules
from trunkline.routing.router import Router
from trunkline.routing.strategies import SelectionContext

STRATEGIES: Final = ("round_robin", "least_busy", "predicted_wait")
SEEDS: Final = 20
GIB: Final = 1024**3


class Model(NamedTuple):
    """One model: what it really costs, and what its size says."""

    name: str
    service_s: float
    load_s: float
    size: int
    share: float
    """Of all requests."""


class Scenario(NamedTuple):
    """A fleet and what is asked of it."""

    name: str
    models: Sequence[Model]
    servers: int
    memory: int
    """Models that fit into a server's memory."""
    per_second: float
    requests: int
    warm: bool = False
    """Every server begins with its memory full of the first models."""
    speeds: Sequence[float] = ()
    """How much slower each server is; 1 where it is not said."""


def _models(count: int, *, service: float, load: float, skew: float = 0.0, lie: float = 1.0) -> list[Model]:
    shares = [1.0 / (rank + 1) ** skew for rank in range(count)]
    return [
        Model(
            f"model-{at}:latest",
            service * (0.6 + 0.8 * (at % 3) / 2),
            load,
            int(load * lie * 1e9),
            share / sum(shares),
        )
        for at, share in enumerate(shares)
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
        _models(4, service=2.0, load=15.0, lie=0.1),
        servers=4,
        memory=3,
        per_second=1.0,
        requests=600,
        speeds=(1.0, 1.0, 2.0, 1.0),
    ),
)


class Machine:
    """One simulated server."""

    def __init__(self, scenario: Scenario, at: int) -> None:
        self.upstream = Upstream(name=f"gpu{at}", url="")
        self.speed = scenario.speeds[at] if scenario.speeds else 1.0
        self.memory = scenario.memory
        self.loaded: OrderedDict[str, None] = OrderedDict()
        self.queue: deque[Task] = deque()
        self.busy = False
        if scenario.warm:
            for model in scenario.models[: scenario.memory]:
                self.loaded[model.name] = None

    def seconds(self, model: Model, rng: random.Random) -> float:
        """What the next request takes here, its model's loading included."""
        took = model.service_s * self.speed * (0.5 + rng.random())
        if model.name not in self.loaded:
            took += model.load_s * self.speed
            while len(self.loaded) >= self.memory:
                self.loaded.popitem(last=False)
        self.loaded[model.name] = None
        self.loaded.move_to_end(model.name)
        return took


class Task(NamedTuple):
    """One request on its way."""

    arrived: float
    model: Model
    candidate: Candidate
    predicted: PredictedRequest | None


class Fleet:
    """The provider that the router sees: what it believes to be loaded is what it was last told."""

    name = kind = "ollama"
    local = True
    local_only = False
    loads_models = True
    max_concurrent = None
    max_retries = 0

    def __init__(self, scenario: Scenario) -> None:
        self.machines = [Machine(scenario, at) for at in range(scenario.servers)]
        self.upstreams = [machine.upstream for machine in self.machines]
        self.by_name = {machine.upstream.name: machine for machine in self.machines}
        self.believed = {machine.upstream.name: set(machine.loaded) for machine in self.machines}
        self._scenario = scenario

    def supports(self, operation: str) -> bool:
        """Everything."""
        return True

    def resident(self, upstream: Upstream, model: str) -> bool:
        """As far as the last look told."""
        return model in self.believed[upstream.name]

    def look(self, upstream: Upstream) -> None:
        """What ``/api/ps`` tells."""
        self.believed[upstream.name] = set(self.by_name[upstream.name].loaded)

    async def look_at_residents(self, upstream: Upstream) -> None:
        """The same, as the router asks for it."""
        self.look(upstream)

    async def fetch_models(self, upstream: Upstream) -> list[ModelInfo]:
        """All models are on every server's disk."""
        return [ModelInfo(id=model.name, listing={"size": model.size}) for model in self._scenario.models]


def simulate(scenario: Scenario, strategy: str, seed: int) -> list[float]:
    """Seconds from arrival to the whole answer, of every request."""
    rng = random.Random(seed)
    fleet = Fleet(scenario)
    providers: Any = {"ollama": fleet}
    catalog = Catalog(providers)
    asyncio.run(catalog.refresh())
    router = Router(providers, catalog, Rules(preferred="ollama", strategies={"ollama": strategy}))
    took: list[float] = []
    events: list[tuple[float, int, Callable[[float], None]]] = []
    count = 0

    def at(when: float, what: Callable[[float], None]) -> None:
        nonlocal count
        count += 1
        heapq.heappush(events, (when, count, what))

    def arrive(model: Model) -> Callable[[float], None]:
        def run(now: float) -> None:
            candidate = router.pool(model.name, "chat").pick(SelectionContext(now))
            assert candidate is not None
            candidate.state.gate.in_flight += 1
            predicted = None
            if candidate.predictor is not None:
                predicted = candidate.predictor.begin(
                    candidate.model, candidate.resident, candidate.size, now
                )
            fleet.believed[candidate.upstream.name].add(candidate.model)
            machine = fleet.by_name[candidate.upstream.name]
            machine.queue.append(Task(now, model, candidate, predicted))
            if not machine.busy:
                begin(machine, now)

        return run

    def begin(machine: Machine, now: float) -> None:
        machine.busy = True
        task = machine.queue.popleft()
        at(now + machine.seconds(task.model, rng), lambda then: end(machine, task, then))

    def end(machine: Machine, task: Task, now: float) -> None:
        took.append(now - task.arrived)
        task.candidate.state.gate.in_flight -= 1
        if task.candidate.predictor is not None and task.predicted is not None:
            task.candidate.predictor.end(task.predicted, True, now)
            if task.predicted.cold:
                fleet.look(machine.upstream)
        machine.busy = False
        if machine.queue:
            begin(machine, now)

    when = 0.0
    for _ in range(scenario.requests):
        when += rng.expovariate(scenario.per_second)
        model = rng.choices(scenario.models, [each.share for each in scenario.models])[0]
        at(when, arrive(model))
    while events:
        now, _, what = heapq.heappop(events)
        what(now)
    return took


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` of them lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def p95(scenario: Scenario, strategy: str, seeds: int) -> float:
    """The 95th percentile of all requests of all seeds together, in seconds."""
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
