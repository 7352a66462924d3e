"""The structs that Ollama's requests are decoded with, and the names of its requests' fields.

The structs name only the fields that are used: an unknown field is no error, since new clients know fields
that the gateway does not. The module holds types and tables and no behaviour. Source: ollama/ollama,
``api/types.go``.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from trunkline.model import Effort, Operation

DIALECT: Final = "ollama"

PATHS: Final[dict[Operation, str]] = {
    "chat": "/api/chat",
    "completions": "/api/generate",
    "embeddings": "/api/embed",
}

SAMPLING: Final[dict[str, str]] = {
    "num_predict": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "stop": "stop",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "repeat_penalty": "repetition_penalty",
}
"""Ollama's options → fields of the canonical ``Sampling``. All other options have no canonical place."""

EXTRAS: Final[dict[Operation, tuple[str, ...]]] = {
    "chat": ("keep_alive", "truncate", "shift"),
    "completions": ("keep_alive", "truncate", "shift", "raw", "template", "context"),
    "embeddings": ("keep_alive", "truncate"),
}
"""Top-level fields that have no canonical place and travel in ``extras``, besides ``options``."""

THINK: Final[dict[Effort, bool | str]] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "max",
    "max": "max",
}
"""Canonical effort → ``think``, as Ollama's own /v1 maps it."""


class SummaryOptions(msgspec.Struct):
    num_predict: float | None = None


class Summary(msgspec.Struct, kw_only=True):
    """The fields that routing needs."""

    model: str | None = None
    name: str | None = None
    stream: bool | None = None
    keep_alive: Any = None
    options: SummaryOptions | None = None


class ChatSummary(Summary, kw_only=True):
    messages: list[msgspec.Raw] | None = None


class GenerateSummary(Summary, kw_only=True):
    prompt: str | None = None
    suffix: str | None = None
    raw: bool | None = None


class Common(msgspec.Struct, kw_only=True):
    """The fields of every request."""

    model: str | None = None
    name: str | None = None
    stream: bool | None = None
    keep_alive: int | float | str | None = None
    options: dict[str, Any] | None = None
    truncate: bool | None = None


class Generating(Common, kw_only=True):
    """The fields of chat and generate alike."""

    format: Any = None
    think: Any = None
    shift: bool | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None


class FunctionIn(msgspec.Struct):
    name: str
    arguments: msgspec.Raw = msgspec.Raw(b"")


class CallIn(msgspec.Struct):
    function: FunctionIn
    id: str | None = None


class MessageIn(msgspec.Struct):
    role: str
    content: str | None = None
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[CallIn] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class FunctionSpec(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class ToolIn(msgspec.Struct):
    function: FunctionSpec


class Chat(Generating, kw_only=True):
    messages: list[MessageIn] | None = None
    tools: list[ToolIn] | None = None


class Generate(Generating, kw_only=True):
    prompt: str | None = None
    suffix: str | None = None
    system: str | None = None
    template: str | None = None
    context: list[int] | None = None
    raw: bool | None = None
    images: list[str] | None = None


class Embed(Common, kw_only=True):
    input: str | list[str] | None = None
    dimensions: int | None = None


class LegacyEmbeddings(Common, kw_only=True):
    """A request to /api/embeddings."""

    prompt: str | None = None


class AnyEmbed(Embed, kw_only=True):
    """The fields of both kinds of requests for embeddings."""

    prompt: str | None = None
