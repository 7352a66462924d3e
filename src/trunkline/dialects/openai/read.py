"""Answers of OpenAI-compatible upstreams: bytes → canonical events.

Chat and legacy completions are read alike, because they differ only in where the text stands. The readers
tolerate what servers are known to do: usage in any chunk or in none, tool deltas without an index or all with
index 0, arguments as an object, either name for reasoning, no terminal marker.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from trunkline.dialects import read
from trunkline.dialects.openai.answer_schema import (
    CallPiece,
    ChoicePiece,
    Chunk,
    FunctionPiece,
    decode_chunk,
    decode_vectors,
)
from trunkline.dialects.openai.errors import find_error
from trunkline.dialects.openai.thoughts import DetailFold, made_state
from trunkline.dialects.vendor_state import Maker
from trunkline.errors import UPSTREAM_PROTOCOL, ProviderError
from trunkline.events import (
    Embedded,
    Finished,
    FinishReason,
    Metered,
    RefusalDelta,
    Started,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)
from trunkline.framing import SSESplitter

_REASONS: Final[dict[str, FinishReason]] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
"""Wire name → canonical. Further reasons that a server invents (``eos``) are a plain stop."""
NOBODY: Final = Maker()


class StreamReader(read.StreamReader):
    """Reads a streamed chat or completion answer. It is complete with its terminal marker, or without one if
    every choice has a finish reason."""

    def __init__(self, upstream_name: str, maker: Maker = NOBODY) -> None:
        super().__init__(upstream_name, SSESplitter())
        self._builder = _EventBuilder(maker)

    def _read(self, records: Sequence[bytes], events: list[StreamEvent]) -> None:
        for payload in records:
            if payload.startswith(b"[DONE]"):
                self._end()
                return
            chunk = decode_chunk(payload)
            error = find_error(chunk, self._upstream_name)
            self._builder.add(chunk, events, failed=error is not None)
            if error is not None:
                raise error

    def _may_end(self) -> bool:
        return self._builder.is_finished


class WholeReader(read.WholeReader):
    """Reads a chat or completion answer that came as one JSON body."""

    def __init__(self, upstream_name: str, maker: Maker = NOBODY) -> None:
        super().__init__(upstream_name)
        self._maker = maker

    def _read(self, body: bytes, events: list[StreamEvent]) -> None:
        chunk = decode_chunk(body)
        error = find_error(chunk, self._upstream_name)
        if error is None and not chunk.choices:
            error = ProviderError(f"{self._upstream_name} answered without any choice", UPSTREAM_PROTOCOL)
        if error is not None:
            raise error
        builder = _EventBuilder(self._maker)
        builder.add(chunk, events)
        for index in sorted(builder.open_choices):
            builder.end_thinking(index, events)
            events.append(Finished("stop", index))


class EmbeddingReader(read.WholeReader):
    """Reads an embedding answer, and returns its vectors in the order of the inputs."""

    def _read(self, body: bytes, events: list[StreamEvent]) -> None:
        answer = decode_vectors(body)
        if not answer.data:
            missing = ProviderError(f"{self._upstream_name} answered without any vector", UPSTREAM_PROTOCOL)
            raise find_error(decode_chunk(body), self._upstream_name) or missing
        try:
            vectors = [_floats(item.embedding) for item in sorted(answer.data, key=lambda item: item.index)]
        except (binascii.Error, struct.error) as error:
            raise self._malformed(error) from None
        events += [Started(None, answer.model), Embedded(vectors)]
        if answer.usage is not None:
            events.append(Metered(answer.usage.canonical()))


def _floats(value: list[float] | str) -> list[float]:
    """The numbers of a vector, also where they are base64 of little-endian 32-bit floats."""
    if not isinstance(value, str):
        return value
    raw = base64.b64decode(value, validate=True)
    return list(struct.unpack(f"<{len(raw) // 4}f", raw))


class _EventBuilder:
    """Turns chunks into events, with the little state that is needed between chunks."""

    def __init__(self, maker: Maker) -> None:
        self._maker = maker
        self._thinking: dict[int, str] = {}
        """By choice: the field in which thinking comes, until something else follows it."""
        self._details: dict[int, DetailFold] = {}
        self._started = False
        self._choices: set[int] = set()
        self._finished: set[int] = set()
        self._numberings: dict[int, CallNumbering] = {}

    @property
    def is_finished(self) -> bool:
        """Whether every choice that began has its finish reason, and there is one."""
        return bool(self._finished) and self._choices == self._finished

    @property
    def open_choices(self) -> set[int]:
        """The choices that began and have no finish reason yet."""
        return self._choices - self._finished

    def add(self, chunk: Chunk, events: list[StreamEvent], failed: bool = False) -> None:
        """Append the chunk's events. A chunk that holds an error finishes no choice."""
        if not self._started and (chunk.choices or chunk.id):
            self._started = True
            created = None if chunk.created is None else int(chunk.created)
            events.append(Started(chunk.id or None, chunk.model or None, created))
        for choice in chunk.choices or ():
            self._add_choice(choice, events)
            if choice.finish_reason and not failed and choice.index not in self._finished:
                if self._thinking or self._details:
                    self.end_thinking(choice.index, events)
                events.append(self._finish(choice.index, choice.finish_reason))
        if chunk.usage is not None:
            events.append(Metered(chunk.usage.canonical()))

    def _add_choice(self, choice: ChoicePiece, events: list[StreamEvent]) -> None:
        index = choice.index
        self._choices.add(index)
        delta = choice.delta or choice.message
        if delta is None:
            if choice.text or choice.logprobs:
                events.append(TextDelta(choice.text or "", index, choice.logprobs))
            return
        thinking = delta.reasoning or delta.reasoning_content
        if thinking:
            events.append(ThinkingDelta(thinking, index))
            if self._maker.name:
                self._thinking[index] = "reasoning" if delta.reasoning else "reasoning_content"
        if delta.reasoning_details and self._maker.name:
            self._details.setdefault(index, DetailFold()).add(delta.reasoning_details)
        if (self._thinking or self._details) and (delta.content or delta.tool_calls):
            self.end_thinking(index, events)
        content = delta.content
        if isinstance(content, list):
            content = "".join(piece.text for piece in content)
        if content or choice.logprobs:
            events.append(TextDelta(content or "", index, choice.logprobs))
        if delta.refusal:
            events.append(RefusalDelta(delta.refusal, index))
        calls = delta.tool_calls
        if calls is None and delta.function_call is not None:
            calls = [CallPiece(index=0, function=delta.function_call)]
        if calls:
            numbering = self._numberings.setdefault(index, CallNumbering())
            is_whole = choice.message is not None
            for call in calls:
                event = numbering.event(call, index, is_whole)
                if call.extra_content and self._maker.name:
                    event = msgspec.structs.replace(event, state=self._call_state(call.extra_content))
                events.append(event)

    def _call_state(self, extra_content: Any) -> str:
        data = msgspec.json.encode(extra_content)
        for state in made_state(data):
            self._maker.note(state)
        return self._maker.seal("extra", data.decode())

    def end_thinking(self, index: int, events: list[StreamEvent]) -> None:
        """Append what the vendor wants back with the thinking so far, if there is any. It gets the details
        where it gave some, else it is told in which field it sent its thinking."""
        field = self._thinking.pop(index, None)
        if field is not None:
            self._maker.thinking_field = field
        details = self._details.pop(index).take() if index in self._details else None
        if details is not None:
            events.append(ThinkingDelta("", index, self._maker.seal("details", details)))
        elif field is not None:
            events.append(ThinkingDelta("", index, self._maker.seal("field", field)))

    def _finish(self, index: int, wire_reason: str) -> Finished:
        self._finished.add(index)
        reason = _REASONS.get(wire_reason, "stop")
        return Finished("tool_calls" if reason == "stop" and index in self._numberings else reason, index)


