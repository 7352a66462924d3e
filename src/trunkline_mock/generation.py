"""What the mock model writes: text, thinking, tool calls and token counts.

A shape parses its vendor's request into a :class:`ModelInput` and writes the :class:`ModelOutput` in its
vendor's format; nothing here knows a wire format or does I/O. The output is a pure function of the input and
the script, so that the same request always gets the same answer, including its ids.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from trunkline_mock.json_schema import smallest_value
from trunkline_mock.script import Script, ToolCall

_WORD: Final = re.compile(r"\S+\s*|\s+")
_BASE36: Final = "0123456789abcdefghijklmnopqrstuvwxyz"

_IMAGE_SIGNATURES: Final = (
    (b"\x89PNG", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF8", "gif"),
    (b"RIFF", "webp"),
    (b"BM", "bmp"),
)


class Image(msgspec.Struct, frozen=True):
    """An image of a request."""

    kind: str
    """``png``, ``jpeg`` … according to its first bytes, or ``url``."""
    size: int
    """Its size in bytes, or 0 if the request has only its URL."""


class Tool(msgspec.Struct, frozen=True):
    """A tool that the request offers."""

    name: str
    parameters: Any


class ModelInput(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a request that the model's output depends on."""

    model: str
    """The name as the vendor spells it in the answer."""
    seed: str
    """Hexadecimal digits that differ from one request body to the next; the ids are derived from them."""
    last_user_text: str = ""
    """The text of the last user message, or the prompt."""
    prompt_tokens: int = 0
    images: tuple[Image, ...] = ()
    tools: tuple[Tool, ...] = ()
    ends_with_tool_result: bool = False
    """Whether the last message of the conversation is a tool's result."""
    schema: Any = None
    """A JSON Schema that the answer must satisfy; ``{}`` for "any JSON object"."""
    max_tokens: int | None = None
    stop_sequences: tuple[str, ...] = ()
    thinking_enabled: bool | None = None
    """Whether the request switches thinking on or off; ``None``: it does neither."""


class ModelOutput(msgspec.Struct, frozen=True, kw_only=True):
    """The model's output for one request, in chunks, with its token counts."""

    model: str
    seed: str
    text_chunks: tuple[str, ...]
    thinking_chunks: tuple[str, ...]
    tool_calls: tuple[ToolCall, ...]
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    has_usage: bool
    stop_sequence: str = ""
    """The stop sequence that ended the text; empty if none did."""

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.text_chunks)

    @property
    def thinking(self) -> str:
        """The whole thinking."""
        return "".join(self.thinking_chunks)


def request_seed(body: bytes) -> str:
    """32 hexadecimal digits that identify a request's body."""
    return hashlib.blake2b(body, digest_size=16).hexdigest()


def count_tokens(text: str) -> int:
    """The number of tokens of ``text``: the mock counts one for each whitespace-separated word."""
    return len(text.split())


def make_id(seed: str, index: int, length: int) -> str:
    """``length`` characters of ``[a-z0-9]`` that differ for each ``seed`` and ``index``."""
    number = int(hashlib.blake2b(f"{seed}/{index}".encode(), digest_size=16).hexdigest(), 16)
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 36)
        digits.append(_BASE36[digit])
    return "".join(digits)


def inspect_image(data: bytes) -> Image:
    """The kind and the size of an image, determined from its bytes."""
    kind = next((name for signature, name in _IMAGE_SIGNATURES if data.startswith(signature)), "unknown")
    return Image(kind, len(data))


def embedding_vector(text: str, dimensions: int) -> list[float]:
    """A vector with ``dimensions`` elements and norm 1 that depends only on ``text``."""
    raw = hashlib.shake_128(text.encode()).digest(2 * dimensions)
    values = [int.from_bytes(raw[i : i + 2]) / 32767.5 - 1.0 for i in range(0, len(raw), 2)]
    norm = math.sqrt(sum(value * value for value in values)) or 1.0
    return [value / norm for value in values]


def share_tokens(total: int, parts: Sequence[str]) -> list[int]:
    """Divide ``total`` tokens among ``parts`` in proportion to their words; the sum is exactly ``total``."""
    word_counts = [max(count_tokens(part), 1) for part in parts]
    all_words = sum(word_counts)
    shares, shared, words = [], 0, 0
    for count in word_counts:
        words += count
        shared_with_part = total * words // all_words
        shares.append(shared_with_part - shared)
        shared = shared_with_part
    return shares


