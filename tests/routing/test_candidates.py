"""Pools and strategies: shares, tiers, and never an upstream that may not be asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.routing.fakes import Fake
from trunkline.routing.candidates import Choice, Pool, Tier
from trunkline.routing.prediction import Learned, Outlook
from trunkline.routing.strategies import STRATEGIES, Memory, Question, in_order
from trunkline.routing.upstream_state import Breaker, Gate, Live

NAMES = sorted(STRATEGIES)
NOW = Question(100.0)


def choices(count: int, provider: str = "ollama", **more: Any) -> list[Choice]:
    """So many upstreams of one provider."""
    fake: Any = Fake(provider, *[["m"]] * count)
    return [Choice(fake, each, "m", Live(each.name, Breaker(1)), **more) for each in fake.upstreams]


def pool(made: Sequence[Choice], strategy: str = "round_robin", seed: int = 7) -> Pool:
    return Pool([Tier(made, STRATEGIES[strategy], Memory(seed), strategy)])


def picked(found: Pool, times: int, question: Question = NOW) -> list[str]:
    """The upstreams that so many requests go to."""
    chosen = [found.pick(question) for _ in range(times)]
    return [each.upstream.name for each in chosen if each is not None]


def test_round_robin() -> None:
    counts = Counter(picked(pool(choices(3)), 2000))
    assert max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize("weights", [(80, 20), (1, 1, 1), (5, 1, 1), (7, 2, 1), (50, 50)])
def test_weights_are_shares_of_every_cycle(weights: tuple[int, ...]) -> None:
    made = choices(len(weights))
    for choice, weight in zip(made, weights, strict=True):
        choice.weight = weight
    found, cycle = pool(made, "weighted"), sum(weights)
    for _ in range(3):
        counts = Counter(picked(found, cycle))
        assert [counts[choice.upstream.name] for choice in made] == list(weights)


def test_weighted_takes_the_lowest_priority_after_a_failure() -> None:
    made = choices(3)
    for choice, priority in zip(made, (2, 1, 0), strict=True):
        choice.priority = priority
    chosen = pool(made, "weighted").pick(NOW._replace(again=True), {made[2].key})
    assert chosen is made[1]


def test_tiers_are_strict() -> None:
    first, second = choices(2, "one"), choices(2, "two")
    found = Pool([Tier(made, STRATEGIES["priority"], Memory()) for made in (first, second)])
    assert set(picked(found, 10)) == {"one-0", "one-1"}
    for choice in first:
        choice.live.breaker.fail(False, 100.0)
        choice.live.resting = True
    assert set(picked(found, 10)) == {"two-0", "two-1"}


def test_a_full_tier_is_waited_for() -> None:
    first, second = choices(2, "one"), choices(1, "two")
    found = Pool([Tier(made, STRATEGIES["priority"], Memory()) for made in (first, second)])
    for choice in first:
        choice.live.gate = Gate(0)
    assert found.pick(NOW) is None
    assert found.full(NOW.now) == first
    assert found.pick(NOW, {choice.key for choice in first}) is second[0]
    assert found.full(NOW.now, {choice.key for choice in (*first, *second)}) == ()


def test_a_models_own_limit() -> None:
    (choice,) = choices(1, gate=Gate(1))
    found = pool([choice])
    assert found.only is choice
    gate = choice.gate
    assert gate is not None
    free = []
    for count in (0, 1):
        gate.in_flight = count
        free.append(choice.is_free)
    assert free == [True, False]
    assert found.pick(NOW) is None


def test_in_order() -> None:
    made = choices(3)
    found = Pool([Tier(made, in_order, Memory())])
    assert picked(found, 3) == ["ollama-0"] * 3
    assert [each.upstream.name for each in found.order(NOW)] == ["ollama-0", "ollama-1", "ollama-2"]


def test_the_least_busy_for_its_weight() -> None:
    made = choices(3)
    for choice, (load, weight) in zip(made, ((2, 1), (3, 2), (5, 2)), strict=True):
        choice.live.gate.in_flight, choice.weight = load, weight
    assert set(picked(pool(made, "least_busy"), 5)) == {"ollama-1"}
    for choice in made:
        choice.live.gate.in_flight = 0
        choice.weight = 1.0
    assert Counter(picked(pool(made, "least_busy"), 9)) == {"ollama-0": 3, "ollama-1": 3, "ollama-2": 3}


def test_the_lower_latency_of_two() -> None:
    made = choices(2)
    made[0].live.latency.add(0.5, 0.0)
    made[1].live.latency.add(0.1, 0.0)
    assert set(picked(pool(made, "lowest_latency"), 20)) == {"ollama-1"}
    made[1].live.gate.in_flight = 9
    assert set(picked(pool(made, "lowest_latency"), 20)) == {"ollama-0"}


def test_the_cheapest() -> None:
    made = choices(3)
    for choice, price in zip(made, (2.0, 0.0, float("inf")), strict=True):
        choice.price = price
    assert set(picked(pool(made, "cost"), 5)) == {"ollama-1"}


def test_random_reaches_everybody() -> None:
    counts = Counter(picked(pool(choices(3), "random"), 300))
    assert min(counts.values()) > 50


def test_a_session_stays_and_only_those_of_one_that_goes_move() -> None:
    made = choices(5)
    found = pool(made, "sticky")
    sessions = [b"session %d" % at for at in range(300)]

    def homes(tried: set[str]) -> list[str]:
        chosen = [found.pick(Question(1.0, session=lambda each=each: each), tried) for each in sessions]  # type: ignore[misc]
        return [each.key for each in chosen if each is not None]

    before = homes(set())
    assert homes(set()) == before
    assert min(Counter(before).values()) > 30
    after = homes({made[2].key})
    moved = [old for old, new in zip(before, after, strict=True) if old != new]
    assert set(moved) == {made[2].key}
    made[0].live.gate.in_flight = 1
    assert picked(found, 1) != ["ollama-0"]  # without a session: the least busy


def test_predicted_wait() -> None:
    fleet = Learned()
    made = choices(3)
    resident = {"ollama-0", "ollama-1"}
    made[0].provider.resident = lambda upstream, model: upstream.name in resident  # type: ignore[method-assign]
    for choice in made:
        choice.outlook = Outlook(fleet)
    found = pool(made, "predicted_wait")
    assert set(picked(found, 4)) == resident
    for choice in made[:2]:
        assert choice.outlook is not None
        for _ in range(3):
            choice.outlook.begin("m", True, None, NOW.now)
    assert set(picked(found, 4)) <= resident  # a short line is better than to load
    for choice in made[:2]:
        assert choice.outlook is not None
        for _ in range(10):
            choice.outlook.begin("m", True, None, NOW.now)
    assert picked(found, 1) == ["ollama-2"]  # a long one is not


def test_what_a_failure_closes() -> None:
    local, cloud = choices(2, "ollama"), choices(1, "cloud")
    tiers = [Tier(local, in_order, Memory()), Tier(cloud, in_order, Memory())]
    both = {local[0].key}
    assert Pool(tiers).ways_out(local[0]) == both
    assert Pool(tiers, fallback=False).ways_out(local[0]) == both | {cloud[0].key}
    local[0].provider.local_only = True
    assert Pool(tiers).ways_out(local[0]) == both | {cloud[0].key}


def test_when_somebody_may_be_asked_again() -> None:
    made = choices(2)
    for choice, seconds in zip(made, (5.0, 3.0), strict=True):
        choice.live.pause(seconds, 100.0)
    assert pool(made).soonest(101.0) == 2.0
    assert Pool([]).soonest(0.0) == 0.0


states = st.lists(
    st.tuples(st.sampled_from(["well", "resting", "paused", "full", "tried"]), st.integers(0, 5)),
    min_size=1,
    max_size=8,
)


@given(states, st.sampled_from(NAMES), st.booleans(), st.integers(0, 99))
def test_no_strategy_returns_what_is_excluded(
    found: list[tuple[str, int]], strategy: str, again: bool, seed: int
) -> None:
    made = choices(len(found))
    tried: set[str] = set()
    well: set[str] = set()
    for choice, (state, load) in zip(made, found, strict=True):
        choice.live.gate.in_flight = load
        match state:
            case "resting":
                choice.live.breaker.fail(False, 100.0)
                choice.live.resting = True
            case "paused":
                choice.live.pause(5.0, 100.0)
            case "full":
                choice.live.gate.limit = load
            case "tried":
                tried.add(choice.key)
            case _:
                well.add(choice.key)
    question = Question(100.0, again, lambda: b"a session")
    for _ in range(3):
        chosen = pool(made, strategy, seed).pick(question, tried)
        assert chosen is None if not well else chosen is not None and chosen.key in well
