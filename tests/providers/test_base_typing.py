"""What satisfies the Protocols: checked by mypy where a value is assigned, and once more at run time."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from trunkline.errors import GatewayError
from trunkline.providers.base import (
    AnswerReceiver,
    ChatProvider,
    EmbeddingProvider,
    InFlight,
    Provider,
    StreamingChatProvider,
)
from trunkline.providers.custom import CustomProcessingProvider
from trunkline.providers.http import HttpProvider, VendorProvider
from trunkline.providers.ollama import OllamaProvider
from trunkline.providers.python import PythonProvider
from trunkline.providers.schemas import (
    ChatCompletionChunk,
    ChatCompletionRequest,
    ChatCompletionResponse,
    EmbeddingRequest,
    EmbeddingResponse,
)


class Answers:
    """The least that is a provider."""

    async def chat_completions(self, req: ChatCompletionRequest) -> ChatCompletionResponse:
        return ChatCompletionResponse(id="x", created=0, model=req.model, choices=[])


class Streams(Answers):
    """Answers in pieces too."""

    async def stream_chat_completions(self, req: ChatCompletionRequest) -> AsyncIterator[ChatCompletionChunk]:
        yield ChatCompletionChunk(id="x", created=0, model=req.model)


class Embeds:
    """Only vectors."""

    async def embeddings(self, req: EmbeddingRequest) -> EmbeddingResponse:
        return EmbeddingResponse(data=[], model=req.model)


class DoesAll(Streams, Embeds):
    """Everything."""


class Nothing:
    """No provider at all."""


class Sink:
    """An outlet."""

    def resent(self) -> None: ...

    def emit(self, data: bytes) -> None: ...
    def done(self, data: bytes) -> None: ...
    def fail(self, error: GatewayError) -> None: ...


class Trip:
    """A flight."""

    sent = False

    def cancel(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...


def test_samples_satisfy_the_public_protocols() -> None:
    """The assignments are what mypy checks; a signature that drifts fails there."""
    chats: list[ChatProvider] = [Answers(), Streams(), DoesAll(), CustomProcessingProvider()]
    streams: list[StreamingChatProvider] = [Streams(), DoesAll(), CustomProcessingProvider()]
    embeds: list[EmbeddingProvider] = [Embeds(), DoesAll()]
    assert all(isinstance(each, ChatProvider) for each in chats)
    assert all(isinstance(each, StreamingChatProvider) for each in streams)
    assert all(isinstance(each, EmbeddingProvider) for each in embeds)


def test_what_the_gateway_routes_to() -> None:
    """Providers over HTTP show a Python program the same face as one that is written in Python."""
    routed: list[type[Provider]] = [PythonProvider, VendorProvider, OllamaProvider]
    chats: list[type[StreamingChatProvider]] = [HttpProvider, VendorProvider, OllamaProvider]
    embeds: list[type[EmbeddingProvider]] = [HttpProvider, VendorProvider, OllamaProvider]
    assert all(callable(kind.exchange) and callable(kind.open) for kind in routed)
    assert all(callable(kind.chat_completions) for kind in chats)
    assert all(callable(kind.embeddings) for kind in embeds)


def test_the_two_ends_of_an_open_exchange() -> None:
    receiver: AnswerReceiver = Sink()
    in_flight: InFlight = Trip()
    receiver.done(b"")
    in_flight.cancel()


@pytest.mark.parametrize(
    ("sample", "protocol", "fits"),
    [
        (Answers(), ChatProvider, True),
        (Answers(), StreamingChatProvider, False),
        (Answers(), EmbeddingProvider, False),
        (Streams(), StreamingChatProvider, True),
        (Embeds(), ChatProvider, False),
        (Embeds(), EmbeddingProvider, True),
        (DoesAll(), StreamingChatProvider, True),
        (DoesAll(), EmbeddingProvider, True),
        (Nothing(), ChatProvider, False),
        (CustomProcessingProvider(), EmbeddingProvider, False),
    ],
)
def test_at_run_time(sample: object, protocol: type[object], fits: bool) -> None:
    assert isinstance(sample, protocol) is fits
