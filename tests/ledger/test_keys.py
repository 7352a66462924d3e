"""The store of keys."""

import re
import stat
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from trunkline.ledger.keys import KeyStore
from trunkline.ledger.locate import StoreError, StoreErrorReason, driver_url, sqlite_file
from trunkline.ledger.policies import Role
from trunkline.ledger.tables import metadata
from trunkline.ledger.teams import TeamStore


@pytest.fixture
def store(database: str) -> Iterator[KeyStore]:
    with KeyStore(database) as opened:
        yield opened


def test_a_key_is_returned_once_and_stored_hashed(store: KeyStore) -> None:
    before = datetime.now(UTC)
    record, text = store.create("laptop")
    assert re.fullmatch(r"gw_[A-Za-z0-9_-]{43}", text)
    assert record.hash == sha256(text.encode()).hexdigest()
    assert text.startswith(record.prefix)
    assert len(record.prefix) == 10
    assert before <= record.created_at <= datetime.now(UTC)
    assert text not in repr(record)
    assert record.hash not in repr(record)
    assert store.list() == [record]
    with store.store.begin() as connection:
        for table in metadata.sorted_tables:
            assert text not in repr(connection.execute(table.select()).all())


def test_the_file_contains_no_key(tmp_path: Path) -> None:
    with KeyStore(f"sqlite:///{tmp_path}/k.db") as store:
        record, text = store.create("laptop")
        files = [path.read_bytes() for path in tmp_path.iterdir()]
    assert any(record.hash.encode() in content for content in files)
    assert not any(text.encode() in content for content in files)


@pytest.mark.parametrize("role", [None, "member", "admin"])
def test_the_first_key_is_an_admins_and_later_ones_have_the_requested_role(
    store: KeyStore, role: Role | None
) -> None:
    first, _ = store.create("first", role)
    second, _ = store.create("second", role)
    assert (first.role, second.role) == ("admin", role or "member")


def test_names_are_unique_among_active_keys(store: KeyStore) -> None:
    store.create("a")
    with pytest.raises(StoreError, match="there is a key named 'a' already"):
        store.create(" a ")
    store.revoke("a")
    store.create("a")
    assert [record.revoked_at is None for record in store.list()] == [False, True]


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, "a\nb"])
def test_a_name_is_printable_and_not_too_long(store: KeyStore, name: str) -> None:
    with pytest.raises(StoreError, match="a key needs a name"):
        store.create(name)


@pytest.mark.parametrize("kind", ["id", "name", "prefix", "text"])
def test_a_key_is_revoked_by_any_reference(store: KeyStore, kind: str) -> None:
    record, text = store.create("laptop")
    other, _ = store.create("other")
    reference = text if kind == "text" else str(getattr(record, kind))
    revoked = store.revoke(reference)
    assert revoked.id == record.id
    assert revoked.revoked_at is not None
    assert revoked.revoked_at.tzinfo is not None
    assert store.active() == [other]
    assert store.list() == [revoked, other]
    with pytest.raises(StoreError, match="of no active key") as caught:
        store.revoke(reference)
    assert text not in str(caught.value)


def test_an_ambiguous_reference_revokes_no_key(store: KeyStore) -> None:
    record, _ = store.create("a")
    store.create(record.id)
    with pytest.raises(StoreError, match="of several active keys"):
        store.revoke(record.id)
    assert len(store.active()) == 2


FIELDS: dict[str, Any] = {
    "owner": "Zoë",
    "tags": ("a", "b"),
    "expires_at": datetime(2030, 1, 1, 12, 30, 0, 123_456, tzinfo=UTC),
    "models": ("gpt-*", "llama3.2"),
    "providers": ("up",),
    "local_only": True,
    "priority": "high",
    "data_collection": "deny",
    "zdr": False,
}


def test_all_fields_of_a_key_are_stored(store: KeyStore) -> None:
    team = TeamStore(store.store).create("sales")
    fields = FIELDS | {"team_id": team.id}
    record, _ = store.create("laptop", **fields)
    assert {name: getattr(record, name) for name in fields} == fields
    assert store.list() == [record]
    plain, _ = store.create("plain")
    assert {name: getattr(store.find("plain"), name) for name in fields} == {
        **dict.fromkeys(fields),
        "tags": (),
        "local_only": False,
        "priority": "normal",
    }
    assert store.find("plain") == plain


@pytest.mark.parametrize("field", [*FIELDS, "role", "name"])
def test_a_field_is_changed_by_itself_and_changed_back(store: KeyStore, field: str) -> None:
    record, _ = store.create("laptop")
    other, _ = store.create("other")
    value = FIELDS.get(field, "read-only" if field == "role" else "desk")
    changed = store.change(record.id, **{field: value})
    assert changed == msgspec.structs.replace(record, **{field: value})
    assert store.list() == [changed, other]
    assert store.change(record.id, **{field: getattr(record, field)}) == record
    assert store.list() == [record, other]


