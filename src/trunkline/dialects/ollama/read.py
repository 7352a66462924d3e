"""Answers of Ollama servers: NDJSON streams, whole answers and embeddings → canonical events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from trunkline.dialects import read
from trunkline.dialects.error_envelope import UNREADABLE
from trunkline.dialects.ollama.answer_schema import (
    Chunk,
    Embeddings,
    WireCall,
    decode_chunk,
    decode_embeddings,
)
from trunkline.dialects.ollama.errors import OllamaErrors, find_hidden_error, read_error_field, truncated
from trunkline.dialects.ollama.logprobs import Logprob, to_chat, to_completion
from trunkline.dialects.ollama.tool_calls import argument_text, new_call_id
from trunkline.dialects.other_form import OtherForm, is_body, is_lines
from trunkline.errors import UPSTREAM_PROTOCOL, ProviderError
from trunkline.events import (
    Embedded,
    Finished,
    FinishReason,
    Media,
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
"""``done_reason`` → canonical. ``stop``, ``load``, ``unload`` and any new reason are a plain stop."""

MAX_ANSWER: Final = 128 * 1024 * 1024
"""Bytes of the longest whole answer that is taken: a batch of embeddings is much longer than any line."""


class _ChunkReader(OllamaErrors, read.Reader):
    """Turns the chunks of a chat or generate answer into events. A whole answer is one chunk."""

    complete: bool
    _is_whole: bool
    _is_legacy: bool
    _echo: str
    _started: bool = False
    _offset: int = 0
    """Characters of text before the next piece, for the legacy logprobs."""
    _calls: int = 0
    _call_ids: set[str]
    _may_turn: bool = False
    """An object over several lines may come, where one a line was asked for."""
    _chunks: int = 0
    _seal: str = ""
    """Says whose thinking it is; empty if nobody asks."""
    _thinks: bool = False
    """Thinking came, and nothing after it yet."""
    _has_no_mark: bool = False
    """The latest chunk does not say whether it is the last."""

    def _read_chunks(self, records: Sequence[bytes], events: list[StreamEvent]) -> None:
        for record in records:
            try:
                chunk = decode_chunk(record)
            except UNREADABLE:
                if not self._started and self._is_other(record):
                    raise OtherForm(b"\n".join(records)) from None
                error = find_hidden_error(record)
                if error is not None:
                    raise error from None
                chunk = self._decode_generously(record, Chunk)
            if chunk.error is not None:
                raise read_error_field(chunk.error)
            if chunk.model is None and not chunk.done:
                error = find_hidden_error(record)
                if error is not None:
                    raise error
            if not self._started:
                self._start(chunk, events)
            message = chunk.message
            if message is None:
                text, thinking = chunk.response, chunk.thinking
            else:
                text, thinking = message.content, message.thinking
            if thinking:
                events.append(ThinkingDelta(thinking))
                self._thinks = bool(self._seal)
            if self._thinks and (text or chunk.done or self._is_whole or (message and message.tool_calls)):
                self._thinks = False
                events.append(ThinkingDelta("", 0, self._seal))
            if text:
                events.append(TextDelta(text, 0, self._logprobs(chunk.logprobs, text)))
            if message is not None and message.tool_calls:
                events += [self._call(call) for call in message.tool_calls]
            if message is not None and message.images:
                events += [Media("image", url=_data_url(image)) for image in message.images]
            if chunk.image:
                events.append(Media("image", url=_data_url(chunk.image)))
            self._has_no_mark = chunk.done is None
            if chunk.done or self._is_whole:
                self._finish(chunk, events)
                return

    def _is_other(self, record: bytes) -> bool:
        """Whether a stream's first line, which cannot be decoded, belongs to a body of several lines."""
        return not self._is_whole and is_body(record, may_go_on=self._may_turn)

    def _start(self, chunk: Chunk, events: list[StreamEvent]) -> None:
        self._started = True
        events.append(Started(None, chunk.model, unix_time(chunk.created_at)))
        if self._echo:
            events.append(TextDelta(self._echo))

    def _logprobs(self, logprobs: list[Logprob] | None, text: str) -> Any:
        if not logprobs:
            return None
        if not self._is_legacy:
            return to_chat(logprobs)
        offset = self._offset
        self._offset += len(text)
        return to_completion(logprobs, offset)

    def _call(self, call: WireCall) -> ToolCallDelta:
        index = self._calls
        self._calls += 1
        call_id = call.id
        while not call_id or call_id in self._call_ids:
            call_id = new_call_id()
        self._call_ids.add(call_id)
        return ToolCallDelta(index, call_id, call.function.name, argument_text(call.function.arguments))

    def _finish(self, chunk: Chunk, events: list[StreamEvent]) -> None:
        if self._is_whole and chunk.message is None and chunk.response is None:
            text = "The upstream sent an answer without a message or a response"
            raise ProviderError(text, UPSTREAM_PROTOCOL)
        if chunk.done is False:
            raise truncated()
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