def generate(model_input: ModelInput, script: Script) -> ModelOutput:
    """The output of the mock model for ``model_input`` under ``script``."""
    tool_calls = script.tool_calls
    if script.call_tools and not model_input.ends_with_tool_result:
        tool_calls += tuple(
            ToolCall(tool.name, smallest_value(tool.parameters))
            for tool in model_input.tools[: script.call_tools]
        )
    if script.text is not None:
        text_chunks = _split(script.text, script.chunk_size)
    elif tool_calls:
        text_chunks = ()
    else:
        text_chunks = _split(_default_text(model_input), script.chunk_size)
    text_chunks *= script.repeat
    finish_reason, stop_sequence = "tool_calls" if tool_calls else "stop", ""
    if script.obey_limits if script.obey_limits is not None else script.text is None:
        text_chunks, stop_sequence, truncated = _apply_limits(text_chunks, model_input, script.chunk_size)
        finish_reason = "length" if truncated else finish_reason
    thinking_chunks = (
        () if model_input.thinking_enabled is False else _split(script.thinking or "", script.chunk_size)
    )
    usage = script.usage
    thinking_tokens = count_tokens("".join(thinking_chunks))
    text_tokens = count_tokens("".join(text_chunks))
    completion_tokens = thinking_tokens + text_tokens + sum(map(_count_call_tokens, tool_calls))
    return ModelOutput(
        model=script.model or model_input.model,
        seed=model_input.seed,
        text_chunks=text_chunks,
        thinking_chunks=thinking_chunks,
        tool_calls=tool_calls,
        finish_reason=script.finish_reason or finish_reason,
        prompt_tokens=model_input.prompt_tokens if usage is None or usage.prompt is None else usage.prompt,
        completion_tokens=completion_tokens
        if usage is None or usage.completion is None
        else usage.completion,
        cached_tokens=usage.cached if usage else 0,
        reasoning_tokens=thinking_tokens if usage is None or usage.reasoning is None else usage.reasoning,
        has_usage=usage is not None,
        stop_sequence=stop_sequence,
    )


def _count_call_tokens(call: ToolCall) -> int:
    arguments = call.arguments
    if isinstance(arguments, str):
        return count_tokens(arguments)
    return count_tokens(f"{call.name} {msgspec.json.encode(arguments).decode()}")


def _split(text: str | tuple[str, ...], chunk_size: int | None) -> tuple[str, ...]:
    """The chunks of a text: those that the script set, words, or pieces of ``chunk_size`` characters."""
    if not isinstance(text, str):
        return text
    if chunk_size is None:
        return tuple(_WORD.findall(text))
    return tuple(text[i : i + chunk_size] for i in range(0, len(text), chunk_size))


def _default_text(model_input: ModelInput) -> str:
    if model_input.schema is not None:
        return msgspec.json.encode(smallest_value(model_input.schema)).decode()
    prompt = model_input.last_user_text
    text = f"{model_input.model} heard: {prompt}" if prompt else f"{model_input.model} heard nothing."
    if model_input.images:
        images = ", ".join(f"{image.kind} of {image.size} bytes" for image in model_input.images)
        text += f" It saw {len(model_input.images)} image(s): {images}."
    return text


def _apply_limits(
    chunks: tuple[str, ...], model_input: ModelInput, chunk_size: int | None
) -> tuple[tuple[str, ...], str, bool]:
    """Cut the text at the first stop sequence, then at the token limit.

    Returns:
        The chunks that are left, the stop sequence that cut the text (empty if none did), and whether the
        token limit cut it.
    """
    text = "".join(chunks)
    matches = [
        (position, sequence)
        for sequence in model_input.stop_sequences
        if sequence and (position := text.find(sequence)) >= 0
    ]
    stop_sequence = ""
    if matches:
        position, stop_sequence = min(matches)
        text = text[:position]
        chunks = _split(text, chunk_size)
    max_tokens = model_input.max_tokens
    if max_tokens is None or count_tokens(text) <= max_tokens:
        return chunks, stop_sequence, False
    return _split("".join(_WORD.findall(text)[:max_tokens]), chunk_size), "", True
