"""Everything of a gateway that the configuration decides. A reload replaces it as a whole.

A provider whose configuration is the same as before is kept, with its connections, its catalog and all that
was learned of its upstreams. All others are made again, beside the old ones, which go on until their requests
end.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final, Protocol

from trunkline.pipeline.pipeline import PipelineSettings
from trunkline.policy.filters import ModelFilter
from trunkline.providers.base import Provider
from trunkline.providers.build import build_providers
from trunkline.providers.model_facts import ModelFacts
from trunkline.routing.breaker import CircuitBreaker
from trunkline.routing.catalog import Catalog
from trunkline.routing.resolve import RouteRule, RouteTarget, RoutingRules
from trunkline.routing.router import Router
from trunkline.server.endpoints.route_table import make_route_table
from trunkline.server.http.routes import Routes
from trunkline.settings import ProviderConfig, Settings, resolve_providers
from trunkline.settings.time_limits import provider_limits, section_limits
from trunkline.transport import Client

FIXED: Final = (
    "host",
    "port",
    "as_ollama",
    "workers",
    "fast_http",
    "server",
    "require_auth",
    "development_mode",
    "allow_open_network",
    "database_url",
    "redis_url",
    "redis_loss",
    "redis_local_share",
    "redis_prefix",
    "ledger_dir",
    "ledger_retention_days",
    "otel_endpoint",
    "log_level",
    "log_format",
    "shutdown_delay_s",
    "shutdown_timeout_s",
)
"""Settings that are read at the start only: a reload reports that a change of these needs another start."""

_IN_PROVIDERS: Final = (
    *("models", "ollama_settings", "max_retries"),
    *("fetch_image_urls", "image_max_bytes", "images_max_count", "images_max_bytes"),
)
"""Settings that go into every provider, besides its own section."""


class Registry(Protocol):
    """Providers that a program has made, and which of all is to be the default."""

    @property
    def registered(self) -> Mapping[str, Provider]: ...
    @property
    def default(self) -> str | None: ...
    def use_settings(self, settings: Settings) -> None: ...


class Wiring:
    """One configuration at work."""

    def __init__(
        self,
        settings: Settings,
        client: Client,
        before: Wiring | None = None,
        registry: Registry | None = None,
    ) -> None:
        """Put everything together.

        Args:
            settings: the configuration.
            client: the HTTP client that providers share.
            before: what this is to replace.
            registry: providers that a program has made.

        Raises:
            SettingsError: a provider cannot be made, or the models filter cannot be read.
        """
        self.settings = settings
        self.configured: Mapping[str, ProviderConfig] = resolve_providers(settings)
        unchanged = {} if before is None else _unchanged_providers(self, before)
        configured = build_providers(settings, client, unchanged)
        registered: dict[str, Provider] = {}
        if registry is not None:
            registry.use_settings(settings)
            registered |= registry.registered
        # A program's own providers come first in order, and win over configured ones of the same name.
        self.providers: dict[str, Provider] = {**registered, **configured, **registered}
        self.filter = None if settings.models_filter is None else ModelFilter.load(settings.models_filter)
        self.catalog = Catalog(
            self.providers,
            static={name: config.models for name, config in self.configured.items()},
            allows=None if self.filter is None else self.filter.allows,
            complete=ModelFacts(settings.models).complete,
        )
        breaker = partial(CircuitBreaker, settings.breaker_failures, settings.breaker_recovery_s)
        self.router = Router(
            self.providers, self.catalog, _rules(settings, self.configured, registry), breaker
        )
        table = make_route_table(
            metrics_public=settings.metrics_public, stores_responses=settings.responses.store
        )
        self.routes = Routes(self.providers, table)
        self.pipeline_settings = PipelineSettings(
            settings.retry_deadline_s, settings.queue_limit, settings.queue_timeout_s
        )
        if before is not None:
            self.router.inherit(before.router)
            if self.filter is None and before.filter is None:
                self.catalog.inherit(before.catalog)

    def start(self) -> None:
        """Begin discovery. Ollama's servers are asked for their models as often as their health is to be
        checked: that request is the check. Without the check they are asked now, when a name is missed, and
        as often as the user has set MODEL_REFRESH_INTERVAL_S."""
        settings = self.settings
        of_ollama: float | None = settings.ollama_health_check_interval
        if not settings.ollama_auto_health_check:
            is_set = "model_refresh_interval_s" in settings.model_fields_set
            of_ollama = settings.model_refresh_interval_s if is_set else None
        ollama = (name for name, provider in self.providers.items() if provider.loads_models)
        self.catalog.start(settings.model_refresh_interval_s, dict.fromkeys(ollama, of_ollama))


def differences(before: Settings, after: Settings) -> list[str]:
    """The settings that differ, by name."""
    return [name for name in type(after).model_fields if getattr(before, name) != getattr(after, name)]


def _unchanged_providers(new: Wiring, before: Wiring) -> dict[str, Provider]:
    """The providers that can be kept."""
    if any(getattr(new.settings, name) != getattr(before.settings, name) for name in _IN_PROVIDERS):
        return {}
    return {
        name: before.providers[name]
        for name, config in new.configured.items()
        if name in before.providers
        and before.configured[name] == config
        and provider_limits(before.settings, config, name) == provider_limits(new.settings, config, name)
    }


def _rules(
    settings: Settings, providers: Mapping[str, ProviderConfig], registry: Registry | None
) -> RoutingRules:
    return RoutingRules(
        preferred=(registry and registry.default) or settings.preferred_provider,
        fallback=settings.enable_fallback,
        default_model=settings.ollama_default_model,
        aliases=settings.aliases,
        routes={
            name: RouteRule(
                [
                    RouteTarget(each.provider, each.model, each.weight, each.priority)
                    for each in route.targets
                ],
                route.strategy,
                route.local_only,
                section_limits(route.timeouts, f"routes.{name}"),
            )
            for name, route in settings.routes.items()
        },
        strategies={name: config.strategy for name, config in providers.items()},
        auto_pull=[pattern.lower() for pattern in settings.ollama_auto_pull],
        model_limits={
            pattern.lower(): defaults.max_concurrent
            for pattern, defaults in settings.models.items()
            if defaults.max_concurrent is not None
        },
    )
