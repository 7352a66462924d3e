"""What an upstream sees of a request that a client sent with the ``openai`` package."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from tests.e2e.chats import HELLO, SHAPES, WEATHER, name, picture, shapes
from tests.e2e.conftest import KEY, SECRET, World

PASSING = [shape for shape in SHAPES if shape != "ollama"]
"""Providers that speak the client's dialect."""

passing = pytest.mark.parametrize("shape", PASSING)


@shapes
@pytest.mark.parametrize("header", ["authorization", "x-api-key", "api-key"])
def test_our_key_goes_no_further_and_theirs_goes_nowhere_else(world: World, shape: str, header: str) -> None:
    value = f"Bearer {KEY}" if header == "authorization" else KEY
    client = world.client(key="unused")
    raw = client.chat.completions.with_raw_response.create(
        model=name(shape), messages=HELLO, extra_headers={"authorization": openai.omit, header: value}
    )
    assert SECRET not in str(raw.headers)
    seen = world.mocks[shape].calls[-1]
    assert KEY not in repr(seen.raw_headers) + seen.target + seen.body.decode()
    keyed = shape not in ("ollama", "plain")
    assert seen.headers.get("authorization") == (f"Bearer {SECRET}" if keyed else None)
    assert not {"x-api-key", "api-key", "cookie"} & set(seen.headers)


@shapes
def test_attribution(world: World, shape: str) -> None:
    world.client().chat.completions.create(model=name(shape), messages=HELLO)
    title = world.mocks[shape].calls[-1].headers.get("x-title")
    assert title == ("Trunkline" if shape == "openrouter" else None)


@passing
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_unknown_fields_survive(world: World, shape: str, stream: bool) -> None:
    unknown = {"some_future_field": {"a": [1, 2.50, None]}, "another": "é"}
    answer: Any = world.client().chat.completions.create(
        model=name(shape), messages=HELLO, stream=stream, extra_body=unknown
    )
    if stream:
        list(answer)
    sent = world.mocks[shape].calls[-1].json
    assert {key: sent[key] for key in unknown} == unknown


@passing
def test_nothing_else_is_changed(world: World, shape: str) -> None:
    body: Any = {"messages": [{"role": "developer", "content": "Be brief."}, *HELLO], "seed": 7, "user": "u"}
    world.client().chat.completions.create(model=name(shape), **body)
    sent = world.mocks[shape].calls[-1].json
    if shape == "cerebras":  # it has no role of developers
        body["messages"][0]["role"] = "system"
    assert sent == body | {"model": name(shape).partition("/")[2]}


@shapes
@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_the_token_limit(world: World, shape: str, field: str) -> None:
    limit: Any = {field: 9}
    world.client().chat.completions.create(model=name(shape), messages=HELLO, **limit)
    sent = world.mocks[shape].calls[-1].json
    if shape == "ollama":
        assert sent["options"] == {"num_predict": 9}
    else:
        assert {key: value for key, value in sent.items() if "tokens" in key} == limit


def test_everything_that_ollama_has_a_field_for(world: World) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "it", "schema": schema}}
    world.client().chat.completions.create(
        model="ollama/qwen3:8b",
        messages=HELLO,
        temperature=0.5,
        top_p=0.9,
        seed=7,
        stop="END",
        frequency_penalty=0.1,
        presence_penalty=0.2,
        max_tokens=5,
        reasoning_effort="low",
        tools=[WEATHER],
        response_format=wanted,
        extra_body={"options": {"num_ctx": 2048}, "keep_alive": "10m"},
    )
    sent = world.mocks["ollama"].calls[-1].json
    assert (
        sent["options"]
        == {
            "temperature": 0.5,
            "top_p": 0.9,
            "seed": 7,
            "stop": ["END"],
            "frequency_penalty": 0.1,
            "presence_penalty": 0.2,
            "num_predict": 5,
        }
        | sent["options"]
    )
    assert sent["format"] == schema
    assert sent["think"] == "low"
    assert sent["tools"] == [WEATHER]
    assert sent["stream"] is False


@shapes
def test_a_developers_words(world: World, shape: str) -> None:
    messages: Any = [{"role": "developer", "content": "Be brief."}, *HELLO]
    world.client().chat.completions.create(model=name(shape), messages=messages)
    first = world.mocks[shape].calls[-1].json["messages"][0]
    assert first == {
        "role": "system" if shape in ("ollama", "cerebras") else "developer",
        "content": "Be brief.",
    }


@shapes
def test_content_in_parts(world: World, shape: str) -> None:
    parts = [{"type": "text", "text": "One. "}, {"type": "text", "text": "Two."}]
    answer = world.client().chat.completions.create(
        model=name(shape),
        messages=[{"role": "system", "content": parts}, {"role": "user", "content": parts}],  # type: ignore[list-item, misc]
    )
    assert "One. Two." in (answer.choices[0].message.content or "")
    sent = world.mocks[shape].calls[-1].json["messages"]
    assert [message["content"] for message in sent] == ["One. Two." if shape == "ollama" else parts] * 2


def test_what_cerebras_refuses_is_left_out(world: World) -> None:
    refused: Any = {"frequency_penalty": 0.5, "presence_penalty": 0.5, "logit_bias": {"1": 2}}
    world.client().chat.completions.create(model=name("cerebras"), messages=HELLO, top_p=0.5, **refused)
    sent = world.mocks["cerebras"].calls[-1].json
    assert not {"frequency_penalty", "presence_penalty", "logit_bias"} & set(sent)
    assert sent["top_p"] == 0.5


@pytest.mark.parametrize(
    ("model", "survives"), [("llama-3.3-70b", False), ("gpt-oss-120b", True), ("qwen-3-32b", True)]
)
def test_reasoning_goes_to_the_cerebras_models_that_take_it(world: World, model: str, survives: bool) -> None:
    world.client().chat.completions.create(
        model=name("cerebras", model), messages=HELLO, reasoning_effort="low"
    )
    assert ("reasoning_effort" in world.mocks["cerebras"].calls[-1].json) == survives


@shapes
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_images_by_url(world: World, shape: str, scheme: str) -> None:
    """Ollama takes none, and nothing is fetched for it unless a setting says so."""
    address = f"{scheme}://127.0.0.1/cat.png"
    mock, chat = world.mocks[shape], world.client().chat.completions
    before = len(mock.calls)
    if shape == "ollama":
        with pytest.raises(openai.BadRequestError, match="images by value only") as raised:
            chat.create(model="ollama/gemma3:4b", messages=picture(address))
        assert raised.value.param == "messages[0].content"
        assert len(mock.calls) == before
    else:
        chat.create(model=name(shape), messages=picture(address))
        assert address in json.dumps(mock.calls[-1].json)


@pytest.mark.parametrize("shape", ["openai", "plain"])
def test_usage_is_asked_for_where_it_must_be(world: World, shape: str) -> None:
    list(world.client().chat.completions.create(model=name(shape), messages=HELLO, stream=True))
    assert world.mocks[shape].calls[-1].json["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("shape", ["openrouter", "cerebras"])
def test_usage_is_not_asked_for_where_it_comes_by_itself(world: World, shape: str) -> None:
    list(world.client().chat.completions.create(model=name(shape), messages=HELLO, stream=True))
    assert "stream_options" not in world.mocks[shape].calls[-1].json
