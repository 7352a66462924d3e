"""The store of keys: making, listing, changing, rotating and revoking them.

A key is shown once, when it is made; the store has its SHA-256. Synchronous: for the command line and the
admin API. A running gateway reads keys through :mod:`trunkline.ledger.reader`.
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
from trunkline.ledger.store import Store, aware

if TYPE_CHECKING:
    from sqlalchemy import Connection

KEY_PREFIX: Final = "gw_"
_SHOWN: Final = 10
"""Characters of a key that may be shown: 7 of its 43 random ones."""
_LISTS: Final = ("tags", "models", "providers")
_TIMES: Final = ("created_at", "revoked_at", "expires_at", "old_hash_until", "last_used_at")


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
    owner: str | None = None
    team_id: str | None = None
    tags: tuple[str, ...] = ()
    expires_at: datetime | None = None
    models: tuple[str, ...] | None = None
    """Patterns of the models it may use; None: all."""
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
"""Fields that may be given when a key is made, and changed afterwards."""


class KeyStore:
    """The keys in the database at a URL, whose tables are made if missing. Close it after use.

    Raises:
        StoreError: from every method, when the database fails or the request makes no sense.
    """

    def __init__(self, url: str | Store, actor: str = audit.COMMAND_LINE) -> None:
        """``actor`` is whom the audit log names for changes."""
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

    def create(self, name: str, role: Role | None = None, **more: Any) -> tuple[KeyRecord, str]:
        """A new key and its text, which cannot be had again.

        Args:
            name: unique among the active keys.
            role: None means member. The store's first key is an admin's whatever this says.
            more: the other fields of :data:`CHANGEABLE`.
        """
        name = _checked_name(name)
        text = KEY_PREFIX + secrets.token_urlsafe(32)
        with self.store.change() as connection:
            known = self._select(connection)
            _check_unique(known, name)
            self._check(connection, more)
            record = KeyRecord(
                id=secrets.token_hex(6),
                name=name,
                role=(role or "member") if known else "admin",
                prefix=text[:_SHOWN],
                hash=sha256(text.encode()).hexdigest(),
                created_at=datetime.now(UTC),
                **more,
            )
            connection.execute(self._table.insert().values(**_columns(msgspec.structs.asdict(record))))
            audit.note(connection, self._actor, "key.create", record.id, {"name": name, "role": record.role})
        return record, text

    def list(self) -> Records:
        """All keys, revoked ones too, oldest first."""
        with self.store.begin() as connection:
            return self._select(connection)

    def active(self) -> Records:
        """The keys that may come in."""
        return [record for record in self.list() if record.revoked_at is None]

    def find(self, which: str) -> KeyRecord:
        """The active key with this id, name or prefix, or the key itself. Raises StoreError if there is
        none, or more than one."""
        with self.store.begin() as connection:
            return self._find(connection, which)

    def change(self, which: str, **fields: Any) -> KeyRecord:
        """Give an active key other :data:`CHANGEABLE` fields."""
        with self.store.change() as connection:
            record = self._find(connection, which)
            if "name" in fields:
                fields["name"] = _checked_name(fields["name"])
                _check_unique(
                    [each for each in self._select(connection) if each.id != record.id], fields["name"]
                )
            self._check(connection, fields)
            changed = msgspec.structs.replace(record, **fields)
            self._update(connection, record.id, fields)
            shown = {name: value for name, value in fields.items() if name in CHANGEABLE}
            audit.note(connection, self._actor, "key.change", record.id, shown)
        return changed

    def rotate(self, which: str, grace: timedelta = timedelta(0)) -> tuple[KeyRecord, str]:
        """Another text for an active key; the old one may come in for ``grace`` longer."""
        text = KEY_PREFIX + secrets.token_urlsafe(32)
        with self.store.change() as connection:
            record = self._find(connection, which)
            fields = {
                "hash": sha256(text.encode()).hexdigest(),
                "prefix": text[:_SHOWN],
                "old_hash": record.hash if grace else None,
                "old_hash_until": datetime.now(UTC) + grace if grace else None,
            }
            self._update(connection, record.id, fields)
            seconds = round(grace.total_seconds())
            audit.note(connection, self._actor, "key.rotate", record.id, {"grace_s": seconds})
        return msgspec.structs.replace(record, **fields), text

    def revoke(self, which: str) -> KeyRecord:
        """Revoke an active key."""
        with self.store.change() as connection:
            record = self._find(connection, which)
            revoked = msgspec.structs.replace(record, revoked_at=datetime.now(UTC))
            self._update(connection, record.id, {"revoked_at": revoked.revoked_at})
            audit.note(connection, self._actor, "key.revoke", record.id, {"name": record.name})
        return revoked

    def _find(self, connection: Connection, which: str) -> KeyRecord:
        digest = sha256(which.encode()).hexdigest()
        active = [record for record in self._select(connection) if record.revoked_at is None]
        found = [r for r in active if which in (r.id, r.name, r.prefix) or digest == r.hash]
        if len(found) != 1:
            count = "several active keys" if found else "no active key"
            raise StoreError(
                f"{redact(which)!r} is the id, name or prefix of {count}; see `trunkline keys list`",
                "wrong" if found else "missing",
            )
        return found[0]

    def _check(self, connection: Connection, fields: dict[str, Any]) -> None:
        from trunkline.ledger.tables import teams

        unknown = [name for name in fields if name not in CHANGEABLE]
        if unknown:
            raise StoreError(f"a key has no field {unknown[0]!r} that can be set", "wrong")
        team = fields.get("team_id")
        if team is not None:
            known = connection.execute(teams.select().where(teams.c.id == team)).first()
            if known is None:
                raise StoreError(
                    f"there is no team with the id {redact(team)!r}; see `trunkline teams list`", "missing"
                )

    def _update(self, connection: Connection, number: str, fields: dict[str, Any]) -> None:
        if fields:
            connection.execute(
                self._table.update().where(self._table.c.id == number).values(**_columns(fields))
            )

    def _select(self, connection: Connection) -> Records:
        rows = connection.execute(self._table.select().order_by(self._table.c.created_at, self._table.c.id))
        return [_record(row) for row in rows.mappings()]


def _checked_name(name: str) -> str:
    name = name.strip()
    if not name or len(name) > 200 or not name.isprintable():
        raise StoreError("a key needs a name of 1 to 200 printable characters", "wrong")
    return name


def _check_unique(known: Records, name: str) -> None:
    if any(record.name == name for record in known if record.revoked_at is None):
        raise StoreError(
            f"there is a key named {name!r} already; choose another name, or revoke that one", "taken"
        )


def _columns(fields: dict[str, Any]) -> dict[str, Any]:
    """A record's fields as the table has them: lists as JSON, and none of them as null."""
    found = dict(fields)
    for name in _LISTS:
        if name in found:
            found[name] = msgspec.json.encode(found[name]).decode() if found[name] else None
    return found


def _record(row: Any) -> KeyRecord:
    fields = dict(row)
    for name in _TIMES:
        fields[name] = aware(fields[name])
    for name in _LISTS:
        text = fields[name]
        fields[name] = tuple(msgspec.json.decode(text)) if text else () if name == "tags" else None
    return KeyRecord(**fields)
