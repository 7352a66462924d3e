"""An Ollama server: what a request tells it, and the answers that only it can give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from tests.fidelity.values import ANSWER, LOGPROBS, UNKNOWN, UNKNOWN_FIELD, Turn
from trunkline_mock import Script

SHAPE: Final = "ollama"
TYPE: Final = "ollama"
MODEL: Final = "llama3.2"
SETTINGS: Final[Mapping[str, Any]] = {}


def conversation(body: dict[str, Any]) -> list[Turn]:
    """The messages; a result without an id belongs to the last turn's call of its tool."""
    turns: list[Turn] = []
    for message in body["messages"]:
        role = message["role"]
        if message.get("thinking"):
            turns.append(("thinking", message["thinking"], None))
        if role == "tool":
            named = [turn[1] for turn in turns if turn[0] == "call" and turn[2] == message["tool_name"]]
            call_id = message.get("tool_call_id", named[-1])
            turns.append(("result", call_id, message["content"]))
            turns += [("result_image", call_id, image) for image in message.get("images") or ()]
            continue
        if message["content"]:
            turns.append((role, message["content"]))
        turns += [("image", image) for image in message.get("images") or ()]
        for call in message.get("tool_calls") or ():
            turns.append(("call", call["id"], call["function"]["name"], call["function"]["arguments"]))
    return turns


def tools(body: dict[str, Any]) -> list[Turn]:
    """The functions that are offered."""
    found = [tool["function"] for tool in body.get("tools") or ()]
    return [(tool["name"], tool["description"], tool["parameters"]) for tool in found]


def _choice(body: dict[str, Any]) -> Any:
    """There is no such field: a model may call what it is offered."""
    offered = [tool[0] for tool in tools(body)]
    return "none" if not offered else "auto" if len(offered) > 1 else ("only", *offered)


def _thinking(body: dict[str, Any]) -> Any:
    """By Ollama's own word, a model that can think does so unless it is told not to."""
    think = body.get("think", True)
    return {True: "on", False: "off"}.get(think, think)


def _option(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda body: (body.get("options") or {}).get(name)


def _penalties(body: dict[str, Any]) -> Any:
    options = body.get("options") or {}
    found = (options.get("presence_penalty"), options.get("frequency_penalty"))
    return None if found == (None, None) else found


def _logprobs(body: dict[str, Any]) -> Any:
    return (body["logprobs"], body["top_logprobs"]) if "logprobs" in body else None


def _format(body: dict[str, Any]) -> Any:
    asked = body.get("format")
    return "json_object" if asked == "json" else asked


SENT: Final[Mapping[str, Callable[[dict[str, Any]], Any]]] = {
    "choice": _choice,
    "thinking": _thinking,
    "format": _format,
    "parallel": lambda body: body.get("parallel_tool_calls"),
    "max_tokens": _option("num_predict"),
    "stop": _option("stop"),
    "seed": _option("seed"),
    "temperature": _option("temperature"),
    "top_p": _option("top_p"),
    "top_k": _option("top_k"),
    "penalties": _penalties,
    "logprobs": _logprobs,
    "n": lambda body: body.get("n"),
    "user": lambda body: body.get("user"),
}
"""Single fields of a request."""


def _line(text: str, **more: Any) -> str:
    head = {"model": MODEL, "created_at": "2026-01-01T00:00:00Z"}
    message = {"message": {"role": "assistant", "content": text}, "done": False}
    return msgspec.json.encode(head | message | more).decode() + "\n"


_DONE: Final = {"done": True, "done_reason": "stop", "prompt_eval_count": 1, "eval_count": 1}


def script(feature: str, stream: bool) -> Script | None:
    """The answer to a feature of which the mock's own scripts cannot say what is needed."""
    tokens = [{"token": token, "logprob": value, "top_logprobs": []} for token, value in LOGPROBS]
    match feature:
        case "logprobs" if stream:
            lines = [_line(str(each["token"]), logprobs=[each]) for each in tokens]
            return Script(body="".join((*lines, _line("", **_DONE))))
        case "logprobs":
            text = "".join(token for token, _ in LOGPROBS)
            return Script(body=_line(text, logprobs=tokens, **_DONE))
        case "unknown":
            more = {UNKNOWN_FIELD: UNKNOWN}
            last = _line("" if stream else ANSWER, **_DONE, **more)
            return Script(body=_line(ANSWER) + last if stream else last)
        case _:
            return None
