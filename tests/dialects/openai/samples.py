"""Bytes as OpenAI-compatible servers send them, built from the few values that a case is about."""

from __future__ import annotations

from typing import Any

import msgspec

DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def body(value: object) -> bytes:
    """``value`` as JSON."""
    return msgspec.json.encode(value)


def record(value: object) -> bytes:
    """``value`` as one event."""
    return b"data: " + body(value) + b"\n\n"


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> bytes:
    """A chat chunk with one choice; ``more`` goes to the top, ``choice_…`` into the choice."""
    choice = {"index": 0, "delta": delta or {}, "logprobs": None, "finish_reason": finish}
    choice |= {name[7:]: more.pop(name) for name in list(more) if name.startswith("choice_")}
    head = {"id": "chatcmpl-u", "object": "chat.completion.chunk", "created": 1700000000, "model": "up"}
    return record(head | {"choices": [choice]} | more)


def text(content: str, **more: Any) -> bytes:
    """A chunk of text."""
    return chunk({"content": content}, **more)


def calls(*deltas: dict[str, Any], **more: Any) -> bytes:
    """A chunk of tool call deltas."""
    return chunk({"tool_calls": list(deltas)}, **more)


def usage_chunk(usage: dict[str, Any] | None = None) -> bytes:
    """The last chunk, as ``include_usage`` brings it."""
    head = {"id": "chatcmpl-u", "object": "chat.completion.chunk", "created": 1700000000, "model": "up"}
    return record(head | {"choices": [], "usage": usage or USAGE})


def whole(message: dict[str, Any] | None = None, finish: str | None = "stop", **more: Any) -> bytes:
    """A whole chat answer with one choice."""
    whole_message = {"role": "assistant", "content": "Hi", "refusal": None} if message is None else message
    choice = {"index": 0, "message": whole_message, "logprobs": None, "finish_reason": finish}
    choice |= {name[7:]: more.pop(name) for name in list(more) if name.startswith("choice_")}
    head = {"id": "chatcmpl-u", "object": "chat.completion", "created": 1700000000, "model": "up"}
    return body(head | {"choices": [choice], "usage": USAGE} | more)


ROLE = chunk({"role": "assistant", "content": ""})
STOP = chunk(finish="stop")
HELLO = ROLE + text("Hel") + text("lo") + STOP + DONE
