"""The store of limits and budgets: one limit per subject, and one budget per subject, unit and period."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from trunkline.errors import redact
from trunkline.ledger import audit
from trunkline.ledger.locate import StoreError
from trunkline.ledger.policies import StoredBudget, StoredLimit
from trunkline.ledger.store import Store

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

RuleKind: TypeAlias = Literal["limit", "budget"]
_UNIQUE_COLUMNS: Final[dict[RuleKind, tuple[str, ...]]] = {
    "limit": ("scope", "subject"),
    "budget": ("scope", "subject", "unit", "per"),
}
"""The columns whose values identify a rule of a kind."""


class RuleStore:
    """The limits and budgets in a store.

    Args:
        store: The opened store.
        actor: Who makes the changes, for the audit log.

    Raises:
        StoreError: From every method, when the database fails or the request makes no sense.
    """

    def __init__(self, store: Store, actor: str = audit.COMMAND_LINE) -> None:
        self._store = store
        self._actor = actor

    def limits(self) -> list[StoredLimit]:
        """Return all limits."""
        return [StoredLimit(**row) for row in self._rows("limit")]

    def budgets(self) -> list[StoredBudget]:
        """Return all budgets."""
        return [StoredBudget(**row) for row in self._rows("budget")]

    def set_limit(self, scope: str, subject: str, **amounts: int | None) -> StoredLimit:
        """Create the limit of a subject, or replace the amounts of the one that it has.

        Args:
            scope: What the subject is: ``key``, ``team``, ``model`` or ``all``.
            subject: The id of a key or team, or a pattern of models; ``*`` means each key or team by itself.
            amounts: The amounts of :class:`StoredLimit` by name. An amount that is missing is not limited.
        """
        if not any(amounts.values()):
            raise StoreError("a limit must limit something; give it an amount", "invalid")
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
        """Create a budget, or change the one that the subject has in this unit and period.

        Args:
            scope: What the subject is: ``key``, ``team``, ``provider`` or ``all``.
            subject: The id of a key or team, or a provider's name; ``*`` means each key or team by itself.
            unit: ``usd`` or ``tokens``.
            amount: Tokens, or millionths of a US dollar.
            per: The period: ``day``, ``week``, ``month`` or ``total``.
            hard: Whether requests beyond the budget are refused.
            warn_at: The share of the budget at which a warning is sent.
            webhook: The URL that warnings are posted to.
        """
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

    def remove(self, kind: RuleKind, rule_id: str) -> None:
        """Remove a limit or budget by its id."""
        table = _table(kind)
        with self._store.change() as connection:
            deleted = connection.execute(table.delete().where(table.c.id == rule_id))
            if not deleted.rowcount:
                raise StoreError(f"there is no {kind} with the id {redact(rule_id)!r}", "not_found")
            audit.add_entry(connection, self._actor, f"{kind}.remove", rule_id)

    def _rows(self, kind: RuleKind) -> list[dict[str, Any]]:
        table = _table(kind)
        with self._store.begin() as connection:
            rows = connection.execute(table.select().order_by(table.c.scope, table.c.subject, table.c.id))
            return [dict(row) for row in rows.mappings()]

    def _set(self, kind: RuleKind, fields: dict[str, Any]) -> dict[str, Any]:
        table = _table(kind)
        with self._store.change() as connection:
            self._check_subject(connection, fields["scope"], fields["subject"])
            is_same_rule = [table.c[name] == fields[name] for name in _UNIQUE_COLUMNS[kind]]
            existing = connection.execute(table.select().where(*is_same_rule)).mappings().first()
            if existing is None:
                rule_id = secrets.token_hex(6)
                connection.execute(table.insert().values(id=rule_id, **fields))
            else:
                rule_id = existing["id"]
                connection.execute(table.update().where(*is_same_rule).values(**fields))
            # A webhook's URL is a secret: whoever knows it can post there.
            details = {name: value for name, value in fields.items() if name != "webhook"}
            audit.add_entry(connection, self._actor, f"{kind}.set", rule_id, details)
        return {"id": rule_id, **fields}

    def _check_subject(self, connection: Connection, scope: str, subject: str) -> None:
        from trunkline.ledger.tables import keys, teams

        if scope not in ("key", "team") or subject == "*":
            return
        table = keys if scope == "key" else teams
        if connection.execute(table.select().where(table.c.id == subject)).first() is None:
            raise StoreError(f"there is no {scope} with the id {redact(subject)!r}", "not_found")


def _table(kind: RuleKind) -> Table:
    from trunkline.ledger import tables

    return tables.limits if kind == "limit" else tables.budgets
