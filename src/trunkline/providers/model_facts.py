"""What models can do and how much they read: as lists tell it, as tables know it, else as is likely.

Clients of Ollama's API leave out whatever ``/api/tags`` and ``/api/show`` do not say (tools, images), and
most servers of OpenAI's API list ids only. So what is not told is not taken for what cannot be: a chat model
of which nothing is known is shown with tools and images. Settings come before all of this (the section
``models``), then what the provider's own list says.

The table of families is by name, whoever serves the model. Facts: vendors' references, November 2026.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final, Protocol

import msgspec

from trunkline.providers.base import ModelInfo, Provider

_CHAT: Final = ("completion", "tools")
_SEES: Final = (*_CHAT, "vision")
_THINKS: Final = (*_CHAT, "thinking")
_ALL: Final = (*_SEES, "thinking")
_TEXT: Final = ("completion",)

LIKELY: Final = _SEES
"""Capabilities of a chat model of which nothing is known."""

FAMILIES: Final[Sequence[tuple[str, tuple[str, ...]]]] = (
    # what is no chat
    ("*embed*", ("embedding",)),
    ("bge-*", ("embedding",)),
    ("*e5-*", ("embedding",)),
    ("gte-*", ("embedding",)),
    ("*rerank*", _TEXT),
    ("*moderation*", _TEXT),
    ("*guard*", _TEXT),
    ("whisper*", ("audio",)),
    ("*transcribe*", ("audio",)),
    ("*tts*", ("audio",)),
    ("*realtime*", ("audio",)),
    ("dall-e*", ("image",)),
    ("*gpt-image*", ("image",)),
    ("chatgpt-image*", ("image",)),
    ("sora*", ("image",)),
    ("imagen*", ("image",)),
    ("flux*", ("image",)),
    ("stable-diffusion*", ("image",)),
    ("babbage*", _TEXT),
    ("davinci*", _TEXT),
    ("*-instruct-0914", _TEXT),
    ("gpt-3.5-turbo-instruct*", _TEXT),
    # OpenAI
    ("gpt-*audio*", (*_CHAT, "audio")),
    ("gpt-*search*", _TEXT),
    ("gpt-3.5*", _CHAT),
    ("chatgpt-4o*", ("completion", "vision")),
    ("gpt-4o*", _SEES),
    ("gpt-4.*", _SEES),
    ("gpt-4-turbo-preview*", _CHAT),
    ("gpt-4-turbo*", _SEES),
    ("gpt-4*", _CHAT),
    ("gpt-oss*", _THINKS),
    ("gpt-*-chat*", _SEES),
    ("gpt-[5-9]*", _ALL),
    ("codex*", _ALL),
    ("o1-mini*", ("completion", "thinking")),
    ("o1-preview*", ("completion", "thinking")),
    ("o3-mini*", _THINKS),
    ("o[134]", _ALL),
    ("o[134]-*", _ALL),
    # Anthropic
    ("claude-2*", _TEXT),
    ("claude-instant*", _TEXT),
    ("claude-3-[5hos]*", _SEES),
    ("claude-3.5*", _SEES),
    ("claude*", _ALL),
    # Google, xAI
    ("gemini-1*", _SEES),
    ("gemini-2.0*", _SEES),
    ("gemini*", _ALL),
    ("gemma-[12]*", _TEXT),
    ("grok-[123]*", _THINKS),
    ("grok*", _ALL),
    # open weights; what sees says so in its name
    ("*llava*", ("completion", "vision")),
    ("*vision*", _SEES),
    ("*-vl*", _SEES),
    ("pixtral*", _SEES),
    ("magistral*", _ALL),
    ("mistral-[sml]*", _SEES),
    ("ministral*", _SEES),
    ("*stral*", _CHAT),
    ("mixtral*", _CHAT),
    ("*deepseek-r*", _THINKS),
    ("deepseek-reasoner*", _THINKS),
    ("deepseek*", _CHAT),
    ("kimi-k2.[5-9]*", _ALL),
    ("kimi*thinking*", _THINKS),
    ("kimi*", _CHAT),
    ("moonshot*", _CHAT),
    ("glm-[4-9]*v*", _ALL),
    ("glm*", _THINKS),
    ("minimax-m*", _THINKS),
    ("qwq*", _THINKS),
    ("qwen3*coder*", _CHAT),
    ("qwen*instruct*", _CHAT),
    ("qwen3*", _THINKS),
    ("qwen*", _CHAT),
    ("*llama-4*", _SEES),
    ("*llama*", _CHAT),
    ("command*", _CHAT),
)
"""Pattern of a model's short name in lower case → its capabilities, in Ollama's words. The first that matches
counts."""

_LENGTHS: Final = (
    "max_model_len",  # vLLM, SGLang
    "context_length",  # Together, Fireworks, OpenRouter
    "context_window",  # Groq
    "max_context_length",  # Mistral, LM Studio
    "max_input_tokens",
)
"""Where a list says how much a model reads."""

_TOLD: Final[Mapping[str, str]] = {
    "completion": "completion",
    "completion_chat": "completion",
    "chat": "completion",
    "tools": "tools",
    "tool_use": "tools",
    "function_calling": "tools",
    "supports_tools": "tools",
    "vision": "vision",
    "multimodal": "vision",
    "image_input": "vision",
    "supports_image_input": "vision",
    "reasoning": "thinking",
    "thinking": "thinking",
    "embedding": "embedding",
    "embeddings": "embedding",
}
"""Words of lists (Mistral, Fireworks, llama.cpp, LM Studio) → Ollama's."""

