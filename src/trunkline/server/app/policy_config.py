"""The guard's rules and prices, put together from the settings and the store; what was spent before this
process began to count; and the warnings of budgets that are nearly used up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import structlog

from trunkline.errors import LIMITS_AWAY, GatewayError
from trunkline.ledger.locate import StoreError
from trunkline.ledger.policies import MICROS, Policies
from trunkline.ledger.usage import period_end, period_start
from trunkline.policy.auth import configured_ids
from trunkline.policy.guard import Spending
from trunkline.policy.prices import PriceBook
from trunkline.policy.rules import Budget, CounterKey, Limit, Rulebook
from trunkline.server.app.webhook import INVALID_URL, WebhookError, post_json

if TYPE_CHECKING:
    from trunkline.ledger.policies import Period, Scope, StoredBudget, StoredLimit, Unit
    from trunkline.ledger.store import Store
    from trunkline.ledger.writer import Ledger
    from trunkline.server.app.wiring import Wiring
    from trunkline.settings import Settings
    from trunkline.settings.sections import BudgetRule, LimitRule

REPLAY_S: Final = 10.0
"""Seconds that a first look at a budget waits for usage that a killed process left in its journal."""

POST_PAUSES_S: Final = (5.0, 15.0, 60.0, 300.0, 1800.0)
"""Seconds after which a budget's webhook that has failed is called again, one for each further attempt."""

log: Final = structlog.stdlib.get_logger(__name__)


def rulebook(settings: Settings, stored: Policies) -> Rulebook:
    """All limits and budgets: the file's, then the store's, which win where both name the same subject."""
    limits = []
    ids = configured_ids(settings.api_keys)
    for rule in settings.limits:
        key = ids.get(rule.key or "", rule.key)
        scope, subject = _subject({"key": key, "team": rule.team, "model": rule.model})
        limits.append(_limit(scope, subject, rule))
    limits += [_limit(each.scope, each.subject, each) for each in stored.limits]
    budgets = []
    for budget in settings.budgets:
        key = ids.get(budget.key or "", budget.key)
        scope, subject = _subject({"key": key, "team": budget.team, "provider": budget.provider})
        amount = budget.tokens if budget.usd is None else round(budget.usd * MICROS)
        unit: Any = "tokens" if budget.usd is None else "usd"
        budgets.append(_budget(scope, subject, unit, amount or 1, budget))
    budgets += [_budget(each.scope, each.subject, each.unit, each.amount, each) for each in stored.budgets]
    return Rulebook(limits, budgets)


def _limit(scope: Scope, subject: str, rule: LimitRule | StoredLimit) -> Limit:
    return Limit(
        scope=scope,
        subject=subject,
        requests_per_minute=rule.requests_per_minute,
        requests_per_day=rule.requests_per_day,
        tokens_per_minute=rule.tokens_per_minute,
        tokens_per_day=rule.tokens_per_day,
        concurrent=rule.concurrent,
    )


def _budget(scope: Scope, subject: str, unit: Unit, amount: int, rule: BudgetRule | StoredBudget) -> Budget:
    return Budget(
        scope=scope,
        subject=subject,
        unit=unit,
        amount=amount,
        per=rule.per,
        hard=rule.hard,
        warn_at=rule.warn_at,
        webhook=rule.webhook,
    )


def _subject(named: Mapping[str, str | None]) -> tuple[Any, str]:
    for scope, subject in named.items():
        if subject is not None:
            return scope, subject
    return "all", ""


def price_book(wiring: Wiring) -> PriceBook:
    """The prices of one configuration."""
    catalog = wiring.catalog

    def published(provider: str, model: str) -> Mapping[str, float] | None:
        listing = catalog.listings.get(provider)
        found = None if listing is None else listing.find(model)
        return None if found is None else found.prices

    return PriceBook(wiring.settings.prices, published, catalog)


def period(per: str, now: float) -> tuple[int, float]:
    """When the period of ``now`` began, and when it ends (Unix time, UTC)."""
    known: Period = per  # type: ignore[assignment]
    return period_start(known, now), period_end(known, now)


