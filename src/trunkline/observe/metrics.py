"""Counters of the gateway: plain numbers while requests run, JSON or Prometheus text when somebody asks.

Counting touches dictionaries and lists only. Label sets are bounded: operations, configured providers and
statuses, never a model or a key. Buckets follow OpenTelemetry's GenAI conventions where those have one;
``prometheus`` gives the counters their names.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from trunkline.model import Usage

DURATION_BUCKETS: Final = (
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
)  # fmt: skip
"""Seconds; ``gen_ai.server.request.duration``."""

FIRST_BYTE_BUCKETS: Final = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
)  # fmt: skip
"""Seconds; ``gen_ai.server.time_to_first_token``."""

OVERHEAD_BUCKETS: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0,
)  # fmt: skip
"""Seconds that a request spent in the gateway itself."""

_NOBODY: Final = "none"
"""Stands for the provider of a request that was put to none."""


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


class UpstreamGauge(NamedTuple):
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


class Gauges(NamedTuple):
    """What is true at this moment (Prometheus's gauges), beside the counters, which only grow."""

    queue_depth: int = 0
    upstreams: Sequence[UpstreamGauge] = ()
    budgets: Sequence[BudgetState] = ()
    ledger: LedgerState = LedgerState()


class Metrics:
    """All counters of one gateway."""

    def __init__(self, present: Callable[[], Gauges] = Gauges) -> None:
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
            if usage.cached_tokens:
                series.cached_tokens += usage.cached_tokens
            if usage.reasoning_tokens:
                series.reasoning_tokens += usage.reasoning_tokens
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
