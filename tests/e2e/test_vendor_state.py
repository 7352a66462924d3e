"""State that vendors want back, over two turns with a tool: it returns to its maker, and to nobody else.

The first turn is played by a scripted upstream; the client sends back exactly what its dialect gave it. What
the upstream is sent at the second turn is looked at.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec
import pytest

from tests.gateways import BEARER, Answer, Running, make_settings, serving, upstream
from trunkline.dialects.vendor_state import seal
from trunkline_mock import MockUpstream, Script, ToolCall
from trunkline_mock.shapes.anthropic.write import sign_thinking

THOUGHT = "The tool knows."
QUESTION = "How warm is it in Rome?"
ARGUMENTS = {"city": "Rome"}
RESULT = "21 degrees"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}

Body = dict[str, Any]


def lines_of(answer: Answer) -> list[Any]:
    """The data of each event of a stream."""
    lines = [line.removeprefix(b"data: ") for line in answer.body.split(b"\n") if line.startswith(b"data: ")]
    return [msgspec.json.decode(line) for line in lines if line != b"[DONE]"]


class Front(NamedTuple):
    """A client of one dialect: its first request, and the second with what the first was answered."""

    path: str
    first: Callable[[str, bool], Body]
    second: Callable[[Body, Answer, bool], Body]


def _chat_first(model: str, stream: bool) -> Body:
    tool = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
    body = {"model": model, "messages": [{"role": "user", "content": QUESTION}], "tools": [tool]}
    return body | {"reasoning_effort": "high", "stream": stream}


def _chat_second(first: Body, answer: Answer, stream: bool) -> Body:
    if not stream:
        message = answer.json["choices"][0]["message"]
    else:
        message = {"role": "assistant", "content": None, "reasoning_content": "", "tool_calls": []}
        for record in lines_of(answer):
            for delta in (choice["delta"] for choice in record["choices"]):
                message["reasoning_content"] += delta.get("reasoning_content") or ""
                message.setdefault("reasoning_details", []).extend(delta.get("reasoning_details") or ())
                for call in delta.get("tool_calls") or ():
                    if "id" in call:
                        message["tool_calls"].append(call)
                    else:
                        function = message["tool_calls"][-1]["function"]
                        function["arguments"] += call["function"]["arguments"]
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": RESULT} for call in message["tool_calls"]
    ]
    return first | {"messages": [*first["messages"], message, *results]}


def _messages_first(model: str, stream: bool) -> Body:
    body = {"model": model, "max_tokens": 4096, "messages": [{"role": "user", "content": QUESTION}]}
    body |= {"tools": [{"name": "weather", "input_schema": SCHEMA}], "stream": stream}
    return body | {"thinking": {"type": "enabled", "budget_tokens": 2000}}


def _messages_second(first: Body, answer: Answer, stream: bool) -> Body:
    blocks: list[Any] = []
    if not stream:
        blocks = answer.json["content"]
    for record in lines_of(answer) if stream else ():
        if record["type"] == "content_block_start":
            blocks.append(record["content_block"] | {"json": ""})
        elif record["type"] == "content_block_delta":
            delta = record["delta"]
            match delta["type"]:
                case "thinking_delta":
                    blocks[-1]["thinking"] += delta["thinking"]
                case "signature_delta":
                    blocks[-1]["signature"] = delta["signature"]
                case "input_json_delta":
                    blocks[-1]["json"] += delta["partial_json"]
    for block in blocks if stream else ():
        pieces = block.pop("json")
        if block["type"] == "tool_use":
            block["input"] = json.loads(pieces)
    calls = [block for block in blocks if block["type"] == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": call["id"], "content": RESULT} for call in calls]
    turns = [{"role": "assistant", "content": blocks}, {"role": "user", "content": results}]
    return first | {"messages": [*first["messages"], *turns]}


def _responses_first(model: str, stream: bool) -> Body:
    body = {"model": model, "input": [{"role": "user", "content": QUESTION}], "stream": stream}
    body |= {"include": ["reasoning.encrypted_content"], "reasoning": {"effort": "high"}, "store": False}
    return body | {"tools": [{"type": "function", "name": "weather", "parameters": SCHEMA}]}


def _responses_second(first: Body, answer: Answer, stream: bool) -> Body:
    response = lines_of(answer)[-1]["response"] if stream else answer.json
    items = response["output"]
    calls = [item for item in items if item["type"] == "function_call"]
    results = [
        {"type": "function_call_output", "call_id": call["call_id"], "output": RESULT} for call in calls
    ]
    return first | {"input": [*first["input"], *items, *results]}


def _ollama_first(model: str, stream: bool) -> Body:
    return _chat_first(model, stream) | {"think": True}


def _ollama_second(first: Body, answer: Answer, stream: bool) -> Body:
    message: Body = {"role": "assistant", "content": "", "thinking": "", "tool_calls": []}
    for line in answer.body.splitlines():
        piece = msgspec.json.decode(line)["message"]
        message["thinking"] += piece.get("thinking") or ""
        # as the ``ollama`` package does, which has no field for ids
        message["tool_calls"] += [{"function": call["function"]} for call in piece.get("tool_calls") or ()]
    result = {"role": "tool", "tool_name": "weather", "content": RESULT}
    return first | {"messages": [*first["messages"], message, *[result] * len(message["tool_calls"])]}


FRONTS = {
    "chat": Front("/v1/chat/completions", _chat_first, _chat_second),
    "messages": Front("/v1/messages", _messages_first, _messages_second),
    "responses": Front("/v1/responses", _responses_first, _responses_second),
    "ollama": Front("/api/chat", _ollama_first, _ollama_second),
}
OTHERS = [name for name in FRONTS if name != "chat"]
STREAMS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def bare(front: str, body: Body) -> Body:
    """The same request by a client that keeps nothing of the thinking."""
    kept: Body = json.loads(json.dumps(body))
    for message in kept.get("messages", ()):
        for name in ("thinking", "reasoning", "reasoning_content", "reasoning_details"):
            message.pop(name, None)
        if isinstance(message.get("content"), list):
            message["content"] = [each for each in message["content"] if "thinking" not in each["type"]]
    if "input" in kept:
        kept["input"] = [item for item in kept["input"] if item.get("type") != "reasoning"]
    return kept


async def ask(house: Running, path: str, body: Body) -> Answer:
    data = msgspec.json.encode(body)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n".encode()
    answer = await house.ask(head + b"Content-Type: application/json\r\n" + BEARER + b"\r\n" + data)
    assert answer.status == 200, answer.body
    return answer


@asynccontextmanager
async def house_of(**mocks: MockUpstream) -> AsyncIterator[Running]:
    """A gateway whose providers are these upstreams."""
    providers = {
        name: upstream(mock, **({"speaks": ()} if name == "plain" else {})) for name, mock in mocks.items()
    }
    async with serving(make_settings(providers=providers)) as house:
        yield house


CALLS = Script(thinking=THOUGHT, tool_calls=(ToolCall("weather", ARGUMENTS, id="call_1"),))


async def two_turns(house: Running, mock: MockUpstream, front: Front, stream: bool, model: str) -> Body:
    """Both turns with one model; returns what the upstream was sent at the second."""
    first = front.first(model, stream)
    answer = await ask(house, front.path, first)
    await ask(house, front.path, front.second(first, answer, stream))
    sent: Body = mock.calls[-1].json
    return sent


def the_turn(sent: Body) -> Body:
    """The assistant's message with the call."""
    turn: Body = next(message for message in sent["messages"] if message["role"] == "assistant")
    return turn


