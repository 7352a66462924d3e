"""The store of teams: people who share limits and budgets. A key is in one team at most."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from trunkline.errors import redact
from trunkline.ledger import audit
from trunkline.ledger.locate import StoreError
from trunkline.ledger.store import Store, aware

if TYPE_CHECKING:
    from sqlalchemy import Connection

CHANGEABLE: Final = ("name", "models", "providers", "local_only")
"""Fields that may be given when a team is made, and changed afterwards."""


class Team(msgspec.Struct, frozen=True):
    """A stored team."""

    id: str
    name: str
    created_at: datetime
    models: tuple[str, ...] | None = None
    """Patterns of the models that its keys may use; None: all."""
    providers: tuple[str, ...] | None = None
    local_only: bool = False


class TeamStore:
    """The teams in a store.

    Raises:
        StoreError: from every method, when the database fails or the request makes no sense.
    """

    def __init__(self, store: Store, actor: str = audit.COMMAND_LINE) -> None:
        """``actor`` is whom the audit log names for changes."""
        from trunkline.ledger import tables

        self._table = tables.teams
        self._keys = tables.keys
        self._store = store
        self._actor = actor

    def create(self, name: str, **more: Any) -> Team:
        """A new team, under a name that no other has; ``more`` are its other fields."""
        name = _checked_name(name)
        with self._store.change() as connection:
            self._check_unique(connection, name)
            team = Team(secrets.token_hex(6), name, datetime.now(UTC), **_known(more))
            connection.execute(self._table.insert().values(**_columns(msgspec.structs.asdict(team))))
            audit.note(connection, self._actor, "team.create", team.id, {"name": name})
        return team

    def list(self) -> list[Team]:
        """All teams, by name."""
        with self._store.begin() as connection:
            rows = connection.execute(self._table.select().order_by(self._table.c.name)).mappings().all()
        return [_team(row) for row in rows]

    def find(self, which: str) -> Team:
        """The team with this id or name. Raises StoreError if there is none."""
        for team in self.list():
            if which in (team.id, team.name):
                return team
        raise StoreError(f"there is no team {redact(which)!r}; see `trunkline teams list`", "missing")

    def change(self, which: str, **fields: Any) -> Team:
        """Give a team other fields."""
        team = self.find(which)
        fields = _known(fields)
        with self._store.change() as connection:
            if "name" in fields:
                fields["name"] = _checked_name(fields["name"])
                if fields["name"] != team.name:
                    self._check_unique(connection, fields["name"])
            if fields:
                there = self._table.c.id == team.id
                connection.execute(self._table.update().where(there).values(**_columns(fields)))
            audit.note(connection, self._actor, "team.change", team.id, fields)
        return msgspec.structs.replace(team, **fields)

    def remove(self, which: str) -> Team:
        """Remove a team that no active key is in, with its limits and budgets."""
        from trunkline.ledger.tables import budgets, limits

        team = self.find(which)
        with self._store.change() as connection:
            members = self._keys.select().where(
                self._keys.c.team_id == team.id, self._keys.c.revoked_at.is_(None)
            )
            if connection.execute(members).first() is not None:
                raise StoreError(
                    f"team {team.name!r} still has keys; revoke them, or give them another team", "taken"
                )
            for table in (limits, budgets):
                connection.execute(table.delete().where(table.c.scope == "team", table.c.subject == team.id))
            connection.execute(self._table.delete().where(self._table.c.id == team.id))
            audit.note(connection, self._actor, "team.remove", team.id, {"name": team.name})
        return team

    def _check_unique(self, connection: Connection, name: str) -> None:
        if connection.execute(self._table.select().where(self._table.c.name == name)).first() is not None:
            raise StoreError(f"there is a team named {name!r} already; choose another name", "taken")


def _known(fields: dict[str, Any]) -> dict[str, Any]:
    unknown = [name for name in fields if name not in CHANGEABLE]
    if unknown:
        raise StoreError(f"a team has no field {unknown[0]!r} that can be set", "wrong")
    return fields


def _checked_name(name: str) -> str:
    name = name.strip()
    if not name or len(name) > 200 or not name.isprintable():
        raise StoreError("a team needs a name of 1 to 200 printable characters", "wrong")
    return name


def _columns(fields: dict[str, Any]) -> dict[str, Any]:
    found = dict(fields)
    for name in ("models", "providers"):
        if name in found:
            found[name] = msgspec.json.encode(found[name]).decode() if found[name] else None
    return found


def _team(row: Any) -> Team:
    fields = dict(row)
    fields["created_at"] = aware(fields["created_at"])
    for name in ("models", "providers"):
        fields[name] = tuple(msgspec.json.decode(fields[name])) if fields[name] else None
    return Team(**fields)
