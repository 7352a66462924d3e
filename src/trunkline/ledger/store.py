"""The database behind everything that lasts, opened: an engine whose tables are up to date.

Synchronous and slow to import (SQLAlchemy): for the command line, the admin API's threads and the ledger's
writer. No error text of it holds the address's password.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Self

from trunkline.errors import redact
from trunkline.ledger.locate import StoreError, driver_url, sqlite_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection

CONNECT_TIMEOUT_S: Final = 5
"""Seconds that PostgreSQL gets to take a connection."""
BUSY_S: Final = 10
"""Seconds to wait for others that write to a SQLite file."""
_RAISE: Final = (
    "INSERT INTO revision (id, number) VALUES (1, 1) "
    "ON CONFLICT (id) DO UPDATE SET number = revision.number + 1"
)


class Store:
    """The database at a URL. Close it after use."""

    def __init__(self, url: str, *, migrate: bool = True) -> None:
        """``migrate``: bring its tables up to date first; without it they are taken as they are.

        Raises:
            StoreError: the database cannot be opened.
        """
        from sqlalchemy import create_engine, event
        from sqlalchemy.exc import SQLAlchemyError

        from trunkline.ledger.migrate import upgrade

        path = sqlite_file(url)
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
                _make(path)
            if self.engine.dialect.name == "sqlite":
                event.listen(self.engine, "connect", _prepare_sqlite)
            if migrate:
                try:
                    upgrade(self.engine)
                except BaseException:
                    self.engine.dispose()
                    raise
        except ModuleNotFoundError as error:
            extra = "; pip install 'trunkline[postgres]'" if error.name == "psycopg" else ""
            raise StoreError(
                f"DATABASE_URL: this database needs the package {error.name!r} installed{extra}"
            ) from None
        except OSError as error:
            raise StoreError(f"cannot open the store {error.filename}: {error.strerror}") from None
        except SQLAlchemyError as error:
            raise store_error(error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction. Raises StoreError where the database fails."""
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with self.engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise store_error(error) from None

    @contextmanager
    def change(self) -> Iterator[Connection]:
        """A transaction that changes keys, teams, limits or budgets: running gateways look for it."""
        with self.begin() as connection:
            connection.exec_driver_sql(_RAISE)  # whoever else changes something waits here
            yield connection


def aware(moment: datetime | None) -> datetime | None:
    """SQLite forgets the zone; all times are stored as UTC."""
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def store_error(error: Exception) -> StoreError:
    """What SQLAlchemy raised, in a line that may be shown."""
    text = str(getattr(error, "orig", None) or error).strip().splitlines()
    return StoreError(f"the store cannot be used: {redact(text[0] if text else type(error).__name__)}")


def _make(path: Path) -> None:
    """Make a SQLite file that nobody else can read; SQLite gives its -wal and -shm the same mode.

    A file that is there must not be opened: closing it again would take away the locks that this process's
    own connections hold on it (POSIX), and another process would then delete their log under them.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _prepare_sqlite(connection: Any, _record: object) -> None:
    """WAL lets others read while one writes, and needs no wait for the disk at each commit."""
    connection.execute(f"PRAGMA busy_timeout={BUSY_S * 1000}")
    _use_wal(connection)
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint=8000")


def _use_wal(connection: Any) -> None:
    """The switch is the one thing for which SQLite does not wait by itself while another process is at it."""
    until = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
        time.sleep(0.01)
