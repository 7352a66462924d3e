"""Answers of Messages upstreams: bytes → canonical events.

A stream is complete with its ``message_stop`` and by nothing else. A ``ping`` says nothing, and so do the
blocks of Anthropic's own servers (searches, code runs): a translated request cannot ask for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from trunkline.dialects.anthropic.answer_schema import (
    BlockIn,
    DeltaIn,
    MessageIn,
    Record,
    UsageIn,
    decode_message,
    decode_record,
)
from trunkline.dialects.anthropic.errors import said_error
from trunkline.dialects.error_envelope import UNREADABLE, malformed, truncated
from trunkline.errors import UPSTREAM_PROTOCOL, GatewayError, ProviderError
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
"""``stop_reason`` → canonical; ``end_turn``, ``stop_sequence`` and whatever comes new are a plain stop."""

_EMPTY: Final = (b"", b"{}", b"null")


class StreamReader:
    """A streamed answer."""

    def __init__(self, who: str) -> None:
        self.error: GatewayError | None = None
        self.complete = False
        self._who = who
        self._splitter = SSESplitter()
        self._events = _Events()

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Events that these bytes complete."""
        if self.complete or self.error is not None:
            return []
        try:
            payloads = self._splitter.feed(data)
        except ProviderError as error:
            self.error = error
            return []
        return self._read(payloads)

    def close(self) -> list[StreamEvent]:
        """The body ended: complete if the terminal event was seen, else cut."""
        if self.complete or self.error is not None:
            return []
        events = self._read(self._splitter.close())
        self._end()
        return events

    def _end(self) -> None:
        """Nothing more comes. What could not be read at the very end was half a record: a cut."""
        cut = self.error is None or self.error.kind is UPSTREAM_PROTOCOL
        if cut and not self.complete:
            self.error = truncated(self._who)

    def _read(self, payloads: list[bytes]) -> list[StreamEvent]:
        out: list[StreamEvent] = []
        for payload in payloads:
            try:
                record = decode_record(payload)
            except UNREADABLE as error:
                self.error = malformed(self._who, error)
                break
            if record.error is not None or record.type == "error":
                self.error = said_error(record.error, self._who)
                break
            self._events.add(record, out)
            if record.type == "message_stop":
                self.complete = True
                break
        return out


class _Events:
    """Records → events, with the little that must be remembered between them."""

    def __init__(self) -> None:
        self._usage: UsageIn | None = None
        self._calls: dict[int, int] = {}
        self._silent: dict[int, bytes] = {}
        self._finished = False

    def add(self, record: Record, out: list[StreamEvent]) -> None:
        """Append the record's events."""
        match record.type:
            case "content_block_delta":
                if record.delta is not None:
                    self._delta(record.index, record.delta, out)
            case "content_block_start":
                if record.content_block is not None:
                    self._start(record.index, record.content_block, out)
            case "content_block_stop":
                silent = self._silent.pop(record.index, None)
                if silent is not None:
                    out.append(ToolCallDelta(self._calls[record.index], arguments=silent.decode()))
            case "message_start":
                if isinstance(record.message, MessageIn):
                    out.append(Started(record.message.id or None, record.message.model or None))
                    self._meter(record.message.usage, out)
            case "message_delta":
                delta = record.delta or DeltaIn()
                if delta.stop_reason:
                    self._finish(delta.stop_reason, delta.stop_sequence, out)
                self._meter(record.usage, out)
            case "message_stop":
                if not self._finished:
                    self._finish("tool_use" if self._calls else "end_turn", None, out)
            case _:
                pass

    def whole(self, message: MessageIn, out: list[StreamEvent]) -> None:
        """Append all events of an answer that was not streamed."""
        self.add(Record("message_start", message=message), out)
        for index, block in enumerate(message.content or ()):
            self.add(Record("content_block_start", index=index, content_block=block), out)
            self.add(Record("content_block_stop", index=index), out)
        self._finish(message.stop_reason or "end_turn", message.stop_sequence, out)

    def _start(self, index: int, block: BlockIn, out: list[StreamEvent]) -> None:
        """A block begins; what it brings with it already counts. A call's input mostly comes in pieces: the
        one here is used only if none do."""
        match block.type:
            case "text":
                if block.text:
                    out.append(TextDelta(block.text))
            case "thinking":
                if block.thinking or block.signature:
                    out.append(ThinkingDelta(block.thinking or "", signature=block.signature or None))
            case "tool_use":
                ours = self._calls[index] = len(self._calls)
                given = bytes(block.input)
                self._silent[index] = b"{}" if given in _EMPTY else given
                out.append(ToolCallDelta(ours, block.id or None, block.name or ""))
            case _:
                pass

    def _delta(self, index: int, delta: DeltaIn, out: list[StreamEvent]) -> None:
        if delta.text:
            out.append(TextDelta(delta.text))
        elif delta.partial_json:
            call = self._calls.get(index)
            if call is not None:
                self._silent.pop(index, None)
                out.append(ToolCallDelta(call, arguments=delta.partial_json))
        elif delta.thinking or delta.signature:
            out.append(ThinkingDelta(delta.thinking or "", signature=delta.signature or None))

    def _finish(self, said: str, stop_sequence: str | None, out: list[StreamEvent]) -> None:
        if not self._finished:
            self._finished = True
            out.append(Finished(REASONS.get(said, "stop"), stop_sequence=stop_sequence))

    def _meter(self, usage: UsageIn | None, out: list[StreamEvent]) -> None:
        if usage is not None:
            self._usage = usage.over(self._usage)
            out.append(Metered(self._usage.canonical()))


class WholeReader:
    """An answer that came as one JSON body."""

    def __init__(self, who: str) -> None:
        self.error: GatewayError | None = None
        self.complete = False
        self._who = who
        self._pieces: list[bytes] = []

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Gathers; a JSON body says nothing before its end."""
        self._pieces.append(data)
        return []

    def close(self) -> list[StreamEvent]:
        """All events of the answer."""
        try:
            message = read_message(b"".join(self._pieces), self._who)
        except GatewayError as error:
            self.error = error
            return []
        out: list[StreamEvent] = []
        _Events().whole(message, out)
        self.complete = True
        return out


def read_message(body: bytes, who: str) -> MessageIn:
    """A whole answer.

    Raises:
        GatewayError: it is not one, or an error hides in it.
    """
    try:
        message = decode_message(body)
        body.decode()
    except (msgspec.ValidationError, *UNREADABLE) as error:
        raise malformed(who, error) from None
    if message.error is not None or message.type == "error":
        raise said_error(message.error, who)
    if message.content is None:
        raise malformed(who, "it has no content")
    return message
