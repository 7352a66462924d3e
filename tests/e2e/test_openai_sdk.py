"""The official ``openai`` client against a started gateway, through every shape of upstream: its answers."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pydantic
import pytest

from tests.e2e.chats import (
    HELLO,
    PIXEL,
    WEATHER,
    calls_of,
    name,
    picture,
    reasons_of,
    shapes,
    text_of,
)
from tests.e2e.conftest import MODELS, SECRET, World
from trunkline_mock import ToolCall, Usage

USED = Usage(prompt=1234, completion=567)


@shapes
def test_chat(world: World, shape: str) -> None:
    answer = world.client().chat.completions.create(model=name(shape), messages=HELLO)
    assert answer.object == "chat.completion"
    assert answer.model.startswith(MODELS[shape])
    assert answer.id
    [choice] = answer.choices
    assert choice.finish_reason == "stop"
    assert choice.message.role == "assistant"
    assert "Hello there friend" in (choice.message.content or "")
    assert choice.message.tool_calls is None


@shapes
def test_usage_is_the_upstreams(world: World, shape: str) -> None:
    with world.saying(shape, text="Yes.", usage=USED):
        answer = world.client().chat.completions.create(model=name(shape), messages=HELLO)
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (1234, 567)
    assert answer.usage.total_tokens == 1801


@shapes
def test_a_stream_with_usage(world: World, shape: str) -> None:
    with world.saying(shape, text="One two three.", usage=USED):
        chunks = list(
            world.client().chat.completions.create(
                model=name(shape), messages=HELLO, stream=True, stream_options={"include_usage": True}
            )
        )
    assert text_of(chunks) == "One two three."
    assert sum(bool(text_of([chunk])) for chunk in chunks) == 3  # as it came, piece by piece
    assert reasons_of(chunks) == ["stop"]
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk.id for chunk in chunks}) == 1
    used = [chunk.usage for chunk in chunks if chunk.usage]
    assert [(use.prompt_tokens, use.completion_tokens) for use in used] == [(1234, 567)]
    assert chunks[-1].usage


@shapes
def test_a_stream_without_usage(world: World, shape: str) -> None:
    request_id = f"unasked-{shape}-{world.url}"
    with world.saying(shape, usage=USED):
        chunks = list(
            world.client().chat.completions.create(
                model=name(shape), messages=HELLO, stream=True, extra_headers={"x-request-id": request_id}
            )
        )
    assert "Hello there friend" in text_of(chunks)
    assert reasons_of(chunks) == ["stop"]
    if shape == "openrouter":  # always sends a chunk of its own, and what a vendor sends passes through
        assert [chunk.usage is not None for chunk in chunks if not chunk.choices] == [True]
    else:
        assert all(chunk.choices for chunk in chunks)
    if shape not in ("openrouter", "cerebras"):
        assert not any(chunk.usage for chunk in chunks)
    line = world.line(request_id)  # the gateway knows in any case
    assert (line["prompt_tokens"], line["completion_tokens"]) == (1234, 567)


@shapes
def test_the_token_limit(world: World, shape: str) -> None:
    chat = world.client().chat.completions
    answer = chat.create(model=name(shape), messages=HELLO, max_tokens=2)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 2
    chunks = list(chat.create(model=name(shape), messages=HELLO, max_completion_tokens=2, stream=True))
    assert reasons_of(chunks) == ["length"]


@shapes
@pytest.mark.parametrize("stop", ["there", ["nothing", "there"]], ids=["one", "several"])
def test_stop_sequences(world: World, shape: str, stop: Any) -> None:
    answer = world.client().chat.completions.create(model=name(shape), messages=HELLO, stop=stop)
    assert answer.choices[0].finish_reason == "stop"
    text = answer.choices[0].message.content or ""
    assert "Hello" in text
    assert "there" not in text


@shapes
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_tools_and_their_results(world: World, shape: str, count: int, stream: bool) -> None:
    chat = world.client().chat.completions
    model = name(shape, f"mock-tools-{count}")
    tools = [WEATHER, WEATHER | {"function": WEATHER["function"] | {"name": "get_time"}}]
    messages: Any = list(HELLO)
    if stream:
        chunks = list(chat.create(model=model, messages=messages, tools=tools, stream=True))
        calls = calls_of(chunks)
        assert reasons_of(chunks) == ["tool_calls"]
    else:
        choice = chat.create(model=model, messages=messages, tools=tools).choices[0]
        calls = choice.message.model_dump()["tool_calls"]
        assert choice.finish_reason == "tool_calls"
    assert [call["function"]["name"] for call in calls] == ["get_weather", "get_time"][:count]
    assert all(isinstance(json.loads(call["function"]["arguments"])["city"], str) for call in calls)
    assert len({call["id"] for call in calls}) == count
    messages.append({"role": "assistant", "tool_calls": calls})
    messages += [
        {"role": "tool", "tool_call_id": call["id"], "content": f"a result of {call['function']['name']}"}
        for call in calls
    ]
    second = chat.create(model=model, messages=messages, tools=tools)
    assert second.choices[0].finish_reason == "stop"  # the mock checks that results and calls are paired
    sent = world.mocks[shape].calls[-1].json["messages"]
    assert [message["content"] for message in sent[2:]] == [message["content"] for message in messages[2:]]
    if shape == "ollama":
        assert [message["tool_name"] for message in sent[2:]] == ["get_weather", "get_time"][:count]


@shapes
def test_arguments_come_as_the_upstream_sends_them(world: World, shape: str) -> None:
    arguments = {"city": "São Paulo", "days": [1, 2, 3], "deep": {"quote": '"', "none": None}}
    call = ToolCall("get_weather", arguments)
    with world.saying(shape, text="Let me see. ", tool_calls=(call,)):
        chunks = list(
            world.client().chat.completions.create(
                model=name(shape), messages=HELLO, tools=[WEATHER], stream=True
            )
        )
    assert text_of(chunks) == "Let me see. "
    [put_together] = calls_of(chunks)
    assert json.loads(put_together["function"]["arguments"]) == arguments
    pieces = [chunk for chunk in chunks for choice in chunk.choices if choice.delta.tool_calls]
    assert (len(pieces) > 2) == (shape in ("openai", "openrouter", "plain"))  # the others send it whole


@shapes
def test_vision(world: World, shape: str) -> None:
    model = name(shape, "gemma3:4b" if shape == "ollama" else None)
    answer = world.client().chat.completions.create(
        model=model, messages=picture(f"data:image/png;base64,{PIXEL}")
    )
    assert "png of 70 bytes" in (answer.choices[0].message.content or "")
    body = json.dumps(world.mocks[shape].calls[-1].json)
    assert PIXEL in body
    assert ("data:image" in body) == (shape != "ollama")


class Place(pydantic.BaseModel):
    """What is asked for."""

    city: str
    people: int


@shapes
def test_json_schema(world: World, shape: str) -> None:
    answer = world.client().chat.completions.parse(model=name(shape), messages=HELLO, response_format=Place)
    assert isinstance(answer.choices[0].message.parsed, Place)
    with world.client().chat.completions.stream(
        model=name(shape), messages=HELLO, response_format=Place
    ) as stream:
        assert isinstance(stream.get_final_completion().choices[0].message.parsed, Place)


@shapes
def test_json_mode(world: World, shape: str) -> None:
    answer = world.client().chat.completions.create(
        model=name(shape), messages=HELLO, response_format={"type": "json_object"}
    )
    assert isinstance(json.loads(answer.choices[0].message.content or ""), dict)


@pytest.mark.parametrize(
    ("shape", "model"),
    [
        ("ollama", "nomic-embed-text"),
        ("openai", "text-embedding-3-small"),
        ("openrouter", "openai/text-embedding-3-small"),
        ("plain", "mock-embed"),
    ],
)
@pytest.mark.parametrize("form", [{"encoding_format": "float"}, {"encoding_format": "base64"}, {}])
def test_embeddings(world: World, shape: str, model: str, form: Any) -> None:
    answer = world.client().embeddings.create(model=name(shape, model), input=["one", "two"], **form)
    assert [item.index for item in answer.data] == [0, 1]
    if form.get("encoding_format") != "base64":  # by default the client asks for base64 and decodes it
        assert all(isinstance(number, float) for item in answer.data for number in item.embedding)
        assert {len(item.embedding) for item in answer.data} == {8}
    assert answer.usage.prompt_tokens == 2


def test_embeddings_where_there_are_none(world: World) -> None:
    with pytest.raises(openai.BadRequestError, match="'cerebras' has no embeddings endpoint") as raised:
        world.client().embeddings.create(model=name("cerebras"), input="one")
    assert raised.value.param == "model"


@pytest.mark.parametrize("shape", ["ollama", "openai", "plain"])
def test_completions_with_a_suffix(world: World, shape: str) -> None:
    model = name(shape, {"ollama": "qwen2.5-coder", "openai": "gpt-3.5-turbo-instruct"}.get(shape))
    answer = world.client().completions.create(model=model, prompt="def f(", suffix="return x")
    assert answer.object == "text_completion"
    assert "def f(" in answer.choices[0].text
    assert answer.choices[0].finish_reason == "stop"
    assert world.mocks[shape].calls[-1].json["suffix"] == "return x"


@shapes
def test_streamed_completions(world: World, shape: str) -> None:
    chunks = list(
        world.client().completions.create(model=name(shape), prompt="Once upon a time", stream=True)
    )
    texts = [choice.text for chunk in chunks for choice in chunk.choices]
    assert "Once upon a time" in "".join(texts)
    assert reasons_of(chunks) == ["stop"]


@pytest.mark.parametrize("shape", ["ollama", "openrouter", "cerebras", "plain"])
def test_thinking(world: World, shape: str) -> None:
    chat, field = world.client().chat.completions, "reasoning_content" if shape == "plain" else "reasoning"
    model = name(shape, "mock-thinking")
    answer = chat.create(model=model, messages=HELLO, reasoning_effort="high")
    message = answer.choices[0].message.model_dump()
    assert message[field] == "Let me think about that. "
    assert "think" not in message["content"].removeprefix("mock-thinking")
    chunks = list(chat.create(model=model, messages=HELLO, stream=True))
    deltas = [chunk.choices[0].delta.model_dump() for chunk in chunks if chunk.choices]
    assert "".join(delta.get(field) or "" for delta in deltas) == "Let me think about that. "


@shapes
def test_several_answers(world: World, shape: str) -> None:
    chat = world.client().chat.completions
    if shape == "ollama":
        with pytest.raises(openai.BadRequestError, match="one answer") as raised:
            chat.create(model=name(shape), messages=HELLO, n=2)
        assert raised.value.param == "n"
        return
    answer = chat.create(model=name(shape), messages=HELLO, n=2)
    assert [choice.index for choice in answer.choices] == [0, 1]
    chunks = list(chat.create(model=name(shape), messages=HELLO, n=2, stream=True))
    assert reasons_of(chunks) == ["stop", "stop"]
    assert {choice.index for chunk in chunks for choice in chunk.choices} == {0, 1}


LIKELY: Any = {
    "token": "Yes",
    "logprob": -0.25,
    "bytes": [89, 101, 115],
    "top_logprobs": [{"token": "Yes", "logprob": -0.25, "bytes": [89, 101, 115]}],
}


@pytest.mark.parametrize(
    ("shape", "body"),
    [
        (
            "openai",
            {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "created": 1,
                "model": "gpt-4o",
                "choices": [
                    {
                        "index": 0,
                        "message": {"role": "assistant", "content": "Yes"},
                        "logprobs": {"content": [LIKELY]},
                        "finish_reason": "stop",
                    }
                ],
            },
        ),
        (
            "ollama",
            {
                "model": "llama3.2",
                "created_at": "2026-01-01T00:00:00Z",
                "message": {"role": "assistant", "content": "Yes"},
                "logprobs": [LIKELY],
                "done": True,
                "done_reason": "stop",
            },
        ),
    ],
)
def test_logprobs(world: World, shape: str, body: Any) -> None:
    with world.saying(shape, body=body) as mock:
        answer = world.client().chat.completions.create(
            model=name(shape), messages=HELLO, logprobs=True, top_logprobs=1
        )
        asked = mock.calls[-1].json
    assert (asked["logprobs"], asked["top_logprobs"]) == (True, 1)
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    [token] = logprobs.content or []
    assert (token.token, token.logprob, token.bytes) == ("Yes", -0.25, [89, 101, 115])
    assert token.top_logprobs[0].token == "Yes"


@shapes
async def test_the_async_client_does_many_things_at_once(world: World, shape: str) -> None:
    async with world.async_client() as client:

        async def stream(number: int) -> str:
            said: Any = [{"role": "user", "content": f"number {number}"}]
            chunks = await client.chat.completions.create(model=name(shape), messages=said, stream=True)
            return text_of([chunk async for chunk in chunks])

        async def call() -> list[dict[str, Any]]:
            chunks = await client.chat.completions.create(
                model=name(shape, "mock-tools-2"), messages=HELLO, tools=[WEATHER, WEATHER], stream=True
            )
            return calls_of([chunk async for chunk in chunks])

        async def whole() -> str | None:
            answer = await client.chat.completions.create(model=name(shape), messages=HELLO)
            return answer.choices[0].message.content

        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            streams = [group.create_task(stream(number)) for number in range(8)]
            calls, answer = group.create_task(call()), group.create_task(whole())
    assert all(f"number {number}" in task.result() for number, task in enumerate(streams))
    assert len(calls.result()) == 2
    assert "Hello there friend" in (answer.result() or "")


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("mock-status-500", "upstream_"),
        ("mock-status-401", "upstream_auth"),
        ("mock-status-402", "upstream_credit"),
        ("mock-fault-close_after-2", "upstream"),
        ("mock-fault-bad_json", "upstream_protocol"),
    ],
)
@shapes
def test_failures_are_errors_of_openai(world: World, shape: str, model: str, said: str) -> None:
    with pytest.raises(openai.APIError) as raised:
        for _ in world.client().chat.completions.create(
            model=name(shape, model), messages=HELLO, stream=True
        ):
            pass
    assert said in str(raised.value.code)
    assert SECRET not in str(raised.value)
