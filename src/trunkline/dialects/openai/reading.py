"""Answers of OpenAI-compatible upstreams: bytes → canonical events, and their errors → values.

One reader serves chat and legacy completions, streamed or whole, because the shapes differ only in where
the text stands. It tolerates what servers are known to do: usage in any chunk or in none, tool deltas
without an index or all with index 0, arguments as an object, either name for reasoning, flat errors, errors
inside a 200, integer codes.
"""

from __future__ import annotations

import base64
import binascii
import struct
from typing import Any, Final

import msgspec

from trunkline.dialects.base import Headers
from trunkline.dialects.status import error_for_status
from trunkline.errors import (
    FORBIDDEN,
    MODEL_NOT_FOUND,
    UPSTREAM_CREDIT,
    UPSTREAM_PROTOCOL,
    UPSTREAM_TRUNCATED,
    CallerError,
    GatewayError,
    Kind,
    ProviderError,
    redact,
)
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
from trunkline.model import Usage


class _Lenient(msgspec.Struct):
    """Base of what upstreams send."""


class _Function(_Lenient):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _Call(_Lenient):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _TextPiece(_Lenient):
    text: str = ""


class _Delta(_Lenient):
    """A ``delta`` of a stream, or the ``message`` of a whole answer."""

    content: str | list[_TextPiece] | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None
    function_call: _Function | None = None


class _Choice(_Lenient):
    index: int = 0
    delta: _Delta | None = None
    message: _Delta | None = None
    text: str | None = None
    finish_reason: str | None = None
    logprobs: Any = None
    error: Any = None


class _PromptDetails(_Lenient):
    cached_tokens: int | None = None


class _CompletionDetails(_Lenient):
    reasoning_tokens: int | None = None


class UsageIn(_Lenient):
    """The usage object, as OpenAI, OpenRouter (``cost``) and others send it."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None
    cost: float | None = None

    def canonical(self) -> Usage:
        """The same as canonical usage."""
        cached, reasoning = self.prompt_tokens_details, self.completion_tokens_details
        return Usage(
            prompt_tokens=self.prompt_tokens or 0,
            completion_tokens=self.completion_tokens or 0,
            cached_tokens=None if cached is None else cached.cached_tokens,
            reasoning_tokens=None if reasoning is None else reasoning.reasoning_tokens,
            cost=self.cost,
        )


class Chunk(_Lenient):
    """A stream's chunk, or a whole answer."""

    id: str | None = None
    model: str | None = None
    created: float | None = None
    choices: list[_Choice] | None = None
    usage: UsageIn | None = None
    error: Any = None
    message: str | None = None
    """Only in Cerebras's and SGLang's flat errors."""
    status_code: int | None = None


class _Vector(_Lenient):
    embedding: list[float] | str
    index: int = 0


class _Embeddings(_Lenient):
    data: list[_Vector] | None = None
    model: str | None = None
    usage: UsageIn | None = None
    error: Any = None


_CHUNK: Final = msgspec.json.Decoder(Chunk)
_EMBEDDINGS: Final = msgspec.json.Decoder(_Embeddings)
_ANY: Final = msgspec.json.Decoder()

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
        if not self.complete and self.error is None:
            if self._events.finished:
                self.complete = True
            else:
                self.error = truncated(self._who)
        return events

    def _read(self, payloads: list[bytes]) -> list[StreamEvent]:
        out: list[StreamEvent] = []
        for payload in payloads:
            if self.complete or self.error is not None:
                break
            if payload.startswith(b"[DONE]"):
                if self._events.finished:
                    self.complete = True
                else:
                    self.error = truncated(self._who)
                break
            try:
                chunk = _CHUNK.decode(payload)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                self.error = malformed(self._who, error)
                break
            self.error = find_error(chunk, self._who)
            self._events.add(chunk, out, drop_finish=self.error is not None)
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
        out: list[StreamEvent] = []
        try:
            chunk = _CHUNK.decode(b"".join(self._pieces))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self.error = malformed(self._who, error)
            return out
        self.error = find_error(chunk, self._who)
        if self.error is None and not chunk.choices:
            self.error = ProviderError(f"{self._who} answered without any choice", UPSTREAM_PROTOCOL)
        if self.error is None:
            events = _Events()
            events.add(chunk, out)
            out.extend(Finished("stop", index) for index in sorted(events.choices - events.finished))
            self.complete = True
        return out


class EmbeddingReader(WholeReader):
    """An embedding answer."""

    def close(self) -> list[StreamEvent]:
        """The vectors, in the order of the inputs."""
        try:
            answer = _EMBEDDINGS.decode(b"".join(self._pieces))
            self.error = find_error(Chunk(error=answer.error), self._who)
            if self.error is not None:
                return []
            ranked = sorted(answer.data or (), key=lambda item: item.index)
            vectors = [_floats(item.embedding) for item in ranked]
        except (msgspec.DecodeError, UnicodeDecodeError, binascii.Error, struct.error) as error:
            self.error = malformed(self._who, error)
            return []
        self.complete = True
        out: list[StreamEvent] = [Started(None, answer.model), Embedded(vectors)]
        if answer.usage is not None:
            out.append(Metered(answer.usage.canonical()))
        return out


def _floats(value: list[float] | str) -> list[float]:
    if not isinstance(value, str):
        return value
    raw = base64.b64decode(value, validate=True)
    return list(struct.unpack(f"<{len(raw) // 4}f", raw))


