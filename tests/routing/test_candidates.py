"""Pools and strategies: shares, tiers, and never an upstream that may not be asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.routing.fakes import Fake
from trunkline.routing.candidates import Candidate, CandidatePool, Tier
from trunkline.routing.prediction import LatencyPredictor, Learned
from trunkline.routing.strategies import STRATEGIES, SelectionContext, StrategyMemory, in_order
from trunkline.routing.upstream_state import CircuitBreaker, ConcurrencyGate, UpstreamState

NAMES = sorted(STRATEGIES)
NOW = SelectionContext(100.0)


def candidates(count: int, provider: str = "ollama", **more: Any) -> list[Candidate]:
    """So many upstreams of one provider."""
    fake: Any = Fake(provider, *[["m"]] * count)
    return [
        Candidate(fake, each, "m", UpstreamState(each.name, CircuitBreaker(1)), **more)
        for each in fake.upstreams
    ]


def pool(made: Sequence[Candidate], strategy: str = "round_robin", seed: int = 7) -> CandidatePool:
    return CandidatePool([Tier(made, STRATEGIES[strategy], StrategyMemory(seed), strategy)])


def picked(found: CandidatePool, times: int, context: SelectionContext = NOW) -> list[str]:
    """The upstreams that so many requests go to."""
    chosen = [found.pick(context) for _ in range(times)]
    return [each.upstream.name for each in chosen if each is not None]


def test_round_robin() -> None:
    counts = Counter(picked(pool(candidates(3)), 2000))
    assert max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize("weights", [(80, 20), (1, 1, 1), (5, 1, 1), (7, 2, 1), (50, 50)])
def test_weights_are_shares_of_every_cycle(weights: tuple[int, ...]) -> None:
    made = candidates(len(weights))
    for candidate, weight in zip(made, weights, strict=True):
        candidate.weight = weight
    found, cycle = pool(made, "weighted"), sum(weights)
    for _ in range(3):
        counts = Counter(picked(found, cycle))
        assert [counts[candidate.upstream.name] for candidate in made] == list(weights)


def test_weighted_takes_the_lowest_priority_after_a_failure() -> None:
    made = candidates(3)
    for candidate, priority in zip(made, (2, 1, 0), strict=True):
        candidate.priority = priority
    chosen = pool(made, "weighted").pick(NOW._replace(again=True), {made[2].key})
    assert chosen is made[1]


def test_tiers_are_strict() -> None:
    first, second = candidates(2, "one"), candidates(2, "two")
    found = CandidatePool([Tier(made, STRATEGIES["priority"], StrategyMemory()) for made in (first, second)])
    assert set(picked(found, 10)) == {"one-0", "one-1"}
    for candidate in first:
        candidate.state.breaker.fail(False, 100.0)
        candidate.state.resting = True
    assert set(picked(found, 10)) == {"two-0", "two-1"}


def test_a_full_tier_is_waited_for() -> None:
    first, second = candidates(2, "one"), candidates(1, "two")
    found = CandidatePool([Tier(made, STRATEGIES["priority"], StrategyMemory()) for made in (first, second)])
    for candidate in first:
        candidate.state.gate = ConcurrencyGate(0)
    assert found.pick(NOW) is None
    assert found.full(NOW.now) == first
    assert found.pick(NOW, {candidate.key for candidate in first}) is second[0]
    assert found.full(NOW.now, {candidate.key for candidate in (*first, *second)}) == ()


def test_a_models_own_limit() -> None:
    (candidate,) = candidates(1, gate=ConcurrencyGate(1))
    found = pool([candidate])
    assert found.only is candidate
    gate = candidate.gate
    assert gate is not None
    free = []
    for count in (0, 1):
        gate.in_flight = count
        free.append(candidate.is_free)
    assert free == [True, False]
    assert found.pick(NOW) is None


def test_in_order() -> None:
    made = candidates(3)
    found = CandidatePool([Tier(made, in_order, StrategyMemory())])
    assert picked(found, 3) == ["ollama-0"] * 3
    assert [each.upstream.name for each in found.order(NOW)] == ["ollama-0", "ollama-1", "ollama-2"]


def test_the_least_busy_for_its_weight() -> None:
    made = candidates(3)
    for candidate, (load, weight) in zip(made, ((2, 1), (3, 2), (5, 2)), strict=True):
        candidate.state.gate.in_flight, candidate.weight = load, weight
    assert set(picked(pool(made, "least_busy"), 5)) == {"ollama-1"}
    for candidate in made:
        candidate.state.gate.in_flight = 0
        candidate.weight = 1.0
    assert Counter(picked(pool(made, "least_busy"), 9)) == {"ollama-0": 3, "ollama-1": 3, "ollama-2": 3}


def test_the_lower_latency_of_two() -> None:
    made = candidates(2)
    made[0].state.latency.add(0.5, 0.0)
    made[1].state.latency.add(0.1, 0.0)
    assert set(picked(pool(made, "lowest_latency"), 20)) == {"ollama-1"}
    made[1].state.gate.in_flight = 9
    assert set(picked(pool(made, "lowest_latency"), 20)) == {"ollama-0"}


def test_the_cheapest() -> None:
    made = candidates(3)
    for candidate, price in zip(made, (2.0, 0.0, float("inf")), strict=True):
        candidate.price = price
    assert set(picked(pool(made, "cost"), 5)) == {"ollama-1"}


def test_random_reaches_everybody() -> None:
    counts = Counter(picked(pool(candidates(3), "random"), 300))
    assert min(counts.values()) > 50


def test_a_session_stays_and_only_those_of_one_that_goes_move() -> None:
    made = candidates(5)
    found = pool(made, "sticky")
    sessions = [b"session %d" % at for at in range(300)]

    def homes(tried: set[str]) -> list[str]:
        contexts = [SelectionContext(1.0, session=partial(bytes, each)) for each in sessions]
        chosen = [found.pick(context, tried) for context in contexts]
        return [each.key for each in chosen if each is not None]

    before = homes(set())
    assert homes(set()) == before
    assert min(Counter(before).values()) > 30
    after = homes({made[2].key})
    moved = [old for old, new in zip(before, after, strict=True) if old != new]
    assert set(moved) == {made[2].key}
    made[0].state.gate.in_flight = 1
    assert picked(found, 1) != ["ollama-0"]  # without a session: the least busy


def test_predicted_wait() -> None:
    fleet = Learned()
    made = candidates(3)
    resident = {"ollama-0", "ollama-1"}
    made[0].provider.resident = lambda upstream, model: upstream.name in resident  # type: ignore[method-assign]
    for candidate in made:
        candidate.predictor = LatencyPredictor(fleet)
    found = pool(made, "predicted_wait")
    assert set(picked(found, 4)) == resident
    for candidate in made[:2]:
        assert candidate.predictor is not None
        for _ in range(3):
            candidate.predictor.begin("m", True, None, NOW.now)
    assert set(picked(found, 4)) <= resident  # a short line is better than to load
    for candidate in made[:2]:
        assert candidate.predictor is not None
        for _ in range(10):
            candidate.predictor.begin("m", True, None, NOW.now)
    assert picked(found, 1) == ["ollama-2"]  # a long one is not


def test_what_a_failure_closes() -> None:
    local, cloud = candidates(2, "ollama"), candidates(1, "cloud")
    tiers = [Tier(local, in_order, StrategyMemory()), Tier(cloud, in_order, StrategyMemory())]
    both = {local[0].key}
    assert CandidatePool(tiers).ways_out(local[0]) == both
    assert CandidatePool(tiers, fallback=False).ways_out(local[0]) == both | {cloud[0].key}
    local[0].provider.local_only = True
    assert CandidatePool(tiers).ways_out(local[0]) == both | {cloud[0].key}


def test_when_somebody_may_be_asked_again() -> None:
    made = candidates(2)
    for candidate, seconds in zip(made, (5.0, 3.0), strict=True):
        candidate.state.pause(seconds, 100.0)
    assert pool(made).soonest(101.0) == 2.0
    assert CandidatePool([]).soonest(0.0) == 0.0


states = st.lists(
    st.tuples(st.sampled_from(["well", "resting", "paused", "full", "tried"]), st.integers(0, 5)),
    min_size=1,
    max_size=8,
)


@given(states, st.sampled_from(NAMES), st.booleans(), st.integers(0, 99))
def test_no_strategy_returns_what_is_excluded(
    found: list[tuple[str, int]], strategy: str, again: bool, seed: int
) -> None:
    made = candidates(len(found))
    tried: set[str] = set()
    well: set[str] = set()
    for candidate, (state, load) in zip(made, found, strict=True):
        candidate.state.gate.in_flight = load
        match state:
            case "resting":
                candidate.state.breaker.fail(False, 100.0)
                candidate.state.resting = True
            case "paused":
                candidate.state.pause(5.0, 100.0)
            case "full":
                candidate.state.gate.limit = load
            case "tried":
                tried.add(candidate.key)
            case _:
                well.add(candidate.key)
    context = SelectionContext(100.0, again, lambda: b"a session")
    for _ in range(3):
        chosen = pool(made, strategy, seed).pick(context, tried)
        assert chosen is None if not well else chosen is not None and chosen.key in well
