"""Limits and budgets, and what was spent of the budgets."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path

from trunkline.ledger.keys import KeyStore
from trunkline.ledger.locate import StoreError
from trunkline.ledger.policies import MICROS, StoredBudget, StoredLimit
from trunkline.ledger.rules import RuleStore
from trunkline.ledger.store import Store
from trunkline.ledger.teams import TeamStore
from trunkline.server.admin.access import ERRORS, AsAdmin
from trunkline.server.admin.schemas import BudgetOut, LimitOut, NewBudget, NewLimit, SpendingOut

router = APIRouter(prefix="/admin/v1", responses=ERRORS)
Number = Annotated[str, Path(max_length=64, description="Id.")]


@router.get("/limits", tags=["limits"])
async def list_limits(admin: AsAdmin) -> list[LimitOut]:
    """The store's limits; those of trunkline.yaml are not among them."""
    return [_limit(each) for each in await admin.read(lambda store: RuleStore(store).limits())]


@router.put("/limits", tags=["limits"])
async def set_limit(admin: AsAdmin, body: NewLimit) -> LimitOut:
    """Set the limit of a subject, in place of the one it has."""
    amounts = body.model_dump(exclude={"scope", "subject"})

    def work(store: Store) -> StoredLimit:
        subject = _subject(store, body.scope, body.subject)
        return RuleStore(store, admin.actor).set_limit(body.scope, subject, **amounts)

    return _limit(await admin.change(work))


@router.delete("/limits/{number}", tags=["limits"], status_code=204)
async def remove_limit(admin: AsAdmin, number: Number) -> None:
    """Remove a limit."""
    await admin.change(lambda store: RuleStore(store, admin.actor).remove("limit", number))


@router.get("/budgets", tags=["budgets"])
async def list_budgets(admin: AsAdmin) -> list[BudgetOut]:
    """The store's budgets; those of trunkline.yaml are not among them."""
    return [_budget(each) for each in await admin.read(lambda store: RuleStore(store).budgets())]


@router.put("/budgets", tags=["budgets"])
async def set_budget(admin: AsAdmin, body: NewBudget) -> BudgetOut:
    """Set a budget, in place of the one that the subject has in this unit and period."""

    def work(store: Store) -> StoredBudget:
        if (body.usd is None) == (body.tokens is None):
            raise StoreError("a budget needs either usd or tokens", "invalid")
        subject = _subject(store, body.scope, body.subject)
        unit = "tokens" if body.usd is None else "usd"
        amount = body.tokens if body.usd is None else max(1, round(body.usd * MICROS))
        return RuleStore(store, admin.actor).set_budget(
            body.scope,
            subject,
            unit,
            amount or 1,
            body.per,
            hard=body.hard,
            warn_at=body.warn_at,
            webhook=body.webhook,
        )

    return _budget(await admin.change(work))


@router.delete("/budgets/{number}", tags=["budgets"], status_code=204)
async def remove_budget(admin: AsAdmin, number: Number) -> None:
    """Remove a budget."""
    await admin.change(lambda store: RuleStore(store, admin.actor).remove("budget", number))


@router.get("/spending", tags=["budgets"])
async def spending(admin: AsAdmin) -> list[SpendingOut]:
    """Every budget that was drawn on since the start, the file's among them: what is spent and reserved."""
    found = []
    for counter_key, rule, spent, reserved, _ in admin.services.guard.spendings():
        unit = MICROS if rule.unit == "usd" else 1
        fields: dict[str, Any] = {
            "scope": counter_key.scope,
            "subject": counter_key.subject,
            "unit": rule.unit,
            "per": rule.per,
        }
        found.append(
            SpendingOut(**fields, limit=rule.amount / unit, spent=spent / unit, reserved=reserved / unit)
        )
    return found


def _subject(store: Store, scope: str, name: str | None) -> str:
    """The subject of a rule as the store has it: the id of a key or team, else what the request says."""
    if scope == "all":
        return ""
    if name is None:
        raise StoreError(f"a rule for a {scope} needs its subject", "invalid")
    if name == "*" or scope in ("model", "provider"):
        return name
    return KeyStore(store).find(name).id if scope == "key" else TeamStore(store).find(name).id


def _limit(limit: StoredLimit) -> LimitOut:
    return LimitOut(**msgspec.structs.asdict(limit))


def _budget(budget: StoredBudget) -> BudgetOut:
    money = budget.unit == "usd"
    return BudgetOut(
        id=budget.id,
        scope=budget.scope,
        subject=budget.subject,
        usd=budget.amount / MICROS if money else None,
        tokens=None if money else budget.amount,
        per=budget.per,
        hard=budget.hard,
        warn_at=budget.warn_at,
        webhook=budget.webhook is not None,
    )
