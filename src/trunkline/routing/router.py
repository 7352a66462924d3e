"""Name in, upstreams out: which providers may serve a request, in the order in which they are asked.

The rules, in words: text before the first ``:`` or ``/`` pins a provider if it names one and the whole is
not better explained otherwise; a bare name is looked up in the aliases and routes, then at the preferred
provider, then wherever discovery found it; other providers that list the same model come after it, as
fallbacks, unless the name was pinned. Within a provider its upstreams take turns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Final, NamedTuple

from trunkline.errors import (
    INVALID_REQUEST,
    MODEL_NOT_FOUND,
    PROVIDER_NOT_CONFIGURED,
    UNSUPPORTED,
    CallerError,
    GatewayError,
    redact,
)
from trunkline.model import Operation
from trunkline.providers.base import Provider, Upstream
from trunkline.providers.ollama import OllamaProvider
from trunkline.routing import names
from trunkline.routing.catalog import Catalog
from trunkline.settings import BUILT_IN_PROVIDERS

MAX_KEPT: Final = 10_000
"""Resolutions that are kept at most: clients can ask for any name."""


MAX_COMPARED: Final = 100
"""Names that are compared at most to suggest one: comparing is slow, and errors must not be."""


class Candidate(NamedTuple):
    """One upstream that may serve a request, and the model's name there."""

    provider: Provider
    upstream: Upstream
    model: str
    lines: bytes
    """Header lines that say who serves, ready for the wire."""


class Target(NamedTuple):
    """One provider that may serve a request, and the model's name there."""

    provider: Provider
    model: str


class Rules(NamedTuple):
    """What the settings say about routing."""

    preferred: str = "auto"
    fallback: bool = True
    default_model: str = "llama2"
    """Serves a request that names no model, where Ollama is meant."""
    aliases: Mapping[str, str] = {}
    routes: Mapping[str, Sequence[tuple[str, str]]] = {}
    """(provider, model) pairs by route name."""


