"""The gateway's metrics: plain numbers while requests run, which are rendered when somebody reads them.

Counting only updates dictionaries and lists. Label values are bounded: they are operations, configured
providers, statuses and outcomes, never models or keys. Buckets follow OpenTelemetry's GenAI conventions where
these define them. ``prometheus`` gives the metrics their names.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple, Protocol

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
"""Seconds that a request spends in the gateway itself."""

_NO_PROVIDER: Final = "none"
"""The label of requests that were sent to no provider."""


class TokenCounts(Protocol):
    """The tokens that an answer has used. ``trunkline.model.Usage`` is one."""

    @property
    def prompt_tokens(self) -> int: ...
    @property
    def completion_tokens(self) -> int: ...
    @property
    def cached_tokens(self) -> int | None: ...
    @property
    def reasoning_tokens(self) -> int | None: ...


class Histogram:
    """The number of values in each bucket, and the sum of the values.

    Args:
        bounds: The upper bounds of the buckets, ascending.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Add one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def cumulative(self) -> list[tuple[str, float]]:
        """Return each bound with the number of values up to it, which is Prometheus's form of buckets."""
        buckets, total = [], 0
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            total += count
            buckets.append((bound, float(total)))
        return buckets


class Series:
    """The counters of one operation of one provider."""

    __slots__ = (
        "cached_tokens",
        "cost_micros",
        "durations",
        "ends",
        "first_bytes",
        "input_tokens",
        "output_tokens",
        "overheads",
        "reasoning_tokens",
        "retries",
        "unpriced",
    )

    def __init__(self) -> None:
        self.ends: dict[tuple[int, str], int] = {}
        """The number of requests by status and outcome."""
        self.durations = Histogram(DURATION_BUCKETS)
        """The seconds that requests took."""
        self.first_bytes = Histogram(FIRST_BYTE_BUCKETS)
        """The seconds until the first byte of an answer."""
        self.overheads = Histogram(OVERHEAD_BUCKETS)
        """The seconds that requests took in the gateway: without upstreams and without the queue."""
        self.input_tokens = 0
        self.output_tokens = 0
        self.cached_tokens = 0
        self.reasoning_tokens = 0
        self.cost_micros = 0
        self.unpriced = 0
        """The number of answers whose price is unknown."""
        self.retries = 0


class UpstreamGauge(NamedTuple):
    """The present state of one upstream."""

    provider: str
    upstream: str
    breaker: int
    """The circuit breaker: 0 closed, 1 half-open, 2 open."""
    in_flight: int


class BudgetState(NamedTuple):
    """The present state of one budget in its present period. Money is in US dollars."""

    scope: str
    subject: str
    unit: str
    per: str
    limit: float
    spent: float


class LedgerState(NamedTuple):
    """The present state of the ledger."""

    waiting_bytes: int = 0
    """The bytes of usage that may not be in the database yet."""
    lost: int = 0
    """The number of usage rows that neither the disk nor the database took."""
    away: bool = False
    """Whether the database does not take usage."""


class Gauges(NamedTuple):
    """The present values of what Prometheus calls gauges. Unlike counters, they rise and fall."""

    queue_depth: int = 0
    upstreams: Sequence[UpstreamGauge] = ()
    budgets: Sequence[BudgetState] = ()
    ledger: LedgerState = LedgerState()


class Metrics:
    """All metrics of one gateway.

    Args:
        read_gauges: Called when somebody reads the metrics.
    """

    def __init__(self, read_gauges: Callable[[], Gauges] = Gauges) -> None:
        self.read_gauges = read_gauges
        self.queue_waits = Histogram(DURATION_BUCKETS)
        """The seconds that requests waited for a free place at an upstream."""
        self.series: dict[tuple[str, str], Series] = {}
        """The counters, by operation and provider."""

    def count(
        self,
        *,
        operation: str,
        provider: str | None,
        status: int,
        outcome: str,
        duration_s: float,
        first_byte_s: float | None,
        usage: TokenCounts | None,
        cost_micros: int | None,
        overhead_s: float | None,
        retries: int,
    ) -> None:
        """Count one request that has ended.

        Args:
            operation: The operation of the front that was asked.
            provider: The provider of the last attempt, or None if there was none.
            status: The HTTP status of the response.
            outcome: Whether the answer is complete, and if not, who broke it off.
            duration_s: The seconds that the request took.
            first_byte_s: The seconds until the first byte of the response, or None if there was none.
            usage: The tokens that were used, or None if that is unknown.
            cost_micros: Millionths of a US dollar, or None if the price is unknown.
            overhead_s: The seconds that the request spent in the gateway itself, or None if no upstream was
                asked.
            retries: The number of attempts after the first.
        """
        series = self.series.get((operation, provider or _NO_PROVIDER))
        if series is None:
            series = self._add_series(operation, provider)
        end = status, outcome
        series.ends[end] = series.ends.get(end, 0) + 1
        series.durations.add(duration_s)
        if first_byte_s is not None:
            series.first_bytes.add(first_byte_s)
        if usage is not None:
            series.input_tokens += usage.prompt_tokens
            series.output_tokens += usage.completion_tokens
            if usage.cached_tokens:
                series.cached_tokens += usage.cached_tokens
            if usage.reasoning_tokens:
                series.reasoning_tokens += usage.reasoning_tokens
        if cost_micros is None:
            series.unpriced += 1
        else:
            series.cost_micros += cost_micros
        if overhead_s is not None:
            series.overheads.add(overhead_s)
        series.retries += retries

    def add_failed_attempt(self, operation: str, provider: str, cost_micros: int | None) -> None:
        """Add what an attempt cost that another one followed.

        Args:
            operation: The operation of the front that was asked.
            provider: The provider of the attempt.
            cost_micros: Millionths of a US dollar, or None if the price is unknown.
        """
        series = self.series.get((operation, provider)) or self._add_series(operation, provider)
        if cost_micros is None:
            series.unpriced += 1
        else:
            series.cost_micros += cost_micros

    def _add_series(self, operation: str, provider: str | None) -> Series:
        series = self.series[operation, provider or _NO_PROVIDER] = Series()
        return series

    def as_json(self) -> dict[str, Any]:
        """Return the metrics as a JSON object, for people and scripts."""
        gauges = self.read_gauges()
        return {
            "queue": {"depth": gauges.queue_depth, "waited_seconds": round(self.queue_waits.total, 6)},
            "upstreams": [upstream._asdict() for upstream in gauges.upstreams],
            "budgets": [budget._asdict() for budget in gauges.budgets],
            "ledger": gauges.ledger._asdict(),
            "series": [
                {
                    "operation": operation,
                    "provider": provider,
                    "requests": _add_up((str(status), n) for (status, _), n in sorted(series.ends.items())),
                    "outcomes": _add_up((outcome, n) for (_, outcome), n in sorted(series.ends.items())),
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


def _add_up(counts: Iterable[tuple[str, int]]) -> dict[str, int]:
    """The sum of the counts of each name."""
    sums: dict[str, int] = {}
    for name, count in counts:
        sums[name] = sums.get(name, 0) + count
    return sums
