"""The store's part on disk: a SQLite file that only its owner can read, written by one thread.

The file is made when something is first stored. If it cannot be used, that is logged once, and the store goes
on in memory.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from trunkline.server.state.store import Bounds, Entry

log: Final = structlog.stdlib.get_logger(__name__)

_BUSY_S: Final = 5.0
"""Seconds to wait for another process that writes to the file."""
_ROUND: Final = 32
"""After so many writes all owners' entries are counted, and those over their time deleted."""
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS state (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    size INTEGER NOT NULL,
    until REAL NOT NULL,
    data BLOB NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS state_name ON state (owner, name);
CREATE INDEX IF NOT EXISTS state_size ON state (owner, id, size);
CREATE INDEX IF NOT EXISTS state_until ON state (until);
"""


class DiskState:
    """Satisfies :class:`~.store.Backing`."""

    is_shared = False

    def __init__(self, path: Path) -> None:
        """``path`` is the file's; its folder is made too."""
        self._path = path
        self._bounds = Bounds()
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None
        self._writes = 0
        self._failed = False

    def resize(self, bounds: Bounds) -> None:
        """See the Protocol."""
        self._bounds = bounds

    async def load(self, owner: str, name: str) -> Entry | None:
        """See the Protocol."""
        if not self._is_used(reading=True):
            return None
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._worker(), self._try, lambda: self._load(owner, name))

    def save(self, owner: str, name: str, entry: Entry) -> None:
        """See the Protocol."""
        if self._is_used():
            self._worker().submit(self._try, lambda: self._save(owner, name, entry))

    def delete(self, owner: str, name: str) -> None:
        """See the Protocol."""
        if self._is_used(reading=True):
            self._worker().submit(self._try, lambda: self._delete(owner, name))

    async def aclose(self) -> None:
        """See the Protocol."""
        thread, self._thread, self._failed = self._thread, None, True
        if thread is not None:
            await asyncio.get_running_loop().run_in_executor(thread, self._close)
            thread.shutdown()

    def _is_used(self, *, reading: bool = False) -> bool:
        if self._failed or not self._bounds.disk_bytes:
            return False
        return not reading or self._thread is not None or self._path.exists()

    def _worker(self) -> ThreadPoolExecutor:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "stored-state")
        return self._thread

    # In the thread

    def _try(self, work: Callable[[], Entry | None]) -> Entry | None:
        """Do ``work``. If the file cannot be used, it is not used any more."""
        try:
            return None if self._failed and self._connection is None else work()
        except (sqlite3.Error, OSError) as error:
            self._failed = True
            self._close()
            problem = getattr(error, "strerror", None) or str(error)
            log.warning("stored responses are in memory only", file=str(self._path), reason=problem)
            return None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):
                os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            connection = sqlite3.connect(self._path, timeout=_BUSY_S)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("PRAGMA secure_delete=ON")
            connection.executescript(_TABLE)
            self._connection = connection
        return self._connection

    def _load(self, owner: str, name: str) -> Entry | None:
        query = "SELECT data, until FROM state WHERE owner = ? AND name = ?"
        found = self._open().execute(query, (owner, name)).fetchone()
        return None if found is None else Entry(*found)

    def _save(self, owner: str, name: str, entry: Entry) -> None:
        with self._open() as connection:
            connection.execute("DELETE FROM state WHERE owner = ? AND name = ?", (owner, name))
            connection.execute(
                "INSERT INTO state (owner, name, size, until, data) VALUES (?, ?, ?, ?, ?)",
                (owner, name, len(entry.data), entry.until, entry.data),
            )
            _trim(connection, "owner = ?", (owner,), self._bounds.key_bytes)
            if self._writes % _ROUND == 0:
                connection.execute("DELETE FROM state WHERE until <= ?", (time.time(),))
                _trim(connection, "1", (), self._bounds.disk_bytes)
            self._writes += 1

    def _delete(self, owner: str, name: str) -> None:
        with self._open() as connection:
            connection.execute("DELETE FROM state WHERE owner = ? AND name = ?", (owner, name))

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _trim(connection: sqlite3.Connection, which: str, arguments: tuple[str, ...], most: int) -> None:
    """Delete the oldest of some entries until the rest takes no more than ``most`` bytes."""
    (total,) = connection.execute(f"SELECT SUM(size) FROM state WHERE {which}", arguments).fetchone()
    excess = (total or 0) - most
    if excess <= 0:
        return
    last = 0
    query = f"SELECT id, size FROM state WHERE {which} ORDER BY id"
    for last, size in connection.execute(query, arguments):  # noqa: B007
        excess -= size
        if excess <= 0:
            break
    connection.execute(f"DELETE FROM state WHERE {which} AND id <= ?", (*arguments, last))
