"""Answers to OpenAI clients: canonical events → bytes.

A stream's chunk is put together from byte templates made once per answer, because a text delta is what a
gateway writes most. An answer that is not streamed is the fold of the same events. Facts: OpenAI's schemas
CreateChatCompletionStreamResponse, CreateChatCompletionResponse, CreateCompletionResponse and
CreateEmbeddingResponse.
"""

from __future__ import annotations

import base64
import struct
import time
import uuid
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from trunkline.errors import GatewayError
from trunkline.events import (
    Answer,
    Choice,
    Finished,
    Metered,
    RefusalDelta,
    Started,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)
from trunkline.model import ChatRequest, CompletionRequest, EmbeddingRequest, Usage

JSON_TYPE: Final = b"application/json"
SSE_TYPE: Final = b"text/event-stream; charset=utf-8"
DONE: Final = b"data: [DONE]\n\n"

_encode: Final = msgspec.json.Encoder().encode


def error_body(error: GatewayError) -> bytes:
    """OpenAI's error envelope, all four keys present."""
    detail = {
        "message": error.message,
        "type": error.kind.type,
        "param": error.param,
        "code": error.code,
    }
    return _encode({"error": detail})


def stream_error(error: GatewayError) -> bytes:
    """The event that OpenAI's SDKs raise on: a ``data`` line whose object has an ``error``."""
    return b"data: " + error_body(error) + b"\n\n"


