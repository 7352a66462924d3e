"""The model names that clients can send, in OpenAI's shape, and the upstreams that have a model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from trunkline.errors import MODEL_NOT_FOUND, CallerError, GatewayError, redact
from trunkline.pipeline.pipeline import FIRST_LOOK_S
from trunkline.policy.auth import may_use
from trunkline.providers.base import ModelInfo
from trunkline.routing import names
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


class ListedModel(NamedTuple):
    """A name that may be sent, and what answers under it."""

    name: str
    provider: str
    """The name of the provider; of a route's, the first one that the key may ask."""
    model: ModelInfo
    """What is known of the model; for a route, what holds for all of its models."""


def list_models(
    services: ModelCatalog, headers: Headers, only: str | None = None, key: ApiKey | None = None
) -> Page:
    """OpenAI's list of the models that a key may use: of all providers, or of one."""
    data = [model_object(each) for each in listed_models(services, key, only)]
    return json_page({"object": "list", "data": data})


def listed_models(
    services: ModelCatalog, key: ApiKey | None, only: str | None = None
) -> Iterator[ListedModel]:
    """The names that a request may send: routes and aliases, then the models of the providers.

    Args:
        services: the catalog and the router.
        key: the caller's key; None where none is required.
        only: the provider that the path names. There are no routes and aliases below it.
    """
    configured: set[str] = set()
    for name in () if only else services.router.resolver.configured_names:
        found = _find_configured(services, name, key)
        if found is not None:
            configured.add(names.untagged(name.lower()))
            yield found
    for provider in [only] if only else list(services.catalog.listings):
        local_only = key is not None and key.local_only
        asked = services.router.providers[provider]
        for model in services.catalog.listings[provider].models.values():
            if local_only and not services.router.resolver.is_local(asked, model.id):
                continue
            public = _name_for(services, key, provider, model.id, only)
            if public is not None and names.untagged(public.lower()) not in configured:
                yield ListedModel(public, provider, services.catalog.describe(provider, model))


def _find_configured(services: ModelCatalog, name: str, key: ApiKey | None) -> ListedModel | None:
    """What answers under an alias or a route for this key; None if a request would be refused."""
    try:
        pool = services.router.pool(name, None, None, key is not None and key.local_only)
    except GatewayError:
        return None
    behind = [(each.provider.name, each.model) for each in candidates_for(pool, name, key)]
    known = [(provider, _info(services, provider, model)) for provider, model in dict.fromkeys(behind)]
    models = [(provider, model) for provider, model in known if model is not None]
    if not models:
        return None
    return ListedModel(name, models[0][0], _common_info([model for _, model in models]))


def _info(services: ModelCatalog, provider: str, model: str) -> ModelInfo | None:
    """What is known of a model; None if the provider does not have it.

    A vendor answers under more names than it lists. A server that loads models lists all that it has.
    """
    listing = services.catalog.listings[provider]
    lists_all = listing.known and services.router.providers[provider].loads_models
    found = listing.find(model) or (None if lists_all else ModelInfo(id=model))
    return None if found is None else services.catalog.describe(provider, found)


def _common_info(models: Sequence[ModelInfo]) -> ModelInfo:
    """The first model, with the limits, capabilities and prices that hold whichever of them answers."""
    first, *others = models
    if not others:
        return first
    capabilities = [set(model.capabilities) for model in models if model.capabilities]
    return msgspec.structs.replace(
        first,
        context_length=min((m.context_length for m in models if m.context_length), default=None),
        max_output=min((m.max_output for m in models if m.max_output), default=None),
        capabilities=tuple(each for each in first.capabilities if all(each in had for had in capabilities)),
        prices=first.prices if all(model.prices == first.prices for model in others) else None,
    )


def _name_for(
    services: ModelCatalog, key: ApiKey | None, provider: str, model: str, only: str | None
) -> str | None:
    """A name under which the key may ask the provider for a model; None if there is none.

    A key can be limited to a name that no list has, the last part of a vendor's id.
    """
    name = model if only else services.router.public_id(provider, model)
    where = services.router.providers[provider]
    if may_use(key, name, where, model):
        return name
    short = names.short(model)
    if short == model or not may_use(key, short, where, model):
        return None
    try:
        targets = services.router.resolver.resolve(short, only)
    except GatewayError:
        return None
    leads_here = any(each.provider.name == provider and each.model == model for each in targets)
    return short if leads_here else None


