"""The structs that OpenAI-compatible upstreams' answers are decoded with.

Every field may be missing, because servers differ in what they leave out. A field that is there has OpenAI's
type, or one of the few other types that servers are known to send. The module holds types and no behaviour.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from trunkline.dialects.cost import read_cost
from trunkline.model import Usage


class FunctionPiece(msgspec.Struct):
    name: str | None = None
    arguments: Any = None
    """A JSON text, or the object itself; some servers send other values in its place."""


class CallPiece(msgspec.Struct):
    """A tool call, or what one chunk adds to it."""

    index: int | None = None
    id: str | None = None
    function: FunctionPiece | None = None
    extra_content: Any = None
    """Gemini's: the signature of the thinking before the call."""
    name: str | None = None
    """Some servers put this and the arguments here instead of into a ``function``."""
    arguments: Any = None


class ContentPiece(msgspec.Struct):
    """A part of ``content``, where that is a list: text, or what ``type`` says."""

    type: str | None = None
    text: str | None = None
    thinking: Any = None
    """Mistral's: a list of parts of text."""
    refusal: str | None = None
    image_url: Any = None
    audio: Any = None
    """OpenAI's object, also in parts of type ``input_audio``."""
    reasoning_content: str | None = None
    thought: Any = None
    """Gemini's: whether the text is thinking."""
    url: str | None = None
    """Of a source: Mistral's ``tool_reference``."""
    title: str | None = None


class Delta(msgspec.Struct):
    """A ``delta`` of a stream, or the ``message`` of a whole answer."""

    content: str | list[ContentPiece] | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    thinking: str | None = None
    """Ollama's name for it, in servers made after both; the next is GitHub Copilot's."""
    reasoning_text: str | None = None
    reasoning_details: Any = None
    """OpenRouter's and MiniMax's."""
    refusal: str | None = None
    tool_calls: list[CallPiece] | None = None
    function_call: FunctionPiece | None = None
    images: list[Any] | None = None
    """OpenRouter's, in the form of a request's ``image_url`` parts."""
    audio: Any = None
    annotations: list[Any] | None = None
    """Citations, as OpenAI's search models and OpenRouter give them."""
    grounding_metadata: Any = None
    """Gemini's sources."""
    citations: list[Any] | None = None
    context: Any = None
    """Azure's, with citations in it."""


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
    input_tokens: int | None = None
    """The names that newer APIs have for both, which some servers send here as well."""
    output_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    cost: float | dict[str, Any] | None = None
    """In USD, or an object that splits it up (Perplexity)."""
    cached_tokens: int | None = None
    """Moonshot's; the next two are DeepSeek's and Mistral's."""
    prompt_cache_hit_tokens: int | None = None
    num_cached_tokens: int | None = None

    def canonical(self) -> Usage:
        """Return the same as canonical usage."""
        prompt = self.prompt_tokens_details or _NO_PROMPT_DETAILS
        completion = self.completion_tokens_details or _NO_COMPLETION_DETAILS
        cached = prompt.cached_tokens
        if cached is None:
            others = (self.cached_tokens, self.prompt_cache_hit_tokens, self.num_cached_tokens)
            cached = next((count for count in others if count is not None), None)
        return Usage(
            prompt_tokens=self.prompt_tokens or self.input_tokens or 0,
            completion_tokens=self.completion_tokens or self.output_tokens or 0,
            cached_tokens=cached,
            cache_write_tokens=prompt.cache_write_tokens,
            reasoning_tokens=completion.reasoning_tokens,
            cost=read_cost(self.cost) if isinstance(self.cost, dict) else self.cost,
        )


class ChoicePiece(msgspec.Struct):
    index: int = 0
    delta: Delta | None = None
    message: Delta | None = None
    text: str | None = None
    finish_reason: str | None = None
    logprobs: dict[str, Any] | None = None
    error: Any = None
    usage: UsageIn | None = None
    """Moonshot's place for it."""
    grounding_metadata: Any = None


class GroqPiece(msgspec.Struct):
    usage: UsageIn | None = None
    error: Any = None


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
    base_resp: Any = None
    """MiniMax's verdict on the request, also of one that succeeded."""
    x_groq: GroqPiece | None = None
    citations: list[Any] | None = None
    """Addresses of sources (xAI, Perplexity)."""
    search_results: list[Any] | None = None
    """Sources with their titles (Perplexity); the next is Z.ai's."""
    web_search: list[Any] | None = None

    def find_usage(self) -> UsageIn | None:
        """Return the usage, wherever it stands."""
        if self.usage is not None:
            return self.usage
        for choice in self.choices or ():
            if choice.usage is not None:
                return choice.usage
        return None if self.x_groq is None else self.x_groq.usage


class Vector(msgspec.Struct):
    embedding: list[float] | str
    index: int = 0


class Vectors(msgspec.Struct):
    """An embedding answer."""

    data: list[Vector] | None = None
    model: str | None = None
    usage: UsageIn | None = None


CHUNK: Final = msgspec.json.Decoder(Chunk)
decode_chunk: Final = CHUNK.decode
decode_vectors: Final = msgspec.json.Decoder(Vectors).decode
