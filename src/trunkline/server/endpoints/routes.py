"""What stands at which path: the tables of the data plane.

An entry puts a question to a model (:class:`ModelRoute`), tells what the gateway knows itself
(:class:`SyncRoute`), or has something done that takes its time (:class:`AsyncRoute`). ``/{provider}/…``
before a path of a dialect pins the provider. A path that is not here belongs to FastAPI, unless it lies on a
surface of the data plane: then the error is in that surface's own shape.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from typing import Final, NamedTuple, TypeAlias

from trunkline.dialects import anthropic, ollama, openai, responses
from trunkline.dialects.base import Front
from trunkline.errors import (
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    PROVIDER_NOT_CONFIGURED,
    CallerError,
    GatewayError,
)
from trunkline.policy.auth import redact_path
from trunkline.routing.resolve import not_configured
from trunkline.server.endpoints import anthropic as messages
from trunkline.server.endpoints import pages, providers
from trunkline.server.endpoints import stored_responses as kept
from trunkline.server.endpoints.ollama import management
from trunkline.server.endpoints.ollama import pages as native
from trunkline.server.http.async_handler import Run
from trunkline.settings import BUILT_IN_PROVIDERS

Render: TypeAlias = Callable[[GatewayError], bytes]
"""An error's body in the shape of a surface."""


class ModelRoute(NamedTuple):
    """A question to a model."""

    front: Front
    only: str | None = None
    """The provider that the path names."""
    admin: bool = False
    """Needs an admin's key."""

    def render(self, error: GatewayError) -> bytes:
        """An error's body in the front's dialect."""
        return self.front.error_body(error)

    def pinned(self, provider: str) -> ModelRoute:
        """The same, at one provider."""
        return self._replace(only=provider)


class SyncRoute(NamedTuple):
    """Something that the gateway knows itself."""

    answer: Callable[..., pages.Page]
    """Called with the gateway, the request's headers, and the path's arguments (see ``PATTERNS``)."""
    open: bool = False
    """Needs no key."""
    arguments: Mapping[str, str] = {}
    render: Render = openai.error_body
    personal: bool = False
    """Tells each key its own: ``answer`` is given the key too."""

    def pinned(self, provider: str) -> SyncRoute:
        """The same, of one provider."""
        return self._replace(arguments={**self.arguments, "only": provider})


class AsyncRoute(NamedTuple):
    """Something that takes its time, because upstreams are asked."""

    run: Run
    """Called with the visit and the path's arguments (see ``PATTERNS``)."""
    admin: bool = False
    """Needs an admin's key."""
    streams: bool = False
    """Takes its body piece by piece, however large."""
    arguments: Mapping[str, str] = {}
    render: Render = ollama.error_body

    def pinned(self, provider: str) -> AsyncRoute:
        """The same, at one provider."""
        return self._replace(arguments={**self.arguments, "only": provider})


class ErrorRoute(NamedTuple):
    """An error in the shape of the surface on which the path lies."""

    error: GatewayError
    allow: bytes = b""
    """Value of the header ``allow``: the methods that the path has."""
    render: Render = openai.error_body


Route: TypeAlias = ModelRoute | SyncRoute | AsyncRoute | ErrorRoute
Methods: TypeAlias = Mapping[str, ModelRoute | SyncRoute | AsyncRoute]


def _page(
    answer: Callable[..., pages.Page],
    *,
    open: bool = False,
    render: Render = openai.error_body,
    personal: bool = False,
) -> Methods:
    """A page is there for GET, and for HEAD as well (RFC 9110, 9.3.2)."""
    tell = SyncRoute(answer, open, render=render, personal=personal)
    return {"GET": tell, "HEAD": tell}


def _async_page(run: Run, render: Render = ollama.error_body) -> Methods:
    return {"GET": AsyncRoute(run, render=render), "HEAD": AsyncRoute(run, render=render)}


def _told(answer: Callable[..., pages.Page], *, open: bool = False, personal: bool = False) -> Methods:
    return _page(answer, open=open, render=ollama.error_body, personal=personal)


OWN: Final[Mapping[str, Methods]] = {
    "/": _page(pages.root, open=True),
    "/health": _page(pages.health, open=True),
    "/healthz": _page(pages.health, open=True),
    "/health/live": _page(pages.health, open=True),
    "/health/ready": _page(pages.ready, open=True),
    "/health/detailed": _page(providers.detailed, open=True),
    "/metrics": _page(pages.metrics),
}
"""The gateway's own paths."""

