"""The rulebook: which limits and budgets hold for whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from trunkline.policy.rules import Budget, Caller, CounterKey, Limit, Rulebook, Scope

ANNA = Caller("1", "anna", "t", "red")
LONER = Caller("2", "loner")
NO_KEY = Caller()


def rules(book: Rulebook, caller: Caller, *models: str) -> dict[str, int]:
    return {rule.counter_key.text: rule.amount for rule in book.rules_for(caller, models)}


@pytest.mark.parametrize(
    ("scope", "subject", "caller", "models", "found"),
    [
        ("all", "", ANNA, (), "all"),
        ("all", "", NO_KEY, (), "all"),
        ("key", "1", ANNA, (), "key:1"),
        ("key", "anna", ANNA, (), "key:1"),
        ("key", "*", ANNA, (), "key:1"),
        ("key", "2", ANNA, (), None),
        ("key", "ANNA", ANNA, (), None),
        ("key", "*", NO_KEY, (), None),
        ("key", "", NO_KEY, (), None),
        ("team", "t", ANNA, (), "team:t"),
        ("team", "red", ANNA, (), "team:t"),
        ("team", "*", ANNA, (), "team:t"),
        ("team", "*", LONER, (), None),
        ("team", "blue", ANNA, (), None),
        ("model", "gpt-*", LONER, ("gpt-4o",), "model:gpt-*"),
        ("model", "GPT-*", LONER, ("gpt-4o",), "model:GPT-*"),
        ("model", "up/*", LONER, ("gpt-4o", "up/gpt-4o"), "model:up/*"),
        ("model", "*", NO_KEY, ("x",), "model:*"),
        ("model", "gpt-4", LONER, ("gpt-4o",), None),
        ("model", "*", LONER, (), None),
    ],
)
def test_for_whom_a_limit_holds(
    scope: Scope, subject: str, caller: Caller, models: Sequence[str], found: str | None
) -> None:
    book = Rulebook([Limit(scope, subject, requests_per_minute=5)])
    expected = {} if found is None else {f"{found}:requests:minute": 5}
    assert rules(book, caller, *models) == expected


def test_every_amount_of_a_limit_is_counted_separately() -> None:
    book = Rulebook([Limit("all", "", 1, 2, 3, 4, 5)])
    assert rules(book, NO_KEY) == {
        "all:slots": 5,
        "all:requests:minute": 1,
        "all:requests:day": 2,
        "all:tokens:minute": 3,
        "all:tokens:day": 4,
    }


@pytest.mark.parametrize("named", ["1", "anna"])
@pytest.mark.parametrize("turned", [False, True])
def test_a_rule_that_names_a_key_wins_over_one_for_each(named: str, turned: bool) -> None:
    limits = [Limit("key", "*", 10, concurrent=2), Limit("key", named, 99)]
    book = Rulebook(limits[::-1] if turned else limits)
    assert rules(book, ANNA) == {"key:1:requests:minute": 99, "key:1:slots": 2}
    assert rules(book, LONER) == {"key:2:requests:minute": 10, "key:2:slots": 2}


def test_the_later_of_two_rules_for_the_same_subject_wins() -> None:
    book = Rulebook(
        [Limit("all", "", 1), Limit("all", "", 2)],
        [Budget("provider", "up", "usd", amount, "day") for amount in (3, 4)],
    )
    assert rules(book, ANNA) == {"all:requests:minute": 2}
    assert [rule.amount for rule in book.rules_for_provider("up")] == [4]


def test_rules_of_all_scopes_hold_together() -> None:
    book = Rulebook(
        [
            Limit("key", "*", 1),
            Limit("team", "*", 2),
            Limit("model", "m", 3),
            Limit("all", "", 4),
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
    rule = Budget("key", "*", unit, 7, per)
    book = Rulebook((), [rule])
    (found,) = book.rules_for(ANNA, ())
    assert found.budget is rule
    assert found == (counter_key, 7, rule)
    assert book.rules_for(NO_KEY, ()) == []
    assert not book.is_empty
    assert not book.has_provider_budgets


def test_budgets_of_providers_are_looked_up_for_each_provider() -> None:
    book = Rulebook((), [Budget("provider", "up", "usd", 7, per) for per in ("day", "month")])
    assert book.has_provider_budgets
    assert book.rules_for(ANNA, ("m",)) == []
    assert [rule.counter_key.text for rule in book.rules_for_provider("up")] == [
        "provider:up:usd:day",
        "provider:up:usd:month",
    ]
    assert book.rules_for_provider("down") == []


def test_an_empty_rulebook() -> None:
    book = Rulebook()
    assert book.is_empty
    assert book.rules_for(ANNA, ("m",)) == []
    assert not Rulebook([Limit("all", "", 1)]).is_empty
