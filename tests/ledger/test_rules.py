"""The store of limits and budgets."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from trunkline.ledger.keys import KeyStore
from trunkline.ledger.locate import StoreError, StoreErrorReason
from trunkline.ledger.policies import StoredLimit
from trunkline.ledger.rules import RuleStore
from trunkline.ledger.store import Store
from trunkline.ledger.teams import TeamStore

MAX_INT64 = 2**63 - 1


@pytest.fixture
def rules(store: Store) -> RuleStore:
    return RuleStore(store)


def test_a_subject_has_one_limit_which_is_replaced_as_a_whole(rules: RuleStore) -> None:
    first = rules.set_limit("model", "gpt-*", requests_per_minute=60, tokens_per_day=MAX_INT64)
    other = rules.set_limit("all", "", concurrent=4)
    assert (first.requests_per_minute, first.tokens_per_day, first.concurrent) == (60, MAX_INT64, None)
    assert rules.limits() == [other, first]
    second = rules.set_limit("model", "gpt-*", concurrent=2)
    assert second == StoredLimit(id=first.id, scope="model", subject="gpt-*", concurrent=2)
    assert rules.limits() == [other, second]


def test_a_subject_has_one_budget_for_each_unit_and_period(rules: RuleStore) -> None:
    units_and_periods = [("usd", "day"), ("usd", "month"), ("tokens", "day"), ("tokens", "total")]
    created = [rules.set_budget("provider", "up", unit, 1000, per) for unit, per in units_and_periods]
    assert len({budget.id for budget in created}) == 4
    changed = rules.set_budget(
        "provider", "up", "usd", MAX_INT64, "month", hard=False, warn_at=0.25, webhook="https://h/x"
    )
    assert changed == msgspec.structs.replace(
        created[1], amount=MAX_INT64, hard=False, warn_at=0.25, webhook="https://h/x"
    )
    assert {budget.id: budget for budget in rules.budgets()} == {
        budget.id: budget for budget in (created[0], changed, *created[2:])
    }


def test_rules_for_existing_keys_and_teams(store: Store, rules: RuleStore) -> None:
    team = TeamStore(store).create("t")
    record, _ = KeyStore(store).create("k")
    for scope, subject in (("key", record.id), ("team", team.id), ("key", "*"), ("team", "*")):
        assert rules.set_limit(scope, subject, concurrent=1) in rules.limits()
        assert rules.set_budget(scope, subject, "tokens", 5, "week") in rules.budgets()


@pytest.mark.parametrize(
    ("call", "problem", "reason"),
    [
        (lambda rules: rules.set_limit("all", "x"), "a limit must limit something", "invalid"),
        (lambda rules: rules.set_limit("all", "x", concurrent=None), "must limit something", "invalid"),
        (lambda rules: rules.set_limit("key", "k", concurrent=1), "no key with the id 'k'", "not_found"),
        (lambda rules: rules.set_limit("team", "t", concurrent=1), "no team with the id 't'", "not_found"),
        (lambda rules: rules.set_budget("key", "k", "usd", 1, "day"), "no key with the id", "not_found"),
        (lambda rules: rules.remove("limit", "nothing"), "no limit with the id 'nothing'", "not_found"),
        (lambda rules: rules.remove("budget", "nothing"), "no budget with the id 'nothing'", "not_found"),
        # No caller lets these through. The database refuses them.
        (lambda rules: rules.set_limit("provider", "up", concurrent=1), "ck_limits_scope", "unavailable"),
        (lambda rules: rules.set_budget("model", "m", "usd", 1, "day"), "ck_budgets_scope", "unavailable"),
        (lambda rules: rules.set_budget("all", "", "eur", 1, "day"), "ck_budgets_unit", "unavailable"),
        (lambda rules: rules.set_budget("all", "", "usd", 1, "hour"), "ck_budgets_per", "unavailable"),
    ],
)
def test_a_request_that_is_refused_changes_nothing(
    rules: RuleStore, call: Any, problem: str, reason: StoreErrorReason
) -> None:
    limit = rules.set_limit("all", "", concurrent=4)
    budget = rules.set_budget("all", "", "usd", 5, "day")
    with pytest.raises(StoreError, match=problem) as caught:
        call(rules)
    assert caught.value.reason == reason
    assert (rules.limits(), rules.budgets()) == ([limit], [budget])


def test_rules_are_removed_one_at_a_time(rules: RuleStore) -> None:
    limits = [rules.set_limit("model", model, concurrent=1) for model in ("a", "b")]
    budgets = [rules.set_budget("all", "", "usd", 1, per) for per in ("day", "week")]
    rules.remove("limit", limits[0].id)
    rules.remove("budget", budgets[1].id)
    assert (rules.limits(), rules.budgets()) == (limits[1:], budgets[:1])
