"""Reservations: what one request has taken of its counters, and what its caller is told of them."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence, Set
from typing import Final, NamedTuple, TypeAlias

import msgspec

from trunkline.dialects.base import NO_DEFAULTS, RequestDefaults
from trunkline.errors import BUDGET_EXCEEDED, LIMITED, REQUEST_OVER_BUDGET, CallerError
from trunkline.model import Usage
from trunkline.policy.counters import Counter
from trunkline.policy.prices import Rates
from trunkline.policy.rules import MINUTE, CounterRule, Quantity

SLOTS, REQUESTS, TOKENS, MONEY, USED = range(5)
AMOUNT_INDEX: Final[dict[Quantity, int]] = {
    "slots": SLOTS,
    "requests": REQUESTS,
    "tokens": TOKENS,
    "usd": MONEY,
    "used": USED,
}
"""The index of each quantity in a request's :data:`Amounts`."""


Amounts: TypeAlias = tuple[int, int, int, int, int]
"""What a request takes or has used of each quantity, by :data:`AMOUNT_INDEX`."""
IndexedCounter: TypeAlias = tuple[Counter, int]
"""A counter, and the index of what it counts in :data:`Amounts`."""
NONE_BARRED: Final[frozenset[str]] = frozenset()


class PlanCounters:
    """The counters of a plan, for the present periods."""

    __slots__ = ("all", "held", "in_headers", "token_rates")

    def __init__(self, counters: Sequence[IndexedCounter]) -> None:
        self.all = counters
        self.held = [(counter, index) for counter, index in counters if index not in (REQUESTS, TOKENS)]
        """Concurrency limits and budgets. A request holds a part of them until it is settled."""
        self.token_rates = [counter for counter, index in counters if index == TOKENS]
        """Rates of tokens, which are corrected when a request is settled. Rates of requests are not: requests
        count as they came."""
        self.in_headers = [
            (limit_header_lines(name, counter.limit), counter)
            for name, index in ((b"requests", REQUESTS), (b"tokens", TOKENS))
            if (counter := _narrowest(counters, index)) is not None
        ]
        """The limits that response headers show: the header lines without what is left, and the counter that
        knows what is left."""


class CounterPlan:
    """The rules for one key's requests for one model, with the counters of the present periods."""

    __slots__ = ("bounded", "counters", "ends", "hard_money", "money", "rates", "rules")

    def __init__(self, rules: Sequence[CounterRule]) -> None:
        budgets = [rule.budget for rule in rules if rule.budget is not None]
        self.rules = rules
        self.money = any(budget.unit == "usd" for budget in budgets)
        """Whether a budget of money is among them."""
        self.rates: Sequence[Rates] = ()
        """The rates of the model at each candidate, if there is a budget of money and all have a price."""
        self.hard_money = any(budget.unit == "usd" and budget.hard for budget in budgets)
        """Whether a hard budget of money is among them."""
        self.bounded = any(budget.hard for budget in budgets)
        """Whether a hard budget is among them, so that an answer needs a bound."""
        self.ends = -math.inf
        """When the first of the periods ends, and the counters must be looked up anew."""
        self.counters = PlanCounters(())


class Charge(NamedTuple):
    """What one attempt used and cost."""

    usage: Usage
    estimated: bool
    """Whether the usage was estimated here, because the upstream did not report it."""
    cost: int | None
    """Micros (millionths of a US dollar); None if it is unknown."""
    source: str | None
    """Where the price is from: ``upstream``, or one of the sources that ``policy.prices`` names."""
    provider: str = ""


NO_CHARGE: Final = Charge(Usage(), estimated=False, cost=0, source=None)


class ProviderTake(NamedTuple):
    """What a request has taken of one budget of a provider."""

    counter: Counter
    amount_index: int
    """The index of what it counts in :data:`Amounts`."""
    amount: int
    provider: str


