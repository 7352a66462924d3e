"""The guard: checks access, limits and budgets before a request, and settles them after it.

``admit`` takes from every counter that a request is under, or from none. ``reserve_at_provider`` does so for
the budgets of the provider that is about to be asked. ``settle`` always gives back what was not used. Amounts
are estimated before a request (the prompt's tokens, the bound on the answer) and known after it (the
upstream's usage, its price).
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

import msgspec

from trunkline.dialects.base import RequestSummary
from trunkline.errors import (
    MODEL_NOT_ALLOWED,
    NO_PRICE,
    CallerError,
    GatewayError,
)
from trunkline.model import MOST_TOKENS, Operation
from trunkline.policy.auth import ApiKey, model_names
from trunkline.policy.counters import NEEDS_REFILL, BudgetCounter, ConcurrencyCounter, Counter, RateCounter
from trunkline.policy.estimates import estimate_prompt_tokens
from trunkline.policy.prices import PriceBook, PricedProvider, Rates
from trunkline.policy.reservations import (
    AMOUNT_INDEX,
    MONEY,
    TOKENS,
    Amounts,
    Charge,
    CounterPlan,
    IndexedCounter,
    PlanCounters,
    ProviderTake,
    Reservation,
    limit_error,
)
from trunkline.policy.rules import RATE_PERIODS, Budget, Caller, CounterKey, CounterRule, Rulebook

_MAX_PLANS: Final = 10_000
NEARLY_USED_UP: Final = 100
"""A budget of which less than this part is left is called used up where not even a prompt fits."""
_LOOK: Final[Amounts] = (1, 1, 0, 1, 1)
"""What is taken for a request that costs nothing."""
_T = TypeVar("_T")


class PolicyCandidate(Protocol):
    """A candidate, as far as policy looks at it."""

    @property
    def provider(self) -> PricedProvider: ...
    @property
    def model(self) -> str: ...
    @property
    def key(self) -> str: ...


class GuardedRequest(msgspec.Struct, frozen=True, gc=False):
    """What a guard needs to know of a request."""

    key: ApiKey | None
    """The caller's key; None where keys are not required."""
    summary: RequestSummary
    operation: Operation
    model: str
    """The model's name as the client wrote it."""
    body: bytes
    candidates: Sequence[PolicyCandidate]
    """Where the request may be sent."""


class Refill(NamedTuple):
    """A counter that must be refilled before it can answer, and the amount that was to be taken of it."""

    counter: Counter
    amount: int


class PendingRefill(Generic[_T]):
    """An answer of the guard that depends on a counter's refill. Nothing was taken yet."""

    __slots__ = ("_ask_again", "_refill")

    def __init__(self, refill: Refill, ask_again: Callable[[], _T | PendingRefill[_T]]) -> None:
        """
        Args:
            refill: the refill to wait for.
            ask_again: asks the guard the same question once more.
        """
        self._refill = refill
        self._ask_again = ask_again

    async def wait(self) -> _T:
        """Refill the counter and ask again, until there is an answer.

        Raises:
            CallerError: as the guard's method that was asked.
            GatewayError: what was spent before cannot be read.
        """
        pending = self
        while True:
            counter, amount = pending._refill
            await asyncio.ensure_future(counter.refill(amount))
            answer = pending._ask_again()
            if not isinstance(answer, PendingRefill):
                return answer
            pending = answer


class Spending(NamedTuple):
    """What is spent of a budget, for warnings and listings."""

    counter_key: CounterKey
    budget: Budget
    spent: int
    reserved: int
    ends: float = math.inf
    """When its period ends."""


MakeCounter = Callable[[CounterRule, float], Counter]
"""Makes the counter of a rule at a time."""


