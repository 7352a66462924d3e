"""Name in, providers out: which of them may serve a request, and what each calls the model.

The rules, in words: text before the first ``:`` or ``/`` pins a provider if it names one and the whole is
not better explained otherwise; a bare name is looked up in the aliases and routes, then at the preferred
provider, then wherever discovery found it; other providers that list the same model come after it, as
fallbacks, unless the name was pinned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Final, NamedTuple

from trunkline.errors import (
    INVALID_REQUEST,
    MODEL_NOT_FOUND,
    PROVIDER_NOT_CONFIGURED,
    CallerError,
    GatewayError,
    redact,
)
from trunkline.providers.base import Provider
from trunkline.routing import names
from trunkline.routing.catalog import Catalog
from trunkline.settings import BUILT_IN_PROVIDERS

MAX_COMPARED: Final = 100
"""Names that are compared at most to suggest one: comparing is slow, and errors must not be."""


class Target(NamedTuple):
    """One provider that may serve a request, and the model's name there."""

    provider: Provider
    model: str
    weight: float = 1.0
    priority: int = 0


class RouteRule(NamedTuple):
    """A name of our own and the targets that serve it."""

    targets: Sequence[tuple[str, str, float, int]]
    """(provider, model, weight, priority)."""
    strategy: str = "priority"
    local_only: bool = False


class Rules(NamedTuple):
    """What the settings say about routing."""

    preferred: str = "auto"
    fallback: bool = True
    default_model: str = "llama2"
    """Serves a request that names no model, where Ollama is meant."""
    aliases: Mapping[str, str] = {}
    routes: Mapping[str, RouteRule] = {}
    """By name."""
    strategies: Mapping[str, str] = {}
    """How one of a provider's own upstreams is chosen, by provider; ``auto`` where it is not said."""
    model_limits: Mapping[str, int] = {}
    """Most requests at once for each upstream and model, by ``provider/pattern``."""


