"""The store of keys: creates, lists, changes, rotates and revokes them.

A key is shown once, when it is created; the store has only its SHA-256. The module is synchronous, for the
command line and the admin API. A running gateway reads keys through :mod:`trunkline.ledger.reader`.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

import msgspec

from trunkline.errors import redact
from trunkline.ledger import audit
from trunkline.ledger.locate import StoreError
from trunkline.ledger.policies import Role
from trunkline.ledger.store import Store, as_utc

if TYPE_CHECKING:
    from sqlalchemy import Connection

KEY_PREFIX: Final = "gw_"
_SHOWN_CHARACTERS: Final = 10
"""The length of the prefix of a key that may be shown: :data:`KEY_PREFIX` and 7 of the 43 random
characters."""
_LIST_COLUMNS: Final = ("tags", "models", "providers")
_TIME_COLUMNS: Final = ("created_at", "revoked_at", "expires_at", "old_hash_until", "last_used_at")


class KeyRecord(msgspec.Struct, frozen=True):
    """What the store has of a key. The key itself is not in it."""

    id: str
    name: str
    role: Role
    prefix: str
    hash: str
    """The SHA-256 of the key, in hex."""
    created_at: datetime
    revoked_at: datetime | None = None
    owner: str | None = None
    team_id: str | None = None
    tags: tuple[str, ...] = ()
    expires_at: datetime | None = None
    models: tuple[str, ...] | None = None
    """Patterns of the models that the key may use. None: all."""
    providers: tuple[str, ...] | None = None
    local_only: bool = False
    priority: str = "normal"
    data_collection: str | None = None
    zdr: bool | None = None
    old_hash: str | None = None
    old_hash_until: datetime | None = None
    last_used_at: datetime | None = None

    def __repr__(self) -> str:
        return f"KeyRecord(id={self.id!r}, name={self.name!r}, role={self.role!r}, prefix={self.prefix!r})"


Records: TypeAlias = list[KeyRecord]
CHANGEABLE: Final = (
    "name",
    "role",
    "owner",
    "team_id",
    "tags",
    "expires_at",
    "models",
    "providers",
    "local_only",
    "priority",
    "data_collection",
    "zdr",
)
"""The fields that can be set when a key is created, and changed afterwards."""


class KeyStore:
    """The keys in a store. Close it after use.

    Methods that take a ``reference`` find the active key whose id, name or prefix it is, or the key itself.

    Args:
        url: The database's URL, or an opened store.
        actor: Who makes the changes, for the audit log.

    Raises:
        StoreError: From every method, when the database fails or the request makes no sense.
    """

    def __init__(self, url: str | Store, actor: str = audit.COMMAND_LINE) -> None:
        from trunkline.ledger import tables

        self._table = tables.keys
        self._actor = actor
        self.store = url if isinstance(url, Store) else Store(url)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self.store.close()

    def create(self, name: str, role: Role | None = None, **fields: Any) -> tuple[KeyRecord, str]:
        """Create a key.

        Args:
            name: A name that no other active key has.
            role: None means member. The first key of a store is always an admin's.
            fields: Other fields of :data:`CHANGEABLE`.

        Returns:
            The record, and the key itself, which is not stored.
        """
        name = _clean_name(name)
        text = KEY_PREFIX + secrets.token_urlsafe(32)
        with self.store.change() as connection:
            existing = self._select(connection)
            _check_unique(existing, name)
            self._check_fields(connection, fields)
            record = KeyRecord(
                id=secrets.token_hex(6),
                name=name,
                role=(role or "member") if existing else "admin",
                prefix=text[:_SHOWN_CHARACTERS],
                hash=sha256(text.encode()).hexdigest(),
                created_at=datetime.now(UTC),
                **fields,
            )
            connection.execute(self._table.insert().values(**_columns(msgspec.structs.asdict(record))))
            details = {"name": name, "role": record.role}
            audit.add_entry(connection, self._actor, "key.create", record.id, details)
        return record, text

    def list(self) -> Records:
        """Return all keys, oldest first, including revoked ones."""
        with self.store.begin() as connection:
            return self._select(connection)

    def active(self) -> Records:
        """Return the keys that are not revoked, oldest first."""
        return [record for record in self.list() if record.revoked_at is None]

    def find(self, reference: str) -> KeyRecord:
        """Return the active key with this reference."""
        with self.store.begin() as connection:
            return self._find(connection, reference)

    def change(self, reference: str, **fields: Any) -> KeyRecord:
        """Change fields of :data:`CHANGEABLE` of an active key."""
        with self.store.change() as connection:
            record = self._find(connection, reference)
            if "name" in fields:
                fields["name"] = _clean_name(fields["name"])
                _check_unique(
                    [each for each in self._select(connection) if each.id != record.id], fields["name"]
                )
            self._check_fields(connection, fields)
            changed = msgspec.structs.replace(record, **fields)
            self._update(connection, record.id, fields)
            shown = {name: value for name, value in fields.items() if name in CHANGEABLE}
            audit.add_entry(connection, self._actor, "key.change", record.id, shown)
        return changed

    def rotate(self, reference: str, grace: timedelta = timedelta(0)) -> tuple[KeyRecord, str]:
        """Replace an active key by a new one with the same record.

        Args:
            reference: The key to replace.
            grace: The time for which the old key is still accepted.

        Returns:
            The record, and the new key, which is not stored.
        """
        text = KEY_PREFIX + secrets.token_urlsafe(32)
        with self.store.change() as connection:
            record = self._find(connection, reference)
            fields = {
                "hash": sha256(text.encode()).hexdigest(),
                "prefix": text[:_SHOWN_CHARACTERS],
                "old_hash": record.hash if grace else None,
                "old_hash_until": datetime.now(UTC) + grace if grace else None,
            }
            self._update(connection, record.id, fields)
            seconds = round(grace.total_seconds())
            audit.add_entry(connection, self._actor, "key.rotate", record.id, {"grace_s": seconds})
        return msgspec.structs.replace(record, **fields), text

    def revoke(self, reference: str) -> KeyRecord:
        """Revoke an active key."""
        with self.store.change() as connection:
            record = self._find(connection, reference)
            revoked = msgspec.structs.replace(record, revoked_at=datetime.now(UTC))
            self._update(connection, record.id, {"revoked_at": revoked.revoked_at})
            audit.add_entry(connection, self._actor, "key.revoke", record.id, {"name": record.name})
        return revoked

    def _find(self, connection: Connection, reference: str) -> KeyRecord:
        digest = sha256(reference.encode()).hexdigest()
        active = [record for record in self._select(connection) if record.revoked_at is None]
        matches = [r for r in active if reference in (r.id, r.name, r.prefix) or digest == r.hash]
        if len(matches) != 1:
            count = "several active keys" if matches else "no active key"
            raise StoreError(
                f"{redact(reference)!r} is the id, name or prefix of {count}; see `trunkline keys list`",
                "invalid" if matches else "not_found",
            )
        return matches[0]

    def _check_fields(self, connection: Connection, fields: dict[str, Any]) -> None:
        from trunkline.ledger.tables import teams

        unknown = [name for name in fields if name not in CHANGEABLE]
        if unknown:
            raise StoreError(f"a key has no field {unknown[0]!r} that can be set", "invalid")
        team = fields.get("team_id")
        if team is None:
            return
        if connection.execute(teams.select().where(teams.c.id == team)).first() is None:
            raise StoreError(
                f"there is no team with the id {redact(team)!r}; see `trunkline teams list`", "not_found"
            )

    def _update(self, connection: Connection, key_id: str, fields: dict[str, Any]) -> None:
        if fields:
            connection.execute(
                self._table.update().where(self._table.c.id == key_id).values(**_columns(fields))
            )

    def _select(self, connection: Connection) -> Records:
        rows = connection.execute(self._table.select().order_by(self._table.c.created_at, self._table.c.id))
        return [_record(row) for row in rows.mappings()]


def _clean_name(name: str) -> str:
    name = name.strip()
    if not name or len(name) > 200 or not name.isprintable():
        raise StoreError("a key needs a name of 1 to 200 printable characters", "invalid")
    return name


def _check_unique(records: Records, name: str) -> None:
    if any(record.name == name for record in records if record.revoked_at is None):
        raise StoreError(
            f"there is a key named {name!r} already; choose another name, or revoke that one", "conflict"
        )


def _columns(fields: dict[str, Any]) -> dict[str, Any]:
    """Return fields of a record as the table stores them: lists as JSON, and empty lists as null."""
    columns = dict(fields)
    for name in _LIST_COLUMNS:
        if name in columns:
            columns[name] = msgspec.json.encode(columns[name]).decode() if columns[name] else None
    return columns


def _record(row: Any) -> KeyRecord:
    fields = dict(row)
    for name in _TIME_COLUMNS:
        fields[name] = as_utc(fields[name])
    for name in _LIST_COLUMNS:
        text = fields[name]
        fields[name] = tuple(msgspec.json.decode(text)) if text else () if name == "tags" else None
    return KeyRecord(**fields)
