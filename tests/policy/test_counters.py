"""Rates, slots and purses on a clock that tests wind."""

from __future__ import annotations

import asyncio
import copy
import math
from collections.abc import Sequence
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.policy import counters
from trunkline.policy.counters import GRANTED, NEEDS_REFILL, BudgetCounter, ConcurrencyCounter, RateCounter
from trunkline.policy.rules import BudgetRule, CounterKey, CounterRule

Take = tuple[float, int, float]
"""When, how much, and the seconds to wait (0: granted)."""

CASES: dict[str, tuple[int, float, Sequence[Take]]] = {
    "all at once, then one after another": (
        3,
        60.0,
        [(0, 1, 0), (0, 1, 0), (0, 1, 0), (0, 1, 20), (5, 1, 15), (20, 1, 0), (20, 1, 20), (40, 1, 0)],
    ),
    "in one piece": (3, 60.0, [(0, 3, 0), (0, 1, 20), (0, 3, 60), (59, 3, 1), (60, 3, 0)]),
    "a large piece waits longer than a small one": (10, 10.0, [(0, 8, 0), (0, 5, 3), (0, 2, 0), (1, 1, 0)]),
    "a refusal takes nothing": (2, 2.0, [(0, 2, 0), (0, 2, 2), (0, 2, 2), (2, 2, 0)]),
    "idleness saves no more than the limit": (2, 2.0, [(0, 1, 0), (1000, 2, 0), (1000, 1, 1)]),
    "more than the limit, when all of it is there": (3, 60.0, [(0, 6, 0), (0, 1, 80), (80, 1, 0)]),
    "more than the limit, when some is gone": (3, 60.0, [(0, 1, 0), (0, 6, 20), (19, 6, 1), (20, 6, 0)]),
    "one a day": (1, 86400.0, [(10, 1, 0), (11, 1, 86399), (86410, 1, 0)]),
}


