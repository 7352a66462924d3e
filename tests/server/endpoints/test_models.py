"""The models that clients can see, in OpenAI's shape."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gateways import BEARER, Running, get


async def ask(running: Running, path: str) -> Any:
    answer = await running.ask(get(path, BEARER))
    assert answer.status == 200, answer
    return answer.json


async def test_models(running: Running) -> None:
    listed = (await ask(running, "/v1/models"))["data"]
    assert {(model["id"], model["provider"]) for model in listed} == {
        ("openai/gpt-4o", "openrouter"),
        ("openrouter/auto", "openrouter"),
        ("vllm/gpt-4o", "vllm"),
        ("llama3.2", "vllm"),
        ("ollama/llama3.2:latest", "ollama"),
        ("all-minilm:latest", "ollama"),
        ("custom", "custom"),
    }
    for model in listed:
        assert model["object"] == "model"
        assert isinstance(model["created"], int)
        assert model["owned_by"]
        shown = await ask(running, f"/v1/models/{model['id']}")
        assert shown == model
    by_id = {model["id"]: model for model in listed}
    assert by_id["openai/gpt-4o"]["pricing"]["prompt"] == 0.0000025
    assert by_id["openai/gpt-4o"]["context_length"] == 8192
    assert by_id["all-minilm:latest"]["capabilities"] == ["embedding"]


async def test_models_of_one_provider(running: Running) -> None:
    listed = await ask(running, "/ollama/v1/models")
    assert [model["id"] for model in listed["data"]] == ["llama3.2:latest", "all-minilm:latest"]
    for name in ("llama3.2", "LLAMA3.2:latest", "ollama/llama3.2"):
        assert (await ask(running, f"/ollama/v1/models/{name}"))["id"] == "llama3.2:latest"
    assert (await ask(running, "/v1/models/all-minilm%3Alatest"))["id"] == "all-minilm:latest"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v1/models/nobody-has-it", "model_not_found"),
        ("/vllm/v1/models/nobody-has-it", "model_not_found"),
        ("/v1/models/cerebras/llama", "provider_not_configured"),
        ("/openai/v1/models", "provider_not_configured"),
    ],
)
async def test_models_that_no_provider_lists(running: Running, path: str, code: str) -> None:
    answer = await running.ask(get(path, BEARER))
    assert (answer.status, answer.error["code"]) == (404, code)
