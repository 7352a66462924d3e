"""The store of limits and budgets."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from trunkline.ledger.keys import KeyStore
from trunkline.ledger.locate import StoreError, Why
from trunkline.ledger.policies import StoredBudget, StoredLimit
from trunkline.ledger.rules import RuleStore, shown
from trunkline.ledger.store import Store
from trunkline.ledger.teams import TeamStore

MOST = 2**63 - 1


@pytest.fixture
def rules(store: Store) -> RuleStore:
    return RuleStore(store)


def test_a_subject_has_one_limit_which_is_changed_as_a_whole(rules: RuleStore) -> None:
    first = rules.set_limit("model", "gpt-*", requests_per_minute=60, tokens_per_day=MOST)
    other = rules.set_limit("all", "", concurrent=4)
    assert (first.requests_per_minute, first.tokens_per_day, first.concurrent) == (60, MOST, None)
    assert rules.limits() == [other, first]
    second = rules.set_limit("model", "gpt-*", concurrent=2)
    assert second == StoredLimit(id=first.id, scope="model", subject="gpt-*", concurrent=2)
    assert rules.limits() == [other, second]


def test_a_subject_has_one_budget_for_each_unit_and_period(rules: RuleStore) -> None:
    wanted = [("usd", "day"), ("usd", "month"), ("tokens", "day"), ("tokens", "total")]
    made = [rules.set_budget("provider", "up", unit, 1000, per) for unit, per in wanted]
    assert len({budget.id for budget in made}) == 4
    changed = rules.set_budget(
        "provider", "up", "usd", MOST, "month", hard=False, warn_at=0.25, webhook="https://h/x"
    )
    assert changed == msgspec.structs.replace(
        made[1], amount=MOST, hard=False, warn_at=0.25, webhook="https://h/x"
    )
    assert {budget.id: budget for budget in rules.budgets()} == {
        budget.id: budget for budget in (made[0], changed, *made[2:])
    }


def test_rules_of_keys_and_teams_need_them(store: Store, rules: RuleStore) -> None:
    team = TeamStore(store).create("t")
    record, _ = KeyStore(store).create("k")
    for scope, subject in (("key", record.id), ("team", team.id), ("key", "*"), ("team", "*")):
        assert rules.set_limit(scope, subject, concurrent=1) in rules.limits()
        assert rules.set_budget(scope, subject, "tokens", 5, "week") in rules.budgets()


@pytest.mark.parametrize(
    ("work", "problem", "why"),
    [
        (lambda rules: rules.set_limit("all", "x"), "a limit must limit something", "wrong"),
        (lambda rules: rules.set_limit("all", "x", concurrent=None), "must limit something", "wrong"),
        (lambda rules: rules.set_limit("key", "k", concurrent=1), "no key with the id 'k'", "missing"),
        (lambda rules: rules.set_limit("team", "t", concurrent=1), "no team with the id 't'", "missing"),
        (lambda rules: rules.set_budget("key", "k", "usd", 1, "day"), "no key with the id", "missing"),
        (lambda rules: rules.remove("limit", "nothing"), "no limit with the id 'nothing'", "missing"),
        (lambda rules: rules.remove("budget", "nothing"), "no budget with the id 'nothing'", "missing"),
        # What no caller lets through, the database refuses.
        (lambda rules: rules.set_limit("provider", "up", concurrent=1), "ck_limits_scope", "away"),
        (lambda rules: rules.set_budget("model", "m", "usd", 1, "day"), "ck_budgets_scope", "away"),
        (lambda rules: rules.set_budget("all", "", "eur", 1, "day"), "ck_budgets_unit", "away"),
        (lambda rules: rules.set_budget("all", "", "usd", 1, "hour"), "ck_budgets_per", "away"),
    ],
)
def test_what_makes_no_sense_changes_nothing(rules: RuleStore, work: Any, problem: str, why: Why) -> None:
    limit = rules.set_limit("all", "", concurrent=4)
    budget = rules.set_budget("all", "", "usd", 5, "day")
    with pytest.raises(StoreError, match=problem) as caught:
        work(rules)
    assert caught.value.why == why
    assert (rules.limits(), rules.budgets()) == ([limit], [budget])


def test_rules_are_removed_one_at_a_time(rules: RuleStore) -> None:
    limits = [rules.set_limit("model", model, concurrent=1) for model in ("a", "b")]
    budgets = [rules.set_budget("all", "", "usd", 1, per) for per in ("day", "week")]
    rules.remove("limit", limits[0].id)
    rules.remove("budget", budgets[1].id)
    assert (rules.limits(), rules.budgets()) == (limits[1:], budgets[:1])


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (
            StoredBudget(id="b", scope="all", subject="", unit="usd", amount=1_500_000, per="day"),
            {"per": "day", "usd": 1.5, "hard": True, "warn_at": 0.8, "webhook": None},
        ),
        (
            StoredBudget(id="b", scope="all", subject="", unit="tokens", amount=1_500_000, per="day"),
            {"per": "day", "tokens": 1_500_000, "hard": True, "warn_at": 0.8, "webhook": None},
        ),
        (
            StoredLimit(id="b", scope="all", subject="", concurrent=3),
            dict.fromkeys(("requests_per_minute", "requests_per_day", "tokens_per_minute", "tokens_per_day"))
            | {"concurrent": 3},
        ),
    ],
)
def test_rules_are_shown_with_money_in_dollars(
    rule: StoredLimit | StoredBudget, expected: dict[str, Any]
) -> None:
    assert shown(rule) == {"id": "b", "scope": "all", "subject": ""} | expected
