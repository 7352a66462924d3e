"""``trunkline limits`` and ``trunkline budgets``."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

import msgspec

from trunkline.cli.common import open_store, print_note, read_settings, warn_of_unknown_providers
from trunkline.cli.tables import show_json, show_rows
from trunkline.ledger.locate import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from trunkline.ledger.keys import KeyStore
    from trunkline.ledger.policies import StoredBudget, StoredLimit
    from trunkline.ledger.rules import RuleKind
    from trunkline.ledger.store import Store

BudgetAmount: TypeAlias = tuple[str, int, str]
"""The unit of a budget, its amount (tokens or millionths of a US dollar) and its period."""

Rule = TypeVar("Rule", "StoredLimit", "StoredBudget")
_BUDGET = re.compile(r"(?P<amount>\$?[0-9]+(?:\.[0-9]+)?|[0-9]+ *tokens)/(?P<per>day|week|month|total)")


def parse_budget(text: str) -> BudgetAmount:
    """Parse a budget such as ``10/month`` or ``5000tokens/day``.

    Raises:
        StoreError: The text is not a budget.
    """
    from trunkline.ledger.policies import MICROS

    match = _BUDGET.fullmatch(text.strip().lower())
    if match is None:
        raise StoreError(
            f"{text!r} is no budget; write 10/month, 2.5/day, 500000tokens/week or 100/total", "invalid"
        )
    written = match["amount"]
    if written.endswith("tokens"):
        unit, amount = "tokens", int(written.removesuffix("tokens"))
    else:
        unit, amount = "usd", round(float(written.lstrip("$")) * MICROS)
    if amount < 1:
        raise StoreError(f"{text!r} is a budget of nothing", "invalid")
    return unit, amount, match["per"]


def set_rules(
    store: Store, scope: str, subject: str, amounts: dict[str, int | None], budgets: Sequence[BudgetAmount]
) -> None:
    """Set the limit and the budgets of a new key or team."""
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
        scope, subject_id = _resolve_subject(keys, subject, ("key", "team", "model"))
        limit = RuleStore(keys.store).set_limit(scope, subject_id, **amounts)
    print_note(f"set the limit {limit.id} of {subject}")


def set_budget(
    config: Path | None, subject: str, amount: str, *, hard: bool, warn_at: float, webhook: str | None
) -> None:
    """Set a budget."""
    from trunkline.ledger.rules import RuleStore

    if webhook is not None and not webhook.startswith(("http://", "https://")):
        raise StoreError("a webhook is an http:// or https:// address", "invalid")
    settings, _ = read_settings(config)
    unit, number, per = parse_budget(amount)
    with open_store(settings) as keys:
        scope, subject_id = _resolve_subject(keys, subject, ("key", "team", "provider"))
        budget = RuleStore(keys.store).set_budget(
            scope, subject_id, unit, number, per, hard=hard, warn_at=warn_at, webhook=webhook
        )
    warn_of_unknown_providers(settings, [subject_id] if scope == "provider" else None)
    print_note(f"set the budget {budget.id} of {subject}")


def show_limits(config: Path | None, *, every: bool, as_json: bool) -> None:
    """Print the limits of active keys and teams; with ``every`` also those of revoked keys and removed
    teams."""
    from trunkline.ledger.rules import RuleStore

    settings, _ = read_settings(config)
    with open_store(settings) as keys:
        subjects = _read_subjects(keys)
        rules = _select_rules(RuleStore(keys.store).limits(), subjects, every=every)
    listed = [msgspec.structs.asdict(rule) | {"state": state} for rule, state in rules]
    if as_json:
        show_json(listed)
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
            (
                _subject_name(each, subjects),
                each["id"],
                *("" if each[amount] is None else str(each[amount]) for amount in amounts),
            )
            for each in listed
        ],
        fold=("subject",),
        keep=2,
        empty="there are no limits in the store; `trunkline limits set` makes one",
    )


def show_budgets(config: Path | None, *, every: bool, as_json: bool) -> None:
    """Print the budgets of active keys and teams, and how much of them is spent according to the ledger.

    With ``every`` also print those of revoked keys and removed teams.
    """
    from trunkline.ledger.policies import MICROS
    from trunkline.ledger.rules import RuleStore
    from trunkline.ledger.usage import period_start, read_spending

    settings, _ = read_settings(config)
    listed: list[dict[str, Any]] = []
    with open_store(settings) as keys:
        subjects = _read_subjects(keys)
        for each, state in _select_rules(RuleStore(keys.store).budgets(), subjects, every=every):
            unit = MICROS if each.unit == "usd" else 1
            spent = None
            if each.subject != "*":
                since = period_start(each.per, time.time())
                micros, tokens = read_spending(keys.store, each.scope, each.subject, since)
                spent = (micros if each.unit == "usd" else tokens) / unit
            fields = msgspec.structs.asdict(each) | {"amount": each.amount / unit, "spent": spent}
            fields |= {"webhook": each.webhook is not None, "state": state}
            listed.append(fields)
    if as_json:
        show_json(listed)
        return
    show_rows(
        ("subject", "id", "amount", "spent", "per", "kind"),
        [
            (
                _subject_name(each, subjects),
                each["id"],
                _format_amount(each["amount"], each["unit"]),
                "" if each["spent"] is None else _format_amount(each["spent"], each["unit"]),
                each["per"],
                "hard" if each["hard"] else "soft",
            )
            for each in listed
        ],
        fold=("subject",),
        keep=2,
        empty="there are no budgets in the store; `trunkline budgets set` makes one",
    )


def remove(config: Path | None, kind: RuleKind, rule_id: str) -> None:
    """Remove a limit or budget."""
    from trunkline.ledger.rules import RuleStore

    settings, _ = read_settings(config)
    with open_store(settings) as keys:
        RuleStore(keys.store).remove(kind, rule_id)
    print_note(f"removed the {kind} {rule_id}")


def _resolve_subject(keys: KeyStore, text: str, scopes: Sequence[str]) -> tuple[str, str]:
    """Return the scope and the id of ``key:laptop``, ``team:*``, ``model:openai/*`` or ``all``."""
    from trunkline.ledger.teams import TeamStore

    if text == "all":
        return "all", ""
    scope, _, name = text.partition(":")
    if not name or scope not in scopes:
        raise StoreError(f"{text!r} is no subject; write {':…, '.join(scopes)}:… or all", "invalid")
    if name == "*" or scope in ("model", "provider"):
        return scope, name
    return scope, keys.find(name).id if scope == "key" else TeamStore(keys.store).find(name).id


class _Subjects(NamedTuple):
    """The keys and teams that rules may name."""

    names: dict[str, str]
    """The names of all keys, including revoked ones, and of all teams, by id."""
    active: set[str]
    """The ids of active keys and of teams."""


def _read_subjects(keys: KeyStore) -> _Subjects:
    from trunkline.ledger.teams import TeamStore

    records = keys.list()
    teams = {team.id: team.name for team in TeamStore(keys.store).list()}
    active = {record.id for record in records if record.revoked_at is None}
    return _Subjects(teams | {record.id: record.name for record in records}, active | teams.keys())


def _select_rules(rules: Iterable[Rule], subjects: _Subjects, *, every: bool) -> list[tuple[Rule, str]]:
    """Return the rules to list, each with its state, and print a note of how many are left out."""
    with_states = [(rule, _state(rule, subjects)) for rule in rules]
    listed = [(rule, state) for rule, state in with_states if every or state == "active"]
    if omitted := len(with_states) - len(listed):
        print_note(f"{omitted} of revoked keys or removed teams left out; --all shows them too")
    return listed


def _state(rule: StoredLimit | StoredBudget, subjects: _Subjects) -> str:
    if rule.scope not in ("key", "team") or rule.subject == "*" or rule.subject in subjects.active:
        return "active"
    return "revoked" if rule.scope == "key" else "removed"


def _subject_name(rule: dict[str, Any], subjects: _Subjects) -> str:
    if rule["scope"] == "all":
        return "all"
    suffix = "" if rule["state"] == "active" else f" ({rule['state']})"
    return f"{rule['scope']}:{subjects.names.get(rule['subject'], rule['subject'])}{suffix}"


def _format_amount(amount: float, unit: str) -> str:
    return f"${amount:g}" if unit == "usd" else f"{amount:g} tokens"
