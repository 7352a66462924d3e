"""What Ollama's API tells: version, models, what runs, who is asking.

Version, tags and status are pages; ps and show ask the fleet, and so are errands.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final
from uuid import NAMESPACE_OID, uuid5

import msgspec

from trunkline.errors import INVALID_JSON, INVALID_REQUEST, MODEL_NOT_FOUND, CallerError, GatewayError
from trunkline.providers.ollama import OllamaProvider, OllamaServer
from trunkline.server.endpoints.ollama import fleet, model_info
from trunkline.server.endpoints.pages import Headers, Page, json_page, models_for
from trunkline.server.http.async_handler import RequestContext

if TYPE_CHECKING:
    from trunkline.policy.auth import ApiKey
    from trunkline.server.app.gateway import Gateway

API_VERSION: Final = "0.33.0"
"""The version of Ollama whose API this is. Clients compare it with the least that they can talk to."""


def fields_of(body: bytes) -> dict[str, Any]:
    """The object in a request's body.

    Raises:
        CallerError: 400, in Ollama's words.
    """
    if not body.strip():
        raise CallerError("missing request body")
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CallerError(f"invalid JSON: {error}", INVALID_JSON) from None


def model_in(fields: dict[str, Any]) -> str:
    """The model that a request names, in ``model`` or, as older clients do, in ``name``.

    Raises:
        CallerError: 400, it names none.
    """
    name = fields.get("model") or fields.get("name")
    if not isinstance(name, str) or not name:
        raise CallerError("model is required", param="model")
    return name


def version(gateway: Gateway, headers: Headers, only: str | None = None) -> Page:
    """The version of Ollama's API."""
    return json_page({"version": API_VERSION})


def status(gateway: Gateway, headers: Headers, only: str | None = None) -> Page:
    """Models from elsewhere are not switched off."""
    return json_page({"cloud": {"disabled": False, "source": "none"}})


def tags(gateway: Gateway, headers: Headers, only: str | None = None, key: ApiKey | None = None) -> Page:
    """Every model that the key may ask for, of all providers or of one."""
    found = [
        model_info.tag_entry(
            model.id if only else gateway.router.public_id(name, model.id),
            name,
            gateway.host_of(name),
            model,
            gateway.started_at,
        )
        for name, model in models_for(gateway, key, only)
    ]
    return json_page({"models": model_info.newest_first(found)})


async def ps(context: RequestContext, only: str | None = None) -> Page:
    """What is loaded anywhere in the fleet. A server that does not answer has nothing to tell.

    Raises:
        ProviderError: no server answers.
    """
    gateway = context.gateway
    servers = fleet.servers_of(gateway, only)
    answers = await asyncio.gather(*(_running(gateway, server, only) for server in servers))
    failures = [answer for answer in answers if isinstance(answer, GatewayError)]
    if failures and len(failures) == len(servers):
        raise failures[0]
    found = [route for answer in answers if not isinstance(answer, GatewayError) for route in answer]
    return json_page({"models": found})


async def _running(
    gateway: Gateway, server: OllamaServer, only: str | None
) -> list[dict[str, Any]] | GatewayError:
    try:
        entries = await server.running()
    except GatewayError as error:
        return error
    found = []
    for route in entries:
        model = str(route.get("model") or route.get("name"))
        if gateway.catalog.allows(model):
            name = model if only else gateway.router.public_id(server.provider.name, model)
            found.append({**route, "name": name, "model": name, "upstream": server.name})
    return found


async def show(context: RequestContext, only: str | None = None) -> Page:
    """One model, under any of the names that a request may call it by; an Ollama server tells its own.

    Raises:
        CallerError: 404, nobody has it.
        ProviderError: who has it did not answer.
    """
    gateway, fields = context.gateway, fields_of(context.body)
    wanted = model_in(fields)
    candidates = await gateway.find(wanted, only)
    first = candidates[0]
    provider = first.provider
    if isinstance(provider, OllamaProvider):
        failure: GatewayError | None = None
        for each in candidates:
            if each.provider is not provider:
                break
            asked = {**fields, "model": each.model}
            asked.pop("name", None)
            try:
                shown = await OllamaServer(provider, each.upstream).command("POST", "/api/show", asked)
                return Page(shown)
            except GatewayError as error:
                failure = error
        assert failure is not None
        raise failure
    model = gateway.catalog.listings[provider.name].find(first.model)
    if model is None:
        raise CallerError(f"model '{wanted}' not found", MODEL_NOT_FOUND, param="model")
    return json_page(
        model_info.show_answer(provider.name, gateway.host_of(provider.name), model, gateway.started_at)
    )


async def me(context: RequestContext, only: str | None = None) -> Page:
    """Whose key it is. Ollama's clients want a UUID; it is derived from the key's id."""
    key = context.key
    who, name = ("local", "local") if key is None else (key.id, key.name)
    return json_page({"id": str(uuid5(NAMESPACE_OID, f"trunkline:{who}")), "email": "", "name": name})


async def sign_out(context: RequestContext, only: str | None = None) -> Page:
    """Nobody is signed in.

    Raises:
        CallerError: always.
    """
    raise CallerError("Nobody signs in or out here; `trunkline keys revoke` ends a key", INVALID_REQUEST)
