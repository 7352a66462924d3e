"""The structs that upstreams' responses and their streams' events are decoded with.

The first ones hold only what must be known of an answer that passes through, the last ones what is read of
one that is translated. Every field may be missing, and all other fields are skipped. The module holds types
and no behaviour.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from trunkline.dialects.cost import read_cost
from trunkline.model import Usage


class InputDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class UsageIn(msgspec.Struct):
    """The usage object; ``cost`` is OpenRouter's."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None
    cost: float | dict[str, Any] | None = None

    def canonical(self) -> Usage:
        """Return the same as canonical usage."""
        prompt = self.input_tokens_details or InputDetails()
        answer = self.output_tokens_details or OutputDetails()
        return Usage(
            prompt_tokens=self.input_tokens or 0,
            completion_tokens=self.output_tokens or 0,
            cached_tokens=prompt.cached_tokens,
            cache_write_tokens=prompt.cache_write_tokens,
            reasoning_tokens=answer.reasoning_tokens,
            cost=read_cost(self.cost) if isinstance(self.cost, dict) else self.cost,
        )


class ResponseIn(msgspec.Struct):
    """A response object: whole, or as the events of a stream carry it."""

    model: str | None = None
    status: str | None = None
    output: list[msgspec.Raw] | None = None
    usage: UsageIn | None = None
    error: Any = None


class Record(msgspec.Struct):
    """An event of a stream."""

    type: str | None = None
    response: ResponseIn | None = None
    error: Any = None
    message: Any = None
    """This and the next two: the error itself, which an ``error`` event holds flat."""
    code: Any = None
    param: Any = None


class Ordinary(msgspec.Struct, gc=False):
    """An event that brings content and nothing else that must be known."""

    type: Literal[
        "response.output_text.delta",
        "response.function_call_arguments.delta",
        "response.reasoning_text.delta",
        "response.reasoning_summary_text.delta",
        "response.refusal.delta",
    ]
    error: None = None


class PieceIn(msgspec.Struct):
    """A part of an item: of a message's content, or of reasoning's content or summary."""

    type: str | None = None
    text: str | None = None
    refusal: str | None = None
    annotations: list[Any] | None = None
    logprobs: Any = None


class ItemIn(msgspec.Struct):
    """An item of an output, whole or as it begins."""

    type: str | None = None
    id: str | None = None
    content: list[PieceIn] | None = None
    summary: list[PieceIn] | None = None
    encrypted_content: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: Any = None
    input: str | None = None
    result: str | None = None
    output_format: str | None = None


class AnswerIn(ResponseIn):
    """A response whose output is read."""

    id: str | None = None
    created_at: float | None = None
    incomplete_details: Any = None


class EventIn(Record):
    """An event of a stream whose content is read."""

    response: AnswerIn | None = None
    item: ItemIn | None = None
    item_id: str | None = None
    output_index: int | None = None
    content_index: int | None = None
    summary_index: int | None = None
    delta: Any = None
    text: str | None = None
    refusal: str | None = None
    arguments: Any = None
    input: str | None = None
    annotation: Any = None
    logprobs: Any = None


ANSWER: Final = msgspec.json.Decoder(AnswerIn)
EVENT: Final = msgspec.json.Decoder(EventIn)
ITEM: Final = msgspec.json.Decoder(ItemIn)
RESPONSE: Final = msgspec.json.Decoder(ResponseIn)
RECORD: Final = msgspec.json.Decoder(Record)
decode_ordinary: Final = msgspec.json.Decoder(Ordinary).decode