def candidates_for(candidates: Iterable[Candidate], name: str, key: ApiKey | None) -> list[Candidate]:
    """The candidates that a key may ask.

    Args:
        candidates: of the model.
        name: the model's name as the client wrote it.
        key: the caller's key; None where none is required.
    """
    return [each for each in candidates if may_use(key, name, each.provider, each.model)]


def show_model(
    services: ModelCatalog, headers: Headers, model: str, only: str | None = None, key: ApiKey | None = None
) -> Page:
    """One model, under any of the names that a request may call it by.

    Raises:
        CallerError: 404, no provider lists it, or the key may not use it.
    """
    return json_page(model_object(find_model(services, model, only, key)))


def find_model(
    services: ModelCatalog, name: str, only: str | None = None, key: ApiKey | None = None
) -> ListedModel:
    """What answers under a name. An alias or a route keeps its name; a model has the one that lists have.

    Args:
        services: the catalog and the router.
        name: the model's name as the client wrote it.
        only: the provider that the path names.
        key: the caller's key; None where none is required.

    Raises:
        CallerError: 404, no provider lists it, or the key may not use it.
    """
    router = services.router
    configured = None if only else router.resolver.configured_name(name)
    if configured is not None:
        found = _find_configured(services, configured, key)
        if found is not None:
            return found
    else:
        try:
            pool = router.pool(name, None, only, key is not None and key.local_only)
        except CallerError as error:
            if error.kind is MODEL_NOT_FOUND and key is not None and key.restricted:
                raise _in_no_catalog(name) from None  # how to get it is not for a key that may not use it
            raise
        for candidate in candidates_for(pool, name, key):
            provider = candidate.provider.name
            model = services.catalog.listings[provider].find(candidate.model)
            if model is not None:
                public = _name_for(services, key, provider, model.id, only) or name
                return ListedModel(public, provider, services.catalog.describe(provider, model))
    raise _in_no_catalog(name)


def _in_no_catalog(model: str) -> CallerError:
    return CallerError(f"Model '{redact(model)}' is not in any catalog", MODEL_NOT_FOUND, param="model")


def model_object(listed: ListedModel) -> dict[str, Any]:
    """OpenAI's model object, with what discovery knows beyond it.

    Its id leads to this model: the model's own where the router takes that to this provider (so that a
    request keeps its fallbacks), else with the provider's prefix.
    """
    model = listed.model
    found: dict[str, Any] = {
        "id": listed.name,
        "object": "model",
        "created": model.created or 0,
        "owned_by": model.owner or listed.provider,
        "provider": listed.provider,
    }
    extras = {
        "context_length": model.context_length,
        "max_output_tokens": model.max_output,
        "capabilities": list(model.capabilities) or None,
        "pricing": model.prices,
    }
    return found | {name: value for name, value in extras.items() if value is not None}


async def find_candidates(
    services: ModelCatalog, model: str, only: str | None = None, key: ApiKey | None = None
) -> list[Candidate]:
    """The upstreams that have a model, in the order in which they would be asked for it; at least one.

    Args:
        services: the catalog and the router.
        model: as the client wrote it.
        only: the provider that the path names.
        key: the caller's key; None where none is required.

    Raises:
        CallerError: no provider has it, or it may not be used.
    """
    await wait_for_discovery(services)
    find = partial(services.router.pool, model, None, only, key is not None and key.local_only)
    try:
        pool = find()
    except CallerError as error:
        if error.kind is not MODEL_NOT_FOUND:
            raise
        try:
            pool = await services.catalog.find_after_look(find)
        except CallerError as missing:
            raise without_hints(missing, model, key) from None
    candidates = candidates_for(pool, model, key)
    if not candidates:
        raise _not_for(model)
    return candidates


def without_hints(error: CallerError, model: str | None, key: ApiKey | None) -> CallerError:
    """``error`` without what it tells of other models, for a key that may use some only."""
    if error.kind is not MODEL_NOT_FOUND or key is None or not key.restricted:
        return error
    return _not_for(model or "")


def _not_for(model: str) -> CallerError:
    """The same for a model that is not there and for one that is not for the key: it is not told which."""
    text = f"Model '{redact(model)}' is not there for this key"
    return CallerError(text, MODEL_NOT_FOUND, param="model")


async def wait_for_discovery(services: ModelCatalog) -> None:
    """Wait a moment for the first look at the providers, if that is not over yet."""
    if not services.catalog.discovered:
        await services.catalog.wait_until_discovered(FIRST_LOOK_S)
