"""Answers of Ollama servers → canonical events: NDJSON streams, whole answers, embeddings.

Each reader owns the bytes of one answer until they make a record. It judges nothing but the wire format: a
bad line, an error line and a missing end become values in ``error``, and the events before them still count.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from trunkline.dialects.error_envelope import UNREADABLE
from trunkline.dialects.ollama.logprobs import Logprob, to_chat, to_completion
from trunkline.dialects.ollama.schema import Chunk, Embeddings, WireCall, error_text, new_call_id
from trunkline.errors import (
    UPSTREAM_ERROR,
    UPSTREAM_PROTOCOL,
    UPSTREAM_TOO_LARGE,
    UPSTREAM_TRUNCATED,
    GatewayError,
    ProviderError,
    redact,
)
from trunkline.events import (
    Embedded,
    Finished,
    FinishReason,
    Metered,
    Started,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    Timed,
    ToolCallDelta,
)
from trunkline.framing import NDJSONSplitter
from trunkline.model import Usage

REASONS: Final[dict[str, FinishReason]] = {"length": "length"}
"""``done_reason`` → canonical; ``stop``, ``load``, ``unload`` and whatever comes new are a plain stop."""

MAX_ANSWER: Final = 128 * 1024 * 1024
"""Bytes of a whole answer: a batch of embeddings is much longer than any line of a stream."""

_decode_chunk: Final = msgspec.json.Decoder(Chunk).decode
_decode_embeddings: Final = msgspec.json.Decoder(Embeddings).decode


class AnswerReader:
    """A chat or generate answer, streamed (one object a line) or whole (one object).

    Args:
        stream: the answer was asked for as a stream.
        legacy: it answers a completion, whose logprobs have OpenAI's older shape.
        echo: text to put before the answer's own (OpenAI's ``echo`` on completions).
    """

    __slots__ = (
        "_calls",
        "_echo",
        "_ids",
        "_legacy",
        "_offset",
        "_splitter",
        "_started",
        "_whole",
        "complete",
        "error",
    )

    def __init__(self, stream: bool, *, legacy: bool = False, echo: str = "") -> None:
        self.error: GatewayError | None = None
        self.complete = False
        self._splitter = NDJSONSplitter()
        self._whole = None if stream else Body()
        self._started = False
        self._legacy = legacy
        self._echo = echo
        self._offset = 0
        self._calls = 0
        self._ids: set[str] = set()

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Events of the lines that ``data`` completes; none of a whole answer before its end."""
        if self.error is not None or self.complete:
            return []
        try:
            if self._whole is not None:
                self._whole.add(data)
                return []
            lines = self._splitter.feed(data)
        except ProviderError as error:
            self.error = error
            return []
        return self._read(lines)

    def close(self) -> list[StreamEvent]:
        """Events of what the body's end completes: a last line without its newline, or the whole answer."""
        if self.error is not None or self.complete:
            return []
        events = self._read(self._splitter.close() if self._whole is None else [self._whole.join()])
        self._check_end()
        return events

    def _check_end(self) -> None:
        cut = isinstance(self.error, BadRecordError) and self._whole is None  # explains a bad last line
        if not self.complete and (self.error is None or cut):
            self.error = truncated()

    def _read(self, lines: Sequence[bytes]) -> list[StreamEvent]:
        events: list[StreamEvent] = []
        for line in lines:
            try:
                chunk = _decode_chunk(line)
                if chunk.error is not None:
                    raise said_error(chunk.error)
                if not self._started:
                    self._start(chunk, events)
                message = chunk.message
                if message is None:
                    text, thinking = chunk.response, chunk.thinking
                else:
                    text, thinking = message.content, message.thinking
                if thinking:
                    events.append(ThinkingDelta(thinking))
                if text:
                    events.append(TextDelta(text, 0, self._logprobs(chunk.logprobs, text)))
                if message is not None and message.tool_calls:
                    events += [self._call(call) for call in message.tool_calls]
                if chunk.done or self._whole is not None:
                    self._end(chunk, events)
                    break
            except UNREADABLE as error:
                self.error = bad_record(error)
                break
            except ProviderError as error:
                self.error = error
                break
        return events

    def _start(self, chunk: Chunk, events: list[StreamEvent]) -> None:
        self._started = True
        events.append(Started(None, chunk.model, unix_time(chunk.created_at)))
        if self._echo:
            events.append(TextDelta(self._echo))

    def _logprobs(self, logprobs: list[Logprob] | None, text: str) -> Any:
        if not logprobs:
            return None
        if not self._legacy:
            return to_chat(logprobs)
        offset = self._offset
        self._offset += len(text)
        return to_completion(logprobs, offset)

    def _call(self, call: WireCall) -> ToolCallDelta:
        index = self._calls
        self._calls += 1
        call_id = call.id
        while not call_id or call_id in self._ids:
            call_id = new_call_id()
        self._ids.add(call_id)
        return ToolCallDelta(index, call_id, call.function.name, argument_text(call.function.arguments))

    def _end(self, chunk: Chunk, events: list[StreamEvent]) -> None:
        if self._whole is not None and chunk.message is None and chunk.response is None:
            raise BadRecordError("The upstream sent an answer without a message or a response")
        self.complete = True
        reason = REASONS.get(chunk.done_reason or "", "stop")
        if reason == "stop" and self._calls:
            reason = "tool_calls"
        events.append(Finished(reason))
        events.append(
            Metered(
                Usage(prompt_tokens=chunk.prompt_eval_count or 0, completion_tokens=chunk.eval_count or 0)
            )
        )
        events.append(
            Timed(
                int(chunk.total_duration or 0),
                int(chunk.load_duration or 0),
                int(chunk.prompt_eval_duration or 0),
                int(chunk.eval_duration or 0),
            )
        )


