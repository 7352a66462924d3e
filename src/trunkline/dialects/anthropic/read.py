"""Answers of Messages upstreams: bytes → canonical events.

A stream is complete with its ``message_stop`` and with nothing else. A ``ping`` becomes no event, and neither
do the blocks of Anthropic's own servers (searches, code runs): what they found is in the text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from trunkline.dialects import read
from trunkline.dialects.anthropic.answer_schema import (
    BlockIn,
    DeltaIn,
    MessageIn,
    Record,
    UsageIn,
    decode_message,
    decode_record,
)
from trunkline.dialects.anthropic.errors import read_error_field
from trunkline.dialects.error_envelope import malformed
from trunkline.dialects.vendor_state import Maker, seal
from trunkline.events import (
    Finished,
    FinishReason,
    Metered,
    Started,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)
from trunkline.framing import SSESplitter

REASONS: Final[Mapping[str, FinishReason]] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
"""``stop_reason`` → canonical. ``end_turn``, ``stop_sequence`` and any new reason are a plain stop."""

_NO_INPUT: Final = (b"", b"{}", b"null")
NOBODY: Final = Maker()
"""The maker of state where nobody needs to know."""


class StreamReader(read.StreamReader):
    """Reads a streamed answer, whose signatures ``maker`` wants back."""

    def __init__(self, upstream_name: str, maker: Maker = NOBODY) -> None:
        super().__init__(upstream_name, SSESplitter())
        self._builder = _EventBuilder(maker)

    def _read(self, records: Sequence[bytes], events: list[StreamEvent]) -> None:
        for payload in records:
            record = decode_record(payload)
            if record.error is not None or record.type == "error":
                raise read_error_field(record.error, self._upstream_name)
            self._builder.add(record, events)
            if record.type == "message_stop":
                self.complete = True
                return


class WholeReader(read.WholeReader):
    """Reads an answer that came as one JSON body; see :class:`StreamReader`."""

    def __init__(self, upstream_name: str, maker: Maker = NOBODY) -> None:
        super().__init__(upstream_name)
        self._maker = maker

    def _read(self, body: bytes, events: list[StreamEvent]) -> None:
        message = decode_message(body)
        body.decode()
        if message.error is not None or message.type == "error":
            raise read_error_field(message.error, self._upstream_name)
        if message.content is None:
            raise malformed(self._upstream_name, "it has no content")
        _EventBuilder(self._maker).add_whole(message, events)


class _EventBuilder:
    """Turns records into events, with the little state that is needed between records."""

    def __init__(self, maker: Maker) -> None:
        self._maker = maker
        self._usage: UsageIn | None = None
        self._calls: dict[int, int] = {}
        """Index of a block → number of its call."""
        self._initial_inputs: dict[int, bytes] = {}
        """Index of a block → input of a call for which no pieces came yet."""
        self._finished = False

    def add(self, record: Record, events: list[StreamEvent]) -> None:
        """Append the record's events."""
        match record.type:
            case "content_block_delta":
                if record.delta is not None:
                    self._delta(record.index, record.delta, events)
            case "content_block_start":
                if record.content_block is not None:
                    self._start(record.index, record.content_block, events)
            case "content_block_stop":
                arguments = self._initial_inputs.pop(record.index, None)
                if arguments is not None:
                    events.append(ToolCallDelta(self._calls[record.index], arguments=arguments.decode()))
            case "message_start":
                if isinstance(record.message, MessageIn):
                    events.append(Started(record.message.id or None, record.message.model or None))
                    self._meter(record.message.usage, events)
            case "message_delta":
                delta = record.delta or DeltaIn()
                if delta.stop_reason:
                    self._finish(delta.stop_reason, delta.stop_sequence, events)
                self._meter(record.usage, events)
            case "message_stop":
                if not self._finished:
                    self._finish("tool_use" if self._calls else "end_turn", None, events)
            case _:
                pass

    def add_whole(self, message: MessageIn, events: list[StreamEvent]) -> None:
        """Append all events of an answer that was not streamed."""
        self.add(Record("message_start", message=message), events)
        for index, block in enumerate(message.content or ()):
            self.add(Record("content_block_start", index=index, content_block=block), events)
            self.add(Record("content_block_stop", index=index), events)
        self._finish(message.stop_reason or "end_turn", message.stop_sequence, events)

    def _start(self, index: int, block: BlockIn, events: list[StreamEvent]) -> None:
        """A block begins, perhaps with content. A call's input mostly comes in pieces: the one here is used
        only if no pieces come."""
        match block.type:
            case "text":
                if block.text:
                    events.append(TextDelta(block.text))
            case "thinking":
                if block.thinking or block.signature:
                    events.append(self._thinking(block.thinking, block.signature))
            case "redacted_thinking":
                if block.data:
                    events.append(ThinkingDelta("", signature=seal(self._maker.name, "redacted", block.data)))
            case "tool_use":
                call = self._calls[index] = len(self._calls)
                data = bytes(block.input)
                self._initial_inputs[index] = b"{}" if data in _NO_INPUT else data
                events.append(ToolCallDelta(call, block.id or None, block.name or ""))
            case _:
                pass

    def _delta(self, index: int, delta: DeltaIn, events: list[StreamEvent]) -> None:
        if delta.text:
            events.append(TextDelta(delta.text))
        elif delta.partial_json:
            call = self._calls.get(index)
            if call is not None:
                self._initial_inputs.pop(index, None)
                events.append(ToolCallDelta(call, arguments=delta.partial_json))
        elif delta.thinking or delta.signature:
            events.append(self._thinking(delta.thinking, delta.signature))

    def _thinking(self, text: str | None, signature: str | None) -> ThinkingDelta:
        return ThinkingDelta(
            text or "", signature=self._maker.seal("signature", signature) if signature else None
        )

    def _finish(self, wire_reason: str, stop_sequence: str | None, events: list[StreamEvent]) -> None:
        if not self._finished:
            self._finished = True
            events.append(Finished(REASONS.get(wire_reason, "stop"), stop_sequence=stop_sequence))

    def _meter(self, usage: UsageIn | None, events: list[StreamEvent]) -> None:
        if usage is not None:
            self._usage = usage.over(self._usage)
            events.append(Metered(self._usage.canonical()))
