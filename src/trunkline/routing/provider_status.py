"""The state of all providers and their upstreams, as JSON values for pages and the admin API."""

from __future__ import annotations

import time
from typing import Any

from trunkline.providers.base import Provider, Upstream
from trunkline.routing.catalog import Discovery
from trunkline.routing.router import Router
from trunkline.routing.upstream_state import UpstreamState
from trunkline.settings import BUILT_IN_PROVIDERS


def describe_providers(router: Router) -> dict[str, Any]:
    """All providers as JSON values: those that are configured, and the built-in ones that are not."""
    preferred = router.preferred
    names = dict.fromkeys([*router.providers, *BUILT_IN_PROVIDERS])
    data = [_describe(router, name, router.providers.get(name), name == preferred) for name in names]
    return {"object": "list", "data": data, "default_provider": preferred}


def _describe(router: Router, name: str, provider: Provider | None, default: bool) -> dict[str, Any]:
    if provider is None:
        missing = {"object": "provider", "name": name, "type": name, "configured": False, "healthy": False}
        return missing | {"default": False}
    listing = router.catalog.listings[name]
    upstreams = [
        _describe_upstream(upstream, state, listing.discoveries.get(upstream.origin))
        for upstream, state in router.states(provider)
    ]
    return {
        "object": "provider",
        "name": name,
        "type": provider.kind,
        "configured": True,
        "healthy": any(each["healthy"] for each in upstreams),
        "default": default,
        "local": provider.local,
        "local_only": provider.local_only,
        "models": len(listing.models),
        "stale": listing.stale,
        "upstreams": upstreams,
    }


def _describe_upstream(
    upstream: Upstream, state: UpstreamState, discovery: Discovery | None
) -> dict[str, Any]:
    now = time.perf_counter()
    wait = state.seconds_until_allowed(now)
    breaker = ("closed", "half-open", "open")[state.breaker.state(now)]
    failed = discovery is not None and discovery.error is not None
    last_error = discovery.error if discovery is not None else None
    if not failed and state.breaker.failures and state.last_failure is not None:
        last_error = state.last_failure.message
    return {
        "name": upstream.name,
        "healthy": breaker == "closed" and wait == 0 and not failed,
        "breaker": breaker,
        "rests_for_s": round(wait, 1),
        "in_flight": state.gate.in_flight,
        "sent": state.requests_sent,
        "failures_in_a_row": state.breaker.failures,
        "latency_ms": round(state.latency.value * 1000, 1) or None,
        "last_error": last_error,
        "checked_at": None if discovery is None else int(discovery.ended_at),
    }
