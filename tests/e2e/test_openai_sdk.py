"""The official ``openai`` client against a started gateway, through every shape of upstream."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any

import openai
import pydantic
import pytest

from tests.e2e.conftest import MODELS, SECRET, World

SHAPES = list(MODELS)
HELLO: Any = [{"role": "user", "content": "Hello there friend"}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
PIXEL = base64.b64encode(
    bytes.fromhex("89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489")
    + bytes.fromhex("0000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082")
).decode()

shapes = pytest.mark.parametrize("shape", SHAPES)


def name(shape: str, model: str | None = None) -> str:
    """A model's name, pinned to the provider of that shape."""
    return f"{shape}/{model or MODELS[shape]}"


@shapes
def test_chat(world: World, shape: str) -> None:
    answer = world.client().chat.completions.create(model=name(shape), messages=HELLO)
    assert answer.object == "chat.completion"
    assert answer.choices[0].finish_reason == "stop"
    assert "Hello there friend" in (answer.choices[0].message.content or "")
    call = world.mocks[shape].calls[-1]
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (
        call.prompt_tokens,
        call.completion_tokens,
    )
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


@shapes
@pytest.mark.parametrize("asked", [True, False], ids=["usage", "no usage"])
def test_streaming(world: World, shape: str, asked: bool) -> None:
    options: Any = {"stream_options": {"include_usage": True}} if asked else {}
    chunks = list(
        world.client().chat.completions.create(model=name(shape), messages=HELLO, stream=True, **options)
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert "Hello there friend" in text
    reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    assert [reason for reason in reasons if reason] == ["stop"]
    used = [chunk.usage for chunk in chunks if chunk.usage]
    call = world.mocks[shape].calls[-1]
    if asked:
        assert [(use.prompt_tokens, use.completion_tokens) for use in used] == [
            (call.prompt_tokens, call.completion_tokens)
        ]
    elif shape in ("openai", "plain", "ollama"):
        assert used == []  # these say it only when asked; we asked, and kept it to ourselves


@shapes
def test_stops_at_the_token_limit(world: World, shape: str) -> None:
    answer = world.client().chat.completions.create(model=name(shape), messages=HELLO, max_tokens=2)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 2


@shapes
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_tools_and_their_results(world: World, shape: str, count: int, stream: bool) -> None:
    client = world.client()
    model = name(shape, f"mock-tools-{count}")
    tools = [WEATHER, WEATHER | {"function": WEATHER["function"] | {"name": "get_time"}}]
    messages: Any = list(HELLO)
    if stream:
        chunks = client.chat.completions.create(model=model, messages=messages, tools=tools, stream=True)
        calls, reason = put_together(chunks)
    else:
        choice = client.chat.completions.create(model=model, messages=messages, tools=tools).choices[0]
        calls, reason = choice.message.model_dump()["tool_calls"], choice.finish_reason
    assert reason == "tool_calls"
    assert [call["function"]["name"] for call in calls] == ["get_weather", "get_time"][:count]
    assert all(isinstance(json.loads(call["function"]["arguments"])["city"], str) for call in calls)
    assert len({call["id"] for call in calls}) == count
    messages.append({"role": "assistant", "tool_calls": calls})
    messages += [{"role": "tool", "tool_call_id": call["id"], "content": "a result"} for call in calls]
    second = client.chat.completions.create(model=model, messages=messages, tools=tools)
    assert second.choices[0].finish_reason == "stop"  # the mock checks that results and calls are paired


def put_together(chunks: Iterable[Any]) -> tuple[list[dict[str, Any]], str | None]:
    """A stream's tool calls by their index, as OpenAI's documentation tells clients to, and its reason."""
    calls: dict[int, dict[str, Any]] = {}
    reason = None
    for chunk in chunks:
        for choice in chunk.choices:
            reason = choice.finish_reason or reason
            for piece in choice.delta.tool_calls or ():
                assert isinstance(piece.index, int)
                if piece.id:
                    function = {"name": piece.function.name, "arguments": ""}
                    calls[piece.index] = {"id": piece.id, "type": "function", "function": function}
                calls[piece.index]["function"]["arguments"] += piece.function.arguments or ""
    return list(calls.values()), reason


@shapes
def test_vision(world: World, shape: str) -> None:
    model = name(shape, "gemma3:4b" if shape == "ollama" else None)
    content: Any = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
    ]
    answer = world.client().chat.completions.create(
        model=model, messages=[{"role": "user", "content": content}]
    )
    assert "png" in (answer.choices[0].message.content or "").lower()
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
    ],
)
@pytest.mark.parametrize("form", ["float", "base64"])
def test_embeddings(world: World, shape: str, model: str, form: Any) -> None:
    answer = world.client().embeddings.create(
        model=name(shape, model), input=["one", "two"], encoding_format=form
    )
    assert len(answer.data) == 2
    if form == "float":
        assert all(isinstance(number, float) for number in answer.data[0].embedding)
    assert answer.usage.prompt_tokens > 0


