"""What a request must get past after its key: rules of access, limits and budgets; and what it leaves behind.

``admit`` takes from every meter that a request is under, or from none; ``enter`` does so for the provider
that is about to be asked; ``settle`` gives back what was not used, always. Amounts are known before (an
estimate of the prompt, the bound on the answer) and after (the upstream's count, its price).
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, NamedTuple, Protocol

import msgspec

from trunkline.dialects.base import NO_FILLS, Fills, Peek
from trunkline.errors import (
    BUDGET_EXCEEDED,
    LIMITED,
    MODEL_NOT_ALLOWED,
    NO_PRICE,
    CallerError,
    GatewayError,
)
from trunkline.model import Operation, Usage
from trunkline.policy.auth import ApiKey
from trunkline.policy.estimates import prompt_tokens
from trunkline.policy.meters import ASK, GRANTED, Meter, Purse, Rate, Slots
from trunkline.policy.prices import PriceBook, Priced, Rates
from trunkline.policy.rules import DAY, MINUTE, BudgetRule, Caller, Mark, Marked, Rulebook

_PERIODS: Final = {"minute": MINUTE, "day": DAY}
_MOST_PLANS: Final = 10_000


class Candidate(Protocol):
    """One place where the request may be sent, as far as policy looks at it."""

    @property
    def provider(self) -> Priced: ...
    @property
    def model(self) -> str: ...
    @property
    def key(self) -> str: ...


class Spending(NamedTuple):
    """What a budget is at: for warnings and listings."""

    mark: Mark
    rule: BudgetRule
    spent: int
    reserved: int


class _Held(NamedTuple):
    """Something that was taken from a meter."""

    meter: Meter
    mark: Mark
    taken: int


class _Plan(NamedTuple):
    """What one key's requests for one model are under."""

    marks: Sequence[Marked]
    money: bool
    """A budget of money is among them."""
    hard_money: bool
    bounded: bool
    """A hard budget is among them: an answer needs a bound."""


class Ticket:
    """What one request has taken, until it is settled."""

    __slots__ = ("barred", "completion", "fills", "held", "plan", "prompt", "shown")

    def __init__(self, plan: _Plan | None, prompt: int = 0, completion: int = 0) -> None:
        self.plan = plan
        self.prompt = prompt
        """Tokens that the prompt was estimated to have."""
        self.completion = completion
        """Tokens that the answer may have."""
        self.held: list[_Held] = []
        self.barred: set[str] = set()
        """Candidates that must not be asked."""
        self.fills: Fills = NO_FILLS
        """What policy adds to the request."""
        self.shown: list[_Held] = []
        """Limits that the answer's headers tell of."""

    def lines(self) -> bytes:
        """The ``x-ratelimit-*`` headers, as OpenAI has them."""
        now, found = time.time(), b""
        for what in ("requests", "tokens"):
            lefts = [each.meter.left(now) for each in self.shown if each.mark.what == what]
            if lefts:
                left = min(lefts, key=lambda each: each.remaining / each.limit)
                found += (
                    f"x-ratelimit-limit-{what}: {left.limit}\r\n"
                    f"x-ratelimit-remaining-{what}: {left.remaining}\r\n"
                    f"x-ratelimit-reset-{what}: {duration(left.reset_s)}\r\n"
                ).encode()
        return found


MakeMeter = Callable[[Marked, float], Meter]
"""Makes the meter of a mark at a time."""


