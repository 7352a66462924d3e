"""``trunkline limits`` and ``budgets``: they set, list and remove these rules."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

import msgspec

from trunkline.cli.common import open_store, print_notice, read_settings, warn_of_unknown_providers
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
"""A budget's unit (``usd`` or ``tokens``), amount (millionths of a dollar, or tokens) and period."""

Rule = TypeVar("Rule", "StoredLimit", "StoredBudget")
_BUDGET = re.compile(r"(?P<quantity>\$?[0-9]+(?:\.[0-9]+)?|[0-9]+ *tokens)/(?P<per>day|week|month|total)")


def parse_budget(text: str) -> BudgetAmount:
    """Parse a budget such as ``10/month`` (dollars) or ``5000tokens/day``.

    Args:
        text: the budget as a user writes it.

    Raises:
        StoreError: the text is not a budget, or the amount is zero.
    """
    from trunkline.ledger.policies import MICROS

    match = _BUDGET.fullmatch(text.strip().lower())
    if match is None:
        raise StoreError(
            f"{text!r} is no budget; write 10/month, 2.5/day, 500000tokens/week or 100/total", "invalid"
        )
    quantity = match["quantity"]
    if quantity.endswith("tokens"):
        amount = int(quantity.removesuffix("tokens"))
        unit = "tokens"
    else:
        amount, unit = round(float(quantity.lstrip("$")) * MICROS), "usd"
    if amount < 1:
        raise StoreError(f"{text!r} is a budget of nothing", "invalid")
    return unit, amount, match["per"]


def set_rules(
    store: Store, scope: str, subject: str, amounts: dict[str, int | None], budgets: Sequence[BudgetAmount]
) -> None:
    """Set the limit and the budgets of a key or team that was just created.

    Args:
        store: the store.
        scope: ``key`` or ``team``.
        subject: the id of the key or team.
        amounts: the fields of the limit. If all are None, no limit is set.
        budgets: the budgets.
    """
    from trunkline.ledger.rules import RuleStore

    rules = RuleStore(store)
    if any(amounts.values()):
        rules.set_limit(scope, subject, **amounts)
    for budget in budgets:
        rules.set_budget(scope, subject, *budget)


def set_limit(config: Path | None, subject: str, amounts: dict[str, int | None]) -> None:
    """Set the limit of a subject, in place of an earlier one.

    Args:
        config: the configuration file.
        subject: what it limits, such as ``key:laptop`` or ``all``.
        amounts: the fields of the limit.

    Raises:
        StoreError: there is no such subject, or the limit has no amounts.
    """
    from trunkline.ledger.rules import RuleStore

    settings, _ = read_settings(config)
    with open_store(settings) as keys:
        scope, subject_id = _parse_subject(keys, subject, ("key", "team", "model"))
        limit = RuleStore(keys.store).set_limit(scope, subject_id, **amounts)
    print_notice(f"set the limit {limit.id} of {subject}")


def set_budget(
    config: Path | None, subject: str, amount: str, *, hard: bool, warn_at: float, webhook: str | None
) -> None:
    """Set a budget of a subject, in place of an earlier one with the same unit and period.

    Args:
        config: the configuration file.
        subject: what it bounds, such as ``team:research`` or ``all``.
        amount: the budget as text, such as ``10/month``.
        hard: refuse requests beyond the budget; False only warns.
        warn_at: the share of the budget (0 to 1) at which a warning is sent.
        webhook: the URL that warnings are posted to.

    Raises:
        StoreError: there is no such subject, or the amount or the webhook is invalid.
    """
    from trunkline.ledger.rules import RuleStore

    if webhook is not None and not webhook.startswith(("http://", "https://")):
        raise StoreError("a webhook is an http:// or https:// address", "invalid")
    settings, _ = read_settings(config)
    unit, quantity, period = parse_budget(amount)
    with open_store(settings) as keys:
        scope, subject_id = _parse_subject(keys, subject, ("key", "team", "provider"))
        budget = RuleStore(keys.store).set_budget(
            scope, subject_id, unit, quantity, period, hard=hard, warn_at=warn_at, webhook=webhook
        )
    warn_of_unknown_providers(settings, [subject_id] if scope == "provider" else None)
    print_notice(f"set the budget {budget.id} of {subject}")


def show_limits(config: Path | None, *, show_all: bool, as_json: bool) -> None:
    """Print the limits in the store.

    Args:
        config: the configuration file.
        show_all: print the limits of revoked keys and removed teams, too.
        as_json: print JSON instead of a table.
    """
    from trunkline.ledger.rules import RuleStore

    settings, _ = read_settings(config)
    with open_store(settings) as keys:
        subjects = _load_subjects(keys)
        rules = _select(RuleStore(keys.store).limits(), subjects, show_all=show_all)
    rows = [msgspec.structs.asdict(rule) | {"state": state} for rule, state in rules]
    if as_json:
        show_json(rows)
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
                _subject_text(each, subjects),
                each["id"],
                *("" if each[a] is None else str(each[a]) for a in amounts),
            )
            for each in rows
        ],
        fold=("subject",),
        keep=2,
        empty="there are no limits in the store; `trunkline limits set` makes one",
    )


