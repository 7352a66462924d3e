import re
import sqlite3
import stat
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from trunkline.ledger.keys import KeyStore
from trunkline.ledger.locate import StoreError, driver_url, sqlite_file
from trunkline.ledger.policies import Role


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KeyStore]:
    with KeyStore(f"sqlite:///{tmp_path}/k.db") as opened:
        yield opened


def test_a_key_is_given_once_and_stored_hashed(store: KeyStore, tmp_path: Path) -> None:
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
    assert not any(text.encode() in path.read_bytes() for path in tmp_path.iterdir())


@pytest.mark.parametrize("asked", [None, "member", "admin"])
def test_the_first_key_is_an_admins_and_later_ones_are_what_was_asked(
    store: KeyStore, asked: Role | None
) -> None:
    first, _ = store.create("first", asked)
    second, _ = store.create("second", asked)
    assert (first.role, second.role) == ("admin", asked or "member")


def test_names_are_unique_among_active_keys(store: KeyStore) -> None:
    store.create("a")
    with pytest.raises(StoreError, match="there is a key named 'a' already"):
        store.create(" a ")
    store.revoke("a")
    store.create("a")
    assert [record.revoked_at is None for record in store.list()] == [False, True]


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, "a\nb"])
def test_names_are_printable(store: KeyStore, name: str) -> None:
    with pytest.raises(StoreError, match="a key needs a name"):
        store.create(name)


@pytest.mark.parametrize("way", ["id", "name", "prefix", "text"])
def test_revoking(store: KeyStore, way: str) -> None:
    record, text = store.create("laptop")
    other, _ = store.create("other")
    which = text if way == "text" else str(getattr(record, way))
    revoked = store.revoke(which)
    assert revoked.id == record.id
    assert revoked.revoked_at is not None
    assert revoked.revoked_at.tzinfo is not None
    assert store.active() == [other]
    assert store.list() == [revoked, other]
    with pytest.raises(StoreError, match="of no active key") as caught:
        store.revoke(which)
    assert text not in str(caught.value)


def test_what_means_several_keys_revokes_none(store: KeyStore) -> None:
    record, _ = store.create("a")
    store.create(record.id)
    with pytest.raises(StoreError, match="of several active keys"):
        store.revoke(record.id)
    assert len(store.active()) == 2


def test_the_file_is_its_owners_alone(store: KeyStore, tmp_path: Path) -> None:
    store.create("a")
    files = list(tmp_path.iterdir())
    assert files
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_a_store_is_opened_again_as_it_was(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/k.db"
    with KeyStore(url) as store:
        record, _ = store.create("a")
    with KeyStore(url) as store:
        assert store.list() == [record]
        assert store.create("b")[0].role == "member"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("sqlite:////no/such/folder/k.db", "cannot open the store /no/such/folder/k.db: No such file"),
        ("nonsense", "the store cannot be used"),
        ("postgresql+nodriver://u:hunter2@h/d", "the store cannot be used"),
    ],
)
def test_a_store_that_cannot_be_opened_says_why(url: str, problem: str) -> None:
    with pytest.raises(StoreError, match=problem) as caught:
        KeyStore(url)
    assert "hunter2" not in str(caught.value)


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match="needs the package 'psycopg' installed"):
        KeyStore("postgresql://u@h/d")


def test_a_file_that_is_no_database_says_so(tmp_path: Path) -> None:
    path = tmp_path / "k.db"
    path.write_bytes(b"something else entirely" * 100)
    with pytest.raises(StoreError, match="file is not a database"):
        KeyStore(f"sqlite:///{path}")


def test_a_store_that_fails_later_says_so(store: KeyStore, tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "k.db")
    connection.execute("DROP TABLE keys")
    connection.close()
    with pytest.raises(StoreError, match="no such table"):
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