class CallNumbering:
    """Numbers one choice's tool calls, also where the upstream numbers them wrongly or not at all."""

    def __init__(self) -> None:
        self._ids: list[str | None] = []
        self._by_wire_index: dict[int, int] = {}

    def event(self, call: CallPiece, choice: int, is_whole: bool) -> ToolCallDelta:
        """Return what ``call`` adds. A whole call is always a call of its own, whatever its id and index."""
        function = call.function or FunctionPiece()
        arguments = function.arguments
        if isinstance(arguments, dict):
            arguments = msgspec.json.encode(arguments).decode()
        known = None if is_whole else self._find(call, function)
        if known is not None:
            self._ids[known] = call.id or self._ids[known]
            return ToolCallDelta(known, None, None, arguments or "", choice)
        number = len(self._ids)
        self._ids.append(call.id or None)
        if call.index is not None:
            self._by_wire_index[call.index] = number
        return ToolCallDelta(number, call.id or None, function.name or "", arguments or "", choice)

    def _find(self, call: CallPiece, function: FunctionPiece) -> int | None:
        """The number of the call that this delta continues. A new id begins a new call whatever the index."""
        if call.id and call.id in self._ids:
            return self._ids.index(call.id)
        if call.index is not None:
            known = self._by_wire_index.get(call.index)
        elif function.name or not self._ids:
            known = None
        else:  # without an index and a name it belongs to the latest call
            known = len(self._ids) - 1
        if known is not None and call.id and self._ids[known] is not None:
            return None
        return known
