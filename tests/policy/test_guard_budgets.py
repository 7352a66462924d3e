"""Budgets: hard and soft ones, those of providers, their periods, and what was spent before the start."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import msgspec
import pytest

from tests.policy.guarding import (
    ANSWER,
    COST,
    DEAR,
    KEY,
    PROMPT,
    UNPRICED,
    UP,
    Ask,
    FakeCandidate,
    FakeProvider,
    admit,
    budget,
    headers,
    make_guard,
    prices,
    reconfigure,
    refused,
    reserve_at_provider,
    spent,
    used,
)
from trunkline.errors import (
    BUDGET_EXCEEDED,
    LIMITS_AWAY,
    NO_PRICE,
    REQUEST_OVER_BUDGET,
    CallerError,
    GatewayError,
    Kind,
)
from trunkline.model import Usage
from trunkline.policy.guard import PendingRefill, Spending
from trunkline.policy.reservations import Charge, Reservation
from trunkline.policy.rules import Budget, CounterKey, Limit


def unknown(provider: str) -> Charge:
    """A charge of seven tokens whose price is unknown."""
    return Charge(Usage(prompt_tokens=3, completion_tokens=4), False, None, None, provider)


# Budgets


@pytest.mark.parametrize(("unit", "each"), [("usd", COST), ("tokens", PROMPT + ANSWER)])
@pytest.mark.parametrize("scope", ["key", "team", "all"])
@pytest.mark.parametrize("rest", [0, 1, 29])
def test_a_hard_budget_for_n_requests_admits_n(unit: Any, each: int, scope: Any, rest: int) -> None:
    guard = make_guard(budget(7 * each + rest, unit, scope))
    reservations = [admit(guard) for _ in range(7)]
    error = refused(guard)
    assert (error.kind, error.status, error.retry_after) == (BUDGET_EXCEEDED, 429, 1.0)
    for reservation in reservations:
        guard.settle(reservation, [used(PROMPT, ANSWER)])
    assert spent(guard) == [(7 * each, 0)]
    error = refused(guard)
    assert (error.retry_after, error.advice) == (None, "false")  # there is no next period


def test_what_was_not_used_is_available_to_other_requests() -> None:
    guard = make_guard(budget(COST + 5))
    for _ in range(6):
        guard.settle(admit(guard), [used(1, 1, 1)])
    assert spent(guard) == [(6, 0)]
    error = refused(guard)
    assert (error.kind, error.retry_after, error.advice) == (REQUEST_OVER_BUDGET, None, "false")
    assert error.message == (
        "This request may cost $0.00017, more than is left of the budget of this key: $0.000169 of $0.000175 "
        "in all. Ask for less: a smaller max_tokens or a shorter prompt"
    )


@pytest.mark.parametrize(
    ("limit", "left", "kind"),
    [
        (100 * COST, 0, BUDGET_EXCEEDED),
        (100 * COST, 30, BUDGET_EXCEEDED),  # less than a hundredth, and no room for a prompt
        (100 * COST, COST - 1, REQUEST_OVER_BUDGET),
        (10 * COST, 1, BUDGET_EXCEEDED),
        (10 * COST, COST // 5, REQUEST_OVER_BUDGET),
    ],
)
@pytest.mark.parametrize("scope", ["key", "provider"])
def test_a_budget_is_used_up_where_no_prompt_fits_in_the_last_hundredth(
    limit: int, left: int, kind: Any, scope: Any
) -> None:
    guard = make_guard(budget(limit, scope=scope))
    first = admit(guard)
    if scope == "provider":
        assert guard.reserve_at_provider(first, UP.provider, UP.model) is None
    guard.settle(first, [used(0, 0, limit - left)])
    if scope == "key":
        assert refused(guard).kind is kind
    else:
        error = guard.reserve_at_provider(admit(guard), UP.provider, UP.model)
        assert isinstance(error, GatewayError)
        assert (error.kind, error.provider) == (kind, "up")


def test_an_attempt_of_unknown_cost_counts_only_its_tokens() -> None:
    guard = make_guard(budget(), budget(1000, "tokens", "all"))
    guard.settle(admit(guard), [unknown("up"), used(1, 1)])
    assert spent(guard) == [(10, 0), (9, 0)]


@pytest.mark.parametrize(
    ("rules", "max_tokens", "operation", "bound"),
    [
        ([budget()], None, "chat", ANSWER),
        ([budget(1000, "tokens")], None, "completions", ANSWER),
        ([budget(scope="provider")], None, "chat", ANSWER),
        ([budget()], 5, "chat", None),
        ([budget(hard=False)], None, "chat", None),
        ([Limit("all", "", 5)], None, "chat", None),
        ([budget()], None, "embeddings", None),
    ],
)
def test_the_bound_that_is_reserved_is_added_to_the_request(
    rules: list[Any], max_tokens: int | None, operation: Any, bound: int | None
) -> None:
    guard = make_guard(*rules)
    reservation = admit(guard, Ask(max_tokens=max_tokens, operation=operation))
    assert reservation.defaults.max_tokens == bound


def test_each_of_several_answers_may_be_as_long_as_the_bound() -> None:
    guard = make_guard(budget())
    reservation = admit(guard, Ask(max_tokens=None, n=3))
    assert (reservation.completion_tokens, reservation.defaults.max_tokens) == (3 * ANSWER, ANSWER)
    assert spent(guard) == [(0, PROMPT * 3 + 3 * ANSWER * 7)]


def test_the_cost_at_the_dearest_candidate_is_reserved() -> None:
    guard = make_guard(budget(100 * COST))
    admit(guard, Ask(candidates=(UP, DEAR)))
    assert spent(guard) == [(0, 10 * COST)]
    key = msgspec.structs.replace(KEY, providers=(frozenset({"up"}),))
    admit(guard, Ask(key, candidates=(UP, DEAR)))  # a candidate that the key may not use does not count
    assert spent(guard) == [(0, 11 * COST)]


def test_a_hard_budget_refuses_a_model_without_a_price() -> None:
    guard = make_guard(budget(), Limit("all", "", 1))
    error = refused(guard, Ask(candidates=(UNPRICED,)))
    assert (error.kind, error.status, error.param) == (NO_PRICE, 403, "model")
    assert "prices" in error.message
    admit(guard)


def test_usage_that_cannot_be_counted_has_no_price() -> None:
    other = Ask(operation="other")
    assert refused(make_guard(budget()), other).kind is NO_PRICE
    guard = make_guard(budget(hard=False))
    reservation = admit(guard, other)
    assert (reservation.prompt_tokens, reservation.completion_tokens, spent(guard)) == (0, 0, [(0, 0)])


LOCAL = FakeCandidate(FakeProvider("cellar", "ollama", local=True), "m")


def test_usage_that_cannot_be_counted_is_free_at_a_free_provider() -> None:
    guard = make_guard(budget(1))
    other = Ask(operation="other")
    assert admit(guard, other._replace(candidates=(LOCAL,))).barred == frozenset()
    assert admit(guard, other._replace(candidates=(UP, LOCAL))).barred == {"up/m"}
    assert spent(guard) == [(0, 0)]


def test_usage_that_cannot_be_counted_has_no_price_at_a_local_provider_with_prices() -> None:
    guard = make_guard(budget())
    paid = FakeCandidate(FakeProvider("up", local=True), "m")
    assert refused(guard, Ask(operation="other", candidates=(paid,))).kind is NO_PRICE


def test_candidates_without_a_price_are_barred_if_others_have_one() -> None:
    guard = make_guard(budget())
    assert admit(guard, Ask(candidates=(UNPRICED, UP))).barred == {"fog/m"}
    key = msgspec.structs.replace(KEY, providers=(frozenset({"up", "fog"}),))
    assert admit(guard, Ask(key, candidates=(UNPRICED, UP, DEAR))).barred == {"fog/m", "dear/m"}


@pytest.mark.parametrize("rule", [budget(hard=False), budget(1000, "tokens")], ids=["soft", "tokens"])
def test_soft_budgets_and_those_of_tokens_need_no_price(rule: Budget) -> None:
    guard = make_guard(rule)
    reservation = admit(guard, Ask(candidates=(UNPRICED,)))
    assert reservation.barred == frozenset()
    guard.settle(reservation, [unknown("fog")])
    assert spent(guard) == [(0 if rule.unit == "usd" else 7, 0)]


def test_local_models_cost_nothing() -> None:
    guard = make_guard(budget(1))
    for _ in range(3):
        guard.settle(admit(guard, Ask(candidates=(LOCAL,))), [used(100, 100, 0, "cellar")])
    assert spent(guard) == [(0, 0)]


@pytest.mark.parametrize("scope", ["key", "provider"])
async def test_a_soft_budget_refuses_nothing_and_warns_once(scope: Any) -> None:
    warned: list[Spending] = []
    guard = make_guard(budget(100, scope=scope, hard=False, warn_at=0.5), on_warning=warned.append)
    for _ in range(15):
        reservation = admit(guard)
        assert await reserve_at_provider(guard, reservation) is None
        guard.settle(reservation, [used(1, 1)])
    assert [(each.spent, each.budget.amount) for each in warned] == [(50, 100), (100, 100)]
    assert {each.counter_key.scope for each in warned} == {scope}
    assert spent(guard) == [(150, 0)]


def test_a_hard_budget_warns_too() -> None:
    warned: list[Spending] = []
    guard = make_guard(budget(COST + 10, warn_at=0.9), on_warning=warned.append)
    guard.settle(admit(guard), [])
    assert warned == []
    guard.settle(admit(guard), [used(PROMPT, ANSWER)])
    assert [each.spent for each in warned] == [COST]
    assert refused(guard).kind is REQUEST_OVER_BUDGET
    assert len(warned) == 1


@pytest.mark.parametrize(
    ("before", "warned"),
    [(0, [50, 100]), (49, [59, 109]), (50, [100]), (99, [109]), (100, []), (150, [])],
)
@pytest.mark.parametrize("scope", ["key", "provider"])
async def test_thresholds_that_were_reached_before_the_start_cause_no_warning(
    clock: list[float], scope: Any, before: int, warned: list[int]
) -> None:
    async def spent_before(counter_key: CounterKey, since: int) -> int:
        return before

    found: list[Spending] = []
    rule = budget(100, scope=scope, hard=False, warn_at=0.5)
    guard = make_guard(
        rule, on_warning=found.append, read_spent=spent_before, find_period=lambda per, now: (0, 5000.0)
    )
    for _ in range(15):
        reservation = await Ask().wait(guard)
        assert reservation is not None
        assert await reserve_at_provider(guard, reservation) is None
        guard.settle(reservation, [used(1, 1)])
    assert [each.spent for each in found] == warned
    assert {each.ends for each in found} <= {5000.0}


@pytest.mark.parametrize("ends", [2000.0, 1000.5])
def test_a_budget_that_is_used_up_is_renewed_in_the_next_period(clock: list[float], ends: float) -> None:
    def period(per: str, now: float) -> tuple[int, float]:
        return (0, ends) if now < ends else (int(ends), ends + 1000)

    guard = make_guard(budget(COST, per="day"), find_period=period)
    reservation = admit(guard)
    guard.settle(reservation, [used(PROMPT, ANSWER)])
    error = refused(guard)
    assert error.retry_after == ends - 1000
    assert error.advice == ("true" if ends == 1000.5 else "false")
    clock[0] = ends
    late = admit(guard)
    assert spent(guard) == [(0, COST)]
    guard.settle(late, [])
    assert spent(guard) == [(0, 0)]


def test_a_request_is_settled_in_the_period_in_which_it_began(clock: list[float]) -> None:
    def period(per: str, now: float) -> tuple[int, float]:
        return int(now // 1000 * 1000), now // 1000 * 1000 + 1000

    guard = make_guard(budget(COST, per="day"), find_period=period)
    before = admit(guard)
    clock[0] = 2000.0
    after = admit(guard)
    guard.settle(before, [used(PROMPT, ANSWER)])
    assert spent(guard) == [(0, COST)]
    guard.settle(after, [used(1, 0)])
    assert spent(guard) == [(3, 0)]


# Refills


async def test_what_was_spent_before_counts() -> None:
    reads: list[tuple[CounterKey, int]] = []

    async def before(counter_key: CounterKey, since: int) -> int:
        reads.append((counter_key, since))
        return 2 * COST

    guard = make_guard(
        Limit("key", "*", requests_per_day=3),
        budget(3 * COST, per="month"),
        read_spent=before,
        find_period=lambda per, now: (77, math.inf),
    )
    assert isinstance(Ask().ask(guard), PendingRefill)
    reservation = await Ask().wait(guard)
    assert reservation is not None
    assert reads == [(CounterKey("key", "1", "usd", "month"), 77)]
    assert spent(guard) == [(2 * COST, COST)]
    assert refused(guard).kind is BUDGET_EXCEEDED
    guard.settle(reservation, [])
    assert (
        headers(admit(guard))["x-ratelimit-remaining-requests"] == "1"
    )  # the request that was asked twice counted once


async def test_a_request_waits_for_the_refills_of_all_its_budgets() -> None:
    reads: list[str] = []

    async def before(counter_key: CounterKey, since: int) -> int:
        reads.append(counter_key.text)
        return 0

    guard = make_guard(budget(), budget(1000, "tokens", "all"), read_spent=before)
    pending = Ask().ask(guard)
    assert isinstance(pending, PendingRefill)
    assert (reads, spent(guard)) == ([], [(0, 0), (0, 0)])
    reservation = await pending.wait()
    assert isinstance(reservation, Reservation)
    assert reads == ["key:1:usd:total", "all:used:total"]
    assert spent(guard) == [(0, COST), (0, PROMPT + ANSWER)]
    assert Ask().now(guard) is not None  # what was read once is known


async def test_a_provider_waits_for_the_refills_of_all_its_budgets() -> None:
    reads: list[str] = []

    async def before(counter_key: CounterKey, since: int) -> int:
        reads.append(counter_key.text)
        return 0

    guard = make_guard(
        budget(scope="provider"), budget(1000, "tokens", "provider", per="day"), read_spent=before
    )
    reservation = admit(guard)
    pending = guard.reserve_at_provider(reservation, UP.provider, UP.model)
    assert isinstance(pending, PendingRefill)
    assert (reads, reservation.at_providers, spent(guard)) == ([], [], [(0, 0), (0, 0)])
    assert await pending.wait() is None
    assert reads == ["provider:up:usd:total", "provider:up:used:day"]
    assert spent(guard) == [(0, COST), (0, PROMPT + ANSWER)]
    assert guard.reserve_at_provider(reservation, UP.provider, UP.model) is None


async def test_many_requests_wait_for_one_budget_and_share_it() -> None:
    answer = asyncio.Event()

    async def before(counter_key: CounterKey, since: int) -> int:
        await answer.wait()
        return 0

    guard = make_guard(budget(5 * COST), read_spent=before)
    asking = [asyncio.create_task(Ask().wait(guard)) for _ in range(20)]
    await asyncio.sleep(0)
    answer.set()
    found = await asyncio.gather(*asking, return_exceptions=True)
    assert sum(isinstance(each, Reservation) for each in found) == 5
    assert {type(each) for each in found} == {Reservation, CallerError}
    assert spent(guard) == [(0, 5 * COST)]


async def test_without_the_ledger_requests_are_refused_and_take_nothing() -> None:
    away = True

    async def before(counter_key: CounterKey, since: int) -> int:
        if away:
            raise GatewayError("away", LIMITS_AWAY)
        return 0

    guard = make_guard(Limit("key", "*", concurrent=1), budget(), read_spent=before)
    with pytest.raises(GatewayError) as caught:
        await Ask().wait(guard)
    assert caught.value.kind is LIMITS_AWAY
    assert spent(guard) == [(0, 0)]
    away = False
    assert await Ask().wait(guard) is not None


async def test_a_request_that_is_cancelled_while_it_waits_has_taken_nothing() -> None:
    reading = asyncio.Event()

    async def before(counter_key: CounterKey, since: int) -> int:
        reading.set()
        await asyncio.Event().wait()
        return 0

    guard = make_guard(Limit("key", "*", concurrent=1), budget(), read_spent=before)
    task = asyncio.create_task(Ask().wait(guard))
    await reading.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert spent(guard) == [(0, 0)]
    reconfigure(guard, Limit("key", "*", concurrent=1))
    admit(guard)


# At providers


async def test_a_providers_budget_is_taken_when_the_provider_is_asked() -> None:
    guard = make_guard(budget(2 * COST, scope="provider"))
    first, second = admit(guard), admit(guard)
    assert list(spent(guard)) == []
    for reservation in (first, second):
        assert await reserve_at_provider(guard, reservation) is None
    assert await reserve_at_provider(guard, admit(guard), DEAR) is None
    third = admit(guard)
    refusal = await reserve_at_provider(guard, third)
    assert refusal is not None
    assert (refusal.kind, refusal.kind.failover, refusal.provider) == (BUDGET_EXCEEDED, "any", "up")
    assert (refusal.retry_after, third.at_providers) == (1.0, [])
    guard.settle(first, [used(PROMPT, ANSWER)])
    guard.settle(second, [])
    assert spent(guard) == [(COST, 0)]
    assert await reserve_at_provider(guard, third) is None
    guard.settle(
        third, [used(1, 1), used(500, 500, provider="dear")]
    )  # usage at another provider does not count
    assert spent(guard) == [(COST + 10, 0)]


async def test_usage_at_a_provider_that_is_asked_twice_is_charged_once() -> None:
    guard = make_guard(
        budget(10 * COST, scope="provider", per="day"), budget(1000, "tokens", "provider", per="month")
    )
    reservation = admit(guard)
    for _ in range(2):
        assert await reserve_at_provider(guard, reservation) is None
    assert spent(guard) == [(0, 2 * COST), (0, 2 * (PROMPT + ANSWER))]
    guard.settle(reservation, [used(PROMPT, 0), used(PROMPT, 5)])
    assert spent(guard) == [(2 * PROMPT * 3 + 5 * 7, 0), (2 * PROMPT + 5, 0)]
    guard.settle(reservation, [used(1, 1)])
    assert spent(guard) == [(2 * PROMPT * 3 + 5 * 7, 0), (2 * PROMPT + 5, 0)]


async def test_all_of_a_providers_budgets_are_taken_or_none() -> None:
    guard = make_guard(
        budget(10 * COST, scope="provider", per="day"), budget(PROMPT, "tokens", "provider", per="month")
    )
    assert await reserve_at_provider(guard, admit(guard)) is not None
    assert spent(guard) == [(0, 0), (0, 0)]


@pytest.mark.parametrize(
    ("rule", "ask", "candidate", "kind"),
    [
        (budget(scope="provider"), Ask(), UP, None),
        (budget(scope="provider"), Ask(operation="other"), UP, NO_PRICE),
        (budget(scope="provider", hard=False), Ask(operation="other"), UP, None),
        (budget(scope="provider"), Ask(operation="other"), LOCAL, None),
        (budget(scope="provider", hard=False), Ask(), UNPRICED, None),
        (budget(1000, "tokens", "provider"), Ask(operation="other"), UNPRICED, None),
    ],
)
async def test_only_a_providers_hard_budget_of_money_needs_a_price(
    rule: Budget, ask: Ask, candidate: FakeCandidate, kind: Kind | None
) -> None:
    guard = make_guard(rule._replace(subject=candidate.provider.name))
    refusal = await reserve_at_provider(guard, admit(guard, ask), candidate)
    assert (None if refusal is None else refusal.kind) is kind


@pytest.mark.parametrize(("unit", "kind"), [("usd", NO_PRICE), ("tokens", None)])
async def test_a_provider_without_prices(unit: Any, kind: Kind | None) -> None:
    guard = make_guard(Budget("provider", "fog", unit, 1000, "day"))
    reservation = admit(guard, Ask(candidates=(UNPRICED, UP)))
    refusal = await reserve_at_provider(guard, reservation, UNPRICED)
    assert (None if refusal is None else refusal.kind) == kind
    assert refusal is None or refusal.provider == "fog"


async def test_a_budget_that_is_configured_again_reads_what_was_spent_meanwhile() -> None:
    ledger = 2 * COST

    async def before(counter_key: CounterKey, since: int) -> int:
        return ledger

    guard = make_guard(budget(), read_spent=before)
    first, second = [await Ask().wait(guard) for _ in range(2)]
    assert first is not None
    assert second is not None
    reconfigure(guard, budget(5 * COST))  # a budget of another amount keeps what was counted
    assert spent(guard) == [(2 * COST, 2 * COST)]
    reconfigure(guard)
    guard.settle(first, [used(PROMPT, ANSWER)])
    ledger = 7 * COST
    reconfigure(guard, budget())
    third = await Ask().wait(guard)
    assert third is not None
    assert spent(guard) == [(7 * COST, 2 * COST)]
    guard.settle(second, [used(PROMPT, ANSWER)])
    guard.settle(third, [])
    assert spent(guard) == [(8 * COST, 0)]


async def test_what_was_spent_at_a_provider_before_counts() -> None:
    async def before(counter_key: CounterKey, since: int) -> int:
        return COST

    guard = make_guard(budget(2 * COST, scope="provider"), read_spent=before)
    assert await reserve_at_provider(guard, admit(guard)) is None
    refusal = await reserve_at_provider(guard, admit(guard))
    assert refusal is not None
    assert spent(guard) == [(COST, COST)]


def test_a_providers_soft_budget_reserves_nothing_for_what_has_no_price() -> None:
    guard = make_guard(budget(scope="provider", hard=False))
    reservation = admit(guard)
    guard.prices = prices({})
    assert guard.reserve_at_provider(reservation, UP.provider, "m") is None
    assert spent(guard) == [(0, 0)]
    assert [each.amount for each in reservation.at_providers] == [0]


@pytest.mark.parametrize(
    ("left", "kind"),
    [(PROMPT, BUDGET_EXCEEDED), (PROMPT + 1, REQUEST_OVER_BUDGET)],  # one token of an answer
)
def test_the_shortest_answer_has_one_token(left: int, kind: Kind) -> None:
    limit = (PROMPT + 1) * 100 + 1
    guard = make_guard(budget(limit, "tokens"))
    guard.settle(admit(guard), [used(limit - left, 0)])
    assert refused(guard).kind is kind


def test_a_budget_begins_and_ends_with_its_own_period(clock: list[float]) -> None:
    periods = {"day": (500, 2000.0), "month": (0, 9000.0)}
    guard = make_guard(budget(COST, per="day"), find_period=lambda per, now: periods[per])
    guard.settle(admit(guard), [used(PROMPT, ANSWER)])
    assert refused(guard).retry_after == 1000.0