SURFACES: Final[Mapping[str, Render]] = {
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
    "/v1/responses/input_tokens": {"POST": AsyncRoute(kept.count, render=openai.error_body)},
    "/v1/responses/compact": {"POST": AsyncRoute(kept.compact, render=openai.error_body)},
    "/v1/messages": {"POST": ModelRoute(anthropic.MESSAGES)},
    "/v1/messages/count_tokens": {"POST": AsyncRoute(messages.count_tokens, render=anthropic.error_body)},
    "/v1/models": _page(messages.list_models, personal=True),
    "/v1/providers": _page(providers.list_providers),
    "/v1/providers/health-check": {"POST": AsyncRoute(providers.check_health, render=openai.error_body)},
    "/v1/explain": _async_page(providers.explained, openai.error_body),
    "/api/chat": {"POST": ModelRoute(ollama.CHAT)},
    "/api/generate": {"POST": ModelRoute(ollama.GENERATE)},
    "/api/embed": {"POST": ModelRoute(ollama.EMBED)},
    "/api/embeddings": {"POST": ModelRoute(ollama.EMBEDDINGS)},
    "/api/version": _told(native.version, open=True),
    "/api/status": _told(native.status),
    "/api/tags": _told(native.tags, personal=True),
    "/api/ps": _async_page(native.ps),
    "/api/show": {"POST": AsyncRoute(native.show)},
    "/api/me": {"POST": AsyncRoute(native.me)},
    "/api/signout": {"POST": AsyncRoute(native.sign_out)},
    "/api/pull": {"POST": AsyncRoute(management.pull, admin=True)},
    "/api/push": {"POST": AsyncRoute(management.push, admin=True)},
    "/api/create": {"POST": AsyncRoute(management.create, admin=True)},
    "/api/copy": {"POST": AsyncRoute(management.copy, admin=True)},
    "/api/delete": {"DELETE": AsyncRoute(management.delete, admin=True)},
}
"""The dialects' paths; each is there once more below the name of every provider."""

OTHERS: Final[Mapping[str, Methods]] = {
    f"/v1{path}": {
        method: ModelRoute(openai.RelayFront(path, method), admin=path == "/files") for method in methods
    }
    for path, methods in openai.RELAYED_PATHS.items()
}
"""OpenAI's other paths, for providers that have them; each is there below every provider's name, too. Files
are an admin's: upstream they belong to the provider's key, and so to everybody here."""

PATTERNS: Final[Mapping[str, tuple[str, Methods]]] = {
    "/v1/models/": ("model", _page(messages.show_model, personal=True)),
    "/v1/responses/": (
        "number",
        {
            "GET": AsyncRoute(kept.show, render=openai.error_body),
            "DELETE": AsyncRoute(kept.delete, render=openai.error_body),
        },
    ),
    "/v1/providers/": ("rest", _page(providers.provider_models)),
    "/api/blobs/": (
        "digest",
        {
            "HEAD": AsyncRoute(management.has_blob, admin=True),
            "POST": AsyncRoute(management.put_blob, admin=True, streams=True),
        },
    ),
}
"""Beginnings of paths whose rest is an argument, with the argument's name."""

ENDINGS: Final[Mapping[str, Mapping[str, Methods]]] = {
    "/v1/responses/": {
        "/input_items": {"GET": AsyncRoute(kept.input_items, render=openai.error_body)},
        "/cancel": {"POST": AsyncRoute(kept.cancel, render=openai.error_body)},
    },
}
"""What may stand after the argument of a pattern."""


_SURFACE: Final[Mapping[str, Methods]] = {**DIALECTS, **OTHERS}

_LONGEST_MISTAKE: Final = 128
"""Characters of a path that a likeness is looked for in: nobody without a key shall have much of our time."""


