"""The guard: access, limits, and what is taken and given back on every path."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from tests.policy.guarding import (
    ANSWER,
    BODY,
    COST,
    DEAR,
    KEY,
    PROMPT,
    UP,
    Ask,
    admit,
    budget,
    headers,
    make_guard,
    prices,
    reconfigure,
    refused,
    spent,
    used,
)
from trunkline.dialects.base import RequestDefaults
from trunkline.errors import (
    BUDGET_EXCEEDED,
    LIMITED,
    MODEL_NOT_ALLOWED,
    NO_PRICE,
    CallerError,
    Kind,
)
from trunkline.policy.auth import ApiKey
from trunkline.policy.counters import GRANTED, NEEDS_REFILL, ConcurrencyCounter
from trunkline.policy.guard import Guard, PendingRefill
from trunkline.policy.reservations import Reservation
from trunkline.policy.rules import Budget, CounterKey, Limit

DAY = 86400.0


# Requests without a reservation


@pytest.mark.parametrize(
    "rules",
    [(), (Limit("key", "otto", 1),), (Limit("model", "other", 1),), (budget(scope="team"),)],
    ids=["no rules", "another key", "another model", "no team"],
)
def test_a_request_under_no_rule_gets_no_reservation(rules: Sequence[Any]) -> None:
    key = msgspec.structs.replace(KEY, team_id=None, team_name=None)
    guard = make_guard(*rules)
    assert [Ask(key).now(guard) for _ in range(3)] == [None] * 3
    assert Ask(None).now(guard) is None


def test_limits_of_the_gateway_hold_without_keys() -> None:
    guard = make_guard(Limit("all", "", 1))
    admit(guard, Ask(None))
    assert refused(guard, Ask(None)).kind is LIMITED


# Access


@pytest.mark.parametrize(
    ("models", "providers", "barred"),
    [
        ((), (), None),
        ((("m",),), (), set()),
        ((("up/*",),), (), {"dear/m"}),
        ((("*",), ("dear/m",)), (), {"up/m"}),
        ((), (frozenset({"up"}),), {"dear/m"}),
        ((), (frozenset({"up", "dear"}), frozenset({"dear"})), {"up/m"}),
        ((("up/*",),), (frozenset({"dear"}),), "all"),
        ((("other",),), (), "all"),
        ((), (frozenset({"other"}),), "all"),
    ],
)
@pytest.mark.parametrize("limited", [False, True])
def test_candidates_that_a_key_may_not_use_are_barred(
    models: Any, providers: Any, barred: Any, limited: bool
) -> None:
    guard = make_guard(*[Limit("all", "", 5)] * limited)
    ask = Ask(msgspec.structs.replace(KEY, models=models, providers=providers), candidates=(UP, DEAR))
    if barred == "all":
        error = refused(guard, ask)
        assert (error.kind, error.status, error.param) == (MODEL_NOT_ALLOWED, 403, "model")
        assert error.message == "This key may not use model 'm'"
        assert headers(error) == {}
        return
    reservation = ask.now(guard)
    assert (None if reservation is None else reservation.barred) == (
        barred if barred is not None or not limited else set()
    )


def test_a_request_without_access_takes_nothing() -> None:
    guard = make_guard(Limit("all", "", 1))
    assert refused(guard, Ask(msgspec.structs.replace(KEY, models=(("other",),)))).status == 403
    admit(guard)


def test_a_keys_defaults_are_added_to_the_request() -> None:
    defaults = RequestDefaults(routing={"zdr": True})
    key = msgspec.structs.replace(KEY, defaults=defaults)
    assert admit(make_guard(), Ask(key)).defaults is defaults
    bounded = admit(make_guard(budget()), Ask(key, max_tokens=None)).defaults
    assert (bounded.routing, bounded.max_tokens) == ({"zdr": True}, ANSWER)


# Limits


@pytest.mark.parametrize(
    ("rule", "admitted", "wait", "advice"),
    [
        (Limit("key", "*", requests_per_minute=4), 4, 15.0, "true"),
        (Limit("key", "1", requests_per_day=2), 2, DAY / 2, "false"),
        (Limit("team", "red", tokens_per_minute=3 * (PROMPT + ANSWER)), 3, 20.0, "true"),
        (Limit("model", "up/*", tokens_per_day=2 * (PROMPT + ANSWER) + 1), 2, None, "false"),
        (Limit("all", "", concurrent=3), 3, 1.0, "true"),
        (Limit("all", "", requests_per_minute=2, requests_per_day=9, concurrent=5), 2, 30.0, "true"),
    ],
)
@pytest.mark.usefixtures("clock")
def test_a_limit_admits_as_many_requests_as_it_says(
    rule: Limit, admitted: int, wait: float | None, advice: str
) -> None:
    guard = make_guard(rule)
    reservations = [admit(guard) for _ in range(admitted)]
    error = refused(guard)
    assert (error.kind, error.status, error.advice) == (LIMITED, 429, advice)
    assert error.retry_after is not None
    assert wait is None or error.retry_after == pytest.approx(wait)
    assert len({id(reservation) for reservation in reservations}) == admitted


def test_a_request_is_admitted_after_its_retry_after(clock: list[float]) -> None:
    guard = make_guard(Limit("key", "*", requests_per_minute=3), Limit("all", "", tokens_per_minute=100))
    waited = 0.0
    for _ in range(30):
        try:
            admit(guard)
        except CallerError as error:
            pause = error.retry_after or 0.0
            clock[0] += pause
            waited += pause
            admit(guard)
    assert waited > 60


RULES: list[Limit | Budget] = [
    Limit("all", "", requests_per_minute=100),
    Limit("model", "m", tokens_per_minute=10_000),
    Limit("team", "*", concurrent=100),
    budget(),
    budget(10_000, "tokens", "team"),
]
BLOCKS = [
    (Limit("key", "*", requests_per_minute=1), LIMITED),
    (Limit("key", "*", tokens_per_minute=30), LIMITED),
    (Limit("key", "*", concurrent=1), LIMITED),
    (budget(COST, scope="all"), BUDGET_EXCEEDED),
    (budget(30, "tokens", "all"), BUDGET_EXCEEDED),
]


@pytest.mark.parametrize(("block", "kind"), BLOCKS)
@pytest.mark.usefixtures("clock")
def test_a_refused_request_takes_nothing(block: Any, kind: Kind) -> None:
    guard = make_guard(*RULES, block)
    reservation = admit(guard)

    def state() -> list[float]:
        return [part for counter, _ in guard._counters.values() for part in counter.remaining(time.time())]

    before = state()
    assert len(before) == 2 * (len(RULES) + 1)
    for _ in range(3):
        assert refused(guard).kind is kind
    assert state() == pytest.approx(before)
    guard.settle(reservation, [])


@pytest.mark.usefixtures("clock")
def test_what_was_not_used_is_given_back() -> None:
    """Requests stay counted; everything else is corrected by what was used."""
    rules: list[Limit | Budget] = [
        Limit("key", "*", 10, tokens_per_minute=1000, concurrent=1),
        budget(),
        budget(100, "tokens", "all"),
    ]
    guard = make_guard(*rules)
    for _ in range(3):
        reservation = admit(guard)
        guard.settle(reservation, [used(PROMPT, 2)])
    assert headers(admit(guard))["x-ratelimit-remaining-requests"] == "6"
    assert headers(refused(guard))["x-ratelimit-remaining-tokens"] == str(1000 - 3 * 12 - (PROMPT + ANSWER))
    assert spent(guard) == [(3 * (PROMPT * 3 + 2 * 7), COST), (36, PROMPT + ANSWER)]


@pytest.mark.usefixtures("clock")
def test_slow_requests_give_back_only_what_time_has_not_refilled(clock: list[float]) -> None:
    guard = make_guard(Limit("key", "*", tokens_per_minute=PROMPT + ANSWER))
    reservations = []
    for _ in range(5):
        clock[0] += 60.0
        reservations.append(admit(guard))
    granted = 0
    for reservation in reservations:
        guard.settle(reservation, [])
        granted += Ask().now_or_not(guard)
    assert granted == 1


def test_a_reservation_is_settled_once() -> None:
    guard = make_guard(Limit("key", "*", concurrent=2), budget())
    reservation, other = admit(guard), admit(guard)
    for _ in range(3):
        guard.settle(reservation, [used(1, 1)])
    assert spent(guard) == [(10, COST)]
    admit(guard)
    assert refused(guard).kind is LIMITED
    guard.settle(other, [])


@pytest.mark.parametrize(
    ("max_tokens", "n", "operation", "reserved"),
    [
        (ANSWER, 1, "chat", PROMPT + ANSWER),
        (5, 1, "chat", PROMPT + 5),
        (5, 3, "completions", PROMPT + 15),
        (10**30, 10**30, "chat", 1000),  # more than the whole limit
        (None, 1, "chat", PROMPT),  # a limit of tokens does not bound the answer
        (0, 1, "chat", PROMPT),
        (None, 1, "embeddings", PROMPT),
        (5, 1, "embeddings", PROMPT),
        (None, 1, "other", 0),  # images and sounds cannot be counted in tokens
    ],
)
@pytest.mark.usefixtures("clock")
def test_tokens_that_are_taken_before_an_answer(
    max_tokens: int | None, n: int, operation: Any, reserved: int
) -> None:
    guard = make_guard(Limit("all", "", tokens_per_minute=1000))
    reservation = admit(guard, Ask(max_tokens=max_tokens, n=n, operation=operation))
    assert headers(reservation)["x-ratelimit-remaining-tokens"] == str(1000 - reserved)
    assert reservation.defaults.max_tokens is None
    guard.settle(reservation, [used(PROMPT, 400), used(50, 0, provider="other")])
    assert headers(reservation)["x-ratelimit-remaining-tokens"] == str(1000 - PROMPT - 400 - 50)


@pytest.mark.usefixtures("clock")
def test_headers_show_the_narrowest_limits() -> None:
    guard = make_guard(
        Limit("key", "*", requests_per_minute=10, tokens_per_day=5000),
        Limit("all", "", requests_per_day=7, tokens_per_minute=9000),
    )
    assert headers(admit(guard)) == {
        "x-ratelimit-limit-requests": "7",
        "x-ratelimit-remaining-requests": "6",
        "x-ratelimit-reset-requests": "3h25m43s",
        "x-ratelimit-limit-tokens": "5000",
        "x-ratelimit-remaining-tokens": "4970",
        "x-ratelimit-reset-tokens": "8m39s",
    }


@pytest.mark.usefixtures("clock")
def test_a_refusal_has_the_headers_that_an_answer_has() -> None:
    guard = make_guard(Limit("all", "", requests_per_minute=1, tokens_per_minute=600))
    granted = headers(admit(guard))
    assert headers(refused(guard)) == granted
    assert granted["x-ratelimit-remaining-requests"] == "0"
    assert granted["x-ratelimit-reset-requests"] == "1m0s"


@pytest.mark.usefixtures("clock")
def test_a_request_under_a_budget_only_gets_no_headers() -> None:
    guard = make_guard(budget(COST))
    assert headers(admit(guard)) == {}
    assert headers(refused(guard)) == {}


# Other rules after a reload


def test_a_reload_keeps_what_was_counted() -> None:
    guard = make_guard(Limit("key", "*", concurrent=1), budget(2 * COST))
    admit(guard)
    assert refused(guard).kind is LIMITED
    reconfigure(guard, Limit("key", "*", concurrent=3), budget(2 * COST))
    admit(guard)
    assert refused(guard).kind is BUDGET_EXCEEDED
    reconfigure(guard, Limit("key", "*", concurrent=3), budget(3 * COST))
    admit(guard)
    assert refused(guard).kind is LIMITED


def test_a_budget_becomes_soft_and_hard_again() -> None:
    guard = make_guard(budget(COST))
    admit(guard)
    refused(guard)
    reconfigure(guard, budget(COST, hard=False))
    admit(guard)
    reconfigure(guard, budget(COST))
    refused(guard)


def test_new_prices_hold_from_the_next_request_on() -> None:
    guard = make_guard(budget())
    admit(guard)
    guard.reconfigure(guard.rules, prices({}), 7)
    assert refused(guard).kind is NO_PRICE
    assert guard.max_tokens == 7


def test_a_limit_on_a_providers_models_holds_after_requests_to_another() -> None:
    """The same key and model may first be at another provider: by the path, or before it was discovered."""
    guard = make_guard(Limit("model", "up/*", requests_per_day=1))
    elsewhere = Ask(candidates=(DEAR,))
    assert elsewhere.now(guard) is None
    admit(guard)
    assert refused(guard).kind is LIMITED
    assert elsewhere.now(guard) is None


def test_spendings_are_those_of_the_present_periods(clock: list[float]) -> None:
    guard = make_guard(
        Limit("all", "", 5),
        budget(per="day"),
        budget(99, "tokens", "all", per="total"),
        find_period=lambda per, now: (0, 2000.0 if per == "day" else math.inf),
    )
    assert guard.spendings() == []
    admit(guard)
    found = {each.counter_key.text: (each.budget.amount, each.reserved) for each in guard.spendings()}
    assert found == {"key:1:usd:day": (10 * COST, COST), "all:used:total": (99, PROMPT + ANSWER)}
    clock[0] = 2000.0
    assert [each.counter_key.text for each in guard.spendings()] == ["all:used:total"]
    assert len(BODY) == 3 * PROMPT


def test_each_key_has_its_own_plan() -> None:
    guard = make_guard(Limit("key", "anna", 1))
    other = Ask(msgspec.structs.replace(KEY, id="2", name="otto"))
    assert [other.now(guard) for _ in range(2)] == [None] * 2
    admit(guard)
    assert refused(guard).kind is LIMITED
    assert other.now(guard) is None


def test_a_limit_has_no_period_that_ends(clock: list[float]) -> None:
    guard = make_guard(Limit("all", "", concurrent=1), find_period=lambda per, now: (0, 2000.0))
    admit(guard)
    clock[0] = 3000.0
    assert refused(guard).kind is LIMITED


@pytest.mark.usefixtures("clock")
async def test_what_was_taken_before_a_refill_is_taken_once() -> None:
    async def read_spent(key: CounterKey, since: int) -> int:
        return 7

    rules: list[Limit | Budget] = [Limit("all", "", 10, tokens_per_minute=1000, concurrent=1), budget()]
    guard = make_guard(*rules, read_spent=read_spent)
    assert isinstance(Ask().ask(guard), PendingRefill)
    reservation = await Ask().wait(guard)
    assert reservation is not None
    found = headers(reservation)
    assert found["x-ratelimit-remaining-requests"] == "9"
    assert found["x-ratelimit-remaining-tokens"] == str(1000 - PROMPT - ANSWER)
    assert spent(guard) == [(7, COST)]


async def test_a_counter_is_refilled_for_what_the_request_needs() -> None:
    amounts: list[int] = []

    class Learning(ConcurrencyCounter):
        """It must learn something first, and then grants everything."""

        def take(self, amount: int, now: float) -> float:
            return GRANTED if amounts else NEEDS_REFILL

        async def refill(self, amount: int) -> None:
            amounts.append(amount)

    guard = make_guard(
        Limit("all", "", tokens_per_minute=1000), make_counter=lambda rule, now: Learning(rule.amount)
    )
    assert await Ask().wait(guard) is not None
    assert amounts == [PROMPT + ANSWER]


# Requests that ask upstreams and cost nothing


def look(guard: Guard, key: ApiKey | None = KEY) -> Reservation | None:
    """The guard's answer, which must not depend on a refill."""
    answer = guard.admit_look(key)
    assert not isinstance(answer, PendingRefill)
    return answer


