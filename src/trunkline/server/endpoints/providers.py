"""What the gateway tells of its providers: who and how they are, and why a request goes where it goes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from trunkline.errors import NOT_FOUND, CallerError, GatewayError
from trunkline.providers.base import Provider, Upstream
from trunkline.routing.explain import explain
from trunkline.routing.upstream_state import UpstreamState
from trunkline.server.endpoints.pages import Headers, Page, json_page, list_models
from trunkline.server.http.async_handler import RequestContext
from trunkline.settings import BUILT_IN_PROVIDERS

if TYPE_CHECKING:
    from trunkline.server.app.gateway import Gateway


def list_providers(gateway: Gateway, headers: Headers, only: str | None = None) -> Page:
    """All providers: those that are configured, and the built-in ones that are not."""
    return json_page(providers_object(gateway))


def provider_models(gateway: Gateway, headers: Headers, rest: str, only: str | None = None) -> Page:
    """``/v1/providers/{provider}/models``: one provider's models.

    Raises:
        CallerError: 404, no such provider, or something else behind its name.
    """
    name, _, what = rest.partition("/")
    if what != "models":
        raise CallerError(f"There is nothing at /v1/providers/{rest}", NOT_FOUND)
    gateway.router.resolver.provider(name)
    return list_models(gateway, headers, name)


def detailed(gateway: Gateway, headers: Headers) -> Page:
    """Health with its reasons for those who bring a key, without them for everybody else."""
    providers = providers_object(gateway)
    well = [each["healthy"] for each in providers["data"] if each["configured"]]
    answer: dict[str, Any] = {
        "status": "ok" if all(well) else "degraded" if any(well) else "unhealthy",
        "version": gateway.version,
        "uptime_s": round(time.time() - gateway.started_at),
        "providers": {"healthy": sum(well), "configured": len(well)},
    }
    try:
        gateway.admission.check_key(headers)
    except GatewayError:
        return json_page(answer)
    queue = {"waiting": gateway.pipeline.queue.depth, "limit": gateway.pipeline.queue.limit}
    active = len(gateway.pipeline.active)
    return json_page(answer | {"active_requests": active, "queue": queue, "providers": providers["data"]})


async def check_health(context: RequestContext, only: str | None = None) -> Page:
    """Ask every provider now, at no cost: for its list of models."""
    await context.gateway.catalog.refresh()
    return json_page(providers_object(context.gateway) | {"checked_at": int(time.time())})


async def explained(context: RequestContext, only: str | None = None) -> Page:
    """``/v1/explain?model=``: where a request for a model would go, and why.

    Raises:
        CallerError: the name leads nowhere.
    """
    operation: Any = context.query.get("operation", "chat")
    if operation not in ("chat", "completions", "embeddings"):
        raise CallerError("operation is chat, completions or embeddings", param="operation")
    local_only = context.key is not None and context.key.local_only
    await context.gateway.settle()
    return json_page(
        explain(
            context.gateway.router,
            context.query.get("model"),
            time.perf_counter(),
            operation=operation,
            only=only,
            local_only=local_only,
        )
    )


def providers_object(gateway: Gateway) -> dict[str, Any]:
    """The list of providers, as JSON values."""
    preferred = gateway.router.preferred
    names = dict.fromkeys([*gateway.providers, *BUILT_IN_PROVIDERS])
    data = [_tell(gateway, name, gateway.providers.get(name), name == preferred) for name in names]
    return {"object": "list", "data": data, "default_provider": preferred}


def _tell(gateway: Gateway, name: str, provider: Provider | None, default: bool) -> dict[str, Any]:
    if provider is None:
        missing = {"object": "provider", "name": name, "type": name, "configured": False, "healthy": False}
        return missing | {"default": False}
    listing = gateway.catalog.listings[name]
    looks = listing.discoveries
    upstreams = [
        _tell_upstream(upstream, state, looks.get(upstream.origin))
        for upstream, state in gateway.router.states(provider)
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


def _tell_upstream(upstream: Upstream, state: UpstreamState, look: Any) -> dict[str, Any]:
    now = time.perf_counter()
    rests = state.seconds_until_allowed(now)
    breaker = ("closed", "half-open", "open")[state.breaker.state(now)]
    failed = look is not None and look.error is not None
    last = state.last_failure if state.breaker.failures else None
    return {
        "name": upstream.name,
        "healthy": breaker == "closed" and rests == 0 and not failed,
        "breaker": breaker,
        "rests_for_s": round(rests, 1),
        "in_flight": state.gate.in_flight,
        "sent": state.requests_sent,
        "failures_in_a_row": state.breaker.failures,
        "latency_ms": round(state.latency.value * 1000, 1) or None,
        "last_error": look.error if failed else None if last is None else last.message,
        "checked_at": None if look is None else int(look.ended_at),
    }