@pytest.mark.parametrize(
    ("call", "problem", "reason"),
    [
        (lambda store: store.change("a", name="b"), "there is a key named 'b' already", "conflict"),
        (lambda store: store.change("a", name=" "), "a key needs a name", "invalid"),
        (lambda store: store.change("a", hash="x"), "no field 'hash' that can be set", "invalid"),
        (lambda store: store.create("c", revoked_at=None), "no field 'revoked_at'", "invalid"),
        (lambda store: store.change("a", team_id="x"), "no team with the id 'x'", "not_found"),
        (lambda store: store.create("c", team_id="x"), "no team with the id 'x'", "not_found"),
        (lambda store: store.change("gone", zdr=True), "of no active key", "not_found"),
        (lambda store: store.rotate("gone"), "of no active key", "not_found"),
        (lambda store: store.find("nobody"), "of no active key", "not_found"),
    ],
)
def test_a_request_that_is_refused_changes_nothing(
    store: KeyStore, call: Callable[[KeyStore], object], problem: str, reason: StoreErrorReason
) -> None:
    for name in ("a", "b", "gone"):
        store.create(name)
    store.revoke("gone")
    before = store.list()
    with pytest.raises(StoreError, match=problem) as caught:
        call(store)
    assert caught.value.reason == reason
    assert store.list() == before


def test_a_key_can_be_given_its_own_name_and_that_of_a_revoked_key(store: KeyStore) -> None:
    record, _ = store.create("a")
    store.create("b")
    store.revoke("b")
    assert store.change("a", name=" a ") == record
    assert store.change("a", name="b").name == "b"


@pytest.mark.parametrize("kind", ["id", "name", "prefix", "text"])
def test_a_key_is_found_by_any_reference(store: KeyStore, kind: str) -> None:
    record, text = store.create("laptop")
    store.create("other")
    assert store.find(text if kind == "text" else str(getattr(record, kind))) == record


@pytest.mark.parametrize("grace", [timedelta(0), timedelta(hours=1)])
def test_a_rotated_key_is_replaced_and_the_old_one_is_accepted_for_the_grace_period(
    store: KeyStore, grace: timedelta
) -> None:
    record, old = store.create("laptop", owner="Zoë", tags=("x",))
    before = datetime.now(UTC)
    rotated, new = store.rotate("laptop", grace)
    after = datetime.now(UTC)
    assert rotated.hash == sha256(new.encode()).hexdigest()
    assert new.startswith(rotated.prefix)
    assert new != old
    if grace:
        assert rotated.old_hash == record.hash
        assert rotated.old_hash_until is not None
        assert before + grace <= rotated.old_hash_until <= after + grace
    else:
        assert (rotated.old_hash, rotated.old_hash_until) == (None, None)
    changed = ("hash", "prefix", "old_hash", "old_hash_until")
    assert rotated == msgspec.structs.replace(record, **{name: getattr(rotated, name) for name in changed})
    assert store.list() == [rotated]
    assert store.find(new) == rotated
    with pytest.raises(StoreError, match="of no active key"):
        store.find(old)
    again, _ = store.rotate("laptop")
    assert (again.old_hash, again.old_hash_until) == (None, None)
    assert store.list() == [again]


def test_only_its_owner_can_read_the_file(tmp_path: Path) -> None:
    with KeyStore(f"sqlite:///{tmp_path}/k.db") as store:
        store.create("a")
        files = list(tmp_path.iterdir())
        assert files
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_a_store_that_is_opened_again_has_its_keys(database: str) -> None:
    with KeyStore(database) as store:
        record, _ = store.create("a", **FIELDS)
    with KeyStore(database) as store:
        assert store.list() == [record]
        assert store.create("b")[0].role == "member"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        (
            "sqlite:////no/such/folder/k.db",
            "/k.db cannot be used: there is no folder /no/such/folder",
        ),
        ("nonsense", "the store nonsense cannot be used: "),
        ("postgresql+nodriver://u:hunter2@h/d", r"the store .*://\*\*\*@h/d cannot be used: "),
    ],
)
def test_a_store_that_cannot_be_opened_raises_with_the_reason(url: str, problem: str) -> None:
    with pytest.raises(StoreError, match=problem) as caught:
        KeyStore(url)
    assert "hunter2" not in str(caught.value)


def test_a_missing_driver_is_named_in_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match="needs the package 'psycopg' installed"):
        KeyStore("postgresql://u@h/d")


def test_a_file_that_is_not_a_database_raises(tmp_path: Path) -> None:
    path = tmp_path / "k.db"
    path.write_bytes(b"something else entirely" * 100)
    with pytest.raises(StoreError, match="file is not a database"):
        KeyStore(f"sqlite:///{path}")


def test_a_store_that_fails_later_raises(store: KeyStore) -> None:
    with store.store.begin() as connection:
        connection.exec_driver_sql("DROP TABLE keys")
    with pytest.raises(StoreError, match=r"cannot be used: .*(no such table|does not exist)"):
        store.list()


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///k.db", "k.db"),
        ("sqlite+pysqlite:////var/k.db?timeout=3", "/var/k.db"),
        ("sqlite:///:memory:", None),
        ("sqlite://", None),
        ("sqlite:///file:k.db?uri=true", None),
        ("postgresql://h/d", None),
    ],
)
def test_the_file_behind_a_url(url: str, path: str | None) -> None:
    assert sqlite_file(url) == (None if path is None else Path(path))


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("postgres://h/d", "postgresql+psycopg://h/d"),
        ("postgresql://h/d", "postgresql+psycopg://h/d"),
        ("postgresql+asyncpg://h/d", "postgresql+asyncpg://h/d"),
        ("sqlite:///k.db", "sqlite:///k.db"),
    ],
)
def test_the_driver_of_a_url(url: str, driver: str) -> None:
    assert driver_url(url) == driver
