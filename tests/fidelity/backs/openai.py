"""An OpenAI-compatible server: what a request tells it, and the answers that only it can give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from tests.fidelity.values import ANSWER, LOGPROBS, UNKNOWN, UNKNOWN_FIELD, Turn
from trunkline_mock import Script

SHAPE: Final = "generic"
TYPE: Final = "openai-compatible"
MODEL: Final = "gpt-4o"
SETTINGS: Final[Mapping[str, Any]] = {}


def conversation(body: dict[str, Any]) -> list[Turn]:
    """The messages."""
    turns: list[Turn] = []
    for message in body["messages"]:
        role = message["role"]
        thought = message.get("reasoning_content") or message.get("reasoning")
        if thought:
            turns.append(("thinking", thought, None))
        if role == "tool":
            assert isinstance(message["content"], str)
            turns.append(("result", message["tool_call_id"], message["content"]))
        elif isinstance(message["content"], str):
            if message["content"]:
                turns.append((role, message["content"]))
        else:
            turns += [_part(role, part) for part in message["content"] or ()]
        for call in message.get("tool_calls") or ():
            arguments = msgspec.json.decode(call["function"]["arguments"])
            turns.append(("call", call["id"], call["function"]["name"], arguments))
    return turns


def _part(role: str, part: dict[str, Any]) -> Turn:
    if part["type"] == "text":
        return (role, part["text"])
    url = part["image_url"]["url"]
    data = url.removeprefix("data:image/png;base64,")
    return ("image_url", url) if data == url else ("image", data)


def tools(body: dict[str, Any]) -> list[Turn]:
    """The functions that are offered."""
    found = [tool["function"] for tool in body.get("tools") or ()]
    return [(tool["name"], tool["description"], tool["parameters"]) for tool in found]


def _choice(body: dict[str, Any]) -> Any:
    choice = body.get("tool_choice")
    return choice["function"]["name"] if isinstance(choice, dict) else choice


def _thinking(body: dict[str, Any]) -> Any:
    effort = body.get("reasoning_effort")
    return "off" if effort == "none" else effort


def _format(body: dict[str, Any]) -> Any:
    asked = body.get("response_format") or {}
    return asked["json_schema"]["schema"] if asked.get("type") == "json_schema" else asked.get("type")


def _both(*names: str) -> Callable[[dict[str, Any]], Any]:
    def read(body: dict[str, Any]) -> Any:
        found = tuple(body.get(name) for name in names)
        return None if set(found) == {None} else found

    return read


def _one(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda body: body.get(name)


SENT: Final[Mapping[str, Callable[[dict[str, Any]], Any]]] = {
    "choice": _choice,
    "thinking": _thinking,
    "format": _format,
    "parallel": _one("parallel_tool_calls"),
    "max_tokens": _one("max_tokens"),
    "stop": _one("stop"),
    "seed": _one("seed"),
    "temperature": _one("temperature"),
    "top_p": _one("top_p"),
    "top_k": _one("top_k"),
    "penalties": _both("presence_penalty", "frequency_penalty"),
    "logprobs": _both("logprobs", "top_logprobs"),
    "n": _one("n"),
    "user": _one("user"),
}
"""Single fields of a request."""


def _tokens(tokens: Any) -> dict[str, Any]:
    content = [
        {"token": token, "logprob": logprob, "bytes": list(token.encode()), "top_logprobs": []}
        for token, logprob in tokens
    ]
    return {"content": content, "refusal": None}


def _whole(text: str, logprobs: Any = None, **more: Any) -> str:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    body = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": MODEL}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    choices = [choice | {"logprobs": logprobs}]
    return msgspec.json.encode(body | {"choices": choices, "usage": usage} | more).decode()


def _stream(pieces: list[tuple[str, Any]], **more: Any) -> str:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    chunks: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": {"content": text}, "logprobs": found, "finish_reason": None}]}
        for text, found in pieces
    ]
    chunks.append({"choices": [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}]})
    chunks.append({"choices": [], "usage": usage})
    records = [msgspec.json.encode(head | chunk | more).decode() for chunk in chunks]
    return "".join(f"data: {record}\n\n" for record in (*records, "[DONE]"))


def script(feature: str, stream: bool) -> Script | None:
    """The answer to a feature of which the mock's own scripts cannot say what is needed."""
    match feature:
        case "logprobs":
            text = "".join(token for token, _ in LOGPROBS)
            pieces = [(token, _tokens([(token, value)])) for token, value in LOGPROBS]
            return Script(body=_stream(pieces) if stream else _whole(text, _tokens(LOGPROBS)))
        case "unknown":
            more = {UNKNOWN_FIELD: UNKNOWN}
            return Script(body=_stream([(ANSWER, None)], **more) if stream else _whole(ANSWER, **more))
        case _:
            return None
