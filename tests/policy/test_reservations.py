"""Reservations: the headers and errors that tell callers of their limits."""

from __future__ import annotations

import math
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import BUDGET_EXCEEDED, LIMITED, REQUEST_OVER_BUDGET, Kind
from trunkline.policy.counters import Counter, RateCounter
from trunkline.policy.reservations import (
    AMOUNT_INDEX,
    REQUESTS,
    TOKENS,
    CounterPlan,
    PlanCounters,
    Reservation,
    format_duration,
    limit_error,
    limit_header_lines,
)
from trunkline.policy.rules import Budget, CounterKey, CounterRule

DURATIONS: list[tuple[float, bytes]] = [
    (0.0, b"0s"),
    (-1.0, b"0s"),
    (1e-10, b"0s"),
    (0.0001, b"1ms"),
    (0.006, b"6ms"),
    (0.02, b"20ms"),
    (0.0201, b"21ms"),
    (0.999, b"999ms"),
    (0.9999, b"1s"),
    (1.0, b"1s"),
    (1.1, b"1.1s"),
    (1.5, b"1.5s"),
    (8.64, b"8.64s"),
    (59.99, b"59.99s"),
    (59.995, b"1m0s"),
    (60.0, b"1m0s"),
    (60.5, b"1m1s"),
    (360.0, b"6m0s"),
    (432.0, b"7m12s"),
    (3599.5, b"1h0m0s"),
    (7200.0, b"2h0m0s"),
    (86399.0, b"23h59m59s"),
    (90061.0, b"25h1m1s"),
]


@pytest.mark.parametrize(("seconds", "text"), DURATIONS)
def test_durations_are_in_openais_form(seconds: float, text: bytes) -> None:
    assert format_duration(seconds) == text


@given(st.floats(0, 10**7))
def test_a_duration_is_not_rounded_down(seconds: float) -> None:
    text = format_duration(seconds).decode()
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?", text)
    assert found is not None, text
    hours, minutes, rest, thousandths = (float(part or 0) for part in found.groups())
    written = hours * 3600 + minutes * 60 + rest + thousandths / 1000
    assert seconds - 1e-5 <= written <= seconds + 1.00001
    assert minutes < 60 or hours == 0
    assert rest < 60


def test_the_header_lines_of_a_limit() -> None:
    assert limit_header_lines(b"requests", 60) % (59, format_duration(1)) == (
        b"x-ratelimit-limit-requests: 60\r\n"
        b"x-ratelimit-remaining-requests: 59\r\n"
        b"x-ratelimit-reset-requests: 1s\r\n"
    )


def reservation_under(*counters: tuple[Counter, int]) -> Reservation:
    return Reservation(counters=PlanCounters(counters))


def test_the_headers_show_limits_of_requests_and_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    requests, tokens = RateCounter(60, 60.0), RateCounter(6000, 60.0)
    requests.take(1, 1000.0)
    tokens.take(45, 1000.0)
    assert reservation_under((tokens, TOKENS), (requests, REQUESTS)).header_lines() == (
        b"x-ratelimit-limit-requests: 60\r\n"
        b"x-ratelimit-remaining-requests: 59\r\n"
        b"x-ratelimit-reset-requests: 1s\r\n"
        b"x-ratelimit-limit-tokens: 6000\r\n"
        b"x-ratelimit-remaining-tokens: 5955\r\n"
        b"x-ratelimit-reset-tokens: 450ms\r\n"
    )


def test_without_limits_there_are_no_headers() -> None:
    assert Reservation().header_lines() == b""
    assert reservation_under().header_lines() == b""


@pytest.mark.parametrize(
    ("budgets", "money", "hard_money", "bounded"),
    [
        ([], False, False, False),
        ([("usd", True)], True, True, True),
        ([("usd", False)], True, False, False),
        ([("tokens", True)], False, False, True),
        ([("tokens", False)], False, False, False),
        ([("tokens", True), ("usd", False)], True, False, True),
    ],
)
def test_a_plan_knows_the_kinds_of_its_budgets(
    budgets: list[Any], money: bool, hard_money: bool, bounded: bool
) -> None:
    rules = [CounterRule(CounterKey("all", "", "requests", "day"), 1)]
    for unit, hard in budgets:
        rules.append(
            CounterRule(CounterKey("all", "", "usd", "day"), 1, Budget("all", "", unit, 1, "day", hard=hard))
        )
    plan = CounterPlan(rules)
    assert (plan.money, plan.hard_money, plan.bounded) == (money, hard_money, bounded)
    assert plan.ends == -math.inf


