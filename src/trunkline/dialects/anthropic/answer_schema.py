"""The structs that answers of the Messages API are decoded with.

Everything may be missing, because compatible servers differ in what they leave out; what is there has
Anthropic's type. One struct holds any event of a stream. Only types stand here, no meaning.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from trunkline.model import Usage


class Reply(msgspec.Struct):
    """Base of what upstreams send."""


class OutputDetails(Reply):
    thinking_tokens: int | None = None


class UsageIn(Reply):
    """A usage object; in a stream, a later one overwrites what it names of an earlier one."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens_details: OutputDetails | None = None

    def over(self, before: UsageIn | None) -> UsageIn:
        """The same, with what it leaves out taken from the one before it."""
        if before is None:
            return self
        mine, old = msgspec.structs.asdict(self), msgspec.structs.asdict(before)
        return UsageIn(**{name: old[name] if value is None else value for name, value in mine.items()})

    def canonical(self) -> Usage:
        """The same as canonical usage, whose prompt includes what a cache was used for."""
        read, written = self.cache_read_input_tokens, self.cache_creation_input_tokens
        details = self.output_tokens_details
        return Usage(
            prompt_tokens=(self.input_tokens or 0) + (read or 0) + (written or 0),
            completion_tokens=self.output_tokens or 0,
            cached_tokens=read,
            cache_write_tokens=written,
            reasoning_tokens=None if details is None else details.thinking_tokens,
        )


class BlockIn(Reply):
    """A content block, whole or as it begins."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = msgspec.Raw(b"")


class DeltaIn(Reply):
    """What an event adds to a block, or to the message."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None


class MessageIn(Reply):
    """A whole answer, or its head in ``message_start``."""

    type: str | None = None
    id: str | None = None
    model: str | None = None
    content: list[BlockIn] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: UsageIn | None = None
    error: Any = None


class Record(Reply):
    """Any event of a stream."""

    type: str | None = None
    message: MessageIn | str | None = None
    """A string only where a server sends a flat error."""
    index: int = 0
    content_block: BlockIn | None = None
    delta: DeltaIn | None = None
    usage: UsageIn | None = None
    error: Any = None


decode_record: Final = msgspec.json.Decoder(Record).decode
decode_message: Final = msgspec.json.Decoder(MessageIn).decode
