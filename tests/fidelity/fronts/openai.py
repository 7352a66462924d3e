"""OpenAI's chat completions, as a client asks and hears."""

from __future__ import annotations

from collections.abc import Sequence
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
    PICTURE,
    PIXEL_URL,
    RESULTS,
    ROME,
    SCHEMA,
    SEED,
    SIGNATURE,
    STOP,
    SYSTEM,
    TEMPERATURE,
    THOUGHT,
    TIME,
    TOP_K,
    TOP_P,
    UNKNOWN,
    UNKNOWN_FIELD,
    USER,
    WEATHER,
    Heard,
)
from tests.gateways import Answer, events

PATH: Final = "/v1/chat/completions"

ERRORS: Final = {
    400: "invalid_request_error",
    404: "invalid_request_error",
    429: "rate_limit_error",
    500: "upstream_error",
    502: "upstream_error",
}


def base(model: str, stream: bool) -> dict[str, Any]:
    """A request that says hello."""
    body = {"model": model, "messages": [{"role": "user", "content": HELLO}]}
    return body | ({"stream": True, "stream_options": {"include_usage": True}} if stream else {})


def _tool(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    function = {"name": name, "description": description, "parameters": schema}
    return {"type": "function", "function": function}


def _turns(*contents: Any) -> dict[str, Any]:
    roles = ("user", "assistant")
    return {"messages": [{"role": roles[at % 2], "content": content} for at, content in enumerate(contents)]}


def _call(call_id: str, name: str, arguments: dict[str, str]) -> dict[str, Any]:
    function = {"name": name, "arguments": msgspec.json.encode(arguments).decode()}
    return {"id": call_id, "type": "function", "function": function}


def _look(url: str) -> dict[str, Any]:
    return _turns([{"type": "text", "text": LOOK}, {"type": "image_url", "image_url": {"url": url}}])


_ONE: Final = {"tools": [_tool(*WEATHER)]}
_TWO: Final = {"tools": [_tool(*WEATHER), _tool(*TIME)]}

ASKS: Final[dict[str, dict[str, Any]]] = {
    "system": {
        "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": HELLO}],
    },
    "multi_turn": _turns(*FIRST),
    "image_data": _look(PIXEL_URL),
    "image_url": _look(PICTURE),
    "tool": _ONE,
    "parallel_tools": _TWO,
    "tool_ids": _TWO,
    "tool_text": _ONE,
    "tool_deltas": _ONE,
    "tool_results": _TWO
    | {
        "messages": [
            {"role": "user", "content": HELLO},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [_call(CALL_IDS[0], WEATHER[0], ROME), _call(CALL_IDS[1], TIME[0], OSLO)],
            },
            {"role": "tool", "tool_call_id": CALL_IDS[0], "content": RESULTS[0]},
            {"role": "tool", "tool_call_id": CALL_IDS[1], "content": RESULTS[1]},
        ],
    },
    "tool_choice_auto": _TWO | {"tool_choice": "auto"},
    "tool_choice_required": _TWO | {"tool_choice": "required"},
    "tool_choice_named": _TWO | {"tool_choice": {"type": "function", "function": {"name": WEATHER[0]}}},
    "tool_choice_none": _TWO | {"tool_choice": "none"},
    "parallel_off": _TWO | {"parallel_tool_calls": False},
    "thinking_effort": {"reasoning_effort": "high"},
    "thinking_off": {"reasoning_effort": "none"},
    "thinking_answer": {"reasoning_effort": "medium"},
    "thinking_turns": {
        "messages": [
            {"role": "user", "content": FIRST[0]},
            {
                "role": "assistant",
                "content": FIRST[1],
                "reasoning_content": THOUGHT,
                "reasoning_details": [{"type": "reasoning.text", "text": THOUGHT, "signature": SIGNATURE}],
            },
            {"role": "user", "content": FIRST[2]},
        ],
    },
    "thinking_signature": {"reasoning_effort": "medium"},
    "json_mode": {"response_format": {"type": "json_object"}},
    "json_schema": {
        "response_format": {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA}}
    },
    "max_tokens": {"max_tokens": BOUND},
    "stop": {"stop": [STOP]},
    "seed": {"seed": SEED},
    "temperature": {"temperature": TEMPERATURE},
    "temperature_high": {"temperature": HOT},
    "top_p": {"top_p": TOP_P},
    "top_k": {"top_k": TOP_K},
    "penalties": {"presence_penalty": PENALTIES[0], "frequency_penalty": PENALTIES[1]},
    "logprobs": {"logprobs": True, "top_logprobs": 2},
    "n": {"n": 2},
    "user": {"user": USER},
    "finish_tool_calls": _ONE,
    "unknown": {UNKNOWN_FIELD: UNKNOWN},
}
"""The fields of each feature that a request says anything about."""


