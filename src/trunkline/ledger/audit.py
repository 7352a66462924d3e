"""The audit log: one entry for every change that was made by hand or through the admin API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from trunkline.ledger.store import Store, as_utc

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

COMMAND_LINE: Final = "command line"
"""The actor of changes that were made without a key."""


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One change."""

    id: int
    at: datetime
    actor: str
    """The id of the key that made the change, or :data:`COMMAND_LINE`."""
    action: str
    subject: str
    details: dict[str, Any]


def add_entry(
    connection: Connection, actor: str, action: str, subject: str, details: Mapping[str, Any] | None = None
) -> None:
    """Record a change in the transaction that makes it.

    Args:
        connection: The transaction of the change.
        actor: Who made the change.
        action: What was done, such as ``key.create``.
        subject: The id of what was changed.
        details: What the change was. The caller leaves out every secret.
    """
    from trunkline.ledger.tables import audit

    text = msgspec.json.encode(details).decode() if details else None
    connection.execute(
        audit.insert().values(at=datetime.now(UTC), actor=actor, action=action, subject=subject, details=text)
    )


def list_entries(store: Store, limit: int = 100, before: int | None = None) -> list[AuditEntry]:
    """Return the newest entries first.

    Args:
        store: The store to read.
        limit: The maximum number of entries to return.
        before: Return only entries that are older than the one with this id, for paging.
    """
    from trunkline.ledger.tables import audit

    query = audit.select().order_by(audit.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(audit.c.id < before)
    with store.begin() as connection:
        rows = connection.execute(query).mappings().all()
    return [
        AuditEntry(
            id=row["id"],
            at=as_utc(row["at"]) or row["at"],
            actor=row["actor"],
            action=row["action"],
            subject=row["subject"],
            details=msgspec.json.decode(row["details"]) if row["details"] else {},
        )
        for row in rows
    ]
