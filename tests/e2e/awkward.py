"""Clients of all four APIs in front of one upstream whose answer a test writes by hand."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

from tests.gateways import BEARER, Answer, Running, events, make_settings, post, serving, upstream
from trunkline_mock import MockUpstream, Script

FRONTS: Final = ("chat", "responses", "messages", "ollama")
PARAMETERS: Final = {"type": "object", "properties": {}}
TOOLS: Final = ("get_weather", "f", "g")

_PATHS: Final = {
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
    "messages": "/v1/messages",
    "ollama": "/api/chat",
}


class Heard(NamedTuple):
    """What a client has been told, whichever API it speaks."""

    answer: Answer
    text: str = ""
    thinking: str = ""
    calls: Sequence[tuple[str, Any]] = ()
    """Name and arguments of each call."""
    images: Sequence[str] = ()
    citations: Sequence[str] = ()
    """Addresses of the sources."""
    usage: tuple[int, int] | None = None
    error: str = ""


def request(front: str, *, stream: bool) -> bytes:
    """A chat request with three tools."""
    said = [{"role": "user", "content": "Hello"}]
    body: dict[str, Any] = {"model": "m", "stream": stream}
    functions = [{"name": name, "parameters": PARAMETERS} for name in TOOLS]
    match front:
        case "responses":
            body |= {
                "input": "Hello",
                "tools": [{"type": "function", "strict": False} | f for f in functions],
            }
        case "messages":
            tools = [{"name": name, "input_schema": PARAMETERS} for name in TOOLS]
            thinking = {"type": "enabled", "budget_tokens": 1024}
            body |= {"messages": said, "max_tokens": 2048, "tools": tools, "thinking": thinking}
        case _:
            body |= {"messages": said, "tools": [{"type": "function", "function": f} for f in functions]}
            if front == "chat" and stream:
                body["stream_options"] = {"include_usage": True}
    return post(body, BEARER, path=_PATHS[front])


@asynccontextmanager
async def answering(body: Any, status: int = 200, shape: str = "openai") -> AsyncIterator[Running]:
    """A gateway whose one upstream answers everything with ``body``."""
    async with MockUpstream(shape=shape, script=Script(body=body, status=status), any_model=True) as mock:
        kind = "openai-compatible" if shape == "openai" else shape
        provider = upstream(mock, type=kind, models=("m",))
        async with serving(make_settings(providers={"up": provider})) as running:
            yield running


async def hear(running: Running, front: str, *, stream: bool) -> Heard:
    """Ask, and put together what came."""
    answer = await running.ask(request(front, stream=stream))
    return _READERS[front](answer, stream=stream and answer.status == 200)


def sse(*chunks: dict[str, Any], done: bool = True) -> str:
    """A stream of chunks; choices are made of what is given as ``delta`` and ``finish_reason``."""
    out = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
    return out + ("data: [DONE]\n\n" if done else "")


def piece(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    """One chunk of OpenAI's."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [choice],
        **more,
    }