_ORDER: Final = ("completion", "embedding", "tools", "vision", "thinking")

_GENAI_IDS: Final = frozenset({"openai", "anthropic", "cerebras", "openrouter"})
"""Our types of providers that the bundled table knows by the same name."""


def told_length(item: Mapping[str, Any]) -> int | None:
    """Return the context length that an item of a list of models tells."""
    meta = item.get("meta")
    lengths = [item.get(name) for name in _LENGTHS]
    if isinstance(meta, dict):
        lengths.append(meta.get("n_ctx_train"))  # llama.cpp
    return next((length for length in lengths if type(length) is int and length > 0), None)


def told_capabilities(item: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the capabilities that an item of a list of models tells, in Ollama's words; none if it tells
    none. A list that tells of tools or images tells of both."""
    told = item.get("capabilities")
    words: list[Any] = []
    if isinstance(told, dict):
        words += [name for name, value in told.items() if value is True]
    elif isinstance(told, list):
        words += told
    words += [name for name in ("supports_tools", "supports_image_input") if item.get(name) is True]
    found = {_TOLD[word] for word in words if isinstance(word, str) and word in _TOLD}
    if not found - {"completion"} and not isinstance(told, dict):
        return ()  # only that it is a model
    if "embedding" not in found:
        found.add("completion")
    return tuple(sorted(found, key=_ORDER.index))


def capabilities_by_name(model: str) -> tuple[str, ...]:
    """Return what a model can do, judged by its name."""
    short = model.lower().removeprefix("ft:").rpartition("/")[2]
    return next((found for pattern, found in FAMILIES if fnmatchcase(short, pattern)), LIKELY)


class ModelDefaults(Protocol):
    """What settings say of the models that match a pattern."""

    @property
    def capabilities(self) -> tuple[str, ...]: ...
    @property
    def context_length(self) -> int | None: ...


class ModelFacts:
    """Completes what lists say of models. What was found is kept."""

    def __init__(self, configured: Mapping[str, ModelDefaults]) -> None:
        """``configured`` are the settings, by patterns of ``provider/model``."""
        self._configured = [
            (pattern.lower(), defaults)
            for pattern, defaults in configured.items()
            if defaults.capabilities or defaults.context_length is not None
        ]
        self._known: dict[tuple[str, str], tuple[ModelInfo, ModelInfo]] = {}

    def complete(self, provider: Provider, model: ModelInfo) -> ModelInfo:
        """Return ``model`` with all that is known of it. An Ollama server says for itself what its models can
        do."""
        if provider.loads_models:
            return model
        key = provider.name, model.id
        known = self._known.get(key)
        if known is not None and known[0] == model:
            return known[1]
        found = self._complete(provider, model)
        self._known[key] = model, found
        return found

    def _complete(self, provider: Provider, model: ModelInfo) -> ModelInfo:
        name = f"{provider.name}/{model.id}".lower()
        rules = [rule for pattern, rule in self._configured if fnmatchcase(name, pattern)]
        capabilities = next((rule.capabilities for rule in rules if rule.capabilities), model.capabilities)
        length = next((rule.context_length for rule in rules if rule.context_length), model.context_length)
        return msgspec.structs.replace(
            model,
            capabilities=capabilities or capabilities_by_name(model.id),
            context_length=length or _length_in_table(provider, model.id),
        )


def preload(providers: Iterable[Provider]) -> None:
    """Import the bundled table in the background, if it may be asked for a model: that takes a fifth of a
    second."""
    if any(_may_be_in_table(provider) for provider in providers):
        threading.Thread(target=_table, name="model facts", daemon=True).start()


def _may_be_in_table(provider: Provider) -> bool:
    return not provider.loads_models and bool(provider.upstreams[0].url)


def _table() -> Any:
    import genai_prices.data_snapshot

    return genai_prices.data_snapshot.get_snapshot()


def _length_in_table(provider: Provider, model: str) -> int | None:
    """The context length in the bundled table (PyPI's genai-prices), by the vendor, the address or the name
    alone."""
    if not _may_be_in_table(provider):
        return None
    snapshot = _table()
    vendor = provider.kind if provider.kind in _GENAI_IDS else None
    places: list[tuple[str | None, str | None]] = [(vendor, None)]
    if vendor is None:
        places.insert(0, (None, provider.upstreams[0].url))
    for place, address in places:
        try:
            _, found = snapshot.find_provider_model(model, None, place, address)
        except (LookupError, ValueError):
            continue
        if found.context_window:
            return int(found.context_window)
    return None
