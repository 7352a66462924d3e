"""The gateway's router for Python programs, over providers that the program made.

A request runs through the same pipeline as in the gateway (strategies, retries, circuit breakers, fallback),
without a server. A router is itself a provider: a program can call it, register it, or serve it.

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
    """How one of a route's endpoints is chosen. :mod:`trunkline.routing.strategies` defines each."""

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
    """One provider and model that a route may send requests to."""

    provider: Any
    """A provider of the library, or any object with the method ``chat_completions``."""
    weight: float = 1.0
    """The share of requests that try this endpoint first under ``WEIGHTED``."""
    priority: int = 0
    """The order after a failure, and the tier under ``PRIORITY``. Lower comes first."""
    model: str | None = None
    """The model's name at this provider; None takes the route's."""


class LLMRouter:
    """Routes requests by their model's name.

    It implements ``ChatProvider``, ``StreamingChatProvider`` and ``EmbeddingProvider``.
    """

    def __init__(
        self,
        strategy: LoadBalanceStrategy | str = LoadBalanceStrategy.ROUND_ROBIN,
        *,
        fallback: bool = True,
        settings: PipelineSettings = PipelineSettings(),  # noqa: B008 - immutable
    ) -> None:
        """Make a router without routes.

        Args:
            strategy: the strategy of every route that names none.
            fallback: try another provider of the route after a failure.
            settings: the settings of retries and timeouts.

        Raises:
            ValueError: there is no such strategy.
        """
        self.name = "router"
        self.strategy = LoadBalanceStrategy(strategy)
        self._fallback = fallback
        self._providers: dict[str, Provider] = {}
        self._added: list[tuple[Any, Provider]] = []
        """The objects that the program gave as providers, each with the provider made of it."""
        self._rules: dict[str, RouteRule] = {}
        self._ids = itertools.count(1)
        self._router = self._build_router(None)
        self._pipeline = Pipeline(self._router, (), settings)

    def add_route(
        self,
        name: str,
        endpoints: Sequence[RouteEndpoint],
        strategy: LoadBalanceStrategy | str | None = None,
    ) -> None:
        """Serve the model ``name`` by these endpoints, in place of a route of the same name.

        Args:
            name: the model's name in requests.
            endpoints: where its requests may go.
            strategy: how an endpoint is chosen; None takes the router's strategy.

        Raises:
            ValueError: there is no endpoint, a weight is not positive, or there is no such strategy.
            TypeError: the provider of an endpoint is not a provider.
        """
        if not endpoints:
            raise ValueError(f"The route {name!r} has no endpoint")
        if any(endpoint.weight <= 0 for endpoint in endpoints):
            raise ValueError(f"The route {name!r} has an endpoint whose weight is not positive")
        targets = [
            RouteTarget(
                self._add_provider(each.provider).name, each.model or name, float(each.weight), each.priority
            )
            for each in endpoints
        ]
        self._rules[name] = RouteRule(targets, LoadBalanceStrategy(strategy or self.strategy).value)
        self._router = self._build_router(self._router)
        self._pipeline.reconfigure(self._router, self._pipeline.settings)

    def list_models(self) -> list[str]:
        """The names of the routes."""
        return list(self._rules)

    def explain(self, model: str) -> dict[str, Any]:
        """Explain where a request for ``model`` would go now, and why.

        Raises:
            CallerError: there is no such route.
        """
        self._check(model)
        return explain(self._router, model, time.perf_counter())

    async def chat_completions(self, req: ChatCompletionRequest) -> ChatCompletionResponse:
        """Answer a request by the route that its model names, without streaming.

        Raises:
            ProviderError: every endpoint failed. It is the last failure.
            CallerError: there is no such route, or the request is invalid.
        """
        unstreamed = req.model_copy(update={"stream": False})
        return await self._answer(openai.CHAT, unstreamed, ChatCompletionResponse)

    async def embeddings(self, req: EmbeddingRequest) -> EmbeddingResponse:
        """Answer a request for embeddings with one vector for each input, in order.

        Raises:
            ProviderError: every endpoint failed. It is the last failure.
            CallerError: there is no such route, or the request is invalid.
        """
        return await self._answer(openai.EMBEDDINGS, req, EmbeddingResponse)

    async def stream_chat_completions(self, req: ChatCompletionRequest) -> AsyncIterator[ChatCompletionChunk]:
        """Answer a request in chunks. Leaving the loop early cancels the request to the upstream.

        Raises:
            ProviderError: every endpoint failed, before the first chunk; or the stream failed after it.
            CallerError: there is no such route, or the request is invalid.
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

    async def _answer(self, front: Front, req: Any, answer: type[_Answer]) -> _Answer:
        """Run a request that is not streamed, and parse its answer."""
        collector = self._send(front, req)
        try:
            body = await collector.body.read()
            collector.check()
            return answer.model_validate_json(body)
        finally:
            collector.active.disconnected()

    def _send(self, front: Front, req: Any) -> _Collector:
        """Start a request in the pipeline."""
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
        """Raise a CallerError if there is no route for the model."""
        if model not in self._rules:
            text = f"There is no route for model '{model}'. There are {', '.join(self._rules) or 'none yet'}"
            raise CallerError(text, MODEL_NOT_FOUND, param="model")

    def _add_provider(self, provider: Any) -> Provider:
        """Add a provider under a unique name. An object that was added before is not added again."""
        for original, added in self._added:
            if original is provider:
                return added
        unnamed = as_provider(provider)
        name, number = unnamed.name, 2
        while name in self._providers:
            name, number = f"{unnamed.name}-{number}", number + 1
        added = self._providers[name] = as_provider(unnamed, name)
        self._added.append((provider, added))
        return added

    def _build_router(self, previous: Router | None) -> Router:
        """Make a router of the current providers and routes, with the state of the previous one."""
        rules = RoutingRules(fallback=self._fallback, routes=dict(self._rules))
        router = Router(dict(self._providers), Catalog(self._providers), rules)
        if previous is not None:
            router.inherit(previous)
        return router


class _Collector:
    """A ``Responder`` that passes the response's bytes to a coroutine of the program."""

    def __init__(self, request: Request) -> None:
        self.active = ActiveRequest(request, Response(request, self))
        self.body = Pipe(self.active.pause, self.active.resume)

    def send(self, status: int, lines: Lines, body: bytes) -> None:
        """Take a whole response. The body of an error is dropped, since ``response.error`` has the error."""
        if status < 400:
            self.body.feed(body)
        self.body.end()

    def start(self, status: int, lines: Lines) -> None:
        """Ignore the head of a stream: the caller gets only its chunks."""

    def write(self, data: bytes) -> None:
        """Take a part of a streamed response."""
        self.body.feed(data)

    def finish(self) -> None:
        """End a streamed response."""
        self.body.end()

    def check(self, payload: bytes = b"") -> None:
        """Raise the response's error, if there is one.

        Args:
            payload: an event of the stream, after which the error is raised only if it is an error event.
        """
        error = self.active.response.error
        if error is not None and (not payload or payload.startswith(b'{"error"')):
            raise error
