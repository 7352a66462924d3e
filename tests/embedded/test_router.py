"""The router in a Python program: the seeds' snippets, and all that a request may meet."""

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


async def test_load_balancing_as_the_guide_has_it(gpus: tuple[MockUpstream, MockUpstream]) -> None:
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


async def test_a_hybrid_as_the_guide_has_it(
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
        asked = [sum(call.inference for call in mock.calls) for mock in (gpus[0], cloud)]
        assert asked == [8, 2]
        gpus[0].script = Script(fault=Fault("status", status=500))
        for _ in range(5):
            assert (await router.chat_completions(request("gpt-4"))).choices
        await router.aclose()
        vars(trunkline).pop("provider_registry")


async def test_a_stream_and_its_end(gpus: tuple[MockUpstream, MockUpstream]) -> None:
    router = LLMRouter()
    router.add_route("m", [RouteEndpoint(OllamaProvider(base_url=gpus[0].base_url), model="llama3.2")])
    gpus[0].script = Script(text="one two three")
    chunks = [chunk async for chunk in router.stream_chat_completions(request("m"))]
    assert "".join(chunk.choices[0].delta.get("content") or "" for chunk in chunks) == "one two three"
    gpus[0].script = Script(text="one two three", fault=Fault("close_after", after=2))
    seen: list[Any] = []
    with pytest.raises(ProviderError):
        await _listen(router, seen)
    assert seen
    gpus[0].script = Script(text="word " * 100, delay_chunk_s=0.01)
    async for _ in router.stream_chat_completions(request("m")):
        break
    await router.aclose()


async def _listen(router: LLMRouter, seen: list[Any]) -> None:
    async for chunk in router.stream_chat_completions(request("m")):
        seen.append(chunk)  # noqa: PERF401 - what came before a failure counts


async def test_failover_and_the_last_failure(gpus: tuple[MockUpstream, MockUpstream]) -> None:
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
    told = router.explain("llama3.2")
    assert [each["provider"] for each in told["candidates"]] == ["ollama", "ollama-2"]
    await router.aclose()


async def test_one_object_is_one_provider_and_anything_may_be_one(gpus: Any) -> None:
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
    ("endpoints", "wrong"),
    [
        ([], ValueError),
        ([RouteEndpoint(object())], TypeError),
        ([RouteEndpoint(CustomProcessingProvider(), weight=0)], ValueError),
    ],
)
def test_what_is_no_route(endpoints: list[RouteEndpoint], wrong: type[Exception]) -> None:
    with pytest.raises(wrong):
        LLMRouter().add_route("m", endpoints)


def test_an_unknown_strategy() -> None:
    with pytest.raises(ValueError, match="best"):
        LLMRouter("best")


async def test_given_up_while_it_waits(gpus: tuple[MockUpstream, MockUpstream]) -> None:
    router = LLMRouter()
    router.add_route("llama3.2", [RouteEndpoint(OllamaProvider(base_url=gpus[0].base_url))])
    gpus[0].script = Script(fault=Fault("stall_before"))
    task = asyncio.create_task(router.chat_completions(request()))
    await until(lambda: bool(gpus[0].calls))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not router._pipeline.active
    await router.aclose()
