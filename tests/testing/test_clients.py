"""The vendors' own clients take the mock for the vendor."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import ollama
import openai
import pytest
from pydantic import BaseModel

from trunkline.testing import MockUpstream, Script

from .wire import MODELS

_TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {"name": name, "parameters": {"type": "object", "properties": {}, "required": []}},
    }
    for name in ("first", "second")
]
_ASK: list[Any] = [{"role": "user", "content": "hello there"}]


class City(BaseModel):
    name: str
    people: int


@asynccontextmanager
async def openai_client(mock: MockUpstream) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=mock.base_url, api_key="k", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("shape", ["openai", "openrouter", "cerebras"])
async def test_the_openai_client(shape: str) -> None:
    model = MODELS[shape]
    async with MockUpstream(shape, require_key="k") as mock, openai_client(mock) as client:
        answer = await client.chat.completions.create(model=model, messages=_ASK)
        assert answer.choices[0].message.content == f"{model} heard: hello there"
        assert answer.usage is not None
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (2, 4)
        text, counted = "", None
        async for chunk in await client.chat.completions.create(
            model=model, messages=_ASK, stream=True, stream_options={"include_usage": True}
        ):
            text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
            counted = chunk.usage or counted
        assert text == f"{model} heard: hello there"
        assert counted == answer.usage
        parsed = await client.chat.completions.parse(model=model, messages=_ASK, response_format=City)
        assert parsed.choices[0].message.parsed == City(name="mock", people=0)
        called = await client.chat.completions.create(model="mock-tools-2", messages=_ASK, tools=_TOOLS)
        calls = called.choices[0].message.tool_calls or []
        assert [call.type == "function" and call.function.name for call in calls] == ["first", "second"]
        assert model in [listed.id async for listed in client.models.list()]
        with pytest.raises(openai.RateLimitError):
            await client.chat.completions.create(model="mock-status-429-1", messages=_ASK)
        with pytest.raises(openai.APIError):
            async for _ in await client.chat.completions.create(
                model="mock-fault-error_midstream", messages=_ASK, stream=True
            ):
                pass


async def test_the_openai_clients_embeddings() -> None:
    async with MockUpstream("openai") as mock, openai_client(mock) as client:
        answer = await client.embeddings.create(model="text-embedding-3-small", input=["a", "b"])
        assert [len(row.embedding) for row in answer.data] == [8, 8]


async def test_the_ollama_client() -> None:
    async with MockUpstream("ollama", Script(thinking="hm")) as mock:
        client = ollama.AsyncClient(host=mock.url, trust_env=False)
        answer = await client.chat("llama3.2", _ASK, tools=_TOOLS)
        assert answer.message.content == "llama3.2 heard: hello there"
        assert (answer.prompt_eval_count, answer.eval_count) == (2, 5)
        parts = [part async for part in await client.generate("llama3.2", "hello", stream=True)]
        assert "".join(part.response or "" for part in parts) == "llama3.2 heard: hello"
        assert parts[-1].done
        called = await client.chat("mock-tools-2", _ASK, tools=_TOOLS)
        assert [call.function.name for call in called.message.tool_calls or ()] == ["first", "second"]
        listed = (await client.list()).models
        assert "llama3.2:latest" in [model.model for model in listed]
        assert "tools" in ((await client.show("llama3.2")).capabilities or ())
        assert len((await client.embed("nomic-embed-text", ["a", "b"])).embeddings) == 2
        assert (await client.ps()).models[0].model == "llama3.2:latest"
        assert [part.status async for part in await client.pull("new", stream=True)][-1] == "success"
        with pytest.raises(ollama.ResponseError, match="not found"):
            await client.chat("absent", _ASK)
        with pytest.raises(ollama.ResponseError, match="terminated"):
            async for _ in await client.chat("mock-fault-error_midstream", _ASK, stream=True):
                pass
        await client._client.aclose()
