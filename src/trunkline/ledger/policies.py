"""What a store says of who may do what: keys, teams, limits, budgets, as a running gateway reads them.

Plain values, and the SQL that both readers of them use; no SQLAlchemy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeAlias, TypeVar

import msgspec

Scope: TypeAlias = Literal["key", "team", "model", "provider", "all"]
Unit: TypeAlias = Literal["usd", "tokens"]
Period: TypeAlias = Literal["day", "week", "month", "total"]
Role: TypeAlias = Literal["admin", "member", "read-only"]
MICROS: Final = 1_000_000
"""Money is counted, and kept, in millionths of a US dollar."""


class StoredKey(msgspec.Struct, frozen=True, kw_only=True):
    """What is needed of a key to let it in."""

    id: str
    name: str
    role: Role
    prefix: str
    hash: str
    team_id: str | None = None
    expires_at: float | None = None
    """Unix time; None is never."""
    models: tuple[str, ...] | None = None
    """Patterns; None allows all."""
    providers: tuple[str, ...] | None = None
    local_only: bool = False
    priority: Literal["high", "normal", "low"] = "normal"
    data_collection: Literal["allow", "deny"] | None = None
    zdr: bool | None = None
    old_hash: str | None = None
    """Of the key before its rotation, which may come in until ``old_hash_until``."""
    old_hash_until: float | None = None


class StoredTeam(msgspec.Struct, frozen=True, kw_only=True):
    """A team: what holds for all of its keys."""

    id: str
    name: str
    models: tuple[str, ...] | None = None
    providers: tuple[str, ...] | None = None
    local_only: bool = False


class StoredLimit(msgspec.Struct, frozen=True, kw_only=True):
    """How much one subject may ask."""

    id: str
    scope: Scope
    subject: str
    """Id of a key or team, or a pattern of models; ``*`` of keys or teams is each by itself."""
    requests_per_minute: int | None = None
    requests_per_day: int | None = None
    tokens_per_minute: int | None = None
    tokens_per_day: int | None = None
    concurrent: int | None = None


class StoredBudget(msgspec.Struct, frozen=True, kw_only=True):
    """What one subject may spend in a period."""

    id: str
    scope: Scope
    subject: str
    unit: Unit
    amount: int
    """Tokens, or millionths of a US dollar."""
    per: Period
    hard: bool = True
    warn_at: float = 0.8
    webhook: str | None = None


class Policies(msgspec.Struct, frozen=True, kw_only=True):
    """All of it at one moment."""

    keys: tuple[StoredKey, ...] = ()
    """Those that are not revoked."""
    teams: tuple[StoredTeam, ...] = ()
    limits: tuple[StoredLimit, ...] = ()
    budgets: tuple[StoredBudget, ...] = ()


Rows: TypeAlias = Iterable[Sequence[Any]]
T = TypeVar("T", bound=msgspec.Struct)
_TABLES: Final[tuple[tuple[str, type[msgspec.Struct], str], ...]] = (
    ("keys", StoredKey, " WHERE revoked_at IS NULL"),
    ("teams", StoredTeam, ""),
    ("limits", StoredLimit, ""),
    ("budgets", StoredBudget, ""),
)
REVISION: Final = "SELECT number FROM revision"
"""A number that changes with every change of policies."""


def read_policies(ask: Callable[[str], Rows]) -> Policies:
    """The policies, by a function that runs SQL; in one transaction, if they are to fit together."""
    found = {}
    for table, struct, where in _TABLES:
        names = struct.__struct_fields__
        columns = ", ".join(f'"{name}"' for name in names)
        rows = ask(f"SELECT {columns} FROM {table}{where}")
        found[table] = tuple(_struct(struct, names, row) for row in rows)
    return Policies(**found)  # type: ignore[arg-type]


def _struct(struct: type[T], names: Sequence[str], row: Sequence[Any]) -> T:
    fields = {
        name: _READ.get(name, _same)(value)
        for name, value in zip(names, row, strict=True)
        if value is not None
    }
    return struct(**fields)


def _same(value: Any) -> Any:
    return value


def _list(text: str) -> tuple[str, ...]:
    return msgspec.json.decode(text, type=tuple[str, ...])


def _unix(moment: datetime | str) -> float:
    """Both readers' forms of a time; SQLite forgets the zone, which is UTC."""
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


_READ: Final[dict[str, Callable[[Any], Any]]] = {
    "models": _list,
    "providers": _list,
    "expires_at": _unix,
    "old_hash_until": _unix,
    "local_only": bool,
    "zdr": bool,
    "hard": bool,
}
