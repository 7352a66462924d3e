"""Model names as clients write them: prefixes, tags and short names. These are pure functions over text.

A name may begin with a provider (``ollama:llama2:7b``, ``openrouter/auto``). It may have a tag
(``llama2:7b``). It may be a vendor's full id (``anthropic/claude-3.5-sonnet``) or only the last part of one.
Names are matched without regard to case. Which reading is right depends on the catalog; this module only
finds the possible readings.
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
    """Read ``name`` with its first ``:`` or ``/`` as the end of a provider's name.

    Args:
        name: the name as the client wrote it.
        providers: the names of providers to recognise, in lower case.

    Returns:
        None if the name does not begin with one of these providers, or nothing follows the separator.
    """
    index = min((i for i in (name.find(":"), name.find("/")) if i > 0), default=-1)
    if index < 0 or index == len(name) - 1:
        return None
    provider = name[:index].lower()
    return Prefixed(provider, name[index], name[index + 1 :]) if provider in providers else None


def tagged(name: str) -> str:
    """The name with the default tag, if it has no tag."""
    return name if ":" in name.rpartition("/")[2] else name + DEFAULT_TAG


def untagged(name: str) -> str:
    """The name without the default tag, if that is the tag it has."""
    return name.removesuffix(DEFAULT_TAG)


def with_client_tag(model: str, name: str) -> str:
    """The model's id, without the default tag if the client's ``name`` has no tag either."""
    return model if ":" in name.rpartition("/")[2] else untagged(model)


def bare(name: str) -> str:
    """The name without any tag."""
    return name.partition(":")[0]


def short(name: str) -> str:
    """The last part of a vendor's id."""
    return name.rpartition("/")[2]


def is_cloud(name: str) -> bool:
    """Whether the tag says that an Ollama server has Ollama's own cloud answer: ``:cloud``, ``:120b-cloud``.
    A server does so for every such name, listed or not."""
    tag = short(name).partition(":")[2].lower()
    return tag == "cloud" or tag.endswith("-cloud")


def without_default_registry(name: str) -> str:
    """The name as Ollama shows it: without its own registry and that registry's library.

    A name that has no host or no namespace means these anyway.
    """
    for default in _REGISTRY, _LIBRARY:
        if name.lower().startswith(default):
            name = name[len(default) :]
    return name


def spellings(name: str) -> tuple[str, ...]:
    """The ways in which a catalog may spell the name of one model, best first, in lower case."""
    lower = name.lower()
    return tuple(dict.fromkeys((lower, tagged(lower), untagged(lower))))