def hear(answer: Answer, stream: bool) -> Heard:
    """What a successful answer says."""
    if not stream:
        body = answer.json
        assert body["object"] == "chat.completion"
        return _gather([body], "message")
    assert answer.headers["content-type"].startswith("text/event-stream")
    records = events(answer.body)
    if records[-1] != "[DONE]":
        error = records.pop()["error"]
        assert {"message", "type", "code"} <= set(error), error
        heard = _gather(records, "delta")
        heard.error = error["message"]
        return heard
    records.pop()
    assert all(record["object"] == "chat.completion.chunk" for record in records)
    assert records[-1]["choices"] == [], "the usage chunk is the last"
    return _gather(records, "delta")


def _gather(records: Sequence[dict[str, Any]], key: str) -> Heard:
    heard = Heard()
    texts: dict[int, str] = {}
    calls: dict[int, dict[str, Any]] = {}
    for record in records:
        heard.model = record.get("model") or heard.model
        heard.unknown = record.get(UNKNOWN_FIELD) or heard.unknown
        if record.get("usage"):
            heard.usage = _usage(record["usage"])
        for choice in record["choices"]:
            delta, at = choice[key], choice["index"]
            texts[at] = texts.get(at, "") + (delta.get("content") or "") + (delta.get("refusal") or "")
            heard.thinking += delta.get("reasoning_content") or delta.get("reasoning") or ""
            for detail in delta.get("reasoning_details") or ():
                heard.signature = detail["signature"] if "signature" in detail else detail["data"]
                assert detail.get("text", heard.thinking) == heard.thinking
            heard.reason = choice.get("finish_reason") or heard.reason
            tokens = (choice.get("logprobs") or {}).get("content") or ()
            heard.logprobs += tuple((token["token"], token["logprob"]) for token in tokens)
            for place, call in enumerate(delta.get("tool_calls") or ()):
                known = calls.setdefault(call.get("index", place), {"arguments": ""})
                known |= {name: call[name] for name in ("id",) if name in call}
                known |= {"name": call["function"]["name"]} if "name" in call["function"] else {}
                known["arguments"] += call["function"].get("arguments") or ""
                heard.pieces += bool(call["function"].get("arguments"))
    heard.texts = tuple(text for _, text in sorted(texts.items()))
    heard.calls = tuple((call["name"], msgspec.json.decode(call["arguments"])) for call in calls.values())
    heard.call_ids = tuple(call["id"] for call in calls.values())
    return heard


def _usage(usage: dict[str, Any]) -> dict[str, int | None]:
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    return {
        "prompt": usage["prompt_tokens"],
        "completion": usage["completion_tokens"],
        "cached": (usage.get("prompt_tokens_details") or {}).get("cached_tokens"),
        "reasoning": (usage.get("completion_tokens_details") or {}).get("reasoning_tokens"),
    }


def complaint(answer: Answer) -> str:
    """The text of an error answer, which must be OpenAI's envelope."""
    error = answer.error
    assert error["type"] == ERRORS[answer.status]
    return str(error["message"])
