"""The policies as a running gateway reads them: at its start, and every second or two for changes.

For SQLite this is the standard library alone, over the tables of :mod:`trunkline.ledger.tables`: a start
does not wait for SQLAlchemy, and a look for changes costs microseconds. Other databases are asked through
:class:`~trunkline.ledger.store.Store`.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from trunkline.ledger.locate import StoreError, sqlite_file
from trunkline.ledger.migrate import HEAD
from trunkline.ledger.policies import REVISION, Policies, read_policies

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trunkline.ledger.store import Store


class PolicyReader(Protocol):
    """The policies of a store, and whether they may have changed."""

    blocking: bool
    """Whether its calls may wait for a network; such ones belong in a thread."""

    def load(self) -> Policies:
        """All policies; none while there is no store yet."""

    def changed(self) -> bool:
        """Whether policies were written since :meth:`load`."""

    def close(self) -> None:
        """Let go of the store."""


def open_reader(url: str) -> PolicyReader:
    """The reader for the store at ``url``, which need not exist yet. Opens nothing by itself."""
    path = sqlite_file(url)
    return SqliteReader(path) if path else StoreReader(url)


def upgrade_if_needed(url: str) -> None:
    """Bring an existing store's tables up to date. One that is so already costs next to nothing.

    Raises:
        StoreError: it cannot be opened, or is newer than this version.
    """
    path = sqlite_file(url)
    if path is not None:
        if not path.exists():
            return
        reader = SqliteReader(path)
        try:
            if reader.version() == HEAD:
                return
        finally:
            reader.close()
    from trunkline.ledger.store import Store

    Store(url).close()


class SqliteReader:
    """Reads a SQLite file, which may appear, be replaced, or vanish at any time."""

    blocking = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._seen: object = None
        self._revision: object = None

    def version(self) -> str | None:
        """The migration that the file is at; None if it has no tables of ours."""
        with self._reading():
            connection = self._open()
            if connection is None or not _has(connection, "alembic_version"):
                return None
            found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            return None if found is None else str(found[0])

    def load(self) -> Policies:
        """The policies. :raises StoreError: if the file is there and cannot be read."""
        with self._reading():
            connection = self._open()
            # The state is taken before the rows: a write in between is then found by the next look.
            self._seen = self._state()
            self._revision = None
            if connection is None or not _has(connection, "revision"):
                return Policies()
            connection.execute("BEGIN")
            try:
                self._revision = connection.execute(REVISION).fetchall()
                return read_policies(connection.execute)
            finally:
                connection.execute("COMMIT")

    def changed(self) -> bool:
        """Whether another connection changed policies, or the file is another one now."""
        with self._reading():
            state = self._state()
            if state == self._seen:
                return False
            if (
                self._revision is None
                or self._connection is None
                or state is None
                or not _same_file(state, self._seen)
            ):
                return True
            self._seen = state
            return self._connection.execute(REVISION).fetchall() != self._revision

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
            raise StoreError(f"the store {self._path} cannot be read: {reason}") from None

    def _open(self) -> sqlite3.Connection | None:
        """A new connection, since the file may be another one than before."""
        self.close()
        with suppress(FileNotFoundError):
            self._path.stat()
            uri = f"{self._path.absolute().as_uri()}?mode=ro"
            self._connection = sqlite3.connect(uri, uri=True, check_same_thread=False, isolation_level=None)
        return self._connection

    def _state(self) -> tuple[int, int, int | None] | None:
        """The file's identity, and a number that changes with every commit of another connection."""
        try:
            file = self._path.stat()
        except FileNotFoundError:
            return None
        if self._connection is None:
            return file.st_dev, file.st_ino, None
        version = self._connection.execute("PRAGMA data_version").fetchone()[0]
        return file.st_dev, file.st_ino, version


def _same_file(one: object, other: object) -> bool:
    return isinstance(one, tuple) and isinstance(other, tuple) and one[:2] == other[:2]


def _has(connection: sqlite3.Connection, table: str) -> bool:
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,))
    return found.fetchone() is not None


class StoreReader:
    """Reads any store through SQLAlchemy."""

    blocking = True

    def __init__(self, url: str) -> None:
        self._url = url
        self._store: Store | None = None
        self._revision: object = None

    def load(self) -> Policies:
        """The policies. :raises StoreError: if the store cannot be read."""
        with self._open().begin() as connection:
            self._revision = connection.exec_driver_sql(REVISION).all()
            return read_policies(lambda sql: connection.exec_driver_sql(sql).all())

    def changed(self) -> bool:
        """Whether policies were changed since :meth:`load`."""
        with self._open().begin() as connection:
            return connection.exec_driver_sql(REVISION).all() != self._revision

    def close(self) -> None:
        """Close all connections."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def _open(self) -> Store:
        from trunkline.ledger.store import Store

        if self._store is None:
            self._store = Store(self._url)
        return self._store