def test_every_quantity_has_an_index_of_its_own() -> None:
    assert sorted(AMOUNT_INDEX.values()) == list(range(len(AMOUNT_INDEX)))


def limit(scope: Any, quantity: Any, per: str, amount: int) -> CounterRule:
    return CounterRule(CounterKey(scope, "somebody's-secret-name", quantity, per), amount)


def budget(scope: Any, unit: Any, amount: int, per: Any) -> CounterRule:
    counter_key = CounterKey(scope, "somebody's-secret-name", "usd" if unit == "usd" else "used", per)
    return CounterRule(counter_key, amount, Budget(scope, "*", unit, amount, per))


@pytest.mark.parametrize(
    ("rule", "wait", "kind", "text", "retry_after", "advice"),
    [
        (
            limit("key", "requests", "minute", 60),
            1.5,
            LIMITED,
            "Rate limit of this key: 60 requests per minute. Try again in 1.5s.",
            1.5,
            "true",
        ),
        (
            limit("team", "tokens", "day", 5),
            7200.0,
            LIMITED,
            "Rate limit of this key's team: 5 tokens per day. Try again in 2h0m0s.",
            7200.0,
            "false",
        ),
        (
            limit("model", "slots", "", 2),
            1.0,
            LIMITED,
            "Too many requests at once: this model may have 2 under way. Try again in 1s.",
            1.0,
            "true",
        ),
        (
            limit("all", "requests", "minute", 1),
            60.0,
            LIMITED,
            "Rate limit of the gateway: 1 requests per minute. Try again in 1m0s.",
            60.0,
            "true",
        ),
        (
            budget("key", "usd", 2_500_000, "day"),
            3600.0,
            BUDGET_EXCEEDED,
            "The budget of this key is used up: $2.5 a day",
            3600.0,
            "false",
        ),
        (
            budget("team", "usd", 12_000_000_000_000, "month"),
            100.0,
            BUDGET_EXCEEDED,
            "The budget of this key's team is used up: $12000000 a month",
            100.0,
            "false",
        ),
        (
            budget("all", "tokens", 1000, "total"),
            math.inf,
            BUDGET_EXCEEDED,
            "The budget of the gateway is used up: 1000 tokens in all",
            None,
            "false",
        ),
        (
            budget("provider", "usd", 1, "month"),
            1.0,
            BUDGET_EXCEEDED,
            "The budget of provider 'somebody's-secret-name' is used up: $0.000001 a month",
            1.0,
            "true",
        ),
    ],
)
def test_the_errors_of_limits_and_budgets(
    rule: CounterRule, wait: float, kind: Kind, text: str, retry_after: float | None, advice: str
) -> None:
    error = limit_error(rule, wait)
    assert (error.kind, error.status, error.message) == (kind, 429, text)
    assert (error.retry_after, error.advice) == (retry_after, advice)
    assert rule.counter_key.scope == "provider" or rule.counter_key.subject not in error.message


@pytest.mark.parametrize(
    ("needed", "left", "wait", "kind", "text", "retry_after", "advice"),
    [
        (3, 3, 1.0, BUDGET_EXCEEDED, "held by other requests now: 3 tokens of 9 tokens a day", 1.0, "true"),
        (3, 5, 500.0, BUDGET_EXCEEDED, "held by other requests now: 5 tokens of", 500.0, "false"),
        (4, 3, 1.0, REQUEST_OVER_BUDGET, "This request may cost 4 tokens, more than is left", None, "false"),
    ],
)
def test_the_error_of_a_budget_that_has_something_left(
    needed: int, left: int, wait: float, kind: Kind, text: str, retry_after: float | None, advice: str
) -> None:
    rule = CounterRule(
        CounterKey("key", "k", "used", "day"), 9, Budget("key", "*", "tokens", 9, "day", hard=True)
    )
    error = limit_error(rule, wait, needed, left)
    assert (error.kind, error.retry_after, error.advice) == (kind, retry_after, advice)
    assert text in error.message
