"""Base addresses with a part too many or too few: the vendors' own clients work all the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import ollama
import openai
import pytest

from tests.gateways import BEARER, GUARD, KEY, Running, chat, make_settings, post, serving, upstream
from trunkline_mock import MockUpstream, Script

HELLO: list[Any] = [{"role": "user", "content": "Hello!"}]
MESSAGE: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": HELLO}


@pytest.fixture(params=[True, False], ids=["fast", "asgi"])
async def node(request: pytest.FixtureRequest) -> AsyncIterator[Running]:
    async with MockUpstream("generic", Script(text="Hi there"), models=["m"]) as mock:
        how = make_settings(providers={"up": upstream(mock, models=("m",))})
        async with serving(how, fast=request.param) as running:
            yield running


@pytest.mark.parametrize(
    "base", ["", "/", "/v1/", "//v1", "/v1/v1", "/api/v1", "/api", "/up", "/up/v1/v1", "/up/api/v1/"]
)
async def test_clients_of_openai(node: Running, base: str) -> None:
    async with openai.AsyncOpenAI(
        base_url=node.url + base, api_key=KEY, max_retries=0, timeout=GUARD
    ) as client:
        answer = await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
        assert answer.choices[0].message.content == "Hi there"
        response = await client.responses.create(model="m", input="x")
        assert response.output_text == "Hi there"
        assert "m" in [model.id async for model in client.models.list()]
        assert (await client.models.retrieve("m")).id == "m"


@pytest.mark.parametrize("base", ["/", "/v1", "/v1/", "//v1", "/v1/v1", "/api", "/api/v1", "/up/v1", "/up/"])
async def test_clients_of_anthropic(node: Running, base: str) -> None:
    async with anthropic.AsyncAnthropic(
        base_url=node.url + base, api_key=KEY, max_retries=0, timeout=GUARD
    ) as client:
        answer = await client.messages.create(**MESSAGE)
        assert [block.text for block in answer.content if block.type == "text"] == ["Hi there"]
        counted = await client.messages.count_tokens(model="m", messages=HELLO)
        assert counted.input_tokens > 0
        with pytest.raises(anthropic.NotFoundError) as missing:
            await client.post("/v1/nothing", cast_to=object, body={})
    body: Any = missing.value.body
    assert (body["type"], body["error"]["type"]) == ("error", "not_found_error")


@pytest.mark.parametrize("base", ["/", "/v1", "/api", "/up/", "/up/v1"])
async def test_clients_of_ollama(node: Running, base: str) -> None:
    client = ollama.AsyncClient(host=node.url + base, headers={"authorization": f"Bearer {KEY}"})
    try:
        answer = await client.chat(model="m", messages=HELLO)
        assert answer.message.content == "Hi there"
        listed = await client.list()
    finally:
        await client._client.aclose()
    assert "m:latest" in [each.model for each in listed.models]


@pytest.mark.parametrize("path", ["/messages", "//v1/messages/", "/v1/v1/messages"])
async def test_errors_have_the_shape_of_the_path_that_was_meant(node: Running, path: str) -> None:
    answer = await node.ask(post({"model": "m", "messages": []}, BEARER, path=path))
    assert answer.status == 400
    assert answer.json["type"] == "error"


@pytest.mark.parametrize("path", ["/chat/completions", "//v1/chat/completions", "/api/v1/chat/completions/"])
async def test_the_key_is_needed_at_every_spelling(node: Running, path: str) -> None:
    assert (await node.ask(post(chat("m"), path=path))).status == 401
    assert (await node.ask(post(chat("m"), BEARER, path=path))).status == 200
