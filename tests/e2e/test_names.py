"""Names of models and providers as clients write them, in the body and in the base URL."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import openai
import pytest

from tests.e2e import natives
from tests.e2e.chats import HELLO, SHAPES, name, shapes
from tests.e2e.conftest import KEY, MODELS, World
from tests.e2e.natives import calling, failure_of

PULL = "Model 'nope' not found in Ollama. Pull the model with `ollama pull nope`"


def served(world: World, model: str | None, path: str = "/v1") -> tuple[str, Any, str]:
    """(provider, the model's name there, the name in the answer)."""
    body = {"messages": HELLO} | ({} if model is None else {"model": model})
    raw = httpx.post(
        f"{world.url}{path}/chat/completions", json=body, headers={"authorization": f"Bearer {KEY}"}
    )
    assert raw.status_code == 200, raw.text
    provider = raw.headers["x-trunkline-provider"]
    asked = world.mocks[provider].calls[-1].model if provider in world.mocks else None
    return provider, asked, raw.json()["model"]


def served_natively(world: World, model: str | None, path: str) -> tuple[str, Any]:
    """(provider, the model's name there), asked by an Ollama client."""
    body = {"messages": HELLO, "prompt": "Hello", "stream": False} | (
        {} if model is None else {"model": model}
    )
    with calling(world) as client:
        raw = client.post(path, json=body)
    assert raw.status_code == 200, raw.text
    answer = raw.json()
    assert answer["done_reason"] == "stop"
    provider = raw.headers["x-trunkline-provider"]
    asked = world.mocks[provider].calls[-1].model if provider in world.mocks else None
    assert answer["model"].removesuffix(":latest") == (asked or "custom").removesuffix(":latest")
    return provider, asked


NAMES = [
    ("ollama/llama3.2", "ollama", "llama3.2"),
    ("ollama:llama3.2", "ollama", "llama3.2"),
    ("ollama/llama3.2:latest", "ollama", "llama3.2:latest"),
    ("Ollama:LLAMA3.2", "ollama", "llama3.2"),
    ("ollama:qwen3:8b", "ollama", "qwen3:8b"),
    ("llama3.2", "ollama", "llama3.2"),
    ("llama3.2:latest", "ollama", "llama3.2:latest"),
    ("LLAMA3.2:Latest", "ollama", "llama3.2:latest"),
    ("QWEN3:8B", "ollama", "qwen3:8b"),
    ("fast", "ollama", "llama3.2"),
    ("openrouter:anthropic/claude-3.5-sonnet", "openrouter", "anthropic/claude-3.5-sonnet"),
    ("openrouter/anthropic/claude-3.5-sonnet", "openrouter", "anthropic/claude-3.5-sonnet"),
    ("anthropic/claude-3.5-sonnet", "openrouter", "anthropic/claude-3.5-sonnet"),
    ("claude-3.5-sonnet", "openrouter", "anthropic/claude-3.5-sonnet"),
    ("claude-3.5-sonnet:latest", "openrouter", "anthropic/claude-3.5-sonnet"),
    ("openrouter/auto", "openrouter", "openrouter/auto"),
    ("openrouter/openai/gpt-4o", "openrouter", "openai/gpt-4o"),
    ("openai/gpt-4o", "openai", "gpt-4o"),
    ("openai:GPT-4o", "openai", "gpt-4o"),
    ("gpt-4o", "openrouter", "openai/gpt-4o"),
    ("gpt-4", "openai", "gpt-4"),
    ("llama-3.3-70b", "cerebras", "llama-3.3-70b"),
    ("CEREBRAS/Llama-3.3-70B", "cerebras", "llama-3.3-70b"),
    ("plain/mock-model", "plain", "mock-model"),
    ("mock-model", "plain", "mock-model"),
    ("custom", "custom", None),
    ("custom/custom", "custom", None),
]
"""(name, provider, the model's name there)."""


@pytest.mark.parametrize(("model", "provider", "asked"), NAMES)
def test_names(world: World, model: str, provider: str, asked: str | None) -> None:
    found = served(world, model)
    assert found[:2] == (provider, asked)
    assert found[2].removesuffix(":latest") == (asked or "custom").removesuffix(":latest")


@pytest.mark.parametrize(("model", "provider", "asked"), NAMES)
def test_names_in_ollamas_api(world: World, model: str, provider: str, asked: str | None) -> None:
    assert served_natively(world, model, "/api/chat") == (provider, asked)
    assert served_natively(world, model, "/api/generate") == (provider, asked)


@pytest.mark.parametrize(
    ("path", "model", "provider", "asked"),
    [
        ("/ollama/v1", "llama3.2", "ollama", "llama3.2"),
        ("/ollama/v1", "ollama/llama3.2", "ollama", "llama3.2"),
        ("/ollama/v1", None, "ollama", "llama2"),
        ("/openrouter/v1", "openai/gpt-4o", "openrouter", "openai/gpt-4o"),
        ("/openrouter/v1", "openrouter/auto", "openrouter", "openrouter/auto"),
        ("/openrouter/v1", "gpt-4o-mini", "openrouter", "openai/gpt-4o-mini"),
        ("/openai/v1", "gpt-4o", "openai", "gpt-4o"),
        ("/openai/v1", "openai/gpt-4o", "openai", "gpt-4o"),
        ("/cerebras/v1", "llama3.1-8b", "cerebras", "llama3.1-8b"),
        ("/plain/v1", "mock-model", "plain", "mock-model"),
        ("/custom/v1", "custom", "custom", None),
    ],
)
def test_base_urls(world: World, path: str, model: str | None, provider: str, asked: str | None) -> None:
    assert served(world, model, path)[:2] == (provider, asked)


@pytest.mark.parametrize(
    ("path", "model", "provider", "asked"),
    [
        ("/ollama/api/chat", "llama3.2", "ollama", "llama3.2"),
        ("/ollama/api/chat", "ollama/llama3.2", "ollama", "llama3.2"),
        ("/ollama/api/generate", None, "ollama", "llama2"),
        ("/openrouter/api/chat", "openai/gpt-4o:latest", "openrouter", "openai/gpt-4o"),
        ("/openrouter/api/generate", "openrouter/auto:latest", "openrouter", "openrouter/auto"),
        ("/openai/api/chat", "gpt-4o:latest", "openai", "gpt-4o"),
        ("/cerebras/api/chat", "llama3.1-8b:latest", "cerebras", "llama3.1-8b"),
        ("/plain/api/chat", "mock-model", "plain", "mock-model"),
        ("/custom/api/chat", "custom:latest", "custom", None),
        ("/api/chat", None, "ollama", "llama2"),
        ("/api/generate", "", "ollama", "llama2"),
    ],
)
def test_base_urls_of_ollamas_api(
    world: World, path: str, model: str | None, provider: str, asked: str | None
) -> None:
    assert served_natively(world, model, path) == (provider, asked)


def test_no_model_where_there_is_no_default(world: World) -> None:
    with pytest.raises(openai.BadRequestError, match="'model'") as raised:
        world.client("/openai/v1").chat.completions.create(messages=HELLO, model=openai.omit)  # type: ignore[call-overload]
    assert raised.value.param == "model"


def test_models_are_listed(world: World) -> None:
    listed = {model.id: model.model_dump() for model in world.client().models.list()}
    assert {model["provider"] for model in listed.values()} == {*SHAPES, "custom"}
    assert all(model["object"] == "model" for model in listed.values())
    assert listed["anthropic/claude-3.5-sonnet"]["context_length"] == 200_000
    assert {"openai/gpt-4o", "openrouter/openai/gpt-4o"} & set(listed)


def test_every_listed_model_can_be_retrieved_and_leads_back(world: World) -> None:
    client = world.client()
    for model in client.models.list():
        found = client.models.retrieve(model.id).model_dump()
        assert found == model.model_dump(), model.id


@shapes
def test_one_providers_models(world: World, shape: str) -> None:
    here = world.client(f"/{shape}/v1").models
    listed = {model.id: model for model in here.list()}
    assert {model.model_dump()["provider"] for model in listed.values()} == {shape}
    found = next(each for each in listed if each.removesuffix(":latest") == MODELS[shape])
    assert here.retrieve(found) == listed[found]
    assert world.client().models.retrieve(name(shape)).model_dump()["provider"] == shape


@pytest.mark.parametrize(
    ("path", "model", "text"),
    [
        ("/v1", "ollama:nope", PULL),
        ("/ollama/v1", "nope", PULL),
        ("/v1", "nowhere-to-be-found", "Model 'nowhere-to-be-found' not found at"),
        ("/v1", "cerebras/nope", "nope"),
        ("/v1", "openai/nope", "nope"),
        ("/v1", "openrouter:vendor/nope", "vendor/nope"),
        ("/v1", "anthropic:claude", "Provider 'anthropic' not configured. Set ANTHROPIC_API_KEY"),
        ("/anthropic/v1", "claude", "Provider 'anthropic' not configured"),
    ],
)
def test_what_is_not_there(world: World, path: str, model: str, text: str) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        world.client(path).chat.completions.create(model=model, messages=HELLO)
    assert text in str(raised.value)
    assert raised.value.code in ("model_not_found", "provider_not_configured")


def test_every_tag_leads_back(world: World) -> None:
    """Whatever Ollama's list shows can be shown and asked by that name, and is what the entry says."""
    with calling(world) as client:
        tags = msgspec.json.decode(client.get("/api/tags").content, type=natives.Tags).models
        assert len({tag.name for tag in tags}) == len(tags)
        for tag in tags:
            shown = client.post("/api/show", json={"model": tag.name})
            assert shown.status_code == 200, tag
            found = msgspec.json.decode(shown.content, type=natives.Shown)
            assert (found.remote_model, found.details) == (tag.remote_model, tag.details)
            if "completion" in tag.capabilities:
                chat = {"model": tag.name, "messages": HELLO, "stream": False}
                answer = client.post("/api/chat", json=chat).json()
                served = {"fast:latest": "llama3.2"}.get(tag.name)  # an alias answers as what it is one of
                assert answer["model"] == (served or tag.remote_model or tag.name)


@pytest.mark.parametrize("provider", [*SHAPES, "custom"])
def test_one_providers_tags(world: World, provider: str) -> None:
    with calling(world) as client:
        here = client.get(f"/{provider}/api/tags").json()["models"]
        everywhere = client.get("/api/tags").json()["models"]
    digests = {tag["digest"] for tag in here}
    assert digests <= {tag["digest"] for tag in everywhere}
    assert f"{MODELS.get(provider, 'custom')}:latest" in {tag["name"] for tag in here}
    assert len(here) < len(everywhere)


@pytest.mark.parametrize(
    ("path", "model", "text"),
    [
        ("/api", "ollama:nope", "model 'nope' not found"),
        ("/ollama/api", "nope", "model 'nope' not found"),
        ("/api", "nowhere-to-be-found", "Model 'nowhere-to-be-found' not found at"),
        ("/api", "openrouter:vendor/nope", "vendor/nope"),
        ("/api", "anthropic:claude", "Provider 'anthropic' not configured. Set ANTHROPIC_API_KEY"),
        ("/anthropic/api", "claude", "Provider 'anthropic' not configured"),
    ],
)
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_what_is_not_there_for_ollamas_clients(
    world: World, path: str, model: str, text: str, stream: bool
) -> None:
    with calling(world) as client:
        answer = client.post(f"{path}/chat", json={"model": model, "messages": HELLO, "stream": stream})
    assert answer.status_code == 404
    assert text in failure_of(answer)


def test_a_model_that_cannot_be_retrieved(world: World) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        world.client().models.retrieve("nope")
    assert (raised.value.code, raised.value.param) == ("model_not_found", "model")


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_an_ollama_that_does_not_run(world: World, nowhere: str, stream: bool) -> None:
    text = f"Connection refused to Ollama server http://{nowhere}. Start it with `ollama serve`"
    with pytest.raises(openai.InternalServerError) as raised:
        world.client("/gone/v1").chat.completions.create(model="llama3.2", messages=HELLO, stream=stream)
    assert raised.value.status_code == 502
    assert raised.value.code == "upstream_unreachable"
    assert text in str(raised.value)
