"""Model names as clients write them: prefixes, tags, short names. Pure functions over text.

A name may begin with a provider (``ollama:llama2:7b``, ``openrouter/auto``), may have a tag
(``llama2:7b``), may be a vendor's full id (``anthropic/claude-3.5-sonnet``) or only its last part, and is
matched without case. Which reading is right depends on the catalog; here are only the readings.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, NamedTuple

DEFAULT_TAG: Final = ":latest"
_REGISTRY: Final = "registry.ollama.ai/"
_LIBRARY: Final = "library/"


class Prefixed(NamedTuple):
    """A name read as ``provider`` + separator + ``rest``."""

    provider: str
    separator: str
    rest: str


def read_prefix(name: str, providers: Collection[str]) -> Prefixed | None:
    """``name`` read with its first ``:`` or ``/`` as the end of a provider's name, if it can be.

    Args:
        name: as the client wrote it.
        providers: names that count, in lower case.
    """
    at = min((i for i in (name.find(":"), name.find("/")) if i > 0), default=-1)
    if at < 0 or at == len(name) - 1:
        return None
    provider = name[:at].lower()
    return Prefixed(provider, name[at], name[at + 1 :]) if provider in providers else None


def tagged(name: str) -> str:
    """The name with the default tag, if it has none."""
    return name if ":" in name.rpartition("/")[2] else name + DEFAULT_TAG


def untagged(name: str) -> str:
    """The name without the default tag, if that is what it has."""
    return name.removesuffix(DEFAULT_TAG)


def as_asked(model: str, name: str) -> str:
    """The model's id; without the default tag where the client did not write that either."""
    return model if ":" in name.rpartition("/")[2] else untagged(model)


def bare(name: str) -> str:
    """The name without any tag."""
    return name.partition(":")[0]


def short(name: str) -> str:
    """The last part of a vendor's id."""
    return name.rpartition("/")[2]


def shown(name: str) -> str:
    """As Ollama shows the name: without its own registry and that one's library, which a name that has no
    host or no namespace means anyway."""
    for default in _REGISTRY, _LIBRARY:
        if name.lower().startswith(default):
            name = name[len(default) :]
    return name


def spellings(name: str) -> tuple[str, ...]:
    """How one model may stand in a catalog, best first, in lower case."""
    lower = name.lower()
    return tuple(dict.fromkeys((lower, tagged(lower), untagged(lower))))
