"""Bytes as Anthropic's API sends them, built from the few values that a case is about."""

from __future__ import annotations

from typing import Any

import msgspec

USAGE = {
    "input_tokens": 3,
    "cache_creation_input_tokens": 2,
    "cache_read_input_tokens": 4,
    "output_tokens": 1,
}


def body(value: object) -> bytes:
    """``value`` as JSON."""
    return msgspec.json.encode(value)


def event(kind: str, **data: Any) -> bytes:
    """One event, named twice as the API does."""
    return b"event: " + kind.encode() + b"\ndata: " + body({"type": kind} | data) + b"\n\n"


def start(index: int, **block: Any) -> bytes:
    """A block begins."""
    return event("content_block_start", index=index, content_block=block)


def delta(index: int, kind: str, **more: str) -> bytes:
    """A block goes on."""
    return event("content_block_delta", index=index, delta={"type": kind} | more)


def stop(index: int) -> bytes:
    """A block ends."""
    return event("content_block_stop", index=index)


def text(*pieces: str, index: int = 0) -> bytes:
    """A whole block of text."""
    deltas = b"".join(delta(index, "text_delta", text=piece) for piece in pieces)
    return start(index, type="text", text="") + deltas + stop(index)


def tool(*pieces: str, index: int = 0, name: str = "f", id: str = "toolu_1") -> bytes:
    """A whole call."""
    deltas = b"".join(delta(index, "input_json_delta", partial_json=piece) for piece in pieces)
    return start(index, type="tool_use", id=id, name=name, input={}) + deltas + stop(index)


def end(reason: str | None = "end_turn", sequence: str | None = None, **usage: int) -> bytes:
    """The event that says how the answer ended."""
    changes = {"stop_reason": reason, "stop_sequence": sequence}
    return event("message_delta", delta=changes, usage={"output_tokens": 7} | usage)


def message(content: list[Any] | None = None, reason: str | None = None, **more: Any) -> dict[str, Any]:
    """A whole answer, or the head of one."""
    head: dict[str, Any] = {"id": "msg_u", "type": "message", "role": "assistant", "model": "up"}
    rest = {"content": content or [], "stop_reason": reason, "stop_sequence": None, "usage": USAGE}
    return head | rest | more


BEGIN = event("message_start", message=message())
PING = event("ping")
DONE = event("message_stop")
HELLO = BEGIN + PING + text("Hel", "lo") + end() + DONE
