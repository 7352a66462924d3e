"""Anthropic's answers: a message's blocks, whole or as the events of a stream, and its usage.

Fields stand in the order in which the vendor sends them. Nothing here knows a request or HTTP.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from trunkline_mock.answers import Answer, short_id, spread
from trunkline_mock.delivery import Frame, Mark
from trunkline_mock.script import ToolCall
from trunkline_mock.shapes.anthropic_errors import event

PING: Final = event("ping", {})

_STOP_REASONS: Final = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
_SIGNED: Final = b"mock-thought/"
_EMPTY: Final = {"type": "text", "text": ""}


def signature(thought: str) -> str:
    """What proves that ``thought`` was thought here."""
    return base64.b64encode(_SIGNED + hashlib.blake2b(thought.encode(), digest_size=32).digest()).decode()


def is_signed(thought: str, given: str) -> bool:
    """Whether ``given`` is the signature of ``thought``, or of one that was left out of the answer."""
    try:
        raw = base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError):
        return False
    return given == signature(thought) or (not thought and raw.startswith(_SIGNED))


def whole(answer: Answer, *, omit_thinking: bool = False) -> dict[str, Any]:
    """The message."""
    content: list[dict[str, Any]] = []
    if answer.thinking:
        thought = "" if omit_thinking else answer.thought
        content.append({"type": "thinking", "thinking": thought, "signature": signature(answer.thought)})
    if answer.text:
        content.append({"type": "text", "text": answer.text})
    content += [_call(answer, number, call, _input(call)) for number, call in enumerate(answer.tool_calls)]
    return _message(answer, content, _ending(answer), _usage(answer, answer.completion, details=True))


def stream(answer: Answer, *, omit_thinking: bool = False, pings: int = 1) -> tuple[Frame, ...]:
    """The events of the message."""
    opening = _message(answer, [], dict.fromkeys(_ending(answer)), _usage(answer, 1))
    closing: dict[str, Any] = {"delta": _ending(answer)}
    if answer.has_usage:
        closing["usage"] = _totals(answer)
    return (
        Frame(event("message_start", {"message": opening}), Mark.START),
        *_blocks(answer, omit_thinking=omit_thinking, pings=pings),
        Frame(event("message_delta", closing), Mark.FINISH),
        Frame(event("message_stop", {}), Mark.DONE),
    )


def _blocks(answer: Answer, *, omit_thinking: bool, pings: int) -> Iterator[Frame]:
    """Every block's events; the vendor pings after the first one's start."""
    blocks: list[tuple[dict[str, Any], list[tuple[dict[str, Any], str]]]] = []
    if answer.thinking:
        shown = () if omit_thinking else answer.thinking
        deltas = [({"type": "thinking_delta", "thinking": piece}, piece) for piece in shown]
        deltas.append(({"type": "signature_delta", "signature": signature(answer.thought)}, ""))
        blocks.append(({"type": "thinking", "thinking": "", "signature": ""}, deltas))
    if answer.text:
        blocks.append((_EMPTY, [({"type": "text_delta", "text": piece}, piece) for piece in answer.chunks]))
    blocks += [
        (
            _call(answer, number, call, {}),
            [({"type": "input_json_delta", "partial_json": piece}, text) for piece, text in _arguments(call)],
        )
        for number, call in enumerate(answer.tool_calls)
    ]
    shares = iter(spread(answer.completion, [text for _, deltas in blocks for _, text in deltas if text]))
    for index, (block, deltas) in enumerate(blocks):
        opening = event("content_block_start", {"index": index, "content_block": block})
        yield Frame(opening, Mark.START)
        if index == 0:
            yield from [Frame(PING, Mark.START)] * pings
        for delta, text in deltas:
            data = event("content_block_delta", {"index": index, "delta": delta})
            yield Frame(data, Mark.CONTENT, next(shares)) if text else Frame(data, Mark.START)
        yield Frame(event("content_block_stop", {"index": index}), Mark.START)


def _message(
    answer: Answer, content: list[dict[str, Any]], ending: dict[str, Any], usage: dict[str, Any]
) -> dict[str, Any]:
    return {
        "model": answer.model,
        "id": f"msg_01{short_id(answer.seed, -2, 22)}",
        "type": "message",
        "role": "assistant",
        "content": content,
        **ending,
        **usage,
    }


def _ending(answer: Answer) -> dict[str, Any]:
    reason = _STOP_REASONS.get(answer.finish_reason, answer.finish_reason)
    if reason == "end_turn" and answer.stopped_by:
        reason = "stop_sequence"
    refusal = {"type": "refusal", "category": None, "explanation": None}
    return {
        "stop_reason": reason,
        "stop_sequence": answer.stopped_by if reason == "stop_sequence" else None,
        "stop_details": refusal if reason == "refusal" else None,
    }


def _usage(answer: Answer, output: int, *, details: bool = False) -> dict[str, Any]:
    """``usage`` of a message; the vendor does not count what it read from its cache as input."""
    if not answer.has_usage:
        return {}
    usage = {
        "input_tokens": max(answer.prompt - answer.cached, 0),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": answer.cached,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": output,
        "service_tier": "standard",
        "inference_geo": "not_available",
    }
    if details:
        usage["output_tokens_details"] = {"thinking_tokens": answer.reasoning}
    return {"usage": usage}


def _totals(answer: Answer) -> dict[str, Any]:
    """``usage`` at a stream's end."""
    return {
        "input_tokens": max(answer.prompt - answer.cached, 0),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": answer.cached,
        "output_tokens": answer.completion,
        "output_tokens_details": {"thinking_tokens": answer.reasoning},
    }


def _call(answer: Answer, number: int, call: ToolCall, given: Any) -> dict[str, Any]:
    return {
        "type": "tool_use",
        "id": call.id or f"toolu_01{short_id(answer.seed, number, 22)}",
        "name": call.name,
        "input": given,
        "caller": {"type": "direct"},
    }


def _input(call: ToolCall) -> Any:
    """The arguments as an object; a string that holds none is sent as it is."""
    if not isinstance(call.arguments, str):
        return call.arguments
    try:
        return msgspec.json.decode(call.arguments, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return call.arguments


def _arguments(call: ToolCall) -> list[tuple[str, str]]:
    """The pieces of a call's JSON, each with the text that it stands for.

    The vendor begins with an empty piece, and sends nothing else where there are no arguments.
    """
    given = call.arguments
    text = given if isinstance(given, str) else msgspec.json.encode(given).decode() if given else ""
    if not text:
        return [("", call.name)]
    middle = (len(text) + 1) // 2
    return [("", ""), *((piece, piece) for piece in (text[:middle], text[middle:]) if piece)]
