"""Keys, teams, limits and budgets, as a running gateway reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.ledger.factories import make_row
from trunkline.ledger.keys import KeyStore
from trunkline.ledger.locate import StoreError
from trunkline.ledger.policies import Policies, StoredBudget, StoredKey, StoredLimit, StoredTeam
from trunkline.ledger.reader import PolicyReader, open_reader
from trunkline.ledger.rules import RuleStore
from trunkline.ledger.store import Store
from trunkline.ledger.teams import TeamStore
from trunkline.ledger.usage_store import UsageStore


@pytest.fixture
def reader(store: Store, database: str) -> Iterator[PolicyReader]:
    opened = open_reader(database)
    yield opened
    opened.close()


def test_a_new_store_has_no_policies(reader: PolicyReader) -> None:
    assert reader.load() == Policies()
    assert not reader.has_changed()


def test_everything_that_is_stored_is_read(store: Store, reader: PolicyReader) -> None:
    keys, teams, rules = KeyStore(store), TeamStore(store), RuleStore(store)
    team = teams.create("sales", models=("gpt-*",), providers=("up",), local_only=True)
    plain_team = teams.create("plain")
    record, _ = keys.create(
        "laptop",
        team_id=team.id,
        owner="Grüße",
        tags=("x",),
        expires_at=datetime(2030, 5, 1, 12, 30, 0, 250_000, tzinfo=UTC),
        models=("a", "b*"),
        providers=("up", "other"),
        local_only=True,
        priority="high",
        data_collection="deny",
        zdr=False,
    )
    rotated, _ = keys.rotate("laptop", timedelta(hours=1))
    plain, _ = keys.create("plain", "read-only")
    limit = rules.set_limit("model", "gpt-*", tokens_per_minute=7, requests_per_day=2**40)
    budget = rules.set_budget(
        "team", team.id, "usd", 2**40, "week", hard=False, warn_at=0.5, webhook="https://h"
    )
    total = rules.set_budget("all", "", "tokens", 1, "total")
    assert rotated.old_hash_until is not None
    found = reader.load()
    assert {key.name: key for key in found.keys} == {
        "laptop": StoredKey(
            id=record.id,
            name="laptop",
            role="admin",
            prefix=rotated.prefix,
            hash=rotated.hash,
            team_id=team.id,
            expires_at=datetime(2030, 5, 1, 12, 30, tzinfo=UTC).timestamp() + 0.25,
            models=("a", "b*"),
            providers=("up", "other"),
            local_only=True,
            priority="high",
            data_collection="deny",
            zdr=False,
            old_hash=record.hash,
            old_hash_until=rotated.old_hash_until.timestamp(),
        ),
        "plain": StoredKey(id=plain.id, name="plain", role="read-only", prefix=plain.prefix, hash=plain.hash),
    }
    assert {each.id: each for each in found.teams} == {
        team.id: StoredTeam(id=team.id, name="sales", models=("gpt-*",), providers=("up",), local_only=True),
        plain_team.id: StoredTeam(id=plain_team.id, name="plain"),
    }
    assert (
        found.limits
        == (limit,)
        == (
            StoredLimit(
                id=limit.id, scope="model", subject="gpt-*", tokens_per_minute=7, requests_per_day=2**40
            ),
        )
    )
    assert {each.id: each for each in found.budgets} == {
        budget.id: StoredBudget(
            id=budget.id,
            scope="team",
            subject=team.id,
            unit="usd",
            amount=2**40,
            per="week",
            hard=False,
            warn_at=0.5,
            webhook="https://h",
        ),
        total.id: total,
    }


class Stores:
    """A store with one of everything, and the classes that change it."""

    def __init__(self, store: Store) -> None:
        self.keys = KeyStore(store)
        self.teams = TeamStore(store)
        self.rules = RuleStore(store)
        self.limit = self.rules.set_limit("all", "", concurrent=1)
        self.budget = self.rules.set_budget("all", "", "usd", 1, "day")
        self.keys.create("k")
        self.teams.create("t")


@pytest.mark.parametrize(
    ("change", "read", "expected"),
    [
        (lambda s: s.keys.create("l"), lambda p: sorted(key.name for key in p.keys), ["k", "l"]),
        (lambda s: s.keys.change("k", zdr=True), lambda p: p.keys[0].zdr, True),
        (lambda s: s.keys.rotate("k"), lambda p: p.keys[0].old_hash, None),
        (lambda s: s.keys.revoke("k"), lambda p: p.keys, ()),
        (lambda s: s.teams.create("u"), lambda p: sorted(team.name for team in p.teams), ["t", "u"]),
        (lambda s: s.teams.change("t", models=("m",)), lambda p: p.teams[0].models, ("m",)),
        (lambda s: s.teams.remove("t"), lambda p: p.teams, ()),
        (lambda s: s.rules.set_limit("all", "", concurrent=9), lambda p: p.limits[0].concurrent, 9),
        (lambda s: s.rules.remove("limit", s.limit.id), lambda p: p.limits, ()),
        (lambda s: s.rules.set_budget("all", "", "usd", 9, "day"), lambda p: p.budgets[0].amount, 9),
        (lambda s: s.rules.remove("budget", s.budget.id), lambda p: p.budgets, ()),
    ],
)
def test_every_change_is_reported_until_it_is_loaded(
    store: Store,
    reader: PolicyReader,
    change: Callable[[Stores], object],
    read: Callable[[Policies], Any],
    expected: object,
) -> None:
    stores = Stores(store)
    before = reader.load()
    assert not reader.has_changed()
    change(stores)
    assert reader.has_changed()
    after = reader.load()
    assert read(after) == expected
    assert after != before
    assert not reader.has_changed()


def test_usage_is_not_a_change(store: Store, reader: PolicyReader, database: str) -> None:
    key, _ = KeyStore(store).create("k")
    before = reader.load()
    usage_store = UsageStore(database)
    usage_store.insert([[make_row(key_id=key.id)]])
    usage_store.delete_before(2**41)
    usage_store.close()
    assert KeyStore(store).find("k").last_used_at is not None
    assert not reader.has_changed()
    assert reader.load() == before


def test_a_change_that_failed_is_not_reported(store: Store, reader: PolicyReader) -> None:
    KeyStore(store).create("k")
    reader.load()
    with pytest.raises(StoreError, match="a key named 'k' already"):
        KeyStore(store).create("k")
    assert not reader.has_changed()
