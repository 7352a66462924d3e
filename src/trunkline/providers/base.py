"""What a provider is: to a Python program, to the gateway, and to the answer that it is giving.

``ChatProvider`` and its two companions are the public Protocols: a class of your own that satisfies them is
a provider. ``Provider`` is what the gateway routes to. Nothing here does I/O.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from typing import Protocol, runtime_checkable

import msgspec

from trunkline.dialects.base import NO_DEFAULTS, Front, RequestDefaults, RequestSummary
from trunkline.errors import GatewayError
from trunkline.exchange import Exchange
from trunkline.model import Operation
from trunkline.providers.schemas import (
    ChatCompletionChunk,
    ChatCompletionRequest,
    ChatCompletionResponse,
    EmbeddingRequest,
    EmbeddingResponse,
)


@runtime_checkable
class ChatProvider(Protocol):
    """Anything that answers chat requests."""

    async def chat_completions(self, req: ChatCompletionRequest) -> ChatCompletionResponse:
        """Answer ``req`` whole.

        Raises:
            ProviderError: the provider failed (502).
            CallerError: the request asks for what this provider cannot do.
        """
        ...


@runtime_checkable
class StreamingChatProvider(ChatProvider, Protocol):
    """A chat provider that can also answer piece by piece."""

    def stream_chat_completions(self, req: ChatCompletionRequest) -> AsyncIterator[ChatCompletionChunk]:
        """Answer ``req`` in chunks, the last of which has a ``finish_reason``."""
        ...


@runtime_checkable
class EmbeddingProvider(Protocol):
    """Anything that turns texts into vectors."""

    async def embeddings(self, req: EmbeddingRequest) -> EmbeddingResponse:
        """One vector per input, in order."""
        ...


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One model of one provider, as discovery found it."""

    id: str
    """The provider's own name for it."""
    created: int | None = None
    """Unix time in seconds."""
    owner: str | None = None
    context_length: int | None = None
    max_output: int | None = None
    capabilities: tuple[str, ...] = ()
    """Ollama's words: completion, tools, vision, thinking, embedding, insert."""
    prices: dict[str, float] | None = None
    """USD per token by kind (``prompt``, ``completion``, …), where the provider publishes them."""
    listing: Mapping[str, object] | None = None
    """An Ollama server's own entry of ``/api/tags``, for models that have one."""


class Upstream(msgspec.Struct, frozen=True, kw_only=True):
    """One address of a provider."""

    name: str
    """Shown in headers, logs and errors; never holds credentials."""
    url: str
    """Base address without a slash at its end; empty for a Python provider."""

    @property
    def origin(self) -> str:
        """The name without the number of a key: upstreams that differ in their keys alone share it."""
        return self.name.partition("#")[0]


class AnswerReceiver(Protocol):
    """Where an opened exchange's bytes go. Exactly one of ``done`` and ``fail`` ends it, never before
    :meth:`Provider.open` has returned."""

    def emit(self, data: bytes) -> None:
        """Bytes for the client, of an answer that goes on."""

    def done(self, data: bytes) -> None:
        """The answer is whole; these are its last bytes."""

    def fail(self, error: GatewayError) -> None:
        """The answer failed, or broke off after what was emitted."""


class InFlight(Protocol):
    """An exchange under way."""

    @property
    def sent(self) -> bool:
        """The request has gone out: who sent it may be billed for it."""

    def cancel(self) -> None:
        """The client has gone: stop, and close the upstream connection."""

    def pause(self) -> None:
        """The client reads slowly: stop reading from the upstream."""

    def resume(self) -> None:
        """Go on reading."""


class Provider(Protocol):
    """What the gateway routes to."""

    name: str
    kind: str
    """Its type: ``ollama``, ``openrouter``, ``openai-compatible``, ``python`` …"""
    local: bool
    local_only: bool
    """Its requests never fall over to a provider that is not local."""
    loads_models: bool
    """Whether its models are brought into memory by request; elsewhere they are there already."""
    fetches_images: bool
    """Whether a request may have to be prepared before it is sent; else ``preparation`` is not called."""
    max_concurrent: int | None
    """Most requests at once to each of its upstreams."""
    max_retries: int
    """How often a request is tried again there."""

    @property
    def upstreams(self) -> Sequence[Upstream]:
        """Its addresses: at least one."""

    def supports(self, operation: Operation) -> bool:
        """Whether it has an endpoint for the operation."""

    def preparation(self, front: Front, body: bytes) -> Awaitable[bytes] | None:
        """What must be fetched before the request can be put to it (images by URL): the body it then has,
        or None, which is the rule.

        Raises:
            CallerError: from the awaitable, when something cannot be had.
        """

    def exchange(
        self,
        front: Front,
        body: bytes,
        summary: RequestSummary,
        model: str,
        wanted: RequestDefaults = NO_DEFAULTS,
    ) -> Exchange:
        """An exchange for a client's request, to be opened on one of the upstreams; ``wanted`` is what policy
        adds to it.

        Raises:
            CallerError: the request cannot be put to this provider.
        """

    def open(self, exchange: Exchange, upstream: Upstream, receiver: AnswerReceiver) -> InFlight:
        """Send the request; the answer flows into ``receiver``."""

    def resident(self, upstream: Upstream, model: str) -> bool:
        """Whether the model is in memory at the upstream, as far as is known."""

    async def look_at_residents(self, upstream: Upstream) -> None:
        """Ask the upstream which models are in its memory."""

    async def fetch_models(self, upstream: Upstream) -> list[ModelInfo]:
        """Ask one upstream for its models.

        Raises:
            ProviderError: it did not answer as it should.
        """

    async def aclose(self) -> None:
        """Close what is open."""
