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

    __slots__ = ("durations", "first_bytes", "input_tokens", "output_tokens", "statuses")

    def __init__(self) -> None:
        self.statuses: dict[int, int] = {}
        self.durations = Histogram(DURATION_BUCKETS)
        """Seconds of whole requests."""
        self.first_bytes = Histogram(FIRST_BYTE_BUCKETS)
        """Seconds to the first byte of an answer."""
        self.input_tokens = 0
        self.output_tokens = 0


class UpstreamState(NamedTuple):
    """One upstream at this moment."""

    provider: str
    upstream: str
    breaker: int
    """0 closed, 1 half-open, 2 open."""
    in_flight: int


class Present(NamedTuple):
    """What is so at this moment, beside what is counted."""

    queue_depth: int = 0
    upstreams: Sequence[UpstreamState] = ()


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
    ) -> None:
        """Count one request that has ended."""
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

    def as_json(self) -> dict[str, Any]:
        """The counters for people and scripts."""
        present = self.present()
        return {
            "queue": {"depth": present.queue_depth, "waited_seconds": round(self.queue_waits.total, 6)},
            "upstreams": [upstream._asdict() for upstream in present.upstreams],
            "series": [
                {
                    "operation": operation,
                    "provider": provider,
                    "requests": {str(status): count for status, count in sorted(series.statuses.items())},
                    "input_tokens": series.input_tokens,
                    "output_tokens": series.output_tokens,
                    "seconds": round(series.durations.total, 6),
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
        for labels, series in found:
            for status, count in series.statuses.items():
                requests.add_metric([*labels, str(status)], count)
            tokens.add_metric([*labels, "input"], series.input_tokens)
            tokens.add_metric([*labels, "output"], series.output_tokens)
            for family, histogram in ((durations, series.durations), (first_bytes, series.first_bytes)):
                family.add_metric(labels, histogram.cumulative(), histogram.total)
        yield from (requests, tokens, durations, first_bytes)
        yield from self._present()

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
