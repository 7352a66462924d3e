"""The gateway's router for Python programs: routes over providers that the program made.

A request takes the very way that it takes in the gateway (strategies, retries, breakers, fallback), without
a server. A router is itself a provider: it can be asked, registered, or served.

    router = LLMRouter(strategy=LoadBalanceStrategy.ROUND_ROBIN)
    router.add_route("llama3.2", [RouteEndpoint(provider=one), RouteEndpoint(provider=other)])
    answer = await router.chat_completions(request)
"""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from trunkline import immediate
from trunkline.dialects import openai
from trunkline.dialects.base import Front
from trunkline.embedded.registry import as_provider
from trunkline.errors import MODEL_NOT_FOUND, CallerError
from trunkline.framing import SSESplitter
from trunkline.pipe import Pipe
from trunkline.pipeline.active import ActiveRequest, Response
from trunkline.pipeline.pipeline import Pipeline, PipelineSettings
from trunkline.pipeline.request import Request
from trunkline.pipeline.responder import Lines
from trunkline.providers.base import Provider
from trunkline.providers.schemas import (
    ChatCompletionChunk,
    ChatCompletionRequest,
    ChatCompletionResponse,
    EmbeddingRequest,
    EmbeddingResponse,
)
from trunkline.routing.catalog import Catalog
from trunkline.routing.explain import explain
from trunkline.routing.resolve import RouteRule, RouteTarget, RoutingRules
from trunkline.routing.router import Router

_Answer = TypeVar("_Answer", ChatCompletionResponse, EmbeddingResponse)


class LoadBalanceStrategy(StrEnum):
    """How one of a route's endpoints is chosen; see ``routing/strategies``."""

    PRIORITY = "priority"
    WEIGHTED = "weighted"
    ROUND_ROBIN = "round_robin"
    RANDOM = "random"
    LEAST_BUSY = "least_busy"
    LOWEST_LATENCY = "lowest_latency"
    COST = "cost"
    STICKY = "sticky"
    PREDICTED_WAIT = "predicted_wait"


@dataclass(frozen=True)
class RouteEndpoint:
    """One place that a route may send requests to."""

    provider: Any
    """One of the library's providers, or anything with the method ``chat_completions``."""
    weight: float = 1.0
    """Share of first choices under ``WEIGHTED``."""
    priority: int = 0
    """Order after a failure, and the tier under ``PRIORITY``; lower first."""
    model: str | None = None
    """The model's name there; without it, the route's."""