def test_embeddings_where_there_are_none(world: World) -> None:
    with pytest.raises(openai.BadRequestError, match="no embeddings endpoint"):
        world.client().embeddings.create(model=name("cerebras"), input="one")


@shapes
def test_models_are_listed_and_lead_back(world: World, shape: str) -> None:
    listed = {model.id: model for model in world.client().models.list()}
    owners = {model.model_dump()["provider"] for model in listed.values()}
    assert set(SHAPES) | {"custom"} == owners
    here = world.client(f"/{shape}/v1").models.list()
    assert [model.id for model in here]
    found = world.client().models.retrieve(name(shape))
    assert found.id.removesuffix(":latest").endswith(MODELS[shape])
    assert found.model_dump()["provider"] == shape


@pytest.mark.parametrize("shape", ["ollama", "openai", "plain"])
def test_completions_with_a_suffix(world: World, shape: str) -> None:
    model = name(shape, {"ollama": "qwen2.5-coder", "openai": "gpt-3.5-turbo-instruct"}.get(shape))
    answer = world.client().completions.create(model=model, prompt="def f(", suffix="return x")
    assert answer.object == "text_completion"
    assert answer.choices[0].text
    assert world.mocks[shape].calls[-1].json["suffix"] == "return x"


@pytest.mark.parametrize("shape", ["ollama", "openrouter", "cerebras", "plain"])
def test_thinking(world: World, shape: str) -> None:
    model = name(shape, "mock-thinking")
    answer = world.client().chat.completions.create(model=model, messages=HELLO, reasoning_effort="high")
    message = answer.choices[0].message.model_dump()
    assert message.get("reasoning") or message.get("reasoning_content")
    chunks = list(world.client().chat.completions.create(model=model, messages=HELLO, stream=True))
    deltas = [chunk.choices[0].delta.model_dump() for chunk in chunks if chunk.choices]
    assert any(delta.get("reasoning") or delta.get("reasoning_content") for delta in deltas)


@pytest.mark.parametrize("shape", ["openrouter", "plain"])
def test_unknown_fields_survive(world: World, shape: str) -> None:
    world.client().chat.completions.create(
        model=name(shape), messages=HELLO, extra_body={"some_future_field": {"a": [1, 2]}}
    )
    assert world.mocks[shape].calls[-1].json["some_future_field"] == {"a": [1, 2]}


@shapes
def test_what_the_upstream_sees(world: World, shape: str) -> None:
    world.client().chat.completions.create(
        model=name(shape), messages=HELLO, temperature=0.5, stop=["END"], seed=7, max_completion_tokens=9
    )
    call = world.mocks[shape].calls[-1]
    assert call.headers.get("authorization") == (None if shape in ("ollama", "plain") else f"Bearer {SECRET}")
    assert "x-api-key" not in call.headers
    assert ("x-title" in call.headers) == (shape == "openrouter")
    if shape == "ollama":
        options = call.json["options"]
        assert options == {"temperature": 0.5, "stop": ["END"], "seed": 7, "num_predict": 9}
    else:
        assert call.json["seed"] == 7
        assert call.json["max_completion_tokens"] == 9


def test_what_cerebras_refuses_is_left_out(world: World) -> None:
    world.client().chat.completions.create(
        model=name("cerebras"), messages=HELLO, frequency_penalty=0.5, presence_penalty=0.5
    )
    assert not {"frequency_penalty", "presence_penalty"} & set(world.mocks["cerebras"].calls[-1].json)


def test_a_default_model_on_ollamas_path(world: World) -> None:
    answer = world.client("/ollama/v1").chat.completions.create(messages=HELLO, model=openai.omit)  # type: ignore[call-overload]
    assert answer.model == "llama2"


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("ollama:nope", "Model 'nope' not found in Ollama"),
        ("nowhere-to-be-found", "not found at"),
        ("anthropic:claude", "Provider 'anthropic' not configured"),
    ],
)
def test_models_that_are_not_there(world: World, model: str, said: str) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        world.client().chat.completions.create(model=model, messages=HELLO)
    assert said in str(raised.value)
    assert raised.value.param == "model"


async def test_the_async_client(world: World) -> None:
    async with openai.AsyncOpenAI(
        base_url=f"{world.url}/v1", api_key=world.client().api_key, max_retries=0
    ) as client:
        stream = await client.chat.completions.create(model=name("ollama"), messages=HELLO, stream=True)
        text = ""
        async for chunk in stream:
            if chunk.choices:
                text += chunk.choices[0].delta.content or ""
    assert "Hello there friend" in text


def test_answers_say_who_served_them(world: World) -> None:
    raw = world.client().chat.completions.with_raw_response.create(
        model=name("ollama"), messages=HELLO, extra_headers={"x-request-id": "my-own-id"}
    )
    assert raw.headers["x-trunkline-provider"] == "ollama"
    assert raw.headers["x-trunkline-attempts"] == "1"
    assert raw.headers["x-trunkline-upstream"]
    assert raw.headers["x-request-id"] == "my-own-id"


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("mock-status-500", "upstream_error"),
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
