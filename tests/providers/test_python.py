from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from tests.providers.receiver import Recorder
from trunkline import errors
from trunkline.dialects.base import Front
from trunkline.dialects.ollama import CHAT as OLLAMA_CHAT
from trunkline.dialects.openai import CHAT, COMPLETIONS, EMBEDDINGS
from trunkline.errors import CallerError, Kind, ProviderError
from trunkline.exchange import PassThrough, Translate
from trunkline.providers.base import ChatProvider, InFlight, ModelInfo
from trunkline.providers.custom import ANSWER, CustomProcessingProvider
from trunkline.providers.python import PythonProvider
from trunkline.providers.schemas import (
    ChatCompletionChunk,
    ChatCompletionRequest,
    ChatCompletionResponse,
    EmbeddingRequest,
    EmbeddingResponse,
)
from trunkline.providers.time_limits import TimeLimitRules
from trunkline.settings.time_limits import silence_limits

ASK = {"model": "mine:m", "messages": [{"role": "user", "content": "Hi"}]}


def _whole(message: dict[str, Any], **more: Any) -> ChatCompletionResponse:
    choice = {"message": {"role": "assistant"} | message}
    head = {"id": "chatcmpl-p", "created": 7, "model": "m", "choices": [choice]}
    return ChatCompletionResponse.model_validate(head | more)


def _chunk(content: str, finish: str | None = None) -> ChatCompletionChunk:
    choice = {"delta": {"content": content}, "finish_reason": finish}
    return ChatCompletionChunk.model_validate({"id": "p", "created": 7, "model": "m", "choices": [choice]})


class Mine:
    """Answers with what it was made with; an exception is raised."""

    def __init__(self, answer: ChatCompletionResponse | Exception | None = None) -> None:
        self.result = answer or _whole({"content": "Hello"}, note="kept")
        self.asked: ChatCompletionRequest | None = None
        self.closed = False

    async def chat_completions(self, req: ChatCompletionRequest) -> ChatCompletionResponse:
        self.asked = req
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    async def embeddings(self, req: EmbeddingRequest) -> EmbeddingResponse:
        data = [{"index": 0, "embedding": [0.5]}]
        return EmbeddingResponse.model_validate({"data": data, "model": req.model})

    async def list_models(self) -> list[str]:
        return ["a", "b"]

    async def aclose(self) -> None:
        self.closed = True


class Streams(Mine):
    """Gives the chunks it was made with, waiting where there is None."""

    def __init__(self, *script: ChatCompletionChunk | Exception | None) -> None:
        super().__init__()
        self.script = script
        self.given = 0
        self.left = asyncio.Event()

    async def stream_chat_completions(self, req: ChatCompletionRequest) -> AsyncIterator[ChatCompletionChunk]:
        self.asked = req
        try:
            for step in self.script:
                if isinstance(step, Exception):
                    raise step
                if step is None:
                    await asyncio.Event().wait()
                else:
                    self.given += 1
                    yield step
        finally:
            self.left.set()


def send(provider: PythonProvider, front: Front = CHAT, **fields: Any) -> tuple[Recorder, InFlight]:
    body = msgspec.json.encode(ASK | fields)
    exchange = provider.exchange(front, body, front.summarize(body), "m")
    receiver = Recorder()
    in_flight = provider.open(exchange, provider.upstreams[0], receiver)
    assert not receiver.pieces, "an outlet hears nothing before open has returned"
    return receiver, in_flight


async def test_whole_to_whole_passes_through() -> None:
    inner = Mine()
    receiver, _ = send(PythonProvider("mine", inner), temperature=0.5, note={"x": 1})
    answer = json.loads(await receiver.answer())
    assert (answer["id"], answer["note"]) == ("chatcmpl-p", "kept")
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "Hello"}
    assert inner.asked is not None
    assert (inner.asked.model, inner.asked.temperature, inner.asked.stream) == ("m", 0.5, None)
    assert inner.asked.messages[0].text == "Hi"
    assert inner.asked.model_extra == {"note": {"x": 1}}


