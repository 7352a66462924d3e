"""The servers that a request about models is for: which belong to the fleet, and which of them have a model.

A model's name may be pinned to a provider, as everywhere; else it stands for that model on every Ollama
server. Of these servers the request goes to the one that it names (``?upstream=``), to all, or to the one
with the most room.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from trunkline.errors import (
    FORBIDDEN,
    INVALID_REQUEST,
    MODEL_NOT_ALLOWED,
    MODEL_NOT_FOUND,
    UPSTREAM_UNREACHABLE,
    CallerError,
    GatewayError,
    ProviderError,
    redact,
)
from trunkline.policy.auth import may_reach, may_use
from trunkline.providers.ollama import OllamaProvider, OllamaServer
from trunkline.routing import names

if TYPE_CHECKING:
    from trunkline.policy.auth import ApiKey
    from trunkline.providers.base import Provider
    from trunkline.routing.catalog import Catalog
    from trunkline.settings import Settings

ALL: Final = "all"
"""Value of OLLAMA_MANAGE and of ``?upstream=``: all servers."""
EMPTIEST: Final = "room"
"""Another such value: the server with the most room."""
NAMED: Final = "named"
"""Says of a selection that the request named the server."""


class Fleet(Protocol):
    """What endpoints need that ask the Ollama servers."""

    providers: dict[str, Provider]
    catalog: Catalog


class MissedCommands(Protocol):
    """Keeps commands for servers that do not answer; satisfied by :class:`.repairs.Repairs`."""

    def add(self, servers: Iterable[OllamaServer], command: Command) -> None: ...
    def forget(self, servers: Iterable[OllamaServer], model: str) -> None: ...


class Command(NamedTuple):
    """A command that changes which models a server has."""

    method: str
    path: str
    body: dict[str, Any]
    model: str
    """The model that is made, changed or deleted by it."""


class ManagedFleet(Fleet, Protocol):
    """What endpoints need that manage the models of the Ollama servers."""

    settings: Settings

    @property
    def repairs(self) -> MissedCommands: ...


class FleetModel(NamedTuple):
    """A model that a request names, and the servers that it may be on."""

    servers: list[OllamaServer]
    model: str
    """Its name there."""


def servers_of(fleet: Fleet, only: str | None, key: ApiKey | None) -> list[OllamaServer]:
    """Every Ollama server that a key may reach, or those of one provider.

    Args:
        fleet: all servers.
        only: the provider; None stands for all.
        key: the caller's; None where none is asked for, and for what the gateway does of its own accord.
    """
    return [
        OllamaServer(provider, upstream)
        for name, provider in fleet.providers.items()
        if isinstance(provider, OllamaProvider) and only in (None, name) and may_reach(key, provider)
        for upstream in provider.upstreams
        if upstream.name == upstream.origin
    ]


def resolve_model(fleet: Fleet, name: str, only: str | None, verb: str, key: ApiKey | None) -> FleetModel:
    """The servers and the model that a name stands for, as far as a key may use that model there.

    Args:
        fleet: all servers.
        name: as the client wrote it.
        only: the provider that the path names.
        verb: what is to be done, for error texts.
        key: the caller's; None where none is asked for.

    Raises:
        CallerError: the name is pinned to a provider that is no Ollama fleet, belongs only to a model that is
            not on an Ollama server, or may not be used; or there is no Ollama server.
    """
    pinned, written = only, name
    if only is None and (prefixed := names.read_prefix(name, fleet.providers.keys())) is not None:
        pinned, name = prefixed.provider, prefixed.rest
    elif only is not None and (prefixed := names.read_prefix(name, (only,))) is not None:
        name = prefixed.rest
    name = names.without_default_registry(name)
    if pinned is not None and not isinstance(fleet.providers[pinned], OllamaProvider):
        raise _not_on_ollama(name, pinned, verb)
    everywhere = servers_of(fleet, pinned, None)
    servers = [each for each in everywhere if may_use(key, written, each.provider, name)]
    if everywhere and not servers:
        raise CallerError(f"This key may not use model '{redact(written)}'", MODEL_NOT_ALLOWED, param="model")
    if not servers:
        text = f"There is no Ollama server to {verb} models on. Check OLLAMA_ENABLED and OLLAMA_BASE_URL"
        raise CallerError(text, INVALID_REQUEST, param="model")
    if pinned is None and not any(listing_of(fleet, server).holds(name) for server in servers):
        for other, listing in fleet.catalog.listings.items():
            listed = listing.models.get(names.untagged(name)) or listing.models.get(name)
            if listed is not None and ("/" in listed.id or verb != "pull"):
                raise _not_on_ollama(name, other, verb)
    if not fleet.catalog.allows(name):
        text = f"Model '{redact(name)}' is not among those that MODELS_FILTER allows"
        raise CallerError(text, FORBIDDEN, param="model")
    return FleetModel(servers, name)


def _not_on_ollama(name: str, provider: str, verb: str) -> CallerError:
    text = (
        f"Cannot {verb} '{redact(name)}': it is a model of provider '{provider}', which is no Ollama server"
    )
    return CallerError(text, INVALID_REQUEST, param="model", provider=provider)


class ServerListing(NamedTuple):
    """The models that one server was last seen to have."""

    answered: bool
    ids: frozenset[str]
    size: int
    """Bytes of all its models."""

    def holds(self, model: str) -> bool:
        """Whether the model is there, with or without its default tag."""
        return not self.ids.isdisjoint(names.spellings(model))


def listing_of(fleet: Fleet, server: OllamaServer) -> ServerListing:
    """What the catalog knows of a server."""
    listing = fleet.catalog.listings[server.provider.name]
    ids = listing.by_upstream.get(server.upstream.origin)
    if ids is None:
        return ServerListing(not listing.known, frozenset(), 0)
    models = (model for model in listing.models.values() if model.id.lower() in ids)
    return ServerListing(True, ids, sum(_size(model.listing) for model in models))


def _size(entry: Mapping[str, object] | None) -> int:
    size = (entry or {}).get("size")
    return size if isinstance(size, int) else 0


async def refresh(fleet: Fleet, servers: Sequence[OllamaServer]) -> None:
    """Ask the providers of these servers for their models again."""
    await fleet.catalog.refresh({server.provider.name for server in servers})


def select_servers(
    fleet: ManagedFleet, servers: Sequence[OllamaServer], target: str | None
) -> tuple[list[OllamaServer], str]:
    """The servers that a request is for.

    Args:
        fleet: its setting counts where the request says nothing.
        servers: those that the model may be on.
        target: a server's name, or one of the values of the setting; None where the request says nothing.

    Returns:
        The servers, and how they were selected: ``ALL``, ``EMPTIEST`` (all of them are returned, one is to be
        selected yet) or ``NAMED``.

    Raises:
        CallerError: no server has that name.
    """
    target = target or fleet.settings.ollama_manage
    if target in (ALL, EMPTIEST):
        return list(servers), target
    found = [server for server in servers if server.name == target]
    if not found:
        known = ", ".join(sorted(server.name for server in servers))
        text = f"No Ollama server is named '{redact(target)}'. There are {known}; or write all, or room"
        raise CallerError(text, INVALID_REQUEST, param="upstream")
    return found, NAMED


def silence_of(fleet: Fleet, server: OllamaServer) -> GatewayError:
    """The error for a server that did not answer the last request for its models: what is known of why."""
    discovery = fleet.catalog.listings[server.provider.name].discoveries.get(server.upstream.origin)
    reason = "It does not answer" if discovery is None else discovery.error or "It does not answer"
    return ProviderError(reason, UPSTREAM_UNREACHABLE, provider=server.provider.name)


def answering(fleet: Fleet, servers: Sequence[OllamaServer]) -> list[OllamaServer]:
    """The servers that answered the last request for their models; all, if none did."""
    return [server for server in servers if listing_of(fleet, server).answered] or list(servers)


def emptiest(fleet: Fleet, servers: Sequence[OllamaServer]) -> list[OllamaServer]:
    """The one server whose models take the fewest bytes: Ollama does not tell how much disk is left."""
    return [min(servers, key=lambda server: listing_of(fleet, server).size)]


def not_found(model: str) -> CallerError:
    """The error for a model that no server has, in Ollama's wording."""
    return CallerError(f"model '{redact(model)}' not found", MODEL_NOT_FOUND, param="model")