@pytest.mark.parametrize(
    ("rules", "admitted"),
    [
        ([Limit("key", "anna", requests_per_minute=3)], 3),
        ([Limit("all", "", concurrent=2)], 2),
        ([Limit("team", "red", requests_per_day=2), Limit("all", "", 5)], 2),
    ],
)
@pytest.mark.usefixtures("clock")
def test_a_look_is_limited_like_any_request(rules: list[Limit], admitted: int) -> None:
    guard = make_guard(*rules)
    assert all(look(guard) is not None for _ in range(admitted))
    with pytest.raises(CallerError) as caught:
        look(guard)
    assert (caught.value.kind, caught.value.status) == (LIMITED, 429)


def test_a_look_under_no_rule_takes_nothing() -> None:
    assert look(make_guard()) is None
    guard = make_guard(Limit("key", "otto", 1), Limit("model", "m", 1))
    assert [look(guard), look(guard), look(guard, None)] == [None] * 3
    assert guard._counters == {}
    tokens = make_guard(Limit("all", "", tokens_per_minute=1))
    for _ in range(3):
        assert look(tokens) is not None


@pytest.mark.usefixtures("clock")
def test_a_look_is_settled_and_tells_what_is_left() -> None:
    guard = make_guard(Limit("all", "", 10, concurrent=1), budget())
    reservation = look(guard)
    assert reservation is not None
    assert headers(reservation)["x-ratelimit-remaining-requests"] == "9"
    with pytest.raises(CallerError) as caught:
        look(guard)
    assert headers(caught.value) == headers(reservation)
    guard.settle(reservation, [])
    again = look(guard)
    assert again is not None
    assert headers(again)["x-ratelimit-remaining-requests"] == "8"
    guard.settle(again, [])
    assert spent(guard) == [(0, 0)]


async def test_a_look_needs_something_left_of_each_budget(clock: list[float]) -> None:
    async def read_spent(key: CounterKey, since: int) -> int:
        return 10 * COST - 1

    guard = make_guard(
        budget(per="day"), read_spent=read_spent, find_period=lambda per, now: (0, now // 500 * 500 + 500)
    )
    for _ in range(2):
        answer = guard.admit_look(KEY)
        assert isinstance(answer, PendingRefill)
        reservation = await answer.wait()
        assert reservation is not None
        guard.settle(reservation, [])
        ((counter, _),) = guard._counters.values()
        counter.settle(0, 1, clock[0])
        with pytest.raises(CallerError) as caught:
            look(guard)
        assert (caught.value.kind, caught.value.retry_after) == (BUDGET_EXCEEDED, 500.0)
        clock[0] += 500.0  # another period, with counters of its own
