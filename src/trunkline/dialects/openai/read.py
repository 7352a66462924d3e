"""Answers of OpenAI-compatible upstreams: bytes → canonical events.

One reader serves chat and legacy completions, streamed or whole, because the shapes differ only in where
the text stands. It tolerates what servers are known to do: usage in any chunk or in none, tool deltas
without an index or all with index 0, arguments as an object, either name for reasoning, no terminal marker.
"""

from __future__ import annotations

import base64
import binascii
import struct
from typing import Final

import msgspec

from trunkline.dialects.error_envelope import UNREADABLE, malformed, truncated
from trunkline.dialects.openai.answer_schema import (
    CallPiece,
    ChoicePiece,
    Chunk,
    FunctionPiece,
    decode_chunk,
    decode_vectors,
)
from trunkline.dialects.openai.errors import find_error
from trunkline.errors import UPSTREAM_PROTOCOL, GatewayError, ProviderError
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
"""Finish reasons by their wire name; what a server invents beside them (``eos``) is a plain stop."""


class StreamReader:
    """A streamed chat or completion answer."""

    def __init__(self, who: str) -> None:
        self.error: GatewayError | None = None
        self.complete = False
        self._who = who
        self._splitter = SSESplitter()
        self._events = _Events()

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Events that these bytes complete."""
        try:
            payloads = self._splitter.feed(data)
        except ProviderError as error:
            self.error = error
            return []
        return self._read(payloads)

    def close(self) -> list[StreamEvent]:
        """The body ended: complete if the terminal marker, or at least a finish reason, was seen."""
        if self.complete or self.error is not None:
            return []
        events = self._read(self._splitter.close())
        self._end()
        return events

    def _end(self) -> None:
        """Nothing more comes. What could not be read at the very end was half a record: a cut."""
        if self.error is None or self.error.kind is UPSTREAM_PROTOCOL:
            self.complete = self._events.finished
            self.error = None if self.complete else truncated(self._who)

    def _read(self, payloads: list[bytes]) -> list[StreamEvent]:
        out: list[StreamEvent] = []
        for payload in payloads:
            if self.complete or self.error is not None:
                break
            if payload.startswith(b"[DONE]"):
                self._end()
                break
            try:
                chunk = decode_chunk(payload)
            except UNREADABLE as error:
                self.error = malformed(self._who, error)
                break
            self.error = find_error(chunk, self._who)
            self._events.add(chunk, out, failed=self.error is not None)
        return out


class WholeReader:
    """A chat or completion answer that came as one JSON body."""

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
            events = self._events(b"".join(self._pieces))
        except UNREADABLE as error:
            self.error = malformed(self._who, error)
        except GatewayError as error:
            self.error = error
        else:
            self.complete = True
            return events
        return []

    def _events(self, body: bytes) -> list[StreamEvent]:
        chunk = decode_chunk(body)
        error = find_error(chunk, self._who)
        if error is None and not chunk.choices:
            error = ProviderError(f"{self._who} answered without any choice", UPSTREAM_PROTOCOL)
        if error is not None:
            raise error
        out: list[StreamEvent] = []
        events = _Events()
        events.add(chunk, out)
        out.extend(Finished("stop", index) for index in sorted(events.open))
        return out


class EmbeddingReader(WholeReader):
    """An embedding answer: its vectors in the order of the inputs."""

    def _events(self, body: bytes) -> list[StreamEvent]:
        answer = decode_vectors(body)
        if not answer.data:
            missing = ProviderError(f"{self._who} answered without any vector", UPSTREAM_PROTOCOL)
            raise find_error(decode_chunk(body), self._who) or missing
        try:
            vectors = [_floats(item.embedding) for item in sorted(answer.data, key=lambda item: item.index)]
        except (binascii.Error, struct.error) as error:
            raise malformed(self._who, error) from None
        out: list[StreamEvent] = [Started(None, answer.model), Embedded(vectors)]
        if answer.usage is not None:
            out.append(Metered(answer.usage.canonical()))
        return out


def _floats(value: list[float] | str) -> list[float]:
    """A vector, also where it is base64 of little-endian 32-bit floats."""
    if not isinstance(value, str):
        return value
    raw = base64.b64decode(value, validate=True)
    return list(struct.unpack(f"<{len(raw) // 4}f", raw))


class _Events:
    """Chunks → events, with the little that must be remembered between chunks."""

    def __init__(self) -> None:
        self._started = False
        self._seen: set[int] = set()
        self._done: set[int] = set()
        self._calls: dict[int, Calls] = {}

    @property
    def finished(self) -> bool:
        """Every choice that began has its finish reason, and there is one."""
        return bool(self._done) and self._seen == self._done

    @property
    def open(self) -> set[int]:
        """The choices that began and have no finish reason yet."""
        return self._seen - self._done

    def add(self, chunk: Chunk, out: list[StreamEvent], failed: bool = False) -> None:
        """Append the chunk's events; one that holds an error finishes nothing."""
        if not self._started and (chunk.choices or chunk.id):
            self._started = True
            created = None if chunk.created is None else int(chunk.created)
            out.append(Started(chunk.id or None, chunk.model or None, created))
        for choice in chunk.choices or ():
            self._add(choice, out)
            if choice.finish_reason and not failed and choice.index not in self._done:
                out.append(self._finish(choice.index, choice.finish_reason))
        if chunk.usage is not None:
            out.append(Metered(chunk.usage.canonical()))

    def _add(self, choice: ChoicePiece, out: list[StreamEvent]) -> None:
        index = choice.index
        self._seen.add(index)
        delta = choice.delta or choice.message
        if delta is None:
            if choice.text or choice.logprobs:
                out.append(TextDelta(choice.text or "", index, choice.logprobs))
            return
        thinking = delta.reasoning or delta.reasoning_content
        if thinking:
            out.append(ThinkingDelta(thinking, index))
        content = delta.content
        if isinstance(content, list):
            content = "".join(piece.text for piece in content)
        if content or choice.logprobs:
            out.append(TextDelta(content or "", index, choice.logprobs))
        if delta.refusal:
            out.append(RefusalDelta(delta.refusal, index))
        calls = delta.tool_calls
        if calls is None and delta.function_call is not None:
            calls = [CallPiece(index=0, function=delta.function_call)]
        if calls:
            numbering = self._calls.setdefault(index, Calls())
            whole = choice.message is not None
            out.extend(numbering.event(call, index, whole) for call in calls)

    def _finish(self, index: int, said: str) -> Finished:
        self._done.add(index)
        reason = _REASONS.get(said, "stop")
        return Finished("tool_calls" if reason == "stop" and index in self._calls else reason, index)


