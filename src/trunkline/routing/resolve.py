"""Name resolution: which providers may serve a model name, and what each of them calls the model.

Text before the first ``:`` or ``/`` pins a provider, if it is a provider's name and the whole name is not
better explained otherwise. A bare name is looked up in the aliases and routes, then at the preferred
provider, then wherever discovery found it. Other providers that list the same model come after it as
fallbacks, unless the name was pinned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
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
from trunkline.settings.time_limits import NO_LIMITS, TimeLimits

_REMOTE: Final = ("remote_host", "remote_model")
"""Fields of an Ollama server's list that only the models of its cloud have."""
MAX_COMPARED: Final = 100
"""The maximum number of names that are compared to suggest one: comparing is slow, and errors must be
fast."""


class Target(NamedTuple):
    """One provider that may serve a request, and the model's name there."""

    provider: Provider
    model: str
    weight: float = 1.0
    priority: int = 0
    limits: TimeLimits = NO_LIMITS
    """The time limits of the route that it belongs to."""


class RouteTarget(NamedTuple):
    """One target of a configured route; the provider is named, and may not be configured."""

    provider: str
    model: str
    weight: float = 1.0
    priority: int = 0


class RouteRule(NamedTuple):
    """A configured route: a model name of the gateway's own, and the targets that serve it."""

    targets: Sequence[RouteTarget]
    strategy: str = "priority"
    local_only: bool = False
    limits: TimeLimits = NO_LIMITS


class RoutingRules(NamedTuple):
    """What the settings say about routing."""

    preferred: str = "auto"
    """The preferred provider; ``auto`` is the first that answers."""
    fallback: bool = True
    """Whether other providers may be asked after a failure."""
    default_model: str = "llama2"
    """Serves a request that names no model, where Ollama is meant."""
    aliases: Mapping[str, str] = {}
    routes: Mapping[str, RouteRule] = {}
    """The configured routes, by model name."""
    strategies: Mapping[str, str] = {}
    """The strategy among a provider's own upstreams, by provider; ``auto`` where there is none."""
    auto_pull: Sequence[str] = ()
    """Patterns, in lower case, of the models that may be pulled when a request asks for one."""
    model_limits: Mapping[str, int] = {}
    """The maximum number of requests at once for each upstream and model, by ``provider/pattern``."""


