"""The usual spelling of paths that base addresses with a part too many or too few lead to.

Clients put their own path after the base address that a person has written. ``http://gateway/`` gives
``//v1/messages``, ``http://gateway/v1`` gives ``/v1/v1/messages`` at Anthropic's SDK, ``http://gateway``
gives ``/chat/completions`` at OpenAI's, and whoever was at OpenRouter writes ``/api/v1``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

LONGEST: Final = 1024
"""Characters of the longest path that is read again."""

_BASES: Final = ("v1", "api")
"""What a base address ends in."""

_MOST_BASES: Final = 3
"""How many of them are left out of one path."""


def plain(path: str) -> str:
    """``path`` without doubled slashes and without one at its end."""
    return _join([part for part in path.split("/") if part])


def spellings(path: str, is_pin: Callable[[str], bool]) -> Iterator[str]:
    """The paths that may be meant by ``path``, in the order in which to look them up.

    The provider that a path names is never left out: what was meant for one provider goes to no other.

    Args:
        path: as the client sent it, decoded.
        is_pin: whether a first part names a provider.
    """
    if len(path) > LONGEST:
        return
    parts = [part for part in path.split("/") if part]
    pin = parts[:1] if parts and is_pin(parts[0]) else []
    rest = parts[len(pin) :]
    if _join(parts) != path:
        yield _join(parts)
    for _ in range(_MOST_BASES):
        if not rest or rest[0] not in _BASES:
            break
        rest = rest[1:]
        if rest and rest[0] in _BASES:
            yield _join([*pin, *rest])
    if rest:
        yield _join([*pin, "v1", *rest])


def _join(parts: list[str]) -> str:
    return "/" + "/".join(parts)