class SpendingReader:
    """Asks the ledger what a budget's subject has spent before this process began to count."""

    def __init__(self, url: str, ledger: Ledger) -> None:
        """Read a ledger.

        Args:
            url: of its database.
            ledger: brings in what a killed process left behind.
        """
        self._url = url
        self._ledger = ledger
        self._store: Store | None = None

    async def __call__(self, counter_key: CounterKey, since: int) -> int:
        """What the subject of a counter has spent.

        Args:
            counter_key: names the counter.
            since: Unix time.

        Returns:
            Micros or tokens.

        Raises:
            GatewayError: 503, the database cannot be read.
        """
        try:
            return await asyncio.to_thread(self._read, counter_key, since)
        except StoreError as error:
            log.error("what was spent cannot be read", reason=str(error))
            text = "Budgets cannot be checked now: the database is away"
            raise GatewayError(text, LIMITS_AWAY, retry_after=1.0, advice="true") from None

    def _read(self, counter_key: CounterKey, since: int) -> int:
        from trunkline.ledger.store import Store
        from trunkline.ledger.usage import read_spending

        self._ledger.ready.wait(REPLAY_S)  # what a killed process left behind counts too
        if self._store is None:
            self._store = Store(self._url)
        micros, tokens = read_spending(self._store, counter_key.scope, counter_key.subject, since)
        return micros if counter_key.quantity == "usd" else tokens

    def close(self) -> None:
        """Close the database."""
        if self._store is not None:
            self._store.close()


class BudgetWarnings:
    """Warns of budgets that are nearly used up: a log line, and a POST where a webhook is named."""

    def __init__(self, is_first: Callable[[str, float], Awaitable[bool]] | None = None) -> None:
        """``is_first`` is called with a warning's name and the time when the budget's period ends, and tells
        whether no other node has given that warning. Without it every warning is given."""
        self._is_first = is_first
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()

    def __call__(self, spending: Spending) -> None:
        """Warn of one budget."""
        if self._is_first is None:
            self._warn(spending)
        else:
            self._begin(self._warn_if_first(spending, self._is_first))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _warn_if_first(
        self, spending: Spending, is_first: Callable[[str, float], Awaitable[bool]]
    ) -> None:
        counter_key, rule, spent, _, ends = spending
        reached = rule.amount if spent >= rule.amount else round(rule.amount * rule.warn_at)
        if await is_first(f"told:{counter_key.text}:{ends:.0f}:{reached}", ends):
            self._warn(spending)

    def _warn(self, spending: Spending) -> None:
        counter_key, rule, spent, *_ = spending
        unit = MICROS if counter_key.quantity == "usd" else 1
        event = "budget_used_up" if spent >= rule.amount else "budget_warning"
        details: dict[str, Any] = {
            "scope": counter_key.scope,
            "subject": counter_key.subject,
            "unit": rule.unit,
            "per": rule.per,
            "spent": spent / unit,
            "limit": rule.amount / unit,
            "hard": rule.hard,
        }
        log.warning(event, **details)
        if rule.webhook is not None:
            self._begin(self._post(rule.webhook, {"event": event, **details}))

    async def _post(self, url: str, payload: dict[str, Any]) -> None:
        """Post a warning, again and again after :data:`POST_PAUSES_S` where that fails."""
        for attempt, pause in enumerate((*POST_PAUSES_S, None), start=1):
            try:
                await post_json(url, payload)
            except WebhookError as error:
                is_last = pause is None or self._closing.is_set() or error.reason == INVALID_URL
                again = {} if is_last else {"again_in_s": pause}
                log.error("a budget's webhook failed", reason=error.reason, attempt=attempt, **again)
                if is_last:
                    return
            else:
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), pause)

    async def aclose(self) -> None:
        """Wait until warnings that are under way were given. One that waits to be posted again is posted now,
        for the last time."""
        self._closing.set()
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
