"""What a request must get past after its key: rules of access, limits and budgets; and what it leaves behind.

``admit`` takes from every meter that a request is under, or from none; ``enter`` does so for the provider
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

from trunkline.dialects.base import Peek
from trunkline.errors import (
    LIMITED,
    MODEL_NOT_ALLOWED,
    NO_PRICE,
    CallerError,
    GatewayError,
)
from trunkline.model import MOST_TOKENS, Operation
from trunkline.policy.auth import ApiKey
from trunkline.policy.counters import ASK, Meter, Purse, Rate, Slots
from trunkline.policy.estimates import prompt_tokens
from trunkline.policy.prices import PriceBook, Priced
from trunkline.policy.reservations import (
    CODES,
    MONEY,
    TOKENS,
    Amounts,
    AskError,
    Coded,
    Meters,
    Plan,
    Spent,
    Ticket,
    exhausted,
)
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
    ends: float = math.inf
    """When its period does."""


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
        self._plans: dict[tuple[str | None, str], tuple[Sequence[Candidate], Plan | None]] = {}
        """By key and model, and the candidates that each was made for: a changed catalog has others."""

    def configure(self, rules: Rulebook, prices: PriceBook, max_tokens: int) -> None:
        """Take other rules and prices. What was counted stays counted."""
        self.rules = rules
        self.prices = prices
        self.max_tokens = max_tokens
        self._plans.clear()
        for meter, _ in self._meters.values():
            if isinstance(meter, Purse) and meter.marked is not None and not rules.goes_on(meter.marked):
                meter.forget()

    def make_local(self, marked: Marked, now: float) -> Meter:
        """A meter that counts in this process."""
        mark, amount, budget = marked
        if budget is None:
            if mark.what == "slots":
                return Slots(amount)
            return Rate(amount, _PERIODS[mark.per], refunds=mark.what != "requests")
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
        """Like :meth:`admit_now`, for when that raises AskError: waits until meters know enough."""
        while True:
            try:
                return self.admit_now(key, peek, operation, model, body, candidates)
            except AskError as ask:
                await asyncio.ensure_future(ask.meter.refill(ask.amount))

    def admit_now(
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
        ticket = Ticket()
        if key is not None and restricted:
            _check_access(key, model, candidates, ticket)
        if plan is None and not rules.guards_providers:
            return ticket
        if operation == "other":
            ticket.countable = False
        else:
            ticket.prompt = prompt_tokens(body)
            ticket.completion = self._completion(ticket, plan, peek, operation)
        if plan is not None:
            self._take_all(ticket, plan, candidates, bounded=bool(peek.max_tokens))
        return ticket

    def _plan(
        self, place: tuple[str | None, str], key: ApiKey | None, model: str, candidates: Sequence[Candidate]
    ) -> Plan | None:
        if len(self._plans) > _MOST_PLANS:
            self._plans.clear()
        caller = Caller()
        if key is not None:
            caller = Caller(key.id, key.name, key.team_id or "", key.team_name or "")
        names = {name for each in candidates for name in _names(model, each)}
        marks = self.rules.of(caller, [name.lower() for name in names])
        plan = Plan(marks) if marks else None
        if plan is not None and plan.money:
            rates = [self.prices.rates(each.provider, each.model) for each in candidates]
            plan.rates = [each for each in rates if each is not None] if None not in rates else ()
        self._plans[place] = candidates, plan
        return plan

    def _take_all(
        self, ticket: Ticket, plan: Plan, candidates: Sequence[Candidate], *, bounded: bool
    ) -> None:
        """Take what the plan asks for. ``bounded``: the request itself says how long its answer may be."""
        now = time.time()
        if now >= plan.ends:
            self._renew(plan, now)
        meters = ticket.meters = plan.meters
        prompt, both = ticket.prompt, ticket.prompt + ticket.completion
        money = self._most(ticket, plan, candidates) if plan.money else 0
        amounts = (1, 1, both if bounded else prompt, money, both)
        try:
            _take(meters.every, amounts, plan.marks, now)
        except CallerError as error:
            if error.status == LIMITED.status:  # the call gets no ticket, but is told what is left
                error.lines = ticket.lines()
            raise
        ticket.amounts = amounts
        if meters.rates:
            ticket.turns = [rate.turn for rate in meters.rates]

    def _renew(self, plan: Plan, now: float) -> None:
        """Look the plan's meters up for the periods of ``now``."""
        plan.meters = Meters([(self.meter(marked, now), CODES[marked.mark.what]) for marked in plan.marks])
        plan.ends = min(self._meters[marked.mark][1] for marked in plan.marks)

    def _completion(self, ticket: Ticket, plan: Plan | None, peek: Peek, operation: Operation) -> int:
        """Tokens that the answers may have at most; the bound goes with the request where it has none."""
        if operation == "embeddings":
            return 0
        bound = peek.max_tokens
        if bound is None:
            bound = self.max_tokens
            if (plan is not None and plan.bounded) or self.rules.guards_providers:
                ticket.fills = msgspec.structs.replace(ticket.fills, max_tokens=bound)
        return min(bound if peek.n <= 1 else bound * peek.n, MOST_TOKENS)

    def _most(self, ticket: Ticket, plan: Plan, candidates: Sequence[Candidate]) -> int:
        """Micros that the request costs at most, wherever it goes; places without a price are barred under a
        hard budget."""
        if plan.rates and ticket.countable and not ticket.barred:
            return max([rates.most(ticket.prompt, ticket.completion) for rates in plan.rates])
        most = -1
        barred: list[str] = []
        for each in candidates:
            if each.key in ticket.barred:
                continue
            rates = self.prices.rates_of(each.provider, each.model, countable=ticket.countable)
            if rates is None:
                barred.append(each.key)
            else:
                most = max(most, rates.most(ticket.prompt, ticket.completion))
        if barred and plan.hard_money:
            if most < 0:
                raise CallerError(
                    "This model has no known price, and the budget is a hard one; give it a price in the "
                    "section `prices` of trunkline.yaml",
                    NO_PRICE,
                    param="model",
                )
            ticket.barred = ticket.barred | {*barred}
        return max(0, most)

    def meter(self, marked: Marked, now: float) -> Meter:
        """The meter of a mark, for the period of ``now``."""
        found = self._meters.get(marked.mark)
        if found is not None and now < found[1]:
            meter = found[0]
            meter.limit = marked.amount
        else:
            ends = math.inf if marked.budget is None else self._period(marked.mark.per, now)[1]
            meter = self._make(marked, now)
            self._meters[marked.mark] = meter, ends
        if isinstance(meter, Purse) and marked.budget is not None:
            meter.hard = marked.budget.hard
            meter.watch(marked, marked.budget.warn_at)
        return meter

    # At the provider

    async def enter(self, ticket: Ticket, provider: Priced, model: str) -> GatewayError | None:
        """Take from the budgets of the provider that is about to be asked; why it cannot be, if so."""
        marks = self.rules.of_provider(provider.name)
        if not marks:
            return None
        rates = self.prices.rates_of(provider, model, countable=ticket.countable)
        budgets = [marked.budget for marked in marks if marked.budget is not None]
        if rates is None and any(budget.hard and budget.unit == "usd" for budget in budgets):
            text = f"Model '{model}' of provider '{provider.name}', which has a budget, has no known price"
            return CallerError(text, NO_PRICE, param="model", provider=provider.name)
        money = 0 if rates is None else rates.most(ticket.prompt, ticket.completion)
        both = ticket.prompt + ticket.completion
        while True:
            now = time.time()
            meters = [(self.meter(marked, now), CODES[marked.mark.what]) for marked in marks]
            amounts = (1, 1, both, money, both)
            try:
                _take(meters, amounts, marks, now)
            except AskError as ask:
                await asyncio.ensure_future(ask.meter.refill(ask.amount))
                continue
            except GatewayError as error:
                error.provider = provider.name
                return error
            ticket.at_providers += [(meter, code, amounts[code], provider.name) for meter, code in meters]
            return None

    # After

    def settle(self, ticket: Ticket, spent: Sequence[Spent]) -> None:
        """Give back what was not used; ``spent`` by each of the attempts."""
        amounts, meters = ticket.amounts, ticket.meters
        if amounts is not None and meters is not None:
            ticket.amounts = None
            tokens = cost = 0
            for each in spent:
                usage = each.usage
                tokens += usage.prompt_tokens + usage.completion_tokens
                cost += each.cost or 0
            used = (0, 0, tokens, cost, tokens)
            now = time.time()
            for meter, code in meters.held:
                if meter.settle(amounts[code], used[code], now):
                    self._alert(meter)
            if ticket.turns:
                for meter, turn in zip(meters.rates, ticket.turns, strict=True):
                    meter.settle(amounts[TOKENS], tokens, now, turn)
        if ticket.at_providers:
            self._settle_at_providers(ticket, spent)

    def _settle_at_providers(self, ticket: Ticket, spent: Sequence[Spent]) -> None:
        seen: set[tuple[int, str]] = set()
        for meter, code, taken, name in ticket.at_providers:
            used = 0
            if (id(meter), name) not in seen:  # asked twice: what was used counts once
                seen.add((id(meter), name))
                of_it = [each for each in spent if each.provider == name]
                used = sum((each.cost or 0) if code == MONEY else each.usage.total_tokens for each in of_it)
            if meter.settle(taken, used, 0.0):
                self._alert(meter)
        ticket.at_providers = []

    def _alert(self, meter: Meter) -> None:
        """Warn, once at the mark and once when nothing is left."""
        if not isinstance(meter, Purse):
            return
        marked = meter.ring()
        if marked is not None and marked.budget is not None and self._warn is not None:
            self._warn(Spending(marked.mark, marked.budget, meter.spent, meter.reserved, meter.ends))

    def spendings(self) -> list[Spending]:
        """The budgets that were looked at since the start, in their present periods."""
        found, now = [], time.time()
        for mark, (meter, ends) in self._meters.items():
            if isinstance(meter, Purse) and now < ends and meter.marked is not None:
                budget = meter.marked.budget
                if budget is not None:
                    found.append(Spending(mark, budget, meter.spent, meter.reserved))
        return found


def _take(meters: Sequence[Coded], amounts: Amounts, marks: Sequence[Marked], now: float) -> None:
    """Take from all of ``meters``, or from none."""
    at = 0
    try:
        for meter, code in meters:
            wait = meter.take(amounts[code], now)
            if wait:
                raise AskError(meter, amounts[code]) if wait == ASK else exhausted(marks[at], wait)
            at += 1
    except (GatewayError, AskError):
        for meter, code in meters[:at]:
            meter.settle(amounts[code], 0, now)
        raise


def _check_access(key: ApiKey, model: str, candidates: Sequence[Candidate], ticket: Ticket) -> None:
    """Bar what the key may not use. Raises CallerError if nothing is left."""
    barred = {
        each.key
        for each in candidates
        if not (key.may_ask(each.provider.name) and key.may_use(_names(model, each)))
    }
    ticket.barred = barred
    if len(barred) == len(candidates):
        raise CallerError(f"This key may not use model '{model}'", MODEL_NOT_ALLOWED, param="model")
    ticket.fills = key.fills


def _names(model: str, candidate: Candidate) -> tuple[str, ...]:
    """What rules may call a model: as it was asked for, and as it is called where it is."""
    return model, candidate.model, f"{candidate.provider.name}/{candidate.model}"
