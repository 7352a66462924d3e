"""``trunkline limits`` and ``budgets``."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

import msgspec

from trunkline.cli.common import hint_at_providers, note, open_store, read_settings
from trunkline.cli.tables import show_json, show_rows
from trunkline.ledger.locate import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from trunkline.ledger.keys import KeyStore
    from trunkline.ledger.policies import StoredBudget, StoredLimit
    from trunkline.ledger.rules import Sort
    from trunkline.ledger.store import Store

Amount: TypeAlias = tuple[str, int, str]
"""A budget's unit, amount (tokens or millionths of a dollar) and period."""

Rule = TypeVar("Rule", "StoredLimit", "StoredBudget")
_AMOUNT = re.compile(r"(?P<dollars>\$?[0-9]+(?:\.[0-9]+)?|[0-9]+ *tokens)/(?P<per>day|week|month|total)")


def amount_of(text: str) -> Amount:
    """What is meant by ``10/month`` or ``5000tokens/day``. Raises StoreError if it is none."""
    from trunkline.ledger.policies import MICROS

    match = _AMOUNT.fullmatch(text.strip().lower())
    if match is None:
        raise StoreError(
            f"{text!r} is no budget; write 10/month, 2.5/day, 500000tokens/week or 100/total", "wrong"
        )
    said = match["dollars"]
    if said.endswith("tokens"):
        amount = int(said.removesuffix("tokens"))
        unit = "tokens"
    else:
        amount, unit = round(float(said.lstrip("$")) * MICROS), "usd"
    if amount < 1:
        raise StoreError(f"{text!r} is a budget of nothing", "wrong")
    return unit, amount, match["per"]


def set_rules(
    store: Store, scope: str, subject: str, amounts: dict[str, int | None], budgets: Sequence[Amount]
) -> None:
    """The limit and the budgets of what was just made."""
    from trunkline.ledger.rules import RuleStore

    rules = RuleStore(store)
    if any(amounts.values()):
        rules.set_limit(scope, subject, **amounts)
    for budget in budgets:
        rules.set_budget(scope, subject, *budget)


def set_limit(config: Path | None, subject: str, amounts: dict[str, int | None]) -> None:
    """Set a limit."""
    from trunkline.ledger.rules import RuleStore

    settings, _ = read_settings(config)
    with open_store(settings) as keys:
        scope, who = _subject(keys, subject, ("key", "team", "model"))
        limit = RuleStore(keys.store).set_limit(scope, who, **amounts)
    note(f"set the limit {limit.id} of {subject}")


def set_budget(
    config: Path | None, subject: str, amount: str, *, hard: bool, warn_at: float, webhook: str | None
) -> None:
    """Set a budget."""
    from trunkline.ledger.rules import RuleStore

    if webhook is not None and not webhook.startswith(("http://", "https://")):
        raise StoreError("a webhook is an http:// or https:// address", "wrong")
    settings, _ = read_settings(config)
    unit, number, per = amount_of(amount)
    with open_store(settings) as keys:
        scope, who = _subject(keys, subject, ("key", "team", "provider"))
        budget = RuleStore(keys.store).set_budget(
            scope, who, unit, number, per, hard=hard, warn_at=warn_at, webhook=webhook
        )
    hint_at_providers(settings, [who] if scope == "provider" else None)
    note(f"set the budget {budget.id} of {subject}")


def show_limits(config: Path | None, *, every: bool, as_json: bool) -> None:
    """Print the limits; with ``every`` also those of keys and teams that are gone."""
    from trunkline.ledger.rules import RuleStore

    settings, _ = read_settings(config)
    with open_store(settings) as keys:
        subjects = _subjects(keys)
        rules = _alive(RuleStore(keys.store).limits(), subjects, every=every)
    found = [msgspec.structs.asdict(rule) | {"state": state} for rule, state in rules]
    if as_json:
        show_json(found)
        return
    amounts = (
        "requests_per_minute",
        "requests_per_day",
        "tokens_per_minute",
        "tokens_per_day",
        "concurrent",
    )
    show_rows(
        ("subject", "id", "rpm", "rpd", "tpm", "tpd", "concurrent"),
        [
            (_named(each, subjects), each["id"], *("" if each[a] is None else str(each[a]) for a in amounts))
            for each in found
        ],
        fold=("subject",),
        keep=2,
        empty="there are no limits in the store; `trunkline limits set` makes one",
    )


