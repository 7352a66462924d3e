"""The store of limits and budgets: one limit a subject, one budget for each subject, unit and period."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import msgspec

from trunkline.errors import redact
from trunkline.ledger import audit
from trunkline.ledger.locate import StoreError
from trunkline.ledger.policies import MICROS, StoredBudget, StoredLimit
from trunkline.ledger.store import Store

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

Sort: TypeAlias = Literal["limit", "budget"]
_SAME: Final[dict[Sort, tuple[str, ...]]] = {
    "limit": ("scope", "subject"),
    "budget": ("scope", "subject", "unit", "per"),
}
"""What two rules of a sort must not both have."""


class RuleStore:
    """The limits and budgets in a store.

    Raises:
        StoreError: from every method, when the database fails or the request makes no sense.
    """

    def __init__(self, store: Store, actor: str = audit.COMMAND_LINE) -> None:
        """``actor`` is whom the audit log names for changes."""
        self._store = store
        self._actor = actor

    def limits(self) -> list[StoredLimit]:
        """All limits."""
        return [StoredLimit(**row) for row in self._rows("limit")]

    def budgets(self) -> list[StoredBudget]:
        """All budgets."""
        return [StoredBudget(**row) for row in self._rows("budget")]

    def set_limit(self, scope: str, subject: str, **amounts: int | None) -> StoredLimit:
        """Make the limit of a subject, or give the one that it has other amounts."""
        if not any(amounts.values()):
            raise StoreError("a limit must limit something; give it an amount", "wrong")
        fields = dict.fromkeys(
            ("requests_per_minute", "requests_per_day", "tokens_per_minute", "tokens_per_day", "concurrent")
        )
        return StoredLimit(**self._set("limit", {"scope": scope, "subject": subject, **fields, **amounts}))

    def set_budget(
        self,
        scope: str,
        subject: str,
        unit: str,
        amount: int,
        per: str,
        *,
        hard: bool = True,
        warn_at: float = 0.8,
        webhook: str | None = None,
    ) -> StoredBudget:
        """Make a budget, or change the one that the subject has in this unit and period. ``amount`` is in
        tokens or millionths of a dollar."""
        fields = {
            "scope": scope,
            "subject": subject,
            "unit": unit,
            "amount": amount,
            "per": per,
            "hard": hard,
            "warn_at": warn_at,
            "webhook": webhook,
        }
        return StoredBudget(**self._set("budget", fields))

    def remove(self, sort: Sort, number: str) -> None:
        """Remove a limit or budget by its id."""
        table = _table(sort)
        with self._store.change() as connection:
            gone = connection.execute(table.delete().where(table.c.id == number))
            if not gone.rowcount:
                raise StoreError(f"there is no {sort} with the id {redact(number)!r}", "missing")
            audit.note(connection, self._actor, f"{sort}.remove", number)

    def _rows(self, sort: Sort) -> list[dict[str, Any]]:
        table = _table(sort)
        with self._store.begin() as connection:
            rows = connection.execute(table.select().order_by(table.c.scope, table.c.subject, table.c.id))
            return [dict(row) for row in rows.mappings()]

    def _set(self, sort: Sort, fields: dict[str, Any]) -> dict[str, Any]:
        table = _table(sort)
        with self._store.change() as connection:
            self._check_subject(connection, fields["scope"], fields["subject"])
            same = [table.c[name] == fields[name] for name in _SAME[sort]]
            known = connection.execute(table.select().where(*same)).mappings().first()
            number = secrets.token_hex(6) if known is None else known["id"]
            if known is None:
                connection.execute(table.insert().values(id=number, **fields))
            else:
                connection.execute(table.update().where(*same).values(**fields))
            # A webhook's address is a secret: whoever knows it can post there.
            told = {name: value for name, value in fields.items() if name != "webhook"}
            audit.note(connection, self._actor, f"{sort}.set", number, told)
        return {"id": number, **fields}

    def _check_subject(self, connection: Connection, scope: str, subject: str) -> None:
        from trunkline.ledger.tables import keys, teams

        if scope not in ("key", "team") or subject == "*":
            return
        table = keys if scope == "key" else teams
        if connection.execute(table.select().where(table.c.id == subject)).first() is None:
            raise StoreError(f"there is no {scope} with the id {redact(subject)!r}", "missing")


def _table(sort: Sort) -> Table:
    from trunkline.ledger import tables

    return tables.limits if sort == "limit" else tables.budgets


def shown(rule: StoredLimit | StoredBudget) -> dict[str, Any]:
    """A rule as people read it: money in dollars."""
    fields = msgspec.structs.asdict(rule)
    if isinstance(rule, StoredBudget):
        amount = fields.pop("amount")
        fields[rule.unit] = amount / MICROS if rule.unit == "usd" else amount
        del fields["unit"]
    return fields