async def test_a_message_has_content_be_it_null() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    receiver, _ = send(PythonProvider("mine", Mine(_whole({"tool_calls": [call]}))))
    message = json.loads(await receiver.answer())["choices"][0]["message"]
    assert message == {"role": "assistant", "content": None, "tool_calls": [call]}


def _texts(data: bytes) -> list[str]:
    *chunks, done = data.split(b"\n\n")[:-1]
    assert done == b"data: [DONE]"
    choices = [choice for chunk in chunks for choice in json.loads(chunk[6:])["choices"]]
    return [choice["delta"].get("content", choice["finish_reason"]) for choice in choices]


async def test_a_stream_is_translated_piece_by_piece() -> None:
    inner = Streams(_chunk("Hel"), _chunk("lo"), _chunk("", "length"))
    receiver, _ = send(PythonProvider("mine", inner), stream=True)
    assert _texts(await receiver.answer()) == ["", "Hel", "lo", "length"]
    assert len(receiver.pieces) > 3
    assert inner.asked is not None
    assert inner.asked.stream is True
    assert inner.left.is_set()


async def test_a_provider_that_cannot_stream_is_written_as_a_stream() -> None:
    receiver, _ = send(PythonProvider("mine", Mine()), stream=True)
    assert _texts(await receiver.answer()) == ["", "Hello", "stop"]


async def test_other_dialects_reach_it_too() -> None:
    provider = PythonProvider("mine", CustomProcessingProvider(), local=True)
    receiver, _ = send(provider, OLLAMA_CHAT, stream=False)
    answer = json.loads(await receiver.answer())
    assert (answer["message"]["content"], answer["done"]) == (ANSWER, True)
    receiver, _ = send(provider, OLLAMA_CHAT)
    lines = [json.loads(line) for line in (await receiver.answer()).splitlines()]
    assert "".join(line["message"]["content"] for line in lines) == ANSWER


async def test_embeddings() -> None:
    provider = PythonProvider("mine", Mine())
    body = b'{"model":"mine:e","input":["a"]}'
    receiver = Recorder()
    exchange = provider.exchange(EMBEDDINGS, body, EMBEDDINGS.summarize(body), "e")
    provider.open(exchange, provider.upstreams[0], receiver)
    answer = json.loads(await receiver.answer())
    assert (answer["data"][0]["embedding"], answer["model"]) == ([0.5], "e")


def test_how_it_is_carried() -> None:
    provider = PythonProvider("mine", Streams())
    for fields, kind in (({}, PassThrough), ({"stream": True}, Translate)):
        body = msgspec.json.encode(ASK | fields)
        assert type(provider.exchange(CHAT, body, CHAT.summarize(body), "m")) is kind
    assert provider.preparation(CHAT, b"") is None


@pytest.mark.parametrize(("inner", "embeds"), [(Mine(), True), (CustomProcessingProvider(), False)])
def test_what_it_supports(inner: ChatProvider, embeds: bool) -> None:
    provider = PythonProvider("mine", inner)
    supported = [provider.supports("chat"), provider.supports("completions"), provider.supports("embeddings")]
    assert supported == [True, False, embeds]
    body = b'{"model":"m","prompt":"p"}'
    with pytest.raises(CallerError, match="Provider 'mine' has no completions endpoint"):
        provider.exchange(COMPLETIONS, body, COMPLETIONS.summarize(body), "m")


