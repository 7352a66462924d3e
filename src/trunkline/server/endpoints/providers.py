"""The providers: their state, their models, and why a request goes to one of them."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from trunkline.errors import NOT_FOUND, CallerError, GatewayError
from trunkline.policy.auth import may_reach, may_use
from trunkline.routing.explain import explain
from trunkline.routing.provider_status import MayAsk, describe_providers
from trunkline.server.endpoints.models import ModelCatalog, list_models, wait_for_discovery, without_hints
from trunkline.server.http.async_handler import RequestContext
from trunkline.server.http.page import Headers, Page, json_page

if TYPE_CHECKING:
    from trunkline.pipeline.pipeline import Pipeline
    from trunkline.policy.auth import ApiKey
    from trunkline.server.http.admission import Admission


class GatewayHealth(ModelCatalog, Protocol):
    """What the page on health in detail needs."""

    version: str
    started_at: float
    admission: Admission
    pipeline: Pipeline


def list_providers(
    services: ModelCatalog, headers: Headers, only: str | None = None, key: ApiKey | None = None
) -> Page:
    """All providers: those that are configured, and the built-in ones that are not."""
    return json_page(describe_providers(services.router, _models_of(services, key)))


def _models_of(services: ModelCatalog, key: ApiKey | None) -> MayAsk:
    """Tells which models of which providers the key may ask."""
    providers = services.router.providers

    def may_ask(provider: str, model: str) -> bool:
        return may_use(key, model, providers[provider], model)

    return may_ask


def provider_models(
    services: ModelCatalog,
    headers: Headers,
    rest: str,
    only: str | None = None,
    key: ApiKey | None = None,
) -> Page:
    """``/v1/providers/{provider}/models``: those models of one provider that the key may use.

    Raises:
        CallerError: 404, no such provider, or something else behind its name.
    """
    name, _, below = rest.partition("/")
    if below != "models":
        raise CallerError(f"There is nothing at /v1/providers/{rest}", NOT_FOUND)
    services.router.resolver.provider(name)
    return list_models(services, headers, name, key)


def detailed_health(services: GatewayHealth, headers: Headers) -> Page:
    """Health, with its reasons where the request brings a valid key."""
    providers = describe_providers(services.router)
    healthy = [each["healthy"] for each in providers["data"] if each["configured"]]
    answer: dict[str, Any] = {
        "status": "ok" if all(healthy) else "degraded" if any(healthy) else "unhealthy",
        "version": services.version,
        "uptime_s": round(time.time() - services.started_at),
        "providers": {"healthy": sum(healthy), "configured": len(healthy)},
    }
    try:
        key = services.admission.check_key(headers)
    except GatewayError:
        return json_page(answer)
    providers = describe_providers(services.router, _models_of(services, key))
    queue = {"waiting": services.pipeline.queue.depth, "limit": services.pipeline.queue.limit}
    active = len(services.pipeline.active)
    return json_page(answer | {"active_requests": active, "queue": queue, "providers": providers["data"]})


async def check_health(context: RequestContext[ModelCatalog], only: str | None = None) -> Page:
    """Ask every provider that the key may reach now, at no cost: for its list of models."""
    services, key = context.services, context.key
    reached = (name for name, each in services.router.providers.items() if may_reach(key, each))
    await services.catalog.check(reached)
    providers = describe_providers(services.router, _models_of(services, key))
    return json_page(providers | {"checked_at": int(time.time())})


async def explain_model(context: RequestContext[ModelCatalog], only: str | None = None) -> Page:
    """``/v1/explain?model=``: where a request for a model would go, and why.

    Raises:
        CallerError: the name leads nowhere, or the key may not use it.
    """
    operation: Any = context.query.get("operation", "chat")
    if operation not in ("chat", "completions", "embeddings"):
        raise CallerError("operation is chat, completions or embeddings", param="operation")
    local_only = context.key is not None and context.key.local_only
    await wait_for_discovery(context.services)
    name = context.query.get("model")
    try:
        explained = explain(
            context.services.router,
            name,
            time.perf_counter(),
            operation=operation,
            only=only,
            local_only=local_only,
            is_for=partial(may_use, context.key),
        )
    except CallerError as error:
        raise without_hints(error, name, context.key) from None
    return json_page(explained)
