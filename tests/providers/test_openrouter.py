"""``OpenRouterClient`` and the OpenRouter row, against a mock."""

from __future__ import annotations

import pytest

from trunkline import CallerError, OpenRouterClient, ProviderError
from trunkline_mock import Fault, MockUpstream, Script

HELLO = [{"role": "user", "content": "Hello"}]


async def test_a_chat_completion() -> None:
    async with MockUpstream("openrouter", Script(text="Hi!")) as mock:
        client = OpenRouterClient("sk-or-test", base_url=mock.base_url)
        answer = await client.chat_completion("openai/gpt-4o", HELLO, provider={"sort": "price"})
        await client.aclose()
        call = mock.calls[0]
    assert answer["choices"][0]["message"]["content"] == "Hi!"
    assert answer["usage"]["cost"] >= 0
    assert call.headers["authorization"] == "Bearer sk-or-test"
    assert call.headers["x-title"] == "Trunkline"
    assert call.json["provider"] == {"sort": "price"}


async def test_the_models() -> None:
    async with MockUpstream("openrouter") as mock:
        client = OpenRouterClient("sk-or-test", base_url=mock.base_url)
        models = await client.fetch_models()
        await client.aclose()
    assert "openrouter/auto" in {model["id"] for model in models}
    assert all("pricing" in model for model in models)


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, CallerError, "invalid_request"),
        (401, ProviderError, "upstream_auth"),
        (402, ProviderError, "upstream_credit"),
        (429, ProviderError, "rate_limit_exceeded"),
        (502, ProviderError, "upstream_error"),
    ],
)
async def test_failures(status: int, kind: type[Exception], code: str) -> None:
    fault = Fault("status", status=status, message="it says why")
    async with MockUpstream("openrouter", Script(fault=fault)) as mock:
        client = OpenRouterClient("sk-or-secret-key", base_url=mock.base_url, timeout=1)
        with pytest.raises(kind) as raised:
            await client.chat_completion("openai/gpt-4o", HELLO)
        await client.aclose()
    assert getattr(raised.value, "code", None) == code
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("text", ["one", ["one", "two"]])
async def test_embeddings(text: str | list[str]) -> None:
    async with MockUpstream("openrouter") as mock:
        client = OpenRouterClient("sk-or-test", base_url=mock.base_url)
        answer = await client.embeddings("openai/text-embedding-3-small", text, dimensions=8)
        await client.aclose()
        call = mock.calls[0]
    assert [len(each["embedding"]) for each in answer["data"]] == [8] * (1 if text == "one" else 2)
    assert answer["usage"]["prompt_tokens"] > 0
    assert call.path == "/api/v1/embeddings"
    assert call.json["input"] == text


async def test_embeddings_that_fail() -> None:
    fault = Fault("status", status=401, message="no such key")
    async with MockUpstream("openrouter", Script(fault=fault)) as mock:
        client = OpenRouterClient("sk-or-secret-key", base_url=mock.base_url)
        with pytest.raises(ProviderError) as raised:
            await client.embeddings("openai/text-embedding-3-small", "one")
        await client.aclose()
    assert raised.value.code == "upstream_auth"
    assert "secret" not in str(raised.value)