class Reservation(msgspec.Struct, eq=False):
    """What one request has taken, until it is settled."""

    countable: bool = True
    """Whether its usage can be counted in tokens; that of images and sounds cannot."""
    prompt_tokens: int = 0
    """The estimate of the prompt's tokens."""
    completion_tokens: int = 0
    """The maximum number of tokens of the answer."""
    other_models: tuple[str, ...] = ()
    """Further models that its upstream may use for it."""
    counters: PlanCounters | None = None
    """The counters of its plan."""
    amounts: Amounts | None = None
    """What it has taken of them; None before it has taken and after it is settled."""
    take_numbers: Sequence[int] = ()
    """The numbers of its takes from the token rates among them."""
    at_providers: list[ProviderTake] = []
    """What it has taken of budgets of providers."""
    barred: Set[str] = NONE_BARRED
    """The keys of candidates that must not be asked."""
    defaults: RequestDefaults = NO_DEFAULTS
    """What policy adds to the request."""

    def header_lines(self) -> bytes:
        """The ``x-ratelimit-*`` headers, in OpenAI's form."""
        found = b""
        if self.counters is not None and self.counters.in_headers:
            now = time.time()
            for lines, counter in self.counters.in_headers:
                remaining, reset = counter.remaining(now)
                found += lines % (remaining, format_duration(reset))
        return found


def _narrowest(counters: Sequence[IndexedCounter], index: int) -> Counter | None:
    """The counter of a quantity with the smallest limit."""
    found = [counter for counter, counter_index in counters if counter_index == index]
    return min(found, key=lambda counter: counter.limit, default=None)


def limit_header_lines(name: bytes, limit: int) -> bytes:
    """The header lines of a limit, with placeholders for what is left and when all of it is there again."""
    return b"x-ratelimit-limit-%b: %d\r\nx-ratelimit-remaining-%b: %%d\r\nx-ratelimit-reset-%b: %%b\r\n" % (
        name,
        limit,
        name,
        name,
    )


def limit_error(rule: CounterRule, wait: float, needed: int = 0, left: int | None = None) -> CallerError:
    """The error for a request that a limit or budget refuses; it does not show the names of others.

    Args:
        rule: the rule that refuses it.
        wait: the seconds after which to try again; infinity for never.
        needed: what the request may need of a budget.
        left: what is left of a budget that is not used up, together with what running requests hold.
    """
    counter_key, amount, budget = rule
    owner = {"key": "this key", "team": "this key's team", "model": "this model"}.get(counter_key.scope)
    owner = owner or (
        f"provider '{counter_key.subject}'" if counter_key.scope == "provider" else "the gateway"
    )
    if budget is None:
        if counter_key.quantity == "slots":
            text = f"Too many requests at once: {owner} may have {amount} under way"
        else:
            text = f"Rate limit of {owner}: {amount} {counter_key.quantity} per {counter_key.per}"
        text += f". Try again in {format_duration(wait).decode()}."
        return CallerError(text, LIMITED, retry_after=wait, advice="true" if wait <= MINUTE else "false")
    period = "in all" if budget.per == "total" else f"a {budget.per}"
    whole = f"{_format_amount(amount, budget.unit)} {period}"
    retry_after = None if math.isinf(wait) else wait
    advice = "true" if wait <= MINUTE else "false"
    if left is None:
        text = f"The budget of {owner} is used up: {whole}"
        return CallerError(text, BUDGET_EXCEEDED, retry_after=retry_after, advice=advice)
    rest = f"{_format_amount(left, budget.unit)} of {whole}"
    if needed <= left:
        text = f"What is left of the budget of {owner} is held by other requests now: {rest}"
        return CallerError(text, BUDGET_EXCEEDED, retry_after=retry_after, advice=advice)
    text = (
        f"This request may cost {_format_amount(needed, budget.unit)}, more than is left of the budget of "
        f"{owner}: {rest}. Ask for less: a smaller max_tokens or a shorter prompt"
    )
    return CallerError(text, REQUEST_OVER_BUDGET, advice="false")  # no wait helps against it


def _format_amount(amount: int, unit: str) -> str:
    """An amount of a budget for people; money has at most six decimal places."""
    if unit == "tokens":
        return f"{amount} tokens"
    return f"${amount / 1_000_000:.6f}".rstrip("0").rstrip(".")


def format_duration(seconds: float) -> bytes:
    """A duration in OpenAI's form: 0s, 20ms, 1.5s, 6m0s, 2h0m0s. It is rounded up."""
    thousandths = math.ceil(seconds * 1000 - 1e-6)
    if thousandths < 1000:
        return b"%dms" % thousandths if thousandths > 0 else b"0s"
    hundredths = math.ceil(seconds * 100 - 1e-6)
    if hundredths < 6000:
        return b"%gs" % (hundredths / 100)
    minutes, rest = divmod(math.ceil(seconds - 1e-6), 60)
    hours, minutes = divmod(minutes, 60)
    return b"%dh%dm%ds" % (hours, minutes, rest) if hours else b"%dm%ds" % (minutes, rest)
