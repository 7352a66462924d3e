"""Which limits and budgets a request is under: the rules, compiled for each key and model.

A rule names a subject; a :class:`CounterKey` is one thing that is counted for one subject. ``*`` of keys or
teams makes a mark of each one's own, and a rule that names somebody wins over it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Final, Literal, NamedTuple, TypeAlias

Scope: TypeAlias = Literal["key", "team", "model", "provider", "all"]
What: TypeAlias = Literal["requests", "tokens", "slots", "usd", "used"]
"""What is counted: requests, tokens as they come in, requests under way, money, tokens of a budget."""

EACH: Final = "*"
MINUTE: Final = 60.0
DAY: Final = 86400.0


class LimitRule(NamedTuple):
    """How much one subject may ask."""

    scope: Scope
    subject: str
    """Id or name of a key or team, a pattern of models, or nothing."""
    requests_per_minute: int | None = None
    requests_per_day: int | None = None
    tokens_per_minute: int | None = None
    tokens_per_day: int | None = None
    concurrent: int | None = None


class BudgetRule(NamedTuple):
    """What one subject may spend."""

    scope: Scope
    subject: str
    """Id or name of a key or team, a provider's name, or nothing."""
    unit: Literal["usd", "tokens"]
    amount: int
    """Micros or tokens."""
    per: Literal["day", "week", "month", "total"]
    hard: bool = True
    warn_at: float = 0.8
    webhook: str | None = None


class CounterKey(NamedTuple):
    """One thing that is counted for one subject: what a meter is found by."""

    scope: Scope
    subject: str
    what: What
    per: str
    """``minute``, ``day``, ``week``, ``month``, ``total``, or nothing for what is under way."""

    @property
    def text(self) -> str:
        """For names in shared stores, and for people."""
        return ":".join(part for part in self if part)


class CounterRule(NamedTuple):
    """A mark and how much it allows."""

    counter_key: CounterKey
    amount: int
    budget: BudgetRule | None = None


class Caller(NamedTuple):
    """Whom rules are looked up for."""

    key_id: str = ""
    key_name: str = ""
    team_id: str = ""
    team_name: str = ""


class Rulebook:
    """All rules of one configuration."""

    def __init__(self, limits: Iterable[LimitRule] = (), budgets: Iterable[BudgetRule] = ()) -> None:
        self._limits = sorted(limits, key=lambda rule: rule.subject != EACH)
        self._budgets = sorted(budgets, key=lambda rule: rule.subject != EACH)
        self._counted = {(rule.scope, rule.subject, rule.unit, rule.per) for rule in self._budgets}
        self.guards_providers = any(rule.scope == "provider" for rule in self._budgets)
        self.is_empty = not self._limits and not self._budgets
        """Nothing is limited."""

    def of(self, caller: Caller, models: Sequence[str]) -> list[CounterRule]:
        """What a request by ``caller`` for a model of these names (in lower case) is under, without its
        provider's budgets."""
        found: dict[CounterKey, CounterRule] = {}
        for limit in self._limits:
            subject = _subject(limit.scope, limit.subject, caller, models)
            if subject is not None:
                found |= {rule.counter_key: rule for rule in _rules_of_limit(limit, subject)}
        for budget in self._budgets:
            subject = _subject(budget.scope, budget.subject, caller, ())
            if subject is not None and budget.scope != "provider":
                rule = _rule_of_budget(budget, subject)
                found[rule.counter_key] = rule
        return list(found.values())

    def of_provider(self, name: str) -> list[CounterRule]:
        """The budgets of a provider; of two for the same period, the later one."""
        found = [
            _rule_of_budget(rule, name)
            for rule in self._budgets
            if rule.scope == "provider" and rule.subject == name
        ]
        return list({rule.counter_key: rule for rule in found}.values())

    def goes_on(self, rule: CounterRule) -> bool:
        """Whether a budget that was marked before still is one, of whatever amount."""
        old = rule.budget
        if old is None:
            return False
        subjects = {EACH, old.subject}
        return any((old.scope, subject, old.unit, old.per) in self._counted for subject in subjects)

    def all_budgets(self) -> list[BudgetRule]:
        """Every budget, for listings."""
        return list(self._budgets)


def _subject(scope: Scope, named: str, caller: Caller, models: Sequence[str]) -> str | None:
    """The subject that a rule counts for this caller; None if it does not concern them."""
    match scope:
        case "all":
            return ""
        case "model":
            return named if any(fnmatchcase(model, named.lower()) for model in models) else None
        case "key":
            own, name = caller.key_id, caller.key_name
        case "team":
            own, name = caller.team_id, caller.team_name
        case "provider":
            return named
    return own if own and named in (EACH, own, name) else None


def _rules_of_limit(rule: LimitRule, subject: str) -> list[CounterRule]:
    amounts: tuple[tuple[What, str, int | None], ...] = (
        ("slots", "", rule.concurrent),
        ("requests", "minute", rule.requests_per_minute),
        ("requests", "day", rule.requests_per_day),
        ("tokens", "minute", rule.tokens_per_minute),
        ("tokens", "day", rule.tokens_per_day),
    )
    return [
        CounterRule(CounterKey(rule.scope, subject, what, per), amount)
        for what, per, amount in amounts
        if amount is not None
    ]


def _rule_of_budget(rule: BudgetRule, subject: str) -> CounterRule:
    what: What = "usd" if rule.unit == "usd" else "used"
    return CounterRule(CounterKey(rule.scope, subject, what, rule.per), rule.amount, rule)