def whole(message: dict[str, Any], finish: str = "stop", **more: Any) -> dict[str, Any]:
    """A whole answer of OpenAI's."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [choice],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
        **more,
    }


def _read_chat(answer: Answer, *, stream: bool) -> Heard:
    if not stream:
        body = answer.json
        if "error" in body:
            return Heard(answer, error=body["error"]["message"])
        messages, usage = [body["choices"][0]["message"]], body.get("usage")
    else:
        chunks = [each for each in events(answer.body) if isinstance(each, dict)]
        failed = next((each["error"]["message"] for each in chunks if "error" in each), "")
        messages = [choice["delta"] for each in chunks for choice in each.get("choices", ())]
        usage = next((each["usage"] for each in reversed(chunks) if each.get("usage")), None)
        if failed:
            return Heard(answer, "".join(each.get("content") or "" for each in messages), error=failed)
    calls: dict[int, list[str]] = {}
    for message in messages:
        for number, call in enumerate(message.get("tool_calls") or ()):
            known = calls.setdefault(call["index"] if stream else number, ["", ""])
            known[0] += call["function"].get("name") or ""
            known[1] += call["function"].get("arguments") or ""
    content = [message.get("content") or "" for message in messages]
    thinking = [message.get("reasoning_content") or "" for message in messages]
    return Heard(
        answer,
        "".join(content if all(isinstance(each, str) for each in content) else [json.dumps(content)]),
        "".join(thinking),
        [(name, json.loads(arguments or "{}")) for name, arguments in calls.values()],
        [image["image_url"]["url"] for message in messages for image in message.get("images") or ()],
        [each["url_citation"]["url"] for message in messages for each in message.get("annotations") or ()],
        _pair(usage, "prompt_tokens", "completion_tokens"),
    )


def _read_responses(answer: Answer, *, stream: bool) -> Heard:
    body = answer.json if not stream else {}
    if stream:
        found = events(answer.body)
        body = next((each["response"] for each in reversed(found) if each.get("response")), {})
    if body.get("error"):
        return Heard(answer, error=body["error"]["message"])
    parts = [part for item in body["output"] if item["type"] == "message" for part in item["content"]]
    thinking = [part for item in body["output"] if item["type"] == "reasoning" for part in item["content"]]
    return Heard(
        answer,
        "".join(part.get("text", "") for part in parts),
        "".join(part["text"] for part in thinking),
        [
            (item["name"], json.loads(item["arguments"]))
            for item in body["output"]
            if item["type"] == "function_call"
        ],
        [
            f"data:image/png;base64,{item['result']}"
            for item in body["output"]
            if item["type"] == "image_generation_call"
        ],
        [each["url"] for part in parts for each in part.get("annotations", ())],
        _pair(body.get("usage"), "input_tokens", "output_tokens"),
    )


def _read_messages(answer: Answer, *, stream: bool) -> Heard:
    if not stream:
        body = answer.json
        if "error" in body:
            return Heard(answer, error=body["error"]["message"])
        blocks, usage = body["content"], body["usage"]
    else:
        found, blocks, usage = events(answer.body), [], None
        for each in found:
            match each["type"]:
                case "content_block_start":
                    blocks.append(each["content_block"] | {"citations": []})
                case "content_block_delta":
                    _extend_block(blocks[each["index"]], each["delta"])
                case "message_delta":
                    usage = each["usage"]
                case "error":
                    return Heard(answer, error=each["error"]["message"])
    for block in blocks:
        if isinstance(block.get("partial"), str):
            block["input"] = json.loads(block["partial"])
    return Heard(
        answer,
        "".join(block["text"] for block in blocks if block["type"] == "text"),
        "".join(block["thinking"] for block in blocks if block["type"] == "thinking"),
        [(block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"],
        (),
        [each["url"] for block in blocks for each in block.get("citations", ())],
        _pair(usage, "input_tokens", "output_tokens"),
    )


def _extend_block(block: dict[str, Any], delta: dict[str, Any]) -> None:
    match delta["type"]:
        case "text_delta":
            block["text"] += delta["text"]
        case "thinking_delta":
            block["thinking"] += delta["thinking"]
        case "input_json_delta":
            block["partial"] = block.get("partial", "") + delta["partial_json"]
        case "citations_delta":
            block["citations"].append(delta["citation"])


def _read_ollama(answer: Answer, *, stream: bool) -> Heard:
    lines = [json.loads(line) for line in answer.body.splitlines()] if stream else [answer.json]
    failed = next((line["error"] for line in lines if "error" in line), "")
    messages = [line["message"] for line in lines if "message" in line]
    text = "".join(message.get("content", "") for message in messages)
    if failed:
        return Heard(answer, text, error=failed)
    return Heard(
        answer,
        text,
        "".join(message.get("thinking", "") for message in messages),
        [
            (call["function"]["name"], call["function"]["arguments"])
            for message in messages
            for call in message.get("tool_calls", ())
        ],
        [f"data:image/png;base64,{each}" for message in messages for each in message.get("images", ())],
        [each["url_citation"]["url"] for message in messages for each in message.get("annotations", ())],
        _pair(lines[-1], "prompt_eval_count", "eval_count"),
    )


def _pair(usage: Any, first: str, second: str) -> tuple[int, int] | None:
    return (usage.get(first), usage.get(second)) if usage else None


_READERS: Final = {
    "chat": _read_chat,
    "responses": _read_responses,
    "messages": _read_messages,
    "ollama": _read_ollama,
}
