"""Answers of OpenAI-compatible upstreams: bytes → canonical events.

Chat and legacy completions are read alike, because they differ only in where the text stands. The readers
tolerate what servers are known to do: usage in any chunk or in none, tool deltas without an index or all with
index 0, arguments as an object, either name for reasoning, no terminal marker.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from trunkline.dialects import read
from trunkline.dialects.error_envelope import UNREADABLE
from trunkline.dialects.error_words import find_any_words
from trunkline.dialects.odd_records import split_records
from trunkline.dialects.openai.answer_schema import (
    CallPiece,
    ChoicePiece,
    Chunk,
    ContentPiece,
    Vectors,
    decode_chunk,
    decode_vectors,
)
from trunkline.dialects.openai.errors import find_error
from trunkline.dialects.openai.read_content import ContentReader, read_details, read_parts, unread_content
from trunkline.dialects.openai.read_tool_calls import CallNumbering, is_never_tool
from trunkline.dialects.openai.thoughts import FIELDS, DetailFold, made_state
from trunkline.dialects.other_form import is_lines
from trunkline.dialects.vendor_state import Maker
from trunkline.errors import UPSTREAM_PROTOCOL, ProviderError, redact
from trunkline.events import (
    Cited,
    Embedded,
    Finished,
    FinishReason,
    Media,
    Metered,
    NotShown,
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
_CONTENT: Final = (TextDelta, ThinkingDelta, RefusalDelta, ToolCallDelta, Media, Cited, NotShown)


class StreamReader(read.StreamReader):
    """Reads a streamed chat or completion answer. It is complete with its terminal marker, or without one if
    every choice has a finish reason.

    Args:
        upstream_name: The upstream's name in error texts.
        maker: The vendor who wants state back.
        is_tool: Whether this is the whole name of a tool that the request has.
        is_lone: One choice was asked for.
    """

    def __init__(
        self,
        upstream_name: str,
        maker: Maker = NOBODY,
        is_tool: Callable[[str], bool] = is_never_tool,
        is_lone: bool = False,
    ) -> None:
        super().__init__(upstream_name, SSESplitter())
        self._builder = _EventBuilder(maker, is_tool)
        self._builder.is_lone = is_lone

    def _read(self, records: Sequence[bytes], events: list[StreamEvent]) -> None:
        for payload in records:
            if payload.startswith(b"[DONE]"):
                self._end()
                return
            try:
                chunk = decode_chunk(payload)
            except UNREADABLE:
                lines = split_records(payload)
                if lines is not None:
                    self._read(lines, events)
                    if self.complete:
                        return
                    continue
                chunk = self._decode_generously(payload, Chunk)
            error = find_error(chunk, payload, self._upstream_name)
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
        try:
            chunk = decode_chunk(body)
        except UNREADABLE:
            if is_lines(body):
                self._read_lines(body, events)
                return
            chunk = self._decode_generously(body, Chunk)
        error = find_error(chunk, body, self._upstream_name)
        if error is None and not chunk.choices:
            words = find_any_words(body)
            text = f"{self._upstream_name} answered without any choice{words and ': '}{redact(words, 500)}"
            error = ProviderError(text, UPSTREAM_PROTOCOL)
        if error is not None:
            raise error
        builder = _EventBuilder(self._maker, is_never_tool)
        builder.is_lone = len(chunk.choices or ()) == 1
        builder.add(chunk, events)
        if not any(isinstance(event, _CONTENT) for event in events):
            events += unread_content(body)
        for index in sorted(builder.open_choices):
            builder.end_thinking(index, events)
            events.append(builder.finish(index, "stop"))

    def _read_lines(self, body: bytes, events: list[StreamEvent]) -> None:
        """Read the chunks of a stream that are not framed as events."""
        reader = StreamReader(self._upstream_name, self._maker)
        for line in body.splitlines():
            events += reader.feed(b"data: " + line + b"\n\n")
        events += reader.close()
        if reader.error is not None:
            raise reader.error


class EmbeddingReader(read.WholeReader):
    """Reads an embedding answer, and returns its vectors in the order of the inputs."""

    def _read(self, body: bytes, events: list[StreamEvent]) -> None:
        try:
            answer = decode_vectors(body)
        except UNREADABLE:
            answer = self._decode_generously(body, Vectors)
        if not answer.data:
            missing = ProviderError(f"{self._upstream_name} answered without any vector", UPSTREAM_PROTOCOL)
            raise find_error(self._decode_generously(body, Chunk), body, self._upstream_name) or missing
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

    def __init__(self, maker: Maker, is_tool: Callable[[str], bool]) -> None:
        self._maker = maker
        self._thinking: dict[int, str] = {}
        """By choice: the field in which thinking comes, until something else follows it."""
        self._details: dict[int, DetailFold] = {}
        self._started = False
        self._choices: set[int] = set()
        self._finished: set[int] = set()
        self._numberings: dict[int, CallNumbering] = {}
        self._is_tool = is_tool
        self._sources = ContentReader()
        self._metered = False
        self.is_lone = False
        """One choice was asked for: clients look for number 0."""
        self._first = 0
        """The number of a lone choice that came first, and is not 0. It becomes that."""

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
            if choice.index and self.is_lone and not self._choices:
                self._first = choice.index
            if self._first and choice.index in (0, self._first):
                choice.index = self._first - choice.index
            self._add_choice(choice, events)
            if choice.finish_reason and not failed and choice.index not in self._finished:
                if self._thinking or self._details:
                    self.end_thinking(choice.index, events)
                events += self._flush_calls(choice.index)
                events.append(self.finish(choice.index, choice.finish_reason))
        for sources in (chunk.search_results, chunk.web_search, chunk.citations):
            if sources:
                events += self._sources.cite(sources)
        usage = chunk.find_usage()
        if usage is not None:
            metered = usage.canonical()
            if self._metered and not (metered.prompt_tokens or metered.completion_tokens or metered.cost):
                return  # zeros at the end, after the counts
            self._metered = True
            events.append(Metered(metered))

    def _add_choice(self, choice: ChoicePiece, events: list[StreamEvent]) -> None:
        index = choice.index
        self._choices.add(index)
        delta = choice.delta or choice.message
        if delta is None:
            if choice.text or choice.logprobs:
                events.append(TextDelta(choice.text or "", index, choice.logprobs))
            return
        thinking = delta.reasoning or delta.reasoning_content or delta.thinking or delta.reasoning_text
        if not thinking and delta.reasoning_details:
            thinking = read_details(delta.reasoning_details)
        if thinking:
            events.append(ThinkingDelta(thinking, index))
            if self._maker.name:
                self._thinking[index] = "reasoning" if delta.reasoning else "reasoning_content"
        if delta.reasoning_details and self._maker.name:
            self._details.setdefault(index, DetailFold()).add(delta.reasoning_details)
        content = delta.content
        if isinstance(content, list):
            content = self._read_parts(content, index, events)
        if (self._thinking or self._details) and (content or delta.tool_calls):
            self.end_thinking(index, events)
        if content or choice.logprobs:
            events.append(TextDelta(content or "", index, choice.logprobs))
        if delta.refusal:
            events.append(RefusalDelta(delta.refusal, index))
        calls = delta.tool_calls
        if calls is None and delta.function_call is not None:
            calls = [CallPiece(index=0, function=delta.function_call)]
        if calls:
            numbering = self._numberings.get(index)
            if numbering is None:
                seal = self._call_state if self._maker.name else None
                numbering = self._numberings[index] = CallNumbering(self._is_tool, seal)
            events += numbering.add(calls, index, is_whole=choice.message is not None)
        if (
            delta.images
            or delta.audio
            or delta.annotations
            or delta.grounding_metadata
            or delta.citations
            or delta.context
        ):
            events += self._sources.read(delta, index)
        if choice.grounding_metadata:
            events += self._sources.ground(choice.grounding_metadata, index)

    def _read_parts(self, parts: Sequence[ContentPiece], index: int, events: list[StreamEvent]) -> str:
        """Append the events of a ``content`` that is a list, and return its text. Thinking ends before any
        other part."""
        found: list[StreamEvent] = []
        text = read_parts(parts, index, found)
        thoughts = [at for at, event in enumerate(found, start=1) if isinstance(event, ThinkingDelta)]
        if thoughts and self._maker.name:
            self._thinking.setdefault(index, "content")
        end = max(thoughts, default=0)
        events += found[:end]
        if self._thinking and len(found) > end:
            self.end_thinking(index, events)
        events += found[end:]
        return text

    def _call_state(self, extra_content: Any) -> str:
        data = msgspec.json.encode(extra_content)
        for state in made_state(data):
            self._maker.note(state)
        return self._maker.seal("extra", data.decode())

    def end_thinking(self, index: int, events: list[StreamEvent]) -> None:
        """Append what the vendor wants back with the thinking so far, if there is any. It gets the details
        where it gave some, else it is told in which field it sent its thinking."""
        field = self._thinking.pop(index, None)
        if field in FIELDS:
            self._maker.thinking_field = field
        details = self._details.pop(index).take() if index in self._details else None
        if details is not None:
            events.append(ThinkingDelta("", index, self._maker.seal("details", details)))
        elif field is not None:
            events.append(ThinkingDelta("", index, self._maker.seal("field", field)))

    def _flush_calls(self, index: int) -> list[ToolCallDelta]:
        """What was held back of calls, as the choice ends."""
        numbering = self._numberings.get(index)
        return [] if numbering is None else numbering.flush(index)

    def finish(self, index: int, wire_reason: str) -> Finished:
        """Note that the choice ends, and return the event."""
        self._finished.add(index)
        reason = _REASONS.get(wire_reason, "stop")
        return Finished("tool_calls" if reason == "stop" and index in self._numberings else reason, index)
