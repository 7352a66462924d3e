"""Names, tables and answer structs of Ollama's wire format that both directions share.

Holds no behaviour of either. The structs name only the fields that are read: msgspec skips the others
without building them. Source: ollama/ollama, ``api/types.go``.
"""

from __future__ import annotations

import random
from typing import Any, Final

import msgspec

from trunkline.dialects.ollama.logprobs import Logprob
from trunkline.model import Effort, Operation

DIALECT: Final = "ollama"
JSON_TYPE: Final = b"application/json; charset=utf-8"
NDJSON_TYPE: Final = b"application/x-ndjson"

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
"""Ollama's options → fields of the canonical ``Sampling``. All other options stay Ollama's own."""

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


class FunctionCall(msgspec.Struct, gc=False):
    """``message.tool_calls[].function``; ``index`` is counted anew, so it is not read."""

    name: str
    arguments: msgspec.Raw = msgspec.Raw(b"")


class WireCall(msgspec.Struct, gc=False):
    """``message.tool_calls[]``."""

    function: FunctionCall
    id: str | None = None


class WireMessage(msgspec.Struct, gc=False):
    """``message`` of a chat chunk."""

    content: str | None = None
    thinking: str | None = None
    tool_calls: list[WireCall] | None = None


class Chunk(msgspec.Struct, gc=False):
    """One line of a streamed answer, or all of a whole one; chat fills ``message``, generate the rest."""

    model: str | None = None
    created_at: str | None = None
    message: WireMessage | None = None
    response: str | None = None
    thinking: str | None = None
    logprobs: list[Logprob] | None = None
    done: bool = False
    done_reason: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    total_duration: float | None = None
    load_duration: float | None = None
    prompt_eval_duration: float | None = None
    eval_duration: float | None = None
    error: Any = None


class Embeddings(msgspec.Struct, gc=False):
    """The answer of /api/embed."""

    embeddings: list[list[float]] | None = None
    model: str | None = None
    prompt_eval_count: int | None = None
    total_duration: float | None = None
    load_duration: float | None = None
    error: Any = None


def error_text(error: Any) -> str:
    """The words in an ``error`` field: Ollama sends a string; look-alikes send an object with a message."""
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail") or error
    return error if isinstance(error, str) else msgspec.json.encode(error).decode()


def new_call_id() -> str:
    """An id for a tool call, in the form that Ollama gives its own."""
    return "call_" + "".join(random.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=8))
