"""A gateway with several providers that list models."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.gateways import Running, make_settings, serving, upstream
from trunkline_mock import MockModel, MockUpstream


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    """A gateway with Ollama, OpenRouter and a vLLM server."""
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