class Resolver:
    """Resolves model names over the providers and their catalog."""

    def __init__(self, providers: Mapping[str, Provider], catalog: Catalog, rules: RoutingRules) -> None:
        self.providers = providers
        self.catalog = catalog
        self.rules = rules
        self._provider_names = frozenset(providers) | frozenset(BUILT_IN_PROVIDERS)
        self._aliases = _by_spelling(rules.aliases)
        self._route_names = _by_spelling({name: name for name in rules.routes})
        self._configured = _by_spelling({name: name for name in (*rules.routes, *rules.aliases)})
        self.configured_names = tuple(dict.fromkeys(self._configured.values()))
        """The names of routes and the aliases, as the settings spell them. Of two that differ in case only,
        there is the one that a request finds."""

    @property
    def preferred(self) -> str:
        """The preferred provider's name.

        If that one is not configured, it is the first provider that answers.
        """
        if self.rules.preferred in self.providers:
            return self.rules.preferred
        listings = self.catalog.listings
        answering = (name for name, listing in listings.items() if listing.known and not listing.stale)
        first = next((name for name in answering if not self.providers[name].answers_any_name), None)
        return first or next(iter(self.providers))

    def configured_name(self, name: str) -> str | None:
        """The alias or route that a client means by ``name``, as the settings spell it."""
        return self._configured.get(name.lower())

    def route_name(self, name: str) -> str | None:
        """The name of the configured route that ``name``, or what it is an alias of, stands for."""
        name = self._aliases.get(name.lower(), name)
        return self._route_names.get(name.lower())

    def route(self, name: str) -> RouteRule | None:
        """The configured route that ``name``, or what it is an alias of, stands for."""
        found = self.route_name(name)
        return None if found is None else self.rules.routes[found]

    def resolve(self, model: str | None, only: str | None = None) -> list[Target]:
        """The providers to ask, and what each calls the model; at least one.

        Args:
            model: the name as the client wrote it; None where the client wrote none.
            only: the provider that the path of the request names.

        Raises:
            CallerError: there is no model, the provider is unknown, or nobody has the model or it may not be
                used.
        """
        if only is not None:
            return [
                self._target_at(
                    self.provider(only), self._strip_prefix(model or self.default_model(only), only)
                )
            ]
        name = model or self.default_model(None)
        route = self.route(name)
        if route is not None:
            return [
                Target(
                    self.provider(target.provider), target.model, target.weight, target.priority, route.limits
                )
                for target in route.targets
            ]
        name = self.without_alias(name)
        prefixed = self._pinned(name)
        if prefixed is not None:
            provider = self.provider(prefixed.provider)
            rest = name if self._is_own_id(provider, name, prefixed) else prefixed.rest
            return [self._target_at(provider, rest)]
        return self._targets_anywhere(name)

    def without_alias(self, name: str) -> str:
        """What the name stands for, if it is an alias; else the name."""
        return self._aliases.get(name.lower(), name)

    def is_local(self, provider: Provider, model: str) -> bool:
        """Whether the model runs on a server of ours.

        An Ollama server has Ollama's cloud run the models whose tags say so, listed or not, and those that it
        lists with a remote host.
        """
        if not (provider.local and provider.loads_models):
            return provider.local
        listed = self.catalog.listings[provider.name].find(model)
        names_a_host = listed is not None and any(map((listed.listing or {}).get, _REMOTE))
        return not (names_a_host or names.is_cloud(model if listed is None else listed.id))

    def is_pinned(self, model: str) -> bool:
        """Whether the name says which provider is meant."""
        return self._pinned(self.without_alias(model)) is not None

    def _pinned(self, name: str) -> names.Prefixed | None:
        prefixed = names.read_prefix(name, self._provider_names)
        if prefixed is None or self._better_explained(name, prefixed):
            return None
        return prefixed

    def default_model(self, provider: str | None) -> str:
        """The model of a request that names none.

        Args:
            provider: the provider that the request is meant for, if it is meant for one.

        Raises:
            CallerError: 400, there is no default.
        """
        if (provider or self.preferred) == "ollama":
            return self.rules.default_model
        raise CallerError("Missing required parameter: 'model'", INVALID_REQUEST, param="model")

    def provider(self, name: str) -> Provider:
        """The provider of that name.

        Raises:
            CallerError: 404, it is not configured; the text says how to configure it.
        """
        provider = self.providers.get(name)
        if provider is None:
            raise CallerError(not_configured(name), PROVIDER_NOT_CONFIGURED, param="model", provider=name)
        return provider

    def _strip_prefix(self, model: str, provider: str) -> str:
        """The name without a prefix that repeats the provider of the path."""
        prefixed = names.read_prefix(model, (provider,))
        if prefixed is None or self._is_own_id(self.providers[provider], model, prefixed):
            return model
        return prefixed.rest

    def _is_own_id(self, provider: Provider, name: str, prefixed: names.Prefixed) -> bool:
        """Whether the name with its prefix is one of the provider's own ids.

        ``openrouter/auto`` is an id of OpenRouter, prefix included, and ``custom:latest`` one of custom.
        """
        listing = self.catalog.listings[provider.name]
        if listing.known:
            return listing.find(name) is not None and listing.find(prefixed.rest) is None
        return provider.has_vendor_ids and prefixed.separator == "/" and "/" not in prefixed.rest

    def _better_explained(self, name: str, prefixed: names.Prefixed) -> bool:
        """Whether another provider lists the whole name, and the named one is not there or lacks the rest."""
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
        return provider is None and prefixed.separator == "/" and self._preferred_takes_vendor_ids()

    def _preferred_takes_vendor_ids(self) -> bool:
        """Whether the preferred provider names models ``vendor/model``, and its listing is not known yet."""
        has_vendor_ids = self.providers[self.preferred].has_vendor_ids
        return has_vendor_ids and not self.catalog.listings[self.preferred].known

    def _target_at(self, provider: Provider, name: str) -> Target:
        """The model at one provider that was named.

        A model that is not listed is asked for all the same: the provider may have got it since, and says for
        itself if it has not.
        """
        model = self.catalog.listings[provider.name].find(name)
        if model is not None:
            return Target(provider, names.with_client_tag(model.id, name))
        closed = provider.answers_any_name and self.rules.preferred != provider.name
        if closed or not self.catalog.allows(name):
            raise self._not_found(name, [provider.name])
        return Target(provider, name)

    def _targets_anywhere(self, name: str) -> list[Target]:
        """All providers that list the model, the preferred one first, which may answer any name.

        If none lists it, it is the preferred provider alone, where that one may have it unlisted; or all
        Ollama servers, if the name is one of Ollama's cloud.
        """
        first = self.preferred
        order = [first, *(other for other in self.providers if other != first)]
        targets = []
        for provider in order:
            model = self.catalog.listings[provider].find(name)
            if model is not None:
                targets.append(Target(self.providers[provider], names.with_client_tag(model.id, name)))
            elif provider == self.rules.preferred and self._answers(provider, name):
                targets.append(Target(self.providers[provider], name))
        if targets:
            return targets
        if self._may_have_unlisted(self.providers[first]) and self.catalog.allows(name):
            return [Target(self.providers[first], name)]
        if names.is_cloud(name) and self.catalog.allows(name):
            clouds = [self.providers[each] for each in order if self.providers[each].loads_models]
            if clouds:
                return [Target(each, name) for each in clouds]
        for provider in order:
            if self.may_pull(self.providers[provider], name):
                return [Target(self.providers[provider], name)]
        raise self._not_found(name, order)

    def _answers(self, provider: str, name: str) -> bool:
        """Whether the provider answers any name, and the models filter allows this one."""
        return self.providers[provider].answers_any_name and self.catalog.allows(name)

    def may_pull(self, provider: Provider, name: str) -> bool:
        """Whether the provider lacks the model, and may pull it when a request asks for it."""
        if not self.rules.auto_pull or not provider.loads_models:
            return False
        listing = self.catalog.listings[provider.name]
        if not listing.known or listing.stale or listing.find(name) is not None:
            return False
        spellings = names.spellings(name)
        matches = any(fnmatchcase(each, pattern) for pattern in self.rules.auto_pull for each in spellings)
        return matches and self.catalog.allows(name)

    def _may_have_unlisted(self, provider: Provider) -> bool:
        """Whether the provider's listing is not known yet."""
        return not provider.answers_any_name and not self.catalog.listings[provider.name].known

    def _not_found(self, name: str, searched: Sequence[str]) -> GatewayError:
        places = [self.providers[each] for each in searched]
        asked = [provider for provider in places if not provider.answers_any_name]
        hint = bool(asked) and all(each.loads_models for each in asked) and self.catalog.allows(name)
        beginning = names.short(name)[:3].lower()
        listed = (model for provider in searched for model in self.catalog.listings[provider].models)
        similar = [model for model in listed if names.short(model).lower().startswith(beginning)]
        close = get_close_matches(name, similar[:MAX_COMPARED], n=3, cutoff=0.5)
        name = redact(name)  # it may be a key in the wrong place
        if hint:
            text = f"Model '{name}' not found in Ollama. Pull the model with `ollama pull {name}`"
        else:
            text = f"Model '{name}' not found at {', '.join(searched)}. GET /v1/models lists what there is"
        if close:
            text += f". Did you mean {' or '.join(close)}?"
        return CallerError(text, MODEL_NOT_FOUND, param="model")


def _by_spelling(configured: Mapping[str, str]) -> dict[str, str]:
    """The values by every way to write their names, in lower case: Ollama's clients add the default tag to a
    name, because ``/api/tags`` shows it with one. A name as it is configured wins over such a spelling."""
    found: dict[str, str] = {}
    for name, value in configured.items():
        found[name.lower()] = value
    for name, value in configured.items():
        for spelling in names.spellings(name):
            found.setdefault(spelling, value)
    return found


_HOW_TO_CONFIGURE = {
    "ollama": "Check OLLAMA_ENABLED and OLLAMA_BASE_URL",
    "openrouter": "Set OPENROUTER_API_KEY",
    "cerebras": "Set CEREBRAS_API_KEY",
    "openai": "Set OPENAI_API_KEY",
    "anthropic": "Set ANTHROPIC_API_KEY",
}


def not_configured(name: str) -> str:
    """The text of an error that there is no provider of that name, and how to configure it."""
    remedy = _HOW_TO_CONFIGURE.get(name, f"Configure it under 'providers' as '{name}'")
    return f"Provider '{name}' not configured. {remedy}"
