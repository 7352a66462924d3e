"""The keys as a running gateway reads them: at its start, and every second or two for changes.

For SQLite this is the standard library alone, over the tables of :mod:`trunkline.ledger.tables`: a start
does not wait for SQLAlchemy, and a look for changes costs microseconds. Other databases are asked through
:class:`~trunkline.ledger.keys.KeyStore`.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, Literal, Protocol

import msgspec

from trunkline.ledger.locate import StoreError, sqlite_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from trunkline.ledger.keys import KeyStore

_ACTIVE: Final = "SELECT id, name, role, prefix, hash FROM keys WHERE revoked_at IS NULL"


class StoredKey(msgspec.Struct, frozen=True):
    """What is needed of a key to let it in."""

    id: str
    name: str
    role: Literal["admin", "member"]
    prefix: str
    hash: str


class KeyReader(Protocol):
    """The active keys of a store, and whether they may have changed."""

    blocking: bool
    """Whether its calls may wait for a network; such ones belong in a thread."""

    def load(self) -> Sequence[StoredKey]:
        """The keys that are not revoked; none while there is no store yet."""

    def changed(self) -> bool:
        """Whether the store was written to since :meth:`load`."""

    def close(self) -> None:
        """Let go of the store."""


def open_reader(url: str) -> KeyReader:
    """The reader for the store at ``url``, which need not exist yet. Opens nothing by itself."""
    path = sqlite_file(url)
    return SqliteReader(path) if path else StoreReader(url)


class SqliteReader:
    """Reads a SQLite file, which may appear, be replaced, or vanish at any time."""

    blocking = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._seen: object = None

    def load(self) -> list[StoredKey]:
        """The active keys. :raises StoreError: if the file is there and cannot be read."""
        with self._reading():
            connection = self._open()
            # The state is taken before the rows: a write in between is then found by the next look.
            self._seen = self._state()
            if connection is None or not _has_keys(connection):
                return []
            rows = connection.execute(_ACTIVE)
            return [StoredKey(*row) for row in rows]

    def changed(self) -> bool:
        """Whether another connection committed anything, or the file is another one now."""
        with self._reading():
            return self._state() != self._seen

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise StoreError(f"the key store {self._path} cannot be read: {reason}") from None

    def _open(self) -> sqlite3.Connection | None:
        """A new connection, since the file may be another one than before."""
        self.close()
        with suppress(FileNotFoundError):
            self._path.stat()
            uri = f"{self._path.absolute().as_uri()}?mode=ro"
            self._connection = sqlite3.connect(uri, uri=True, check_same_thread=False, isolation_level=None)
        return self._connection

    def _state(self) -> object:
        """The file's identity, and a number that changes with every commit of another connection."""
        try:
            file = self._path.stat()
        except FileNotFoundError:
            return None
        if self._connection is None:
            return file.st_dev, file.st_ino, None
        version = self._connection.execute("PRAGMA data_version").fetchone()[0]
        return file.st_dev, file.st_ino, version


def _has_keys(connection: sqlite3.Connection) -> bool:
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'keys'")
    return found.fetchone() is not None


class StoreReader:
    """Reads any store through SQLAlchemy, whole each time: key stores are small."""

    blocking = True

    def __init__(self, url: str) -> None:
        self._url = url
        self._store: KeyStore | None = None
        self._seen: list[StoredKey] | None = None

    def load(self) -> list[StoredKey]:
        """The active keys. :raises StoreError: if the store cannot be read."""
        self._seen = self._read()
        return self._seen

    def changed(self) -> bool:
        """Whether the active keys are others than those of :meth:`load`."""
        return self._read() != self._seen

    def close(self) -> None:
        """Close all connections."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def _read(self) -> list[StoredKey]:
        from trunkline.ledger.keys import KeyStore

        if self._store is None:
            self._store = KeyStore(self._url)
        return [StoredKey(r.id, r.name, r.role, r.prefix, r.hash) for r in self._store.active()]
