"""OpenAI's Responses, as a client asks and hears."""

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
    PICTURE,
    PIXEL_URL,
    RESULTS,
    ROME,
    SCHEMA,
    SIGNATURE,
    SYSTEM,
    TEMPERATURE,
    THOUGHT,
    TIME,
    TOP_P,
    UNKNOWN,
    UNKNOWN_FIELD,
    USER,
    WEATHER,
    Heard,
)
from tests.gateways import Answer, events

PATH: Final = "/v1/responses"
SIGNED: Final = "trunkline:anthropic:signature:"
"""Begins the ``encrypted_content`` that holds a signature, as the gateway gives it to its clients."""
_CUT: Final = {"max_output_tokens": "length", "content_filter": "content_filter"}

ERRORS: Final = {
    400: "invalid_request_error",
    404: "invalid_request_error",
    429: "rate_limit_error",
    500: "upstream_error",
    502: "upstream_error",
}


def base(model: str, stream: bool) -> dict[str, Any]:
    """A request that says hello."""
    return {"model": model, "input": HELLO, "store": False} | ({"stream": True} if stream else {})


def _tool(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "name": name, "description": description, "parameters": schema}


def _user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def _said(text: str) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"type": "message", "role": "assistant", "status": "completed", "content": [part]}


def _look(url: str) -> dict[str, Any]:
    parts = [{"type": "input_text", "text": LOOK}, {"type": "input_image", "image_url": url}]
    return {"input": [_user(parts)]}


def _call(call_id: str, name: str, arguments: dict[str, str]) -> dict[str, Any]:
    text = msgspec.json.encode(arguments).decode()
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": text}


def _result(call_id: str, output: Any) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": output}


_ONE: Final = {"tools": [_tool(*WEATHER)]}
_TWO: Final = {"tools": [_tool(*WEATHER), _tool(*TIME)]}
_REASONED: Final = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [],
    "content": [{"type": "reasoning_text", "text": THOUGHT}],
    "encrypted_content": SIGNED + SIGNATURE,
}

ASKS: Final[dict[str, dict[str, Any]]] = {
    "system": {"instructions": SYSTEM},
    "multi_turn": {"input": [_user(FIRST[0]), _said(FIRST[1]), _user(FIRST[2])]},
    "image_data": _look(PIXEL_URL),
    "image_url": _look(PICTURE),
    "tool": _ONE,
    "parallel_tools": _TWO,
    "tool_ids": _TWO,
    "tool_text": _ONE,
    "tool_deltas": _ONE,
    "tool_results": _TWO
    | {
        "input": [
            _user(HELLO),
            _call(CALL_IDS[0], WEATHER[0], ROME),
            _call(CALL_IDS[1], TIME[0], OSLO),
            _result(CALL_IDS[0], RESULTS[0]),
            _result(CALL_IDS[1], RESULTS[1]),
        ],
    },
    "tool_images": _ONE
    | {
        "input": [
            _user(HELLO),
            _call(CALL_IDS[0], WEATHER[0], ROME),
            _result(
                CALL_IDS[0],
                [
                    {"type": "input_text", "text": RESULTS[0]},
                    {"type": "input_image", "image_url": PIXEL_URL},
                ],
            ),
        ],
    },
    "tool_choice_auto": _TWO | {"tool_choice": "auto"},
    "tool_choice_required": _TWO | {"tool_choice": "required"},
    "tool_choice_named": _TWO | {"tool_choice": {"type": "function", "name": WEATHER[0]}},
    "tool_choice_none": _TWO | {"tool_choice": "none"},
    "parallel_off": _TWO | {"parallel_tool_calls": False},
    "thinking_effort": {"reasoning": {"effort": "high"}},
    "thinking_off": {"reasoning": {"effort": "none"}},
    "thinking_answer": {"reasoning": {"effort": "medium"}},
    "thinking_signature": {
        "reasoning": {"effort": "medium"},
        "include": ["reasoning.encrypted_content"],
    },
    "thinking_turns": {
        "reasoning": {"effort": "medium"},
        "input": [_user(FIRST[0]), _REASONED, _said(FIRST[1]), _user(FIRST[2])],
    },
    "json_mode": {"text": {"format": {"type": "json_object"}}},
    "json_schema": {"text": {"format": {"type": "json_schema", "name": "city", "schema": SCHEMA}}},
    "max_tokens": {"max_output_tokens": BOUND},
    "temperature": {"temperature": TEMPERATURE},
    "temperature_high": {"temperature": HOT},
    "top_p": {"top_p": TOP_P},
    "logprobs": {"include": ["message.output_text.logprobs"], "top_logprobs": 2},
    "user": {"user": USER},
    "finish_tool_calls": _ONE,
    "unknown": {UNKNOWN_FIELD: UNKNOWN},
}
"""The fields of each feature that a request says anything about."""


