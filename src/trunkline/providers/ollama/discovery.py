"""Discovery of an Ollama server's models: reads entries of /api/tags and answers of /api/show.

Pure functions over JSON. Older servers leave capabilities and context lengths out of ``tags``; ``show`` has
them. Source: ollama/ollama, ``api/types.go``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from trunkline.providers.base import ModelInfo


class ModelDetails(msgspec.Struct, frozen=True):
    """What ``show`` adds to ``tags``."""

    capabilities: tuple[str, ...] = ()
    context_length: int | None = None


def tagged(name: str) -> str:
    """``name`` with Ollama's default tag, if it has none."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def name_of(item: Mapping[str, Any]) -> str:
    """The name in an entry of ``tags`` or ``ps``; empty if it has none."""
    return str(item.get("model") or item.get("name") or "")


def entries(answer: Any) -> list[dict[str, Any]] | None:
    """The named entries of a ``tags`` or ``ps`` answer; None if it is no such answer."""
    items = answer.get("models") if isinstance(answer, dict) else None
    if not isinstance(items, list):
        return None
    return [item for item in items if isinstance(item, dict) and name_of(item)]


def is_incomplete(item: Mapping[str, Any]) -> bool:
    """Whether this entry of ``tags`` leaves out what ``show`` has."""
    return not item.get("capabilities") or _length(item) is None


def read_details(shown: Mapping[str, Any]) -> ModelDetails:
    """The fields of a ``show`` answer that routing and listings need."""
    info, capabilities = shown.get("model_info"), shown.get("capabilities")
    length = None
    if isinstance(info, dict):
        length = info.get(f"{info.get('general.architecture')}.context_length")
    return ModelDetails(
        tuple(capabilities) if isinstance(capabilities, list) else (),
        length if isinstance(length, int) else None,
    )


def model_info(item: Mapping[str, Any], known: ModelDetails) -> ModelInfo:
    """An entry of ``tags``, with what ``show`` adds."""
    capabilities = item.get("capabilities")
    return ModelInfo(
        id=name_of(item),
        created=_unix(item.get("modified_at")),
        owner="library",
        context_length=_length(item) or known.context_length,
        capabilities=tuple(capabilities) if isinstance(capabilities, list) else known.capabilities,
        listing=item,
    )


def _length(item: Mapping[str, Any]) -> int | None:
    details = item.get("details")
    length = details.get("context_length") if isinstance(details, dict) else None
    return length if isinstance(length, int) else None


def _unix(text: Any) -> int | None:
    try:
        return int(datetime.fromisoformat(str(text)).timestamp())
    except ValueError:
        return None
