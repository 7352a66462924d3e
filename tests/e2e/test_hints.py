"""Settings, hints and headers that do what they say, at a gateway that serves."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gateways import BEARER, chat, make_settings, post, serving, upstream
from trunkline_mock import MockUpstream


@pytest.mark.parametrize("kind", ["openai", "anthropic", "ollama"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("path", "request_body"),
    [
        ("/v1/chat/completions", chat()),
        ("/v1/messages", chat(max_tokens=9)),
        ("/api/chat", chat()),
        ("/v1/responses", {"input": "Hello"}),
    ],
)
async def test_a_429_of_an_upstream_that_names_no_time_says_when_to_ask_again(
    kind: str, path: str, request_body: dict[str, Any], stream: bool
) -> None:
    name = "mock-status-429"
    async with (
        MockUpstream(kind, any_model=True) as mock,
        serving(make_settings(providers={"up": upstream(mock, models=(name,))})) as running,
    ):
        request = request_body | {"model": f"up/{name}", "stream": stream}
        answer = await running.ask(post(request, BEARER, path=path))
    assert (answer.status, answer.headers["retry-after"]) == (429, "5")


async def test_the_preferred_custom_provider_answers_a_name_that_others_list() -> None:
    async with MockUpstream("ollama") as mock:
        settings = make_settings(
            ollama_enabled=True, ollama_base_url=mock.base_url, preferred_provider="custom"
        )
        async with serving(settings) as running:
            await running.gateway.catalog.refresh()
            assert running.gateway.catalog.listings["ollama"].find("llama2")
            for model, provider in (("llama2", "custom"), ("no-such", "custom"), ("ollama/llama2", "ollama")):
                answer = await running.ask(post(chat(model), BEARER))
                assert (answer.status, answer.headers["x-trunkline-provider"]) == (200, provider)