class Router:
    """Resolves names over the providers and their catalog."""

    def __init__(self, providers: Mapping[str, Provider], catalog: Catalog, rules: Rules) -> None:
        self.providers = providers
        self.catalog = catalog
        self.rules = rules
        self._known = frozenset(providers) | frozenset(BUILT_IN_PROVIDERS)
        self._aliases = {name.lower(): target for name, target in rules.aliases.items()}
        self._routes = {name.lower(): targets for name, targets in rules.routes.items()}
        self._turns: dict[str, int] = {}
        self._public: dict[tuple[str, str], str] = {}
        self._candidates: dict[Target, list[Candidate]] = {}
        self._found: dict[tuple[str | None, Operation, str | None], list[Target]] = {}
        self._version = -1
        """The catalog's, when what is kept was found."""

    @property
    def preferred(self) -> str:
        """The preferred provider; where that one is not configured, the first that is and answers."""
        if self.rules.preferred in self.providers:
            return self.rules.preferred
        shelves = self.catalog.shelves
        answering = (name for name, shelf in shelves.items() if shelf.known and not shelf.stale)
        real = next((name for name in answering if name != "custom"), None)
        return real or next(iter(self.providers))

    def candidates(self, model: str | None, operation: Operation, only: str | None = None) -> list[Candidate]:
        """The upstreams to ask for ``model``, in order; at least one.

        Args:
            model: as the client wrote it; None where it wrote none.
            operation: what is asked; a provider without it is passed over.
            only: the provider that the path of the request names.

        Raises:
            CallerError: no model, an unknown provider, a model that nobody has or that may not be used, or an
                operation that nobody who has the model can do.
        """
        able = self._able(model, operation, only)
        if len(able) == 1:
            return self._upstreams(able[0])
        return [candidate for target in able for candidate in self._upstreams(target)]

    def places(self, model: str, only: str | None = None) -> list[Candidate]:
        """Everywhere the model is, whatever can be asked of it there. Raises as :meth:`candidates`."""
        self._forget_if_stale()
        return [each for target in self.resolve(model, only) for each in self._upstreams(target)]

    def _able(self, model: str | None, operation: Operation, only: str | None) -> list[Target]:
        """The targets that can do the operation. What was found is kept until the catalog changes."""
        self._forget_if_stale()
        question = (model, operation, only)
        found = self._found.get(question)
        if found is None:
            found = self._find_able(model, operation, only)
            if len(self._found) < MAX_KEPT:
                self._found[question] = found
        return found

    def _forget_if_stale(self) -> None:
        if self._version != self.catalog.version:
            self._version = self.catalog.version
            self._found.clear()
            self._candidates.clear()
            self._public.clear()

    def _find_able(self, model: str | None, operation: Operation, only: str | None) -> list[Target]:
        targets = self.resolve(model, only)
        able = [target for target in targets if target.provider.supports(operation)]
        if not able:
            target = targets[0]
            raise CallerError(
                f"Provider '{target.provider.name}' has no {operation} endpoint for model '{target.model}'",
                UNSUPPORTED,
                param="model",
                provider=target.provider.name,
            )
        return able if self.rules.fallback else able[:1]

    def _upstreams(self, target: Target) -> list[Candidate]:
        """The target's upstreams that have the model, beginning with the one whose turn it is."""
        candidates = self._candidates.get(target)
        if candidates is None:
            candidates = self._candidates[target] = self._find_upstreams(target)
        if len(candidates) == 1:
            return candidates
        turn = self._turns.get(target.provider.name, 0)
        self._turns[target.provider.name] = turn + 1
        at = turn % len(candidates)
        return candidates[at:] + candidates[:at]

    async def holders_first(self, candidates: list[Candidate]) -> list[Candidate]:
        """The same, with those in front at which the model is loaded now."""
        asked = {
            id(each.upstream): each.provider.look_at_residents(each.upstream)
            for each in candidates
            if isinstance(each.provider, OllamaProvider)
        }
        await asyncio.gather(*asked.values())
        return sorted(candidates, key=_is_elsewhere)

    def _find_upstreams(self, target: Target) -> list[Candidate]:
        provider = target.provider
        lists = self.catalog.shelves[provider.name].by_upstream
        wanted = frozenset(names.spellings(target.model))
        having = [each for each in provider.upstreams if wanted & lists.get(each.name, wanted)]
        return [
            Candidate(provider, each, target.model, _serving_lines(provider.name, each.name))
            for each in having or provider.upstreams
        ]

    def resolve(self, model: str | None, only: str | None = None) -> list[Target]:
        """The providers to ask and what each calls the model; see :meth:`candidates`."""
        if only is not None:
            return [self._at(self._provider(only), self._strip(model or self.default_model(only), only))]
        name = model or self.default_model(None)
        name = self._aliases.get(name.lower(), name)
        route = self._routes.get(name.lower())
        if route is not None:
            return [Target(self._provider(provider), target) for provider, target in route]
        prefixed = names.read_prefix(name, self._known)
        if prefixed is not None and not self._better_explained(name, prefixed):
            provider = self._provider(prefixed.provider)
            rest = name if self._own_namespace(provider, name, prefixed) else prefixed.rest
            return [self._at(provider, rest)]
        return self._anywhere(name)

    def public_id(self, provider: str, model: str) -> str:
        """A name that leads to this model at this provider: its own, if that does, else with the prefix.

        Found names are kept until the catalog changes.
        """
        self._forget_if_stale()
        found = self._public.get((provider, model))
        if found is None:
            try:
                target = self.resolve(model)[0]
                leads_here = target.provider.name == provider and target.model == model
            except GatewayError:
                leads_here = False
            found = self._public[provider, model] = model if leads_here else f"{provider}/{model}"
        return found

    def default_model(self, meant: str | None) -> str:
        """The model of a request that names none and is ``meant`` for a provider, or for none.

        Raises:
            CallerError: 400, where there is no default.
        """
        if (meant or self.preferred) == "ollama":
            return self.rules.default_model
        raise CallerError("Missing required parameter: 'model'", INVALID_REQUEST, param="model")

    def _provider(self, name: str) -> Provider:
        provider = self.providers.get(name)
        if provider is None:
            mend = _HOW_TO_CONFIGURE.get(name, f"Configure it under 'providers' as '{name}'")
            text = f"Provider '{name}' not configured. {mend}"
            raise CallerError(text, PROVIDER_NOT_CONFIGURED, param="model", provider=name)
        return provider

    def _strip(self, model: str, provider: str) -> str:
        """The name without a prefix that repeats the path's provider."""
        prefixed = names.read_prefix(model, (provider,))
        if prefixed is None or self._own_namespace(self.providers[provider], model, prefixed):
            return model
        return prefixed.rest

    def _own_namespace(self, provider: Provider, name: str, prefixed: names.Prefixed) -> bool:
        """``openrouter/auto`` is an id of OpenRouter's own, prefix and all; so is ``custom:latest``."""
        shelf = self.catalog.shelves[provider.name]
        if shelf.known:
            return shelf.find(name) is not None and shelf.find(prefixed.rest) is None
        row = getattr(provider, "row", None)
        vendor_ids = row is not None and row.vendor_ids
        return vendor_ids and prefixed.separator == "/" and "/" not in prefixed.rest

    def _better_explained(self, name: str, prefixed: names.Prefixed) -> bool:
        """Some other provider lists the whole name, and the named one is not there or lacks the rest."""
        provider = self.providers.get(prefixed.provider)
        if provider is not None:
            shelf = self.catalog.shelves[prefixed.provider]
            if not shelf.known or shelf.find(prefixed.rest) or shelf.find(name):
                return False
        others = (shelf for other, shelf in self.catalog.shelves.items() if other != prefixed.provider)
        if any(shelf.find(name) for shelf in others):
            return True
        return provider is None and prefixed.separator == "/" and self._takes_vendor_ids()

    def _takes_vendor_ids(self) -> bool:
        """The preferred provider names models ``vendor/model``, and has not said yet which it has."""
        row = getattr(self.providers[self.preferred], "row", None)
        return row is not None and row.vendor_ids and not self.catalog.shelves[self.preferred].known

    def _at(self, provider: Provider, name: str) -> Target:
        """The model at one provider. One that is not listed is asked for all the same: the provider was
        named, may have got the model since, and says for itself if it has not."""
        model = self.catalog.shelves[provider.name].find(name)
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
            model = self.catalog.shelves[provider].find(name)
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
        return not self.catalog.shelves[provider.name].known

    def _not_found(self, name: str, searched: Sequence[str]) -> GatewayError:
        beginning = names.short(name)[:3].lower()
        listed = (known for each in searched for known in self.catalog.shelves[each].models)
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


def _is_elsewhere(candidate: Candidate) -> bool:
    provider = candidate.provider
    return isinstance(provider, OllamaProvider) and not provider.holds(candidate.upstream, candidate.model)


def _serving_lines(provider: str, upstream: str) -> bytes:
    return f"x-trunkline-provider: {provider}\r\nx-trunkline-upstream: {upstream}\r\n".encode()


_HOW_TO_CONFIGURE = {
    "ollama": "Check OLLAMA_ENABLED and OLLAMA_BASE_URL",
    "openrouter": "Set OPENROUTER_API_KEY",
    "cerebras": "Set CEREBRAS_API_KEY",
    "openai": "Set OPENAI_API_KEY",
    "anthropic": "Set ANTHROPIC_API_KEY",
}
