"""The store of teams."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from trunkline.ledger.keys import KeyStore
from trunkline.ledger.locate import StoreError, StoreErrorReason
from trunkline.ledger.rules import RuleStore
from trunkline.ledger.store import Store
from trunkline.ledger.teams import TeamStore


@pytest.fixture
def teams(store: Store) -> TeamStore:
    return TeamStore(store)


def test_created_teams_are_listed_by_name_and_found(teams: TeamStore) -> None:
    before = datetime.now(UTC)
    sales = teams.create(" sales ", models=("gpt-*", "llama*"), providers=("up",), local_only=True)
    art = teams.create("art")
    assert (sales.name, sales.models, sales.providers) == ("sales", ("gpt-*", "llama*"), ("up",))
    assert (art.models, art.providers, art.local_only) == (None, None, False)
    assert before <= art.created_at <= datetime.now(UTC)
    assert teams.list() == [art, sales]
    assert teams.find("sales") == teams.find(sales.id) == sales


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "second"},
        {"name": " first "},
        {"models": ("a", "b"), "providers": ("up",)},
        {"models": None, "local_only": False},
        {},
    ],
)
def test_a_change_is_stored(teams: TeamStore, fields: dict[str, Any]) -> None:
    created = teams.create("first", models=("m",), local_only=True)
    other = teams.create("third")
    changed = teams.change("first", **fields)
    assert teams.list() == [changed, other]
    for name in ("id", "created_at", "name", "models", "providers", "local_only"):
        expected = fields.get(name, getattr(created, name))
        assert getattr(changed, name) == (expected.strip() if name == "name" else expected)


@pytest.mark.parametrize(
    ("call", "problem", "reason"),
    [
        (lambda teams: teams.create("first"), "there is a team named 'first' already", "conflict"),
        (lambda teams: teams.create(" first "), "there is a team named 'first' already", "conflict"),
        (lambda teams: teams.change("other", name="first"), "named 'first' already", "conflict"),
        (lambda teams: teams.create("  "), "a team needs a name", "invalid"),
        (lambda teams: teams.create("x" * 201), "a team needs a name", "invalid"),
        (lambda teams: teams.change("first", name="a\nb"), "a team needs a name", "invalid"),
        (lambda teams: teams.create("new", created_at=None), "no field 'created_at'", "invalid"),
        (lambda teams: teams.change("first", id="x"), "no field 'id'", "invalid"),
        (lambda teams: teams.find("nobody"), "there is no team 'nobody'", "not_found"),
        (lambda teams: teams.change("nobody", local_only=True), "there is no team 'nobody'", "not_found"),
        (lambda teams: teams.remove("nobody"), "there is no team 'nobody'", "not_found"),
    ],
)
def test_a_request_that_is_refused_changes_nothing(
    teams: TeamStore, call: Any, problem: str, reason: StoreErrorReason
) -> None:
    before = [teams.create("first"), teams.create("other")]
    with pytest.raises(StoreError, match=problem) as caught:
        call(teams)
    assert caught.value.reason == reason
    assert teams.list() == before


def test_a_team_without_active_keys_is_removed_with_its_rules(store: Store, teams: TeamStore) -> None:
    keys, rules = KeyStore(store), RuleStore(store)
    team, other = teams.create("first"), teams.create("other")
    keys.create("a", team_id=team.id)
    for subject in (team.id, other.id, "*"):
        rules.set_limit("team", subject, concurrent=1)
        rules.set_budget("team", subject, "usd", 5, "day")
    with pytest.raises(StoreError, match="team 'first' still has keys") as caught:
        teams.remove("first")
    assert caught.value.reason == "conflict"
    assert len(teams.list()) == 2
    keys.revoke("a")
    assert teams.remove("first") == team
    assert teams.list() == [other]
    for remaining in (rules.limits(), rules.budgets()):
        assert {rule.subject for rule in remaining} == {other.id, "*"}