class LLMRouter:
    """Routes by name; satisfies ``ChatProvider``, ``StreamingChatProvider`` and ``EmbeddingProvider``."""

    def __init__(
        self,
        strategy: LoadBalanceStrategy | str = LoadBalanceStrategy.ROUND_ROBIN,
        *,
        fallback: bool = True,
        patience: PipelineSettings = PipelineSettings(),  # noqa: B008 - immutable
    ) -> None:
        """``strategy`` is that of every route that names none; ``fallback``: after a failure, another
        provider of the route is asked.

        Raises:
            ValueError: there is no such strategy.
        """
        self.name = "router"
        self.strategy = LoadBalanceStrategy(strategy)
        self._fallback = fallback
        self._providers: dict[str, Provider] = {}
        self._known: list[tuple[Any, Provider]] = []
        self._rules: dict[str, RouteRule] = {}
        self._ids = itertools.count(1)
        self._router = self._wire(None)
        self._pipeline = Pipeline(self._router, (), patience)

    def add_route(
        self,
        name: str,
        endpoints: Sequence[RouteEndpoint],
        strategy: LoadBalanceStrategy | str | None = None,
    ) -> None:
        """Serve the model ``name`` by these endpoints, in place of a route of the same name.

        Raises:
            ValueError: there is no endpoint, a weight is not positive, or there is no such strategy.
            TypeError: an endpoint's provider is none.
        """
        if not endpoints:
            raise ValueError(f"The route {name!r} has no endpoint")
        if any(endpoint.weight <= 0 for endpoint in endpoints):
            raise ValueError(f"The route {name!r} has an endpoint whose weight is not positive")
        targets = [
            RouteTarget(
                self._admit(each.provider).name, each.model or name, float(each.weight), each.priority
            )
            for each in endpoints
        ]
        self._rules[name] = RouteRule(targets, LoadBalanceStrategy(strategy or self.strategy).value)
        self._router = self._wire(self._router)
        self._pipeline.reconfigure(self._router, self._pipeline.settings)

    def list_models(self) -> list[str]:
        """The routes' names."""
        return list(self._rules)

    def explain(self, model: str) -> dict[str, Any]:
        """Where a request for ``model`` would go now, and why.

        Raises:
            CallerError: there is no such route.
        """
        self._check(model)
        return explain(self._router, model, time.perf_counter())

    async def chat_completions(self, req: ChatCompletionRequest) -> ChatCompletionResponse:
        """Answer ``req`` whole, by the route that its model names.

        Raises:
            ProviderError: every endpoint failed; the last failure.
            CallerError: there is no such route, or the request is wrong.
        """
        whole = req.model_copy(update={"stream": False})
        return await self._ask(openai.CHAT, whole, ChatCompletionResponse)

    async def embeddings(self, req: EmbeddingRequest) -> EmbeddingResponse:
        """One vector per input, in order; raises as :meth:`chat_completions`."""
        return await self._ask(openai.EMBEDDINGS, req, EmbeddingResponse)

    async def stream_chat_completions(self, req: ChatCompletionRequest) -> AsyncIterator[ChatCompletionChunk]:
        """Answer ``req`` in chunks; leaving the loop early stops the upstream.

        Raises:
            ProviderError: before the first chunk, when every endpoint failed; later, when the stream broke.
        """
        collector = self._send(openai.CHAT, req.model_copy(update={"stream": True}))
        splitter = SSESplitter()
        try:
            async for data in collector.body:
                for payload in splitter.feed(data):
                    if not payload.startswith(b"[DONE]"):
                        collector.check(payload)
                        yield ChatCompletionChunk.model_validate_json(payload)
            collector.check()
        finally:
            collector.active.disconnected()

    async def aclose(self) -> None:
        """Close the providers' connections."""
        self._pipeline.close()
        for provider in self._providers.values():
            await provider.aclose()

    async def _ask(self, front: Front, req: Any, answer: type[_Answer]) -> _Answer:
        collector = self._send(front, req)
        try:
            body = await collector.body.read()
            collector.check()
            return answer.model_validate_json(body)
        finally:
            collector.active.disconnected()

    def _send(self, front: Front, req: Any) -> _Collector:
        self._check(req.model)
        body = req.model_dump_json(exclude_none=True).encode()
        request = Request(
            front=front,
            path="",
            request_id=f"lib_{next(self._ids)}",
            body=body,
            received_at=time.perf_counter(),
            summary=front.summarize(body),
        )
        collector = _Collector(request)
        immediate.run(self._pipeline.serve(collector.active))
        return collector

    def _check(self, model: str) -> None:
        if model not in self._rules:
            text = f"There is no route for model '{model}'. There are {', '.join(self._rules) or 'none yet'}"
            raise CallerError(text, MODEL_NOT_FOUND, param="model")

    def _admit(self, provider: Any) -> Provider:
        """The provider under a name that is unique here; the same object is the same provider."""
        for seen, admitted in self._known:
            if seen is provider:
                return admitted
        first = as_provider(provider)
        name, number = first.name, 2
        while name in self._providers:
            name, number = f"{first.name}-{number}", number + 1
        admitted = self._providers[name] = as_provider(first, name)
        self._known.append((provider, admitted))
        return admitted

    def _wire(self, before: Router | None) -> Router:
        rules = RoutingRules(fallback=self._fallback, routes=dict(self._rules))
        router = Router(dict(self._providers), Catalog(self._providers), rules)
        if before is not None:
            router.inherit(before)
        return router


class _Collector:
    """A ``Responder`` whose pieces a coroutine reads."""

    def __init__(self, request: Request) -> None:
        self.active = ActiveRequest(request, Response(request, self))
        self.body = Pipe(self.active.pause, self.active.resume)

    def send(self, status: int, lines: Lines, body: bytes) -> None:
        """A whole answer; that of an error is in ``response.error``."""
        if status < 400:
            self.body.feed(body)
        self.body.end()

    def start(self, status: int, lines: Lines) -> None:
        """The head of a stream says nothing more here."""

    def write(self, data: bytes) -> None:
        """A piece."""
        self.body.feed(data)

    def finish(self) -> None:
        """The end."""
        self.body.end()

    def check(self, payload: bytes = b"") -> None:
        """Raise what went wrong, instead of handing on the event that says so."""
        error = self.active.response.error
        if error is not None and (not payload or payload.startswith(b'{"error"')):
            raise error
