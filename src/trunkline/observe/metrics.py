"""Counters of the gateway: plain numbers while requests run, Prometheus text when somebody asks.

Counting touches dictionaries and lists only. Label sets are bounded: operations, configured providers and
statuses, never a model or a key. Names and buckets follow OpenTelemetry's GenAI conventions where those have
one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from trunkline.model import Usage

DURATION_BUCKETS: Final = (
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
)  # fmt: skip
"""Seconds; ``gen_ai.server.request.duration``."""

FIRST_BYTE_BUCKETS: Final = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
)  # fmt: skip
"""Seconds; ``gen_ai.server.time_to_first_token``."""

_NOBODY: Final = "none"
"""Provider label of a request that reached none."""


class Histogram:
    """Counts by bucket, and their sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def cumulative(self) -> list[tuple[str, float]]:
        """Pairs of bucket bound and count of all values up to it, as Prometheus has them."""
        found, running = [], 0
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            running += count
            found.append((bound, float(running)))
        return found


class Series:
    """The counters of one operation at one provider."""

    __slots__ = (
        "cached_tokens",
        "cost_micros",
        "durations",
        "first_bytes",
        "input_tokens",
        "output_tokens",
        "overheads",
        "reasoning_tokens",
        "retries",
        "statuses",
        "unpriced",
    )

    def __init__(self) -> None:
        self.statuses: dict[int, int] = {}
        self.durations = Histogram(DURATION_BUCKETS)
        """Seconds of whole requests."""
        self.first_bytes = Histogram(FIRST_BYTE_BUCKETS)
        """Seconds to the first byte of an answer."""
        self.overheads = Histogram(OVERHEAD_BUCKETS)
        """Seconds of requests without those that upstreams took, and without waits for room."""
        self.input_tokens = 0
        self.output_tokens = 0
        self.cached_tokens = 0
        self.reasoning_tokens = 0
        self.cost_micros = 0
        self.unpriced = 0
        """Answers whose price nobody knows."""
        self.retries = 0


class UpstreamState(NamedTuple):
    """One upstream at this moment."""

    provider: str
    upstream: str
    breaker: int
    """0 closed, 1 half-open, 2 open."""
    in_flight: int


class BudgetState(NamedTuple):
    """One budget at this moment, in its present period; money in dollars."""

    scope: str
    subject: str
    unit: str
    per: str
    limit: float
    spent: float


class LedgerState(NamedTuple):
    """How far usage is from the database."""

    waiting_bytes: int = 0
    lost: int = 0
    away: bool = False


class Present(NamedTuple):
    """What is so at this moment, beside what is counted."""

    queue_depth: int = 0
    upstreams: Sequence[UpstreamState] = ()
    budgets: Sequence[BudgetState] = ()
    ledger: LedgerState = LedgerState()


MOST_BUDGETS: Final = 100
"""Budgets that have labels of their own: those that are nearest to their end."""
OVERHEAD_BUCKETS: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0,
)  # fmt: skip
"""Seconds that a request spent in the gateway itself."""


