"""What one request is under, what it has taken, and what its caller is told of it: headers, refusals."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence, Set
from typing import Final, TypeAlias

from trunkline.dialects.base import NO_FILLS, Fills
from trunkline.errors import BUDGET_EXCEEDED, LIMITED, CallerError
from trunkline.policy.meters import Meter
from trunkline.policy.rules import MINUTE, Marked, What

Taken: TypeAlias = tuple[Meter, int, int, int]
"""From which meter, what it counts, how much, and its turn."""


class Plan:
    """What one key's requests for one model are under, with the meters of the present periods."""

    __slots__ = ("bounded", "ends", "hard_money", "marks", "meters", "money", "shown")

    def __init__(self, marks: Sequence[Marked]) -> None:
        budgets = [marked.budget for marked in marks if marked.budget is not None]
        self.marks = marks
        self.money = any(budget.unit == "usd" for budget in budgets)
        """A budget of money is among them."""
        self.hard_money = any(budget.unit == "usd" and budget.hard for budget in budgets)
        self.bounded = any(budget.hard for budget in budgets)
        """A hard budget is among them: an answer needs a bound."""
        self.ends = -math.inf
        """When the first of the periods ends, and the meters must be looked up anew."""
        self.meters: Sequence[tuple[Meter, int]] = ()
        self.shown: Sequence[tuple[bytes, Meter]] = ()
        """Limits that headers tell of, of requests and of tokens: the header lines but for what is left, and
        the meter that knows that."""


SLOTS, REQUESTS, TOKENS, MONEY, USED = range(5)
CODES: Final[dict[What, int]] = {
    "slots": SLOTS,
    "requests": REQUESTS,
    "tokens": TOKENS,
    "usd": MONEY,
    "used": USED,
}
"""What is counted, as an index into a request's amounts."""


class Ticket:
    """What one request has taken, until it is settled."""

    __slots__ = ("at_providers", "barred", "completion", "countable", "fills", "plan", "prompt", "taken")

    def __init__(self) -> None:
        self.plan: Plan | None = None
        self.countable = True
        """What it comes to can be told from tokens: it is no picture and no sound."""
        self.prompt = 0
        """Tokens that the prompt was estimated to have."""
        self.completion = 0
        """Tokens that the answer may have."""
        self.taken: list[Taken] = []
        self.at_providers: list[tuple[Taken, str]] = []
        """The same of budgets of providers, and their names."""
        self.barred: Set[str] = NOBODY
        """Candidates that must not be asked."""
        self.fills: Fills = NO_FILLS
        """What policy adds to the request."""

    def lines(self) -> bytes:
        """The ``x-ratelimit-*`` headers, as OpenAI has them."""
        if self.plan is None or not self.plan.shown:
            return b""
        now, found = time.time(), b""
        for lines, meter in self.plan.shown:
            remaining, reset = meter.left(now)
            found += lines % (remaining, duration(reset))
        return found


def limit_lines(what: bytes, limit: int) -> bytes:
    """The header lines of a limit, but for what is left of it and when all of it will be there again."""
    return b"x-ratelimit-limit-%b: %d\r\nx-ratelimit-remaining-%b: %%d\r\nx-ratelimit-reset-%b: %%b\r\n" % (
        what,
        limit,
        what,
        what,
    )


NOBODY: Final[frozenset[str]] = frozenset()


class AskError(Exception):
    """A meter must first learn something: await its ``refill``, and try again."""

    def __init__(self, meter: Meter, amount: int) -> None:
        super().__init__()
        self.meter = meter
        self.amount = amount


def exhausted(marked: Marked, wait: float) -> CallerError:
    """What a caller is told, without other people's names."""
    mark, amount, budget = marked
    whose = {"key": "this key", "team": "this key's team", "model": "this model"}.get(mark.scope)
    whose = whose or (f"provider '{mark.subject}'" if mark.scope == "provider" else "the gateway")
    if budget is None:
        if mark.what == "slots":
            text = f"Too many requests at once: {whose} may have {amount} under way"
        else:
            text = f"Rate limit of {whose}: {amount} {mark.what} per {mark.per}"
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