class Guard:
    """The limits and budgets of one gateway, and what is left of them."""

    def __init__(
        self,
        prices: PriceBook,
        *,
        make: MakeMeter | None = None,
        spent: Callable[[Mark, int], Awaitable[int]] | None = None,
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
        self._make = make or self.make_local
        self._spent = spent
        self._period = period or (lambda per, now: (0, math.inf))
        self._warn = warn
        self._meters: dict[Mark, tuple[Meter, float]] = {}
        """And when its period ends."""
        self._plans: dict[tuple[str, str], _Plan | None] = {}

    def configure(self, rules: Rulebook, prices: PriceBook, max_tokens: int) -> None:
        """Take other rules and prices. What was counted stays counted."""
        self.rules = rules
        self.prices = prices
        self.max_tokens = max_tokens
        self._plans.clear()

    def make_local(self, marked: Marked, now: float) -> Meter:
        """A meter that counts in this process."""
        mark, amount, budget = marked
        if budget is None:
            return Slots(amount) if mark.what == "slots" else Rate(amount, _PERIODS[mark.per])
        begin, ends = self._period(mark.per, now)
        load = None
        if self._spent is not None:
            spent = self._spent

            async def load() -> int:
                return await spent(mark, begin)

        return Purse(amount, ends, hard=budget.hard, load=load)

    # Before

    async def admit(
        self,
        key: ApiKey | None,
        peek: Peek,
        operation: Operation,
        model: str,
        body: bytes,
        candidates: Sequence[Candidate],
    ) -> Ticket | None:
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
        """
        plan = None if self.rules.is_empty else self._plan(key, model, candidates)
        restricted = key is not None and key.is_restricted
        if plan is None and not restricted and not self.rules.guards_providers:
            return None
        ticket = Ticket(plan)
        if key is not None and restricted:
            _check_access(key, model, candidates, ticket)
        if plan is None and not self.rules.guards_providers:
            return ticket
        ticket.prompt = prompt_tokens(body)
        ticket.completion = self._completion(ticket, plan, peek, operation)
        if plan is not None:
            money = self._most(ticket, plan, candidates) if plan.money else 0
            amounts = {
                "slots": 1,
                "requests": 1,
                "tokens": ticket.prompt + (ticket.completion if peek.max_tokens else 0),
                "usd": money,
                "used": ticket.prompt + ticket.completion,
            }
            await self._take(ticket, plan.marks, amounts, time.time())
        return ticket

    def _plan(self, key: ApiKey | None, model: str, candidates: Sequence[Candidate]) -> _Plan | None:
        place = "" if key is None else key.id, model
        if place in self._plans:
            return self._plans[place]
        if len(self._plans) > _MOST_PLANS:
            self._plans.clear()
        caller = Caller()
        if key is not None:
            caller = Caller(key.id, key.name, key.team_id or "", key.team_name or "")
        names = {name for each in candidates for name in _names(model, each)}
        marks = self.rules.of(caller, [name.lower() for name in names])
        budgets = [marked.budget for marked in marks if marked.budget is not None]
        plan = None
        if marks:
            plan = _Plan(
                marks,
                any(budget.unit == "usd" for budget in budgets),
                any(budget.unit == "usd" and budget.hard for budget in budgets),
                any(budget.hard for budget in budgets),
            )
        self._plans[place] = plan
        return plan

    def _completion(self, ticket: Ticket, plan: _Plan | None, peek: Peek, operation: Operation) -> int:
        """Tokens that the answers may have at most; the bound goes with the request where it has none."""
        if operation == "embeddings":
            return 0
        bound = peek.max_tokens
        if bound is None:
            bound = self.max_tokens
            if (plan is not None and plan.bounded) or self.rules.guards_providers:
                ticket.fills = msgspec.structs.replace(ticket.fills, max_tokens=bound)
        return bound * max(1, peek.n)

    def _most(self, ticket: Ticket, plan: _Plan, candidates: Iterable[Candidate]) -> int:
        """Micros that the request costs at most, wherever it goes; places without a price are barred under a
        hard budget."""
        most, seen, priced = 0, set(), False
        for each in candidates:
            if each.key in ticket.barred:
                continue
            rates = self.prices.rates(each.provider, each.model)
            if rates is None:
                if plan.hard_money:
                    ticket.barred.add(each.key)
                continue
            priced = True
            if rates not in seen:
                seen.add(rates)
                most = max(most, rates.most(ticket.prompt, ticket.completion))
        if plan.hard_money and not priced:
            raise CallerError(
                "This model has no known price, and the budget is a hard one; give it a price in the section "
                "`prices` of trunkline.yaml",
                NO_PRICE,
                param="model",
            )
        return most

    async def _take(
        self, ticket: Ticket, marks: Iterable[Marked], amounts: dict[str, int], now: float
    ) -> None:
        try:
            for marked in marks:
                mark = marked.mark
                meter = self.meter(marked, now)
                amount = amounts[mark.what]
                wait = meter.take(amount, now)
                while wait == ASK:
                    await asyncio.ensure_future(meter.refill(amount))
                    wait = meter.take(amount, now)
                if wait != GRANTED:
                    raise _exhausted(marked, meter, wait, now)
                held = _Held(meter, mark, amount)
                ticket.held.append(held)
                if mark.what == "requests" or mark.what == "tokens":
                    ticket.shown.append(held)
        except BaseException:
            self.release(ticket)
            raise

    def meter(self, marked: Marked, now: float) -> Meter:
        """The meter of a mark, for the period of ``now``."""
        found = self._meters.get(marked.mark)
        if found is not None and now < found[1]:
            meter = found[0]
            if meter.limit != marked.amount:
                meter.limit = marked.amount
            return meter
        ends = math.inf if marked.budget is None else self._period(marked.mark.per, now)[1]
        meter = self._make(marked, now)
        self._meters[marked.mark] = meter, ends
        return meter

    # At the provider

    async def enter(self, ticket: Ticket, provider: Priced, model: str) -> GatewayError | None:
        """Take from the budgets of the provider that is about to be asked; why it cannot be, if so."""
        marks = self.rules.of_provider(provider.name)
        if not marks:
            return None
        rates = self.prices.rates(provider, model)
        if rates is None and any(marked.budget and marked.budget.unit == "usd" for marked in marks):
            text = f"Model '{model}' of provider '{provider.name}', which has a budget, has no known price"
            return CallerError(text, NO_PRICE, param="model", provider=provider.name)
        taken = Ticket(None)
        money = 0 if rates is None else rates.most(ticket.prompt, ticket.completion)
        amounts = {"usd": money, "used": ticket.prompt + ticket.completion}
        try:
            await self._take(taken, marks, amounts, time.time())
        except GatewayError as error:
            error.provider = provider.name
            return error
        ticket.held += taken.held
        return None

    # After

    def rates_of(self, provider: Priced, model: str) -> Rates | None:
        """What the model costs there."""
        return self.prices.rates(provider, model)

    def settle(self, ticket: Ticket, usages: Sequence[tuple[str, Usage, int | None]]) -> None:
        """Give back what was not used.

        Args:
            usages: of each attempt that used anything: provider, tokens, micros (None: unknown).
        """
        now = time.time()
        for meter, mark, taken in ticket.held:
            used = taken
            if mark.what != "requests":
                used = 0
                for provider, usage, cost in usages:
                    if mark.scope == "provider" and mark.subject != provider:
                        continue
                    if mark.what == "usd":
                        used += cost or 0
                    elif mark.what != "slots":
                        used += usage.total_tokens
            meter.settle(taken, used, now)
            if self._warn is not None and used and (mark.what == "usd" or mark.what == "used"):
                self._look(mark, meter)
        ticket.held.clear()

    def release(self, ticket: Ticket) -> None:
        """Give everything back."""
        now = time.time()
        for meter, _, taken in ticket.held:
            meter.settle(taken, 0, now)
        ticket.held.clear()

    def _look(self, mark: Mark, meter: Meter) -> None:
        """Warn, once at the mark and once when nothing is left."""
        if not isinstance(meter, Purse) or self._warn is None:
            return
        share = meter.spent / meter.limit
        rule = self._rule(mark)
        if rule is None:
            return
        for step in (1.0, rule.warn_at):
            if share >= step:
                if meter.warned < step:
                    meter.warned = step
                    self._warn(Spending(mark, rule, meter.spent, meter.reserved))
                return

    def _rule(self, mark: Mark) -> BudgetRule | None:
        unit = "usd" if mark.what == "usd" else "tokens"
        found = None
        for rule in self.rules.all_budgets():
            if rule.scope == mark.scope and rule.unit == unit and rule.per == mark.per:
                found = rule if found is None or rule.subject == mark.subject else found
        return found

    def spendings(self) -> list[Spending]:
        """The budgets that were looked at since the start, in their present periods."""
        found, now = [], time.time()
        for mark, (meter, ends) in self._meters.items():
            if isinstance(meter, Purse) and now < ends and (rule := self._rule(mark)) is not None:
                found.append(Spending(mark, rule, meter.spent, meter.reserved))
        return found


def _check_access(key: ApiKey, model: str, candidates: Sequence[Candidate], ticket: Ticket) -> None:
    """Bar what the key may not use. Raises CallerError if nothing is left."""
    for each in candidates:
        if not (key.may_ask(each.provider.name) and key.may_use(_names(model, each))):
            ticket.barred.add(each.key)
    if len(ticket.barred) == len(candidates):
        raise CallerError(f"This key may not use model '{model}'", MODEL_NOT_ALLOWED, param="model")
    ticket.fills = key.fills


def _names(model: str, candidate: Candidate) -> tuple[str, ...]:
    """What rules may call a model: as it was asked for, and as it is called where it is."""
    return model, candidate.model, f"{candidate.provider.name}/{candidate.model}"


def _exhausted(marked: Marked, meter: Meter, wait: float, now: float) -> CallerError:
    """What a caller is told, without other people's names."""
    mark, amount, budget = marked
    whose = {"key": "this key", "team": "this key's team", "model": "this model"}.get(mark.scope)
    whose = whose or (f"provider '{mark.subject}'" if mark.scope == "provider" else "the gateway")
    if budget is None:
        if mark.what == "slots":
            text = f"Too many requests at once: {whose} may have {amount} under way"
        else:
            text = f"Rate limit of {whose}: {amount} {mark.what} per {mark.per}"
        text += f". Try again in {duration(wait)}."
        return CallerError(text, LIMITED, retry_after=wait, advice="true" if wait <= MINUTE else "false")
    shown = f"${amount / 1_000_000:g}" if budget.unit == "usd" else f"{amount} tokens"
    period = "in all" if budget.per == "total" else f"a {budget.per}"
    text = f"The budget of {whose} is used up: {shown} {period}"
    soon = wait <= MINUTE
    retry_after = None if math.isinf(wait) else wait
    return CallerError(text, BUDGET_EXCEEDED, retry_after=retry_after, advice="true" if soon else "false")


def duration(seconds: float) -> str:
    """As OpenAI writes them: 20ms, 1.5s, 6m0s, 2h0m0s."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    if seconds < 60:
        return f"{math.ceil(seconds * 100) / 100:g}s"
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s"
