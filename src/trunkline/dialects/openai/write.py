"""Answers to OpenAI clients: canonical events → bytes.

A stream's chunk is put together from byte templates that are made once per answer, because text deltas are
what a gateway writes most. Sources: OpenAI's schemas CreateChatCompletionStreamResponse,
CreateChatCompletionResponse, CreateCompletionResponse and CreateEmbeddingResponse.
"""

from __future__ import annotations

import base64
import struct
import time
import uuid
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from trunkline.dialects import write
from trunkline.dialects.media import CITATION, add_name, notice, shown_as_text
from trunkline.dialects.openai.errors import error_body, stream_error
from trunkline.dialects.openai.thoughts import write_call_state, write_detail
from trunkline.dialects.openai.write_custom import CustomCalls, custom_names, whole_call
from trunkline.dialects.write import SSE_TYPE
from trunkline.errors import GatewayError
from trunkline.events import (
    Answer,
    Choice,
    Cited,
    Finished,
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
from trunkline.model import ChatRequest, CompletionRequest, EmbeddingRequest, Usage

DONE: Final = b"data: [DONE]\n\n"

_encode: Final = msgspec.json.Encoder().encode


def usage_object(usage: Usage | None) -> dict[str, Any]:
    """Return OpenAI's usage object, with zeros where the upstream reported nothing."""
    usage = usage or Usage()
    wire: dict[str, Any] = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }
    prompt = {"cached_tokens": usage.cached_tokens, "cache_write_tokens": usage.cache_write_tokens}
    known = {name: count for name, count in prompt.items() if count is not None}
    if known:
        wire["prompt_tokens_details"] = known
    if usage.reasoning_tokens is not None:
        wire["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    if usage.cost is not None:
        wire["cost"] = usage.cost
    return wire


def image_object(media: Media) -> dict[str, Any]:
    """Return an image of an answer in OpenRouter's form."""
    return {"type": "image_url", "image_url": {"url": media.url}}


def annotation(cited: Cited) -> dict[str, Any]:
    """Return a source as OpenAI's search models give it."""
    start, end = cited.start or 0, cited.end or 0
    citation = {"url": cited.url, "title": cited.title or "", "start_index": start, "end_index": end}
    if cited.quote:
        citation["content"] = cited.quote
    return {"type": "url_citation", "url_citation": citation}


class _Identified:
    """What all objects of one answer share: id, time and model, ours unless the upstream named them."""

    _id = ""
    _created = 0
    _id_prefix: str
    _model: str

    def _identify(self, started: Started | None) -> None:
        """Take over what the upstream named, and choose the rest."""
        known = started or Started()
        self._id = known.id or f"{self._id_prefix}{uuid.uuid4()}"
        self._model = known.model or self._model
        self._created = known.created or int(time.time())

    def _head(self, kind: str) -> dict[str, Any]:
        """The first fields of an object of this kind."""
        return {"id": self._id, "object": kind, "created": self._created, "model": self._model}


class ChatStreamWriter(_Identified):
    """Writes a streamed chat answer: one chunk per delta, the usage chunk if it was asked for, ``[DONE]``."""

    content_type = SSE_TYPE

    def __init__(self, request: ChatRequest, model: str, id_prefix: str) -> None:
        self._model = model
        self._id_prefix = id_prefix
        self._include_usage = request.include_usage
        self.not_shown: list[str] = []
        self._usage: Usage | None = None
        self._opened: set[int] = set()
        """The choices whose role was sent."""
        self._unsigned: dict[int, list[str]] = {}
        """By choice: the thinking that has no signature yet."""
        self._signatures: dict[int, int] = {}
        """By choice: how many signatures came."""
        custom = custom_names(request)
        self._custom = CustomCalls(custom) if custom else None
        self._prefix = b""
        self._tail = b',"usage":null}\n\n' if request.include_usage else b"}\n\n"

    def feed(self, events: Sequence[StreamEvent]) -> bytes:
        """Return the chunks that these events become."""
        out = [self._chunk(event) for event in events]
        return out[0] if len(out) == 1 else b"".join(out)

    def _chunk(self, event: StreamEvent) -> bytes:
        match event:
            case TextDelta():
                delta = b'{"content":' + _encode(event.text) + b"}"
                return self._delta(event.choice, delta, event.logprobs)
            case ThinkingDelta():
                return self._thinking(event)
            case ToolCallDelta():
                if self._custom is not None and self._custom.takes(event):
                    return self._custom_call(self._custom, event)
                return self._delta(event.choice, _encode({"tool_calls": [_call_delta(event)]}))
            case RefusalDelta():
                return self._delta(event.choice, b'{"refusal":' + _encode(event.text) + b"}")
            case Media():
                if event.kind == "image":
                    return self._delta(event.choice, _encode({"images": [image_object(event)]}))
                return self._delta(event.choice, _encode({"audio": event.audio}))
            case Cited():
                return self._delta(event.choice, _encode({"annotations": [annotation(event)]}))
            case NotShown():
                add_name(self.not_shown, event.what)
                return b""
            case Finished():
                if self.not_shown and event.choice not in self._opened:
                    return self._chunk(TextDelta(notice(self.not_shown), event.choice)) + self._chunk(event)
                opening = self._open(event.choice)
                if self._custom is not None:
                    for wire in self._custom.rest(event.choice):
                        opening += self._delta(event.choice, _encode({"tool_calls": [wire]}))
                finish = b',"delta":{},"logprobs":null,"finish_reason":"' + event.reason.encode() + b'"}]'
                return opening + self._prefix + b"%d" % event.choice + finish + self._tail
            case Started():
                self._start(event)
                return b""
            case Metered():
                self._usage = event.usage
                return b""
            case _:
                return b""

    def _custom_call(self, calls: CustomCalls, event: ToolCallDelta) -> bytes:
        wire = calls.delta(event, _call_id(event.id))
        return b"" if wire is None else self._delta(event.choice, _encode({"tool_calls": [wire]}))

    def _thinking(self, event: ThinkingDelta) -> bytes:
        """More thinking. A signature is sent with all the thinking that it signs."""
        unsigned = self._unsigned.setdefault(event.choice, [])
        out = b""
        if event.text:
            unsigned.append(event.text)
            text = _encode(event.text)
            out = self._delta(event.choice, b'{"reasoning":' + text + b',"reasoning_content":' + text + b"}")
        if event.signature:
            number = self._signatures.get(event.choice, 0)
            details = write_detail("".join(unsigned), event.signature, number)
            if details:
                out += self._delta(event.choice, _encode({"reasoning_details": details}))
            self._signatures[event.choice] = number + len(details)
            unsigned.clear()
        return out

    def _start(self, started: Started | None) -> None:
        self._identify(started)
        fields = _encode(self._head("chat.completion.chunk"))
        self._prefix = b"data: " + fields[:-1] + b',"choices":[{"index":'

    def _delta(self, choice: int, delta: bytes, logprobs: Any = None) -> bytes:
        opening = b"" if choice in self._opened else self._open(choice)
        middle = b"null" if logprobs is None else _encode(logprobs)
        return b"".join(
            (
                opening,
                self._prefix,
                b"%d" % choice,
                b',"delta":',
                delta,
                b',"logprobs":',
                middle,
                b',"finish_reason":null}]',
                self._tail,
            )
        )

    def _open(self, choice: int) -> bytes:
        """The chunk with the role, which OpenAI's clients expect first."""
        if not self._prefix:
            self._start(None)
        if choice in self._opened:
            return b""
        self._opened.add(choice)
        return self._delta(choice, b'{"role":"assistant","content":""}')

    def finish(self) -> bytes:
        """Return the usage chunk, if it was asked for, and the terminal marker."""
        if not self._prefix:
            self._start(None)
        if not self._include_usage:
            return DONE
        chunk = self._head("chat.completion.chunk")
        chunk |= {"choices": [], "usage": usage_object(self._usage)}
        return b"data: " + _encode(chunk) + b"\n\n" + DONE

    def fail(self, error: GatewayError) -> bytes:
        """Return the event that ends a failed stream."""
        return stream_error(error)


def _call_delta(event: ToolCallDelta) -> dict[str, Any]:
    function: dict[str, Any] = {"arguments": event.arguments}
    state = {} if event.state is None else write_call_state(event.state)
    if event.name is None:
        return {"index": event.index, "function": function} | state
    return {
        "index": event.index,
        "id": _call_id(event.id),
        "type": "function",
        "function": {"name": event.name} | function,
    } | state


def _call_id(known: str | None) -> str:
    return known or f"call_{uuid.uuid4().hex[:24]}"


class CompletionStreamWriter(_Identified):
    """Writes a streamed legacy completion."""

    content_type = SSE_TYPE

    def __init__(self, request: CompletionRequest, model: str, id_prefix: str) -> None:
        self._model = model
        self._id_prefix = id_prefix
        self._request = request
        self.not_shown: list[str] = []
        self._usage: Usage | None = None
        self._opened: set[int] = set()
        """The choices whose echoed prompt was sent."""

    def feed(self, events: Sequence[StreamEvent]) -> bytes:
        """Return the chunks that these events become."""
        return b"".join(self._chunk(event) for event in events)

    def _chunk(self, event: StreamEvent) -> bytes:
        match event:
            case TextDelta():
                return self._text(event.choice, event.text, event.logprobs, None)
            case Media():
                text = shown_as_text(event, self.not_shown, follows_text=event.choice in self._opened)
                return self._text(event.choice, text, None, None) if text else b""
            case Cited():
                add_name(self.not_shown, CITATION)
            case NotShown():
                add_name(self.not_shown, event.what)
            case Finished():
                is_empty = self.not_shown and event.choice not in self._opened
                return self._text(
                    event.choice, notice(self.not_shown) if is_empty else "", None, event.reason
                )
            case Started():
                self._identify(event)
            case Metered():
                self._usage = event.usage
            case _:
                pass
        return b""

    def _text(self, choice: int, text: str, logprobs: Any, reason: str | None) -> bytes:
        if not self._id:
            self._identify(None)
        if choice not in self._opened:
            self._opened.add(choice)
            text = _echo(self._request, choice) + text
        piece = {"text": text, "index": choice, "logprobs": logprobs, "finish_reason": reason}
        chunk = self._head("text_completion") | {"choices": [piece]}
        if self._request.include_usage:
            chunk["usage"] = None
        return b"data: " + _encode(chunk) + b"\n\n"

    def finish(self) -> bytes:
        """Return the usage chunk, if it was asked for, and the terminal marker."""
        if not self._id:
            self._identify(None)
        if not self._request.include_usage:
            return DONE
        chunk = self._head("text_completion")
        chunk |= {"choices": [], "usage": usage_object(self._usage)}
        return b"data: " + _encode(chunk) + b"\n\n" + DONE

    def fail(self, error: GatewayError) -> bytes:
        """Return the event that ends a failed stream."""
        return stream_error(error)


def _echo(request: CompletionRequest, choice: int) -> str:
    if not request.echo:
        return ""
    return request.prompts[min(choice // request.sampling.n, len(request.prompts) - 1)]


class WholeWriter(_Identified, write.WholeWriter[Answer]):
    """Writes any answer that is not streamed."""

    not_shown: Sequence[str] = ()

    def __init__(
        self, request: ChatRequest | CompletionRequest | EmbeddingRequest, model: str, id_prefix: str
    ) -> None:
        super().__init__(Answer())
        self._model = model
        self._id_prefix = id_prefix
        self._request = request

    def finish(self) -> bytes:
        """Return the whole body."""
        answer = self._answer
        self._identify(Started(answer.id, answer.model, answer.created))
        if isinstance(self._request, EmbeddingRequest):
            return _encode(_embeddings(answer, self._model, self._request.base64))
        is_chat = isinstance(self._request, ChatRequest)
        body = self._head("chat.completion" if is_chat else "text_completion")
        choices = sorted(answer.choices.items())
        not_shown: list[str] = []
        for _, choice in choices:
            if choice.not_shown or choice.media or choice.citations:
                _settle(choice, is_chat, not_shown)
        self.not_shown = not_shown
        if isinstance(self._request, CompletionRequest):
            body["choices"] = [_completion_choice(self._request, *pair) for pair in choices]
        else:
            custom = custom_names(self._request) if isinstance(self._request, ChatRequest) else frozenset()
            body["choices"] = [_chat_choice(*pair, custom) for pair in choices]
        body["usage"] = usage_object(answer.usage)
        return _encode(body)

    def fail(self, error: GatewayError) -> bytes:
        """Return the error envelope."""
        return error_body(error)


def _settle(choice: Choice, is_chat: bool, not_shown: list[str]) -> None:
    """Decide what becomes of the choice's content besides text and calls."""
    for what in choice.not_shown:
        add_name(not_shown, what)
    if not is_chat:  # a legacy completion is text alone
        for media in choice.media:
            choice.text.append(shown_as_text(media, not_shown, follows_text=any(choice.text)))
        if choice.citations:
            add_name(not_shown, CITATION)
    is_empty = not (any(choice.text) or choice.calls or choice.refusal or (is_chat and choice.media))
    if is_empty and not_shown:
        choice.text.append(notice(not_shown))


def _join_audio(pieces: Sequence[Media]) -> dict[str, Any]:
    """A sound whose data and transcript have come in pieces. Each piece of its base64 is whole."""
    joined: dict[str, Any] = {}
    for piece in pieces:
        for name, value in (piece.audio or {}).items():
            is_text = name in ("data", "transcript") and isinstance(value, str)
            joined[name] = joined.get(name, "") + value if is_text else value
    return joined


def _chat_choice(index: int, choice: Choice, custom: frozenset[str]) -> dict[str, Any]:
    text = "".join(choice.text)
    calls = [
        whole_call(_call_id(call.id), call.name, call.arguments)
        if call.name in custom
        else {
            "id": _call_id(call.id),
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments or "{}"},
        }
        | ({} if call.state is None else write_call_state(call.state))
        for _, call in sorted(choice.calls.items())
    ]
    refusal = "".join(choice.refusal) or None
    message: dict[str, Any] = {
        "role": "assistant",
        "content": text if text or not (calls or refusal) else None,
        "refusal": refusal,
    }
    if choice.thinking:
        message["reasoning"] = message["reasoning_content"] = "".join(choice.thinking)
    if choice.signed_thinking:
        details: list[dict[str, Any]] = []
        for text, signature in choice.signed_thinking:
            details += write_detail(text, signature, len(details))
        if details:
            message["reasoning_details"] = details
    images = [image_object(media) for media in choice.media if media.kind == "image"]
    if images:
        message["images"] = images
    sounds = [media for media in choice.media if media.kind == "audio"]
    if sounds:
        message["audio"] = _join_audio(sounds)
    if choice.citations:
        message["annotations"] = [annotation(cited) for cited in choice.citations]
    if calls:
        message["tool_calls"] = calls
    return {
        "index": index,
        "message": message,
        "logprobs": _join_logprobs(choice.logprobs),
        "finish_reason": choice.reason or "stop",
    }


def _completion_choice(request: CompletionRequest, index: int, choice: Choice) -> dict[str, Any]:
    return {
        "text": _echo(request, index) + "".join(choice.text),
        "index": index,
        "logprobs": _join_logprobs(choice.logprobs),
        "finish_reason": choice.reason or "stop",
    }


def _join_logprobs(pieces: list[Any]) -> Any:
    """The OpenAI-shaped logprobs of the whole text: the lists of its pieces, joined."""
    if not pieces:
        return None
    joined: dict[str, Any] = {}
    for piece in pieces:
        for key, value in piece.items():
            before = joined.get(key)
            joined[key] = (
                [*before, *value] if isinstance(before, list) and isinstance(value, list) else before or value
            )
    return joined


def _embeddings(answer: Answer, model: str, as_base64: bool) -> dict[str, Any]:
    usage = answer.usage or Usage()
    return {
        "object": "list",
        "data": [
            {
                "object": "embedding",
                "index": index,
                "embedding": _base64_floats(vector) if as_base64 else vector,
            }
            for index, vector in enumerate(answer.vectors)
        ],
        "model": model,
        "usage": {"prompt_tokens": usage.prompt_tokens, "total_tokens": usage.total_tokens},
    }


def _base64_floats(vector: list[float]) -> str:
    """Little-endian 32-bit floats in base64, which OpenAI's SDK asks for by default."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
