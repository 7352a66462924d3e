"""A message as a client has got it, read back from the bytes of its answer."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from trunkline.dialects.error_envelope import UNREADABLE

_decode: Final = msgspec.json.decode

_TEXTS: Final = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}
"""Types of deltas, and the field of a block that each adds to."""


def read_message(answer: bytes, *, streamed: bool) -> dict[str, Any] | None:
    """Return the message in an answer, or None if the answer is no whole message.

    Args:
        answer: The answer's bytes.
        streamed: They are a stream of events.
    """
    try:
        message = _fold(answer) if streamed else _decode(answer)
    except (*UNREADABLE, KeyError, TypeError, IndexError, AttributeError):
        return None
    if not isinstance(message, dict) or not isinstance(message.get("id"), str):
        return None
    return message if isinstance(message.get("content"), list) else None


def _fold(stream: bytes) -> dict[str, Any] | None:
    message: dict[str, Any] = {}
    inputs: dict[int, str] = {}
    for line in stream.split(b"\n"):
        if not line.startswith(b"data:"):
            continue
        event = _decode(line[5:])
        match event.get("type"):
            case "message_start":
                message = event["message"]
            case "content_block_start":
                message["content"].append(event["content_block"])
            case "content_block_delta":
                _add(message["content"][event["index"]], event["delta"], event["index"], inputs)
            case "message_delta":
                message |= event["delta"]
            case "message_stop":
                for index, text in inputs.items():
                    message["content"][index]["input"] = _decode(text) if text.strip() else {}
                return message
            case _:
                pass
    return None


def _add(block: dict[str, Any], delta: dict[str, Any], index: int, inputs: dict[int, str]) -> None:
    kind = delta["type"]
    if kind == "input_json_delta":
        inputs[index] = inputs.get(index, "") + delta["partial_json"]
    elif kind == "citations_delta":
        block["citations"] = [*(block.get("citations") or ()), delta["citation"]]
    elif (name := _TEXTS.get(kind)) is not None:
        block[name] = block.get(name, "") + delta[name]
