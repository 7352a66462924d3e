"""Opens the database: an engine whose tables are up to date.

The module is synchronous, and slow to import because of SQLAlchemy. The command line, the admin API's threads
and the ledger's writer use it. Error texts never contain the password of the database's URL.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Self

from trunkline.errors import redact
from trunkline.ledger.locate import FILE_GONE, StoreError, cannot_use, driver_url, file_problem, sqlite_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection

CONNECT_TIMEOUT_S: Final = 5
"""The timeout for connecting to PostgreSQL, in seconds."""
BUSY_TIMEOUT_S: Final = 10
"""The seconds to wait for other processes that write to a SQLite file."""
_INCREMENT_REVISION: Final = (
    "INSERT INTO revision (id, number) VALUES (1, 1) "
    "ON CONFLICT (id) DO UPDATE SET number = revision.number + 1"
)


class Store:
    """The database at a URL. Close it after use.

    Args:
        url: The database's URL.
        migrate: Bring the tables up to date first. Without it, they are left as they are.
        create: Make a SQLite file that is missing.

    Raises:
        StoreError: The database cannot be opened.
    """

    def __init__(self, url: str, *, migrate: bool = True, create: bool = True) -> None:
        from sqlalchemy import create_engine, event
        from sqlalchemy.exc import SQLAlchemyError

        self._url = url
        path = self._path = sqlite_file(url)
        target = driver_url(url)
        options: dict[str, Any] = {}
        if target.startswith("postgresql"):
            options = {
                "connect_args": {"connect_timeout": CONNECT_TIMEOUT_S},
                "pool_pre_ping": True,
                "pool_size": 3,
            }
        try:
            self.engine = create_engine(target, **options)
            if path is not None:
                problem = file_problem(path)
                if problem is None and not create and not path.exists():
                    problem = FILE_GONE
                if problem is not None:
                    raise cannot_use(url, problem)
                _create_file(path)
                self._inode = path.stat().st_ino
            if self.engine.dialect.name == "sqlite":
                event.listen(self.engine, "connect", _prepare_sqlite)
            if migrate:
                try:
                    self.upgrade()
                except BaseException:
                    self.engine.dispose()
                    raise
        except ModuleNotFoundError as error:
            extra = "; pip install 'trunkline[postgres]'" if error.name == "psycopg" else ""
            raise StoreError(
                f"DATABASE_URL: this database needs the package {error.name!r} installed{extra}"
            ) from None
        except OSError as error:
            raise cannot_use(url, error.strerror or type(error).__name__) from None
        except SQLAlchemyError as error:
            raise self._error(error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def upgrade(self) -> str | None:
        """Bring the tables up to date.

        Returns:
            The last migration that the store had had before, or None if it had had none.

        Raises:
            StoreError: The database fails, or is newer than this version of Trunkline.
        """
        from sqlalchemy.exc import SQLAlchemyError

        from trunkline.ledger.migrate import upgrade

        try:
            return upgrade(self.engine)
        except SQLAlchemyError as error:
            raise self._error(error) from None

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Begin a transaction.

        Raises:
            StoreError: The database fails.
        """
        from sqlalchemy.exc import SQLAlchemyError

        if self._path is not None:
            self._follow_file(self._path)
        try:
            with self.engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise self._error(error) from None

    def _follow_file(self, path: Path) -> None:
        """Use the file that is at the path now. Connections stay with a file that was deleted or replaced,
        and what they write there is lost.

        Raises:
            StoreError: The file is not there. A connection would make an empty one.
        """
        try:
            inode = path.stat().st_ino
        except OSError:
            raise cannot_use(self._url, file_problem(path) or FILE_GONE) from None
        if inode != self._inode:
            self.engine.dispose()
            self._inode = inode

    def _error(self, error: Exception) -> StoreError:
        """Put an error of SQLAlchemy into one line that may be shown."""
        text = str(getattr(error, "orig", None) or error).strip().splitlines()
        return cannot_use(self._url, redact(text[0] if text else type(error).__name__))

    @contextmanager
    def change(self) -> Iterator[Connection]:
        """Begin a transaction that changes keys, teams, limits or budgets, and tell running gateways of it.

        Raises:
            StoreError: The database fails.
        """
        with self.begin() as connection:
            # Other transactions that change policies wait here for the end of this one.
            connection.exec_driver_sql(_INCREMENT_REVISION)
            yield connection


def as_utc(time: datetime | None) -> datetime | None:
    """Return a stored time with its zone, which is always UTC. SQLite does not store the zone."""
    return time.replace(tzinfo=UTC) if time is not None and time.tzinfo is None else time


def _create_file(path: Path) -> None:
    """Create a SQLite file that only its owner can read. SQLite gives its -wal and -shm files the same mode.

    An existing file must not be opened: under POSIX, closing it again would release the locks that this
    process's own connections hold on it. Another process would then delete the write-ahead log that they
    still use.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _prepare_sqlite(connection: Any, _record: object) -> None:
    """Switch to WAL, which lets others read during a write and needs no disk sync at each commit."""
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_S * 1000}")
    _enable_wal(connection)
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint=8000")


def _enable_wal(connection: Any) -> None:
    """Switch to WAL. SQLite does not wait by itself while another process does the same."""
    until = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
        time.sleep(0.01)
