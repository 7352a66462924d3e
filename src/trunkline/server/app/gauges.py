"""The metrics that are true at one moment: the queue, the upstreams, the budgets, the ledger."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from trunkline.ledger.policies import MICROS
from trunkline.observe.metrics import BudgetState, Gauges, LedgerState, UpstreamGauge

if TYPE_CHECKING:
    from trunkline.ledger.writer import Ledger
    from trunkline.pipeline.pipeline import Pipeline
    from trunkline.policy.guard import Guard, Spending
    from trunkline.providers.base import Provider
    from trunkline.routing.router import Router


class GaugeServices(Protocol):
    """What the gauges are read from."""

    pipeline: Pipeline
    providers: dict[str, Provider]
    router: Router
    guard: Guard
    ledger: Ledger | None


def read_gauges(services: GaugeServices) -> Gauges:
    """All gauges as they are now."""
    now = time.perf_counter()
    ledger = services.ledger
    return Gauges(
        services.pipeline.queue.depth,
        [
            UpstreamGauge(name, upstream.name, state.state(now), state.gate.in_flight)
            for name, provider in services.providers.items()
            for upstream, state in services.router.states(provider)
        ],
        [_budget_state(each) for each in services.guard.spendings()],
        LedgerState() if ledger is None else LedgerState(ledger.waiting_bytes, ledger.lost, ledger.away),
    )


def _budget_state(spending: Spending) -> BudgetState:
    counter_key, rule, spent, *_ = spending
    unit = MICROS if rule.unit == "usd" else 1
    return BudgetState(
        counter_key.scope, counter_key.subject, rule.unit, rule.per, rule.amount / unit, spent / unit
    )
