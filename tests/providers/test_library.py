"""The face for Python programs, in front of a provider that needs no network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable

import pytest

from trunkline.dialects.base import Front, RequestSummary
from trunkline.errors import UPSTREAM_ERROR, CallerError, ProviderError
from trunkline.exchange import Exchange
from trunkline.providers.base import AnswerReceiver, ChatProvider, InFlight, StreamingChatProvider, Upstream
from trunkline.providers.custom import ANSWER, CustomProcessingProvider
from trunkline.providers.library import LibraryInterface
from trunkline.providers.python import PythonProvider
from trunkline.providers.schemas import (
    ChatCompletionChunk,
    ChatCompletionRequest,
    ChatCompletionResponse,
    EmbeddingRequest,
    EmbeddingResponse,
)

ASK = ChatCompletionRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "Hi"}]})


class Face(LibraryInterface):
    """The library's methods on a Python provider, keeping the flights that were opened."""

    def __init__(self, inner: ChatProvider) -> None:
        self.provider = PythonProvider("mine", inner)
        self.upstreams = self.provider.upstreams
        self.in_flight_requests: list[Watched] = []

    def preparation(self, front: Front, body: bytes) -> Awaitable[bytes] | None:
        return _renamed(body) if b'"prepare"' in body else None

    def exchange(self, front: Front, body: bytes, summary: RequestSummary, model: str) -> Exchange:
        return self.provider.exchange(front, body, summary, model)

    def open(self, exchange: Exchange, upstream: Upstream, receiver: AnswerReceiver) -> InFlight:
        self.in_flight_requests.append(Watched(self.provider.open(exchange, upstream, receiver)))
        return self.in_flight_requests[-1]


class Watched:
    """A flight that tells what was done with it."""

    def __init__(self, in_flight: InFlight) -> None:
        self._flight = in_flight
        self.told: list[str] = []

    @property
    def sent(self) -> bool:
        return self._flight.sent

    def cancel(self) -> None:
        self.told.append("cancel")
        self._flight.cancel()

    def pause(self) -> None:
        self.told.append("pause")
        self._flight.pause()

    def resume(self) -> None:
        self.told.append("resume")
        self._flight.resume()


async def _renamed(body: bytes) -> bytes:
    return body.replace(b'"prepare"', b'"prepared"')


class Embeds(CustomProcessingProvider):
    """Vectors too."""

    async def embeddings(self, req: EmbeddingRequest) -> EmbeddingResponse:
        data = [{"index": 0, "embedding": [float(len(req.input))]}]
        return EmbeddingResponse.model_validate({"data": data, "model": req.model})


class Breaks:
    """Fails whole, and after the first chunk."""

    async def chat_completions(self, req: ChatCompletionRequest) -> ChatCompletionResponse:
        raise KeyError(req.model)

    async def stream_chat_completions(self, req: ChatCompletionRequest) -> AsyncIterator[ChatCompletionChunk]:
        yield ChatCompletionChunk.model_validate(
            {"id": "x", "created": 1, "model": "m", "choices": [{"delta": {"content": "a"}}]}
        )
        raise KeyError(req.model)


@pytest.mark.parametrize("stream", [None, False, True])
async def test_a_whole_answer_whatever_stream_says(stream: bool | None) -> None:
    face = Face(CustomProcessingProvider())
    answer = await face.chat_completions(ASK.model_copy(update={"stream": stream}))
    assert isinstance(answer, ChatCompletionResponse)
    assert answer.choices[0].message.content == ANSWER
    assert face.in_flight_requests[0].told == ["cancel"]


async def test_a_stream() -> None:
    face = Face(CustomProcessingProvider())
    chunks = [chunk async for chunk in face.stream_chat_completions(ASK)]
    assert "".join(chunk.choices[0].delta.get("content") or "" for chunk in chunks) == ANSWER
    assert chunks[-1].choices[0].finish_reason == "stop"
    told = face.in_flight_requests[0].told
    assert told[-1] == "cancel"
    assert set(told[:-1:2]) == {"pause"}
    assert set(told[1:-1:2]) == {"resume"}


async def test_leaving_early_stops_the_upstream() -> None:
    face = Face(CustomProcessingProvider())
    chunks = face.stream_chat_completions(ASK)
    await anext(chunks)
    await chunks.aclose()  # type: ignore[attr-defined]
    assert face.in_flight_requests[0].told[-1] == "cancel"


async def test_a_slow_reader_holds_the_upstream_back() -> None:
    face = Face(CustomProcessingProvider())
    chunks = face.stream_chat_completions(ASK)
    await anext(chunks)
    for _ in range(10):
        await asyncio.sleep(0)
    assert face.in_flight_requests[0].told == ["pause"]
    await chunks.aclose()  # type: ignore[attr-defined]


async def test_embeddings() -> None:
    face = Face(Embeds())
    answer = await face.embeddings(EmbeddingRequest(model="e", input=["a", "b"]))
    assert (answer.data[0].embedding, answer.model) == ([2.0], "e")
    with pytest.raises(CallerError, match="Provider 'mine' has no embeddings endpoint"):
        await Face(CustomProcessingProvider()).embeddings(EmbeddingRequest(model="e", input="a"))


async def test_errors_are_raised_where_they_come() -> None:
    face = Face(Breaks())
    with pytest.raises(ProviderError, match="Provider 'mine' raised KeyError") as caught:
        await face.chat_completions(ASK)
    assert (caught.value.kind, caught.value.status_code) == (UPSTREAM_ERROR, 502)
    chunks = face.stream_chat_completions(ASK)
    seen = [(await anext(chunks)).choices[0].delta["content"] for _ in range(2)]
    with pytest.raises(ProviderError, match="Provider 'mine' raised KeyError"):
        await anext(chunks)
    assert seen == ["", "a"]
    assert [in_flight.told[-1] for in_flight in face.in_flight_requests] == ["cancel", "cancel"]


async def test_what_must_be_fetched_first_is_awaited() -> None:
    face = Face(CustomProcessingProvider())
    answer = await face.chat_completions(ASK.model_copy(update={"model": "prepare"}))
    assert answer.choices[0].message.content == ANSWER


async def test_a_request_that_is_none_is_refused() -> None:
    with pytest.raises(CallerError) as caught:
        await Face(CustomProcessingProvider()).chat_completions(ASK.model_copy(update={"messages": []}))
    assert caught.value.param == "messages"


def test_the_face_is_a_streaming_chat_provider() -> None:
    face: StreamingChatProvider = Face(CustomProcessingProvider())
    assert isinstance(face, StreamingChatProvider)
