"""The models that clients can see, in OpenAI's shape, and the upstreams that have a model."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from trunkline.errors import MODEL_NOT_FOUND, CallerError, redact
from trunkline.pipeline.pipeline import FIRST_LOOK_S
from trunkline.providers.base import ModelInfo
from trunkline.server.http.page import Headers, Page, json_page

if TYPE_CHECKING:
    from trunkline.policy.auth import ApiKey
    from trunkline.routing.candidates import Candidate
    from trunkline.routing.catalog import Catalog
    from trunkline.routing.router import Router


class ModelCatalog(Protocol):
    """What endpoints need that list models or look one up."""

    catalog: Catalog
    router: Router


def list_models(
    services: ModelCatalog, headers: Headers, only: str | None = None, key: ApiKey | None = None
) -> Page:
    """OpenAI's list of the models that a key may use: of all providers, or of one."""
    data = [
        model_object(services, provider, model, pinned=only is not None)
        for provider, model in models_for(services, key, only)
    ]
    return json_page({"object": "list", "data": data})


def models_for(
    services: ModelCatalog, key: ApiKey | None, only: str | None = None
) -> Iterator[tuple[str, ModelInfo]]:
    """The models that a key may use, each with its provider's name."""
    for provider in [only] if only else list(services.catalog.listings):
        if key is not None and not key.allows_provider(provider):
            continue
        for model in services.catalog.listings[provider].models.values():
            if key is None or key.allows_model((model.id, f"{provider}/{model.id}")):
                yield provider, model


def show_model(
    services: ModelCatalog, headers: Headers, model: str, only: str | None = None, key: ApiKey | None = None
) -> Page:
    """One model, under any of the names that a request may call it by.

    Raises:
        CallerError: 404, no provider lists it, or the key may not use it.
    """
    try:
        target = services.router.resolver.resolve(model, only)[0]
    except CallerError as error:
        if error.kind is MODEL_NOT_FOUND and key is not None and key.restricted:
            raise _in_no_catalog(model) from None  # what helps to get it is not for a key that may not use it
        raise
    found = services.catalog.listings[target.provider.name].find(target.model)
    known = found is not None
    if found is not None and key is not None:
        provider = target.provider.name
        known = key.allows_provider(provider) and key.allows_model(
            (model, found.id, f"{provider}/{found.id}")
        )
    if found is None or not known:
        raise _in_no_catalog(model)
    return json_page(model_object(services, target.provider.name, found, pinned=only is not None))


def _in_no_catalog(model: str) -> CallerError:
    return CallerError(f"Model '{redact(model)}' is not in any catalog", MODEL_NOT_FOUND, param="model")


def model_object(services: ModelCatalog, provider: str, model: ModelInfo, *, pinned: bool) -> dict[str, Any]:
    """OpenAI's model object, with what discovery knows beyond it.

    The id is one that leads to this model: the model's own where the router takes that to this provider (so
    that a request keeps its fallbacks), else with the provider's prefix.

    Args:
        services: the catalog and the router.
        provider: the name of the model's provider.
        model: what discovery knows.
        pinned: the path of the request names the provider already.
    """
    found: dict[str, Any] = {
        "id": model.id if pinned else services.router.public_id(provider, model.id),
        "object": "model",
        "created": model.created or 0,
        "owned_by": model.owner or provider,
        "provider": provider,
    }
    extras = {
        "context_length": model.context_length,
        "max_output_tokens": model.max_output,
        "capabilities": list(model.capabilities) or None,
        "pricing": model.prices,
    }
    return found | {name: value for name, value in extras.items() if value is not None}


async def find_candidates(services: ModelCatalog, model: str, only: str | None = None) -> list[Candidate]:
    """The upstreams that have a model, in the order in which they would be asked for it.

    Args:
        services: the catalog and the router.
        model: as the client wrote it.
        only: the provider that the path names.

    Raises:
        CallerError: no provider has it, or it may not be used.
    """
    await wait_for_discovery(services)
    find = partial(services.router.pool, model, None, only)
    try:
        return list(find())
    except CallerError as error:
        if error.kind is not MODEL_NOT_FOUND:
            raise
        return list(await services.catalog.find_after_look(find))


async def wait_for_discovery(services: ModelCatalog) -> None:
    """Wait a moment for the first look at the providers, if that is not over yet."""
    if not services.catalog.discovered:
        await services.catalog.wait_until_discovered(FIRST_LOOK_S)
