"""Where a setting stands in the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

Place: TypeAlias = tuple[str, ...]
"""The names and numbers that lead to a setting: ``providers``, ``vllm``, ``url``."""


def may_follow(place: Place, known: Iterable[Place]) -> bool:
    """Whether a problem at ``place`` may be a consequence of one that is known: it is there, or around it."""
    return any(each[: len(place)] == place for each in known)
