"""Configuration warnings, for ``trunkline check``: valid settings that name something that does not exist.

These are no errors: a key may be created later, and a provider may list a model under any name. So there is a
warning about a model's name only if it begins with what looks like a misspelt provider.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from trunkline.policy.auth import configured_ids
from trunkline.providers.vendors import VENDORS
from trunkline.routing.names import read_prefix
from trunkline.routing.resolve import not_configured
from trunkline.settings import BUILT_IN_PROVIDERS, resolve_providers
from trunkline.settings.values import suggest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from trunkline.ledger.policies import Policies
    from trunkline.settings import ProviderConfig, Settings
    from trunkline.settings.sections import BudgetRule, LimitRule

_MIN_SIMILARITY: Final = 0.85
"""How similar a prefix must be to a provider's name to be taken for a misspelt one. ``llama3`` is not similar
enough to ``ollama``."""
_MAX_LISTED_NAMES: Final = 8
"""The maximum number of names of keys or teams that a warning lists."""


def find_config_warnings(settings: Settings, policies: Policies) -> Iterator[str]:
    """Find names that do not exist.

    Args:
        settings: The settings.
        policies: The keys and teams in the store.

    Returns:
        A line for each warning, with the most similar name that exists.
    """
    configured = resolve_providers(settings)
    known = {*BUILT_IN_PROVIDERS, *settings.providers}
    yield from _alias_warnings(settings, known, configured)
    for name, route in settings.routes.items():
        for number, target in enumerate(route.targets):
            if target.provider in known and target.provider not in configured:
                yield f"routes.{name}.targets.{number}: {_not_configured(target.provider)}"
    yield from _pattern_warnings(settings, known)
    yield from _key_and_team_warnings(settings, policies)
    for path, provider in _providers_of_keys_and_budgets(settings):
        if provider not in known:
            yield f"{path}: there is no provider {provider!r}; {suggest(provider, known, 'there are')}"


def _alias_warnings(
    settings: Settings, known: Collection[str], configured: Mapping[str, ProviderConfig]
) -> Iterator[str]:
    aliases = {name.lower(): target for name, target in settings.aliases.items()}
    routes = {name.lower() for name in settings.routes}
    vendors = (VENDORS.get(config.type or "") for config in configured.values())
    vendor_ids = any(vendor.vendor_ids for vendor in vendors if vendor)
    for name, target in settings.aliases.items():
        if name.lower() in routes:
            yield f"aliases.{name}: hides the route of that name"
        if target.lower() in routes:
            continue
        if target.lower() in aliases:
            advice = _alias_advice(target, aliases)
            yield f"aliases.{name}: {target!r} is an alias too, and one is followed once; {advice}"
            continue
        prefixed = read_prefix(target, known)
        if prefixed is None:
            if correction := _correct_provider(target, known):
                yield f"aliases.{name}: {target!r} names no provider; did you mean {correction!r}?"
        elif prefixed.provider not in configured and not (prefixed.separator == "/" and vendor_ids):
            yield f"aliases.{name}: {_not_configured(prefixed.provider)}"


def _alias_advice(target: str, aliases: Mapping[str, str]) -> str:
    """Return what to write instead of an alias of an alias."""
    visited: set[str] = set()
    while target.lower() in aliases:
        if target.lower() in visited:
            return "they lead in a circle; name a model"
        visited.add(target.lower())
        target = aliases[target.lower()]
    return f"write {target!r}"


def _correct_provider(name: str, known: Collection[str]) -> str | None:
    """Return a model's name with its provider spelt correctly, if it begins with what looks like a misspelt
    one."""
    end = min((i for i in (name.find(":"), name.find("/")) if i > 0), default=0)
    prefix, rest = name[:end].lower(), name[end:]
    has_only_tag = rest.startswith(":") and not {":", "/"} & {*rest[1:]}  # llama2:7b
    if not prefix or has_only_tag or prefix in known:
        return None
    matches = get_close_matches(prefix, known, n=1, cutoff=_MIN_SIMILARITY)
    return matches[0] + rest if matches else None


def _not_configured(provider: str) -> str:
    text = not_configured(provider)
    return text[0].lower() + text[1:]


def _pattern_warnings(settings: Settings, known: Collection[str]) -> Iterator[str]:
    patterns = [(f"models.{name}", name) for name in settings.models]
    patterns += [(f"prices.{name}", name) for name in settings.prices]
    patterns += [(f"limits.{n}.model", rule.model) for n, rule in enumerate(settings.limits) if rule.model]
    patterns += [(f"keys.{name}.models", each) for name, key in settings.keys.items() for each in key.models]
    for path, pattern in patterns:
        if correction := _correct_provider(pattern, known):
            yield f"{path}: {pattern!r} names no provider; did you mean {correction!r}?"


def _key_and_team_warnings(settings: Settings, policies: Policies) -> Iterator[str]:
    """Find keys and teams that are neither in the store nor among ALLOWED_API_KEYS."""
    key_names = {key.name for key in policies.keys}
    ids = configured_ids(settings.api_keys)
    key_ids = {key.id for key in policies.keys} | {*ids, *ids.values()}
    key_ids |= {f"ALLOWED_API_KEYS #{number}" for number in range(1, len(ids) + 1)}
    team_names = {team.name for team in policies.teams}
    team_ids = {team.id for team in policies.teams}
    rules: list[tuple[str, LimitRule | BudgetRule]] = []
    rules += ((f"limits.{n}", limit) for n, limit in enumerate(settings.limits))
    rules += ((f"budgets.{n}", budget) for n, budget in enumerate(settings.budgets))
    references = [(f"keys.{name}", "key", name) for name in settings.keys]
    for path, rule in rules:
        references += [(path, kind, name) for kind, name in (("key", rule.key), ("team", rule.team)) if name]
    for path, kind, name in references:
        names, other_ids = (key_names, key_ids) if kind == "key" else (team_names, team_ids)
        if name not in (*names, *other_ids) and not (name == "*" and path != f"keys.{name}"):
            yield f"{path}: there is no {kind} {name!r}; {_hint(name, names, kind)}"


def _hint(name: str, known: Collection[str], kind: str) -> str:
    if not known:
        return f"`trunkline {kind}s create` makes one"
    hint = suggest(name, known, "there are")
    is_short = hint.startswith("did") or len(known) <= _MAX_LISTED_NAMES
    return hint if is_short else f"see `trunkline {kind}s list`"


def _providers_of_keys_and_budgets(settings: Settings) -> Iterator[tuple[str, str]]:
    for name, key in settings.keys.items():
        yield from ((f"keys.{name}.providers", provider) for provider in key.providers)
    for number, budget in enumerate(settings.budgets):
        if budget.provider is not None:
            yield f"budgets.{number}", budget.provider
