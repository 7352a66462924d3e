"""What remains of invalid settings without their invalid parts, so that all problems can be told at once.

Problems of one kind would otherwise hide those of the next: an invalid number those of names that lead
nowhere, and these the providers that cannot be made.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from pydantic import model_validator

from trunkline.settings.model import Settings
from trunkline.settings.places import may_follow

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from trunkline.settings.places import Place

_SECTIONS: Final = frozenset({"providers", "routes", "aliases", "models", "keys", "prices"})
"""The settings whose entries are independent of each other: one is left out, and the others stay."""
_UNKNOWN_PROVIDER: Final = {"python": "left_out:LeftOut"}
"""Stands for a provider whose section is invalid. Its name is known all the same."""
_UNKNOWN_TARGET: Final = {"provider": "custom", "model": "-"}
"""Stands for an invalid target of a route, so that those after it keep their numbers."""


class Remainder(NamedTuple):
    """Settings without their invalid parts."""

    settings: Settings
    """The rest. It has no provider that is invalid."""
    left_out: frozenset[str]
    """Top-level settings of which a part or all is missing."""


class UncheckedSettings(Settings):
    """Settings whose values are valid one by one, and may not fit together."""

    @model_validator(mode="after")
    def _check_combinations(self) -> Self:
        return self


def find_combination_problems(
    layers: Iterable[dict[str, Any]],
    places: Collection[Place],
    build: Callable[[list[dict[str, Any]]], Settings],
) -> tuple[list[str], Remainder]:
    """Find what does not fit together in the valid part of invalid settings.

    Args:
        layers: the values of each layer.
        places: where they are invalid.
        build: makes settings of layers, unchecked.

    Returns:
        A line for each problem, and what remains without the places and these problems.
    """
    settings = build([_without(layer, places) for layer in layers])
    invalid_providers = {place[1] for place in places if place[0] == "providers" and len(place) > 1}
    lines = []
    providers_are_lost = ("providers",) in places
    for place, text in settings.combination_problems():
        names_provider = place[0] == "preferred_provider" or place[-1] == "provider"
        if not may_follow(place, places) and not (providers_are_lost and names_provider):
            lines.append(text)
        if place[0] == "providers":
            invalid_providers.add(place[1])
    providers = {name: each for name, each in settings.providers.items() if name not in invalid_providers}
    rest = settings.model_copy(update={"providers": providers})
    return lines, Remainder(rest, frozenset(place[0] for place in places))


def _without(values: Mapping[str, Any], places: Iterable[Place]) -> dict[str, Any]:
    """The values of one layer without what is invalid."""
    rest = copy.deepcopy(dict(values))
    for name, *inside in places:
        section = rest.get(name)
        if name in _SECTIONS and inside and isinstance(section, dict):
            _leave_out(name, section, inside)
        else:
            rest.pop(name, None)
    return rest


def _leave_out(name: str, section: dict[str, Any], inside: Sequence[str]) -> None:
    """Take the entry of a section out that is invalid ``inside``, or put a valid one in its place."""
    entry, *deeper = inside
    match name, deeper:
        case "providers", ["[key]"]:
            section.pop(entry, None)
        case "providers", _:
            section[entry] = dict(_UNKNOWN_PROVIDER)
        case "routes", ["targets", number, *_] if entry in section:
            section[entry]["targets"][int(number)] = dict(_UNKNOWN_TARGET)
        case _:
            section.pop(entry, None)