def usage_object(usage: Usage | None) -> dict[str, Any]:
    """OpenAI's usage object; zeros where the upstream told nothing."""
    usage = usage or Usage()
    seen: dict[str, Any] = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }
    prompt = {"cached_tokens": usage.cached_tokens, "cache_write_tokens": usage.cache_write_tokens}
    known = {name: count for name, count in prompt.items() if count is not None}
    if known:
        seen["prompt_tokens_details"] = known
    if usage.reasoning_tokens is not None:
        seen["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    if usage.cost is not None:
        seen["cost"] = usage.cost
    return seen


def reasoning_detail(text: str, signature: str, index: int) -> dict[str, Any]:
    """Signed reasoning, in the form that OpenRouter has for it: it goes back as it came."""
    detail = {"type": "reasoning.text", "text": text, "signature": signature}
    return detail | {"format": "anthropic-claude-v1", "index": index}


class _Named:
    """What all of one answer's objects share: id, time and model, ours unless the upstream named them."""

    def __init__(self, model: str, id_prefix: str) -> None:
        self.id = ""
        self.id_prefix = id_prefix
        self.model = model
        self.created = 0

    def name(self, started: Started | None) -> None:
        known = started or Started()
        self.id = known.id or f"{self.id_prefix}{uuid.uuid4()}"
        self.model = known.model or self.model
        self.created = known.created or int(time.time())

    def head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


class ChatStream(_Named):
    """A streamed chat answer: one chunk per delta, the usage chunk if it was asked for, ``[DONE]``."""

    content_type = SSE_TYPE

    def __init__(self, request: ChatRequest, model: str, id_prefix: str) -> None:
        super().__init__(model, id_prefix)
        self._include_usage = request.include_usage
        self._usage: Usage | None = None
        self._opened: set[int] = set()
        self._thoughts: dict[int, list[str]] = {}
        """Of each choice, what is not signed yet."""
        self._signed: dict[int, int] = {}
        """Of each choice, how many signatures came."""
        self._prefix = b""
        self._tail = b',"usage":null}\n\n' if request.include_usage else b"}\n\n"

    def feed(self, events: Sequence[StreamEvent]) -> bytes:
        """Bytes of the chunks that these events become."""
        out = [self._chunk(event) for event in events]
        return out[0] if len(out) == 1 else b"".join(out)

    def _chunk(self, event: StreamEvent) -> bytes:
        match event:
            case TextDelta():
                delta = b'{"content":' + _encode(event.text) + b"}"
                return self._delta(event.choice, delta, event.logprobs)
            case ThinkingDelta():
                return self._think(event)
            case ToolCallDelta():
                return self._delta(event.choice, _encode({"tool_calls": [_call_delta(event)]}))
            case RefusalDelta():
                return self._delta(event.choice, b'{"refusal":' + _encode(event.text) + b"}")
            case Finished():
                opening = self._open(event.choice)
                finish = b',"delta":{},"logprobs":null,"finish_reason":"' + event.reason.encode() + b'"}]'
                return opening + self._prefix + b"%d" % event.choice + finish + self._tail
            case Started():
                self._name(event)
                return b""
            case Metered():
                self._usage = event.usage
                return b""
            case _:
                return b""

    def _think(self, event: ThinkingDelta) -> bytes:
        """More reasoning; its signature comes with all of what it signs."""
        thought = self._thoughts.setdefault(event.choice, [])
        out = b""
        if event.text:
            thought.append(event.text)
            text = _encode(event.text)
            out = self._delta(event.choice, b'{"reasoning":' + text + b',"reasoning_content":' + text + b"}")
        if event.signature:
            number = self._signed.get(event.choice, 0)
            detail = reasoning_detail("".join(thought), event.signature, number)
            out += self._delta(event.choice, _encode({"reasoning_details": [detail]}))
            self._signed[event.choice] = number + 1
            thought.clear()
        return out

    def _name(self, started: Started | None) -> None:
        self.name(started)
        head = _encode(self.head("chat.completion.chunk"))
        self._prefix = b"data: " + head[:-1] + b',"choices":[{"index":'

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
        """The chunk that gives the role; clients of OpenAI expect it first."""
        if not self._prefix:
            self._name(None)
        if choice in self._opened:
            return b""
        self._opened.add(choice)
        return self._delta(choice, b'{"role":"assistant","content":""}')

    def finish(self) -> bytes:
        """The usage chunk, if it was asked for, and the terminal marker."""
        if not self._prefix:
            self._name(None)
        if not self._include_usage:
            return DONE
        chunk = self.head("chat.completion.chunk") | {"choices": [], "usage": usage_object(self._usage)}
        return b"data: " + _encode(chunk) + b"\n\n" + DONE

    def error(self, error: GatewayError) -> bytes:
        """The event that ends a stream that went wrong."""
        return stream_error(error)


def _call_delta(event: ToolCallDelta) -> dict[str, Any]:
    function: dict[str, Any] = {"arguments": event.arguments}
    if event.name is None:
        return {"index": event.index, "function": function}
    return {
        "index": event.index,
        "id": event.id or f"call_{uuid.uuid4().hex[:24]}",
        "type": "function",
        "function": {"name": event.name} | function,
    }


class CompletionStream(_Named):
    """A streamed legacy completion."""

    content_type = SSE_TYPE

    def __init__(self, request: CompletionRequest, model: str, id_prefix: str) -> None:
        super().__init__(model, id_prefix)
        self._request = request
        self._usage: Usage | None = None
        self._opened: set[int] = set()

    def feed(self, events: Sequence[StreamEvent]) -> bytes:
        """Bytes of the chunks that these events become."""
        return b"".join(self._chunk(event) for event in events)

    def _chunk(self, event: StreamEvent) -> bytes:
        match event:
            case TextDelta():
                return self._text(event.choice, event.text, event.logprobs, None)
            case Finished():
                return self._text(event.choice, "", None, event.reason)
            case Started():
                self.name(event)
            case Metered():
                self._usage = event.usage
            case _:
                pass
        return b""

    def _text(self, choice: int, text: str, logprobs: Any, reason: str | None) -> bytes:
        if not self.id:
            self.name(None)
        if choice not in self._opened:
            self._opened.add(choice)
            text = _echo(self._request, choice) + text
        piece = {"text": text, "index": choice, "logprobs": logprobs, "finish_reason": reason}
        chunk = self.head("text_completion") | {"choices": [piece]}
        if self._request.include_usage:
            chunk["usage"] = None
        return b"data: " + _encode(chunk) + b"\n\n"

    def finish(self) -> bytes:
        """The usage chunk, if it was asked for, and the terminal marker."""
        if not self.id:
            self.name(None)
        if not self._request.include_usage:
            return DONE
        chunk = self.head("text_completion") | {"choices": [], "usage": usage_object(self._usage)}
        return b"data: " + _encode(chunk) + b"\n\n" + DONE

    def error(self, error: GatewayError) -> bytes:
        """The event that ends a stream that went wrong."""
        return stream_error(error)


def _echo(request: CompletionRequest, choice: int) -> str:
    if not request.echo:
        return ""
    return request.prompts[min(choice // request.sampling.n, len(request.prompts) - 1)]


class Whole(_Named):
    """Any answer that is not streamed: gathers the events and writes one JSON body."""

    content_type = JSON_TYPE

    def __init__(
        self, request: ChatRequest | CompletionRequest | EmbeddingRequest, model: str, id_prefix: str
    ) -> None:
        super().__init__(model, id_prefix)
        self._request = request
        self._answer = Answer()

    def feed(self, events: Sequence[StreamEvent]) -> bytes:
        """Gathers; writes nothing yet."""
        for event in events:
            self._answer.add(event)
        return b""

    def finish(self) -> bytes:
        """The whole body."""
        answer = self._answer
        self.name(Started(answer.id, answer.model, answer.created))
        if isinstance(self._request, EmbeddingRequest):
            return _encode(_embeddings(answer, self.model, self._request.base64))
        chat = isinstance(self._request, ChatRequest)
        body = self.head("chat.completion" if chat else "text_completion")
        choices = sorted(answer.choices.items())
        if isinstance(self._request, CompletionRequest):
            body["choices"] = [_completion_choice(self._request, *pair) for pair in choices]
        else:
            body["choices"] = [_chat_choice(*pair) for pair in choices]
        body["usage"] = usage_object(answer.usage)
        return _encode(body)

    def error(self, error: GatewayError) -> bytes:
        """The error envelope; nothing else was sent before it."""
        return error_body(error)


def _chat_choice(index: int, choice: Choice) -> dict[str, Any]:
    text = "".join(choice.text)
    calls = [
        {
            "id": call.id or f"call_{uuid.uuid4().hex[:24]}",
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments or "{}"},
        }
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
    if choice.signed:
        message["reasoning_details"] = [
            reasoning_detail(text, signature, at) for at, (text, signature) in enumerate(choice.signed)
        ]
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
    """OpenAI-shaped logprobs of the pieces as those of the whole: its lists, joined."""
    if not pieces:
        return None
    joined: dict[str, Any] = {}
    for piece in pieces:
        for key, value in piece.items():
            held = joined.get(key)
            joined[key] = (
                [*held, *value] if isinstance(held, list) and isinstance(value, list) else held or value
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
    """Little-endian 32-bit floats in base64: what OpenAI's SDK asks for when left to itself."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
