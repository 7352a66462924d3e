"""Ollama's API besides its requests to models: version, models, what is loaded, the key's owner."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Protocol
from uuid import NAMESPACE_OID, uuid5

from trunkline.errors import INVALID_REQUEST, MODEL_NOT_FOUND, CallerError, GatewayError, redact
from trunkline.policy.auth import may_use
from trunkline.providers.base import ModelInfo, Provider
from trunkline.providers.ollama import OllamaProvider, OllamaServer
from trunkline.routing import names
from trunkline.server.endpoints.models import ModelCatalog, find_candidates, listed_models
from trunkline.server.endpoints.ollama import fleet, model_info
from trunkline.server.endpoints.ollama.fields import read_fields
from trunkline.server.endpoints.ollama.fleet import Fleet
from trunkline.server.http.async_handler import RequestContext
from trunkline.server.http.page import Headers, Page, json_page

if TYPE_CHECKING:
    from trunkline.policy.auth import ApiKey

API_VERSION: Final = "0.33.0"
"""The version of Ollama whose API this is. Clients compare it with the lowest that they work with."""


class OllamaModels(ModelCatalog, Fleet, Protocol):
    """What the pages on models need."""

    started_at: float


def model_in(fields: dict[str, Any]) -> str:
    """The model that a request names, in ``model`` or, as older clients do, in ``name``.

    Raises:
        CallerError: 400, it names none.
    """
    name = fields.get("model") or fields.get("name")
    if not isinstance(name, str) or not name:
        raise CallerError("model is required", param="model")
    return name


def version(services: object, headers: Headers, only: str | None = None) -> Page:
    """The version of Ollama's API."""
    return json_page({"version": API_VERSION})


def status(services: object, headers: Headers, only: str | None = None) -> Page:
    """Cloud models are not switched off."""
    return json_page({"cloud": {"disabled": False, "source": "none"}})


def tags(
    services: OllamaModels, headers: Headers, only: str | None = None, key: ApiKey | None = None
) -> Page:
    """Every model that the key may use, of all providers or of one."""
    found = [
        model_info.tag_entry(
            name, provider, _host_of(services.providers[provider]), model, services.started_at
        )
        for name, provider, model in listed_models(services, key, only)
    ]
    return json_page({"models": model_info.newest_first(found)})


def _host_of(provider: Provider) -> str:
    """Where a provider's models are, for clients to show: its address, or its type where it has none."""
    return provider.upstreams[0].url or f"{provider.kind}:{provider.name}"


async def ps(context: RequestContext[OllamaModels], only: str | None = None) -> Page:
    """The models that are loaded on any server of the fleet, as far as the key may use them. A server that
    does not answer is left out.

    Raises:
        ProviderError: no server answers.
    """
    services = context.services
    servers = fleet.servers_of(services, only, context.key)
    answers = await asyncio.gather(
        *(_loaded_models(services, server, only, context.key) for server in servers)
    )
    failures = [answer for answer in answers if isinstance(answer, GatewayError)]
    if failures and len(failures) == len(servers):
        raise failures[0]
    found = [entry for answer in answers if not isinstance(answer, GatewayError) for entry in answer]
    return json_page({"models": found})


async def _loaded_models(
    services: OllamaModels, server: OllamaServer, only: str | None, key: ApiKey | None
) -> list[dict[str, Any]] | GatewayError:
    try:
        entries = await server.running()
    except GatewayError as error:
        return error
    found = []
    for entry in entries:
        model = str(entry.get("model") or entry.get("name"))
        if services.catalog.allows(model) and may_use(key, model, server.provider, model):
            name = model if only else services.router.public_id(server.provider.name, model)
            found.append({**entry, "name": name, "model": name, "upstream": server.name})
    return found


async def show(context: RequestContext[OllamaModels], only: str | None = None) -> Page:
    """One model, under any of the names that a request may call it by. For a model on an Ollama server, that
    server is asked.

    Raises:
        CallerError: 404, no provider has it, or the key may not use it.
        ProviderError: none of the servers that have it answered.
    """
    services, fields = context.services, read_fields(context.body)
    name = model_in(fields)
    try:
        candidates = await find_candidates(services, name, only, context.key)
    except CallerError as error:
        if error.kind is not MODEL_NOT_FOUND:
            raise
        return await _show_unlisted(services, fields, name, only, context.key, error)
    failure: GatewayError | None = None
    for candidate in candidates:
        provider = candidate.provider
        if isinstance(provider, OllamaProvider):
            body = {**fields, "model": candidate.model}
            body.pop("name", None)
            try:
                answer = await OllamaServer(provider, candidate.upstream).command("POST", "/api/show", body)
                return Page(answer)
            except GatewayError as error:
                failure = failure or error
                continue
        model = services.catalog.listings[provider.name].find(candidate.model)
        if model is None and only is None and services.router.resolver.configured_name(name) is not None:
            model = ModelInfo(id=candidate.model)  # as in the lists
        if model is not None:
            model = services.catalog.describe(provider.name, model)
            host, started_at = _host_of(provider), services.started_at
            return json_page(model_info.show_answer(provider.name, host, model, started_at))
    raise failure or CallerError(f"model '{redact(name)}' not found", MODEL_NOT_FOUND, param="model")


async def _show_unlisted(
    services: OllamaModels,
    fields: dict[str, Any],
    name: str,
    only: str | None,
    key: ApiKey | None,
    missing: CallerError,
) -> Page:
    """What an Ollama server says of a model that no provider lists: mostly in which way the name is wrong.

    Raises:
        CallerError: the server's refusal; ``missing`` if it has nothing to add, or may not be asked.
    """
    prefixed = names.read_prefix(name, services.providers.keys())
    model = name if prefixed is None else prefixed.rest
    servers = fleet.servers_of(services, only if prefixed is None else prefixed.provider, key)
    servers = [server for server in servers if may_use(key, name, server.provider, model)]
    if not servers or not services.catalog.allows(model):
        raise missing
    body = {**fields, "model": model}
    body.pop("name", None)
    try:
        return Page(await fleet.answering(services, servers)[0].command("POST", "/api/show", body))
    except CallerError:
        raise
    except GatewayError:
        raise missing from None


async def me(context: RequestContext[object], only: str | None = None) -> Page:
    """The owner of the key. Ollama's clients expect a UUID; it is derived from the key's id."""
    key = context.key
    key_id, name = ("local", "local") if key is None else (key.id, key.name)
    return json_page({"id": str(uuid5(NAMESPACE_OID, f"trunkline:{key_id}")), "email": "", "name": name})


async def sign_out(context: RequestContext[object], only: str | None = None) -> Page:
    """Signing out, which there is not: keys are revoked.

    Raises:
        CallerError: always.
    """
    raise CallerError("Nobody signs in or out here; `trunkline keys revoke` ends a key", INVALID_REQUEST)
