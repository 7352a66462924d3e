"""``OllamaProvider`` and ``OllamaClient``: mapping out and in, and what goes wrong, against a mock server."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline import (
    CallerError,
    ChatCompletionRequest,
    ChatMessage,
    EmbeddingRequest,
    OllamaClient,
    OllamaProvider,
    ProviderError,
)
from trunkline.providers.images import mentions_image_url
from trunkline.providers.time_limits import TimeLimitRules
from trunkline.settings.time_limits import silence_limits
from trunkline_mock import Fault, MockModel, MockUpstream, Script, ToolCall, Usage

QUICK = TimeLimitRules(silence_limits(0.5, "OLLAMA_TIMEOUT"))


def ask(**more: Any) -> ChatCompletionRequest:
    fields: dict[str, Any] = {"model": "llama3.2", "messages": [ChatMessage(role="user", content="Hello")]}
    return ChatCompletionRequest(**fields | more)


async def test_the_request_as_ollama_gets_it() -> None:
    async with MockUpstream("ollama") as mock:
        provider = OllamaProvider(mock.base_url)
        await provider.chat_completions(
            ask(
                temperature=0.5,
                top_p=0.9,
                max_tokens=7,
                stop="END",
                seed=3,
                response_format={"type": "json_object"},
            )
        )
        await provider.aclose()
        call = mock.calls[0]
    assert call.path == "/api/chat"
    assert call.json["model"] == "llama3.2"
    assert call.json["stream"] is False
    assert call.json["messages"] == [{"role": "user", "content": "Hello"}]
    assert call.json["format"] == "json"
    assert call.json["options"] == {
        "temperature": 0.5,
        "top_p": 0.9,
        "num_predict": 7,
        "stop": ["END"],
        "seed": 3,
    }


async def test_the_answer_as_openai_has_it() -> None:
    async with MockUpstream("ollama", Script(text="Hi!", usage=Usage(prompt=5, completion=2))) as mock:
        provider = OllamaProvider(mock.base_url)
        first, second = await provider.chat_completions(ask()), await provider.chat_completions(ask())
        await provider.aclose()
    assert first.id.startswith("chatcmpl-")
    assert first.id != second.id
    assert first.object == "chat.completion"
    assert isinstance(first.created, int)
    assert first.model == "llama3.2"
    choice = first.choices[0]
    assert (choice.index, choice.message.role, choice.message.content) == (0, "assistant", "Hi!")
    assert choice.finish_reason == "stop"
    assert (first.usage.prompt_tokens, first.usage.completion_tokens, first.usage.total_tokens) == (5, 2, 7)


async def test_usage_is_zero_where_the_server_tells_none() -> None:
    async with MockUpstream("ollama", Script(text="Hi!", usage=None)) as mock:
        provider = OllamaProvider(mock.base_url)
        answer = await provider.chat_completions(ask())
        await provider.aclose()
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (
        0,
        0,
        0,
    )


async def test_tools_both_ways() -> None:
    call = ToolCall(name="get_weather", arguments={"city": "Rome"})
    async with MockUpstream("ollama", Script(tool_calls=(call,))) as mock:
        provider = OllamaProvider(mock.base_url)
        tools = [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}]
        answer = await provider.chat_completions(ask(tools=tools))
        await provider.aclose()
        assert mock.calls[0].json["tools"][0]["function"]["name"] == "get_weather"
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    assert choice.message.tool_calls[0].function.arguments == '{"city":"Rome"}'


async def test_a_stream() -> None:
    async with MockUpstream("ollama", Script(text=("One ", "two"))) as mock:
        provider = OllamaProvider(mock.base_url)
        chunks = [chunk async for chunk in provider.stream_chat_completions(ask())]
        await provider.aclose()
    text = "".join(choice.delta.get("content") or "" for chunk in chunks for choice in chunk.choices)
    assert text == "One two"
    assert chunks[-1].choices[0].finish_reason == "stop"


async def test_embeddings() -> None:
    async with MockUpstream("ollama") as mock:
        provider = OllamaProvider(mock.base_url)
        answer = await provider.embeddings(EmbeddingRequest(model="nomic-embed-text", input=["a", "b"]))
        await provider.aclose()
        assert mock.calls[0].path == "/api/embed"
    assert [item.index for item in answer.data] == [0, 1]


async def test_settings_fill_what_a_request_leaves_open() -> None:
    async with MockUpstream("ollama") as mock:
        provider = OllamaProvider(mock.base_url, temperature=0.7, max_tokens=9, streaming=False)
        await provider.chat_completions(ask())
        await provider.chat_completions(ask(temperature=0.1, max_tokens=3))
        chunks = [chunk async for chunk in provider.stream_chat_completions(ask())]
        await provider.aclose()
        options = [call.json["options"] for call in mock.calls]
        assert mock.calls[2].json["stream"] is False
    assert options[:2] == [{"temperature": 0.7, "num_predict": 9}, {"temperature": 0.1, "num_predict": 3}]
    assert chunks[-1].choices[0].finish_reason == "stop"


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (Fault("stall_before"), 502, "upstream_timeout"),
        (Fault("stall_after", after=0), 502, "upstream_timeout"),
        (Fault("reset_before"), 502, "upstream_reset"),
        (Fault("bad_json"), 502, "upstream_protocol"),
        (Fault("status", status=500), 500, "upstream_model_error"),
        (Fault("status", status=401), 502, "upstream_auth"),
    ],
)
async def test_failures_are_provider_errors(fault: Fault, status: int, code: str) -> None:
    async with MockUpstream("ollama", Script(fault=fault)) as mock:
        provider = OllamaProvider(mock.base_url, limits=QUICK)
        with pytest.raises(ProviderError) as raised:
            await provider.chat_completions(ask())
        await provider.aclose()
    assert raised.value.status_code == status
    assert raised.value.code == code
    assert raised.value.provider == "ollama"


async def test_a_server_that_is_not_there() -> None:
    async with MockUpstream("ollama") as mock:
        url = mock.base_url
    provider = OllamaProvider(url)
    with pytest.raises(
        ProviderError, match=r"Connection refused to Ollama server .* `ollama serve`"
    ) as raised:
        await provider.chat_completions(ask())
    assert raised.value.status_code == 502
    await provider.aclose()


async def test_a_model_that_is_not_there() -> None:
    async with MockUpstream("ollama") as mock:
        provider = OllamaProvider(mock.base_url)
        with pytest.raises(ProviderError, match=r"Model 'nope' not found in Ollama.*`ollama pull nope`"):
            await provider.chat_completions(ask(model="nope"))
        await provider.aclose()


async def test_content_that_ollama_cannot_take_is_the_callers() -> None:
    provider = OllamaProvider("http://127.0.0.1:1")
    part = {"type": "image_url", "image_url": {"url": "http://example.com/x.png"}}
    with pytest.raises(CallerError):
        await provider.chat_completions(ask(messages=[ChatMessage(role="user", content=[part])]))
    await provider.aclose()


async def test_a_model_that_must_be_loaded_gets_more_time() -> None:
    slow = Script(delay_first_s=0.9, text="at last")
    resident = MockModel(name="warm")
    async with MockUpstream("ollama", slow, models=[resident, MockModel(name="cold")]) as mock:
        provider = OllamaProvider(mock.base_url, limits=QUICK, load_timeout=20)
        found = await provider.fetch_models(provider.upstreams[0])
        assert {model.id for model in found} == {"warm:latest", "cold:latest"}
        provider._resident[provider.upstreams[0].name] = {"warm:latest"}
        answer = await provider.chat_completions(ask(model="cold"))
        with pytest.raises(ProviderError, match=r"after 0\.5 s \(OLLAMA_TIMEOUT\)"):
            await provider.chat_completions(ask(model="warm"))
        await provider.aclose()
    assert answer.choices[0].message.content == "at last"


async def test_the_client_speaks_ollamas_own_shapes() -> None:
    async with MockUpstream("ollama", Script(text="Hi!")) as mock:
        client = OllamaClient(mock.base_url)
        answer = await client.chat("llama3.2", [{"role": "user", "content": "Hello"}], options={"seed": 1})
        listed = await client.list()
        with pytest.raises(ProviderError):
            await client.chat("nope", [{"role": "user", "content": "Hello"}])
        await client.aclose()
        assert mock.calls[0].json["options"] == {"seed": 1}
    assert answer["message"]["content"] == "Hi!"
    assert answer["done"] is True
    assert listed["models"]


def test_what_may_hold_an_image_by_url() -> None:
    assert mentions_image_url(b'{"image_url": "http://x"}')
    assert not mentions_image_url(b'{"text": "http://x"}')


async def test_a_listing_that_is_nested_without_end() -> None:
    async with MockUpstream("ollama") as mock:
        mock.on(Script(body="[" * 5000), path="*/tags")
        provider = OllamaProvider(mock.base_url)
        with pytest.raises(ProviderError, match="malformed answer to /api/tags"):
            await provider.fetch_models(provider.upstreams[0])
        await provider.aclose()
