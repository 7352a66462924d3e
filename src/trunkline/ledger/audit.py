"""Who changed what, and when: a line for every change that was made by hand or through the admin API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from trunkline.ledger.store import Store, aware

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

COMMAND_LINE: Final = "command line"
"""The actor of changes that no key made."""


class AuditEntry(msgspec.Struct, frozen=True):
    """One change."""

    id: int
    at: datetime
    actor: str
    """Id of the key that made it, or where it was made."""
    action: str
    subject: str
    details: dict[str, Any]


def note(
    connection: Connection, actor: str, action: str, subject: str, details: Mapping[str, Any] | None = None
) -> None:
    """Write a change down, in the transaction that makes it. ``details`` hold no key."""
    from trunkline.ledger.tables import audit

    text = msgspec.json.encode(details).decode() if details else None
    connection.execute(
        audit.insert().values(at=datetime.now(UTC), actor=actor, action=action, subject=subject, details=text)
    )


def entries(store: Store, limit: int = 100, before: int | None = None) -> list[AuditEntry]:
    """The newest changes first; ``before`` the one with this id, to page on."""
    from trunkline.ledger.tables import audit

    query = audit.select().order_by(audit.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(audit.c.id < before)
    with store.begin() as connection:
        rows = connection.execute(query).mappings().all()
    return [
        AuditEntry(
            row["id"],
            aware(row["at"]) or row["at"],
            row["actor"],
            row["action"],
            row["subject"],
            msgspec.json.decode(row["details"]) if row["details"] else {},
        )
        for row in rows
    ]
