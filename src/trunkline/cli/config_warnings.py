"""Configuration warnings for ``trunkline check``: names in a valid configuration that refer to nothing.

They are warnings and not errors, because a key may be created later, and a provider may list a model under
any name. A model's name therefore causes a warning only if its prefix looks like a provider's name, misspelt.
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
"""From this similarity (0 to 1) on, a prefix counts as a provider's name, misspelt. ``llama3`` does not."""
_MAX_LISTED_NAMES: Final = 8
"""If there are more keys or teams than this, a warning does not list their names."""


def configuration_warnings(settings: Settings, stored: Policies) -> Iterator[str]:
    """A line for each name that refers to nothing, with the closest name that exists.

    Args:
        settings: the configuration.
        stored: the keys and teams of the store.
    """
    configured = resolve_providers(settings)
    known = {*BUILT_IN_PROVIDERS, *settings.providers}
    yield from _alias_warnings(settings, known, configured)
    for name, route in settings.routes.items():
        for number, target in enumerate(route.targets):
            if target.provider in known and target.provider not in configured:
                yield f"routes.{name}.targets.{number}: {_not_configured(target.provider)}"
    yield from _model_warnings(settings, known)
    yield from _key_and_team_warnings(settings, stored)
    for place, provider in _provider_references(settings):
        if provider not in known:
            yield f"{place}: there is no provider {provider!r}; {suggest(provider, known, 'there are')}"


def _alias_warnings(
    settings: Settings, known: Collection[str], configured: Mapping[str, ProviderConfig]
) -> Iterator[str]:
    aliases = {name.lower(): target for name, target in settings.aliases.items()}
    routes = {name.lower() for name in settings.routes}
    vendor_ids = any(
        row.vendor_ids for config in configured.values() if (row := VENDORS.get(config.type or ""))
    )
    for name, target in settings.aliases.items():
        if name.lower() in routes:
            yield f"aliases.{name}: hides the route of that name"
        if target.lower() in routes:
            continue
        if target.lower() in aliases:
            remedy = _remedy_for_alias(target, aliases)
            yield f"aliases.{name}: {target!r} is an alias too, and one is followed once; {remedy}"
            continue
        prefixed = read_prefix(target, known)
        if prefixed is None:
            if corrected := _corrected(target, known):
                yield f"aliases.{name}: {target!r} names no provider; did you mean {corrected!r}?"
        elif prefixed.provider not in configured and not (prefixed.separator == "/" and vendor_ids):
            yield f"aliases.{name}: {_not_configured(prefixed.provider)}"


def _remedy_for_alias(target: str, aliases: Mapping[str, str]) -> str:
    """What the user should write in place of ``target``, which is an alias itself."""
    followed: set[str] = set()
    while target.lower() in aliases:
        if target.lower() in followed:
            return "they lead in a circle; name a model"
        followed.add(target.lower())
        target = aliases[target.lower()]
    return f"write {target!r}"


def _corrected(name: str, known: Collection[str]) -> str | None:
    """The model's name with the right provider, if its prefix looks like a provider's name, misspelt."""
    end = min((i for i in (name.find(":"), name.find("/")) if i > 0), default=0)
    prefix, rest = name[:end].lower(), name[end:]
    is_tag = rest.startswith(":") and not {":", "/"} & {*rest[1:]}  # llama2:7b
    if not prefix or is_tag or prefix in known:
        return None
    close = get_close_matches(prefix, known, n=1, cutoff=_MIN_SIMILARITY)
    return close[0] + rest if close else None


def _not_configured(provider: str) -> str:
    """Routing's text for a provider that is not configured, to stand inside a line."""
    text = not_configured(provider)
    return text[0].lower() + text[1:]


def _model_warnings(settings: Settings, known: Collection[str]) -> Iterator[str]:
    """Model patterns whose prefix looks like a provider's name, misspelt."""
    patterns = [(f"models.{name}", name) for name in settings.models]
    patterns += [(f"prices.{name}", name) for name in settings.prices]
    patterns += [(f"limits.{n}.model", rule.model) for n, rule in enumerate(settings.limits) if rule.model]
    patterns += [(f"keys.{name}.models", each) for name, key in settings.keys.items() for each in key.models]
    for place, pattern in patterns:
        if corrected := _corrected(pattern, known):
            yield f"{place}: {pattern!r} names no provider; did you mean {corrected!r}?"


def _key_and_team_warnings(settings: Settings, stored: Policies) -> Iterator[str]:
    """Keys and teams that are neither in the store nor in ALLOWED_API_KEYS."""
    key_names = {key.name for key in stored.keys}
    configured = configured_ids(settings.api_keys)
    key_ids = {key.id for key in stored.keys} | {*configured, *configured.values()}
    key_ids |= {f"ALLOWED_API_KEYS #{number}" for number in range(1, len(configured) + 1)}
    team_names = {team.name for team in stored.teams}
    team_ids = {team.id for team in stored.teams}
    rules: list[tuple[str, LimitRule | BudgetRule]] = []
    rules += ((f"limits.{n}", limit) for n, limit in enumerate(settings.limits))
    rules += ((f"budgets.{n}", budget) for n, budget in enumerate(settings.budgets))
    references = [(f"keys.{name}", "key", name) for name in settings.keys]
    for place, rule in rules:
        references += [(place, kind, name) for kind, name in (("key", rule.key), ("team", rule.team)) if name]
    for place, kind, name in references:
        names, ids = (key_names, key_ids) if kind == "key" else (team_names, team_ids)
        if name not in (*names, *ids) and not (name == "*" and place != f"keys.{name}"):
            yield f"{place}: there is no {kind} {name!r}; {_hint(name, names, kind)}"


def _hint(name: str, known: Collection[str], kind: str) -> str:
    """What to do about the name of a key or team (``kind``) that does not exist."""
    if not known:
        return f"`trunkline {kind}s create` makes one"
    hint = suggest(name, known, "there are")
    return (
        hint if hint.startswith("did") or len(known) <= _MAX_LISTED_NAMES else f"see `trunkline {kind}s list`"
    )


def _provider_references(settings: Settings) -> Iterator[tuple[str, str]]:
    """Each place in the settings that names a provider, and the name."""
    for name, key in settings.keys.items():
        yield from ((f"keys.{name}.providers", provider) for provider in key.providers)
    for number, budget in enumerate(settings.budgets):
        if budget.provider is not None:
            yield f"budgets.{number}", budget.provider
