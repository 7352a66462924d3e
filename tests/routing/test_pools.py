"""Candidate pools: tiers in order, and never an upstream that may not be asked."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.routing.fakes import make_candidates, start_cooldown
from trunkline.errors import UPSTREAM_ERROR, UPSTREAM_MODEL_ERROR, Kind, ProviderError
from trunkline.routing.candidates import Candidate
from trunkline.routing.pools import CandidatePool, Tier
from trunkline.routing.strategies import STRATEGIES, SelectionContext, StrategyMemory, in_order
from trunkline.routing.upstream_state import ConcurrencyGate

NOW = SelectionContext(100.0)


def make_pool(made: Sequence[Candidate], strategy: str = "round_robin", seed: int = 7) -> CandidatePool:
    return CandidatePool([Tier(made, STRATEGIES[strategy], StrategyMemory(seed), strategy)])


def picked(pool: CandidatePool, times: int, context: SelectionContext = NOW) -> list[str]:
    """The upstreams that so many requests go to."""
    chosen = [pool.pick(context) for _ in range(times)]
    return [candidate.upstream.name for candidate in chosen if candidate is not None]


def open_breaker(candidate: Candidate, now: float) -> None:
    candidate.state.record_failure(ProviderError("no"), candidate.model, False, now)


def test_tiers_are_strict() -> None:
    first, second = make_candidates(2, "one"), make_candidates(2, "two")
    pool = CandidatePool([Tier(made, STRATEGIES["priority"], StrategyMemory()) for made in (first, second)])
    assert set(picked(pool, 10)) == {"one-0", "one-1"}
    for candidate in first:
        open_breaker(candidate, 100.0)
    assert set(picked(pool, 10)) == {"two-0", "two-1"}


def test_a_full_tier_is_waited_for() -> None:
    first, second = make_candidates(2, "one"), make_candidates(1, "two")
    pool = CandidatePool([Tier(made, STRATEGIES["priority"], StrategyMemory()) for made in (first, second)])
    for candidate in first:
        candidate.state.gate = ConcurrencyGate(0)
    assert pool.pick(NOW) is None
    assert pool.busy_candidates(NOW.now) == first
    assert pool.pick(NOW, {candidate.key for candidate in first}) is second[0]
    assert pool.busy_candidates(NOW.now, {candidate.key for candidate in (*first, *second)}) == ()


def test_an_only_candidate_at_its_models_limit_is_not_picked() -> None:
    (candidate,) = make_candidates(1, gate=ConcurrencyGate(1))
    pool = make_pool([candidate])
    assert pool.only is candidate
    assert candidate.is_only
    assert pool.pick(NOW) is candidate
    candidate.acquire()
    assert pool.pick(NOW) is None
    candidate.release()
    assert pool.pick(NOW) is candidate


@pytest.mark.parametrize(
    ("keys", "left"),
    [
        (["two"], [[], ["two"]]),
        (["one", "two"], [["one"], ["two"]]),
        (["one", "two", "three"], [["one", "three"], ["two"]]),
        ([], [["one", "three"], ["two"]]),
    ],
)
def test_a_pool_is_narrowed_to_those_that_can_do_it(keys: list[str], left: list[list[str]]) -> None:
    (one, two, three) = (make_candidates(1, name)[0] for name in ("one", "two", "three"))
    tiers = [Tier(made, in_order, StrategyMemory(), "priority") for made in ([one, three], [two])]
    pool = CandidatePool(tiers, fallback=False, route="r")
    narrowed = pool.narrowed({f"{name}/{name}-0/m" for name in keys})
    assert [[each.provider.name for each in tier.candidates] for tier in narrowed.tiers] == [
        each for each in left if each
    ]
    assert (narrowed.fallback, narrowed.route) == (False, "r")
    assert {tier.strategy_name for tier in narrowed.tiers} == {"priority"}


@pytest.mark.parametrize(
    ("missing", "everywhere"),
    [
        ([], False),
        ([("one", "m")], False),
        ([("one", "m"), ("two", "other")], False),
        ([("two", "m"), ("one", "m")], True),
    ],
)
def test_whether_nobody_has_the_model(missing: list[tuple[str, str]], everywhere: bool) -> None:
    first, second = make_candidates(2, "one"), make_candidates(1, "two")
    pool = CandidatePool([Tier(made, in_order, StrategyMemory()) for made in (first, second)])
    pool.missing = tuple(missing)
    assert pool.is_all_missing is everywhere


@pytest.mark.parametrize(
    ("kinds", "tried", "found"),
    [
        ([UPSTREAM_MODEL_ERROR, UPSTREAM_MODEL_ERROR], [], 0),
        ([UPSTREAM_ERROR, UPSTREAM_MODEL_ERROR], [], 1),
        ([UPSTREAM_MODEL_ERROR, UPSTREAM_MODEL_ERROR], [0], 1),
        ([UPSTREAM_MODEL_ERROR, UPSTREAM_ERROR], [0], None),
        ([UPSTREAM_ERROR, UPSTREAM_ERROR], [], None),
    ],
)
def test_the_last_resort_is_a_server_that_tells_its_failures_itself(
    kinds: list[Kind], tried: list[int], found: int | None
) -> None:
    made = make_candidates(2)
    for candidate, kind in zip(made, kinds, strict=True):
        candidate.state.record_failure(ProviderError("no", kind), "m", False, 100.0)
    pool = make_pool(made)
    keys = {made[number].key for number in tried}
    assert pool.last_resort(100.0, keys) is (None if found is None else made[found])
    if found is not None:
        assert pool.last_resort(100.0, keys, made[found]) is None  # what comes before it counts
        made[found].state.gate.limit = 0
        assert pool.last_resort(100.0, {*keys, *(each.key for each in made[:found])}) is not made[found]


@pytest.mark.parametrize(
    ("providers", "route", "saves"),
    [
        (["ollama", "cloud"], None, True),
        (["ollama", "cloud"], "r", False),
        (["ollama", "custom"], None, False),
        (["cloud", "other"], None, False),
    ],
)
def test_whether_a_pool_may_save_money(providers: list[str], route: str | None, saves: bool) -> None:
    tiers = [Tier(make_candidates(1, name), in_order, StrategyMemory()) for name in providers]
    assert CandidatePool(tiers, route=route).saves is saves


def test_candidates_excluded_after_a_failure() -> None:
    local, cloud = make_candidates(2, "ollama"), make_candidates(1, "cloud")
    tiers = [Tier(local, in_order, StrategyMemory()), Tier(cloud, in_order, StrategyMemory())]
    own = {local[0].key}
    assert CandidatePool(tiers).excluded_after(local[0]) == own
    assert CandidatePool(tiers, fallback=False).excluded_after(local[0]) == own | {cloud[0].key}
    assert CandidatePool(tiers).excluded_after(local[0], "free") == own | {cloud[0].key}
    assert CandidatePool(tiers, route="r").excluded_after(local[0], "free") == own
    cloud[0].costs = False
    assert CandidatePool(tiers).excluded_after(local[0], "free") == own
    local[0].provider.local_only = True
    assert CandidatePool(tiers).excluded_after(local[0]) == own | {cloud[0].key}


def test_the_order_runs_through_all_tiers_and_leaves_out_what_may_not_be_asked() -> None:
    first, second = make_candidates(3, "one"), make_candidates(1, "two")
    pool = CandidatePool([Tier(made, in_order, StrategyMemory()) for made in (first, second)])
    assert pool.order(NOW) == [*first, *second]
    open_breaker(first[1], 100.0)
    assert pool.order(NOW) == [first[0], first[2], *second]


def test_the_order_after_a_failure_is_by_priority_under_the_weighted_strategy() -> None:
    made = make_candidates(4)
    for candidate, priority in zip(made, (0, 3, 2, 1), strict=True):
        candidate.priority = priority
    assert make_pool(made, "weighted").order(NOW) == [made[0], made[3], made[2], made[1]]


@pytest.mark.parametrize("session", [None, b"a session"])
@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_the_order_leaves_a_strategys_memory_as_it_was(strategy: str, session: bytes | None) -> None:
    made = make_candidates(5)
    pool, untouched = make_pool(made, strategy), make_pool(made, strategy)
    memory, context = pool.tiers[0].memory, SelectionContext(100.0, session=lambda: session)

    def remembered() -> tuple[object, ...]:
        return memory.cursor, dict(memory.current_weights), memory.rng.getstate()

    for _ in range(7):
        before = remembered()
        order = pool.order(context)
        assert pool.order(context) == order
        assert remembered() == before
        picks = [each.pick(context) for each in (pool, untouched)]
        assert picks == [order[0]] * 2
    assert {candidate.key for candidate in order} == {candidate.key for candidate in made}


outages = st.lists(
    st.tuples(st.sampled_from(["well", "open", "cooldown", "full", "tried"]), st.integers(0, 5)),
    min_size=1,
    max_size=8,
)


@given(outages, st.sampled_from(sorted(STRATEGIES)), st.booleans(), st.integers(0, 99))
def test_no_strategy_returns_what_is_excluded(
    states: list[tuple[str, int]], strategy: str, after_failure: bool, seed: int
) -> None:
    made = make_candidates(len(states))
    tried: set[str] = set()
    well: set[str] = set()
    for candidate, (state, load) in zip(made, states, strict=True):
        candidate.state.gate.in_flight = load
        match state:
            case "open":
                open_breaker(candidate, 100.0)
            case "cooldown":
                start_cooldown(candidate, 5.0, 100.0)
            case "full":
                candidate.state.gate.limit = load
            case "tried":
                tried.add(candidate.key)
            case _:
                well.add(candidate.key)
    context = SelectionContext(100.0, made[0] if after_failure else None, lambda: b"a session")
    for _ in range(3):
        chosen = make_pool(made, strategy, seed).pick(context, tried)
        assert chosen is None if not well else chosen is not None and chosen.key in well
