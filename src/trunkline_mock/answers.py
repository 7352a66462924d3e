"""What a mock model says: from a summary of the request and a script to words, thoughts and counts.

No vendor's wire form and no I/O: a shape reads its own request into an :class:`Ask`, and renders the
:class:`Answer`. Everything is a pure function of the two, so the same request always gets the same answer,
ids included.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from trunkline_mock.schema import smallest
from trunkline_mock.script import Script, ToolCall

_WORD: Final = re.compile(r"\S+\s*|\s+")
_BASE36: Final = "0123456789abcdefghijklmnopqrstuvwxyz"

_MAGIC_BYTES: Final = (
    (b"\x89PNG", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF8", "gif"),
    (b"RIFF", "webp"),
    (b"BM", "bmp"),
)


class Image(msgspec.Struct, frozen=True):
    """An image that came with a request."""

    kind: str
    """``png``, ``jpeg`` … by its first bytes, or ``url``."""
    size: int
    """Bytes, or 0 when only its address came."""


class Tool(msgspec.Struct, frozen=True):
    """A tool that the request offers."""

    name: str
    parameters: Any


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What the answer may depend on."""

    model: str
    """The name as the vendor spells it in the answer."""
    seed: str
    """Hex digits that differ from one request body to the next."""
    last: str = ""
    """The last user message's text, or the prompt."""
    prompt_words: int = 0
    images: tuple[Image, ...] = ()
    tools: tuple[Tool, ...] = ()
    after_tool: bool = False
    """The conversation ends in a tool's result."""
    schema: Any = None
    """A JSON Schema that the answer must satisfy; ``{}`` for "any JSON object"."""
    limit: int | None = None
    """Most tokens wanted."""
    stop: tuple[str, ...] = ()
    think: bool | None = None
    """The request switches thinking on or off; ``None``: it does not say."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One answer, in pieces, with its counts."""

    model: str
    seed: str
    chunks: tuple[str, ...]
    thinking: tuple[str, ...]
    tool_calls: tuple[ToolCall, ...]
    finish_reason: str
    prompt: int
    completion: int
    cached: int
    reasoning: int
    has_usage: bool
    stopped_by: str = ""
    """The stop sequence that ended the text."""

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.chunks)

    @property
    def thought(self) -> str:
        """The whole thinking."""
        return "".join(self.thinking)


def seed_of(body: bytes) -> str:
    """32 hex digits that stand for a request's body."""
    return hashlib.blake2b(body, digest_size=16).hexdigest()


def count_words(text: str) -> int:
    """Tokens of ``text``, as the mock counts them."""
    return len(text.split())


def short_id(seed: str, index: int, length: int) -> str:
    """``length`` characters of ``[a-z0-9]``, different for each ``seed`` and ``index``."""
    number = int(hashlib.blake2b(f"{seed}/{index}".encode(), digest_size=16).hexdigest(), 16)
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 36)
        digits.append(_BASE36[digit])
    return "".join(digits)


def image_of(data: bytes) -> Image:
    """Describe an image by its bytes."""
    kind = next((name for start, name in _MAGIC_BYTES if data.startswith(start)), "unknown")
    return Image(kind, len(data))


def embedding(text: str, dimensions: int) -> list[float]:
    """A deterministic vector of length 1 (the norm, not the count) for ``text``."""
    raw = hashlib.shake_128(text.encode()).digest(2 * dimensions)
    values = [int.from_bytes(raw[i : i + 2]) / 32767.5 - 1.0 for i in range(0, len(raw), 2)]
    norm = math.sqrt(sum(value * value for value in values)) or 1.0
    return [value / norm for value in values]


def spread(total: int, parts: Sequence[str]) -> list[int]:
    """Share ``total`` tokens among ``parts`` by their words; the sum is exactly ``total``."""
    words = [max(count_words(part), 1) for part in parts]
    whole = sum(words)
    shares, given, seen = [], 0, 0
    for count in words:
        seen += count
        upto = total * seen // whole
        shares.append(upto - given)
        given = upto
    return shares


def compose(ask: Ask, script: Script) -> Answer:
    """Decide what is said to ``ask`` under ``script``."""
    calls = script.tool_calls
    if script.call_tools and not ask.after_tool:
        calls += tuple(
            ToolCall(tool.name, smallest(tool.parameters)) for tool in ask.tools[: script.call_tools]
        )
    if script.text is not None:
        chunks = _pieces(script.text, script.chunk_size)
    elif calls:
        chunks = ()
    else:
        chunks = _pieces(_default_text(ask), script.chunk_size)
    chunks *= script.repeat
    finish, stopped_by = "tool_calls" if calls else "stop", ""
    if script.obey_limits if script.obey_limits is not None else script.text is None:
        chunks, stopped_by, cut = _obey(chunks, ask, script.chunk_size)
        finish = "length" if cut else finish
    thinking = () if ask.think is False else _pieces(script.thinking or "", script.chunk_size)
    usage = script.usage
    thought = count_words("".join(thinking))
    said = count_words("".join(chunks)) + sum(count_words(_text_of(call)) for call in calls)
    return Answer(
        model=script.model or ask.model,
        seed=ask.seed,
        chunks=chunks,
        thinking=thinking,
        tool_calls=calls,
        finish_reason=script.finish_reason or finish,
        prompt=ask.prompt_words if usage is None or usage.prompt is None else usage.prompt,
        completion=thought + said if usage is None or usage.completion is None else usage.completion,
        cached=usage.cached if usage else 0,
        reasoning=thought if usage is None or usage.reasoning is None else usage.reasoning,
        has_usage=usage is not None,
        stopped_by=stopped_by,
    )


def _text_of(call: ToolCall) -> str:
    arguments = call.arguments
    return (
        arguments if isinstance(arguments, str) else f"{call.name} {msgspec.json.encode(arguments).decode()}"
    )


def _pieces(text: str | tuple[str, ...], size: int | None) -> tuple[str, ...]:
    if not isinstance(text, str):
        return text
    if size is None:
        return tuple(_WORD.findall(text))
    return tuple(text[i : i + size] for i in range(0, len(text), size))


def _default_text(ask: Ask) -> str:
    if ask.schema is not None:
        return msgspec.json.encode(smallest(ask.schema)).decode()
    text = f"{ask.model} heard: {ask.last}" if ask.last else f"{ask.model} heard nothing."
    if ask.images:
        seen = ", ".join(f"{image.kind} of {image.size} bytes" for image in ask.images)
        text += f" It saw {len(ask.images)} image(s): {seen}."
    return text


def _obey(chunks: tuple[str, ...], ask: Ask, size: int | None) -> tuple[tuple[str, ...], str, bool]:
    """Cut at the first stop sequence, then at the limit; which sequence, and whether the limit cut."""
    text = "".join(chunks)
    ends = [(end, word) for word in ask.stop if word and (end := text.find(word)) >= 0]
    stopped_by = ""
    if ends:
        end, stopped_by = min(ends)
        text = text[:end]
        chunks = _pieces(text, size)
    if ask.limit is None or count_words(text) <= ask.limit:
        return chunks, stopped_by, False
    return _pieces("".join(_WORD.findall(text)[: ask.limit]), size), "", True