class Calls:
    """Numbers one choice's tool calls, also where the upstream miscounts or does not count."""

    def __init__(self) -> None:
        self._ids: list[str | None] = []
        self._by_index: dict[int, int] = {}

    def event(self, call: CallPiece, choice: int, whole: bool) -> ToolCallDelta:
        """What ``call`` adds; a ``whole`` one is a call of its own, whatever its id and index."""
        function = call.function or FunctionPiece()
        arguments = function.arguments
        if isinstance(arguments, dict):
            arguments = msgspec.json.encode(arguments).decode()
        known = None if whole else self._known(call, function)
        if known is not None:
            self._ids[known] = call.id or self._ids[known]
            return ToolCallDelta(known, None, None, arguments or "", choice)
        ours = len(self._ids)
        self._ids.append(call.id or None)
        if call.index is not None:
            self._by_index[call.index] = ours
        return ToolCallDelta(ours, call.id or None, function.name or "", arguments or "", choice)

    def _known(self, call: CallPiece, function: FunctionPiece) -> int | None:
        """The call that this delta goes on with; a new id begins a new one whatever the index says."""
        if call.id and call.id in self._ids:
            return self._ids.index(call.id)
        if call.index is not None:
            known = self._by_index.get(call.index)
        elif function.name or not self._ids:
            known = None
        else:  # neither counted nor named: it belongs to the latest
            known = len(self._ids) - 1
        if known is not None and call.id and self._ids[known] is not None:
            return None
        return known