FAILURES: dict[str, tuple[PythonProvider, dict[str, Any], Kind, str]] = {
    "an exception": (
        PythonProvider("mine", Mine(ValueError("the secret is sk-abcdefgh"))),
        {},
        errors.UPSTREAM_ERROR,
        "Provider 'mine' raised ValueError",
    ),
    "its own error": (
        PythonProvider("mine", Mine(ProviderError("No room", errors.UPSTREAM_BUSY))),
        {},
        errors.UPSTREAM_BUSY,
        "No room",
    ),
    "its own timeout": (
        PythonProvider("mine", Mine(TimeoutError())),
        {},
        errors.UPSTREAM_TIMEOUT,
        "Provider 'mine' raised TimeoutError",
    ),
    "a field of the wrong type": (
        PythonProvider("mine", Mine()),
        {"messages": [{"role": "user", "content": 7}]},
        errors.INVALID_REQUEST,
        "Invalid 'messages[0].content': ",
    ),
    "an exception between two chunks": (
        PythonProvider("mine", Streams(_chunk("Hel"), KeyError("x"))),
        {"stream": True},
        errors.UPSTREAM_ERROR,
        "Provider 'mine' raised KeyError",
    ),
    "no finish reason": (
        PythonProvider("mine", Streams(_chunk("Hel"))),
        {"stream": True},
        errors.UPSTREAM_TRUNCATED,
        "Provider 'mine' ended the stream before the answer was complete",
    ),
    "no choice": (
        PythonProvider("mine", Mine(ChatCompletionResponse(id="x", created=0, model="m", choices=[]))),
        {"stream": True},
        errors.UPSTREAM_PROTOCOL,
        "Provider 'mine' answered without any choice",
    ),
}


@pytest.mark.parametrize("case", FAILURES)
async def test_failures(case: str) -> None:
    provider, fields, kind, message = FAILURES[case]
    receiver, _ = send(provider, **fields)
    error = await receiver.failure()
    assert (error.kind, error.provider) == (kind, "mine")
    assert error.message.startswith(message)
    assert "sk-abcdefgh" not in error.message


@pytest.mark.parametrize("stream", [False, True])
async def test_silence_is_given_up(stream: bool) -> None:
    inner = Streams(_chunk("Hel"), None)

    async def never(req: ChatCompletionRequest) -> ChatCompletionResponse:
        await asyncio.Event().wait()
        raise AssertionError(req)

    inner.chat_completions = never  # type: ignore[method-assign]
    limits = TimeLimitRules(silence_limits(0.01, "REQUEST_TIMEOUT_S"))
    receiver, _ = send(PythonProvider("mine", inner, limits=limits), stream=stream)
    error = await receiver.failure()
    waited = "timed out in its answer: silent for" if stream else "timed out: no answer after"
    assert error.kind is errors.UPSTREAM_TIMEOUT
    assert error.message == f"Provider 'mine' {waited} 0.01 s (REQUEST_TIMEOUT_S)"
    assert bool(receiver.pieces) is stream


async def test_a_client_that_leaves_ends_the_providers_stream() -> None:
    inner = Streams(_chunk("Hel"), None)
    receiver, in_flight = send(PythonProvider("mine", inner), stream=True)
    await asyncio.wait_for(receiver.heard.wait(), 10)
    in_flight.cancel()
    await asyncio.wait_for(inner.left.wait(), 10)
    assert not receiver.ended.is_set()


async def test_a_slow_client_holds_the_provider_back() -> None:
    inner = Streams(_chunk("a"), _chunk("b"), _chunk("", "stop"))
    receiver, in_flight = send(PythonProvider("mine", inner), stream=True)
    in_flight.pause()
    for _ in range(10):
        await asyncio.sleep(0)
    assert (inner.given, receiver.pieces) == (0, [])
    in_flight.resume()
    assert _texts(await receiver.answer()) == ["", "a", "b", "stop"]


async def test_what_it_says_of_itself() -> None:
    inner = Mine()
    provider = PythonProvider("mine", inner, local=True)
    assert (provider.name, provider.kind, provider.local) == ("mine", "python", True)
    assert [(each.name, each.url) for each in provider.upstreams] == [("mine", "")]
    assert await provider.fetch_models(provider.upstreams[0]) == [ModelInfo(id="a"), ModelInfo(id="b")]
    await provider.aclose()
    assert inner.closed
    custom = PythonProvider("custom", CustomProcessingProvider())
    assert await custom.fetch_models(custom.upstreams[0]) == [ModelInfo(id="custom")]
    await custom.aclose()
