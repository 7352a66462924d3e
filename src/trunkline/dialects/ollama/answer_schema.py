"""The structs that answers of Ollama servers are decoded with.

They name only the fields that are used: msgspec skips the others without building them. The module holds
types and no behaviour. Source: ollama/ollama, ``api/types.go``.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from trunkline.dialects.ollama.logprobs import Logprob


class FunctionCall(msgspec.Struct, gc=False):
    """``message.tool_calls[].function``. Calls are numbered anew, so ``index`` is not decoded."""

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
    images: list[str] | None = None


class Chunk(msgspec.Struct, gc=False):
    """One line of a streamed answer, or a whole answer. Chat fills ``message``; generate fills ``response``
    and ``thinking``."""

    model: str | None = None
    created_at: str | None = None
    message: WireMessage | None = None
    response: str | None = None
    thinking: str | None = None
    image: str | None = None
    """An image that generate has made."""
    logprobs: list[Logprob] | None = None
    done: bool | None = None
    """Look-alikes leave it out of whole answers. A whole answer that says false was cut off."""
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


decode_chunk: Final = msgspec.json.Decoder(Chunk).decode
decode_embeddings: Final = msgspec.json.Decoder(Embeddings).decode
