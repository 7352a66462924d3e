"""Rules of policy: which limits and budgets a request is under, compiled for each key and model.

A :class:`Limit` or :class:`Budget` names a subject, as settings and the store have it. A :class:`CounterRule`
is what follows from it for one request: one thing that is counted for one subject, and its amount. The
subject ``*`` of keys or teams means each of them by itself. A rule that names one of them wins over it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Final, Literal, NamedTuple, TypeAlias

Scope: TypeAlias = Literal["key", "team", "model", "provider", "all"]
Quantity: TypeAlias = Literal["requests", "tokens", "slots", "usd", "used"]
"""What is counted: requests, tokens in a time, requests at once, money, or the tokens of a budget."""

EACH: Final = "*"
"""The subject of a rule that holds for each key or team by itself."""
MINUTE: Final = 60.0
DAY: Final = 86400.0
RATE_PERIODS: Final = {"minute": MINUTE, "day": DAY}
"""The seconds over which a rate refills, by :attr:`CounterKey.per`."""


class Limit(NamedTuple):
    """How much one subject may ask."""

    scope: Scope
    subject: str
    """The id or name of a key or team, a pattern of models, or nothing."""
    requests_per_minute: int | None = None
    requests_per_day: int | None = None
    tokens_per_minute: int | None = None
    tokens_per_day: int | None = None
    concurrent: int | None = None


class Budget(NamedTuple):
    """What one subject may spend."""

    scope: Scope
    subject: str
    """The id or name of a key or team, a provider's name, or nothing."""
    unit: Literal["usd", "tokens"]
    amount: int
    """Micros (millionths of a US dollar) or tokens."""
    per: Literal["day", "week", "month", "total"]
    hard: bool = True
    """Whether to refuse what would exceed it; otherwise it only warns."""
    warn_at: float = 0.8
    """The share of the amount at which a warning is due."""
    webhook: str | None = None


class CounterKey(NamedTuple):
    """One thing that is counted for one subject: a counter is found by it."""

    scope: Scope
    subject: str
    quantity: Quantity
    per: str
    """``minute``, ``day``, ``week``, ``month``, ``total``, or nothing for requests at once."""

    @property
    def text(self) -> str:
        """The key as text, for names in shared stores and for people."""
        return ":".join(part for part in self if part)


class CounterRule(NamedTuple):
    """A counter's key and its amount."""

    counter_key: CounterKey
    amount: int
    budget: Budget | None = None
    """The budget that it follows from; None if it follows from a limit."""


class Caller(NamedTuple):
    """The key and team for which rules are looked up."""

    key_id: str = ""
    key_name: str = ""
    team_id: str = ""
    team_name: str = ""


class Rulebook:
    """All limits and budgets of one configuration."""

    def __init__(self, limits: Iterable[Limit] = (), budgets: Iterable[Budget] = ()) -> None:
        self._limits = sorted(limits, key=lambda limit: limit.subject != EACH)
        self._budgets = sorted(budgets, key=lambda budget: budget.subject != EACH)
        self._counted = {(each.scope, each.subject, each.unit, each.per) for each in self._budgets}
        self.has_provider_budgets = any(budget.scope == "provider" for budget in self._budgets)
        self.is_empty = not self._limits and not self._budgets
        """Whether nothing is limited."""

    def rules_for(self, caller: Caller, models: Sequence[str]) -> list[CounterRule]:
        """The rules for a request, without the budgets of providers.

        Args:
            caller: who sends the request.
            models: the names of its model, in lower case.
        """
        found: dict[CounterKey, CounterRule] = {}
        for limit in self._limits:
            subject = _find_subject(limit.scope, limit.subject, caller, models)
            if subject is not None:
                found |= {rule.counter_key: rule for rule in _rules_of_limit(limit, subject)}
        for budget in self._budgets:
            subject = _find_subject(budget.scope, budget.subject, caller, ())
            if subject is not None and budget.scope != "provider":
                rule = _rule_of_budget(budget, subject)
                found[rule.counter_key] = rule
        return list(found.values())

    def rules_for_provider(self, name: str) -> list[CounterRule]:
        """The rules of a provider's budgets; of two for the same period, the later one."""
        found = [
            _rule_of_budget(budget, name)
            for budget in self._budgets
            if budget.scope == "provider" and budget.subject == name
        ]
        return list({rule.counter_key: rule for rule in found}.values())

    def still_counts(self, rule: CounterRule) -> bool:
        """Whether a budget of an earlier configuration is still counted, whatever its amount is now."""
        old = rule.budget
        if old is None:
            return False
        subjects = {EACH, old.subject}
        return any((old.scope, subject, old.unit, old.per) in self._counted for subject in subjects)


def _find_subject(scope: Scope, named: str, caller: Caller, models: Sequence[str]) -> str | None:
    """The subject that a rule counts for this caller; None if the rule does not hold for the caller."""
    match scope:
        case "all":
            return ""
        case "model":
            return named if any(fnmatchcase(model, named.lower()) for model in models) else None
        case "key":
            own_id, name = caller.key_id, caller.key_name
        case "team":
            own_id, name = caller.team_id, caller.team_name
        case "provider":
            return named
    return own_id if own_id and named in (EACH, own_id, name) else None


def _rules_of_limit(limit: Limit, subject: str) -> list[CounterRule]:
    amounts: tuple[tuple[Quantity, str, int | None], ...] = (
        ("slots", "", limit.concurrent),
        ("requests", "minute", limit.requests_per_minute),
        ("requests", "day", limit.requests_per_day),
        ("tokens", "minute", limit.tokens_per_minute),
        ("tokens", "day", limit.tokens_per_day),
    )
    return [
        CounterRule(CounterKey(limit.scope, subject, quantity, per), amount)
        for quantity, per, amount in amounts
        if amount is not None
    ]


def _rule_of_budget(budget: Budget, subject: str) -> CounterRule:
    quantity: Quantity = "usd" if budget.unit == "usd" else "used"
    return CounterRule(CounterKey(budget.scope, subject, quantity, budget.per), budget.amount, budget)
