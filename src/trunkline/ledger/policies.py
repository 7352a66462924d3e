"""The policies of a store, as a running gateway reads them: keys, teams, limits and budgets.

The module has plain values, and the SQL that both readers share. It does without SQLAlchemy.
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
"""The units of money in a US dollar: money is counted and stored in millionths."""


class StoredKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key, with what is needed to authenticate it and to authorize its requests."""

    id: str
    name: str
    role: Role
    prefix: str
    hash: str
    team_id: str | None = None
    expires_at: float | None = None
    """Unix time. None: never."""
    models: tuple[str, ...] | None = None
    """Patterns of the models that the key may use. None: all."""
    providers: tuple[str, ...] | None = None
    local_only: bool = False
    priority: Literal["high", "normal", "low"] = "normal"
    data_collection: Literal["allow", "deny"] | None = None
    zdr: bool | None = None
    old_hash: str | None = None
    """The hash of the key before its rotation, which is accepted until ``old_hash_until``."""
    old_hash_until: float | None = None


class StoredTeam(msgspec.Struct, frozen=True, kw_only=True):
    """A team, and the restrictions of all of its keys."""

    id: str
    name: str
    models: tuple[str, ...] | None = None
    providers: tuple[str, ...] | None = None
    local_only: bool = False


class StoredLimit(msgspec.Struct, frozen=True, kw_only=True):
    """How much one subject may request."""

    id: str
    scope: Scope
    subject: str
    """The id of a key or team, or a pattern of models. ``*`` means each key, or each team, by itself."""
    requests_per_minute: int | None = None
    requests_per_day: int | None = None
    tokens_per_minute: int | None = None
    tokens_per_day: int | None = None
    concurrent: int | None = None


class StoredBudget(msgspec.Struct, frozen=True, kw_only=True):
    """How much one subject may spend in a period."""

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
    """Everything that is in a store at one moment, apart from usage."""

    keys: tuple[StoredKey, ...] = ()
    """The keys that are not revoked."""
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
SELECT_REVISION: Final = "SELECT number FROM revision"
"""Selects a number that every change of policies increments."""


def read_policies(query: Callable[[str], Rows]) -> Policies:
    """Read the policies.

    Args:
        query: Runs SQL and returns the rows. Its queries must be in one transaction for consistent policies.
    """
    policies = {}
    for table, struct, where in _TABLES:
        names = struct.__struct_fields__
        columns = ", ".join(f'"{name}"' for name in names)
        rows = query(f"SELECT {columns} FROM {table}{where}")
        policies[table] = tuple(_decode_row(struct, names, row) for row in rows)
    return Policies(**policies)  # type: ignore[arg-type]


def _decode_row(struct: type[T], names: Sequence[str], row: Sequence[Any]) -> T:
    fields = {
        name: _DECODERS[name](value) if name in _DECODERS else value
        for name, value in zip(names, row, strict=True)
        if value is not None
    }
    return struct(**fields)


def _decode_list(text: str) -> tuple[str, ...]:
    return msgspec.json.decode(text, type=tuple[str, ...])


def _decode_time(time: datetime | str) -> float:
    """Return a time as Unix time, in whichever form a reader has it. The zone, which SQLite omits, is UTC."""
    if isinstance(time, str):
        time = datetime.fromisoformat(time)
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


_DECODERS: Final[dict[str, Callable[[Any], Any]]] = {
    "models": _decode_list,
    "providers": _decode_list,
    "expires_at": _decode_time,
    "old_hash_until": _decode_time,
    "local_only": bool,
    "zdr": bool,
    "hard": bool,
}