@STREAMS
@pytest.mark.parametrize("front", OTHERS)
@pytest.mark.parametrize(("shape", "field"), [("llamacpp", "reasoning_content"), ("vllm", "reasoning")])
async def test_an_unknown_server_gets_back_the_field_that_it_sent(
    shape: str, field: str, front: str, stream: bool
) -> None:
    async with MockUpstream(shape, CALLS, any_model=True) as mock, house_of(plain=mock) as house:
        sent = await two_turns(house, mock, FRONTS[front], stream, "plain/gpt-4o")
    turn = the_turn(sent)
    assert turn[field] == THOUGHT
    assert turn["tool_calls"][0]["function"]["name"] == "weather"


@pytest.mark.parametrize("front", OTHERS)
async def test_what_a_client_drops_is_put_back(front: str) -> None:
    async with MockUpstream("llamacpp", CALLS, any_model=True) as mock, house_of(plain=mock) as house:
        first = FRONTS[front].first("plain/gpt-4o", False)
        second = FRONTS[front].second(first, await ask(house, FRONTS[front].path, first), False)
        await ask(house, FRONTS[front].path, bare(front, second))
        assert the_turn(mock.calls[-1].json)["reasoning_content"] == THOUGHT
        other = json.loads(json.dumps(bare(front, second)).replace(QUESTION, "And in Oslo?"))
        await ask(house, FRONTS[front].path, other)
        assert "reasoning_content" not in the_turn(mock.calls[-1].json)


