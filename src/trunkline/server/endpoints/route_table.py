"""Which route stands at which path: the tables of the data plane.

:mod:`trunkline.server.http.routes` looks paths up in them.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Concatenate, Final, Protocol, TypeAlias

from trunkline.dialects import anthropic, ollama, openai, responses
from trunkline.server.endpoints import anthropic as anthropic_pages
from trunkline.server.endpoints import conversations, pages, providers, stored_responses
from trunkline.server.endpoints.ollama import fleet, management
from trunkline.server.endpoints.ollama import pages as ollama_pages
from trunkline.server.http.async_handler import RequestContext
from trunkline.server.http.page import Answer, Headers, Page
from trunkline.server.http.routes import (
    Access,
    AsyncRoute,
    Methods,
    ModelRoute,
    PageMethods,
    PathPattern,
    RenderError,
    RouteTable,
    SyncRoute,
)


class EndpointServices(
    pages.Versioned,
    pages.Readiness,
    pages.MetricsSource,
    providers.GatewayHealth,
    stored_responses.StoredResponses,
    ollama_pages.OllamaModels,
    fleet.ManagedFleet,
    Protocol,
):
    """What all endpoints together need of the gateway. mypy checks here that none needs more."""


SyncEndpoint: TypeAlias = Callable[Concatenate[EndpointServices, Headers, ...], Page]
AsyncEndpoint: TypeAlias = Callable[Concatenate[RequestContext[EndpointServices], ...], Awaitable[Answer]]


def _page(
    answer: SyncEndpoint,
    render: RenderError = openai.error_body,
    *,
    requires_key: bool = True,
    takes_key: bool = False,
    takes_query: bool = False,
) -> PageMethods:
    """A page is there for GET, and for HEAD as well (RFC 9110, 9.3.2)."""
    route = SyncRoute(answer, requires_key, render=render, takes_key=takes_key, takes_query=takes_query)
    return {"GET": route, "HEAD": route}


def _async_page(run: AsyncEndpoint, access: Access, render: RenderError = openai.error_body) -> PageMethods:
    route = AsyncRoute(run, access, render=render)
    return {"GET": route, "HEAD": route}


def _task(run: AsyncEndpoint, access: Access, render: RenderError = openai.error_body) -> AsyncRoute:
    return AsyncRoute(run, access, render=render)


def _manage(run: AsyncEndpoint, *, streams_body: bool = False) -> AsyncRoute:
    """Management of Ollama's models is an admin's."""
    return AsyncRoute(run, "manages", streams_body=streams_body, render=ollama.error_body)


OWN: Final[Mapping[str, Methods]] = {
    "/": _page(pages.root, requires_key=False),
    "/health": _page(pages.health, requires_key=False),
    "/healthz": _page(pages.health, requires_key=False),
    "/health/live": _page(pages.health, requires_key=False),
    "/health/ready": _page(pages.ready, requires_key=False),
    "/health/detailed": _page(providers.detailed_health, requires_key=False),
    "/metrics": _page(pages.metrics, takes_key=True),
}
"""The gateway's own paths."""

SURFACES: Final[Mapping[str, RenderError]] = {
    "/v1/messages": anthropic.error_body,
    "/v1": openai.error_body,
    "/api": ollama.error_body,
}
"""Beginnings of the dialects' paths, and the shape of errors below each. Where two fit, the first one
counts."""

