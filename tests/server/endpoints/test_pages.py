"""What the gateway tells by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from tests.gateways import BEARER, Running, chat, get, make_settings, post, serving, upstream
from trunkline_mock import MockModel, MockUpstream


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    """A gateway in front of Ollama, OpenRouter and a server of one's own."""
    async with (
        MockUpstream("ollama", models=["llama3.2:latest", MockModel("all-minilm", ("embedding",))]) as ollama,
        MockUpstream("openrouter", models=["openai/gpt-4o", "openrouter/auto"]) as openrouter,
        MockUpstream("vllm", models=["gpt-4o", "llama3.2"]) as vllm,
    ):
        settings = make_settings(
            ollama_enabled=True,
            ollama_base_url=ollama.base_url,
            providers={"openrouter": upstream(openrouter, models=()), "vllm": upstream(vllm, models=())},
        )
        async with serving(settings) as running:
            await running.gateway.catalog.wait_until_discovered(10)
            yield running


async def ask(running: Running, path: str, *lines: bytes) -> Any:
    answer = await running.ask(get(path, BEARER, *lines))
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
async def test_models_that_are_not_there(running: Running, path: str, code: str) -> None:
    answer = await running.ask(get(path, BEARER))
    assert (answer.status, answer.error["code"]) == (404, code)


async def test_health(running: Running) -> None:
    assert (await running.ask(get("/"))).body == b"Ollama is running"
    for path in ("/health", "/healthz", "/health/live"):
        health = msgspec.json.decode((await running.ask(get(path))).body)
        assert health == {"status": "ok", "version": running.gateway.version}
    ready = (await running.ask(get("/health/ready"))).json
    assert ready == {"status": "ok", "providers": ["openrouter", "vllm", "ollama", "custom"]}
    running.gateway.stopping = True
    answer = await running.ask(get("/health/ready"))
    assert (answer.status, answer.json) == (503, {"status": "stopping"})
    assert (await running.ask(get("/health"))).status == 200


async def test_metrics(running: Running) -> None:
    for model in ("openai/gpt-4o", "openai/gpt-4o", "nobody-has-it"):
        await running.ask(post(chat(model), BEARER))
    answer = await running.ask(get("/metrics", BEARER))
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = answer.body.decode().splitlines()
    assert 'trunkline_requests_total{operation="chat",provider="openrouter",status="200"} 2.0' in lines
    assert 'trunkline_requests_total{operation="chat",provider="none",status="404"} 1.0' in lines
    assert any(line.endswith('provider="openrouter",type="input"} 2.0') for line in lines)
    assert any(line.startswith("gen_ai_server_time_to_first_token_seconds_bucket{") for line in lines)
    said = await ask(running, "/metrics", b"Accept: application/json\r\n")
    series = {(found["operation"], found["provider"]): found for found in said["series"]}
    assert series["chat", "openrouter"]["requests"] == {"200": 2}
    assert series["chat", "openrouter"]["input_tokens"] == 2