def hear(answer: Answer, stream: bool) -> Heard:
    """What a successful answer says."""
    heard = Heard()
    response = _last(answer, heard) if stream else answer.json
    assert response["object"] == "response"
    for item in response["output"]:
        match item["type"]:
            case "message":
                for part in item["content"]:
                    heard.texts += (part.get("text", part.get("refusal")),)
                    tokens = part.get("logprobs") or ()
                    heard.logprobs += tuple((token["token"], token["logprob"]) for token in tokens)
            case "reasoning":
                parts = item.get("content") or item["summary"]
                heard.thinking += "".join(part["text"] for part in parts)
                secret = item.get("encrypted_content") or ""
                assert not secret or secret.startswith("trunkline:")
                heard.signature = secret.removeprefix(SIGNED) if secret.startswith(SIGNED) else None
            case "function_call":
                if item["status"] == "completed":
                    heard.calls += ((item["name"], msgspec.json.decode(item["arguments"])),)
                    heard.call_ids += (item["call_id"],)
    heard.texts = ("".join(heard.texts),)
    heard.model = response["model"]
    heard.unknown = response.get(UNKNOWN_FIELD)
    cut = response["incomplete_details"]
    heard.reason = _CUT[cut["reason"]] if cut else "tool_calls" if heard.calls else "stop"
    if response["usage"]:
        usage = response["usage"]
        heard.usage = {
            "prompt": usage["input_tokens"],
            "completion": usage["output_tokens"],
            "cached": usage["input_tokens_details"]["cached_tokens"],
            "reasoning": usage["output_tokens_details"]["reasoning_tokens"],
        }
    return heard


def _last(answer: Answer, heard: Heard) -> dict[str, Any]:
    """The response in a stream's last event; its deltas must say the same."""
    assert answer.headers["content-type"].startswith("text/event-stream")
    records = events(answer.body)
    is_bare = records[-1]["type"] == "error"  # of a stream that passed through, whose numbers nobody counts
    numbered = records[:-1] if is_bare else records
    assert [record["sequence_number"] for record in numbered] == list(range(len(numbered)))
    told = {"response.output_text.delta": "", "response.refusal.delta": ""}
    for record in records:
        if record["type"] in told:
            told[record["type"]] += record["delta"]
        heard.pieces += record["type"] == "response.function_call_arguments.delta" and bool(record["delta"])
        if record["type"] == "error":
            heard.error = record["message"]
    if is_bare:
        part = {"type": "output_text", "text": told["response.output_text.delta"]}
        begun: dict[str, Any] = records[0]["response"]
        return begun | {"output": [{"type": "message", "content": [part]}]}
    response: dict[str, Any] = records[-1]["response"]
    assert records[-1]["type"] == f"response.{response['status']}"
    assert (response["status"] == "failed") is (heard.error is not None)
    output_text = "".join(
        part.get("text", part.get("refusal"))
        for item in response["output"]
        if item["type"] == "message"
        for part in item["content"]
    )
    assert output_text == "".join(told.values())
    return response


def complaint(answer: Answer) -> str:
    """The text of an error answer, which must be OpenAI's envelope."""
    error = answer.error
    assert error["type"] == ERRORS[answer.status]
    return str(error["message"])
