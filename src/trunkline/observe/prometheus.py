"""Renders the metrics for Prometheus. It defines the name, the help text and the labels of each.

Names follow OpenTelemetry's GenAI conventions where these define one. ``metrics`` has the numbers. This
module is imported when somebody reads the metrics for the first time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from trunkline.observe.metrics import BudgetState, Gauges, Histogram, LedgerState, Metrics

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

MAX_BUDGETS: Final = 100
"""The maximum number of budgets that are rendered: those of which the largest share is spent."""
_LABELS: Final = ("operation", "provider")


def prometheus_text(metrics: Metrics) -> bytes:
    """Render all metrics in Prometheus's text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(metrics))
    return generate_latest(registry)


class _Collector:
    """The collector that prometheus_client reads metrics from."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        metrics, gauges = self._metrics, self._metrics.read_gauges()
        yield from _requests(metrics)
        yield from _queue_and_upstreams(metrics.queue_waits, gauges)
        yield from _budgets(gauges.budgets)
        yield from _ledger(gauges.ledger)


def _requests(metrics: Metrics) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "trunkline_requests", "Requests that have ended", labels=[*_LABELS, "status", "outcome"]
    )
    tokens = CounterMetricFamily(
        "gen_ai_client_token_usage", "Tokens, as upstreams counted them", labels=[*_LABELS, "type"]
    )
    durations = HistogramMetricFamily(
        "gen_ai_server_request_duration_seconds", "Whole requests", labels=_LABELS
    )
    first_bytes = HistogramMetricFamily(
        "gen_ai_server_time_to_first_token_seconds", "First bytes of answers", labels=_LABELS
    )
    overheads = HistogramMetricFamily(
        "trunkline_overhead_seconds", "Requests without what upstreams and queues took", labels=_LABELS
    )
    cost = CounterMetricFamily("trunkline_cost_usd", "Cost, where the price is known", labels=_LABELS)
    unpriced = CounterMetricFamily(
        "trunkline_unpriced_requests", "Requests whose price nobody knows", labels=_LABELS
    )
    retries = CounterMetricFamily("trunkline_retries", "Attempts after the first", labels=_LABELS)
    for labels, series in list(metrics.series.items()):
        for (status, outcome), count in series.ends.items():
            requests.add_metric([*labels, str(status), outcome], count)
        for token_type, count in (
            ("input", series.input_tokens),
            ("output", series.output_tokens),
            ("input_cached", series.cached_tokens),
            ("output_reasoning", series.reasoning_tokens),
        ):
            tokens.add_metric([*labels, token_type], count)
        cost.add_metric(labels, series.cost_micros / 1_000_000)
        unpriced.add_metric(labels, series.unpriced)
        retries.add_metric(labels, series.retries)
        for family, histogram in (
            (durations, series.durations),
            (first_bytes, series.first_bytes),
            (overheads, series.overheads),
        ):
            family.add_metric(labels, histogram.cumulative(), histogram.total)
    yield from (requests, tokens, cost, unpriced, retries, durations, first_bytes, overheads)


def _queue_and_upstreams(waits: Histogram, gauges: Gauges) -> Iterator[Metric]:
    depth = GaugeMetricFamily("trunkline_queue_depth", "Requests that wait for room")
    depth.add_metric([], gauges.queue_depth)
    waited = HistogramMetricFamily("trunkline_queue_wait_seconds", "Waits for room, of those who waited")
    waited.add_metric([], waits.cumulative(), waits.total)
    labels = ("provider", "upstream")
    breaker = GaugeMetricFamily("trunkline_upstream_breaker", "0 closed, 1 half-open, 2 open", labels=labels)
    in_flight = GaugeMetricFamily(
        "trunkline_upstream_in_flight", "Requests under way at an upstream", labels=labels
    )
    for each in gauges.upstreams:
        breaker.add_metric([each.provider, each.upstream], each.breaker)
        in_flight.add_metric([each.provider, each.upstream], each.in_flight)
    yield from (depth, waited, breaker, in_flight)


def _budgets(budgets: Sequence[BudgetState]) -> Iterator[Metric]:
    labels = ("scope", "subject", "unit", "per")
    limit = GaugeMetricFamily("trunkline_budget_limit", "Budgets, in dollars or tokens", labels=labels)
    spent = GaugeMetricFamily("trunkline_budget_spent", "What is spent of them", labels=labels)
    by_share = sorted(budgets, key=lambda each: each.spent / each.limit, reverse=True)
    for each in by_share[:MAX_BUDGETS]:
        limit.add_metric(each[:4], each.limit)
        spent.add_metric(each[:4], each.spent)
    yield from (limit, spent)


def _ledger(state: LedgerState) -> Iterator[Metric]:
    waiting = GaugeMetricFamily(
        "trunkline_ledger_waiting_bytes",
        "Usage that is on disk and not in the database yet",
        value=state.waiting_bytes,
    )
    lost = CounterMetricFamily(
        "trunkline_ledger_lost_rows", "Usage that neither disk nor database took", value=state.lost
    )
    away = GaugeMetricFamily(
        "trunkline_ledger_away", "1 while the database does not take usage", value=int(state.away)
    )
    yield from (waiting, lost, away)
