"""The audit log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from trunkline.ledger.audit import add_entry, list_entries
from trunkline.ledger.keys import KeyStore
from trunkline.ledger.locate import StoreError
from trunkline.ledger.rules import RuleStore
from trunkline.ledger.store import Store
from trunkline.ledger.teams import TeamStore


def test_the_newest_change_comes_first_page_by_page(store: Store) -> None:
    before = datetime.now(UTC)
    for number in range(5):
        with store.begin() as connection:
            add_entry(connection, "k1", "key.change", f"s{number}", {"to": number} if number else None)
    entries = list_entries(store, limit=2)
    while len(page := list_entries(store, limit=2, before=entries[-1].id)) == 2:
        entries += page
    entries += page
    assert [(entry.subject, entry.details) for entry in entries] == [
        ("s4", {"to": 4}),
        ("s3", {"to": 3}),
        ("s2", {"to": 2}),
        ("s1", {"to": 1}),
        ("s0", {}),
    ]
    assert {(entry.actor, entry.action) for entry in entries} == {("k1", "key.change")}
    assert all(before <= entry.at <= datetime.now(UTC) for entry in entries)
    assert list_entries(store, before=entries[-1].id) == []


def test_a_change_that_fails_is_not_recorded(store: Store) -> None:
    with store.engine.connect() as connection:
        add_entry(connection, "k1", "key.change", "s")
        connection.rollback()
    with pytest.raises(StoreError):
        KeyStore(store).revoke("nobody")
    assert list_entries(store) == []


def test_every_change_is_recorded_without_secrets(store: Store) -> None:
    keys, teams, rules = KeyStore(store, "boss"), TeamStore(store, "boss"), RuleStore(store, "boss")
    team = teams.create("sales")
    teams.change("sales", local_only=True)
    record, text = keys.create("a", team_id=team.id)
    keys.change("a", name="b", tags=("x",), expires_at=datetime(2030, 1, 1, tzinfo=UTC))
    rotated, other_text = keys.rotate("b", timedelta(minutes=5))
    limit = rules.set_limit("key", record.id, concurrent=1)
    hook = "https://hooks.example.com/secret"
    budget = rules.set_budget("key", record.id, "usd", 7, "day", webhook=hook)
    rules.remove("limit", limit.id)
    rules.remove("budget", budget.id)
    keys.revoke("b")
    teams.remove("sales")
    expected: list[tuple[str, str, dict[str, Any]]] = [
        ("team.create", team.id, {"name": "sales"}),
        ("team.change", team.id, {"local_only": True}),
        ("key.create", record.id, {"name": "a", "role": "admin"}),
        ("key.change", record.id, {"name": "b", "tags": ["x"], "expires_at": "2030-01-01T00:00:00Z"}),
        ("key.rotate", record.id, {"grace_s": 300}),
        ("limit.set", limit.id, {"scope": "key", "subject": record.id, "concurrent": 1}),
        ("budget.set", budget.id, {"scope": "key", "subject": record.id, "unit": "usd", "amount": 7}),
        ("limit.remove", limit.id, {}),
        ("budget.remove", budget.id, {}),
        ("key.revoke", record.id, {"name": "b"}),
        ("team.remove", team.id, {"name": "sales"}),
    ]
    entries = list_entries(store)[::-1]
    assert [(entry.action, entry.subject) for entry in entries] == [each[:2] for each in expected]
    for entry, (_, _, details) in zip(entries, expected, strict=True):
        assert entry.actor == "boss"
        assert details.items() <= entry.details.items()
        for secret in (text, other_text, record.hash, rotated.hash, hook):
            assert secret not in repr(entry.details)
