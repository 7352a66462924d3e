"""The interfaces of a provider: for a Python program, for the gateway, and for an answer that is under way.

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
from trunkline.providers.time_limits import AttemptTimeouts
from trunkline.settings.time_limits import NO_LIMITS, TimeLimits


@runtime_checkable
class ChatProvider(Protocol):
    """A provider that answers chat requests."""

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
    """A provider that makes embeddings of texts."""

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
    """Shown in headers, logs and errors. It never holds credentials."""
    url: str
    """Base address without a slash at its end; empty for a Python provider."""

    @property
    def origin(self) -> str:
        """The name without the number of the key. Upstreams that differ only in their keys share it."""
        return self.name.partition("#")[0]


class AnswerReceiver(Protocol):
    """Receives the bytes of an opened exchange. Exactly one of ``done`` and ``fail`` is called last, and
    neither
    before :meth:`Provider.open` has returned."""

    def resent(self) -> None:
        """The request was sent once more, since a kept connection was closed before an answer began."""

    def emit(self, data: bytes) -> None:
        """Take bytes for the client, of an answer that is not complete."""

    def done(self, data: bytes) -> None:
        """The answer is complete. ``data`` are its last bytes."""

    def fail(self, error: GatewayError) -> None:
        """The answer failed, or broke off after the bytes that were emitted."""


class InFlight(Protocol):
    """An opened exchange."""

    @property
    def sent(self) -> bool:
        """Whether the request was sent, so that the upstream may bill it."""

    def cancel(self) -> None:
        """Stop, and close the upstream connection: the client has disconnected."""

    def pause(self) -> None:
        """Stop reading from the upstream: the client reads too slowly."""

    def resume(self) -> None:
        """Read on."""


class Provider(Protocol):
    """A provider as the gateway uses it."""

    name: str
    kind: str
    """Its type: ``ollama``, ``openrouter``, ``openai-compatible``, ``python`` …"""
    local: bool
    local_only: bool
    """Its requests never fall back to a provider that is not local."""
    loads_models: bool
    """Whether a request may have to wait until its model is loaded into memory."""
    has_vendor_ids: bool
    """Whether its models' ids are ``vendor/model``."""
    answers_any_name: bool
    """Whether it answers under any model name. It is asked for a model that it does not list only where it is
    the preferred provider, and it is never chosen in its place."""
    fetches_images: bool
    """Whether a request may have to be prepared before it is sent; else ``preparation`` is not called."""
    max_concurrent: int | None
    """The maximum number of requests at once to each of its upstreams."""
    max_retries: int
    """How often a failed request is tried again there."""

    @property
    def upstreams(self) -> Sequence[Upstream]:
        """Its addresses: at least one."""

    def supports(self, operation: Operation) -> bool:
        """Whether it has an endpoint for the operation."""

    def holds(self, dialect: str) -> frozenset[str]:
        """The state fields of ``dialect`` that its upstreams have."""

    def preparation(self, front: Front, body: bytes) -> Awaitable[bytes] | None:
        """Fetch what the request refers to and the provider does not fetch itself (images by URL).

        Returns:
            An awaitable of the body to use instead, or None where nothing is to be fetched.

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
        """Make the exchange for a client's request, to be opened at one of the upstreams.

        Args:
            front: the operation of the client's dialect.
            body: the client's body.
            summary: what was read of the body.
            model: the model's name at this provider.
            wanted: what policy adds to the request.

        Raises:
            CallerError: this provider cannot answer the request.
        """

    def timeouts_for(self, model: str, route: TimeLimits = NO_LIMITS) -> AttemptTimeouts:
        """How long attempts at a model may take. Slow: to be kept with the candidate.

        Args:
            model: its name at this provider.
            route: what the route says that leads to it.
        """

    def open(
        self,
        exchange: Exchange,
        upstream: Upstream,
        receiver: AnswerReceiver,
        timeouts: AttemptTimeouts | None = None,
    ) -> InFlight:
        """Send the request; the answer flows into ``receiver``. Without ``timeouts``, those of the exchange's
        model hold."""

    def is_loaded(self, upstream: Upstream, model: str) -> bool:
        """Whether the model is in memory at the upstream, as far as is known."""

    async def refresh_loaded_models(self, upstream: Upstream) -> None:
        """Ask the upstream which models are in its memory."""

    async def fetch_models(self, upstream: Upstream) -> list[ModelInfo]:
        """Ask one upstream for its models.

        Raises:
            ProviderError: it did not answer as it should.
        """

    async def aclose(self) -> None:
        """Close what is open."""
