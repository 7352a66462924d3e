"""Reads the policies for a running gateway: when it starts, and again when they have changed.

A gateway checks for changes every second or two. SQLite is read with the standard library alone, so that a
start does not wait for SQLAlchemy and a check takes microseconds. Other databases are read through
:class:`~trunkline.ledger.store.Store`. The tables are described in :mod:`trunkline.ledger.tables`.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from trunkline.ledger.locate import FILE_GONE, cannot_use, file_problem, sqlite_file
from trunkline.ledger.migrate import HEAD
from trunkline.ledger.policies import SELECT_REVISION, Policies, read_policies

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trunkline.ledger.store import Store

_FileVersion: TypeAlias = tuple[int, int, int | None]
"""The device and inode of a SQLite file, and a number that changes with every commit of another connection.
The number is None while there is no connection."""


_NOT_LOADED: Final[_FileVersion] = (-1, -1, None)
"""The version of no file: nothing was loaded, and the next check finds a change."""
_FILE_EMPTY: Final = "another file without keys is in its place"


class PolicyReader(Protocol):
    """Reads the policies of a store."""

    blocking: bool
    """Whether calls may wait for a network. They then have to be made in a thread."""

    def load(self) -> Policies:
        """Read all policies. There are none while the store does not exist."""

    def has_changed(self) -> bool:
        """Whether policies were written since the last :meth:`load`."""

    def close(self) -> None:
        """Close the connection to the store."""


def open_reader(url: str) -> PolicyReader:
    """Return a reader for the store at ``url``, which need not exist yet. It is opened by the first read."""
    path = sqlite_file(url)
    return SqliteReader(path, url) if path else StoreReader(url)


def upgrade_if_needed(url: str) -> None:
    """Bring an existing store's tables up to date. This takes next to no time if they already are.

    Raises:
        StoreError: The store cannot be opened, or is newer than this version.
    """
    path = sqlite_file(url)
    if path is not None:
        if not path.exists() and file_problem(path) is None:
            return
        reader = SqliteReader(path, url)
        try:
            if reader.revision() == HEAD:
                return
        finally:
            reader.close()
    from trunkline.ledger.store import Store

    Store(url).close()


class SqliteReader:
    """Reads a SQLite file, which may be created, replaced or deleted at any time.

    A file that was read and is gone is an error, and so is one without keys in place of one that had some:
    a gateway must not refuse all of its users because somebody has moved a file.
    """

    blocking = False

    def __init__(self, path: Path, url: str | None = None) -> None:
        """
        Args:
            path: the file.
            url: its URL, for errors.
        """
        self._path = path
        self._url = url or f"sqlite:///{path}"
        self._was_read = False
        """Whether the file was there and had tables at an earlier :meth:`load`."""
        self._had_keys = False
        """Whether it had keys."""
        self._changes = 0
        """How often its policies had been changed. Another file has had fewer changes."""
        self._connection: sqlite3.Connection | None = None
        self._loaded_version: _FileVersion | None = None
        self._loaded_policy_revision: object = None

    def revision(self) -> str | None:
        """Return the last migration that the file has had, or None if it has had none.

        Raises:
            StoreError: The file exists and cannot be read.
        """
        with self._store_errors():
            connection = self._open()
            if connection is None or not _has_table(connection, "alembic_version"):
                return None
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            return None if row is None else str(row[0])

    def load(self) -> Policies:
        """Read all policies. There are none while the file does not exist.

        Raises:
            StoreError: The file exists and cannot be read.
        """
        with self._store_errors():
            self._loaded_version, self._loaded_policy_revision = _NOT_LOADED, None
            connection = self._open()
            # The version is read before the rows, so that the next check finds a write in between.
            version = self._file_version()
            if connection is None or not _has_table(connection, "revision"):
                if self._was_read:
                    raise cannot_use(self._url, FILE_GONE if connection is None else _FILE_EMPTY)
                self._loaded_version = version
                return Policies()
            connection.execute("BEGIN")
            try:
                revision = connection.execute(SELECT_REVISION).fetchall()
                policies = read_policies(connection.execute)
            finally:
                connection.execute("COMMIT")
            changes = revision[0][0] if revision else 0
            if self._had_keys and not policies.keys and changes < self._changes:
                raise cannot_use(self._url, _FILE_EMPTY)
            self._loaded_version, self._loaded_policy_revision = version, revision
            self._was_read, self._had_keys, self._changes = True, bool(policies.keys), changes
            return policies

    def has_changed(self) -> bool:
        """Whether policies were changed, or the file was replaced, since the last :meth:`load`.

        Only changes of other connections are noticed.

        Raises:
            StoreError: The file exists and cannot be read.
        """
        with self._store_errors():
            version = self._file_version()
            if version == self._loaded_version:
                return False
            if version is None and self._was_read:
                raise cannot_use(self._url, file_problem(self._path) or FILE_GONE)
            if (
                self._loaded_policy_revision is None
                or self._connection is None
                or version is None
                or self._loaded_version is None
                or version[:2] != self._loaded_version[:2]
            ):
                return True
            self._loaded_version = version
            return self._connection.execute(SELECT_REVISION).fetchall() != self._loaded_policy_revision

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def _store_errors(self) -> Iterator[None]:
        """Turn errors of the file system and of SQLite into :class:`StoreError`."""
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise cannot_use(self._url, str(reason)) from None

    def _open(self) -> sqlite3.Connection | None:
        """Open a new connection, since the file may have been replaced. Returns None if there is no file."""
        self.close()
        problem = file_problem(self._path)
        if problem is not None:
            raise cannot_use(self._url, problem)
        with suppress(FileNotFoundError):
            self._path.stat()
            uri = f"{self._path.absolute().as_uri()}?mode=ro"
            self._connection = sqlite3.connect(uri, uri=True, check_same_thread=False, isolation_level=None)
        return self._connection

    def _file_version(self) -> _FileVersion | None:
        """Return the file's present version, or None if there is no file."""
        try:
            file = self._path.stat()
        except FileNotFoundError:
            return None
        if self._connection is None:
            return file.st_dev, file.st_ino, None
        version = self._connection.execute("PRAGMA data_version").fetchone()[0]
        return file.st_dev, file.st_ino, version


def _has_table(connection: sqlite3.Connection, table: str) -> bool:
    tables = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,))
    return tables.fetchone() is not None


class StoreReader:
    """Reads a store of any kind through SQLAlchemy."""

    blocking = True

    def __init__(self, url: str) -> None:
        self._url = url
        self._store: Store | None = None
        self._revision: object = None

    def load(self) -> Policies:
        """Read all policies.

        Raises:
            StoreError: The store cannot be read.
        """
        with self._open().begin() as connection:
            self._revision = connection.exec_driver_sql(SELECT_REVISION).all()
            return read_policies(lambda sql: connection.exec_driver_sql(sql).all())

    def has_changed(self) -> bool:
        """Whether policies were changed since the last :meth:`load`.

        Raises:
            StoreError: The store cannot be read.
        """
        with self._open().begin() as connection:
            return connection.exec_driver_sql(SELECT_REVISION).all() != self._revision

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