class _Events:
    """Chunks → events, with the little that must be remembered between chunks."""

    def __init__(self) -> None:
        self.started = False
        self.choices: set[int] = set()
        self.finished: set[int] = set()
        self._calls: dict[int, _Calls] = {}

    def add(self, chunk: Chunk, out: list[StreamEvent], drop_finish: bool = False) -> None:
        if not self.started and (chunk.choices or chunk.id):
            self.started = True
            created = None if chunk.created is None else int(chunk.created)
            out.append(Started(chunk.id or None, chunk.model or None, created))
        for choice in chunk.choices or ():
            self._choice(choice, out, drop_finish)
        if chunk.usage is not None:
            out.append(Metered(chunk.usage.canonical()))

    def _choice(self, choice: _Choice, out: list[StreamEvent], drop_finish: bool) -> None:
        index = choice.index
        self.choices.add(index)
        delta = choice.delta or choice.message
        if delta is not None:
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
                calls = [_Call(index=0, function=delta.function_call)]
            if calls:
                numbering = self._calls.setdefault(index, _Calls())
                out.extend(numbering.event(call, index) for call in calls)
        elif choice.text or choice.logprobs:
            out.append(TextDelta(choice.text or "", index, choice.logprobs))
        if choice.finish_reason and not drop_finish and index not in self.finished:
            self.finished.add(index)
            reason = _REASONS.get(choice.finish_reason, "stop")
            if reason == "stop" and index in self._calls:
                reason = "tool_calls"
            out.append(Finished(reason, index))


class _Calls:
    """Numbers one choice's tool calls, also where the upstream miscounts or does not count."""

    def __init__(self) -> None:
        self._count = 0
        self._ids: list[str | None] = []
        self._by_index: dict[int, int] = {}

    def event(self, call: _Call, choice: int) -> ToolCallDelta:
        function = call.function or _Function()
        arguments = function.arguments
        if isinstance(arguments, dict):
            arguments = msgspec.json.encode(arguments).decode()
        ours, is_new = self._place(call, function)
        name = (function.name or "") if is_new else None
        return ToolCallDelta(ours, call.id if is_new else None, name, arguments or "", choice)

    def _place(self, call: _Call, function: _Function) -> tuple[int, bool]:
        """Which call this delta belongs to: a new id begins a new call whatever the index says."""
        if call.id and call.id in self._ids:
            return self._ids.index(call.id), False
        known = self._by_index.get(call.index) if call.index is not None else (self._count or None)
        if known is not None and call.index is None:
            known -= 1  # without an index, what has neither id nor name goes on with the latest call
        begins = known is None or bool(call.id and self._ids[known] not in (None, call.id))
        if call.index is None and not call.id and function.name:
            begins = True
        if not begins and known is not None:
            return known, False
        ours = self._count
        self._count += 1
        self._ids.append(call.id)
        if call.index is not None:
            self._by_index[call.index] = ours
        return ours, True


def find_error(chunk: Chunk, who: str) -> GatewayError | None:
    """The error that a 200 answer or a stream's chunk holds, if it holds one."""
    detail = chunk.error
    for choice in chunk.choices or ():
        detail = detail or choice.error
    if not detail and chunk.choices is None and chunk.message and not chunk.id:
        detail = {"message": chunk.message}
    if not detail:
        return None
    error = _Detail.of(detail)
    status = chunk.status_code or error.status or 500
    return error.value(status if status >= 400 else 500, (), who)


def read_error(status: int, headers: Headers, body: bytes, who: str) -> GatewayError:
    """An error answer as a value: any of the envelopes that OpenAI-compatible servers use, or plain text."""
    try:
        decoded: Any = _ANY.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = body.decode("utf-8", "replace").strip()
        decoded = "" if text.startswith("<") else text
    if isinstance(decoded, dict):
        decoded = decoded.get("error") or decoded
    return _Detail.of(decoded).value(status, headers, who)


class _Detail(msgspec.Struct):
    """The inside of an error envelope."""

    message: str = ""
    code: str | None = None
    status: int | None = None
    """An integer ``code`` is an HTTP status (OpenRouter, vLLM)."""
    param: str | None = None
    flagged: bool = False
    """OpenRouter's moderation refused the prompt: the caller's content, not our credentials."""

    @classmethod
    def of(cls, detail: Any) -> _Detail:
        """Read an envelope's inside, whatever its form."""
        if not isinstance(detail, dict):
            return cls(message=detail if isinstance(detail, str) else "")
        code, message, param = detail.get("code"), detail.get("message"), detail.get("param")
        if not isinstance(message, str):
            message = detail.get("detail")
        metadata = detail.get("metadata")
        digits = isinstance(code, int) or (isinstance(code, str) and code.isdigit() and len(code) == 3)
        return cls(
            message=message if isinstance(message, str) else "",
            code=code if isinstance(code, str) and not digits else None,
            status=int(code) if digits and code is not None else None,
            param=param if isinstance(param, str) else None,
            flagged=isinstance(metadata, dict) and "flagged_input" in metadata,
        )

    def value(self, status: int, headers: Headers, who: str) -> GatewayError:
        """The error that this is, at ``status``."""
        if self.flagged:
            return CallerError(redact(self.message), FORBIDDEN)
        kind: Kind | None = None
        if self.code == "model_not_found" or (status == 400 and "not a valid model" in self.message):
            kind = MODEL_NOT_FOUND
        elif self.code == "insufficient_quota":
            kind = UPSTREAM_CREDIT
        code = self.code if status in (400, 422) and kind is None else None
        return error_for_status(
            status, self.message, headers, who=who, kind=kind, code=code, param=self.param
        )


def truncated(who: str) -> ProviderError:
    """The stream ended without saying that it was complete."""
    return ProviderError(f"{who} ended the stream before the answer was complete", UPSTREAM_TRUNCATED)


def malformed(who: str, error: Exception) -> ProviderError:
    """The upstream sent what is not JSON, or JSON of another shape."""
    return ProviderError(f"{who} sent a malformed answer: {redact(str(error), 200)}", UPSTREAM_PROTOCOL)
