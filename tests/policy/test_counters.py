"""Counters in memory, on a clock that the tests set: rates, concurrency limits and budgets."""

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
from trunkline.policy.rules import Budget, CounterKey, CounterRule

Take = tuple[float, int, float]
"""A time, an amount, and the seconds to wait (0: granted)."""

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
def test_a_rate_grants_its_limit(limit: int, per_s: float, takes: Sequence[Take], start: float) -> None:
    rate = RateCounter(limit, per_s)
    found = [rate.take(amount, start + now) for now, amount, _ in takes]
    assert found == pytest.approx([wait for _, _, wait in takes], abs=1e-5)


@given(
    limit=st.integers(1, 60),
    per_s=st.sampled_from([1.0, 60.0, 86400.0]),
    start=st.sampled_from([0.0, 1.7e9]),
    steps=st.lists(st.tuples(st.integers(0, 64), st.integers(1, 60)), max_size=40),
)
def test_no_window_grants_more_than_the_limit_and_every_wait_ends_in_a_grant(
    limit: int, per_s: float, start: float, steps: list[tuple[int, int]]
) -> None:
    rate, now = RateCounter(limit, per_s), start
    granted: list[tuple[float, int]] = []
    for pause, wanted in steps:
        now += pause * per_s / 256
        amount = min(wanted, limit)
        before = rate.remaining(now)[0]
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


def test_what_time_has_refilled_is_not_refunded_again() -> None:
    rate = RateCounter(60_000, 60.0)
    numbers = []
    for minute in range(5):
        assert rate.take(60_000, minute * 60.0) == GRANTED
        numbers.append(rate.take_number)
    granted = 0
    for number in numbers:
        rate.settle(60_000, 0, 240.0, number)
        granted += rate.take(60_000, 240.0) == GRANTED
    assert granted == 1


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_under_load_a_refund_is_given_back_in_full(order: Sequence[int]) -> None:
    """However long the requests run, time has not refilled their part of the debt yet."""
    rate, numbers = RateCounter(100, 100.0), []
    assert rate.take(40, 0.0) == GRANTED
    for _ in order:
        assert rate.take(20, 0.0) == GRANTED
        numbers.append(rate.take_number)
    for index in order:
        rate.settle(20, 5, 30.0, numbers[index])
    assert rate.remaining(30.0)[0] == 100 - 40 - 3 * 5 + 30


Step = tuple[int, int, int, int]
"""A pause; an amount to take; the maximum number of running requests; and a number that chooses which of them
end, and what share of their amounts they used."""
RATE_STEPS = st.lists(
    st.tuples(st.integers(0, 40), st.integers(1, 64), st.integers(0, 6), st.integers(0, 99)), max_size=60
)


def run_requests(
    rate: RateCounter, steps: Sequence[Step], may_exceed: bool
) -> tuple[float, list[list[float]]]:
    """Begin and end requests in any order.

    Returns:
        The time after them, and for each request when it was granted and how much it used.
    """
    now, granted, running = 0.0, [], []
    for pause, amount, max_running, chosen in steps:
        now += pause
        if rate.take(amount, now) == GRANTED:
            granted.append([now, float(amount)])
            running.append((granted[-1], amount, rate.take_number))
        while len(running) > max_running:
            entry, taken, number = running.pop(chosen % len(running))
            used = taken * (chosen % 10) // (5 if may_exceed else 10)
            rate.settle(taken, used, now, number)
            entry[1] = float(used)
    return now, granted


@given(steps=RATE_STEPS)
def test_no_window_grants_more_than_the_limit_after_refunds(steps: list[Step]) -> None:
    _, granted = run_requests(RateCounter(64, 64.0), steps, may_exceed=False)
    for first, (began, _) in enumerate(granted):
        total = 0.0
        for ended, amount in granted[first:]:
            total += amount
            assert total <= 64 + (ended - began) + 1e-5


