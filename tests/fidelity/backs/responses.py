"""A server that is asked in the Responses API: what a request tells it, and answers that only it can give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from tests.fidelity.values import ANSWER, LOGPROBS, STOP, UNKNOWN, UNKNOWN_FIELD, Turn
from trunkline_mock import Script

SHAPE: Final = "generic"
TYPE: Final = "openai-compatible"
MODEL: Final = "gpt-4.1"
SETTINGS: Final = {"api": "responses"}


def conversation(body: dict[str, Any]) -> list[Turn]:
    """The input items."""
    given = body["input"]
    turns: list[Turn] = []
    if "instructions" in body:
        turns.append(("system", body["instructions"]))
    items: list[dict[str, Any]] = [{"role": "user", "content": given}] if isinstance(given, str) else given
    for item in items:
        match item.get("type", "message"):
            case "message":
                content = item["content"]
                parts: list[Any] = [{"text": content}] if isinstance(content, str) else content
                turns += [_part(item["role"], part) for part in parts]
            case "reasoning":
                thought = item.get("content") or item["summary"]
                text = "".join(each["text"] for each in thought)
                turns.append(("thinking", text, item.get("encrypted_content")))
            case "function_call":
                arguments = msgspec.json.decode(item["arguments"])
                turns.append(("call", item["call_id"], item["name"], arguments))
            case kind:
                assert kind == "function_call_output"
                output = item["output"]
                parts = [{"text": output}] if isinstance(output, str) else output
                turns += [_result(item["call_id"], part) for part in parts]
    return turns


def _part(role: str, part: dict[str, Any]) -> Turn:
    if "text" in part:
        return (role, part["text"])
    url = part["image_url"]
    data = url.removeprefix("data:image/png;base64,")
    return ("image_url", url) if data == url else ("image", data)


def _result(call_id: str, part: dict[str, Any]) -> Turn:
    if "text" in part:
        return ("result", call_id, part["text"])
    return ("result_image", call_id, part["image_url"].removeprefix("data:image/png;base64,"))


def tools(body: dict[str, Any]) -> list[Turn]:
    """The functions that are offered."""
    return [(tool["name"], tool["description"], tool["parameters"]) for tool in body.get("tools") or ()]


def _choice(body: dict[str, Any]) -> Any:
    choice = body.get("tool_choice")
    return choice["name"] if isinstance(choice, dict) else choice


def _thinking(body: dict[str, Any]) -> Any:
    """Whoever is to tell of its thinking, and no level is named, thinks at a level of its own."""
    asked = body.get("reasoning") or {}
    effort = asked.get("effort") or ("on" if "summary" in asked else None)
    return "off" if effort == "none" else effort


def _format(body: dict[str, Any]) -> Any:
    asked = (body.get("text") or {}).get("format") or {}
    return asked["schema"] if asked.get("type") == "json_schema" else asked.get("type")


def _logprobs(body: dict[str, Any]) -> Any:
    asked = "message.output_text.logprobs" in (body.get("include") or ())
    return (True, body.get("top_logprobs")) if asked else None


def _both(*names: str) -> Callable[[dict[str, Any]], Any]:
    def read(body: dict[str, Any]) -> Any:
        found = tuple(body.get(name) for name in names)
        return None if set(found) == {None} else found

    return read


def _one(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda body: body.get(name)


def _stop(body: dict[str, Any]) -> Any:
    """There is no field for it: the gateway cuts the answer, which goes on in ``script``."""
    assert "stop" not in body
    return [STOP]


SENT: Final[Mapping[str, Callable[[dict[str, Any]], Any]]] = {
    "choice": _choice,
    "thinking": _thinking,
    "format": _format,
    "parallel": _one("parallel_tool_calls"),
    "max_tokens": _one("max_output_tokens"),
    "stop": _stop,
    "seed": _one("seed"),
    "temperature": _one("temperature"),
    "top_p": _one("top_p"),
    "top_k": _one("top_k"),
    "penalties": _both("presence_penalty", "frequency_penalty"),
    "logprobs": _logprobs,
    "n": _one("n"),
    "user": _one("user"),
}
"""Single fields of a request."""


def _response(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed"}
    usage: dict[str, Any] = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    usage |= {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    head = {"id": "resp_1", "object": "response", "created_at": 1, "model": MODEL, "status": "completed"}
    head |= {"output": [item | {"content": list(parts)}], "error": None, "incomplete_details": None}
    return head | {"usage": usage} | more


def _answer(stream: bool, text: str, tokens: list[dict[str, Any]], **more: Any) -> Script:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": tokens}
    whole = _response(part, **more)
    if not stream:
        return Script(body=msgspec.json.encode(whole).decode())
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    pieces = [(token["token"], [token]) for token in tokens] or [(text, [])]
    item = whole["output"][0]
    records: list[dict[str, Any]] = [
        {"type": "response.created", "response": whole | {"status": "in_progress", "output": []}},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": item | {"content": []},
        },
        {"type": "response.content_part.added", "part": part | {"text": "", "logprobs": []}} | place,
        *(
            {"type": "response.output_text.delta", "delta": piece, "logprobs": found} | place
            for piece, found in pieces
        ),
        {"type": "response.output_text.done", "text": text, "logprobs": tokens} | place,
        {"type": "response.content_part.done", "part": part} | place,
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": whole},
    ]
    numbered = [record | {"sequence_number": number} for number, record in enumerate(records)]
    lines = (f"event: {each['type']}\ndata: {msgspec.json.encode(each).decode()}\n\n" for each in numbered)
    return Script(body="".join(lines))


def script(feature: str, stream: bool) -> Script | None:
    """The answer to a feature of which the mock's own scripts cannot say what is needed."""
    match feature:
        case "logprobs":
            tokens = [
                {"token": token, "logprob": value, "bytes": list(token.encode()), "top_logprobs": []}
                for token, value in LOGPROBS
            ]
            return _answer(stream, "".join(token for token, _ in LOGPROBS), tokens)
        case "unknown":
            return _answer(stream, ANSWER, [], **{UNKNOWN_FIELD: UNKNOWN})
        case "stop":
            return Script(text=f"{ANSWER}{STOP} unsaid")
        case _:
            return None