class EmbeddingReader:
    """An answer of /api/embed.

    Args:
        inputs: how many vectors were asked for.
    """

    __slots__ = ("_body", "_inputs", "complete", "error")

    def __init__(self, inputs: int) -> None:
        self.error: GatewayError | None = None
        self.complete = False
        self._body = Body()
        self._inputs = inputs

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Keep ``data``: an embedding answer comes whole."""
        if self.error is None:
            try:
                self._body.add(data)
            except ProviderError as error:
                self.error = error
        return []

    def close(self) -> list[StreamEvent]:
        """The events of the answer."""
        if self.error is not None:
            return []
        try:
            answer = _decode_embeddings(self._body.join())
            if answer.error is not None:
                raise said_error(answer.error)
            if answer.embeddings is None or len(answer.embeddings) != self._inputs:
                count = len(answer.embeddings or ())
                raise BadRecordError(f"The upstream sent {count} embeddings for {self._inputs} inputs")
        except UNREADABLE as error:
            self.error = bad_record(error)
            return []
        except ProviderError as error:
            self.error = error
            return []
        self.complete = True
        return [
            Started(None, answer.model),
            Embedded(answer.embeddings),
            Metered(Usage(prompt_tokens=answer.prompt_eval_count or 0)),
            Timed(int(answer.total_duration or 0), int(answer.load_duration or 0)),
        ]


class Body:
    """The bytes of an answer that is read only when it is whole, within a limit."""

    __slots__ = ("_pieces", "_size")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, data: bytes) -> None:
        """Keep more of it.

        Raises:
            ProviderError: it grew over the limit.
        """
        self._size += len(data)
        if self._size > MAX_ANSWER:
            raise ProviderError(
                f"The upstream sent an answer of more than {MAX_ANSWER} bytes", UPSTREAM_TOO_LARGE
            )
        self._pieces.append(data)

    def join(self) -> bytes:
        """All of it."""
        return b"".join(self._pieces)


class BadRecordError(ProviderError):
    """A record that is not what the protocol says it should be."""

    def __init__(self, message: str) -> None:
        super().__init__(message, UPSTREAM_PROTOCOL)


def bad_record(error: Exception) -> BadRecordError:
    """The error value for a record that could not be decoded; quotes the decoder, never the record."""
    return BadRecordError(f"The upstream sent a record that is not valid: {error}")


def said_error(error: object) -> ProviderError:
    """The error value for an ``error`` field inside an answer of status 200."""
    return ProviderError(f"Ollama: {redact(error_text(error))}", UPSTREAM_ERROR)


def truncated() -> ProviderError:
    """The error value for a stream without its ``done: true``."""
    return ProviderError("The upstream ended its answer before it was complete", UPSTREAM_TRUNCATED)


def argument_text(raw: msgspec.Raw) -> str:
    """A call's ``arguments`` as the JSON text of an object: Ollama sends the object, look-alikes the text.

    Raises:
        ProviderError: it is neither.
    """
    data = bytes(raw)
    if data.startswith(b"{"):
        return data.decode()
    if data.startswith(b'"'):
        return msgspec.json.decode(data, type=str) or "{}"
    if data in (b"", b"null"):
        return "{}"
    raise BadRecordError("The upstream sent tool arguments that are not an object")


def unix_time(text: str | None) -> int | None:
    """Seconds of an RFC 3339 time; None where there is none to be trusted (Go's zero time included)."""
    try:
        seconds = int(datetime.fromisoformat(text or "").timestamp())
    except (ValueError, OverflowError):
        return None
    return seconds if seconds > 0 else None
