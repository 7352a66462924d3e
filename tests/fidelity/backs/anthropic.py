"""Anthropic: what a request tells it, and the answers that only it can give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.dialects.anthropic.samples import delta, end, event, start, stop
from tests.fidelity.values import ANSWER, UNKNOWN, UNKNOWN_FIELD, Turn
from trunkline.dialects.json_mode import INSTRUCTION
from trunkline_mock import Script

SHAPE: Final = "anthropic"
TYPE: Final = "anthropic"
MODEL: Final = "claude-opus-4-6"
SETTINGS: Final[Mapping[str, Any]] = {}


def conversation(body: dict[str, Any]) -> list[Turn]:
    """The system prompt and the messages."""
    turns: list[Turn] = [("system", block["text"]) for block in _blocks(body.get("system"))]
    for message in body["messages"]:
        for block in _blocks(message["content"]):
            turns += _turns(message["role"], block)
    return turns


def _blocks(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content or []


def _turns(role: str, block: dict[str, Any]) -> list[Turn]:
    match block["type"]:
        case "text":
            return [(role, block["text"])]
        case "image":
            return [_image("image", block["source"])]
        case "thinking":
            return [("thinking", block["thinking"], block["signature"])]
        case "tool_use":
            return [("call", block["id"], block["name"], block["input"])]
    assert block["type"] == "tool_result"
    kind = "result_error" if block.get("is_error") else "result"
    return [
        (kind, block["tool_use_id"], part["text"])
        if part["type"] == "text"
        else ("result_image", block["tool_use_id"], part["source"]["data"])
        for part in _blocks(block.get("content"))
    ]


def _image(kind: str, source: dict[str, Any]) -> Turn:
    if source["type"] == "url":
        return ("image_url", source["url"])
    assert source["media_type"] == "image/png"
    return (kind, source["data"])


def tools(body: dict[str, Any]) -> list[Turn]:
    """The functions that are offered."""
    found = body.get("tools") or ()
    return [(tool["name"], tool["description"], tool["input_schema"]) for tool in found]


def _choice(body: dict[str, Any]) -> Any:
    choice = body.get("tool_choice") or {}
    return choice["name"] if choice.get("type") == "tool" else _WORDS.get(choice.get("type", ""))


_WORDS: Final = {"auto": "auto", "any": "required", "none": "none"}


def _thinking(body: dict[str, Any]) -> Any:
    thinking = body.get("thinking") or {}
    match thinking.get("type"):
        case "enabled":
            return ("budget", thinking["budget_tokens"])
        case "adaptive":
            return (body.get("output_config") or {}).get("effort", "on")
        case "disabled":
            return "off"
    return None


def _format(body: dict[str, Any]) -> Any:
    if INSTRUCTION in str(body.get("system")):
        return "told"
    return ((body.get("output_config") or {}).get("format") or {}).get("schema")


def _parallel(body: dict[str, Any]) -> Any:
    return False if (body.get("tool_choice") or {}).get("disable_parallel_tool_use") else None


def _user(body: dict[str, Any]) -> Any:
    return (body.get("metadata") or {}).get("user_id")


def _one(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda body: body.get(name)


SENT: Final[Mapping[str, Callable[[dict[str, Any]], Any]]] = {
    "choice": _choice,
    "thinking": _thinking,
    "format": _format,
    "parallel": _parallel,
    "max_tokens": _one("max_tokens"),
    "stop": _one("stop_sequences"),
    "seed": _one("seed"),
    "temperature": _one("temperature"),
    "top_p": _one("top_p"),
    "top_k": _one("top_k"),
    "penalties": _one("presence_penalty"),
    "logprobs": _one("logprobs"),
    "n": _one("n"),
    "user": _user,
}
"""Single fields of a request."""

_USAGE: Final = {"input_tokens": 1, "output_tokens": 1}


def _message(**fields: Any) -> dict[str, Any]:
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "usage": _USAGE}
    return head | {UNKNOWN_FIELD: UNKNOWN, "stop_reason": None, "stop_sequence": None} | fields


def script(feature: str, stream: bool) -> Script | None:
    """The answer to a feature of which the mock's own scripts cannot say what is needed."""
    if feature != "unknown":
        return None
    if not stream:
        return Script(body=_message(content=[{"type": "text", "text": ANSWER}], stop_reason="end_turn"))
    answer = start(0, type="text", text="") + delta(0, "text_delta", text=ANSWER) + stop(0)
    opening = event("message_start", message=_message(content=[]))
    return Script(body=(opening + answer + end(output_tokens=1) + event("message_stop")).decode())
