"""The structs that answers of the Messages API are decoded with.

Every field may be missing, because compatible servers differ in what they leave out. A field that is there
has Anthropic's type. One struct holds any event of a stream. The module holds types and no behaviour.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from trunkline.model import Usage


class OutputDetails(msgspec.Struct):
    thinking_tokens: int | None = None


class UsageIn(msgspec.Struct):
    """A usage object. In a stream, a later one replaces the fields that it has of an earlier one."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens_details: OutputDetails | None = None

    def over(self, before: UsageIn | None) -> UsageIn:
        """Return the same, with the fields that it leaves out taken from the one before it."""
        if before is None:
            return self
        new, old = msgspec.structs.asdict(self), msgspec.structs.asdict(before)
        return UsageIn(**{name: old[name] if value is None else value for name, value in new.items()})

    def canonical(self) -> Usage:
        """Return the same as canonical usage, whose prompt includes the tokens that a cache was used for."""
        read, written = self.cache_read_input_tokens, self.cache_creation_input_tokens
        details = self.output_tokens_details
        return Usage(
            prompt_tokens=(self.input_tokens or 0) + (read or 0) + (written or 0),
            completion_tokens=self.output_tokens or 0,
            cached_tokens=read,
            cache_write_tokens=written,
            reasoning_tokens=None if details is None else details.thinking_tokens,
        )


class BlockIn(msgspec.Struct):
    """A content block, whole or as it begins."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    """Of redacted thinking."""
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = msgspec.Raw(b"")
    citations: list[Any] | None = None
    source: Any = None
    """Of an image, as compatible servers send it."""


class DeltaIn(msgspec.Struct):
    """The addition of one event to a block, or to the message."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    citation: Any = None
    stop_reason: str | None = None
    stop_sequence: str | None = None


class MessageIn(msgspec.Struct):
    """A whole answer, or its head in ``message_start``."""

    type: str | None = None
    id: str | None = None
    model: str | None = None
    content: list[BlockIn] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: UsageIn | None = None
    error: Any = None


class Record(msgspec.Struct):
    """Any event of a stream."""

    type: str | None = None
    message: MessageIn | str | None = None
    """A string only where a server sends a flat error."""
    index: int = 0
    content_block: BlockIn | None = None
    delta: DeltaIn | None = None
    usage: UsageIn | None = None
    error: Any = None


RECORD: Final = msgspec.json.Decoder(Record)
decode_record: Final = RECORD.decode
decode_message: Final = msgspec.json.Decoder(MessageIn).decode
