"""Ollama's chat, as a client asks and hears."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tests.fidelity.values import (
    BOUND,
    CALL_IDS,
    FIRST,
    HELLO,
    HOT,
    LOOK,
    OSLO,
    PENALTIES,
    PIXEL,
    RESULTS,
    ROME,
    SCHEMA,
    SEED,
    STOP,
    SYSTEM,
    TEMPERATURE,
    THOUGHT,
    TIME,
    TOP_K,
    TOP_P,
    UNKNOWN,
    UNKNOWN_FIELD,
    WEATHER,
    Heard,
)
from tests.gateways import Answer

PATH: Final = "/api/chat"


def base(model: str, stream: bool) -> dict[str, Any]:
    """A request that says hello; a stream is what is given unless it is refused."""
    body = {"model": model, "messages": [{"role": "user", "content": HELLO}]}
    return body if stream else body | {"stream": False}


def _tool(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    function = {"name": name, "description": description, "parameters": schema}
    return {"type": "function", "function": function}


def _call(call_id: str, name: str, arguments: dict[str, str]) -> dict[str, Any]:
    return {"id": call_id, "function": {"name": name, "arguments": arguments}}


_ONE: Final = {"tools": [_tool(*WEATHER)]}
_TWO: Final = {"tools": [_tool(*WEATHER), _tool(*TIME)]}
_HELLO: Final = {"role": "user", "content": HELLO}
_ROME: Final = _call(CALL_IDS[0], WEATHER[0], ROME)

ASKS: Final[dict[str, dict[str, Any]]] = {
    "system": {"messages": [{"role": "system", "content": SYSTEM}, _HELLO]},
    "multi_turn": {
        "messages": [
            {"role": "user", "content": FIRST[0]},
            {"role": "assistant", "content": FIRST[1]},
            {"role": "user", "content": FIRST[2]},
        ],
    },
    "image_data": {"messages": [{"role": "user", "content": LOOK, "images": [PIXEL]}]},
    "tool": _ONE,
    "parallel_tools": _TWO,
    "tool_ids": _TWO,
    "tool_text": _ONE,
    "tool_results": _TWO
    | {
        "messages": [
            _HELLO,
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [_ROME, _call(CALL_IDS[1], TIME[0], OSLO)],
            },
            {"role": "tool", "tool_name": WEATHER[0], "content": RESULTS[0]},
            {"role": "tool", "tool_name": TIME[0], "content": RESULTS[1]},
        ],
    },
    "tool_images": _ONE
    | {
        "messages": [
            _HELLO,
            {"role": "assistant", "content": "", "tool_calls": [_ROME]},
            {"role": "tool", "tool_name": WEATHER[0], "content": RESULTS[0], "images": [PIXEL]},
        ],
    },
    "thinking_on": {"think": True},
    "thinking_effort": {"think": "high"},
    "thinking_off": {"think": False},
    "thinking_answer": {"think": True},
    "thinking_turns": {
        "messages": [
            {"role": "user", "content": FIRST[0]},
            {"role": "assistant", "thinking": THOUGHT, "content": FIRST[1]},
            {"role": "user", "content": FIRST[2]},
        ],
    },
    "json_mode": {"format": "json"},
    "json_schema": {"format": SCHEMA},
    "max_tokens": {"options": {"num_predict": BOUND}},
    "stop": {"options": {"stop": [STOP]}},
    "seed": {"options": {"seed": SEED}},
    "temperature": {"options": {"temperature": TEMPERATURE}},
    "temperature_high": {"options": {"temperature": HOT}},
    "top_p": {"options": {"top_p": TOP_P}},
    "top_k": {"options": {"top_k": TOP_K}},
    "penalties": {"options": {"presence_penalty": PENALTIES[0], "frequency_penalty": PENALTIES[1]}},
    "logprobs": {"logprobs": True, "top_logprobs": 2},
    "finish_tool_calls": _ONE,
    "unknown": {UNKNOWN_FIELD: UNKNOWN},
}
"""The fields of each feature that a request says anything about."""


def hear(answer: Answer, stream: bool) -> Heard:
    """What a successful answer says."""
    kind = "application/x-ndjson" if stream else "application/json"
    assert answer.headers["content-type"].startswith(kind)
    lines = answer.body.removesuffix(b"\n").split(b"\n")
    assert stream or len(lines) == 1
    heard = Heard()
    text, ended = "", False
    for line in lines:
        assert not ended, "nothing comes after the end"
        record = msgspec.json.decode(line)
        if "error" in record:
            heard.error, ended = record["error"], True
            continue
        message = record["message"]
        text += message["content"]
        heard.thinking += message.get("thinking") or ""
        for call in message.get("tool_calls") or ():
            heard.calls += ((call["function"]["name"], call["function"]["arguments"]),)
            heard.call_ids += (call["id"],)
            heard.pieces += 1
        heard.logprobs += tuple((each["token"], each["logprob"]) for each in record.get("logprobs") or ())
        heard.model = record["model"]
        heard.unknown = record.get(UNKNOWN_FIELD) or heard.unknown
        ended = record["done"]
        if ended:
            reason = record["done_reason"]
            heard.reason = "tool_calls" if reason == "stop" and heard.calls else reason
            heard.usage = {
                "prompt": record.get("prompt_eval_count", 0),
                "completion": record.get("eval_count", 0),
            }
    assert ended
    heard.texts = (text,)
    return heard


def complaint(answer: Answer) -> str:
    """The text of an error answer, which must be Ollama's object."""
    body = answer.json
    assert list(body) == ["error"]
    return str(body["error"])
