"""``trunkline keys``: the store of keys by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from trunkline.cli.common import hint_at_providers, note, open_store, read_settings, say
from trunkline.cli.rules import amount_of, set_rules
from trunkline.cli.tables import minute, show_json, show_rows
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
    """Make a key, with its limits and budgets, and print it."""
    settings, _ = read_settings(config)
    wanted = [amount_of(budget) for budget in budgets]  # a mistake here must not leave half a key behind
    hint_at_providers(settings, fields.get("providers"))
    with open_store(settings) as keys:
        record, text = keys.create(name, role, **_resolved(keys.store, fields))
        set_rules(keys.store, "key", record.id, amounts, wanted)
    first = " (the first key is always an admin's)" if record.role == "admin" != role else ""
    note(f"made the {record.role} key {record.name!r}{first}; it is not shown again:")
    say(text)


def show(config: Path | None, *, every: bool, as_json: bool = False) -> None:
    """Print the keys as a table, as JSON, or tab-separated."""
    from trunkline.ledger.teams import TeamStore

    settings, _ = read_settings(config)
    with open_store(settings) as keys:
        records = keys.list() if every else keys.active()
        teams = {team.id: team.name for team in TeamStore(keys.store).list()}
    if as_json:
        show_json([_shown(record) for record in records])
        return
    show_rows(
        _COLUMNS,
        [_row(record, teams) for record in records],
        fold=("last used", "expires", "created"),
        keep=2,
        empty="there are no keys; `trunkline keys create NAME` makes one",
    )


def change(config: Path | None, which: str, fields: dict[str, Any]) -> None:
    """Change a key's fields."""
    settings, _ = read_settings(config)
    hint_at_providers(settings, fields.get("providers"))
    with open_store(settings) as keys:
        record = keys.change(which, **_resolved(keys.store, fields))
    note(f"changed the {record.role} key {record.name!r} ({record.prefix}…)")


def rotate(config: Path | None, which: str, grace: str) -> None:
    """Give a key another text, and print it."""
    settings, _ = read_settings(config)
    span = _span(grace)
    _later(grace)  # it must end within the calendar
    with open_store(settings) as keys:
        record, text = keys.rotate(which, span)
    note(
        f"the key {record.name!r} has another text, which is not shown again; the old one works for {grace}:"
    )
    say(text)


def revoke(config: Path | None, which: str) -> None:
    """Revoke a key."""
    settings, _ = read_settings(config)
    with open_store(settings) as store:
        record = store.revoke(which)
    note(f"revoked the {record.role} key {record.name!r} ({record.prefix}…)")


def _resolved(store: Store, fields: dict[str, Any]) -> dict[str, Any]:
    """Fields as the store has them: a team's id, a time."""
    from trunkline.ledger.teams import TeamStore

    found = dict(fields)
    if "team" in found:
        found["team_id"] = TeamStore(store).find(found.pop("team")).id
    if "expires" in found:
        found["expires_at"] = _later(found.pop("expires"))
    return found


def _later(text: str) -> datetime:
    """``30d`` is so long from now; anything else is a date."""
    from trunkline.ledger.usage import moment

    if not (text[-1:] in "mhdw" and text[:-1].isdecimal()):
        return datetime.fromtimestamp(moment(text), UTC)
    try:
        return datetime.now(UTC) + _span(text)
    except OverflowError:
        raise StoreError(f"{text!r} from now is beyond the calendar", "wrong") from None


def _span(text: str) -> timedelta:
    units = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
    if text[-1:] not in units or not text[:-1].isdecimal():
        raise StoreError(f"{text!r} is no length of time; write 24h or 7d", "wrong")
    try:
        return timedelta(**{units[text[-1]]: int(text[:-1])})
    except (OverflowError, ValueError):  # ValueError: thousands of digits
        raise StoreError(f"{text[:20]!r} is too long a time", "wrong") from None


def _shown(record: KeyRecord) -> dict[str, Any]:
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
        minute(record.last_used_at, "never"),
        minute(record.expires_at, "never"),
        f"{record.prefix}…",
        minute(record.created_at),
    )


def _state(record: KeyRecord) -> str:
    if record.revoked_at is not None:
        return "revoked"
    ended = record.expires_at is not None and record.expires_at <= datetime.now(UTC)
    return "expired" if ended else "active"