def show_budgets(config: Path | None, *, show_all: bool, as_json: bool) -> None:
    """Print the budgets in the store, and what is spent of them according to the ledger.

    Args:
        config: the configuration file.
        show_all: print the budgets of revoked keys and removed teams, too.
        as_json: print JSON instead of a table.
    """
    from trunkline.ledger.policies import MICROS
    from trunkline.ledger.rules import RuleStore
    from trunkline.ledger.usage import period_start, read_spending

    settings, _ = read_settings(config)
    rows: list[dict[str, Any]] = []
    with open_store(settings) as keys:
        subjects = _load_subjects(keys)
        for each, state in _select(RuleStore(keys.store).budgets(), subjects, show_all=show_all):
            unit = MICROS if each.unit == "usd" else 1
            used = None  # a budget of each subject by itself has no sum
            if each.subject != "*":
                micros, tokens = read_spending(
                    keys.store, each.scope, each.subject, period_start(each.per, time.time())
                )
                used = (micros if each.unit == "usd" else tokens) / unit
            fields = msgspec.structs.asdict(each) | {"amount": each.amount / unit, "spent": used}
            fields |= {"webhook": each.webhook is not None, "state": state}
            rows.append(fields)
    if as_json:
        show_json(rows)
        return
    show_rows(
        ("subject", "id", "amount", "spent", "per", "kind"),
        [
            (
                _subject_text(each, subjects),
                each["id"],
                _format_amount(each["amount"], each["unit"]),
                "" if each["spent"] is None else _format_amount(each["spent"], each["unit"]),
                each["per"],
                "hard" if each["hard"] else "soft",
            )
            for each in rows
        ],
        fold=("subject",),
        keep=2,
        empty="there are no budgets in the store; `trunkline budgets set` makes one",
    )


def remove(config: Path | None, kind: RuleKind, rule_id: str) -> None:
    """Remove a limit or budget.

    Raises:
        StoreError: there is none with this id.
    """
    from trunkline.ledger.rules import RuleStore

    settings, _ = read_settings(config)
    with open_store(settings) as keys:
        RuleStore(keys.store).remove(kind, rule_id)
    print_notice(f"removed the {kind} {rule_id}")


def _parse_subject(keys: KeyStore, text: str, scopes: Sequence[str]) -> tuple[str, str]:
    """Parse the subject of a rule: ``key:laptop``, ``team:*``, ``model:openai/*``, ``all``.

    Args:
        keys: the store, which has the ids of keys and teams.
        text: the subject as a user writes it.
        scopes: the scopes that the rule may have.

    Returns:
        The scope, and the subject's id, name or pattern.

    Raises:
        StoreError: the text is not a subject, or there is no such key or team.
    """
    from trunkline.ledger.teams import TeamStore

    if text == "all":
        return "all", ""
    scope, colon, name = text.partition(":")
    if not colon or not name or scope not in scopes:
        raise StoreError(f"{text!r} is no subject; write {':…, '.join(scopes)}:… or all", "invalid")
    if name == "*" or scope in ("model", "provider"):
        return scope, name
    return scope, keys.find(name).id if scope == "key" else TeamStore(keys.store).find(name).id


class _Subjects(NamedTuple):
    """The keys and teams that rules may name."""

    names: dict[str, str]
    """The names of all keys, including revoked ones, and of all teams, by id."""
    active: set[str]
    """The ids of the keys that are not revoked, and of all teams."""


def _load_subjects(keys: KeyStore) -> _Subjects:
    from trunkline.ledger.teams import TeamStore

    records = keys.list()
    teams = {team.id: team.name for team in TeamStore(keys.store).list()}
    active = {record.id for record in records if record.revoked_at is None}
    return _Subjects(teams | {record.id: record.name for record in records}, active | teams.keys())


def _select(rules: Iterable[Rule], subjects: _Subjects, *, show_all: bool) -> list[tuple[Rule, str]]:
    """The rules to show, each with its state. It prints how many are left out."""
    with_state = [(rule, _state(rule, subjects)) for rule in rules]
    shown = [(rule, state) for rule, state in with_state if show_all or state == "active"]
    omitted = len(with_state) - len(shown)
    if omitted:
        print_notice(f"{omitted} of revoked keys or removed teams left out; --all shows them too")
    return shown


def _state(rule: StoredLimit | StoredBudget, subjects: _Subjects) -> str:
    """Whether the key or team of a rule is active, revoked or removed."""
    if rule.scope not in ("key", "team") or rule.subject == "*" or rule.subject in subjects.active:
        return "active"
    return "revoked" if rule.scope == "key" else "removed"


def _subject_text(rule: dict[str, Any], subjects: _Subjects) -> str:
    """A rule's subject with names instead of ids."""
    if rule["scope"] == "all":
        return "all"
    state = "" if rule["state"] == "active" else f" ({rule['state']})"
    return f"{rule['scope']}:{subjects.names.get(rule['subject'], rule['subject'])}{state}"


def _format_amount(amount: float, unit: str) -> str:
    return f"${amount:g}" if unit == "usd" else f"{amount:g} tokens"
