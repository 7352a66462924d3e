"""One conversation with tools, as the clients of each dialect send it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tests.fidelity.fronts import FRONTS
from tests.fidelity.values import Heard
from tests.gateways import BEARER, Answer, Running, post

CITY: Final[dict[str, Any]] = {"type": "object", "properties": {"city": {"type": "string"}}}
Body = dict[str, Any]


def _chat(tools: Body, history: bool, call_id: str) -> Body:
    specs = [{"name": name, "parameters": schema} for name, schema in tools.items()]
    body: Body = {"tools": [{"type": "function", "function": spec} for spec in specs]}
    messages: list[Any] = [{"role": "user", "content": "Look!"}]
    if history:
        calls = [
            {"id": call_id, "type": "function", "function": {"name": next(iter(tools)), "arguments": "{}"}}
        ]
        messages += [
            {"role": "assistant", "content": None, "tool_calls": calls},
            {"role": "tool", "tool_call_id": call_id, "content": "seen"},
        ]
    return body | {"messages": messages}


def _messages(tools: Body, history: bool, call_id: str) -> Body:
    body: Body = {"tools": [{"name": name, "input_schema": schema} for name, schema in tools.items()]}
    messages: list[Any] = [{"role": "user", "content": "Look!"}]
    if history:
        call = {"type": "tool_use", "id": call_id, "name": next(iter(tools)), "input": {}}
        result = {"type": "tool_result", "tool_use_id": call_id, "content": "seen"}
        messages += [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    return body | {"messages": messages}


def _responses(tools: Body, history: bool, call_id: str) -> Body:
    body: Body = {"tools": [{"type": "function", "name": name, "parameters": schema, "strict": False}
                            for name, schema in tools.items()]}  # fmt: skip
    items: list[Any] = [{"role": "user", "content": "Look!"}]
    if history:
        items += [
            {"type": "function_call", "call_id": call_id, "name": next(iter(tools)), "arguments": "{}"},
            {"type": "function_call_output", "call_id": call_id, "output": "seen"},
        ]
    return body | {"input": items}


def _ollama(tools: Body, history: bool, call_id: str) -> Body:
    body = _chat(tools, history=False, call_id=call_id)
    if history:
        call = {"id": call_id, "function": {"name": next(iter(tools)), "arguments": {}}}
        body["messages"] += [
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call_id, "content": "seen"},
        ]
    return body


_BODIES: Final[dict[str, Callable[..., Body]]] = {
    "openai": _chat,
    "anthropic": _messages,
    "responses": _responses,
    "ollama": _ollama,
}


def tool_request(
    front: str,
    model: str,
    tools: Body,
    *,
    stream: bool,
    history: bool = False,
    call_id: str = "call_00000000",
) -> Body:
    """A request with ``tools`` (name → schema); with ``history``, the first of them was called before."""
    return FRONTS[front].base(model, stream) | _BODIES[front](tools, history, call_id)


async def ask(node: Running, front: str, body: Body, *lines: bytes) -> Answer:
    """The gateway's answer, which must be a success."""
    answer = await node.ask(post(body, BEARER, *lines, path=FRONTS[front].PATH))
    assert answer.status == 200, answer.body
    return answer


def heard(front: str, answer: Answer, stream: bool) -> Heard:
    """What a client of ``front`` reads in the answer."""
    return FRONTS[front].hear(answer, stream)


def sent_calls(body: Body) -> list[tuple[str, str, str]]:
    """Kind, id and name of each call in what an upstream was sent, whatever its dialect; results have no
    name."""
    found: list[tuple[str, str, str]] = []
    for message in body.get("messages") or ():
        found += [("call", call["id"], call["function"]["name"]) for call in message.get("tool_calls") or ()]
        if message["role"] == "tool":
            found.append(("result", message["tool_call_id"], ""))
        for block in message["content"] if isinstance(message.get("content"), list) else ():
            if block["type"] == "tool_use":
                found.append(("call", block["id"], block["name"]))
            if block["type"] == "tool_result":
                found.append(("result", block["tool_use_id"], ""))
    for item in body.get("input") or ():
        if item.get("type") == "function_call":
            found.append(("call", item["call_id"], item["name"]))
        if item.get("type") == "function_call_output":
            found.append(("result", item["call_id"], ""))
    return found


def sent_tools(body: Body) -> dict[str, Any]:
    """Name and schema of each tool in what an upstream was sent, whatever its dialect."""
    specs = [tool.get("function", tool) for tool in body["tools"]]
    return {spec["name"]: spec.get("parameters", spec.get("input_schema")) for spec in specs}
