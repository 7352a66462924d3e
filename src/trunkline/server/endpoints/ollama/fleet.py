"""Which servers a request about models speaks of: the fleet, and who of it has a model.

A name may be pinned to a provider, as everywhere; else it means every Ollama server there is. What a request
wants done goes to the server it names (``?upstream=``), to all, or to the one with room.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from trunkline.errors import FORBIDDEN, INVALID_REQUEST, MODEL_NOT_FOUND, CallerError, redact
from trunkline.providers.ollama import OllamaProvider, OllamaServer
from trunkline.routing import names

if TYPE_CHECKING:
    from trunkline.server.app.gateway import Gateway

ALL: Final = "all"
ROOM: Final = "room"


class Meant(NamedTuple):
    """A model that a request speaks of, and the servers that it may be on."""

    servers: list[OllamaServer]
    model: str
    """Its name there."""


def servers_of(gateway: Gateway, only: str | None = None) -> list[OllamaServer]:
    """Every Ollama server, or those of one provider."""
    return [
        OllamaServer(provider, upstream)
        for name, provider in gateway.providers.items()
        if isinstance(provider, OllamaProvider) and only in (None, name)
        for upstream in provider.upstreams
        if upstream.name == upstream.origin
    ]


def meant(gateway: Gateway, name: str, only: str | None, verb: str) -> Meant:
    """The servers and the model that ``name`` speaks of.

    Args:
        gateway: whose fleet.
        name: as the client wrote it.
        only: the provider that the path names.
        verb: what is to be done, for texts.

    Raises:
        CallerError: the name is pinned to a provider that is no Ollama fleet, is one of a cloud's models
            only, or may not be used; or there is no Ollama server.
    """
    pinned = only
    if only is None and (prefixed := names.read_prefix(name, gateway.providers.keys())) is not None:
        pinned, name = prefixed.provider, prefixed.rest
    elif only is not None and (prefixed := names.read_prefix(name, (only,))) is not None:
        name = prefixed.rest
    name = names.without_default_registry(name)
    if pinned is not None and not isinstance(gateway.providers[pinned], OllamaProvider):
        raise _no_fleet(name, pinned, verb)
    servers = servers_of(gateway, pinned)
    if not servers:
        text = f"There is no Ollama server to {verb} models on. Check OLLAMA_ENABLED and OLLAMA_BASE_URL"
        raise CallerError(text, INVALID_REQUEST, param="model")
    if pinned is None and not any(listing_of(gateway, server).holds(name) for server in servers):
        for other, listing in gateway.catalog.listings.items():
            listed = listing.models.get(names.untagged(name)) or listing.models.get(name)
            if listed is not None and ("/" in listed.id or verb != "pull"):
                raise _no_fleet(name, other, verb)
    if not gateway.catalog.allows(name):
        text = f"Model '{redact(name)}' is not among those that MODELS_FILTER allows"
        raise CallerError(text, FORBIDDEN, param="model")
    return Meant(servers, name)


def _no_fleet(name: str, provider: str, verb: str) -> CallerError:
    text = (
        f"Cannot {verb} '{redact(name)}': it is a model of provider '{provider}', which is no Ollama server"
    )
    return CallerError(text, INVALID_REQUEST, param="model", provider=provider)


class Listing(NamedTuple):
    """What one server was last seen to have."""

    answered: bool
    ids: frozenset[str]
    size: int
    """Bytes of all its models."""

    def holds(self, model: str) -> bool:
        """Whether the model is there, with or without its default tag."""
        return not self.ids.isdisjoint(names.spellings(model))


def listing_of(gateway: Gateway, server: OllamaServer) -> Listing:
    """What the catalog knows of a server."""
    listing = gateway.catalog.listings[server.provider.name]
    ids = listing.by_upstream.get(server.upstream.origin)
    if ids is None:
        return Listing(not listing.known, frozenset(), 0)
    here = (model for model in listing.models.values() if model.id.lower() in ids)
    return Listing(True, ids, sum(_size(model.listing) for model in here))


def _size(route: Mapping[str, object] | None) -> int:
    size = (route or {}).get("size")
    return size if isinstance(size, int) else 0


async def look(gateway: Gateway, servers: Sequence[OllamaServer]) -> None:
    """Ask these servers' providers anew what they have."""
    await gateway.catalog.refresh({server.provider.name for server in servers})


def chosen(
    gateway: Gateway, servers: Sequence[OllamaServer], target: str | None
) -> tuple[list[OllamaServer], str]:
    """The servers that ``target`` (or the setting) leaves, and what it says: ``all``, ``room``, ``named``.

    Raises:
        CallerError: no server has that name.
    """
    target = target or gateway.settings.ollama_manage
    if target in (ALL, ROOM):
        return list(servers), target
    found = [server for server in servers if server.name == target]
    if not found:
        known = ", ".join(sorted(server.name for server in servers))
        text = f"No Ollama server is named '{redact(target)}'. There are {known}; or write all, or room"
        raise CallerError(text, INVALID_REQUEST, param="upstream")
    return found, "named"


def awake(gateway: Gateway, servers: Sequence[OllamaServer]) -> list[OllamaServer]:
    """Those that answered when they were last asked; all, if none did."""
    return [server for server in servers if listing_of(gateway, server).answered] or list(servers)


def roomiest(gateway: Gateway, servers: Sequence[OllamaServer]) -> list[OllamaServer]:
    """The one server whose models take the fewest bytes: Ollama does not tell how much disk is left."""
    return [min(servers, key=lambda server: listing_of(gateway, server).size)]


def not_found(model: str) -> CallerError:
    """No server has the model, in Ollama's words."""
    return CallerError(f"model '{redact(model)}' not found", MODEL_NOT_FOUND, param="model")
