"""Anthropic's Messages, as a client asks and hears."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tests.fidelity.values import (
    BOUND,
    BROKEN,
    BUDGET,
    CALL_IDS,
    FIRST,
    HELLO,
    LOOK,
    OSLO,
    PICTURE,
    PIXEL,
    RESULTS,
    ROME,
    SCHEMA,
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
from tests.gateways import Answer

PATH: Final = "/v1/messages"
REASONS: Final = {
    "end_turn": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}

ERRORS: Final = {
    400: "invalid_request_error",
    404: "not_found_error",
    429: "rate_limit_error",
    500: "api_error",
    502: "api_error",
}


def base(model: str, stream: bool) -> dict[str, Any]:
    """A request that says hello; a bound on the answer is required."""
    body = {"model": model, "max_tokens": 16000, "messages": [{"role": "user", "content": HELLO}]}
    return body | ({"stream": True} if stream else {})


def _tool(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "description": description, "input_schema": schema}


def _turns(*contents: Any) -> dict[str, Any]:
    roles = ("user", "assistant")
    return {"messages": [{"role": roles[at % 2], "content": content} for at, content in enumerate(contents)]}


def _image(**source: str) -> dict[str, Any]:
    return {"type": "image", "source": source}


def _call(call_id: str, name: str, arguments: dict[str, str]) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}


def _result(call_id: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call_id, "content": content} | more


_LOOK: Final = {"type": "text", "text": LOOK}
_PIXEL: Final = _image(type="base64", media_type="image/png", data=PIXEL)
_ONE: Final = {"tools": [_tool(*WEATHER)]}
_TWO: Final = {"tools": [_tool(*WEATHER), _tool(*TIME)]}
_CALL: Final = [_call(CALL_IDS[0], WEATHER[0], ROME)]
_ADAPTIVE: Final = {"thinking": {"type": "adaptive"}}

ASKS: Final[dict[str, dict[str, Any]]] = {
    "system": {"system": SYSTEM},
    "multi_turn": _turns(*FIRST),
    "image_data": _turns([_LOOK, _PIXEL]),
    "image_url": _turns([_LOOK, _image(type="url", url=PICTURE)]),
    "tool": _ONE,
    "parallel_tools": _TWO,
    "tool_ids": _TWO,
    "tool_text": _ONE,
    "tool_deltas": _ONE,
    "tool_results": _TWO
    | _turns(
        HELLO,
        [*_CALL, _call(CALL_IDS[1], TIME[0], OSLO)],
        [_result(CALL_IDS[0], RESULTS[0]), _result(CALL_IDS[1], [{"type": "text", "text": RESULTS[1]}])],
    ),
    "tool_errors": _ONE | _turns(HELLO, _CALL, [_result(CALL_IDS[0], BROKEN, is_error=True)]),
    "tool_images": _ONE
    | _turns(HELLO, _CALL, [_result(CALL_IDS[0], [{"type": "text", "text": RESULTS[0]}, _PIXEL])]),
    "tool_choice_auto": _TWO | {"tool_choice": {"type": "auto"}},
    "tool_choice_required": _TWO | {"tool_choice": {"type": "any"}},
    "tool_choice_named": _TWO | {"tool_choice": {"type": "tool", "name": WEATHER[0]}},
    "tool_choice_none": _TWO | {"tool_choice": {"type": "none"}},
    "parallel_off": _TWO | {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
    "thinking_on": _ADAPTIVE,
    "thinking_effort": _ADAPTIVE | {"output_config": {"effort": "high"}},
    "thinking_budget": {"thinking": {"type": "enabled", "budget_tokens": BUDGET}},
    "thinking_off": {"thinking": {"type": "disabled"}},
    "thinking_answer": _ADAPTIVE,
    "thinking_signature": _ADAPTIVE,
    "thinking_turns": _ADAPTIVE
    | _turns(
        FIRST[0],
        [
            {"type": "thinking", "thinking": THOUGHT, "signature": SIGNATURE},
            {"type": "text", "text": FIRST[1]},
        ],
        FIRST[2],
    ),
    "json_schema": {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    "max_tokens": {"max_tokens": BOUND},
    "stop": {"stop_sequences": [STOP]},
    "finish_stop_sequence": {"stop_sequences": [STOP]},
    "temperature": {"temperature": TEMPERATURE},
    "top_p": {"top_p": TOP_P},
    "top_k": {"top_k": TOP_K},
    "user": {"metadata": {"user_id": USER}},
    "finish_tool_calls": _ONE,
    "unknown": {UNKNOWN_FIELD: UNKNOWN},
}
"""The fields of each feature that a request says anything about."""


def hear(answer: Answer, stream: bool) -> Heard:
    """What a successful answer says."""
    heard = Heard()
    if not stream:
        message = answer.json
    else:
        assert answer.headers["content-type"].startswith("text/event-stream")
        message = _put_together(answer.body, heard)
    assert message["type"] == "message"
    assert message["role"] == "assistant"
    for block in message["content"]:
        match block["type"]:
            case "text":
                heard.texts += (block["text"],)
            case "thinking":
                heard.thinking += block["thinking"]
                heard.signature = block["signature"] or None
            case "tool_use":
                heard.calls += ((block["name"], block["input"]),)
                heard.call_ids += (block["id"],)
    heard.texts = ("".join(heard.texts),)
    heard.model = message["model"]
    told = message.get(UNKNOWN_FIELD)
    heard.unknown = None if told == {"applied_edits": []} else told  # the gateway's word that it was left out
    heard.stop_sequence = message.get("stop_sequence")
    reason = message["stop_reason"]
    heard.reason = REASONS.get(reason, reason)
    usage = message["usage"]
    read = usage.get("cache_read_input_tokens") or 0
    heard.usage = {
        "prompt": usage["input_tokens"] + read + (usage.get("cache_creation_input_tokens") or 0),
        "completion": usage["output_tokens"],
        "cached": read,
        "reasoning": (usage.get("output_tokens_details") or {}).get("thinking_tokens"),
    }
    return heard


def _put_together(body: bytes, heard: Heard) -> dict[str, Any]:
    """The message of a stream's events, which must come in the order that Anthropic promises."""
    message: dict[str, Any] = {}
    blocks: list[dict[str, Any]] = []
    open_block, ended = False, False
    for record in body.decode().strip().split("\n\n"):
        name, _, data = record.partition("\ndata: ")
        event = msgspec.json.decode(data)
        assert name == f"event: {event['type']}"
        assert not ended, "nothing comes after the end"
        match event["type"]:
            case "message_start":
                message = event["message"] | {"content": blocks}
            case "content_block_start":
                assert not open_block
                assert event["index"] == len(blocks)
                open_block = True
                blocks.append(event["content_block"] | {"pieces": ""})
            case "content_block_delta":
                assert open_block
                _add(blocks[event["index"]], event["delta"], heard)
            case "content_block_stop":
                open_block = False
                if blocks[-1]["type"] == "tool_use":
                    blocks[-1]["input"] = msgspec.json.decode(blocks[-1]["pieces"] or "{}")
            case "message_delta":
                message |= event["delta"]
                message["usage"] = message["usage"] | event["usage"]
            case "message_stop":
                ended = True
            case "error":
                heard.error, ended = event["error"]["message"], True
                assert event["error"]["type"].endswith("_error")
            case other:
                assert other == "ping"
    assert ended
    return message


def _add(block: dict[str, Any], delta: dict[str, Any], heard: Heard) -> None:
    match delta["type"]:
        case "text_delta":
            block["text"] += delta["text"]
        case "thinking_delta":
            block["thinking"] += delta["thinking"]
        case "signature_delta":
            block["signature"] = delta["signature"]
        case "input_json_delta":
            block["pieces"] += delta["partial_json"]
            heard.pieces += bool(delta["partial_json"])


def complaint(answer: Answer) -> str:
    """The text of an error answer, which must be Anthropic's envelope."""
    body = answer.json
    assert body["type"] == "error"
    assert body["error"]["type"] == ERRORS[answer.status]
    return str(body["error"]["message"])
