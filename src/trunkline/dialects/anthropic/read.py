"""Answers of Messages upstreams: bytes → canonical events.

A stream is complete with its ``message_stop`` and with nothing else. A ``ping`` becomes no event, and neither
do the searches of Anthropic's own servers: what they found is in the text, and cited. Of other blocks of
theirs, and of unknown ones, it is said that they were left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

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
from trunkline.dialects.anthropic.errors import find_error
from trunkline.dialects.error_envelope import UNREADABLE, malformed
from trunkline.dialects.tool_arguments import open_arguments
from trunkline.dialects.vendor_state import Maker, seal
from trunkline.events import (
    Cited,
    Finished,
    FinishReason,
    Media,
    Metered,
    NotShown,
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

NOBODY: Final = Maker()
"""The maker of state where nobody needs to know."""


class StreamReader(read.StreamReader):
    """Reads a streamed answer, whose signatures ``maker`` wants back."""

    def __init__(self, upstream_name: str, maker: Maker = NOBODY) -> None:
        super().__init__(upstream_name, SSESplitter())
        self._builder = _EventBuilder(maker)

    def _read(self, records: Sequence[bytes], events: list[StreamEvent]) -> None:
        for payload in records:
            try:
                record = decode_record(payload)
            except UNREADABLE:
                record = self._decode_generously(payload, Record)
            if record.error is not None or record.type in ("error", None):
                error = find_error(record.type, record.error, payload, self._upstream_name)
                if error is not None:
                    raise error
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
        body.decode()
        try:
            message = decode_message(body)
        except UNREADABLE:
            message = self._decode_generously(body, MessageIn)
        if message.error is not None or message.content is None:
            kind = "error" if message.type == "error" else None
            error = find_error(kind, message.error, body, self._upstream_name)
            if error is not None:
                raise error
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
        self._length = 0
        """Characters of text so far."""
        self._citations: list[Any] = []
        """The sources of the open block."""
        self._block_start = 0
        """Characters of text before the open block."""

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
                events += [self._cite(each) for each in self._citations]
                self._citations.clear()
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
        self._block_start = self._length
        match block.type or ("text" if block.text is not None else ""):
            case "text":
                if block.text:
                    events.append(self._text(block.text))
                self._citations += block.citations or ()
            case "thinking":
                if block.thinking or block.signature:
                    events.append(self._thinking(block.thinking, block.signature))
            case "redacted_thinking":
                if block.data:
                    events.append(ThinkingDelta("", signature=seal(self._maker.name, "redacted", block.data)))
            case "tool_use":
                call = self._calls[index] = len(self._calls)
                data = bytes(block.input)
                if data[:1] != b"{":
                    data = open_arguments(data.decode()).encode()
                self._initial_inputs[index] = data
                events.append(ToolCallDelta(call, block.id or None, block.name or ""))
            case "image":
                url = _image_url(block.source)
                events.append(NotShown("image") if url is None else Media("image", url=url))
            case "server_tool_use" | "web_search_tool_result":
                pass
            case kind:
                if kind:
                    events.append(NotShown(kind))

    def _text(self, text: str) -> TextDelta:
        self._length += len(text)
        return TextDelta(text)

    def _cite(self, citation: Any) -> StreamEvent:
        """A source of all the text of the block that ends."""
        url = citation.get("url") if isinstance(citation, dict) else None
        if not isinstance(url, str):
            kind = citation.get("type") if isinstance(citation, dict) else None
            return NotShown(kind if isinstance(kind, str) else "citation")
        title, quote = (
            value if isinstance(value := citation.get(name), str) else None
            for name in ("title", "cited_text")
        )
        return Cited(url, title, self._block_start, self._length, quote)

    def _delta(self, index: int, delta: DeltaIn, events: list[StreamEvent]) -> None:
        if delta.text:
            self._length += len(delta.text)
            events.append(TextDelta(delta.text))
        elif delta.partial_json:
            call = self._calls.get(index)
            if call is not None:
                self._initial_inputs.pop(index, None)
                events.append(ToolCallDelta(call, arguments=delta.partial_json))
        elif delta.thinking or delta.signature:
            events.append(self._thinking(delta.thinking, delta.signature))
        elif delta.citation is not None:
            self._citations.append(delta.citation)

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


def _image_url(source: Any) -> str | None:
    if not isinstance(source, dict):
        return None
    url, data = source.get("url"), source.get("data")
    if isinstance(data, str) and data:
        return f"data:{source.get('media_type') or 'image/png'};base64,{data}"
    return url if isinstance(url, str) and url else None
