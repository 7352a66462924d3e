"""Answers to Anthropic clients: canonical events → bytes.

A stream consists of blocks, one open at a time and each whole before the next. Other vendors' events keep no
such order, so that a tool call which begins while another is unfinished waits for its turn. Thinking is
written for clients that asked for it; others get a ``ping`` in its place, which keeps their connection open.
Sources: Anthropic's schemas Message and RawMessageStreamEvent.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from trunkline.dialects import write
from trunkline.dialects.anthropic.errors import error_body, stream_error
from trunkline.dialects.anthropic.parse import MessagesRequest
from trunkline.dialects.anthropic.reasoning import shows_thinking
from trunkline.dialects.media import CITATION, add_name, notice, shown_as_text
from trunkline.dialects.tool_arguments import as_object, is_object
from trunkline.dialects.vendor_state import is_redacted
from trunkline.dialects.write import SSE_TYPE
from trunkline.errors import UPSTREAM_PROTOCOL, GatewayError, ProviderError
from trunkline.events import (
    Answer,
    Call,
    Choice,
    Cited,
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
from trunkline.model import ChatRequest, Usage

STOP_REASONS: Final[Mapping[FinishReason, str]] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}

PING: Final = b'event: ping\ndata: {"type":"ping"}\n\n'

_encode: Final = msgspec.json.Encoder().encode


def usage_object(usage: Usage | None) -> dict[str, Any]:
    """Return Anthropic's usage object, whose ``input_tokens`` are those that no cache was used for."""
    usage = usage or Usage()
    read, written = usage.cached_tokens or 0, usage.cache_write_tokens or 0
    wire: dict[str, Any] = {
        "input_tokens": max(usage.prompt_tokens - read - written, 0),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": usage.completion_tokens,
    }
    if usage.reasoning_tokens is not None:
        wire["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return wire


def stop_reason(reason: FinishReason | None, stop_sequence: str | None, refused: bool = False) -> str:
    """Return Anthropic's name for how an answer ended. If the model refused, its turn did not just end."""
    if reason in (None, "stop"):
        return "refusal" if refused else "stop_sequence" if stop_sequence is not None else "end_turn"
    return STOP_REASONS[reason]


def _told_of(request: ChatRequest) -> tuple[dict[str, Any], str | None]:
    """What an answer tells about edits of the context, and the id that it must have, if it must."""
    if not isinstance(request, MessagesRequest):
        return {}, None
    edits: dict[str, Any] = {"context_management": {"applied_edits": []}} if request.reports_edits else {}
    return edits, request.message_id


def new_call_id() -> str:
    """Return an id for a tool call, in the form of Anthropic's own ids."""
    return f"toolu_{uuid.uuid4().hex[:24]}"


def citation_object(cited: Cited) -> dict[str, Any]:
    """Return a source as Anthropic's web search gives it. The index is for Anthropic's servers alone."""
    return {
        "type": "web_search_result_location",
        "url": cited.url,
        "title": cited.title,
        "cited_text": cited.quote or "",
        "encrypted_index": "",
    }


def _message(answer_id: str | None, model: str, content: list[Any], usage: Usage | None) -> dict[str, Any]:
    return {
        "id": answer_id or f"msg_{uuid.uuid4().hex}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage_object(usage),
    }


def _event(name: bytes, data: bytes) -> bytes:
    return b"event: " + name + b'\ndata: {"type":"' + name + b'",' + data + b"}\n\n"


BlockType = Literal["text", "thinking", "tool_use"]


class StreamWriter:
    """Writes a streamed answer: ``message_start``, the blocks, ``message_delta``, ``message_stop``."""

    content_type = SSE_TYPE

    def __init__(self, request: ChatRequest, model: str) -> None:
        self._shows_thinking = shows_thinking(request.reasoning)
        self._edits, self._own_id = _told_of(request)
        self._model = model
        self._id: str | None = None
        self._usage: Usage | None = None
        self._begun = False
        self._open: BlockType | None = None
        """Type of the open block."""
        self._index = -1
        """Index of the latest block."""
        self._head = b""
        """The open block's delta event up to its delta."""
        self._call = -1
        """Index of the call that the open block is for."""
        self._arguments = ""
        """The arguments of that call so far."""
        self._waiting: dict[int, Call] = {}
        """Calls that wait for the open block to end."""
        self._known_calls: set[int] = set()
        self._end: Finished | None = None
        self._refused = False
        self.not_shown: list[str] = []

    def feed(self, events: Sequence[StreamEvent]) -> bytes:
        """Return the wire events that these events become.

        Raises:
            ProviderError: A tool call goes on after its end.
        """
        out, is_progress = b"", False
        for event in events:
            match event:
                case TextDelta(choice=0) | RefusalDelta(choice=0):
                    self._refused = self._refused or isinstance(event, RefusalDelta)
                    if event.text:
                        out += self._text(event.text)
                case ThinkingDelta(choice=0):
                    is_progress = True
                    if self._shows_thinking:
                        out += self._thinking(event)
                case ToolCallDelta(choice=0):
                    is_progress = True
                    out += self._tool(event)
                case Media(choice=0):
                    if text := shown_as_text(event, self.not_shown, follows_text=self._open == "text"):
                        out += self._text(text)
                case Cited(choice=0):
                    out += self._cite(event)
                case NotShown(choice=0):
                    add_name(self.not_shown, event.what)
                case Finished(choice=0):
                    self._end = event
                    if self.not_shown and self._index < 0 and not self._waiting:
                        out += self._text(notice(self.not_shown))
                    out += self._begin() + self._flush()
                case Started():
                    self._id = event.id or self._id
                    self._model = event.model or self._model
                case Metered():
                    self._usage = event.usage
                case _:
                    pass
        return out if out or not is_progress else self._begin() + PING

    def finish(self) -> bytes:
        """Return the calls that waited, how the answer ended, its usage, and the terminal event."""
        out = self._begin() + self._flush()
        end = self._end or Finished("stop")
        sequence = end.stop_sequence
        reason = stop_reason(end.reason, sequence, self._refused)
        delta = {"stop_reason": reason, "stop_sequence": sequence if reason == "stop_sequence" else None}
        data = b'"delta":' + _encode(delta) + b',"usage":' + _encode(usage_object(self._usage))
        if self._edits:
            data += b"," + _encode(self._edits)[1:-1]
        return (
            out + _event(b"message_delta", data) + b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
        )

    def fail(self, error: GatewayError) -> bytes:
        """Return the event that ends a failed stream."""
        return stream_error(error)

    def _begin(self) -> bytes:
        """The first event, if it was not sent. It is sent with the first content: until then another upstream
        may be asked."""
        if self._begun:
            return b""
        self._begun = True
        message = _message(self._own_id or self._id, self._model, [], self._usage)
        return _event(b"message_start", b'"message":' + _encode(message))

    def _text(self, text: str) -> bytes:
        opening = b"" if self._open == "text" else self._begin_block("text", b'{"type":"text","text":""}')
        return opening + self._head + b'{"type":"text_delta","text":' + _encode(text) + b"}}\n\n"

    def _cite(self, event: Cited) -> bytes:
        """A source, as a part of the open block of text. Without one there is no place for it."""
        if self._open != "text":
            add_name(self.not_shown, CITATION)
            return b""
        citation = _encode(citation_object(event))
        return self._head + b'{"type":"citations_delta","citation":' + citation + b"}}\n\n"

    def _thinking(self, event: ThinkingDelta) -> bytes:
        if not (event.text or event.signature):
            return b""
        if event.signature and is_redacted(event.signature):
            return self._begin_block("thinking", _encode(_redacted(event.signature))) + self._close()
        block = b'{"type":"thinking","thinking":"","signature":""}'
        out = b"" if self._open == "thinking" else self._begin_block("thinking", block)
        if event.text:
            out += self._head + b'{"type":"thinking_delta","thinking":' + _encode(event.text) + b"}}\n\n"
        if event.signature:
            out += (
                self._head + b'{"type":"signature_delta","signature":' + _encode(event.signature) + b"}}\n\n"
            )
            out += self._close()  # a signature ends a block
        return out

    def _tool(self, event: ToolCallDelta) -> bytes:
        index = event.index
        if self._open == "tool_use" and index == self._call:
            return self._add_arguments(event.arguments)
        waiting = self._waiting.get(index)
        if waiting is not None:
            waiting.arguments += event.arguments
            return b""
        if index in self._known_calls:
            if event.arguments.strip():
                raise ProviderError("The upstream went on with a tool call that had ended", UPSTREAM_PROTOCOL)
            return b""
        self._known_calls.add(index)
        call = Call(event.id, event.name or "")
        call.arguments, call.state = event.arguments, event.state
        if self._open == "tool_use" and (self._waiting or not is_object(self._arguments)):
            self._waiting[index] = call
            return b""
        return self._start_call(index, call)

    def _start_call(self, index: int, call: Call) -> bytes:
        out = b"" if call.state is None else self._call_state(call.state)
        block = {"type": "tool_use", "id": call.id or new_call_id(), "name": call.name, "input": {}}
        out += self._begin_block("tool_use", _encode(block))
        self._call, self._arguments = index, ""
        return out + self._add_arguments(call.arguments)

    def _call_state(self, state: str) -> bytes:
        """What a call's maker wants back with it, as a thought before the call: clients send thoughts back
        as they are."""
        if not self._shows_thinking:
            return b""
        out = self._begin_block("thinking", b'{"type":"thinking","thinking":"","signature":""}')
        out += self._head + b'{"type":"signature_delta","signature":' + _encode(state) + b"}}\n\n"
        return out + self._close()

    def _add_arguments(self, arguments: str) -> bytes:
        if not arguments:
            return b""
        self._arguments += arguments
        return self._head + b'{"type":"input_json_delta","partial_json":' + _encode(arguments) + b"}}\n\n"

    def _begin_block(self, kind: BlockType, block: bytes) -> bytes:
        """End the open block and write what waited for its end; begin another block."""
        out = self._begin() + (self._close() if kind == "tool_use" else self._flush())
        self._open = kind
        self._index += 1
        index = b"%d" % self._index
        name = b"content_block_delta"
        self._head = b"event: " + name + b'\ndata: {"type":"' + name + b'","index":' + index + b',"delta":'
        return out + _event(b"content_block_start", b'"index":' + index + b',"content_block":' + block)

    def _flush(self) -> bytes:
        """End the open block, and write the calls that waited for its end."""
        out = self._close()
        waiting, self._waiting = self._waiting, {}
        for index, call in waiting.items():
            out += self._start_call(index, call) + self._close()
        return out

    def _close(self) -> bytes:
        if self._open is None:
            return b""
        self._open = None
        return _event(b"content_block_stop", b'"index":%d' % self._index)


class WholeWriter(write.WholeWriter[Answer]):
    """Writes an answer that is not streamed."""

    not_shown: Sequence[str] = ()

    def __init__(self, request: ChatRequest, model: str) -> None:
        super().__init__(Answer())
        self._shows_thinking = shows_thinking(request.reasoning)
        self._edits, self._own_id = _told_of(request)
        self._model = model

    def finish(self) -> bytes:
        """Return the whole body."""
        answer = self._answer
        choice = answer.choices.get(0) or Choice()
        content: list[dict[str, Any]] = []
        if self._shows_thinking:
            content += (
                _redacted(signature)
                if is_redacted(signature)
                else {"type": "thinking", "thinking": thinking, "signature": signature}
                for thinking, signature in choice.thinking_pieces()
            )
        text = "".join(choice.text) + "".join(choice.refusal)
        calls = _tool_uses(choice, self._shows_thinking)
        if choice.media or choice.citations or choice.not_shown:
            text = self._settle(choice, text, has_calls=bool(calls))
        if text:
            block: dict[str, Any] = {"type": "text", "text": text}
            if choice.citations:
                block["citations"] = [citation_object(cited) for cited in choice.citations]
            content.append(block)
        content += calls
        body = _message(self._own_id or answer.id, answer.model or self._model, content, answer.usage)
        sequence = choice.stop_sequence
        reason = stop_reason(choice.reason, sequence, bool(choice.refusal))
        body["stop_reason"] = reason
        body["stop_sequence"] = sequence if reason == "stop_sequence" else None
        return _encode(body | self._edits)

    def _settle(self, choice: Choice, text: str, *, has_calls: bool) -> str:
        """The text, with what can be shown as text of the rest."""
        not_shown: list[str] = []
        for what in choice.not_shown:
            add_name(not_shown, what)
        for media in choice.media:
            text += shown_as_text(media, not_shown, follows_text=bool(text))
        if choice.citations and not text:
            add_name(not_shown, CITATION)
        self.not_shown = not_shown
        return text or (notice(not_shown) if not_shown and not has_calls else "")

    def fail(self, error: GatewayError) -> bytes:
        """Return the error envelope."""
        return error_body(error)


def _redacted(state: str) -> dict[str, Any]:
    return {"type": "redacted_thinking", "data": state}


def _tool_uses(choice: Choice, shows_thinking: bool) -> list[dict[str, Any]]:
    """Gathered calls as blocks. A call that the bound on the answer cut short is left out: the stop reason
    says so. Other arguments that are no object become one, as in a history."""
    blocks: list[dict[str, Any]] = []
    for _, call in sorted(choice.calls.items()):
        arguments = call.arguments.strip() or "{}"
        is_whole = is_object(arguments)
        if is_whole or choice.reason != "length":
            if not is_whole:
                arguments = as_object(arguments)
            value = msgspec.Raw(arguments.encode())
            if call.state is not None and shows_thinking:
                blocks.append({"type": "thinking", "thinking": "", "signature": call.state})
            blocks.append(
                {"type": "tool_use", "id": call.id or new_call_id(), "name": call.name, "input": value}
            )
    return blocks
