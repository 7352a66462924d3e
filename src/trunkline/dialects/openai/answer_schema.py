"""The structs that OpenAI-compatible upstreams' answers are decoded with.

Every field may be missing, because servers differ in what they leave out. A field that is there has OpenAI's
type, or one of the few other types that servers are known to send. The module holds types and no behaviour.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from trunkline.model import Usage


class FunctionPiece(msgspec.Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class CallPiece(msgspec.Struct):
    """A tool call, or what one chunk adds to it."""

    index: int | None = None
    id: str | None = None
    function: FunctionPiece | None = None
    extra_content: Any = None
    """Gemini's: the signature of the thinking before the call."""


class TextPiece(msgspec.Struct):
    text: str = ""


class Delta(msgspec.Struct):
    """A ``delta`` of a stream, or the ``message`` of a whole answer."""

    content: str | list[TextPiece] | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    reasoning_details: Any = None
    """OpenRouter's and MiniMax's."""
    refusal: str | None = None
    tool_calls: list[CallPiece] | None = None
    function_call: FunctionPiece | None = None


class ChoicePiece(msgspec.Struct):
    index: int = 0
    delta: Delta | None = None
    message: Delta | None = None
    text: str | None = None
    finish_reason: str | None = None
    logprobs: dict[str, Any] | None = None
    error: Any = None


class PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class CompletionDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


_NO_PROMPT_DETAILS: Final = PromptDetails()
_NO_COMPLETION_DETAILS: Final = CompletionDetails()


class UsageIn(msgspec.Struct):
    """The usage object, as OpenAI, OpenRouter (``cost``) and others send it."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    cost: float | None = None

    def canonical(self) -> Usage:
        """Return the same as canonical usage."""
        prompt = self.prompt_tokens_details or _NO_PROMPT_DETAILS
        completion = self.completion_tokens_details or _NO_COMPLETION_DETAILS
        return Usage(
            prompt_tokens=self.prompt_tokens or 0,
            completion_tokens=self.completion_tokens or 0,
            cached_tokens=prompt.cached_tokens,
            cache_write_tokens=prompt.cache_write_tokens,
            reasoning_tokens=completion.reasoning_tokens,
            cost=self.cost,
        )


class Chunk(msgspec.Struct):
    """A stream's chunk, or a whole answer."""

    id: str | None = None
    model: str | None = None
    created: float | None = None
    choices: list[ChoicePiece] | None = None
    usage: UsageIn | None = None
    error: Any = None
    status_code: int | None = None
    """Beside ``error``, in Cerebras's streams."""
    message: Any = None
    """This and the next two: the error itself, where a server sends it flat (Cerebras, SGLang)."""
    code: Any = None
    param: Any = None


class Vector(msgspec.Struct):
    embedding: list[float] | str
    index: int = 0


class Vectors(msgspec.Struct):
    """An embedding answer."""

    data: list[Vector] | None = None
    model: str | None = None
    usage: UsageIn | None = None


decode_chunk: Final = msgspec.json.Decoder(Chunk).decode
decode_vectors: Final = msgspec.json.Decoder(Vectors).decode
