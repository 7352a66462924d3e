"""Reads policies while other connections and processes change them."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from trunkline.ledger import reader as module
from trunkline.ledger.keys import KeyStore
from trunkline.ledger.locate import StoreError
from trunkline.ledger.reader import PolicyReader, SqliteReader, StoreReader, open_reader


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/k.db"


@pytest.fixture(params=["stdlib", "sqlalchemy"])
def reader(request: pytest.FixtureRequest, url: str) -> Iterator[PolicyReader]:
    opened = open_reader(url) if request.param == "stdlib" else StoreReader(url)
    yield opened
    opened.close()


def names(reader: PolicyReader) -> list[str]:
    return [key.name for key in reader.load().keys]


def test_every_write_is_reported_as_a_change_until_it_is_loaded(reader: PolicyReader, url: str) -> None:
    assert names(reader) == []
    assert not reader.has_changed()
    with KeyStore(url) as store:
        first, _ = store.create("a")
        assert reader.has_changed()
        assert names(reader) == ["a"]
        assert not reader.has_changed()
        assert not reader.has_changed()
        store.create("b")
        assert reader.has_changed()
        assert names(reader) == ["a", "b"]
        store.revoke("a")
        assert reader.has_changed()
        assert names(reader) == ["b"]
    assert not reader.has_changed()
    assert first.name == "a"


def test_a_key_has_everything_that_authentication_needs(reader: PolicyReader, url: str) -> None:
    with KeyStore(url) as store:
        record, _ = store.create("a")
    (key,) = reader.load().keys
    assert (key.id, key.name, key.role, key.prefix, key.hash) == (
        record.id,
        record.name,
        record.role,
        record.prefix,
        record.hash,
    )


def test_a_write_of_another_process_is_reported(tmp_path: Path, url: str) -> None:
    reader = open_reader(url)
    with KeyStore(url) as store:
        store.create("a")
    assert names(reader) == ["a"]
    code = f"from trunkline.ledger.keys import KeyStore; s = KeyStore({url!r}); s.create('b'); s.close()"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert reader.has_changed()
    assert names(reader) == ["a", "b"]
    reader.close()


def test_a_deleted_file_is_an_error_until_another_with_keys_is_there(tmp_path: Path, url: str) -> None:
    reader = open_reader(url)
    with KeyStore(url) as store:
        store.create("a")
    assert names(reader) == ["a"]
    for path in tmp_path.iterdir():
        path.unlink()
    for ask in (reader.has_changed, reader.load, reader.has_changed):
        with pytest.raises(StoreError, match="cannot be used: the file is not there any more"):
            ask()
    (tmp_path / "k.db").touch()
    assert reader.has_changed()
    with pytest.raises(StoreError, match="another file without keys is in its place"):
        reader.load()
    with KeyStore(url) as store:
        assert reader.has_changed()
        with pytest.raises(StoreError, match="another file without keys is in its place"):
            reader.load()
        store.create("b")
        assert reader.has_changed()
        assert names(reader) == ["b"]
        assert not reader.has_changed()
        store.revoke("b")
        assert names(reader) == []
    reader.close()
    assert reader.has_changed()


def test_a_file_without_tables_has_no_keys(tmp_path: Path, url: str) -> None:
    (tmp_path / "k.db").touch()
    reader = open_reader(url)
    assert names(reader) == []
    reader.close()


def test_a_file_that_is_not_a_database_raises(tmp_path: Path, url: str) -> None:
    (tmp_path / "k.db").write_bytes(b"something else entirely" * 100)
    reader = open_reader(url)
    with pytest.raises(StoreError, match=r"k\.db cannot be used: file is not a database"):
        reader.load()
    with pytest.raises(StoreError, match="cannot be used"):
        reader.has_changed()
    reader.close()


def test_a_path_through_a_file_raises(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    reader = open_reader(f"sqlite:///{tmp_path}/file/k.db")
    with pytest.raises(StoreError, match="is no folder"):
        reader.load()


def test_only_sqlite_files_are_read_without_a_thread(url: str) -> None:
    quick, slow = open_reader(url), open_reader("postgresql://h/d")
    assert isinstance(quick, SqliteReader)
    assert isinstance(slow, StoreReader)
    assert (quick.blocking, slow.blocking) == (False, True)
    slow.close()


def test_reading_does_not_import_sqlalchemy(url: str) -> None:
    code = (
        f"import sys; from {module.__name__} import open_reader; open_reader({url!r}).load();"
        "sys.exit('sqlalchemy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
