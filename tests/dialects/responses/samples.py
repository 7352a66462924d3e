"""Bytes as upstreams of the Responses API send them, built from the few things that a case is about."""

from __future__ import annotations

from typing import Any

import msgspec

from trunkline.model import Usage

USAGE = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 3},
    "total_tokens": 16,
}
METERED = Usage(
    prompt_tokens=9, completion_tokens=7, cached_tokens=4, cache_write_tokens=2, reasoning_tokens=3
)


def body(value: object) -> bytes:
    """``value`` as JSON."""
    return msgspec.json.encode(value)


def event(kind: str, **data: Any) -> bytes:
    """One event, named twice as the API does."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), body({"type": kind, "sequence_number": 0} | data))


def response(status: str = "completed", **more: Any) -> dict[str, Any]:
    """A response object with an item of every kind."""
    part = {"type": "output_text", "text": 'an "error"', "annotations": [], "logprobs": []}
    output: list[dict[str, Any]] = [
        {"id": "rs_u", "type": "reasoning", "summary": []},
        {"id": "msg_u", "type": "message", "role": "assistant", "status": "completed", "content": [part]},
        {"id": "fc_u", "type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    ]
    head = {"id": "resp_u", "object": "response", "created_at": 1700000000, "model": "up"}
    rest = {"tools": [], "tool_choice": "auto", "parallel_tool_calls": True, "metadata": {}}
    return head | {"status": status, "error": None, "output": output, "usage": USAGE} | rest | more


PLACE = {"item_id": "msg_u", "output_index": 0}
EMPTY = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
ITEM = {"id": "msg_u", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
BEGIN = b"".join(
    event(f"response.{name}", response=response("in_progress", output=[], usage=None))
    for name in ("created", "in_progress")
)
OPENED = event("response.output_item.added", output_index=0, item=ITEM) + event(
    "response.content_part.added", content_index=0, part=EMPTY, **PLACE
)


def text(piece: str) -> bytes:
    """A piece of the message."""
    return event("response.output_text.delta", content_index=0, delta=piece, logprobs=[], **PLACE)


CLOSED = event("response.output_text.done", content_index=0, text="Hello", logprobs=[], **PLACE)
SAID = {"type": "message", "id": "msg_u", "role": "assistant", "status": "completed"}
DONE = event(
    "response.completed",
    response=response(output=[SAID | {"content": [EMPTY | {"text": "Hello"}]}]),
)
CUT = event(
    "response.incomplete",
    response=response("incomplete", output=[], incomplete_details={"reason": "max_output_tokens"}),
)
HELLO = BEGIN + OPENED + text("Hel") + text("lo") + CLOSED + DONE
CALLING = BEGIN + b"".join(
    [
        event("response.function_call_arguments.delta", delta='{"x"', **PLACE),
        event("response.reasoning_summary_text.delta", summary_index=0, delta="Hm", **PLACE),
        event("response.reasoning_text.delta", content_index=0, delta="Hm", **PLACE),
        event("response.refusal.delta", content_index=0, delta="No", **PLACE),
    ]
)


def error_detail(code: str | None, message: str = "Oh", **more: Any) -> dict[str, Any]:
    """The inside of an error."""
    return {"code": code, "message": message, "param": None} | more
