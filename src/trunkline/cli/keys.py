"""``trunkline keys``: the key store by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from trunkline.cli.common import note, open_store, read_settings, say, show_table

if TYPE_CHECKING:
    from pathlib import Path

    from trunkline.ledger.keys import KeyRecord

_COLUMNS = ("id", "name", "role", "key", "created", "revoked")


def create(config: Path | None, name: str, role: Literal["admin", "member", "read-only"] | None) -> None:
    """Make a key and print it."""
    settings, _ = read_settings(config)
    with open_store(settings) as store:
        record, text = store.create(name, role)
    first = " (the first key is always an admin's)" if record.role == "admin" != role else ""
    note(f"made the {record.role} key {record.name!r}{first}; it is not shown again:")
    say(text)


def show(config: Path | None, *, every: bool) -> None:
    """Print the keys as a table, or tab-separated."""
    settings, _ = read_settings(config)
    with open_store(settings) as store:
        rows = [_row(record) for record in (store.list() if every else store.active())]
    show_table(_COLUMNS, rows)


def revoke(config: Path | None, which: str) -> None:
    """Revoke a key."""
    settings, _ = read_settings(config)
    with open_store(settings) as store:
        record = store.revoke(which)
    note(f"revoked the {record.role} key {record.name!r} ({record.prefix}…)")


def _row(record: KeyRecord) -> tuple[str, ...]:
    times = (record.created_at, record.revoked_at)
    created, revoked = ("" if time is None else time.strftime("%Y-%m-%d %H:%M") for time in times)
    return record.id, record.name, record.role, f"{record.prefix}…", created, revoked