DIALECTS: Final[Mapping[str, Methods]] = {
    "/v1/chat/completions": {"POST": ModelRoute(openai.CHAT)},
    "/v1/completions": {"POST": ModelRoute(openai.COMPLETIONS)},
    "/v1/embeddings": {"POST": ModelRoute(openai.EMBEDDINGS)},
    "/v1/responses": {"POST": ModelRoute(responses.RESPONSES)},
    "/v1/responses/input_tokens": {"POST": _task(stored_responses.count_input_tokens, "own")},
    "/v1/responses/compact": {"POST": _task(stored_responses.compact, "own")},
    "/v1/conversations": {"POST": _task(conversations.create, "own")},
    "/v1/messages": {"POST": ModelRoute(anthropic.MESSAGES)},
    "/v1/messages/count_tokens": {"POST": _task(anthropic_pages.count_tokens, "asks", anthropic.error_body)},
    "/v1/models": _page(anthropic_pages.list_models, takes_key=True, takes_query=True),
    "/v1/providers": _page(providers.list_providers, takes_key=True),
    "/v1/providers/health-check": {"POST": _task(providers.check_health, "looks")},
    "/v1/explain": _async_page(providers.explain_model, "shows"),
    "/api/chat": {"POST": ModelRoute(ollama.CHAT)},
    "/api/generate": {"POST": ModelRoute(ollama.GENERATE)},
    "/api/embed": {"POST": ModelRoute(ollama.EMBED)},
    "/api/embeddings": {"POST": ModelRoute(ollama.EMBEDDINGS)},
    "/api/version": _page(ollama_pages.version, ollama.error_body, requires_key=False),
    "/api/status": _page(ollama_pages.status, ollama.error_body),
    "/api/tags": _page(ollama_pages.tags, ollama.error_body, takes_key=True),
    "/api/ps": _async_page(ollama_pages.ps, "looks", ollama.error_body),
    "/api/show": {"POST": _task(ollama_pages.show, "looks", ollama.error_body)},
    "/api/me": {"POST": _task(ollama_pages.me, "own", ollama.error_body)},
    "/api/signout": {"POST": _task(ollama_pages.sign_out, "own", ollama.error_body)},
    "/api/pull": {"POST": _manage(management.pull)},
    "/api/push": {"POST": _manage(management.push)},
    "/api/create": {"POST": _manage(management.create)},
    "/api/copy": {"POST": _manage(management.copy)},
    "/api/delete": {"DELETE": _manage(management.delete)},
}
"""The dialects' paths. Each is there once more below the name of every provider."""

OTHERS: Final[Mapping[str, Methods]] = {
    f"/v1{path}": {
        method: ModelRoute(openai.RelayFront(path, method), requires_admin=path == "/files")
        for method in methods
    }
    for path, methods in openai.RELAYED_PATHS.items()
}
"""OpenAI's other paths, for providers that have them. Each is there below every provider's name, too. Files
are an admin's: upstream they belong to the provider's key, and so to everybody here."""


def _file_methods(path: str) -> Mapping[str, ModelRoute]:
    below = path.removeprefix("/v1")
    return {
        method: ModelRoute(openai.RelayFront(below, method), requires_admin=True)
        for method in openai.FILE_METHODS
    }


PATTERNS: Final = (PathPattern(re.compile(f"/v1{openai.FILE_PATH.pattern}"), _file_methods),)
"""Paths of single files at OpenAI's API."""

PREFIXES: Final[Mapping[str, tuple[str, PageMethods]]] = {
    "/v1/models/": ("model", _page(anthropic_pages.show_model, takes_key=True)),
    "/v1/responses/": (
        "response_id",
        {"GET": _task(stored_responses.show, "own"), "DELETE": _task(stored_responses.delete, "own")},
    ),
    "/v1/conversations/": (
        "conversation_path",
        {
            "GET": _task(conversations.read, "own"),
            "POST": _task(conversations.change, "own"),
            "DELETE": _task(conversations.delete, "own"),
        },
    ),
    "/v1/providers/": ("rest", _page(providers.provider_models, takes_key=True)),
    "/api/blobs/": (
        "digest",
        {"HEAD": _manage(management.has_blob), "POST": _manage(management.put_blob, streams_body=True)},
    ),
}
"""Beginnings of paths whose rest is an argument, with the argument's name."""

SUFFIXES: Final[Mapping[str, Mapping[str, PageMethods]]] = {
    "/v1/responses/": {
        "/input_items": {"GET": _task(stored_responses.input_items, "own")},
        "/cancel": {"POST": _task(stored_responses.cancel, "own")},
    },
}
"""What may stand after the argument of a prefix."""

LOOPBACK: Final = ("/", "/api")
"""What a page may ask that this machine serves: Ollama allows that, and such pages count on it. They need a
key as everybody does."""

MARKS: Final[Mapping[bytes, RenderError]] = {anthropic_pages.VERSION: anthropic.error_body}
"""Headers by which a dialect's clients are known, and the shape of errors for them where nothing is."""


def make_route_table(*, metrics_public: bool = False, stores_responses: bool = False) -> RouteTable:
    """The table for one configuration.

    Args:
        metrics_public: the metrics need no key.
        stores_responses: a request may go on from an earlier response.
    """
    own, dialects = {**OWN}, {**DIALECTS, **OTHERS}
    if metrics_public:
        own["/metrics"] = _page(pages.metrics, requires_key=False)
    if stores_responses:
        front = responses.ResponsesFront(stored=True)
        dialects["/v1/responses"] = {"POST": ModelRoute(front, stores_response=True)}
    return RouteTable(
        own=own,
        surfaces=SURFACES,
        dialects=dialects,
        patterns=PATTERNS,
        prefixes=PREFIXES,
        suffixes=SUFFIXES,
        loopback=LOOPBACK,
        marks=MARKS,
    )
