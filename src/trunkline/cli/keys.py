"""``trunkline keys``: creates, lists, changes, rotates and revokes keys."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from trunkline.cli.common import (
    open_store,
    print_note,
    print_result,
    read_settings,
    warn_of_unknown_providers,
)
from trunkline.cli.rules import parse_budget, set_rules
from trunkline.cli.tables import format_minute, show_json, show_rows
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
    amounts: dict[str, int | None],
    budgets: Sequence[str],
) -> None:
    """Create a key with its limits and budgets, and print it."""
    settings, _ = read_settings(config)
    amounts_of_budgets = [parse_budget(budget) for budget in budgets]  # fails before the key is created
    warn_of_unknown_providers(settings, fields.get("providers"))
    with open_store(settings) as keys:
        record, text = keys.create(name, role, **_resolve_fields(keys.store, fields))
        set_rules(keys.store, "key", record.id, amounts, amounts_of_budgets)
    first = " (the first key is always an admin's)" if record.role == "admin" != role else ""
    print_note(f"made the {record.role} key {record.name!r}{first}; it is not shown again:")
    print_result(text)


def show(config: Path | None, *, every: bool, as_json: bool = False) -> None:
    """Print the keys as a table, as JSON, or tab-separated."""
    from trunkline.ledger.teams import TeamStore

    settings, _ = read_settings(config)
    with open_store(settings) as keys:
        records = keys.list() if every else keys.active()
        teams = {team.id: team.name for team in TeamStore(keys.store).list()}
    if as_json:
        show_json([_to_json(record) for record in records])
        return
    show_rows(
        _COLUMNS,
        [_row(record, teams) for record in records],
        fold=("last used", "expires", "created"),
        keep=2,
        empty="there are no keys; `trunkline keys create NAME` makes one",
    )


def change(config: Path | None, reference: str, fields: dict[str, Any]) -> None:
    """Change a key's fields."""
    settings, _ = read_settings(config)
    warn_of_unknown_providers(settings, fields.get("providers"))
    with open_store(settings) as keys:
        record = keys.change(reference, **_resolve_fields(keys.store, fields))
    print_note(f"changed the {record.role} key {record.name!r} ({record.prefix}…)")


def rotate(config: Path | None, reference: str, grace: str) -> None:
    """Replace a key by a new one, and print it."""
    settings, _ = read_settings(config)
    duration = _parse_duration(grace)
    _parse_expiry(grace)  # fails if the end is beyond the calendar
    with open_store(settings) as keys:
        record, text = keys.rotate(reference, duration)
    print_note(
        f"the key {record.name!r} has another text, which is not shown again; the old one works for {grace}:"
    )
    print_result(text)


def revoke(config: Path | None, reference: str) -> None:
    """Revoke a key."""
    settings, _ = read_settings(config)
    with open_store(settings) as keys:
        record = keys.revoke(reference)
    print_note(f"revoked the {record.role} key {record.name!r} ({record.prefix}…)")


def _resolve_fields(store: Store, fields: dict[str, Any]) -> dict[str, Any]:
    """Return fields as the store has them: a team by its id, and an expiry as a time."""
    from trunkline.ledger.teams import TeamStore

    resolved = dict(fields)
    if "team" in resolved:
        resolved["team_id"] = TeamStore(store).find(resolved.pop("team")).id
    if "expires" in resolved:
        resolved["expires_at"] = _parse_expiry(resolved.pop("expires"))
    return resolved


def _parse_expiry(text: str) -> datetime:
    """Parse a duration from now, such as ``30d``, or a date."""
    from trunkline.ledger.usage import parse_time

    if not (text[-1:] in "mhdw" and text[:-1].isdecimal()):
        return datetime.fromtimestamp(parse_time(text), UTC)
    try:
        return datetime.now(UTC) + _parse_duration(text)
    except OverflowError:
        raise StoreError(f"{text!r} from now is beyond the calendar", "invalid") from None


def _parse_duration(text: str) -> timedelta:
    units = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
    if text[-1:] not in units or not text[:-1].isdecimal():
        raise StoreError(f"{text!r} is no length of time; write 24h or 7d", "invalid")
    try:
        return timedelta(**{units[text[-1]]: int(text[:-1])})
    except (OverflowError, ValueError):  # ValueError: thousands of digits
        raise StoreError(f"{text[:20]!r} is too long a time", "invalid") from None


def _to_json(record: KeyRecord) -> dict[str, Any]:
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
        format_minute(record.last_used_at, "never"),
        format_minute(record.expires_at, "never"),
        f"{record.prefix}…",
        format_minute(record.created_at),
    )


def _state(record: KeyRecord) -> str:
    if record.revoked_at is not None:
        return "revoked"
    expired = record.expires_at is not None and record.expires_at <= datetime.now(UTC)
    return "expired" if expired else "active"
