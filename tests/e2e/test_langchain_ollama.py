"""LangChain's Ollama classes, as their users have them, against a fleet and a cloud behind one gateway."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_ollama import ChatOllama, OllamaEmbeddings

from tests.e2e.fleet import CLOUD, MODELS, Fleet
from trunkline_mock.script import ToolCall

models = pytest.mark.parametrize("model", MODELS, ids=["local", "cloud"])


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"rain in {city}"


@pytest.fixture(autouse=True)
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """LangChain closes no client; what it has made is closed here."""
    made: list[httpx.Client] = []
    init = httpx.Client.__init__

    def note(self: httpx.Client, *args: Any, **more: Any) -> None:
        made.append(self)
        init(self, *args, **more)

    monkeypatch.setattr(httpx.Client, "__init__", note)
    yield
    for client in made:
        client.close()


def chat(fleet: Fleet, model: str, **more: Any) -> ChatOllama:
    headers = {"Authorization": f"Bearer {fleet.member}"}
    return ChatOllama(model=model, base_url=fleet.url, client_kwargs={"headers": headers}, **more)


@models
def test_an_answer(fleet: Fleet, model: str) -> None:
    answer = chat(fleet, model, temperature=0.1, num_ctx=4096).invoke([HumanMessage("Hello!")])
    assert str(answer.content).endswith("heard: Hello!")
    assert answer.response_metadata["done_reason"] == "stop"
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["output_tokens"] > 0


@models
def test_a_stream(fleet: Fleet, model: str) -> None:
    with fleet.saying(text="One two three four."):
        chunks = list(chat(fleet, model).stream("Hello!"))
    assert "".join(str(chunk.content) for chunk in chunks) == "One two three four."
    assert len(chunks) > 2


@models
async def test_an_awaited_stream(fleet: Fleet, model: str) -> None:
    with fleet.saying(text="One two three four."):
        asked = chat(fleet, model)
        texts = [str(chunk.content) async for chunk in asked.astream("Hello!")]
        await asked._async_client._client.aclose()
    assert "".join(texts) == "One two three four."


@models
def test_tools(fleet: Fleet, model: str) -> None:
    bound = chat(fleet, model).bind_tools([weather])
    calls = (ToolCall("weather", {"city": "Oslo"}), ToolCall("weather", {"city": "Rome"}))
    with fleet.saying(tool_calls=calls, text=""):
        answer = bound.invoke("How is the weather in Oslo and Rome?")
    assert isinstance(answer, AIMessage)
    assert [call["args"] for call in answer.tool_calls] == [{"city": "Oslo"}, {"city": "Rome"}]
    results = [
        ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"], name=call["name"])
        for call in answer.tool_calls
    ]
    with fleet.watching(model) as seen:
        last = bound.invoke([HumanMessage("How is the weather in Oslo and Rome?"), answer, *results])
    assert last.content
    told = [message["content"] for message in seen[0]["messages"] if message["role"] == "tool"]
    assert told == ["rain in Oslo", "rain in Rome"]
    if model == CLOUD:
        asked = next(message for message in seen[0]["messages"] if message.get("tool_calls"))
        ids = [message["tool_call_id"] for message in seen[0]["messages"] if message["role"] == "tool"]
        assert ids == [call["id"] for call in asked["tool_calls"]]


@pytest.mark.parametrize(
    "model", ["nomic-embed-text", "openai/text-embedding-3-small"], ids=["local", "cloud"]
)
def test_embeddings(fleet: Fleet, model: str) -> None:
    headers = {"Authorization": f"Bearer {fleet.member}"}
    embeddings = OllamaEmbeddings(model=model, base_url=fleet.url, client_kwargs={"headers": headers})
    vectors = embeddings.embed_documents(["one", "two"])
    assert len(vectors) == 2
    assert embeddings.embed_query("one") == vectors[0]


def test_a_key_in_the_path(fleet: Fleet) -> None:
    asked = ChatOllama(model=CLOUD, base_url=f"{fleet.url}/key/{fleet.member}")
    assert asked.invoke("Hello!").content