class Resolver:
    """Resolves names over the providers and their catalog."""

    def __init__(self, providers: Mapping[str, Provider], catalog: Catalog, rules: Rules) -> None:
        self.providers = providers
        self.catalog = catalog
        self.rules = rules
        self._known = frozenset(providers) | frozenset(BUILT_IN_PROVIDERS)
        self._aliases = {name.lower(): target for name, target in rules.aliases.items()}
        self._routes = {name.lower(): route for name, route in rules.routes.items()}

    @property
    def preferred(self) -> str:
        """The preferred provider; where that one is not configured, the first that is and answers."""
        if self.rules.preferred in self.providers:
            return self.rules.preferred
        listings = self.catalog.listings
        answering = (name for name, listing in listings.items() if listing.known and not listing.stale)
        real = next((name for name in answering if name != "custom"), None)
        return real or next(iter(self.providers))

    def route(self, name: str) -> RouteRule | None:
        """The configured route that ``name``, or what it is an alias of, stands for."""
        name = self._aliases.get(name.lower(), name)
        return self._routes.get(name.lower())

    def resolve(self, model: str | None, only: str | None = None) -> list[Target]:
        """The providers to ask and what each calls the model; at least one.

        Args:
            model: as the client wrote it; None where it wrote none.
            only: the provider that the path of the request names.

        Raises:
            CallerError: no model, an unknown provider, or a model that nobody has or that may not be used.
        """
        if only is not None:
            return [self._at(self.provider(only), self._strip(model or self.default_model(only), only))]
        name = model or self.default_model(None)
        route = self.route(name)
        if route is not None:
            return [
                Target(self.provider(provider), target, weight, priority)
                for provider, target, weight, priority in route.targets
            ]
        name = self._aliases.get(name.lower(), name)
        prefixed = self._pinned(name)
        if prefixed is not None:
            provider = self.provider(prefixed.provider)
            rest = name if self._own_namespace(provider, name, prefixed) else prefixed.rest
            return [self._at(provider, rest)]
        return self._anywhere(name)

    def is_pinned(self, model: str) -> bool:
        """Whether the name says which provider is meant."""
        return self._pinned(self._aliases.get(model.lower(), model)) is not None

    def _pinned(self, name: str) -> names.Prefixed | None:
        prefixed = names.read_prefix(name, self._known)
        if prefixed is None or self._better_explained(name, prefixed):
            return None
        return prefixed

    def default_model(self, meant: str | None) -> str:
        """The model of a request that names none and is ``meant`` for a provider, or for none.

        Raises:
            CallerError: 400, where there is no default.
        """
        if (meant or self.preferred) == "ollama":
            return self.rules.default_model
        raise CallerError("Missing required parameter: 'model'", INVALID_REQUEST, param="model")

    def provider(self, name: str) -> Provider:
        """The provider of that name.

        Raises:
            CallerError: 404, it is not configured; with what mends it.
        """
        provider = self.providers.get(name)
        if provider is None:
            raise CallerError(not_configured(name), PROVIDER_NOT_CONFIGURED, param="model", provider=name)
        return provider

    def _strip(self, model: str, provider: str) -> str:
        """The name without a prefix that repeats the path's provider."""
        prefixed = names.read_prefix(model, (provider,))
        if prefixed is None or self._own_namespace(self.providers[provider], model, prefixed):
            return model
        return prefixed.rest

    def _own_namespace(self, provider: Provider, name: str, prefixed: names.Prefixed) -> bool:
        """``openrouter/auto`` is an id of OpenRouter's own, prefix and all; so is ``custom:latest``."""
        listing = self.catalog.listings[provider.name]
        if listing.known:
            return listing.find(name) is not None and listing.find(prefixed.rest) is None
        row = getattr(provider, "row", None)
        vendor_ids = row is not None and row.vendor_ids
        return vendor_ids and prefixed.separator == "/" and "/" not in prefixed.rest

    def _better_explained(self, name: str, prefixed: names.Prefixed) -> bool:
        """Some other provider lists the whole name, and the named one is not there or lacks the rest."""
        provider = self.providers.get(prefixed.provider)
        if provider is not None:
            listing = self.catalog.listings[prefixed.provider]
            if listing.find(prefixed.rest) or listing.find(name):
                return False
            if not listing.known and prefixed.separator == "/":
                return False  # with a colon, the name of a model and its tag is as likely
        others = (listing for other, listing in self.catalog.listings.items() if other != prefixed.provider)
        if any(listing.find(name) for listing in others):
            return True
        return provider is None and prefixed.separator == "/" and self._takes_vendor_ids()

    def _takes_vendor_ids(self) -> bool:
        """The preferred provider names models ``vendor/model``, and has not said yet which it has."""
        row = getattr(self.providers[self.preferred], "row", None)
        return row is not None and row.vendor_ids and not self.catalog.listings[self.preferred].known

    def _at(self, provider: Provider, name: str) -> Target:
        """The model at one provider. One that is not listed is asked for all the same: the provider was
        named, may have got the model since, and says for itself if it has not."""
        model = self.catalog.listings[provider.name].find(name)
        if model is not None:
            return Target(provider, names.as_asked(model.id, name))
        closed = provider.name == "custom" and self.rules.preferred != "custom"
        if closed or not self.catalog.allows(name):
            raise self._not_found(name, [provider.name])
        return Target(provider, name)

    def _anywhere(self, name: str) -> list[Target]:
        """Everyone who lists the model, the preferred provider first; if nobody does, that one on trust."""
        first = self.preferred
        order = [first, *(other for other in self.providers if other != first)]
        targets = []
        for provider in order:
            model = self.catalog.listings[provider].find(name)
            if model is not None:
                targets.append(Target(self.providers[provider], names.as_asked(model.id, name)))
        if targets:
            return targets
        if self._takes_anything(self.providers[first]) and self.catalog.allows(name):
            return [Target(self.providers[first], name)]
        raise self._not_found(name, order)

    def _takes_anything(self, provider: Provider) -> bool:
        """Asked on trust: it has not said yet which models it has, or it answers any name."""
        if provider.name == "custom":
            return self.rules.preferred == "custom"
        return not self.catalog.listings[provider.name].known

    def _not_found(self, name: str, searched: Sequence[str]) -> GatewayError:
        beginning = names.short(name)[:3].lower()
        listed = (known for each in searched for known in self.catalog.listings[each].models)
        alike = [known for known in listed if names.short(known).lower().startswith(beginning)]
        close = get_close_matches(name, alike[:MAX_COMPARED], n=3, cutoff=0.5)
        name = redact(name)  # it may be a key in the wrong place
        if list(searched) == ["ollama"]:
            text = f"Model '{name}' not found in Ollama. Pull the model with `ollama pull {name}`"
        else:
            text = f"Model '{name}' not found at {', '.join(searched)}. GET /v1/models lists what there is"
        if close:
            text += f". Did you mean {' or '.join(close)}?"
        return CallerError(text, MODEL_NOT_FOUND, param="model")


_HOW_TO_CONFIGURE = {
    "ollama": "Check OLLAMA_ENABLED and OLLAMA_BASE_URL",
    "openrouter": "Set OPENROUTER_API_KEY",
    "cerebras": "Set CEREBRAS_API_KEY",
    "openai": "Set OPENAI_API_KEY",
    "anthropic": "Set ANTHROPIC_API_KEY",
}


def not_configured(name: str) -> str:
    """That there is no provider of that name, and what would make one."""
    mend = _HOW_TO_CONFIGURE.get(name, f"Configure it under 'providers' as '{name}'")
    return f"Provider '{name}' not configured. {mend}"
