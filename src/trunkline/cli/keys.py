"""``trunkline keys``: it creates, lists, changes, rotates and revokes keys."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from trunkline.cli.common import (
    open_store,
    print_line,
    print_notice,
    read_settings,
    warn_of_unknown_providers,
)
from trunkline.cli.rules import parse_budget, set_rules
from trunkline.cli.tables import format_time, show_json, show_rows
from trunkline.ledger.locate import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from trunkline.ledger.keys import KeyRecord
    from trunkline.ledger.policies import Role
    from trunkline.ledger.store import Store

_COLUMNS: Final = ("name", "id", "role", "team", "state", "last used", "expires", "key", "created")


def create(
    config: Path | None,
    name: str,
    role: Role | None,
    fields: dict[str, Any],
    *,
    amounts: dict[str, int | None],
    budgets: Sequence[str],
) -> None:
    """Create a key with its limit and budgets, and print it.

    Args:
        config: the configuration file.
        name: the key's name.
        role: its role. The first key is always an admin's.
        fields: its other fields, as the options name them.
        amounts: the fields of its limit.
        budgets: its budgets as text, such as ``10/month``.

    Raises:
        StoreError: the name is taken, or a field or budget is invalid.
    """
    settings, _ = read_settings(config)
    parsed_budgets = [parse_budget(budget) for budget in budgets]  # before the key is created, for its errors
    warn_of_unknown_providers(settings, fields.get("providers"))
    with open_store(settings) as keys:
        record, text = keys.create(name, role, **_stored_fields(keys.store, fields))
        set_rules(keys.store, "key", record.id, amounts, parsed_budgets)
    first = " (the first key is always an admin's)" if record.role == "admin" != role else ""
    print_notice(f"made the {record.role} key {record.name!r}{first}; it is not shown again:")
    print_line(text)


def show(config: Path | None, *, show_all: bool, as_json: bool = False) -> None:
    """Print the keys.

    Args:
        config: the configuration file.
        show_all: print revoked keys, too.
        as_json: print JSON instead of a table.
    """
    from trunkline.ledger.teams import TeamStore

    settings, _ = read_settings(config)
    with open_store(settings) as keys:
        records = keys.list() if show_all else keys.active()
        teams = {team.id: team.name for team in TeamStore(keys.store).list()}
    if as_json:
        show_json([_as_json(record) for record in records])
        return
    show_rows(
        _COLUMNS,
        [_row(record, teams) for record in records],
        fold=("last used", "expires", "created"),
        keep=2,
        empty="there are no keys; `trunkline keys create NAME` makes one",
    )


def change(config: Path | None, reference: str, fields: dict[str, Any]) -> None:
    """Change the fields of the key with this id, name or prefix."""
    settings, _ = read_settings(config)
    warn_of_unknown_providers(settings, fields.get("providers"))
    with open_store(settings) as keys:
        record = keys.change(reference, **_stored_fields(keys.store, fields))
    print_notice(f"changed the {record.role} key {record.name!r} ({record.prefix}…)")


def rotate(config: Path | None, reference: str, grace: str) -> None:
    """Give the key with this id, name or prefix a new text, and print it. The old one works for ``grace``."""
    settings, _ = read_settings(config)
    duration = _parse_duration(grace)
    _parse_expiry(grace)  # raises if the time of expiry is beyond what a datetime can hold
    with open_store(settings) as keys:
        record, text = keys.rotate(reference, duration)
    print_notice(
        f"the key {record.name!r} has another text, which is not shown again; the old one works for {grace}:"
    )
    print_line(text)


def revoke(config: Path | None, reference: str) -> None:
    """Revoke the key with this id, name or prefix."""
    settings, _ = read_settings(config)
    with open_store(settings) as store:
        record = store.revoke(reference)
    print_notice(f"revoked the {record.role} key {record.name!r} ({record.prefix}…)")


def _stored_fields(store: Store, fields: dict[str, Any]) -> dict[str, Any]:
    """Fields in the form of the store: ``team`` becomes the team's id, ``expires`` a time."""
    from trunkline.ledger.teams import TeamStore

    stored = dict(fields)
    if "team" in stored:
        stored["team_id"] = TeamStore(store).find(stored.pop("team")).id
    if "expires" in stored:
        stored["expires_at"] = _parse_expiry(stored.pop("expires"))
    return stored


def _parse_expiry(text: str) -> datetime:
    """Parse a time of expiry: a date or time, or a duration from now such as ``30d``."""
    from trunkline.ledger.usage import parse_time

    if not (text[-1:] in "mhdw" and text[:-1].isdecimal()):
        return datetime.fromtimestamp(parse_time(text), UTC)
    try:
        return datetime.now(UTC) + _parse_duration(text)
    except OverflowError:
        raise StoreError(f"{text!r} from now is beyond the calendar", "invalid") from None


def _parse_duration(text: str) -> timedelta:
    """Parse a duration such as ``24h`` or ``7d``."""
    units = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
    if text[-1:] not in units or not text[:-1].isdecimal():
        raise StoreError(f"{text!r} is no length of time; write 24h or 7d", "invalid")
    try:
        return timedelta(**{units[text[-1]]: int(text[:-1])})
    except (OverflowError, ValueError):  # int() raises ValueError for thousands of digits
        raise StoreError(f"{text[:20]!r} is too long a time", "invalid") from None


def _as_json(record: KeyRecord) -> dict[str, Any]:
    """A key's fields without its hashes."""
    fields = msgspec.structs.asdict(record)
    return {name: value for name, value in fields.items() if "hash" not in name}


def _row(record: KeyRecord, teams: Mapping[str, str]) -> tuple[str, ...]:
    team = "" if record.team_id is None else teams.get(record.team_id, record.team_id)
    return (
        record.name,
        record.id,
        record.role,
        team,
        _state(record),
        format_time(record.last_used_at, "never"),
        format_time(record.expires_at, "never"),
        f"{record.prefix}…",
        format_time(record.created_at),
    )


def _state(record: KeyRecord) -> str:
    if record.revoked_at is not None:
        return "revoked"
    is_expired = record.expires_at is not None and record.expires_at <= datetime.now(UTC)
    return "expired" if is_expired else "active"
