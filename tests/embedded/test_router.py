"""The router in a Python program: the guide's examples, streams, failures, cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

import trunkline
from tests.gateways import until
from trunkline import (
    CallerError,
    ChatCompletionRequest,
    CustomProcessingProvider,
    EmbeddingRequest,
    LLMRouter,
    LoadBalanceStrategy,
    OllamaProvider,
    ProviderError,
    RouteEndpoint,
)
from trunkline_mock import Fault, MockUpstream, Script


def request(model: str = "llama3.2", **more: Any) -> ChatCompletionRequest:
    given = {"model": model, "messages": [{"role": "user", "content": "Hi"}], **more}
    return ChatCompletionRequest.model_validate(given)


@pytest.fixture
async def gpus() -> AsyncIterator[tuple[MockUpstream, MockUpstream]]:
    async with MockUpstream("ollama") as one, MockUpstream("ollama") as other:
        yield one, other


async def test_the_guides_example_of_load_balancing(gpus: tuple[MockUpstream, MockUpstream]) -> None:
    ollama1 = OllamaProvider(base_url=gpus[0].base_url)
    ollama2 = OllamaProvider(base_url=gpus[1].base_url)

    router = LLMRouter(strategy=LoadBalanceStrategy.ROUND_ROBIN)
    router.add_route("llama3.2", [
        RouteEndpoint(provider=ollama1, weight=50),
        RouteEndpoint(provider=ollama2, weight=50),
    ])  # fmt: skip

    for _ in range(10):
        answer = await router.chat_completions(request())
        assert answer.choices[0].message.text == "llama3.2 heard: Hi"
    assert [len(mock.calls) for mock in gpus] == [5, 5]
    assert router.list_models() == ["llama3.2"]
    await router.aclose()


async def test_the_guides_example_of_local_and_cloud_providers(
    gpus: tuple[MockUpstream, MockUpstream], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with MockUpstream("openai") as cloud:
        monkeypatch.setenv("OLLAMA_BASE_URL", gpus[0].base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
        monkeypatch.setenv("OPENAI_BASE_URL", cloud.base_url)
        monkeypatch.delitem(vars(trunkline), "provider_registry", raising=False)
        from trunkline import ollama_provider, openai_provider

        router = LLMRouter(strategy=LoadBalanceStrategy.WEIGHTED)

        router.add_route("gpt-4", [
            RouteEndpoint(provider=ollama_provider, weight=80, priority=0, model="llama3.2"),
            RouteEndpoint(provider=openai_provider, weight=20, priority=1, model="gpt-4o"),
        ])  # fmt: skip

        for _ in range(10):
            await router.chat_completions(request("gpt-4"))
        requests = [sum(call.inference for call in mock.calls) for mock in (gpus[0], cloud)]
        assert requests == [8, 2]
        gpus[0].script = Script(fault=Fault("status", status=500))
        for _ in range(5):
            assert (await router.chat_completions(request("gpt-4"))).choices
        await router.aclose()
        vars(trunkline).pop("provider_registry")


async def test_a_stream_may_end_fail_or_be_left(gpus: tuple[MockUpstream, MockUpstream]) -> None:
    router = LLMRouter()
    router.add_route("m", [RouteEndpoint(OllamaProvider(base_url=gpus[0].base_url), model="llama3.2")])
    gpus[0].script = Script(text="one two three")
    chunks = [chunk async for chunk in router.stream_chat_completions(request("m"))]
    assert "".join(chunk.choices[0].delta.get("content") or "" for chunk in chunks) == "one two three"
    gpus[0].script = Script(text="one two three", fault=Fault("close_after", after=2))
    received: list[Any] = []
    with pytest.raises(ProviderError):
        await collect_chunks(router, received)
    assert received
    gpus[0].script = Script(text="word " * 100, delay_chunk_s=0.01)
    async for _ in router.stream_chat_completions(request("m")):
        break
    await router.aclose()


async def collect_chunks(router: LLMRouter, received: list[Any]) -> None:
    async for chunk in router.stream_chat_completions(request("m")):
        received.append(chunk)  # noqa: PERF401 - the chunks before a failure are needed


async def test_a_failure_is_retried_elsewhere_and_the_last_one_is_raised(
    gpus: tuple[MockUpstream, MockUpstream],
) -> None:
    router = LLMRouter("priority")
    one, other = (OllamaProvider(base_url=mock.base_url, max_retries=0) for mock in gpus)
    endpoints = [RouteEndpoint(one, priority=0), RouteEndpoint(other, priority=1)]
    router.add_route("llama3.2", endpoints)
    gpus[0].script = Script(fault=Fault("status", status=500))
    assert (await router.chat_completions(request())).choices
    gpus[1].script = Script(fault=Fault("status", status=500, message="out of memory"))
    with pytest.raises(ProviderError, match="out of memory"):
        await router.chat_completions(request())
    with pytest.raises(CallerError, match="no route"):
        await router.chat_completions(request("nope"))
    with pytest.raises(ProviderError):
        async for _ in router.stream_chat_completions(request()):
            pass
    explanation = router.explain("llama3.2")
    assert [each["provider"] for each in explanation["candidates"]] == ["ollama", "ollama-2"]
    await router.aclose()


async def test_a_python_object_may_be_a_provider_and_is_added_once(gpus: Any) -> None:
    router = LLMRouter(LoadBalanceStrategy.ROUND_ROBIN)
    mine = CustomProcessingProvider()
    router.add_route("a", [RouteEndpoint(mine)])
    router.add_route("b", [RouteEndpoint(mine), RouteEndpoint(CustomProcessingProvider())], "random")
    assert (await router.chat_completions(request("a"))).choices
    embedder = OllamaProvider(base_url=gpus[0].base_url)
    router.add_route("e", [RouteEndpoint(embedder, model="nomic-embed-text")])
    vectors = await router.embeddings(EmbeddingRequest(model="e", input="Hi"))
    assert len(vectors.data) == 1
    assert len(router._providers) == 3
    await router.aclose()


@pytest.mark.parametrize(
    ("endpoints", "error"),
    [
        ([], ValueError),
        ([RouteEndpoint(object())], TypeError),
        ([RouteEndpoint(CustomProcessingProvider(), weight=0)], ValueError),
    ],
)
def test_an_invalid_route_is_refused(endpoints: list[RouteEndpoint], error: type[Exception]) -> None:
    with pytest.raises(error):
        LLMRouter().add_route("m", endpoints)


def test_an_unknown_strategy_is_refused() -> None:
    with pytest.raises(ValueError, match="best"):
        LLMRouter("best")


async def test_a_cancelled_request_is_cancelled_at_the_upstream(
    gpus: tuple[MockUpstream, MockUpstream],
) -> None:
    router = LLMRouter()
    router.add_route("llama3.2", [RouteEndpoint(OllamaProvider(base_url=gpus[0].base_url))])
    gpus[0].script = Script(fault=Fault("stall_before"))
    task = asyncio.create_task(router.chat_completions(request()))
    await until(lambda: bool(gpus[0].calls))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not router._pipeline.active
    await router.aclose()