def gemini(stream: bool) -> Script:
    """Gemini's answer: a call with its signature, and a second one without."""
    calls = [
        {
            "id": "call_1",
            "type": "function",
            "function": {"name": "weather", "arguments": json.dumps(ARGUMENTS)},
            "extra_content": {"google": {"thought_signature": "c2lnbmVk"}},
        },
        {"id": "call_2", "type": "function", "function": {"name": "weather", "arguments": "{}"}},
    ]
    message = {"role": "assistant", "content": None, "tool_calls": calls}
    head = {"id": "x", "created": 1, "model": "gemini-3-pro"}
    if not stream:
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
        return Script(body=head | {"object": "chat.completion", "choices": [choice]})
    records = [{"delta": {"tool_calls": [call]}} for call in calls] + [{"delta": {}, "finish_reason": "stop"}]
    chunks = [head | {"choices": [{"index": 0} | record]} for record in records]
    return Script(body="".join(f"data: {json.dumps(each)}\n\n" for each in chunks) + "data: [DONE]\n\n")


@STREAMS
@pytest.mark.parametrize("front", OTHERS)
async def test_a_signature_goes_back_with_its_call(front: str, stream: bool) -> None:
    async with (
        MockUpstream("llamacpp", scripts=[gemini(stream)], any_model=True) as mock,
        house_of(plain=mock) as house,
    ):
        sent = await two_turns(house, mock, FRONTS[front], stream, "plain/gpt-4o")
    calls = the_turn(sent)["tool_calls"]
    assert calls[0]["extra_content"] == {"google": {"thought_signature": "c2lnbmVk"}}
    assert "extra_content" not in calls[1]


def claude() -> Script:
    """Claude's answer: signed thinking, redacted thinking and a call."""
    content = [
        {"type": "thinking", "thinking": THOUGHT, "signature": sign_thinking(THOUGHT)},
        {"type": "redacted_thinking", "data": "c2VjcmV0"},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": ARGUMENTS},
    ]
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5"}
    usage = {"input_tokens": 1, "output_tokens": 1}
    return Script(body=head | {"content": content, "stop_reason": "tool_use", "usage": usage})


THINKING_BLOCKS = [
    {"type": "thinking", "thinking": THOUGHT, "signature": sign_thinking(THOUGHT)},
    {"type": "redacted_thinking", "data": "c2VjcmV0"},
]


@pytest.mark.parametrize(
    ("front", "drops"),
    [
        (front, drops)
        for front in FRONTS
        for drops in (False, True)
        if not (front == "messages" and drops)  # the vendor's own dialect: the body passes through
    ],
)
async def test_claudes_thinking_goes_back(front: str, drops: bool) -> None:
    model = "claude-sonnet-4-5"
    async with (
        MockUpstream("anthropic", scripts=[claude()], models=[model]) as mock,
        house_of(anthropic=mock) as house,
    ):
        first = FRONTS[front].first(f"anthropic/{model}", False)
        second = FRONTS[front].second(first, await ask(house, FRONTS[front].path, first), False)
        await ask(house, FRONTS[front].path, bare(front, second) if drops else second)
        sent = mock.calls[-1].json
    assert the_turn(sent)["content"][:2] == THINKING_BLOCKS
    assert sent["thinking"]["type"] == "enabled"


FOREIGN = [
    "",
    "9c1185a5c5e9fc54612808977ee8f548b2258d31a5e7b9b0f2e4e0b3f6f0a1d2",
    "3f0c8a52-7d1e-4b6c-9a2f-1c2d3e4f5a6b",
    seal("gemini", "extra", '{"google":{}}'),
    seal("provider=plain", "field", "reasoning_content"),
]


@pytest.mark.parametrize("signature", FOREIGN)
async def test_thinking_of_others_never_reaches_anthropic(signature: str) -> None:
    model = "claude-sonnet-4-5"
    async with MockUpstream("anthropic", models=[model]) as mock, house_of(anthropic=mock) as house:
        body = _messages_first(f"anthropic/{model}", False)
        call = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": ARGUMENTS}
        thought = {"type": "thinking", "thinking": THOUGHT, "signature": signature}
        result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": RESULT}
        body["messages"] += [
            {"role": "assistant", "content": [thought, call]},
            {"role": "user", "content": [result]},
        ]
        await ask(house, "/v1/messages", body)
        sent = mock.calls[-1].json
    assert the_turn(sent)["content"] == [call]
    assert sent["thinking"] == {"type": "disabled"}


