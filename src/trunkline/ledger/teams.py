"""The store of teams. The keys of a team share limits and budgets; a key is in one team at most."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from trunkline.errors import redact
from trunkline.ledger import audit
from trunkline.ledger.locate import StoreError
from trunkline.ledger.store import Store, as_utc

if TYPE_CHECKING:
    from sqlalchemy import Connection

CHANGEABLE: Final = ("name", "models", "providers", "local_only")
"""The fields that can be set when a team is created, and changed afterwards."""


class Team(msgspec.Struct, frozen=True):
    """A stored team."""

    id: str
    name: str
    created_at: datetime
    models: tuple[str, ...] | None = None
    """Patterns of the models that its keys may use. None: all."""
    providers: tuple[str, ...] | None = None
    local_only: bool = False


class TeamStore:
    """The teams in a store.

    Args:
        store: The opened store.
        actor: Who makes the changes, for the audit log.

    Raises:
        StoreError: From every method, when the database fails or the request makes no sense.
    """

    def __init__(self, store: Store, actor: str = audit.COMMAND_LINE) -> None:
        from trunkline.ledger import tables

        self._table = tables.teams
        self._keys = tables.keys
        self._store = store
        self._actor = actor

    def create(self, name: str, **fields: Any) -> Team:
        """Create a team.

        Args:
            name: A name that no other team has.
            fields: Other fields of :data:`CHANGEABLE`.
        """
        name = _clean_name(name)
        with self._store.change() as connection:
            self._check_unique(connection, name)
            _check_fields(fields)
            team = Team(id=secrets.token_hex(6), name=name, created_at=datetime.now(UTC), **fields)
            connection.execute(self._table.insert().values(**_columns(msgspec.structs.asdict(team))))
            audit.add_entry(connection, self._actor, "team.create", team.id, {"name": name})
        return team

    def list(self) -> list[Team]:
        """Return all teams, sorted by name."""
        with self._store.begin() as connection:
            rows = connection.execute(self._table.select().order_by(self._table.c.name)).mappings().all()
        return [_team(row) for row in rows]

    def find(self, reference: str) -> Team:
        """Return the team whose id or name is ``reference``."""
        for team in self.list():
            if reference in (team.id, team.name):
                return team
        raise StoreError(f"there is no team {redact(reference)!r}; see `trunkline teams list`", "not_found")

    def change(self, reference: str, **fields: Any) -> Team:
        """Change fields of :data:`CHANGEABLE` of the team whose id or name is ``reference``."""
        team = self.find(reference)
        _check_fields(fields)
        with self._store.change() as connection:
            if "name" in fields:
                fields["name"] = _clean_name(fields["name"])
                if fields["name"] != team.name:
                    self._check_unique(connection, fields["name"])
            if fields:
                is_team = self._table.c.id == team.id
                connection.execute(self._table.update().where(is_team).values(**_columns(fields)))
            audit.add_entry(connection, self._actor, "team.change", team.id, fields)
        return msgspec.structs.replace(team, **fields)

    def remove(self, reference: str) -> Team:
        """Remove a team that has no active keys, together with its limits and budgets."""
        from trunkline.ledger.tables import budgets, limits

        team = self.find(reference)
        with self._store.change() as connection:
            members = self._keys.select().where(
                self._keys.c.team_id == team.id, self._keys.c.revoked_at.is_(None)
            )
            if connection.execute(members).first() is not None:
                raise StoreError(
                    f"team {team.name!r} still has keys; revoke them, or give them another team", "conflict"
                )
            for table in (limits, budgets):
                connection.execute(table.delete().where(table.c.scope == "team", table.c.subject == team.id))
            connection.execute(self._table.delete().where(self._table.c.id == team.id))
            audit.add_entry(connection, self._actor, "team.remove", team.id, {"name": team.name})
        return team

    def _check_unique(self, connection: Connection, name: str) -> None:
        if connection.execute(self._table.select().where(self._table.c.name == name)).first() is not None:
            raise StoreError(f"there is a team named {name!r} already; choose another name", "conflict")


def _check_fields(fields: dict[str, Any]) -> None:
    unknown = [name for name in fields if name not in CHANGEABLE]
    if unknown:
        raise StoreError(f"a team has no field {unknown[0]!r} that can be set", "invalid")


def _clean_name(name: str) -> str:
    name = name.strip()
    if not name or len(name) > 200 or not name.isprintable():
        raise StoreError("a team needs a name of 1 to 200 printable characters", "invalid")
    return name


def _columns(fields: dict[str, Any]) -> dict[str, Any]:
    """Return fields of a team as the table stores them: lists as JSON, and empty lists as null."""
    columns = dict(fields)
    for name in ("models", "providers"):
        if name in columns:
            columns[name] = msgspec.json.encode(columns[name]).decode() if columns[name] else None
    return columns


def _team(row: Any) -> Team:
    fields = dict(row)
    fields["created_at"] = as_utc(fields["created_at"])
    for name in ("models", "providers"):
        fields[name] = tuple(msgspec.json.decode(fields[name])) if fields[name] else None
    return Team(**fields)
