"""A provider's methods for a Python program: await an answer, or iterate over its chunks.

They take the gateway's own path without a server: the request becomes bytes of OpenAI's dialect, an exchange
carries it, and the bytes that come out become Pydantic models.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from trunkline.dialects import openai
from trunkline.dialects.base import Front, RequestSummary
from trunkline.errors import GatewayError
from trunkline.framing import SSESplitter
from trunkline.providers.schemas import (
    ChatCompletionChunk,
    ChatCompletionRequest,
    ChatCompletionResponse,
    EmbeddingRequest,
    EmbeddingResponse,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from pydantic import BaseModel

    from trunkline.exchange import Exchange
    from trunkline.providers.base import AnswerReceiver, InFlight, Upstream

_Answer = TypeVar("_Answer", "ChatCompletionResponse", "EmbeddingResponse")


class LibraryInterface:
    """The methods of the public Protocols, for every provider that opens exchanges."""

    if TYPE_CHECKING:
        upstreams: Sequence[Upstream]

        def preparation(self, front: Front, body: bytes) -> Awaitable[bytes] | None: ...
        def exchange(self, front: Front, body: bytes, summary: RequestSummary, model: str) -> Exchange: ...
        def open(self, exchange: Exchange, upstream: Upstream, receiver: AnswerReceiver) -> InFlight: ...

    async def chat_completions(self, req: ChatCompletionRequest) -> ChatCompletionResponse:
        """Answer ``req`` whole, whatever its ``stream`` says.

        Raises:
            ProviderError: the provider failed (502).
            CallerError: the request asks for what this provider cannot do.
        """
        whole = req.model_copy(update={"stream": False})
        return await self._ask(openai.CHAT, whole, req.model, ChatCompletionResponse)

    async def embeddings(self, req: EmbeddingRequest) -> EmbeddingResponse:
        """One vector per input, in order.

        Raises:
            ProviderError: the provider failed (502).
            CallerError: it has no embeddings.
        """
        return await self._ask(openai.EMBEDDINGS, req, req.model, EmbeddingResponse)

    async def stream_chat_completions(self, req: ChatCompletionRequest) -> AsyncIterator[ChatCompletionChunk]:
        """Answer ``req`` in chunks; leaving the loop early stops the upstream.

        Raises:
            ProviderError: the provider failed, before the first chunk or between two.
        """
        queue = _Queue()
        streamed = req.model_copy(update={"stream": True})
        splitter = SSESplitter()
        in_flight = await self._open(openai.CHAT, streamed, req.model, queue)
        try:
            while (data := await queue.next()) is not None:
                in_flight.pause()
                for payload in splitter.feed(data):
                    if not payload.startswith(b"[DONE]"):
                        yield ChatCompletionChunk.model_validate_json(payload)
                in_flight.resume()
        finally:
            in_flight.cancel()

    async def _ask(self, front: Front, req: BaseModel, model: str, answer: type[_Answer]) -> _Answer:
        queue = _Queue()
        in_flight = await self._open(front, req, model, queue)
        body = b""
        try:
            while (data := await queue.next()) is not None:
                body += data
        finally:
            in_flight.cancel()
        return answer.model_validate_json(body)

    async def _open(self, front: Front, req: BaseModel, model: str, queue: _Queue) -> InFlight:
        body = req.model_dump_json(exclude_none=True).encode()
        preparation = self.preparation(front, body)
        if preparation is not None:
            body = await preparation
        exchange = self.exchange(front, body, front.summarize(body), model)
        return self.open(exchange, self.upstreams[0], queue)


class _Queue:
    """An answer receiver that a coroutine reads from."""

    def __init__(self) -> None:
        self._items: asyncio.Queue[bytes | GatewayError | None] = asyncio.Queue()

    def resent(self) -> None: ...

    def emit(self, data: bytes) -> None:
        self._items.put_nowait(data)

    def done(self, data: bytes) -> None:
        self._items.put_nowait(data)
        self._items.put_nowait(None)

    def fail(self, error: GatewayError) -> None:
        self._items.put_nowait(error)

    async def next(self) -> bytes | None:
        item = await self._items.get()
        if isinstance(item, GatewayError):
            raise item
        return item
