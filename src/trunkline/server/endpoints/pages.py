"""What the gateway knows itself, without asking an upstream: health, metrics, its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from trunkline.errors import FORBIDDEN, CallerError
from trunkline.routing.provider_status import resting
from trunkline.server.http.page import TEXT, Headers, Page, json_page

if TYPE_CHECKING:
    from trunkline.observe.metrics import Metrics
    from trunkline.policy.auth import ApiKey
    from trunkline.providers.base import Provider
    from trunkline.routing.catalog import Catalog
    from trunkline.routing.router import Router


class Versioned(Protocol):
    """What the page on health needs."""

    version: str


class Readiness(Protocol):
    """What the page on readiness needs."""

    stopping: bool
    catalog: Catalog
    providers: dict[str, Provider]
    router: Router


class PendingOutcomes(Protocol):
    """Requests that have ended and are not counted yet."""

    def flush(self) -> None:
        """Count them now."""


class MetricsSource(Protocol):
    """What the page on metrics needs."""

    metrics: Metrics

    @property
    def recorder(self) -> PendingOutcomes: ...


def root(services: object, headers: Headers) -> Page:
    """The page at ``/``. Ollama's clients look for this very text."""
    return Page(b"Ollama is running", TEXT)


def health(services: Versioned, headers: Headers) -> Page:
    """This process is alive. Upstreams are left out, so that no supervisor restarts it for their failures."""
    return json_page({"status": "ok", "version": services.version})


def ready(services: Readiness, headers: Headers) -> Page:
    """Ready for traffic: the first look at the providers is over, and the gateway is not shutting down.

    What rests does not make it unready, since a restart would not help; the answer names it.
    """
    if services.stopping or not services.catalog.discovered:
        return json_page({"status": "stopping" if services.stopping else "starting"}, 503)
    found = {"status": "ok", "providers": list(services.providers), "resting": resting(services.router)}
    return json_page(found)


def metrics(services: MetricsSource, headers: Headers, key: ApiKey | None = None) -> Page:
    """Prometheus text, or JSON where ``Accept`` asks for it.

    Raises:
        CallerError: 403, the key may use some models only, and metrics name all that were used.
    """
    if key is not None and (key.models or key.providers):
        raise CallerError("Metrics are about all models, and this key may use some only", FORBIDDEN)
    services.recorder.flush()
    accept = next((value for name, value in headers if name == b"accept"), b"")
    if b"application/json" in accept:
        return json_page(services.metrics.as_json())
    from trunkline.observe.prometheus import prometheus_text  # at the first scrape: its import takes 50 ms

    return Page(prometheus_text(services.metrics), b"text/plain; version=0.0.4; charset=utf-8")
