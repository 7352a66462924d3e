"""The store of keys: making, listing and revoking them.

A key is shown once, when it is made; the store has its SHA-256. Synchronous and slow to import (it brings
SQLAlchemy in when a store is opened): for the command line and the admin API. A running gateway reads keys
through :mod:`trunkline.ledger.reader`.
"""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias

import msgspec

from trunkline.errors import redact
from trunkline.ledger.locate import StoreError, driver_url, sqlite_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

KEY_PREFIX: Final = "gw_"
_SHOWN: Final = 10
"""Characters of a key that may be shown: 7 of its 43 random ones."""

Role = Literal["admin", "member"]


class KeyRecord(msgspec.Struct, frozen=True):
    """A stored key, without the key."""

    id: str
    name: str
    role: Role
    prefix: str
    hash: str
    """SHA-256 of the key, in hex."""
    created_at: datetime
    revoked_at: datetime | None = None

    def __repr__(self) -> str:
        return f"KeyRecord(id={self.id!r}, name={self.name!r}, role={self.role!r}, prefix={self.prefix!r})"


Records: TypeAlias = list[KeyRecord]


class KeyStore:
    """The keys in the database at a URL, whose tables are made if missing. Close it after use."""

    def __init__(self, url: str) -> None:
        """:raises StoreError: if the database cannot be opened."""
        from sqlalchemy import create_engine, event
        from sqlalchemy.exc import SQLAlchemyError

        from trunkline.ledger import tables

        self._table = tables.keys
        try:
            self._engine = create_engine(driver_url(url))
            if path := sqlite_file(url):
                # Made here so that nobody else can read it; SQLite gives its -wal and -shm the same mode.
                os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
                event.listen(self._engine, "connect", _prepare_sqlite)
            tables.metadata.create_all(self._engine)
        except ModuleNotFoundError as error:
            raise StoreError(
                f"DATABASE_URL: this database needs the package {error.name!r} installed"
            ) from None
        except OSError as error:
            raise StoreError(f"cannot open the key store {error.filename}: {error.strerror}") from None
        except SQLAlchemyError as error:
            raise _store_error(error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def create(self, name: str, role: Role | None = None) -> tuple[KeyRecord, str]:
        """A new key and its text, which cannot be had again.

        :param role: None means member. The store's first key is an admin's whatever this says.
        :raises StoreError: if an active key has this name.
        """
        name = name.strip()
        if not name or len(name) > 200 or not name.isprintable():
            raise StoreError("a key needs a name of 1 to 200 printable characters")
        text = KEY_PREFIX + secrets.token_urlsafe(32)
        with self._begin() as connection:
            known = self._select(connection)
            if any(record.name == name for record in known if record.revoked_at is None):
                raise StoreError(
                    f"there is a key named {name!r} already; choose another name, or revoke that one"
                )
            record = KeyRecord(
                id=secrets.token_hex(6),
                name=name,
                role=(role or "member") if known else "admin",
                prefix=text[:_SHOWN],
                hash=sha256(text.encode()).hexdigest(),
                created_at=datetime.now(UTC),
            )
            connection.execute(self._table.insert().values(**msgspec.structs.asdict(record)))
        return record, text

    def list(self) -> Records:
        """All keys, revoked ones too, oldest first."""
        with self._begin() as connection:
            return self._select(connection)

    def active(self) -> Records:
        """The keys that may come in."""
        return [record for record in self.list() if record.revoked_at is None]

    def revoke(self, which: str) -> KeyRecord:
        """Revoke the active key with this id, name or prefix, or the key itself.

        :raises StoreError: if there is none, or more than one.
        """
        digest = sha256(which.encode()).hexdigest()
        with self._begin() as connection:
            active = [record for record in self._select(connection) if record.revoked_at is None]
            found = [r for r in active if which in (r.id, r.name, r.prefix) or digest == r.hash]
            if len(found) != 1:
                count = "several active keys" if found else "no active key"
                raise StoreError(
                    f"{redact(which)!r} is the id, name or prefix of {count}; see `trunkline keys list`"
                )
            revoked = msgspec.structs.replace(found[0], revoked_at=datetime.now(UTC))
            change = self._table.update().where(self._table.c.id == revoked.id)
            connection.execute(change.values(revoked_at=revoked.revoked_at))
        return revoked

    def _select(self, connection: Connection) -> Records:
        rows = connection.execute(self._table.select().order_by(self._table.c.created_at, self._table.c.id))
        return [_record(row) for row in rows.mappings()]

    @contextmanager
    def _begin(self) -> Iterator[Connection]:
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise _store_error(error) from None


def _record(row: Any) -> KeyRecord:
    fields = dict(row)
    for name in ("created_at", "revoked_at"):  # SQLite forgets the zone; all times are stored as UTC
        if fields[name] is not None and fields[name].tzinfo is None:
            fields[name] = fields[name].replace(tzinfo=UTC)
    return KeyRecord(**fields)


def _store_error(error: Exception) -> StoreError:
    text = str(getattr(error, "orig", None) or error).strip().splitlines()
    return StoreError(f"the key store cannot be used: {redact(text[0] if text else type(error).__name__)}")


def _prepare_sqlite(connection: Any, _record: object) -> None:
    """WAL lets a running gateway read while a key is written."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA busy_timeout=5000")
