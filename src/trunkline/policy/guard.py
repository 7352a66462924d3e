"""What a request must get past after its key: rules of access, limits and budgets; and what it leaves behind.

``admit`` takes from every counter that a request is under, or from none; ``enter`` does so for the provider
that is about to be asked; ``settle`` gives back what was not used, always. Amounts are known before (an
estimate of the prompt, the bound on the answer) and after (the upstream's count, its price).
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple, Protocol

import msgspec

from trunkline.dialects.base import RequestSummary
from trunkline.errors import (
    LIMITED,
    MODEL_NOT_ALLOWED,
    NO_PRICE,
    CallerError,
    GatewayError,
)
from trunkline.model import MOST_TOKENS, Operation
from trunkline.policy.auth import ApiKey
from trunkline.policy.counters import NEEDS_REFILL, BudgetCounter, ConcurrencyCounter, Counter, RateCounter
from trunkline.policy.estimates import prompt_tokens
from trunkline.policy.prices import PriceBook, Priced
from trunkline.policy.reservations import (
    CODES,
    MONEY,
    TOKENS,
    Amounts,
    Charge,
    Coded,
    CounterPlan,
    Counters,
    RefillNeededError,
    Reservation,
    exhausted,
)
from trunkline.policy.rules import DAY, MINUTE, BudgetRule, Caller, CounterKey, CounterRule, Rulebook

_PERIODS: Final = {"minute": MINUTE, "day": DAY}
_MOST_PLANS: Final = 10_000


class PolicyCandidate(Protocol):
    """One place where the request may be sent, as far as policy looks at it."""

    @property
    def provider(self) -> Priced: ...
    @property
    def model(self) -> str: ...
    @property
    def key(self) -> str: ...


class Spending(NamedTuple):
    """What a budget is at: for warnings and listings."""

    counter_key: CounterKey
    rule: BudgetRule
    spent: int
    reserved: int
    ends: float = math.inf
    """When its period does."""


MakeCounter = Callable[[CounterRule, float], Counter]
"""Makes the meter of a mark at a time."""


class Guard:
    """The limits and budgets of one gateway, and what is left of them."""

    def __init__(
        self,
        prices: PriceBook,
        *,
        make: MakeCounter | None = None,
        spent: Callable[[CounterKey, int], Awaitable[int]] | None = None,
        period: Callable[[str, float], tuple[int, float]] | None = None,
        warn: Callable[[Spending], None] | None = None,
        max_tokens: int = 4096,
    ) -> None:
        """
        Args:
            prices: what models cost.
            make: makes meters; by default they count in memory.
            spent: what a budget's subject has spent since a time, from the ledger.
            period: when the period of a time began and ends.
            warn: told when a budget has come to its warning mark, and when it is used up.
            max_tokens: the bound on an answer of a request without one, under a hard budget.
        """
        self.prices = prices
        self.max_tokens = max_tokens
        self.rules = Rulebook()
        self.applies_to_all = False
        """Whether limits or budgets may concern a request whatever its key is."""
        self._make = make or self.make_local
        self._spent = spent
        self._period = period or (lambda per, now: (0, math.inf))
        self._warn = warn
        self._meters: dict[CounterKey, tuple[Counter, float]] = {}
        """And when its period ends."""
        self._plans: dict[tuple[str | None, str], tuple[Sequence[PolicyCandidate], CounterPlan | None]] = {}
        """By key and model, and the candidates that each was made for: a changed catalog has others."""

    def reconfigure(self, rules: Rulebook, prices: PriceBook, max_tokens: int) -> None:
        """Take other rules and prices. What was counted stays counted."""
        self.rules = rules
        self.applies_to_all = not rules.is_empty or rules.guards_providers
        self.prices = prices
        self.max_tokens = max_tokens
        self._plans.clear()
        for counter, _ in self._meters.values():
            if (
                isinstance(counter, BudgetCounter)
                and counter.rule is not None
                and not rules.goes_on(counter.rule)
            ):
                counter.forget()

    def make_local(self, rule: CounterRule, now: float) -> Counter:
        """A meter that counts in this process."""
        counter_key, amount, budget = rule
        if budget is None:
            if counter_key.what == "slots":
                return ConcurrencyCounter(amount)
            return RateCounter(amount, _PERIODS[counter_key.per], refunds=counter_key.what != "requests")
        begin, ends = self._period(counter_key.per, now)
        load = None
        if self._spent is not None:
            spent = self._spent

            async def load() -> int:
                return await spent(counter_key, begin)

        return BudgetCounter(amount, ends, hard=budget.hard, load=load)

    # Before

    async def admit(
        self,
        key: ApiKey | None,
        summary: RequestSummary,
        operation: Operation,
        model: str,
        body: bytes,
        candidates: Sequence[PolicyCandidate],
    ) -> Reservation | None:
        """Like :meth:`admit_now`, for when that raises AskError: waits until meters know enough."""
        while True:
            try:
                return self.admit_now(key, summary, operation, model, body, candidates)
            except RefillNeededError as ask:
                await asyncio.ensure_future(ask.counter.refill(ask.amount))

    def admit_now(
        self,
        key: ApiKey | None,
        summary: RequestSummary,
        operation: Operation,
        model: str,
        body: bytes,
        candidates: Sequence[PolicyCandidate],
    ) -> Reservation | None:
        """Take what the request needs; None where it is under nothing.

        Args:
            key: the caller's; None where none is asked for.
            peek: the request.
            operation: what it asks.
            model: as the client named it.
            body: the request's body.
            candidates: where it may be sent.

        Raises:
            CallerError: 403, it may not use this; 429, a limit or budget is used up.
            AskError: nothing was taken yet; see there.
        """
        rules = self.rules
        restricted = key is not None and key.restricted
        plan = None
        if not rules.is_empty:
            place = None if key is None else key.id, model
            kept = self._plans.get(place)
            plan = kept[1] if kept and kept[0] is candidates else self._plan(place, key, model, candidates)
        if plan is None and not restricted and not rules.guards_providers:
            return None
        reservation = Reservation()
        if key is not None and restricted:
            _check_access(key, model, candidates, reservation)
        if plan is None and not rules.guards_providers:
            return reservation
        if operation == "other":
            reservation.countable = False
        else:
            reservation.prompt = prompt_tokens(body)
            reservation.completion = self._completion(reservation, plan, summary, operation)
        if plan is not None:
            self._take_all(reservation, plan, candidates, bounded=bool(summary.max_tokens))
        return reservation

    def _plan(
        self,
        place: tuple[str | None, str],
        key: ApiKey | None,
        model: str,
        candidates: Sequence[PolicyCandidate],
    ) -> CounterPlan | None:
        if len(self._plans) > _MOST_PLANS:
            self._plans.clear()
        caller = Caller()
        if key is not None:
            caller = Caller(key.id, key.name, key.team_id or "", key.team_name or "")
        names = {name for each in candidates for name in _names(model, each)}
        rules = self.rules.of(caller, [name.lower() for name in names])
        plan = CounterPlan(rules) if rules else None
        if plan is not None and plan.money:
            rates = [self.prices.rates(each.provider, each.model) for each in candidates]
            plan.rates = [each for each in rates if each is not None] if None not in rates else ()
        self._plans[place] = candidates, plan
        return plan

    def _take_all(
        self,
        reservation: Reservation,
        plan: CounterPlan,
        candidates: Sequence[PolicyCandidate],
        *,
        bounded: bool,
    ) -> None:
        """Take what the plan asks for. ``bounded``: the request itself says how long its answer may be."""
        now = time.time()
        if now >= plan.ends:
            self._renew(plan, now)
        counters = reservation.counters = plan.counters
        prompt, both = reservation.prompt, reservation.prompt + reservation.completion
        money = self._most(reservation, plan, candidates) if plan.money else 0
        amounts = (1, 1, both if bounded else prompt, money, both)
        try:
            _take(counters.every, amounts, plan.rules, now)
        except CallerError as error:
            if error.status == LIMITED.status:  # the call gets no ticket, but is told what is left
                error.lines = reservation.lines()
            raise
        reservation.amounts = amounts
        if counters.rates:
            reservation.turns = [rate.turn for rate in counters.rates]

    def _renew(self, plan: CounterPlan, now: float) -> None:
        """Look the plan's meters up for the periods of ``now``."""
        plan.counters = Counters(
            [(self.counter(rule, now), CODES[rule.counter_key.what]) for rule in plan.rules]
        )
        plan.ends = min(self._meters[rule.counter_key][1] for rule in plan.rules)

    def _completion(
        self,
        reservation: Reservation,
        plan: CounterPlan | None,
        summary: RequestSummary,
        operation: Operation,
    ) -> int:
        """Tokens that the answers may have at most; the bound goes with the request where it has none."""
        if operation == "embeddings":
            return 0
        bound = summary.max_tokens
        if bound is None:
            bound = self.max_tokens
            if (plan is not None and plan.bounded) or self.rules.guards_providers:
                reservation.defaults = msgspec.structs.replace(reservation.defaults, max_tokens=bound)
        return min(bound if summary.n <= 1 else bound * summary.n, MOST_TOKENS)

    def _most(
        self, reservation: Reservation, plan: CounterPlan, candidates: Sequence[PolicyCandidate]
    ) -> int:
        """Micros that the request costs at most, wherever it goes; places without a price are barred under a
        hard budget."""
        if plan.rates and reservation.countable and not reservation.barred:
            return max([rates.most(reservation.prompt, reservation.completion) for rates in plan.rates])
        most = -1
        barred: list[str] = []
        for each in candidates:
            if each.key in reservation.barred:
                continue
            rates = self.prices.rates_of(each.provider, each.model, countable=reservation.countable)
            if rates is None:
                barred.append(each.key)
            else:
                most = max(most, rates.most(reservation.prompt, reservation.completion))
        if barred and plan.hard_money:
            if most < 0:
                raise CallerError(
                    "This model has no known price, and the budget is a hard one; give it a price in the "
                    "section `prices` of trunkline.yaml",
                    NO_PRICE,
                    param="model",
                )
            reservation.barred = reservation.barred | {*barred}
        return max(0, most)

    def counter(self, rule: CounterRule, now: float) -> Counter:
        """The meter of a mark, for the period of ``now``."""
        found = self._meters.get(rule.counter_key)
        if found is not None and now < found[1]:
            counter = found[0]
            counter.limit = rule.amount
        else:
            ends = math.inf if rule.budget is None else self._period(rule.counter_key.per, now)[1]
            counter = self._make(rule, now)
            self._meters[rule.counter_key] = counter, ends
        if isinstance(counter, BudgetCounter) and rule.budget is not None:
            counter.hard = rule.budget.hard
            counter.watch(rule, rule.budget.warn_at)
        return counter

    # At the provider

    async def enter(self, reservation: Reservation, provider: Priced, model: str) -> GatewayError | None:
        """Take from the budgets of the provider that is about to be asked; why it cannot be, if so."""
        rules = self.rules.of_provider(provider.name)
        if not rules:
            return None
        rates = self.prices.rates_of(provider, model, countable=reservation.countable)
        budgets = [rule.budget for rule in rules if rule.budget is not None]
        if rates is None and any(budget.hard and budget.unit == "usd" for budget in budgets):
            text = f"Model '{model}' of provider '{provider.name}', which has a budget, has no known price"
            return CallerError(text, NO_PRICE, param="model", provider=provider.name)
        money = 0 if rates is None else rates.most(reservation.prompt, reservation.completion)
        both = reservation.prompt + reservation.completion
        while True:
            now = time.time()
            counters = [(self.counter(rule, now), CODES[rule.counter_key.what]) for rule in rules]
            amounts = (1, 1, both, money, both)
            try:
                _take(counters, amounts, rules, now)
            except RefillNeededError as ask:
                await asyncio.ensure_future(ask.counter.refill(ask.amount))
                continue
            except GatewayError as error:
                error.provider = provider.name
                return error
            reservation.at_providers += [
                (counter, code, amounts[code], provider.name) for counter, code in counters
            ]
            return None

    # After

    def settle(self, reservation: Reservation, spent: Sequence[Charge]) -> None:
        """Give back what was not used; ``spent`` by each of the attempts."""
        amounts, counters = reservation.amounts, reservation.counters
        if amounts is not None and counters is not None:
            reservation.amounts = None
            tokens = cost = 0
            for each in spent:
                usage = each.usage
                tokens += usage.prompt_tokens + usage.completion_tokens
                cost += each.cost or 0
            used = (0, 0, tokens, cost, tokens)
            now = time.time()
            for counter, code in counters.held:
                if counter.settle(amounts[code], used[code], now):
                    self._alert(counter)
            if reservation.turns:
                for counter, turn in zip(counters.rates, reservation.turns, strict=True):
                    counter.settle(amounts[TOKENS], tokens, now, turn)
        if reservation.at_providers:
            self._settle_at_providers(reservation, spent)

    def _settle_at_providers(self, reservation: Reservation, spent: Sequence[Charge]) -> None:
        seen: set[tuple[int, str]] = set()
        for counter, code, taken, name in reservation.at_providers:
            used = 0
            if (id(counter), name) not in seen:  # asked twice: what was used counts once
                seen.add((id(counter), name))
                of_it = [each for each in spent if each.provider == name]
                used = sum((each.cost or 0) if code == MONEY else each.usage.total_tokens for each in of_it)
            if counter.settle(taken, used, 0.0):
                self._alert(counter)
        reservation.at_providers = []

    def _alert(self, counter: Counter) -> None:
        """Warn, once at the mark and once when nothing is left."""
        if not isinstance(counter, BudgetCounter):
            return
        rule = counter.ring()
        if rule is not None and rule.budget is not None and self._warn is not None:
            self._warn(Spending(rule.counter_key, rule.budget, counter.spent, counter.reserved, counter.ends))

    def spendings(self) -> list[Spending]:
        """The budgets that were looked at since the start, in their present periods."""
        found, now = [], time.time()
        for counter_key, (counter, ends) in self._meters.items():
            if isinstance(counter, BudgetCounter) and now < ends and counter.rule is not None:
                budget = counter.rule.budget
                if budget is not None:
                    found.append(Spending(counter_key, budget, counter.spent, counter.reserved))
        return found


