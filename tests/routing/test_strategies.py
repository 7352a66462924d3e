"""The strategies: what each chooses, and that every list of their names has the same ones."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path
from typing import get_args

import pytest

from tests.routing.fakes import make_candidates
from tests.routing.test_pools import NOW, make_pool, picked
from trunkline import LoadBalanceStrategy
from trunkline.routing.latency_predictor import FleetAverages, LatencyPredictor
from trunkline.routing.pools import CandidatePool, Tier
from trunkline.routing.strategies import STRATEGIES, SelectionContext, StrategyMemory, in_order
from trunkline.settings.sections import FleetStrategy, RouteStrategy

PAGE = Path(__file__).parents[2] / "docs" / "routing.md"


# What they choose


def test_round_robin() -> None:
    counts = Counter(picked(make_pool(make_candidates(3)), 2000))
    assert max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize("weights", [(80, 20), (1, 1, 1), (5, 1, 1), (7, 2, 1), (50, 50)])
def test_weights_are_shares_of_every_cycle(weights: tuple[int, ...]) -> None:
    made = make_candidates(len(weights))
    for candidate, weight in zip(made, weights, strict=True):
        candidate.target_weight = weight
    pool, cycle = make_pool(made, "weighted"), sum(weights)
    for _ in range(3):
        counts = Counter(picked(pool, cycle))
        assert [counts[candidate.upstream.name] for candidate in made] == list(weights)


def test_weighted_takes_the_lowest_priority_after_a_failure() -> None:
    made = make_candidates(3)
    for candidate, priority in zip(made, (2, 1, 0), strict=True):
        candidate.priority = priority
    chosen = make_pool(made, "weighted").pick(NOW._replace(failed=made[2]), {made[2].key})
    assert chosen is made[1]


def test_in_order() -> None:
    made = make_candidates(3)
    pool = CandidatePool([Tier(made, in_order, StrategyMemory())])
    assert picked(pool, 3) == ["ollama-0"] * 3
    order = [candidate.upstream.name for candidate in pool.order(NOW)]
    assert order == ["ollama-0", "ollama-1", "ollama-2"]


def test_the_least_busy_for_its_weight() -> None:
    made = make_candidates(3)
    for candidate, (load, weight) in zip(made, ((2, 1), (3, 2), (5, 2)), strict=True):
        candidate.state.gate.in_flight, candidate.weight = load, weight
    assert set(picked(make_pool(made, "least_busy"), 5)) == {"ollama-1"}
    for candidate in made:
        candidate.state.gate.in_flight = 0
        candidate.weight = 1.0
    counts = Counter(picked(make_pool(made, "least_busy"), 9))
    assert counts == {"ollama-0": 3, "ollama-1": 3, "ollama-2": 3}


def test_the_lower_latency_of_two() -> None:
    made = make_candidates(2)
    made[0].state.latency.add(0.5, 0.0)
    made[1].state.latency.add(0.1, 0.0)
    assert set(picked(make_pool(made, "lowest_latency"), 20)) == {"ollama-1"}
    made[1].state.gate.in_flight = 9
    assert set(picked(make_pool(made, "lowest_latency"), 20)) == {"ollama-0"}


def test_the_cheapest() -> None:
    made = make_candidates(3)
    for candidate, price in zip(made, (2.0, 0.0, float("inf")), strict=True):
        candidate.price = price
    assert set(picked(make_pool(made, "cost"), 5)) == {"ollama-1"}


def test_random_reaches_every_candidate() -> None:
    counts = Counter(picked(make_pool(make_candidates(3), "random"), 300))
    assert min(counts.values()) > 50


def test_a_session_stays_and_only_those_of_a_candidate_that_goes_move() -> None:
    made = make_candidates(5)
    pool = make_pool(made, "sticky")
    sessions = [b"session %d" % number for number in range(300)]

    def chosen_for_sessions(tried: set[str]) -> list[str]:
        contexts = [SelectionContext(1.0, session=partial(bytes, session)) for session in sessions]
        chosen = [pool.pick(context, tried) for context in contexts]
        return [candidate.key for candidate in chosen if candidate is not None]

    before = chosen_for_sessions(set())
    assert chosen_for_sessions(set()) == before
    assert min(Counter(before).values()) > 30
    after = chosen_for_sessions({made[2].key})
    moved = [old for old, new in zip(before, after, strict=True) if old != new]
    assert set(moved) == {made[2].key}
    made[0].state.gate.in_flight = 1
    assert picked(pool, 1) != ["ollama-0"]  # without a session, the least busy is chosen


def test_predicted_wait() -> None:
    fleet = FleetAverages()
    made = make_candidates(3)
    resident = {"ollama-0", "ollama-1"}
    made[0].provider.is_loaded = lambda upstream, model: upstream.name in resident  # type: ignore[method-assign]
    for candidate in made:
        candidate.predictor = LatencyPredictor(fleet)
    pool = make_pool(made, "predicted_wait")
    assert set(picked(pool, 4)) == resident
    for candidate in made[:2]:
        assert candidate.predictor is not None
        for _ in range(3):
            candidate.predictor.begin("m", True, None, NOW.now)
    assert set(picked(pool, 4)) <= resident  # a few requests ahead are better than a load
    for candidate in made[:2]:
        assert candidate.predictor is not None
        for _ in range(10):
            candidate.predictor.begin("m", True, None, NOW.now)
    assert picked(pool, 1) == ["ollama-2"]  # many requests ahead are worse


# Their names: settings, Python programs and documentation


def test_routes_may_use_every_strategy() -> None:
    assert set(get_args(RouteStrategy)) == set(STRATEGIES)


def test_a_providers_own_servers_are_chosen_by_some_of_them_or_by_default() -> None:
    names = set(get_args(FleetStrategy))
    assert "auto" in names
    assert names - {"auto"} < set(STRATEGIES)


def test_programs_may_use_every_strategy() -> None:
    assert {each.value for each in LoadBalanceStrategy} == set(STRATEGIES)


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_the_page_on_routing_describes_it(name: str) -> None:
    assert f"\n| `{name}` | " in PAGE.read_text(encoding="utf-8")