class Routes:
    """Looks up paths; made once per configuration."""

    def __init__(
        self, names: Collection[str], *, metrics_public: bool = False, keeps_responses: bool = False
    ) -> None:
        """Of the providers ``names``; ``keeps_responses``: a request may go on from an earlier one."""
        self._providers = frozenset(names)
        self._exact: dict[tuple[str, str], Route] = {}
        for path, methods in OWN.items():
            for method, route in methods.items():
                public = path == "/metrics" and metrics_public
                self._exact[method, path] = SyncRoute(pages.metrics, open=True) if public else route
        for method, route in OWN["/"].items():  # Ollama's command line begins there, whatever its address
            for name in names:
                for path in f"/{name}", f"/{name}/":
                    self._exact.setdefault((method, path), route)
        for path, methods in _SURFACE.items():
            for method, route in methods.items():
                if keeps_responses and isinstance(route, ModelRoute) and route.front is responses.RESPONSES:
                    route = route._replace(front=responses.ResponsesFront(stored=True))
                self._exact[method, path] = route
                for provider in names:
                    self._exact[method, f"/{provider}{path}"] = route.pinned(provider)

    def find(self, method: str, path: str) -> Route | None:
        """What stands at ``path``; None leaves it to FastAPI."""
        route = self._exact.get((method, path))
        return route if route is not None else self._find_slowly(method, path)

    def _find_slowly(self, method: str, path: str) -> Route | None:
        if path in OWN:
            return _wrong_method(method, path, OWN[path], openai.error_body)
        only, rest, render = self._split(path)
        if render is None:
            return None
        if only is not None and only not in self._providers:
            return ErrorRoute(CallerError(not_configured(only), PROVIDER_NOT_CONFIGURED), render=render)
        if rest in _SURFACE:
            return _wrong_method(method, path, _SURFACE[rest], render)
        if openai.FILE_PATH.fullmatch(rest[3:]):
            asks = {
                each: ModelRoute(openai.RelayFront(rest[3:], each), admin=True)
                for each in openai.FILE_METHODS
            }
            ask = asks.get(method)
            if ask is None:
                return _wrong_method(method, path, asks, render)
            return ask if only is None else ask.pinned(only)
        for beginning, (argument, methods) in PATTERNS.items():
            value = rest.removeprefix(beginning)
            if value and value != rest:
                for ending, others in ENDINGS.get(beginning, {}).items():
                    if len(value) > len(ending) and value.endswith(ending):
                        value, methods = value.removesuffix(ending), others
                route = methods.get(method)
                if route is None or isinstance(route, ModelRoute):
                    return _wrong_method(method, path, methods, render)
                route = route._replace(arguments={argument: value})
                return route if only is None else route.pinned(only)
        return ErrorRoute(self.nothing_at(path), render=render)

    def nothing_at(self, path: str) -> CallerError:
        """That there is nothing at ``path``, and which path may have been meant."""
        meant = self._meant(path) if len(path) <= _LONGEST_MISTAKE else None
        hint = f"; did you mean {meant}?" if meant else ""
        return CallerError(f"There is nothing at {redact_path(path)}{hint}", NOT_FOUND)

    def _meant(self, path: str) -> str | None:
        """Mostly a base address has a /v1 too many or lacks one."""
        first, _, rest = path[1:].rstrip("/").partition("/")
        if f"/{rest}" in _SURFACE:
            near = get_close_matches(first, self._providers, n=1)
            return f"/{near[0]}/{rest}" if near else f"/{rest}"
        pin, rest = (f"/{first}", f"/{rest}") if first in self._providers else ("", path.rstrip("/"))
        ends = (rest[at:] for at, letter in enumerate(rest) if letter == "/")
        close: list[str] = get_close_matches(rest, _SURFACE, n=1, cutoff=0.9)
        for each in (f"/v1{rest}", *ends, *close):
            if each in _SURFACE:
                return pin + each
        return None

    def _split(self, path: str) -> tuple[str | None, str, Render | None]:
        """(provider, path without it, the surface's errors), or no errors where it is on no surface."""
        for surface, render in SURFACES.items():
            if f"{path}/".startswith(f"{surface}/"):
                return None, path, render
        first, slash, rest = path[1:].partition("/")
        if slash and (first in self._providers or first in BUILT_IN_PROVIDERS):
            for surface, render in SURFACES.items():
                if f"/{rest}/".startswith(f"{surface}/"):
                    return first, f"/{rest}", render
        return None, path, None


def _wrong_method(method: str, path: str, methods: Methods, render: Render) -> ErrorRoute:
    allow = ", ".join(methods)
    text = f"{method} is not allowed at {redact_path(path)}; use {allow}"
    return ErrorRoute(CallerError(text, METHOD_NOT_ALLOWED), allow.encode(), render)
