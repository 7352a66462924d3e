"""What the gateway knows itself, without asking an upstream: health, metrics, its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from trunkline.server.http.page import TEXT, Headers, Page, json_page

if TYPE_CHECKING:
    from trunkline.observe.metrics import Metrics
    from trunkline.providers.base import Provider
    from trunkline.routing.catalog import Catalog


class Versioned(Protocol):
    """What tells which version runs."""

    version: str


class Readiness(Protocol):
    """What tells whether the gateway is ready for traffic."""

    stopping: bool
    catalog: Catalog
    providers: dict[str, Provider]


class PendingOutcomes(Protocol):
    """Requests that have ended and are not counted yet."""

    def flush(self) -> None:
        """Count them now."""


class MetricsSource(Protocol):
    """What tells the metrics."""

    metrics: Metrics

    @property
    def recorder(self) -> PendingOutcomes: ...


def root(services: object, headers: Headers) -> Page:
    """The page at ``/``. Ollama's clients look for this very text."""
    return Page(b"Ollama is running", TEXT)


def health(services: Versioned, headers: Headers) -> Page:
    """Alive: this process answers. Says nothing about upstreams, so that their trouble restarts nobody."""
    return json_page({"status": "ok", "version": services.version})


def ready(services: Readiness, headers: Headers) -> Page:
    """Ready for traffic: not before the first look at the providers, and not while shutting down."""
    if services.stopping or not services.catalog.settled:
        return json_page({"status": "stopping" if services.stopping else "starting"}, 503)
    return json_page({"status": "ok", "providers": list(services.providers)})


def metrics(services: MetricsSource, headers: Headers) -> Page:
    """Prometheus text, or JSON where ``Accept`` asks for it."""
    services.recorder.flush()
    accept = next((value for name, value in headers if name == b"accept"), b"")
    if b"application/json" in accept:
        return json_page(services.metrics.as_json())
    return Page(services.metrics.as_text(), b"text/plain; version=0.0.4; charset=utf-8")