@given(steps=RATE_STEPS, may_exceed=st.booleans())
@pytest.mark.parametrize("refund_steps", [64, math.inf])
def test_a_refund_has_the_same_effect_as_a_smaller_take(
    refund_steps: float, steps: list[Step], may_exceed: bool
) -> None:
    """A refund is never too large. With the finest resolution, and nothing used beyond the takes, it is
    exact."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counters, "REFUND_STEPS", refund_steps)
        rate = RateCounter(64, 64.0)
    now, granted = run_requests(rate, steps, may_exceed)
    debt, last = 0.0, 0.0
    for began, amount in granted:
        debt, last = max(0.0, debt - (began - last)) + amount, began
    debt = max(0.0, debt - (now - last))
    found = rate.remaining(now)[1]
    assert found >= debt - 1e-6
    if refund_steps == math.inf and not may_exceed:
        assert found == pytest.approx(debt, abs=1e-6)


def test_a_rate_under_load_remembers_few_takes() -> None:
    rate, running, now = RateCounter(1_000_000, 60.0), [], 0.0
    for _ in range(5000):
        now += 0.0005
        if rate.take(500, now) == GRANTED:
            running.append(rate.take_number)
        if len(running) > 200:
            rate.settle(500, 20, now, running.pop(0))
    assert rate._refunds is not None
    assert len(rate._refunds._lows) <= counters.REFUND_STEPS


@given(takes=st.lists(st.integers(1, 10), max_size=20), now=st.integers(0, 100))
def test_a_take_that_is_given_back_at_once_has_no_effect(takes: list[int], now: int) -> None:
    rate = RateCounter(10, 10.0)
    rate.take(4, 0.0)
    before = rate.remaining(now)
    for amount in takes:
        if rate.take(amount, now) == GRANTED:
            rate.settle(amount, 0, now)
    assert rate.remaining(now) == pytest.approx(before)


def test_what_was_used_beyond_the_take_is_owed() -> None:
    rate = RateCounter(10, 10.0)
    assert rate.take(2, 0.0) == GRANTED
    rate.settle(2, 15, 0.0)
    assert rate.remaining(0.0) == (0, 15.0)
    assert rate.take(1, 0.0) == pytest.approx(6)
    assert rate.take(1, 6.0) == GRANTED


@pytest.mark.parametrize("back", [0.5, 3600.0])
def test_a_clock_that_is_set_back_does_not_delay_grants(back: float) -> None:
    rate = RateCounter(60, 60.0)
    assert rate.take(50, 10_000.0) == GRANTED
    now = 10_000.0 - back
    assert [rate.take(5, now), rate.take(5, now)] == [GRANTED, GRANTED]
    assert rate.take(1, now) == pytest.approx(1.0)


def test_what_remains_of_a_rate() -> None:
    rate = RateCounter(3, 60.0)
    assert rate.remaining(5.0) == (3, 0.0)
    rate.take(1, 5.0)
    assert rate.remaining(5.0) == (2, 20.0)
    assert rate.remaining(15.0) == (2, 10.0)
    assert rate.remaining(25.0) == (3, 0.0)


def test_a_changed_limit_keeps_what_was_counted() -> None:
    rate = RateCounter(60, 60.0)
    assert rate.take(60, 0.0) == GRANTED
    rate.limit = 120
    assert rate.limit == 120
    assert rate.take(1, 0.0) == pytest.approx(0.5)
    assert rate.take(1, 0.5) == GRANTED


async def test_rates_and_concurrency_limits_need_no_refill() -> None:
    for counter in (RateCounter(1, 1.0), ConcurrencyCounter(1)):
        await counter.refill(1)
        assert counter.take(1, 0.0) == GRANTED


TakeOrSettle = tuple[bool, int, int]
"""Whether to take; the amount to take; and the amount used, which also chooses the reservation to settle."""
TAKES_AND_SETTLES = st.lists(st.tuples(st.booleans(), st.integers(1, 30), st.integers(0, 50)), max_size=60)


@given(limit=st.integers(1, 20), steps=TAKES_AND_SETTLES)
def test_a_concurrency_counter_always_balances(limit: int, steps: list[TakeOrSettle]) -> None:
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
        assert slots.remaining(0.0) == (limit - under_way, 0.0)
    slots.settle(under_way, 0, 0.0)
    assert slots.taken == 0


def test_a_concurrency_limit_that_is_lowered() -> None:
    slots = ConcurrencyCounter(3)
    assert [slots.take(1, 0.0) for _ in range(4)] == [GRANTED, GRANTED, GRANTED, 1.0]
    slots.limit = 1
    assert slots.remaining(0.0) == (0, 0.0)
    slots.settle(1, 0, 0.0)
    slots.settle(1, 0, 0.0)
    assert slots.take(1, 0.0) == 1.0
    slots.settle(1, 0, 0.0)
    assert slots.take(1, 0.0) == GRANTED


@given(limit=st.integers(1, 200), hard=st.booleans(), steps=TAKES_AND_SETTLES)
def test_a_budget_always_balances(limit: int, hard: bool, steps: list[TakeOrSettle]) -> None:
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
        assert budget_counter.remaining(0.0)[0] == max(0, limit - spent - sum(reserved))
    for taken in reserved:
        budget_counter.settle(taken, 0, 0.0)
    assert (budget_counter.reserved, budget_counter.spent) == (0, spent)


@given(
    count=st.integers(1, 40),
    each=st.integers(1, 1000),
    rest=st.integers(0, 999),
    settled=st.lists(st.booleans(), min_size=40, max_size=40),
)
def test_a_budget_for_n_requests_grants_n(count: int, each: int, rest: int, settled: list[bool]) -> None:
    """Whether earlier requests have ended or not."""
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
        (0, 9, 2, 1.0),  # another request may give some back
        (5, 5, 1, 1.0),
    ],
)
def test_when_to_take_from_a_budget_again(spent: int, reserved: int, amount: int, wait: float) -> None:
    budget_counter = BudgetCounter(10, 200.0)
    budget_counter.spent, budget_counter.reserved = spent, reserved
    assert budget_counter.take(amount, 100.0) == wait
    assert budget_counter.remaining(100.0)[1] == 100.0


def test_a_budget_at_the_end_of_its_period() -> None:
    budget_counter = BudgetCounter(1, 200.0)
    assert budget_counter.take(2, 300.0) == 0.001
    assert budget_counter.remaining(300.0) == (1, 0.0)


async def test_a_budget_reads_what_was_spent_before_once() -> None:
    reads, answer = 0, asyncio.Event()

    async def load() -> int:
        nonlocal reads
        reads += 1
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
    before = reads
    await budget_counter.refill(1)
    assert (budget_counter.spent, reads) == (7, before)


async def test_a_budget_reads_again_after_an_error() -> None:
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
    rule = Budget("key", "*", "tokens", amount, "day", warn_at=warn_at)
    return CounterRule(CounterKey("key", "k", "used", "day"), amount, rule)


def test_warnings_are_due_at_the_threshold_and_at_the_limit() -> None:
    budget_counter = BudgetCounter(100, math.inf)
    assert budget_counter.warning_due_at == math.inf
    budget_counter.set_rule(rule(), 0.8)
    warned = []
    for _ in range(13):
        budget_counter.settle(0, 10, 0.0)
        if budget_counter.spent >= budget_counter.warning_due_at:
            assert budget_counter.advance_warning() == rule()
            warned.append(budget_counter.spent)
    assert warned == [80, 100]


def test_one_charge_beyond_both_thresholds_makes_one_warning_due() -> None:
    budget_counter = BudgetCounter(100, math.inf)
    budget_counter.set_rule(rule(), 0.8)
    budget_counter.settle(0, 130, 0.0)
    assert budget_counter.spent >= budget_counter.warning_due_at
    budget_counter.advance_warning()
    assert budget_counter.warning_due_at == math.inf


@pytest.mark.parametrize(("spent", "due_at"), [(0, 50), (49, 50), (50, 100), (99, 100), (100, math.inf)])
def test_a_rule_that_is_set_late_warns_at_the_next_threshold(spent: int, due_at: float) -> None:
    budget_counter = BudgetCounter(100, math.inf)
    budget_counter.spent = spent
    budget_counter.set_rule(rule(), 0.5)
    assert budget_counter.warning_due_at == due_at


def test_only_another_rule_resets_the_warning() -> None:
    budget_counter = BudgetCounter(100, math.inf)
    budget_counter.set_rule(rule(), 0.8)
    budget_counter.spent = 90
    budget_counter.advance_warning()
    budget_counter.set_rule(rule(), 0.8)
    assert budget_counter.warning_due_at == 100
    budget_counter.limit = 1000
    budget_counter.set_rule(rule(1000), 0.8)
    assert budget_counter.warning_due_at == 800