def show_budgets(config: Path | None, *, every: bool, as_json: bool) -> None:
    """Print the budgets, and what the ledger says is spent of them; with ``every`` also those of keys and
    teams that are gone."""
    from trunkline.ledger.policies import MICROS
    from trunkline.ledger.rules import RuleStore
    from trunkline.ledger.usage import period_start, spent

    settings, _ = read_settings(config)
    found: list[dict[str, Any]] = []
    with open_store(settings) as keys:
        subjects = _subjects(keys)
        for each, state in _alive(RuleStore(keys.store).budgets(), subjects, every=every):
            unit = MICROS if each.unit == "usd" else 1
            used = None
            if each.subject != "*":
                micros, tokens = spent(
                    keys.store, each.scope, each.subject, period_start(each.per, time.time())
                )
                used = (micros if each.unit == "usd" else tokens) / unit
            fields = msgspec.structs.asdict(each) | {"amount": each.amount / unit, "spent": used}
            fields |= {"webhook": each.webhook is not None, "state": state}
            found.append(fields)
    if as_json:
        show_json(found)
        return
    show_rows(
        ("subject", "id", "amount", "spent", "per", "kind"),
        [
            (
                _named(each, subjects),
                each["id"],
                _money(each["amount"], each["unit"]),
                "" if each["spent"] is None else _money(each["spent"], each["unit"]),
                each["per"],
                "hard" if each["hard"] else "soft",
            )
            for each in found
        ],
        fold=("subject",),
        keep=2,
        empty="there are no budgets in the store; `trunkline budgets set` makes one",
    )


def remove(config: Path | None, sort: Sort, number: str) -> None:
    """Remove a limit or budget."""
    from trunkline.ledger.rules import RuleStore

    settings, _ = read_settings(config)
    with open_store(settings) as keys:
        RuleStore(keys.store).remove(sort, number)
    note(f"removed the {sort} {number}")


def _subject(keys: KeyStore, text: str, scopes: Sequence[str]) -> tuple[str, str]:
    """Scope and id of ``key:laptop``, ``team:*``, ``model:openai/*`` or ``all``."""
    from trunkline.ledger.teams import TeamStore

    if text == "all":
        return "all", ""
    scope, colon, named = text.partition(":")
    if not colon or not named or scope not in scopes:
        raise StoreError(f"{text!r} is no subject; write {':…, '.join(scopes)}:… or all", "wrong")
    if named == "*" or scope in ("model", "provider"):
        return scope, named
    return scope, keys.find(named).id if scope == "key" else TeamStore(keys.store).find(named).id


class _Subjects(NamedTuple):
    """The keys and teams that rules may name."""

    names: dict[str, str]
    """Of all keys, revoked ones too, and of all teams, by id."""
    alive: set[str]
    """The ids of those that are not gone."""


def _subjects(keys: KeyStore) -> _Subjects:
    from trunkline.ledger.teams import TeamStore

    records = keys.list()
    teams = {team.id: team.name for team in TeamStore(keys.store).list()}
    alive = {record.id for record in records if record.revoked_at is None}
    return _Subjects(teams | {record.id: record.name for record in records}, alive | teams.keys())


def _alive(rules: Iterable[Rule], subjects: _Subjects, *, every: bool) -> list[tuple[Rule, str]]:
    """The rules to show, each with its state; how many are left out is said."""
    found = [(rule, _state(rule, subjects)) for rule in rules]
    shown = [(rule, state) for rule, state in found if every or state == "active"]
    if len(shown) < len(found):
        note(f"{len(found) - len(shown)} of revoked keys or removed teams left out; --all shows them too")
    return shown


def _state(rule: StoredLimit | StoredBudget, subjects: _Subjects) -> str:
    if rule.scope not in ("key", "team") or rule.subject == "*" or rule.subject in subjects.alive:
        return "active"
    return "revoked" if rule.scope == "key" else "removed"


def _named(rule: dict[str, Any], subjects: _Subjects) -> str:
    if rule["scope"] == "all":
        return "all"
    gone = "" if rule["state"] == "active" else f" ({rule['state']})"
    return f"{rule['scope']}:{subjects.names.get(rule['subject'], rule['subject'])}{gone}"


def _money(amount: float, unit: str) -> str:
    return f"${amount:g}" if unit == "usd" else f"{amount:g} tokens"
