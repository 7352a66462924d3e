"""Which rules hold for whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from trunkline.policy.rules import BudgetRule, Caller, CounterKey, LimitRule, Rulebook, Scope

ANNA = Caller("1", "anna", "t", "red")
LONER = Caller("2", "loner")
NOBODY = Caller()


def rules(book: Rulebook, caller: Caller, *models: str) -> dict[str, int]:
    return {rule.counter_key.text: rule.amount for rule in book.of(caller, models)}


@pytest.mark.parametrize(
    ("scope", "subject", "caller", "models", "found"),
    [
        ("all", "", ANNA, (), "all"),
        ("all", "", NOBODY, (), "all"),
        ("key", "1", ANNA, (), "key:1"),
        ("key", "anna", ANNA, (), "key:1"),
        ("key", "*", ANNA, (), "key:1"),
        ("key", "2", ANNA, (), None),
        ("key", "ANNA", ANNA, (), None),
        ("key", "*", NOBODY, (), None),
        ("key", "", NOBODY, (), None),
        ("team", "t", ANNA, (), "team:t"),
        ("team", "red", ANNA, (), "team:t"),
        ("team", "*", ANNA, (), "team:t"),
        ("team", "*", LONER, (), None),
        ("team", "blue", ANNA, (), None),
        ("model", "gpt-*", LONER, ("gpt-4o",), "model:gpt-*"),
        ("model", "GPT-*", LONER, ("gpt-4o",), "model:GPT-*"),
        ("model", "up/*", LONER, ("gpt-4o", "up/gpt-4o"), "model:up/*"),
        ("model", "*", NOBODY, ("x",), "model:*"),
        ("model", "gpt-4", LONER, ("gpt-4o",), None),
        ("model", "*", LONER, (), None),
    ],
)
def test_whom_a_limit_concerns(
    scope: Scope, subject: str, caller: Caller, models: Sequence[str], found: str | None
) -> None:
    book = Rulebook([LimitRule(scope, subject, requests_per_minute=5)])
    expected = {} if found is None else {f"{found}:requests:minute": 5}
    assert rules(book, caller, *models) == expected


def test_every_amount_of_a_limit_is_counted_by_itself() -> None:
    book = Rulebook([LimitRule("all", "", 1, 2, 3, 4, 5)])
    assert rules(book, NOBODY) == {
        "all:slots": 5,
        "all:requests:minute": 1,
        "all:requests:day": 2,
        "all:tokens:minute": 3,
        "all:tokens:day": 4,
    }


@pytest.mark.parametrize("named", ["1", "anna"])
@pytest.mark.parametrize("turned", [False, True])
def test_a_rule_that_names_somebody_wins_over_each(named: str, turned: bool) -> None:
    limits = [LimitRule("key", "*", 10, concurrent=2), LimitRule("key", named, 99)]
    book = Rulebook(limits[::-1] if turned else limits)
    assert rules(book, ANNA) == {"key:1:requests:minute": 99, "key:1:slots": 2}
    assert rules(book, LONER) == {"key:2:requests:minute": 10, "key:2:slots": 2}


def test_the_later_of_two_equals_wins() -> None:
    book = Rulebook(
        [LimitRule("all", "", 1), LimitRule("all", "", 2)],
        [BudgetRule("provider", "up", "usd", amount, "day") for amount in (3, 4)],
    )
    assert rules(book, ANNA) == {"all:requests:minute": 2}
    assert [rule.amount for rule in book.of_provider("up")] == [4]


def test_rules_of_all_kinds_add_up() -> None:
    book = Rulebook(
        [
            LimitRule("key", "*", 1),
            LimitRule("team", "*", 2),
            LimitRule("model", "m", 3),
            LimitRule("all", "", 4),
        ]
    )
    assert sorted(rules(book, ANNA, "m").values()) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("unit", "per", "counter_key"),
    [
        ("usd", "day", CounterKey("key", "1", "usd", "day")),
        ("usd", "total", CounterKey("key", "1", "usd", "total")),
        ("tokens", "month", CounterKey("key", "1", "used", "month")),
    ],
)
def test_budgets(unit: Any, per: Any, counter_key: CounterKey) -> None:
    rule = BudgetRule("key", "*", unit, 7, per)
    book = Rulebook((), [rule])
    (found,) = book.of(ANNA, ())
    assert found == (counter_key, 7, rule)
    assert book.of(NOBODY, ()) == []
    assert book.all_budgets() == [rule]
    assert not book.is_empty
    assert not book.guards_providers


def test_budgets_of_providers_are_looked_up_for_each_provider() -> None:
    book = Rulebook((), [BudgetRule("provider", "up", "usd", 7, per) for per in ("day", "month")])
    assert book.guards_providers
    assert book.of(ANNA, ("m",)) == []
    assert [rule.counter_key.text for rule in book.of_provider("up")] == [
        "provider:up:usd:day",
        "provider:up:usd:month",
    ]
    assert book.of_provider("down") == []


def test_an_empty_book() -> None:
    book = Rulebook()
    assert book.is_empty
    assert book.of(ANNA, ("m",)) == []
    assert not Rulebook([LimitRule("all", "", 1)]).is_empty