@pytest.mark.parametrize("front", OTHERS)
async def test_thinking_moves_between_vendors(front: str) -> None:
    """The first turn is a plain server's, the second Claude's, the third the server's again."""
    model = "claude-sonnet-4-5"
    async with (
        MockUpstream("llamacpp", CALLS, any_model=True) as mock,
        MockUpstream("anthropic", models=[model]) as other,
        house_of(plain=mock, anthropic=other) as house,
    ):
        path = FRONTS[front].path
        first = FRONTS[front].first("plain/gpt-4o", False)
        second = FRONTS[front].second(first, await ask(house, path, first), False)
        await ask(house, path, second | {"model": f"anthropic/{model}"})
        assert THOUGHT not in json.dumps(other.calls[-1].json)
        assert "trunkline:" not in json.dumps(other.calls[-1].json)
        await ask(house, path, second)
        assert the_turn(mock.calls[-1].json)["reasoning_content"] == THOUGHT


@pytest.mark.parametrize("state", ["foreign", "", seal("gemini", "extra", "{}"), "signature:EqQB"])
async def test_items_that_another_vendor_encrypted_never_reach_openai(state: str) -> None:
    async with MockUpstream("openai", any_model=True) as mock, house_of(openai=mock) as house:
        body = _responses_first("openai/gpt-4o", False)
        reasoning = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": state}
        call = {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{}"}
        result = {"type": "function_call_output", "call_id": "call_1", "output": RESULT}
        body["input"] += [reasoning, call | {"id": "fc_1"}, result]
        await ask(house, "/v1/responses", body)
        sent = mock.calls[-1].json
    assert sent["input"][1:] == [call, result]


async def test_items_that_openai_encrypted_go_back() -> None:
    async with MockUpstream("openai", CALLS, any_model=True) as mock, house_of(openai=mock) as house:
        for stream in (False, True):
            first = _responses_first("openai/gpt-4o", stream)
            answer = await ask(house, "/v1/responses", first)
            second = _responses_second(first, answer, stream)
            assert any(item.get("encrypted_content") for item in second["input"])
            await ask(house, "/v1/responses", second)
            assert mock.calls[-1].json["input"] == second["input"]


@pytest.mark.parametrize("shape", ["openai", "cerebras"])
async def test_a_chat_clients_body_loses_what_the_vendor_refuses(shape: str) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    turn: Body = {"role": "assistant", "content": None, "reasoning_content": THOUGHT, "reasoning_details": []}
    body = _chat_first(f"{shape}/gpt-4o", False)
    body["messages"] += [
        turn | {"tool_calls": [call | {"extra_content": {"google": {"thought_signature": "x"}}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": RESULT},
    ]
    async with MockUpstream(shape, any_model=True) as mock, house_of(**{shape: mock}) as house:
        await ask(house, "/v1/chat/completions", body)
        sent = the_turn(mock.calls[-1].json)
    kept = {"reasoning": THOUGHT} if shape == "cerebras" else {}
    assert sent == {"role": "assistant", "content": None, "tool_calls": [call]} | kept


@STREAMS
async def test_a_chat_clients_signature_goes_to_its_maker_alone(stream: bool) -> None:
    async with (
        MockUpstream("llamacpp", scripts=[gemini(stream)], any_model=True) as mock,
        MockUpstream("llamacpp", any_model=True) as other,
        house_of(plain=mock, other=other) as house,
    ):
        path = "/v1/chat/completions"
        first = _chat_first("plain/gpt-4o", stream)
        second = _chat_second(first, await ask(house, path, first), stream)
        await ask(house, path, second)
        assert the_turn(mock.calls[-1].json) == the_turn(second)
        await ask(house, path, second | {"model": "other/gpt-4o"})
        calls = the_turn(other.calls[-1].json)["tool_calls"]
    assert [set(call) - {"index"} for call in calls] == [{"id", "type", "function"}] * 2


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("shape", ["anthropic", "generic"])
async def test_calls_in_the_answer_to_a_completion_do_no_harm(shape: str, stream: bool) -> None:
    """Completions offer no tools. What a model calls all the same has no turn that it belongs to."""
    script = Script(thinking=THOUGHT, text="It is warm.", tool_calls=(ToolCall("weather", ARGUMENTS),))
    body = {"model": "m", "prompt": QUESTION, "stream": stream}
    async with MockUpstream(shape, script, models=["m"]) as mock:
        how = make_settings(providers={"up": upstream(mock, models=("m",))})
        async with serving(how) as node:
            answer = await ask(node, "/api/generate", body)
    assert answer.whole
    words = [piece for piece in ("It", "is", "warm.") if piece.encode() in answer.body]
    assert words == ["It", "is", "warm."]
