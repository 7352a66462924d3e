"""Parsing of OpenAI's requests, tested by the answers to them."""

from __future__ import annotations

import base64
from typing import Any

import jsonschema
import msgspec
import pytest

from trunkline_mock import Script

from ..http_client import mock_client

_PNG = base64.b64encode(b"\x89PNG" + bytes(16)).decode()


async def answer_text(messages: list[dict[str, Any]], script: Script | None = None, **fields: Any) -> str:
    async with mock_client("generic", script or Script()) as client:
        body = {"model": "mock-model", "messages": messages, **fields}
        answer = await client.post("/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["message"]["content"])


def user(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


async def test_the_last_user_message_is_repeated() -> None:
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": [{"type": "text", "text": "second"}]},
    ]
    assert await answer_text(messages) == "mock-model heard: second"
    assert await answer_text(messages[:1]) == "mock-model heard nothing."


async def test_images_are_described() -> None:
    parts = user(
        {"type": "text", "text": "see"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_PNG}"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
    )
    assert (await answer_text(parts)).endswith("It saw 2 image(s): png of 20 bytes, url of 0 bytes.")


async def test_an_answer_is_valid_for_the_requests_schema() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    response_format = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    answer = await answer_text(user({"type": "text", "text": "x"}), response_format=response_format)
    jsonschema.validate(msgspec.json.decode(answer), schema)
    assert await answer_text(user(), response_format={"type": "json_object"}) == "{}"
    assert await answer_text(user(), response_format={"type": "text"}) == "mock-model heard nothing."


@pytest.mark.parametrize(
    "fields",
    [
        {"max_tokens": 3},
        {"max_completion_tokens": 3, "max_tokens": 9},
        {"stop": " b"},
        {"stop": ["zz", " b"]},
    ],
)
async def test_token_limits_and_stop_sequences(fields: dict[str, Any]) -> None:
    text = await answer_text([{"role": "user", "content": "a b c"}], **fields)
    assert text.split() == ["mock-model", "heard:", "a"]


@pytest.mark.parametrize(
    ("fields", "has_thinking"),
    [
        ({}, True),
        ({"reasoning_effort": "high"}, True),
        ({"reasoning_effort": "none"}, False),
        ({"reasoning": {"effort": "none"}}, False),
        ({"reasoning": {"enabled": False}}, False),
        ({"reasoning": {"exclude": True}}, False),
    ],
)
async def test_thinking_can_be_switched_off(fields: dict[str, Any], has_thinking: bool) -> None:
    async with mock_client("openrouter", Script(thinking="hm")) as client:
        body = {"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "x"}], **fields}
        message = (await client.post("/chat/completions", json=body)).json()["choices"][0]["message"]
    assert ("reasoning" in message) is has_thinking