class StreamReader(_ChunkReader, read.StreamReader):
    """Reads a streamed chat or generate answer: one object per line.

    Args:
        is_legacy: It answers a completion, whose logprobs have OpenAI's older form.
        echo: Text to put before the answer's own (OpenAI's ``echo`` on completions).
        seal: Says to others whose thinking it is.
    """

    _is_whole = False

    def __init__(self, *, is_legacy: bool = False, echo: str = "", seal: str = "") -> None:
        super().__init__("Ollama", NDJSONSplitter())
        self._seal = seal
        self._may_turn = True
        self._is_legacy = is_legacy
        self._echo = echo
        self._call_ids = set()

    def close(self) -> list[StreamEvent]:
        """See the base class. A record that begins an object at the very end is half of one."""
        self._may_turn = False
        return super().close()

    def _may_end(self) -> bool:
        """Whether all that came is one whole answer of a server that does not mark its end."""
        return self._chunks == 1 and self._has_no_mark

    def _read(self, records: Sequence[bytes], events: list[StreamEvent]) -> None:
        self._chunks += len(records)
        try:
            self._read_chunks(records, events)
        except OtherForm as other:  # one object over several lines: with what of it is held
            raise OtherForm(b"\n".join((other.data, *self._splitter.close()))) from None


class WholeReader(_ChunkReader, read.WholeReader):
    """Reads a chat or generate answer that came as one object; see :class:`StreamReader`."""

    max_size = MAX_ANSWER
    _is_whole = True

    def __init__(self, *, is_legacy: bool = False, echo: str = "", seal: str = "") -> None:
        super().__init__("Ollama")
        self._seal = seal
        self._is_legacy = is_legacy
        self._echo = echo
        self._call_ids = set()

    def _read(self, body: bytes, events: list[StreamEvent]) -> None:
        found: list[StreamEvent] = []
        self._read_chunks((body,), found)
        events += found  # nothing counts of an answer that turns out to be none

    def _is_stream(self, body: bytes) -> bool:
        return is_lines(body)


class EmbeddingReader(OllamaErrors, read.WholeReader):
    """Reads an answer of /api/embed.

    Args:
        inputs: The number of vectors that were asked for.
    """

    max_size = MAX_ANSWER

    def __init__(self, inputs: int) -> None:
        super().__init__("Ollama")
        self._inputs = inputs

    def _read(self, body: bytes, events: list[StreamEvent]) -> None:
        try:
            answer = decode_embeddings(body)
        except UNREADABLE:
            answer = self._decode_generously(body, Embeddings)
        if answer.error is not None:
            raise read_error_field(answer.error)
        if answer.embeddings is None or len(answer.embeddings) != self._inputs:
            count = len(answer.embeddings or ())
            raise ProviderError(
                f"The upstream sent {count} embeddings for {self._inputs} inputs", UPSTREAM_PROTOCOL
            )
        events += [
            Started(None, answer.model),
            Embedded(answer.embeddings),
            Metered(Usage(prompt_tokens=answer.prompt_eval_count or 0)),
            Timed(int(answer.total_duration or 0), int(answer.load_duration or 0)),
        ]


def unix_time(text: str | None) -> int | None:
    """Return the seconds of an RFC 3339 time; None where it is missing or wrong (Go's zero time included)."""
    try:
        seconds = int(datetime.fromisoformat(text or "").timestamp())
    except (ValueError, OverflowError):
        return None
    return seconds if seconds > 0 else None


def _data_url(image: str) -> str:
    return image if image.startswith(("data:", "http:", "https:")) else f"data:image/png;base64,{image}"
