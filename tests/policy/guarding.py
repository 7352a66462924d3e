"""Guards for tests: requests that ask them, and providers without anything behind them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import pytest

from trunkline.dialects.base import RequestSummary
from trunkline.errors import CallerError, GatewayError
from trunkline.model import Operation, Usage
from trunkline.policy.auth import ApiKey
from trunkline.policy.guard import Guard
from trunkline.policy.prices import PriceBook
from trunkline.policy.reservations import Charge, Reservation
from trunkline.policy.rules import BudgetRule, LimitRule, Rulebook
from trunkline.settings.sections import Price

KEY = ApiKey("1", "anna", "member", "gw_", team_id="t", team_name="red")
BODY = b"x" * 30
"""Ten tokens."""
PROMPT = 10
ANSWER = 20
COST = PROMPT * 3 + ANSWER * 7
"""Micros that a request reserves, with ``PRICES`` and an answer of at most ``ANSWER`` tokens."""
PRICES = {"up/*": Price(input=3, output=7), "dear/*": Price(input=30, output=70)}


class Place(NamedTuple):
    """A provider, as far as policy looks at it."""

    name: str
    kind: str = "openai-compatible"
    local: bool = False


class Way(NamedTuple):
    """A place where a request may be sent."""

    provider: Place
    model: str

    @property
    def key(self) -> str:
        return f"{self.provider.name}/{self.model}"


UP = Way(Place("up"), "m")
DEAR = Way(Place("dear"), "m")
UNPRICED = Way(Place("fog"), "m")
WAYS = (UP,)


def make_guard(*rules: LimitRule | BudgetRule, **more: Any) -> Guard:
    """A guard with these rules; ``ANSWER`` tokens are the bound where a request has none."""
    guard = Guard(prices(), **more)
    reconfigure(guard, *rules)
    return guard


def prices(overrides: Any = None) -> PriceBook:
    return PriceBook(PRICES if overrides is None else overrides, lambda provider, model: None)


def reconfigure(guard: Guard, *rules: LimitRule | BudgetRule) -> None:
    guard.reconfigure(
        Rulebook(
            [rule for rule in rules if isinstance(rule, LimitRule)],
            [rule for rule in rules if isinstance(rule, BudgetRule)],
        ),
        guard.prices,
        ANSWER,
    )


class Ask(NamedTuple):
    """A request that asks a guard."""

    key: ApiKey | None = KEY
    max_tokens: int | None = ANSWER
    n: int = 1
    operation: Operation = "chat"
    model: str = "m"
    body: bytes = BODY
    ways: Sequence[Way] = WAYS

    def now(self, guard: Guard) -> Reservation | None:
        return guard.admit_now(*self._wish())

    def now_or_not(self, guard: Guard) -> bool:
        """Whether it is admitted."""
        try:
            return self.now(guard) is not None
        except CallerError:
            return False

    async def wait(self, guard: Guard) -> Reservation | None:
        return await guard.admit(*self._wish())

    def _wish(self) -> tuple[Any, ...]:
        summary = RequestSummary(model=self.model, stream=False, max_tokens=self.max_tokens, n=self.n)
        return self.key, summary, self.operation, self.model, self.body, self.ways


def admit(guard: Guard, ask: Ask = Ask()) -> Reservation:  # noqa: B008 - immutable
    """The ticket of a request that must get one at once."""
    reservation = ask.now(guard)
    assert reservation is not None
    return reservation


def budget(amount: int = 10 * COST, unit: Any = "usd", scope: Any = "key", **more: Any) -> BudgetRule:
    """A budget, by default of money and for good, of each key."""
    subject = {"key": "*", "all": "", "provider": "up", "team": "*"}[scope]
    return BudgetRule(scope, subject, unit, amount, more.pop("per", "total"), **more)


def refused(guard: Guard, ask: Ask = Ask()) -> CallerError:  # noqa: B008 - immutable
    """Why a request is refused."""
    with pytest.raises(CallerError) as caught:
        ask.now(guard)
    return caught.value


def headers(error: GatewayError | Reservation) -> dict[str, str]:
    """What a ticket or a refusal adds to the answer."""
    lines = error.lines if isinstance(error, GatewayError) else error.lines()
    return dict(line.split(": ", 1) for line in lines.decode().split("\r\n") if line)


def used(prompt: int, completion: int, micros: int | None = None, provider: str = "up") -> Charge:
    """What one attempt has used."""
    cost = prompt * 3 + completion * 7 if micros is None else micros
    usage = Usage(prompt_tokens=prompt, completion_tokens=completion)
    return Charge(usage, False, cost, "config", provider)


def spent(guard: Guard) -> Iterable[tuple[int, int]]:
    """Spent and reserved, budget by budget."""
    return [(each.spent, each.reserved) for each in guard.spendings()]