def _take(counters: Sequence[Coded], amounts: Amounts, rules: Sequence[CounterRule], now: float) -> None:
    """Take from all of ``counters``, or from none."""
    at = 0
    try:
        for counter, code in counters:
            wait = counter.take(amounts[code], now)
            if wait:
                raise (
                    RefillNeededError(counter, amounts[code])
                    if wait == NEEDS_REFILL
                    else exhausted(rules[at], wait)
                )
            at += 1
    except (GatewayError, RefillNeededError):
        for counter, code in counters[:at]:
            counter.settle(amounts[code], 0, now)
        raise


def _check_access(
    key: ApiKey, model: str, candidates: Sequence[PolicyCandidate], reservation: Reservation
) -> None:
    """Bar what the key may not use. Raises CallerError if nothing is left."""
    barred = {
        each.key
        for each in candidates
        if not (key.may_ask(each.provider.name) and key.may_use(_names(model, each)))
    }
    reservation.barred = barred
    if len(barred) == len(candidates):
        raise CallerError(f"This key may not use model '{model}'", MODEL_NOT_ALLOWED, param="model")
    reservation.defaults = key.defaults


def _names(model: str, candidate: PolicyCandidate) -> tuple[str, ...]:
    """What rules may call a model: as it was asked for, and as it is called where it is."""
    return model, candidate.model, f"{candidate.provider.name}/{candidate.model}"