class Guard:
    """The limits and budgets of one gateway, and what is left of them."""

    def __init__(
        self,
        prices: PriceBook,
        *,
        make_counter: MakeCounter | None = None,
        read_spent: Callable[[CounterKey, int], Awaitable[int]] | None = None,
        find_period: Callable[[str, float], tuple[int, float]] | None = None,
        on_warning: Callable[[Spending], None] | None = None,
        max_tokens: int = 4096,
    ) -> None:
        """
        Args:
            prices: what models cost.
            make_counter: makes counters; by default they count in memory.
            read_spent: reads from the ledger what a budget's subject has spent since a time.
            find_period: says when the period of a time began, and when it ends.
            on_warning: called when a budget has reached its warning threshold, and when it is used up.
            max_tokens: the bound on the answer of a request without one, under a hard budget.
        """
        self.prices = prices
        self.max_tokens = max_tokens
        self.rules = Rulebook()
        self.applies_to_all = False
        """Whether limits or budgets may concern a request whatever its key is."""
        self._make_counter = make_counter or self.make_local_counter
        self._read_spent = read_spent
        self._find_period = find_period or (lambda per, now: (0, math.inf))
        self._on_warning = on_warning
        self._counters: dict[CounterKey, tuple[Counter, float]] = {}
        """The counters, and when the period of each ends."""
        self._plans: dict[tuple[str | None, str], tuple[Sequence[PolicyCandidate], CounterPlan | None]] = {}
        """The plans by key and model, with the candidates that each was made for: a changed catalog leads to
        other candidates."""

    def reconfigure(self, rules: Rulebook, prices: PriceBook, max_tokens: int) -> None:
        """Use other rules and prices. What was counted stays counted."""
        self.rules = rules
        self.applies_to_all = not rules.is_empty or rules.has_provider_budgets
        self.prices = prices
        self.max_tokens = max_tokens
        self._plans.clear()
        for counter, _ in self._counters.values():
            if (
                isinstance(counter, BudgetCounter)
                and counter.rule is not None
                and not rules.still_counts(counter.rule)
            ):
                counter.invalidate()

    def make_local_counter(self, rule: CounterRule, now: float) -> Counter:
        """Make a counter that counts in this process."""
        counter_key, amount, budget = rule
        if budget is None:
            if counter_key.quantity == "slots":
                return ConcurrencyCounter(amount)
            per_s = RATE_PERIODS[counter_key.per]
            return RateCounter(amount, per_s, refunds=counter_key.quantity != "requests")
        begin, ends = self._find_period(counter_key.per, now)
        load = None
        if self._read_spent is not None:
            load = partial(self._read_spent, counter_key, begin)
        return BudgetCounter(amount, ends, hard=budget.hard, load=load)

    # Before a request

    def admit(self, request: GuardedRequest) -> Reservation | PendingRefill[Reservation | None] | None:
        """Take what a request needs from all of its counters.

        Returns:
            None if the request is under no rule. A pending refill if a counter must learn something first.

        Raises:
            CallerError: 403, the key may not use this; 429, a limit or budget is used up.
        """
        key, rules = request.key, self.rules
        restricted = key is not None and key.restricted
        plan = None
        if not rules.is_empty:
            plan_key = None if key is None else key.id, request.model
            known = self._plans.get(plan_key)
            if known is not None and known[0] is request.candidates:
                plan = known[1]
            else:
                plan = self._make_plan(plan_key, key, request.candidates)
        if plan is None and not restricted and not rules.has_provider_budgets:
            return None
        reservation = Reservation()
        if key is not None and restricted:
            _check_access(key, request.model, request.candidates, reservation)
        if plan is None and not rules.has_provider_budgets:
            return reservation
        if request.operation == "other":
            reservation.countable = False
        else:
            reservation.prompt_tokens = estimate_prompt_tokens(request.body)
            reservation.completion_tokens = self._max_completion(reservation, plan, request)
        reservation.other_models = request.summary.other_models
        if plan is not None:
            refill = self._take_plan(reservation, plan, request)
            if refill is not None:
                return PendingRefill(refill, partial(self.admit, request))
        return reservation

    def admit_look(self, key: ApiKey | None) -> Reservation | PendingRefill[Reservation | None] | None:
        """Take one request from the counters of a key, for what asks upstreams and costs nothing. Of each
        budget there must be something left.

        Returns:
            None if the request is under no rule. A pending refill if a counter must learn something first.

        Raises:
            CallerError: 429, a limit or budget is used up.
        """
        if self.rules.is_empty:
            return None
        plan_key = None if key is None else key.id, ""
        known = self._plans.get(plan_key)
        plan = known[1] if known is not None else self._make_plan(plan_key, key, ())
        if plan is None:
            return None
        now = time.time()
        if now >= plan.ends:
            self._renew(plan, now)
        reservation = Reservation(counters=plan.counters)
        try:
            refill = _take(plan.counters.all, _LOOK, plan.rules, now)
        except _Refusal as refusal:
            error = refusal.error(1)
            error.lines = reservation.header_lines()
            raise error from None
        if refill is not None:
            return PendingRefill(refill, partial(self.admit_look, key))
        reservation.amounts = _LOOK
        return reservation

    def _make_plan(
        self, plan_key: tuple[str | None, str], key: ApiKey | None, candidates: Sequence[PolicyCandidate]
    ) -> CounterPlan | None:
        """``plan_key`` names the key and the model; the model is empty where a request is for none."""
        if len(self._plans) > _MAX_PLANS:
            self._plans.clear()
        caller = Caller()
        if key is not None:
            caller = Caller(key.id, key.name, key.team_id or "", key.team_name or "")
        names = {
            name
            for candidate in candidates
            for name in model_names(plan_key[1], candidate.provider.name, candidate.model)
        }
        rules = self.rules.rules_for(caller, [name.lower() for name in names])
        plan = CounterPlan(rules) if rules else None
        if plan is not None and plan.money:
            rates = [self.prices.rates(candidate.provider, candidate.model) for candidate in candidates]
            plan.rates = [each for each in rates if each is not None] if None not in rates else ()
        self._plans[plan_key] = candidates, plan
        return plan

    def _take_plan(
        self, reservation: Reservation, plan: CounterPlan, request: GuardedRequest
    ) -> Refill | None:
        """Take from all counters of the plan, or from none if one must be refilled or refuses."""
        now = time.time()
        if now >= plan.ends:
            self._renew(plan, now)
        counters = reservation.counters = plan.counters
        prompt = reservation.prompt_tokens
        both = prompt + reservation.completion_tokens
        money = self._max_cost(reservation, plan, request.candidates) if plan.money else 0
        rate_tokens = both if request.summary.max_tokens else prompt  # the request bounds its answer itself
        amounts = (1, 1, rate_tokens, money, both)
        try:
            refill = _take(counters.all, amounts, plan.rules, now)
        except _Refusal as refusal:
            least = 0
            if reservation.countable:
                reservation.completion_tokens = min(1, reservation.completion_tokens)
                money = self._max_cost(reservation, plan, request.candidates) if plan.money else 0
                least = (1, 1, prompt, money, prompt + reservation.completion_tokens)[refusal.index]
            error = refusal.error(least)
            error.lines = (
                reservation.header_lines()
            )  # there is no reservation, but the caller learns what is left
            raise error from None
        if refill is not None:
            return refill
        reservation.amounts = amounts
        if counters.token_rates:
            reservation.take_numbers = [rate.take_number for rate in counters.token_rates]
        return None

    def _renew(self, plan: CounterPlan, now: float) -> None:
        """Look up the plan's counters for the periods of ``now``."""
        plan.counters = PlanCounters(
            [(self._counter(rule, now), AMOUNT_INDEX[rule.counter_key.quantity]) for rule in plan.rules]
        )
        plan.ends = min(self._counters[rule.counter_key][1] for rule in plan.rules)

    def _max_completion(
        self, reservation: Reservation, plan: CounterPlan | None, request: GuardedRequest
    ) -> int:
        """The maximum number of tokens of the answers.

        Under a hard budget, a request without a bound gets one among its defaults.
        """
        if request.operation == "embeddings":
            return 0
        summary = request.summary
        bound = summary.max_tokens
        if bound is None:
            bound = self.max_tokens
            if (plan is not None and plan.bounded) or self.rules.has_provider_budgets:
                reservation.defaults = msgspec.structs.replace(reservation.defaults, max_tokens=bound)
        return min(bound if summary.n <= 1 else bound * summary.n, MOST_TOKENS)

    def _max_cost(
        self, reservation: Reservation, plan: CounterPlan, candidates: Sequence[PolicyCandidate]
    ) -> int:
        """The maximum cost of the request in micros, at whichever candidate.

        Under a hard budget, candidates without a price are barred.
        """
        prompt, completion = reservation.prompt_tokens, reservation.completion_tokens
        others = reservation.other_models
        if plan.rates and reservation.countable and not reservation.barred and not others:
            return max([rates.max_cost(prompt, completion) for rates in plan.rates])
        max_cost = -1
        barred: list[str] = []
        for candidate in candidates:
            if candidate.key in reservation.barred:
                continue
            names = (candidate.model, *others)
            rates = [self._rates(reservation, candidate.provider, name) for name in names]
            costs = [each.max_cost(prompt, completion) for each in rates if each is not None]
            if len(costs) < len(names):
                barred.append(candidate.key)
            else:
                max_cost = max(max_cost, *costs)
        if barred and plan.hard_money:
            if max_cost < 0:
                raise CallerError(
                    "This model has no known price, and the budget is a hard one; give it a price in the "
                    "section `prices` of trunkline.yaml",
                    NO_PRICE,
                    param="model",
                )
            reservation.barred = reservation.barred | {*barred}
        return max(0, max_cost)

    def _rates(self, reservation: Reservation, provider: PricedProvider, model: str) -> Rates | None:
        return self.prices.request_rates(provider, model, countable=reservation.countable)

    def _counter(self, rule: CounterRule, now: float) -> Counter:
        """The counter of a rule, for the period of ``now``."""
        found = self._counters.get(rule.counter_key)
        if found is not None and now < found[1]:
            counter = found[0]
            counter.limit = rule.amount
        else:
            ends = math.inf if rule.budget is None else self._find_period(rule.counter_key.per, now)[1]
            counter = self._make_counter(rule, now)
            self._counters[rule.counter_key] = counter, ends
        if isinstance(counter, BudgetCounter) and rule.budget is not None:
            counter.hard = rule.budget.hard
            counter.set_rule(rule, rule.budget.warn_at)
        return counter

    # At a provider

    def reserve_at_provider(
        self, reservation: Reservation, provider: PricedProvider, model: str
    ) -> GatewayError | PendingRefill[GatewayError | None] | None:
        """Take from the budgets of the provider that is about to be asked.

        Args:
            reservation: the request's reservation, which remembers what is taken.
            provider: the provider.
            model: the model's name there.

        Returns:
            None if it may be asked, and otherwise the reason why not. A pending refill if a counter must
            learn something first.
        """
        rules = self.rules.rules_for_provider(provider.name)
        if not rules:
            return None
        names = (model, *reservation.other_models)
        rates = [self._rates(reservation, provider, name) for name in names]
        budgets = [rule.budget for rule in rules if rule.budget is not None]
        if None in rates and any(budget.hard and budget.unit == "usd" for budget in budgets):
            text = f"Model '{model}' of provider '{provider.name}', which has a budget, has no known price"
            return CallerError(text, NO_PRICE, param="model", provider=provider.name)
        prompt, completion = reservation.prompt_tokens, reservation.completion_tokens
        money = max([0 if each is None else each.max_cost(prompt, completion) for each in rates])
        amounts = (1, 1, prompt + completion, money, prompt + completion)
        now = time.time()
        counters = [(self._counter(rule, now), AMOUNT_INDEX[rule.counter_key.quantity]) for rule in rules]
        try:
            refill = _take(counters, amounts, rules, now)
        except _Refusal as refusal:
            least = prompt if reservation.countable else 0
            if refusal.index == MONEY:
                own = rates[0]
                least = 0 if own is None or not least else own.max_cost(prompt, min(1, completion))
            error = refusal.error(least)
            error.provider = provider.name
            return error
        if refill is not None:
            return PendingRefill(refill, partial(self.reserve_at_provider, reservation, provider, model))
        reservation.at_providers += [
            ProviderTake(counter, index, amounts[index], provider.name) for counter, index in counters
        ]
        return None

    # After a request

    def settle(self, reservation: Reservation, charges: Sequence[Charge]) -> None:
        """Give back what was not used; ``charges`` has what each of the attempts used."""
        amounts, counters = reservation.amounts, reservation.counters
        if amounts is not None and counters is not None:
            reservation.amounts = None
            tokens = cost = 0
            for charge in charges:
                usage = charge.usage
                tokens += usage.prompt_tokens + usage.completion_tokens
                cost += charge.cost or 0
            used = (0, 0, tokens, cost, tokens)
            now = time.time()
            for counter, index in counters.held:
                if counter.settle(amounts[index], used[index], now):
                    self._warn(counter)
            if reservation.take_numbers:
                for counter, number in zip(counters.token_rates, reservation.take_numbers, strict=True):
                    counter.settle(amounts[TOKENS], tokens, now, number)
        if reservation.at_providers:
            self._settle_at_providers(reservation, charges)

    def _settle_at_providers(self, reservation: Reservation, charges: Sequence[Charge]) -> None:
        settled: set[tuple[int, str]] = set()
        for counter, index, taken, provider in reservation.at_providers:
            used = 0
            if (id(counter), provider) not in settled:  # a provider asked twice is charged for its usage once
                settled.add((id(counter), provider))
                own = [charge for charge in charges if charge.provider == provider]
                used = sum((each.cost or 0) if index == MONEY else each.usage.total_tokens for each in own)
            if counter.settle(taken, used, 0.0):
                self._warn(counter)
        reservation.at_providers = []

    def _warn(self, counter: Counter) -> None:
        """Warn of a budget: once at its threshold, and once when nothing is left."""
        if not isinstance(counter, BudgetCounter):
            return
        rule = counter.advance_warning()
        if rule is not None and rule.budget is not None and self._on_warning is not None:
            self._on_warning(
                Spending(rule.counter_key, rule.budget, counter.spent, counter.reserved, counter.ends)
            )

    def spendings(self) -> list[Spending]:
        """What is spent of the budgets that were used since the start, in their present periods."""
        found, now = [], time.time()
        for counter_key, (counter, ends) in self._counters.items():
            if isinstance(counter, BudgetCounter) and now < ends and counter.rule is not None:
                budget = counter.rule.budget
                if budget is not None:
                    found.append(Spending(counter_key, budget, counter.spent, counter.reserved))
        return found


