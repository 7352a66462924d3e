"""Models as Ollama describes them: entries of /api/tags and answers of /api/show. Pure functions.

The entry of an Ollama server's model is that server's own. A model of another provider is marked by
``remote_model`` and ``remote_host``, as Ollama marks its own cloud's: clients then show no size and do not
try to load it. Source: ollama/ollama, ``api/types.go``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from trunkline.providers.base import ModelInfo
from trunkline.routing import names

_UNKNOWN: Final = ("completion",)
"""Capabilities of a model of which nothing is known."""

UNKNOWN_LENGTH: Final = 32_768
"""The context length that is told of a chat model whose own is not known: clients leave a model out, or fail,
without one."""

_INSERT: Final = "{{ if .Suffix }}{{ .Prompt }}{{ .Suffix }}{{ else }}{{ .Prompt }}{{ end }}"
_PLAIN: Final = "{{ .Prompt }}"


def tag_entry(public: str, provider: str, host: str, model: ModelInfo, started: float) -> dict[str, Any]:
    """One entry of ``/api/tags``.

    Args:
        public: a name that leads to the model.
        provider: the provider's name.
        host: the value of ``remote_host``.
        model: what discovery knows.
        started: Unix time that stands for an unknown one.
    """
    name = names.tagged(public)
    if model.listing is not None:
        return {**model.listing, "name": name, "model": name, "capabilities": list(capabilities(model))}
    return {
        "name": name,
        "model": name,
        "remote_model": model.id,
        "remote_host": host,
        "modified_at": moment(model.created or started),
        "size": 0,
        "digest": digest(provider, model.id),
        "details": details(model),
        "capabilities": list(capabilities(model)),
    }


def show_answer(provider: str, host: str, model: ModelInfo, started: float) -> dict[str, Any]:
    """The answer of ``/api/show`` for a model that is on no Ollama server.

    Args:
        provider: the provider's name.
        host: the value of ``remote_host``.
        model: what discovery knows.
        started: Unix time that stands for an unknown one.
    """
    architecture = family(model.id)
    info: dict[str, Any] = {"general.architecture": architecture, "general.basename": names.short(model.id)}
    can_do = capabilities(model)
    if model.context_length is not None or "completion" in can_do:
        info[f"{architecture}.context_length"] = model.context_length or UNKNOWN_LENGTH
    return {
        "license": "",
        "modelfile": f"# {model.id} at {provider}\nFROM {model.id}\n",
        "parameters": "" if model.max_output is None else f"num_predict {model.max_output}",
        "template": _INSERT if "insert" in can_do else _PLAIN,
        "details": details(model),
        "remote_model": model.id,
        "remote_host": host,
        "model_info": info,
        "capabilities": list(can_do),
        "modified_at": moment(model.created or started),
    }


def capabilities(model: ModelInfo) -> tuple[str, ...]:
    """What the model can do: as its provider says, else as its name suggests."""
    if model.capabilities:
        return model.capabilities
    return ("embedding",) if "embed" in model.id.lower() else _UNKNOWN


def details(model: ModelInfo) -> dict[str, Any]:
    """The field ``details``, as far as it is known of a provider that is no Ollama server."""
    found: dict[str, Any] = {
        "parent_model": "",
        "format": "",
        "family": family(model.id),
        "families": [family(model.id)],
        "parameter_size": "",
        "quantization_level": "",
    }
    if model.context_length is not None:
        found["context_length"] = model.context_length
    return found


def family(model: str) -> str:
    """The first word of a model's short name: ``gpt`` of ``openai/gpt-4o:latest``."""
    short = names.bare(names.short(model.lower()))
    word = "".join(letter if letter.isalnum() else " " for letter in short).split()
    return word[0] if word else "unknown"


def digest(provider: str, model: str) -> str:
    """64 hex digits for a model, the same in every process."""
    return hashlib.sha256(f"{provider}/{model}".encode()).hexdigest()


def moment(seconds: float) -> str:
    """A Unix time as Go writes it (RFC 3339, UTC)."""
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")


def newest_first(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Entries in Ollama's order."""
    return sorted(entries, key=_modified, reverse=True)


def _modified(entry: Mapping[str, Any]) -> float:
    try:
        return datetime.fromisoformat(str(entry.get("modified_at"))).timestamp()
    except ValueError:
        return 0.0
