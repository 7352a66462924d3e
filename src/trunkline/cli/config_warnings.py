"""What in a configuration leads nowhere, though it is valid: names that nobody has, for ``trunkline check``.

Warnings and not errors: a key may be made later, and a provider may list a model under any name. So a model's
name is doubted only where it looks like another provider's, misspelt.
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

_ALIKE: Final = 0.85
"""How much a prefix must be like a provider's name to be taken for a misspelt one: ``llama3`` is not."""
_MOST: Final = 8
"""Names of keys that are told one by one."""


def doubts(settings: Settings, stored: Policies) -> Iterator[str]:
    """A line for each name that leads nowhere, with the nearest that there is."""
    ready = resolve_providers(settings)
    known = {*BUILT_IN_PROVIDERS, *settings.providers}
    yield from _aliases(settings, known, ready)
    for name, route in settings.routes.items():
        for number, target in enumerate(route.targets):
            if target.provider in known and target.provider not in ready:
                yield f"routes.{name}.targets.{number}: {_not_ready(target.provider)}"
    yield from _patterns(settings, known)
    yield from _people(settings, stored)
    for place, provider in _named_providers(settings):
        if provider not in known:
            yield f"{place}: there is no provider {provider!r}; {suggest(provider, known, 'there are')}"


def _aliases(
    settings: Settings, known: Collection[str], ready: Mapping[str, ProviderConfig]
) -> Iterator[str]:
    aliases = {name.lower(): target for name, target in settings.aliases.items()}
    routes = {name.lower() for name in settings.routes}
    vendor_ids = any(row.vendor_ids for config in ready.values() if (row := VENDORS.get(config.type or "")))
    for name, target in settings.aliases.items():
        if name.lower() in routes:
            yield f"aliases.{name}: hides the route of that name"
        if target.lower() in routes:
            continue
        if target.lower() in aliases:
            mend = _end(target, aliases)
            yield f"aliases.{name}: {target!r} is an alias too, and one is followed once; {mend}"
            continue
        prefixed = read_prefix(target, known)
        if prefixed is None:
            if near := _near(target, known):
                yield f"aliases.{name}: {target!r} names no provider; did you mean {near!r}?"
        elif prefixed.provider not in ready and not (prefixed.separator == "/" and vendor_ids):
            yield f"aliases.{name}: {_not_ready(prefixed.provider)}"


def _end(target: str, aliases: Mapping[str, str]) -> str:
    """What to write for an alias of an alias."""
    seen: set[str] = set()
    while target.lower() in aliases:
        if target.lower() in seen:
            return "they lead in a circle; name a model"
        seen.add(target.lower())
        target = aliases[target.lower()]
    return f"write {target!r}"


def _near(name: str, known: Collection[str]) -> str | None:
    """The name with its provider spelt right, if it begins with what looks like one spelt wrong."""
    at = min((i for i in (name.find(":"), name.find("/")) if i > 0), default=0)
    prefix, rest = name[:at].lower(), name[at:]
    tagged = rest.startswith(":") and not {":", "/"} & {*rest[1:]}  # llama2:7b
    if not prefix or tagged or prefix in known:
        return None
    close = get_close_matches(prefix, known, n=1, cutoff=_ALIKE)
    return close[0] + rest if close else None


def _not_ready(provider: str) -> str:
    text = not_configured(provider)
    return text[0].lower() + text[1:]


def _patterns(settings: Settings, known: Collection[str]) -> Iterator[str]:
    named = [(f"models.{name}", name) for name in settings.models]
    named += [(f"prices.{name}", name) for name in settings.prices]
    named += [(f"limits.{n}.model", rule.model) for n, rule in enumerate(settings.limits) if rule.model]
    named += [(f"keys.{name}.models", each) for name, key in settings.keys.items() for each in key.models]
    for place, pattern in named:
        if near := _near(pattern, known):
            yield f"{place}: {pattern!r} names no provider; did you mean {near!r}?"


def _people(settings: Settings, stored: Policies) -> Iterator[str]:
    """Keys and teams that are not in the store, nor among ALLOWED_API_KEYS."""
    keys = {key.name for key in stored.keys}
    ids = configured_ids(settings.api_keys)
    other_keys = {key.id for key in stored.keys} | {*ids, *ids.values()}
    other_keys |= {f"ALLOWED_API_KEYS #{number}" for number in range(1, len(ids) + 1)}
    teams = {team.name for team in stored.teams}
    other_teams = {team.id for team in stored.teams}
    rules: list[tuple[str, LimitRule | BudgetRule]] = []
    rules += ((f"limits.{n}", limit) for n, limit in enumerate(settings.limits))
    rules += ((f"budgets.{n}", budget) for n, budget in enumerate(settings.budgets))
    named = [(f"keys.{name}", "key", name) for name in settings.keys]
    for place, rule in rules:
        named += [(place, sort, name) for sort, name in (("key", rule.key), ("team", rule.team)) if name]
    for place, sort, name in named:
        there, others = (keys, other_keys) if sort == "key" else (teams, other_teams)
        if name not in (*there, *others) and not (name == "*" and place != f"keys.{name}"):
            yield f"{place}: there is no {sort} {name!r}; {_hint(name, there, sort)}"


def _hint(name: str, known: Collection[str], sort: str) -> str:
    if not known:
        return f"`trunkline {sort}s create` makes one"
    said = suggest(name, known, "there are")
    return said if said.startswith("did") or len(known) <= _MOST else f"see `trunkline {sort}s list`"


def _named_providers(settings: Settings) -> Iterator[tuple[str, str]]:
    for name, key in settings.keys.items():
        yield from ((f"keys.{name}.providers", provider) for provider in key.providers)
    for number, budget in enumerate(settings.budgets):
        if budget.provider is not None:
            yield f"budgets.{number}", budget.provider