class Metrics:
    """All counters of one gateway."""

    def __init__(self, present: Callable[[], Present] = Present) -> None:
        """``present`` tells what is so at this moment, when somebody asks."""
        self.present = present
        self.queue_waits = Histogram(DURATION_BUCKETS)
        """Seconds that requests have waited for room."""
        self.series: dict[tuple[str, str], Series] = {}
        """By operation and provider."""

    def count(
        self,
        operation: str,
        provider: str | None,
        status: int,
        seconds: float,
        first_byte: float | None,
        usage: Usage | None,
        cost: int | None = 0,
        overhead: float | None = None,
        retries: int = 0,
    ) -> None:
        """Count one request that has ended; ``cost`` is in millionths of a dollar, None where it is not
        known."""
        place = (operation, provider or _NOBODY)
        series = self.series.get(place)
        if series is None:
            series = self.series[place] = Series()
        series.statuses[status] = series.statuses.get(status, 0) + 1
        series.durations.add(seconds)
        if first_byte is not None:
            series.first_bytes.add(first_byte)
        if usage is not None:
            series.input_tokens += usage.prompt_tokens
            series.output_tokens += usage.completion_tokens
            series.cached_tokens += usage.cached_tokens or 0
            series.reasoning_tokens += usage.reasoning_tokens or 0
        if cost is None:
            series.unpriced += 1
        else:
            series.cost_micros += cost
        if overhead is not None:
            series.overheads.add(overhead)
        series.retries += retries

    def as_json(self) -> dict[str, Any]:
        """The counters for people and scripts."""
        present = self.present()
        return {
            "queue": {"depth": present.queue_depth, "waited_seconds": round(self.queue_waits.total, 6)},
            "upstreams": [upstream._asdict() for upstream in present.upstreams],
            "budgets": [budget._asdict() for budget in present.budgets],
            "ledger": present.ledger._asdict(),
            "series": [
                {
                    "operation": operation,
                    "provider": provider,
                    "requests": {str(status): count for status, count in sorted(series.statuses.items())},
                    "input_tokens": series.input_tokens,
                    "output_tokens": series.output_tokens,
                    "cost_usd": series.cost_micros / 1_000_000,
                    "unpriced": series.unpriced,
                    "retries": series.retries,
                    "seconds": round(series.durations.total, 6),
                    "overhead_seconds": round(series.overheads.total, 6),
                }
                for (operation, provider), series in sorted(self.series.items())
            ],
        }

    def as_text(self) -> bytes:
        """Prometheus's text format."""
        from prometheus_client import CollectorRegistry, generate_latest

        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Collector(self))
        return generate_latest(registry)


class _Collector:
    """The counters as prometheus_client's metric families."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

        found = list(self._metrics.series.items())
        requests = CounterMetricFamily(
            "trunkline_requests", "Requests that have ended", labels=["operation", "provider", "status"]
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
        for labels, series in found:
            for status, count in series.statuses.items():
                requests.add_metric([*labels, str(status)], count)
            for sort, count in (
                ("input", series.input_tokens),
                ("output", series.output_tokens),
                ("input_cached", series.cached_tokens),
                ("output_reasoning", series.reasoning_tokens),
            ):
                tokens.add_metric([*labels, sort], count)
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
        yield from self._present()
        yield from self._policies()

    def _policies(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        present = self._metrics.present()
        labels = ("scope", "subject", "unit", "per")
        limit = GaugeMetricFamily("trunkline_budget_limit", "Budgets, in dollars or tokens", labels=labels)
        spent = GaugeMetricFamily("trunkline_budget_spent", "What is spent of them", labels=labels)
        nearest = sorted(present.budgets, key=lambda each: each.spent / each.limit, reverse=True)
        for each in nearest[:MOST_BUDGETS]:
            limit.add_metric(each[:4], each.limit)
            spent.add_metric(each[:4], each.spent)
        waiting, lost, away = present.ledger
        bytes_waiting = GaugeMetricFamily(
            "trunkline_ledger_waiting_bytes",
            "Usage that is on disk and not in the database yet",
            value=waiting,
        )
        rows_lost = CounterMetricFamily(
            "trunkline_ledger_lost_rows", "Usage that neither disk nor database took", value=lost
        )
        is_away = GaugeMetricFamily(
            "trunkline_ledger_away", "1 while the database does not take usage", value=int(away)
        )
        yield from (limit, spent, bytes_waiting, rows_lost, is_away)

    def _present(self) -> Iterator[Metric]:
        from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily

        present = self._metrics.present()
        waits = self._metrics.queue_waits
        depth = GaugeMetricFamily("trunkline_queue_depth", "Requests that wait for room")
        depth.add_metric([], present.queue_depth)
        waited = HistogramMetricFamily("trunkline_queue_wait_seconds", "Waits for room, of those who waited")
        waited.add_metric([], waits.cumulative(), waits.total)
        labels = ("provider", "upstream")
        breaker = GaugeMetricFamily(
            "trunkline_upstream_breaker", "0 closed, 1 half-open, 2 open", labels=labels
        )
        in_flight = GaugeMetricFamily(
            "trunkline_upstream_in_flight", "Requests under way at an upstream", labels=labels
        )
        for each in present.upstreams:
            breaker.add_metric([each.provider, each.upstream], each.breaker)
            in_flight.add_metric([each.provider, each.upstream], each.in_flight)
        yield from (depth, waited, breaker, in_flight)


_LABELS: Final = ("operation", "provider")
