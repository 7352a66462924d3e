"""Guards for tests: the requests that ask them, and providers without connections."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import pytest

from trunkline.dialects.base import RequestSummary
from trunkline.errors import CallerError, GatewayError
from trunkline.model import Operation, Usage
from trunkline.policy.auth import ApiKey
from trunkline.policy.guard import Guard, GuardedRequest, PendingRefill
from trunkline.policy.prices import PriceBook
from trunkline.policy.reservations import Charge, Reservation
from trunkline.policy.rules import Budget, Limit, Rulebook
from trunkline.settings.sections import Price

KEY = ApiKey(id="1", name="anna", role="member", prefix="gw_", team_id="t", team_name="red")
BODY = b"x" * 30
"""Ten tokens."""
PROMPT = 10
ANSWER = 20
COST = PROMPT * 3 + ANSWER * 7
"""Micros that a request reserves, with ``PRICES`` and an answer of at most ``ANSWER`` tokens."""
PRICES = {"up/*": Price(input=3, output=7), "dear/*": Price(input=30, output=70)}


class FakeProvider(NamedTuple):
    """A provider, as far as policy looks at it."""

    name: str
    kind: str = "openai-compatible"
    local: bool = False


class FakeCandidate(NamedTuple):
    """A candidate, as far as policy looks at it."""

    provider: FakeProvider
    model: str

    @property
    def key(self) -> str:
        return f"{self.provider.name}/{self.model}"


UP = FakeCandidate(FakeProvider("up"), "m")
DEAR = FakeCandidate(FakeProvider("dear"), "m")
UNPRICED = FakeCandidate(FakeProvider("fog"), "m")
CANDIDATES = (UP,)


def make_guard(*rules: Limit | Budget, **more: Any) -> Guard:
    """A guard with these rules; ``ANSWER`` tokens are the bound where a request has none."""
    guard = Guard(prices(), **more)
    reconfigure(guard, *rules)
    return guard


def prices(overrides: Any = None) -> PriceBook:
    return PriceBook(PRICES if overrides is None else overrides, lambda provider, model: None)


def reconfigure(guard: Guard, *rules: Limit | Budget) -> None:
    guard.reconfigure(
        Rulebook(
            [rule for rule in rules if isinstance(rule, Limit)],
            [rule for rule in rules if isinstance(rule, Budget)],
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
    candidates: Sequence[FakeCandidate] = CANDIDATES

    def now(self, guard: Guard) -> Reservation | None:
        """The guard's answer, which must not depend on a refill."""
        answer = self.ask(guard)
        assert not isinstance(answer, PendingRefill)
        return answer

    def now_or_not(self, guard: Guard) -> bool:
        """Whether it is admitted at once."""
        try:
            return self.now(guard) is not None
        except CallerError:
            return False

    async def wait(self, guard: Guard) -> Reservation | None:
        """The guard's answer, after refills if it needs them."""
        answer = self.ask(guard)
        return await answer.wait() if isinstance(answer, PendingRefill) else answer

    def ask(self, guard: Guard) -> Reservation | PendingRefill[Reservation | None] | None:
        return guard.admit(
            GuardedRequest(
                key=self.key,
                summary=RequestSummary(model=self.model, stream=False, max_tokens=self.max_tokens, n=self.n),
                operation=self.operation,
                model=self.model,
                body=self.body,
                candidates=self.candidates,
            )
        )


async def reserve_at_provider(
    guard: Guard, reservation: Reservation, candidate: FakeCandidate = UP
) -> GatewayError | None:
    """Why a candidate's provider may not be asked, if so; after refills if they are needed."""
    answer = guard.reserve_at_provider(reservation, candidate.provider, candidate.model)
    return await answer.wait() if isinstance(answer, PendingRefill) else answer


def admit(guard: Guard, ask: Ask = Ask()) -> Reservation:  # noqa: B008 - immutable
    """The reservation of a request that must get one at once."""
    reservation = ask.now(guard)
    assert reservation is not None
    return reservation


def budget(amount: int = 10 * COST, unit: Any = "usd", scope: Any = "key", **more: Any) -> Budget:
    """A budget; by default of each key, of money, and without a period."""
    subject = {"key": "*", "all": "", "provider": "up", "team": "*"}[scope]
    return Budget(scope, subject, unit, amount, more.pop("per", "total"), **more)


def refused(guard: Guard, ask: Ask = Ask()) -> CallerError:  # noqa: B008 - immutable
    """Why a request is refused."""
    with pytest.raises(CallerError) as caught:
        ask.now(guard)
    return caught.value


def headers(error: GatewayError | Reservation) -> dict[str, str]:
    """The headers that a reservation or a refusal adds to the answer."""
    lines = error.lines if isinstance(error, GatewayError) else error.header_lines()
    return dict(line.split(": ", 1) for line in lines.decode().split("\r\n") if line)


def used(prompt: int, completion: int, micros: int | None = None, provider: str = "up") -> Charge:
    """What one attempt used."""
    cost = prompt * 3 + completion * 7 if micros is None else micros
    usage = Usage(prompt_tokens=prompt, completion_tokens=completion)
    return Charge(usage, False, cost, "config", provider)


def spent(guard: Guard) -> Iterable[tuple[int, int]]:
    """What is spent and what is reserved, budget by budget."""
    return [(each.spent, each.reserved) for each in guard.spendings()]
