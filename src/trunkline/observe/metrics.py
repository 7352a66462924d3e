"""Counters of the gateway: plain numbers while requests run, Prometheus text when somebody asks.

Counting touches dictionaries and lists only. Label sets are bounded: operations, configured providers and
statuses, never a model or a key. Names and buckets follow OpenTelemetry's GenAI conventions where those have
one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

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


class Metrics:
    """All counters of one gateway."""

    def __init__(self) -> None:
        self.requests: dict[tuple[str, str, int], int] = {}
        """By operation, provider and status."""
        self.tokens: dict[tuple[str, str], int] = {}
        """By provider and kind (``input``, ``output``)."""
        self.durations: dict[tuple[str, str], Histogram] = {}
        """Seconds of whole requests, by operation and provider."""
        self.first_bytes: dict[tuple[str, str], Histogram] = {}
        """Seconds to the first byte of an answer, by operation and provider."""

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
        name = provider or _NOBODY
        outcome = (operation, name, status)
        self.requests[outcome] = self.requests.get(outcome, 0) + 1
        place = (operation, name)
        durations = self.durations.get(place)
        if durations is None:
            durations = self.durations[place] = Histogram(DURATION_BUCKETS)
            self.first_bytes[place] = Histogram(FIRST_BYTE_BUCKETS)
        durations.add(seconds)
        if first_byte is not None:
            self.first_bytes[place].add(first_byte)
        if usage is not None:
            for kind, tokens in (("input", usage.prompt_tokens), ("output", usage.completion_tokens)):
                self.tokens[name, kind] = self.tokens.get((name, kind), 0) + tokens

    def as_json(self) -> dict[str, Any]:
        """The counters for people and scripts."""
        return {
            "requests": [
                {"operation": operation, "provider": provider, "status": status, "count": count}
                for (operation, provider, status), count in sorted(self.requests.items())
            ],
            "tokens": [
                {"provider": provider, "kind": kind, "count": count}
                for (provider, kind), count in sorted(self.tokens.items())
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

        requests = CounterMetricFamily(
            "trunkline_requests", "Requests that have ended", labels=["operation", "provider", "status"]
        )
        for (operation, provider, status), count in self._metrics.requests.items():
            requests.add_metric([operation, provider, str(status)], count)
        yield requests
        tokens = CounterMetricFamily(
            "gen_ai_client_token_usage", "Tokens, as upstreams counted them", labels=["provider", "type"]
        )
        for (provider, kind), count in self._metrics.tokens.items():
            tokens.add_metric([provider, kind], count)
        yield tokens
        for name, text, found in (
            ("gen_ai_server_request_duration_seconds", "Whole requests", self._metrics.durations),
            ("gen_ai_server_time_to_first_token_seconds", "First bytes", self._metrics.first_bytes),
        ):
            family = HistogramMetricFamily(name, text, labels=["operation", "provider"])
            for labels, histogram in found.items():
                family.add_metric(list(labels), histogram.cumulative(), histogram.total)
            yield family