@pytest.mark.parametrize(("limit", "per_s", "takes"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("start", [0.0, 1.7e9])
def test_a_rate(limit: int, per_s: float, takes: Sequence[Take], start: float) -> None:
    rate = RateCounter(limit, per_s)
    found = [rate.take(amount, start + now) for now, amount, _ in takes]
    assert found == pytest.approx([wait for _, _, wait in takes], abs=1e-5)


@given(
    limit=st.integers(1, 60),
    per_s=st.sampled_from([1.0, 60.0, 86400.0]),
    start=st.sampled_from([0.0, 1.7e9]),
    steps=st.lists(st.tuples(st.integers(0, 64), st.integers(1, 60)), max_size=40),
)
def test_no_window_grants_more_and_no_wait_is_in_vain(
    limit: int, per_s: float, start: float, steps: list[tuple[int, int]]
) -> None:
    rate, now = RateCounter(limit, per_s), start
    granted: list[tuple[float, int]] = []
    for pause, wanted in steps:
        now += pause * per_s / 256
        amount = min(wanted, limit)
        before = rate.left(now)[0]
        wait = rate.take(amount, now)
        if wait == GRANTED:
            granted.append((now, amount))
            assert before >= amount
            continue
        assert before < amount
        assert 0 < wait <= per_s
        later = copy.copy(rate)
        assert later.take(amount, now + wait) == GRANTED
    for first, (began, _) in enumerate(granted):
        total = 0
        for ended, amount in granted[first:]:
            total += amount
            assert total <= limit + (ended - began + 1e-5) * limit / per_s


def test_what_time_has_given_back_is_not_given_back_again() -> None:
    rate = RateCounter(60_000, 60.0)
    turns = []
    for minute in range(5):
        assert rate.take(60_000, minute * 60.0) == GRANTED
        turns.append(rate.turn)
    granted = 0
    for turn in turns:
        rate.settle(60_000, 0, 240.0, turn)
        granted += rate.take(60_000, 240.0) == GRANTED
    assert granted == 1


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_under_load_all_of_a_refund_is_given_back(order: Sequence[int]) -> None:
    """However long the requests run: time has not come to their part of the debt yet."""
    rate, turns = RateCounter(100, 100.0), []
    assert rate.take(40, 0.0) == GRANTED
    for _ in order:
        assert rate.take(20, 0.0) == GRANTED
        turns.append(rate.turn)
    for at in order:
        rate.settle(20, 5, 30.0, turns[at])
    assert rate.left(30.0)[0] == 100 - 40 - 3 * 5 + 30


Asked = tuple[int, int, int, int]
"""A pause, how much is taken, the most that may be under way, and who ends, and to which share of it."""
ASKED = st.lists(
    st.tuples(st.integers(0, 40), st.integers(1, 64), st.integers(0, 6), st.integers(0, 99)), max_size=60
)


def play(rate: RateCounter, asked: Sequence[Asked], owed: bool) -> tuple[float, list[list[float]]]:
    """Requests, begun and ended in any order: the time after them, and when how much was taken, less what was
    settled later."""
    now, kept, running = 0.0, [], []
    for pause, amount, most, chosen in asked:
        now += pause
        if rate.take(amount, now) == GRANTED:
            kept.append([now, float(amount)])
            running.append((kept[-1], amount, rate.turn))
        while len(running) > most:
            entry, taken, turn = running.pop(chosen % len(running))
            used = taken * (chosen % 10) // (5 if owed else 10)
            rate.settle(taken, used, now, turn)
            entry[1] = float(used)
    return now, kept


@given(asked=ASKED)
def test_no_window_gives_more_than_the_limit_after_refunds(asked: list[Asked]) -> None:
    _, kept = play(RateCounter(64, 64.0), asked, owed=False)
    for first, (began, _) in enumerate(kept):
        total = 0.0
        for ended, amount in kept[first:]:
            total += amount
            assert total <= 64 + (ended - began) + 1e-5


@given(asked=ASKED, owed=st.booleans())
@pytest.mark.parametrize("grains", [64, math.inf])
def test_a_refund_leaves_what_would_be_left_had_it_not_been_taken(
    grains: float, asked: list[Asked], owed: bool
) -> None:
    """Never more; with the finest grains, and nothing owed, never less either."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counters, "GRAINS", grains)
        rate = RateCounter(64, 64.0)
    now, kept = play(rate, asked, owed)
    debt, seen = 0.0, 0.0
    for at, amount in kept:
        debt, seen = max(0.0, debt - (at - seen)) + amount, at
    debt = max(0.0, debt - (now - seen))
    found = rate.left(now)[1]
    assert found >= debt - 1e-6
    if grains == math.inf and not owed:
        assert found == pytest.approx(debt, abs=1e-6)


def test_what_is_remembered_of_a_rate_under_load_is_little() -> None:
    rate, running, now = RateCounter(1_000_000, 60.0), [], 0.0
    for _ in range(5000):
        now += 0.0005
        if rate.take(500, now) == GRANTED:
            running.append(rate.turn)
        if len(running) > 200:
            rate.settle(500, 20, now, running.pop(0))
    assert rate._ebb is not None
    assert len(rate._ebb._lows) <= counters.GRAINS


@given(takes=st.lists(st.integers(1, 10), max_size=20), now=st.integers(0, 100))
def test_what_is_given_back_at_once_was_never_taken(takes: list[int], now: int) -> None:
    rate = RateCounter(10, 10.0)
    rate.take(4, 0.0)
    before = rate.left(now)
    for amount in takes:
        if rate.take(amount, now) == GRANTED:
            rate.settle(amount, 0, now)
    assert rate.left(now) == pytest.approx(before)


def test_what_was_used_beyond_the_estimate_is_owed() -> None:
    rate = RateCounter(10, 10.0)
    assert rate.take(2, 0.0) == GRANTED
    rate.settle(2, 15, 0.0)
    assert rate.left(0.0) == (0, 15.0)
    assert rate.take(1, 0.0) == pytest.approx(6)
    assert rate.take(1, 6.0) == GRANTED


@pytest.mark.parametrize("back", [0.5, 3600.0])
def test_a_clock_that_is_set_back_locks_nobody_out(back: float) -> None:
    rate = RateCounter(60, 60.0)
    assert rate.take(50, 10_000.0) == GRANTED
    now = 10_000.0 - back
    assert [rate.take(5, now), rate.take(5, now)] == [GRANTED, GRANTED]
    assert rate.take(1, now) == pytest.approx(1.0)


def test_what_is_left_of_a_rate() -> None:
    rate = RateCounter(3, 60.0)
    assert rate.left(5.0) == (3, 0.0)
    rate.take(1, 5.0)
    assert rate.left(5.0) == (2, 20.0)
    assert rate.left(15.0) == (2, 10.0)
    assert rate.left(25.0) == (3, 0.0)


def test_a_rate_that_is_set_anew_keeps_what_was_counted() -> None:
    rate = RateCounter(60, 60.0)
    assert rate.take(60, 0.0) == GRANTED
    rate.limit = 120
    assert rate.limit == 120
    assert rate.take(1, 0.0) == pytest.approx(0.5)
    assert rate.take(1, 0.5) == GRANTED


async def test_a_rate_and_slots_know_everything() -> None:
    for counter in (RateCounter(1, 1.0), ConcurrencyCounter(1)):
        await counter.refill(1)
        assert counter.take(1, 0.0) == GRANTED


Step = tuple[bool, int, int]
"""Take so much; or settle, for so much, the reservation that this number chooses."""
STEPS = st.lists(st.tuples(st.booleans(), st.integers(1, 30), st.integers(0, 50)), max_size=60)


@given(limit=st.integers(1, 20), steps=STEPS)
def test_slots_always_balance(limit: int, steps: list[Step]) -> None:
    slots, under_way = ConcurrencyCounter(limit), 0
    for takes, _, _ in steps:
        if takes:
            wait = slots.take(1, 0.0)
            assert (wait == GRANTED) == (under_way < limit)
            under_way += wait == GRANTED
        elif under_way:
            slots.settle(1, 0, 0.0)
            under_way -= 1
        assert slots.taken == under_way
        assert slots.left(0.0) == (limit - under_way, 0.0)
    slots.settle(under_way, 0, 0.0)
    assert slots.taken == 0


def test_slots_that_are_fewer_now() -> None:
    slots = ConcurrencyCounter(3)
    assert [slots.take(1, 0.0) for _ in range(4)] == [GRANTED, GRANTED, GRANTED, 1.0]
    slots.limit = 1
    assert slots.left(0.0) == (0, 0.0)
    slots.settle(1, 0, 0.0)
    slots.settle(1, 0, 0.0)
    assert slots.take(1, 0.0) == 1.0
    slots.settle(1, 0, 0.0)
    assert slots.take(1, 0.0) == GRANTED


@given(limit=st.integers(1, 200), hard=st.booleans(), steps=STEPS)
def test_a_purse_always_balances(limit: int, hard: bool, steps: list[Step]) -> None:
    budget_counter = BudgetCounter(limit, math.inf, hard=hard)
    reserved: list[int] = []
    spent = 0
    for takes, amount, used in steps:
        if takes:
            fits = spent + sum(reserved) + amount <= limit
            granted = budget_counter.take(amount, 0.0) == GRANTED
            assert granted == (fits or not hard)
            if granted:
                reserved.append(amount)
        elif reserved:
            taken = reserved.pop(used % len(reserved))
            budget_counter.settle(taken, used, 0.0)
            spent += used
        assert (budget_counter.reserved, budget_counter.spent) == (sum(reserved), spent)
        assert budget_counter.left(0.0)[0] == max(0, limit - spent - sum(reserved))
    for taken in reserved:
        budget_counter.settle(taken, 0, 0.0)
    assert (budget_counter.reserved, budget_counter.spent) == (0, spent)


@given(
    count=st.integers(1, 40),
    each=st.integers(1, 1000),
    rest=st.integers(0, 999),
    settled=st.lists(st.booleans(), min_size=40, max_size=40),
)
def test_a_purse_for_n_requests_admits_n(count: int, each: int, rest: int, settled: list[bool]) -> None:
    """Whether those before have ended or not."""
    budget_counter = BudgetCounter(count * each + rest % each, math.inf)
    for ended in settled[:count]:
        assert budget_counter.take(each, 0.0) == GRANTED
        if ended:
            budget_counter.settle(each, each, 0.0)
    assert budget_counter.take(each, 0.0) > 0


@pytest.mark.parametrize(
    ("spent", "reserved", "amount", "wait"),
    [
        (0, 0, 10, GRANTED),
        (9, 0, 1, GRANTED),
        (9, 0, 2, 100.0),  # no sooner than the period ends
        (10, 0, 1, 100.0),
        (0, 0, 11, 100.0),
        (0, 9, 2, 1.0),  # somebody may give back
        (5, 5, 1, 1.0),
    ],
)
def test_when_a_purse_is_to_be_asked_again(spent: int, reserved: int, amount: int, wait: float) -> None:
    budget_counter = BudgetCounter(10, 200.0)
    budget_counter.spent, budget_counter.reserved = spent, reserved
    assert budget_counter.take(amount, 100.0) == wait
    assert budget_counter.left(100.0)[1] == 100.0


def test_a_purse_at_the_end_of_its_period() -> None:
    budget_counter = BudgetCounter(1, 200.0)
    assert budget_counter.take(2, 300.0) == 0.001
    assert budget_counter.left(300.0) == (1, 0.0)


async def test_a_purse_learns_what_was_spent_before_once() -> None:
    asked, answer = 0, asyncio.Event()

    async def load() -> int:
        nonlocal asked
        asked += 1
        await answer.wait()
        return 7

    budget_counter = BudgetCounter(10, math.inf, load=load)
    assert budget_counter.take(3, 0.0) == NEEDS_REFILL
    assert budget_counter.reserved == 0
    refills = [asyncio.create_task(budget_counter.refill(3)) for _ in range(3)]
    await asyncio.sleep(0)
    answer.set()
    await asyncio.gather(*refills)
    assert budget_counter.spent == 7
    assert budget_counter.take(3, 0.0) == GRANTED
    assert budget_counter.take(1, 0.0) > 0
    before = asked
    await budget_counter.refill(1)
    assert (budget_counter.spent, asked) == (7, before)


async def test_a_purse_that_could_not_learn_asks_again() -> None:
    answers: list[int | Exception] = [OSError("away"), 4]

    async def load() -> int:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    budget_counter = BudgetCounter(10, math.inf, load=load)
    with pytest.raises(OSError, match="away"):
        await budget_counter.refill(1)
    assert budget_counter.take(1, 0.0) == NEEDS_REFILL
    await budget_counter.refill(1)
    assert budget_counter.spent == 4


def rule(amount: int = 100, warn_at: float = 0.8) -> CounterRule:
    rule = BudgetRule("key", "*", "tokens", amount, "day", warn_at=warn_at)
    return CounterRule(CounterKey("key", "k", "used", "day"), amount, rule)


def test_an_alarm_rings_at_the_mark_and_at_the_end() -> None:
    budget_counter = BudgetCounter(100, math.inf)
    assert budget_counter.alarm == math.inf
    budget_counter.watch(rule(), 0.8)
    rung = []
    for _ in range(13):
        budget_counter.settle(0, 10, 0.0)
        if budget_counter.spent >= budget_counter.alarm:
            assert budget_counter.ring() == rule()
            rung.append(budget_counter.spent)
    assert rung == [80, 100]


def test_one_leap_over_both_marks_rings_once() -> None:
    budget_counter = BudgetCounter(100, math.inf)
    budget_counter.watch(rule(), 0.8)
    budget_counter.settle(0, 130, 0.0)
    assert budget_counter.spent >= budget_counter.alarm
    budget_counter.ring()
    assert budget_counter.alarm == math.inf


@pytest.mark.parametrize(("spent", "alarm"), [(0, 50), (49, 50), (50, 100), (99, 100), (100, math.inf)])
def test_a_watch_that_begins_late(spent: int, alarm: float) -> None:
    budget_counter = BudgetCounter(100, math.inf)
    budget_counter.spent = spent
    budget_counter.watch(rule(), 0.5)
    assert budget_counter.alarm == alarm


def test_only_another_rule_sets_the_alarm_anew() -> None:
    budget_counter = BudgetCounter(100, math.inf)
    budget_counter.watch(rule(), 0.8)
    budget_counter.spent = 90
    budget_counter.ring()
    budget_counter.watch(rule(), 0.8)
    assert budget_counter.alarm == 100
    budget_counter.limit = 1000
    budget_counter.watch(rule(1000), 0.8)
    assert budget_counter.alarm == 800