class _Refusal(Exception):  # noqa: N818 - it becomes an error only when it is known what would be granted
    """A counter does not have what a request needs."""

    def __init__(self, rule: CounterRule, counter: Counter, index: int, needed: int, wait: float) -> None:
        super().__init__()
        self._rule, self._counter = rule, counter
        self.index = index
        self._needed, self._wait = needed, wait

    def error(self, least: int) -> CallerError:
        """The error for the caller.

        A budget counts as used up also where less than a hundredth of it is left and the prompt alone needs
        more.

        Args:
            least: what the request would need with the shortest answer.
        """
        counter = self._counter
        if self._rule.budget is None or not isinstance(counter, BudgetCounter):
            return limit_error(self._rule, self._wait)
        left = counter.limit - counter.spent
        if left <= 0 or (least > left and left * NEARLY_USED_UP < counter.limit):
            return limit_error(self._rule, self._wait)
        return limit_error(self._rule, self._wait, self._needed, left)


def _take(
    counters: Sequence[IndexedCounter], amounts: Amounts, rules: Sequence[CounterRule], now: float
) -> Refill | None:
    """Take from all of ``counters``, or from none.

    Returns:
        None if all was taken; otherwise the refill that is needed first.

    Raises:
        _Refusal: a limit or budget does not have enough.
    """
    taken = 0
    try:
        for counter, index in counters:
            wait = counter.take(amounts[index], now)
            if wait:
                if wait != NEEDS_REFILL:
                    raise _Refusal(rules[taken], counter, index, amounts[index], wait)
                _give_back(counters[:taken], amounts, now)
                return Refill(counter, amounts[index])
            taken += 1
    except (GatewayError, _Refusal):
        _give_back(counters[:taken], amounts, now)
        raise
    return None


def _give_back(counters: Sequence[IndexedCounter], amounts: Amounts, now: float) -> None:
    for counter, index in counters:
        counter.settle(amounts[index], 0, now)


def _check_access(
    key: ApiKey, model: str, candidates: Sequence[PolicyCandidate], reservation: Reservation
) -> None:
    """Bar the candidates that the key may not use, and add the key's defaults.

    Raises:
        CallerError: 403, no candidate is left.
    """
    barred = {
        candidate.key
        for candidate in candidates
        if not key.may_ask(model, candidate.provider.name, candidate.model)
    }
    reservation.barred = barred
    if len(barred) == len(candidates):
        raise CallerError(f"This key may not use model '{model}'", MODEL_NOT_ALLOWED, param="model")
    reservation.defaults = key.defaults
