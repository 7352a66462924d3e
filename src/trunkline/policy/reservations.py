"""What one request is under, what it has taken, and what its caller is told of it: headers, refusals."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence, Set
from typing import Final, NamedTuple, TypeAlias

import msgspec

from trunkline.dialects.base import NO_DEFAULTS, RequestDefaults
from trunkline.errors import BUDGET_EXCEEDED, LIMITED, CallerError
from trunkline.model import Usage
from trunkline.policy.counters import Counter
from trunkline.policy.prices import Rates
from trunkline.policy.rules import MINUTE, CounterRule, What

SLOTS, REQUESTS, TOKENS, MONEY, USED = range(5)
CODES: Final[dict[What, int]] = {
    "slots": SLOTS,
    "requests": REQUESTS,
    "tokens": TOKENS,
    "usd": MONEY,
    "used": USED,
}
"""What is counted, as an index into a request's amounts."""


Amounts: TypeAlias = tuple[int, int, int, int, int]
"""What a request takes, or has used, of what each of :data:`CODES` counts."""
Coded: TypeAlias = tuple[Counter, int]
"""A meter, and what it counts."""
NOBODY: Final[frozenset[str]] = frozenset()


class Counters:
    """What a plan's requests are taken from in the present periods."""

    __slots__ = ("every", "held", "rates", "shown")

    def __init__(self, every: Sequence[Coded]) -> None:
        self.every = every
        self.held = [(counter, code) for counter, code in every if code not in (REQUESTS, TOKENS)]
        """Places and budgets: of them a request holds something until it is settled."""
        self.rates = [counter for counter, code in every if code == TOKENS]
        """Rates of tokens, which are corrected when a request is settled. Requests count as they came."""
        self.shown = [
            (limit_lines(what, counter.limit), counter)
            for what, code in ((b"requests", REQUESTS), (b"tokens", TOKENS))
            if (counter := _narrowest(every, code)) is not None
        ]
        """Limits that headers tell of: the lines but for what is left, and the meter that knows that."""


class CounterPlan:
    """What one key's requests for one model are under, with the meters of the present periods."""

    __slots__ = ("bounded", "counters", "ends", "hard_money", "money", "rates", "rules")

    def __init__(self, rules: Sequence[CounterRule]) -> None:
        budgets = [rule.budget for rule in rules if rule.budget is not None]
        self.rules = rules
        self.money = any(budget.unit == "usd" for budget in budgets)
        """A budget of money is among them."""
        self.rates: Sequence[Rates] = ()
        """What the model costs at each of its places, where that counts and all of them have a price."""
        self.hard_money = any(budget.unit == "usd" and budget.hard for budget in budgets)
        self.bounded = any(budget.hard for budget in budgets)
        """A hard budget is among them: an answer needs a bound."""
        self.ends = -math.inf
        """When the first of the periods ends, and the meters must be looked up anew."""
        self.counters = Counters(())


class Charge(NamedTuple):
    """What an attempt used and cost."""

    usage: Usage
    estimated: bool
    """The upstream did not report its usage, so that it was estimated here."""
    cost: int | None
    """Millionths of a US dollar; None is unknown."""
    source: str | None
    """Where the price is from: ``upstream``, or one of the sources that ``policy.prices`` names."""
    provider: str = ""


NOTHING: Final = Charge(Usage(), False, 0, None)


class Reservation(msgspec.Struct, eq=False):
    """What one request has taken, until it is settled."""

    countable: bool = True
    """What it comes to can be told from tokens: it is no picture and no sound."""
    prompt: int = 0
    """Tokens that the prompt was estimated to have."""
    completion: int = 0
    """Tokens that the answer may have."""
    counters: Counters | None = None
    """What it is under."""
    amounts: Amounts | None = None
    """What it has taken of that; None before and after."""
    turns: Sequence[int] = ()
    """The turns of the rates of tokens among them."""
    at_providers: list[tuple[Counter, int, int, str]] = []
    """What it has taken of budgets of providers: from which, what it counts, how much, and whose it is."""
    barred: Set[str] = NOBODY
    """Candidates that must not be asked."""
    defaults: RequestDefaults = NO_DEFAULTS
    """What policy adds to the request."""

    def lines(self) -> bytes:
        """The ``x-ratelimit-*`` headers, as OpenAI has them."""
        found = b""
        if self.counters is not None and self.counters.shown:
            now = time.time()
            for lines, counter in self.counters.shown:
                remaining, reset = counter.left(now)
                found += lines % (remaining, duration(reset))
        return found


def _narrowest(counters: Sequence[Coded], code: int) -> Counter | None:
    """The one with the smallest limit."""
    found = [counter for counter, what in counters if what == code]
    return min(found, key=lambda counter: counter.limit, default=None)


def limit_lines(what: bytes, limit: int) -> bytes:
    """The header lines of a limit, but for what is left of it and when all of it will be there again."""
    return b"x-ratelimit-limit-%b: %d\r\nx-ratelimit-remaining-%b: %%d\r\nx-ratelimit-reset-%b: %%b\r\n" % (
        what,
        limit,
        what,
        what,
    )


class RefillNeededError(Exception):
    """A meter must first learn something: await its ``refill``, and try again."""

    def __init__(self, counter: Counter, amount: int) -> None:
        super().__init__()
        self.counter = counter
        self.amount = amount


def exhausted(rule: CounterRule, wait: float) -> CallerError:
    """What a caller is told, without other people's names."""
    counter_key, amount, budget = rule
    whose = {"key": "this key", "team": "this key's team", "model": "this model"}.get(counter_key.scope)
    whose = whose or (
        f"provider '{counter_key.subject}'" if counter_key.scope == "provider" else "the gateway"
    )
    if budget is None:
        if counter_key.what == "slots":
            text = f"Too many requests at once: {whose} may have {amount} under way"
        else:
            text = f"Rate limit of {whose}: {amount} {counter_key.what} per {counter_key.per}"
        text += f". Try again in {duration(wait).decode()}."
        return CallerError(text, LIMITED, retry_after=wait, advice="true" if wait <= MINUTE else "false")
    shown = f"{amount} tokens"
    if budget.unit == "usd":
        shown = f"${amount / 1_000_000:.6f}".rstrip("0").rstrip(".")
    period = "in all" if budget.per == "total" else f"a {budget.per}"
    text = f"The budget of {whose} is used up: {shown} {period}"
    soon = wait <= MINUTE
    retry_after = None if math.isinf(wait) else wait
    return CallerError(text, BUDGET_EXCEEDED, retry_after=retry_after, advice="true" if soon else "false")


def duration(seconds: float) -> bytes:
    """As OpenAI writes them: 0s, 20ms, 1.5s, 6m0s, 2h0m0s."""
    thousandths = math.ceil(seconds * 1000 - 1e-6)
    if thousandths < 1000:
        return b"%dms" % thousandths if thousandths > 0 else b"0s"
    hundredths = math.ceil(seconds * 100 - 1e-6)
    if hundredths < 6000:
        return b"%gs" % (hundredths / 100)
    minutes, rest = divmod(math.ceil(seconds - 1e-6), 60)
    hours, minutes = divmod(minutes, 60)
    return b"%dh%dm%ds" % (hours, minutes, rest) if hours else b"%dm%ds" % (minutes, rest)
