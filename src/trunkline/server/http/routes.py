"""The kinds of routes, and the look-up of the route at a path.

A :class:`RouteTable` holds the routes. ``/{provider}/…`` before a path of a dialect pins the provider. A path
at which nothing stands is looked up once more in its usual spelling (:mod:`.addresses`). If nothing stands
there either, it belongs to FastAPI, unless it lies below one of the table's surfaces: then the error has the
shape of that surface.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import ClassVar, Final, Literal, NamedTuple, TypeAlias

import msgspec

from trunkline.dialects import openai
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
from trunkline.server.http import addresses
from trunkline.server.http.page import Answer, Page
from trunkline.settings import BUILT_IN_PROVIDERS

RenderError: TypeAlias = Callable[[GatewayError], bytes]
"""Makes an error's body in the shape of a surface."""

SyncEndpoint: TypeAlias = Callable[..., Page]
"""Called with the gateway's services, the request's headers, and the path's arguments by name."""

AsyncEndpoint: TypeAlias = Callable[..., Awaitable[Answer]]
"""Called with a :class:`~.async_handler.RequestContext`, and the path's arguments by name."""


Access: TypeAlias = Literal["own", "shows", "looks", "asks", "manages"]
"""What a route does for its caller, which says what is checked before it is done.

- ``own``: reads or changes what the gateway stores for this very key.
- ``shows``: tells what the gateway knows; the endpoint leaves out what the key may not use.
- ``looks``: asks upstreams about models. It counts as a request of the key's limits.
- ``asks``: besides, content of the client's is sent to an upstream: not for keys that may read only.
- ``manages``: changes which models upstreams have. It is an admin's, and counts as a request.

In the last three the endpoint asks only upstreams that the key may reach, for models that it may use.
"""


class ModelRoute(msgspec.Struct, frozen=True):
    """Asks a model."""

    front: Front
    only: str | None = None
    """The provider that the path names."""
    requires_admin: bool = False
    stores_response: bool = False
    """The response is kept for a later turn."""

    access: ClassVar[Access] = "asks"
    asks_model: ClassVar[Literal[True]] = True
    sends_content: ClassVar[bool] = True
    is_async: ClassVar[Literal[False]] = False
    requires_key: ClassVar[bool] = True
    streams_body: ClassVar[bool] = False
    error: ClassVar[GatewayError | None] = None

    def render(self, error: GatewayError) -> bytes:
        """An error's body in the front's dialect."""
        return self.front.error_body(error)

    def extra_lines(self, request_id: bytes) -> bytes:
        """Header lines of an answer that the gateway gives itself."""
        name = self.front.conventions.id_header
        return b"" if name is None else b"%b: %b\r\n" % (name, request_id)

    def pinned(self, provider: str) -> ModelRoute:
        """The same at one provider."""
        return msgspec.structs.replace(self, only=provider)


class SyncRoute(msgspec.Struct, frozen=True):
    """Answers at once, from what the gateway knows."""

    answer: SyncEndpoint
    requires_key: bool = True
    arguments: Mapping[str, str] = {}
    render: RenderError = openai.error_body
    takes_key: bool = False
    """The answer depends on the key: ``answer`` is called with it too."""
    takes_query: bool = False
    """``answer`` is called with the parameters of the query too."""

    access: ClassVar[Access] = "shows"
    asks_model: ClassVar[Literal[False]] = False
    sends_content: ClassVar[bool] = False
    is_async: ClassVar[Literal[False]] = False
    requires_admin: ClassVar[bool] = False
    streams_body: ClassVar[bool] = False
    error: ClassVar[GatewayError | None] = None

    def extra_lines(self, request_id: bytes) -> bytes:
        """Header lines of the answer: none."""
        return b""

    def with_argument(self, name: str, value: str) -> SyncRoute:
        """The same with one more argument of the path."""
        return msgspec.structs.replace(self, arguments={**self.arguments, name: value})

    def pinned(self, provider: str) -> SyncRoute:
        """The same for one provider."""
        return self.with_argument("only", provider)


class AsyncRoute(msgspec.Struct, frozen=True):
    """Takes its time, because upstreams are asked."""

    run: AsyncEndpoint
    access: Access
    streams_body: bool = False
    """Takes its body piece by piece, however large."""
    arguments: Mapping[str, str] = {}
    render: RenderError = openai.error_body

    asks_model: ClassVar[Literal[False]] = False
    is_async: ClassVar[Literal[True]] = True
    requires_key: ClassVar[bool] = True
    error: ClassVar[GatewayError | None] = None

    @property
    def requires_admin(self) -> bool:
        """Only an admin may have it."""
        return self.access == "manages"

    @property
    def sends_content(self) -> bool:
        """Content of the client's goes to an upstream."""
        return self.access == "asks"

    @property
    def is_counted(self) -> bool:
        """It takes one of the requests that the key's limits allow."""
        return self.access in ("looks", "asks", "manages")

    def extra_lines(self, request_id: bytes) -> bytes:
        """Header lines of the answer: none."""
        return b""

    def with_argument(self, name: str, value: str) -> AsyncRoute:
        """The same with one more argument of the path."""
        return msgspec.structs.replace(self, arguments={**self.arguments, name: value})

    def pinned(self, provider: str) -> AsyncRoute:
        """The same at one provider."""
        return self.with_argument("only", provider)


class ErrorRoute(msgspec.Struct, frozen=True):
    """Refuses, in the shape of the surface on which the path lies."""

    error: GatewayError
    allow: bytes = b""
    """Value of the header ``allow``: the methods that the path has."""
    render: RenderError = openai.error_body

    access: ClassVar[Access] = "own"
    asks_model: ClassVar[Literal[False]] = False
    sends_content: ClassVar[bool] = False
    is_async: ClassVar[Literal[False]] = False
    requires_key: ClassVar[bool] = True
    requires_admin: ClassVar[bool] = False
    streams_body: ClassVar[bool] = False

    def extra_lines(self, request_id: bytes) -> bytes:
        """The header ``allow``, where the path is there and the method is wrong."""
        return b"allow: %b\r\n" % self.allow if self.allow else b""


Route: TypeAlias = ModelRoute | SyncRoute | AsyncRoute | ErrorRoute
Methods: TypeAlias = Mapping[str, ModelRoute | SyncRoute | AsyncRoute]
PageMethods: TypeAlias = Mapping[str, SyncRoute | AsyncRoute]


class PathPattern(NamedTuple):
    """A family of paths, each with a front of its own."""

    expression: re.Pattern[str]
    methods: Callable[[str], Mapping[str, ModelRoute]]
    """Makes the routes of one path."""


class RouteTable(msgspec.Struct, frozen=True, kw_only=True):
    """All routes of one configuration, by path and method."""

    own: Mapping[str, Methods]
    """The gateway's own paths. That of ``/`` is there below the name of every provider too."""
    surfaces: Mapping[str, RenderError]
    """Beginnings of the dialects' paths, and the shape of errors below each. Where two fit, the first one
    counts."""
    dialects: Mapping[str, Methods]
    """The dialects' paths. Each is there below the name of every provider too, as is everything below."""
    patterns: Sequence[PathPattern] = ()
    prefixes: Mapping[str, tuple[str, PageMethods]] = {}
    """Beginnings of paths whose rest is an argument, with the argument's name."""
    suffixes: Mapping[str, Mapping[str, PageMethods]] = {}
    """What may stand after the argument of a prefix."""
    loopback: Collection[str] = ()
    """Surfaces, and own paths, that a page may ask which this machine serves (CORS)."""
    marks: Mapping[bytes, RenderError] = {}
    """Headers by which a dialect's clients are known, and the shape of errors for them where nothing is."""


class _Split(NamedTuple):
    """A path in two."""

    provider: str | None
    rest: str
    """The path without the provider."""
    render: RenderError | None
    """Renders errors there; None: it is below no surface."""


_LONGEST_MISTAKE: Final = 128
"""Characters of a path for which a similar one is looked up: a request without a key must not take much
time."""


class Routes:
    """Looks up paths. Made once per configuration."""

    def __init__(self, providers: Collection[str], table: RouteTable) -> None:
        """Put the routes of all paths that are known in full into one dictionary.

        Args:
            providers: their names.
            table: the routes.
        """
        self._providers = frozenset(providers)
        self._table = table
        self.exact: dict[tuple[str, str], Route] = {}
        """The routes of all paths that are known in full, by method and path."""
        for path, methods in table.own.items():
            for method, route in methods.items():
                self.exact[method, path] = route
        for method, route in table.own["/"].items():  # Ollama's command line asks for it at any base address
            for provider in providers:
                for path in f"/{provider}", f"/{provider}/":
                    self.exact.setdefault((method, path), route)
        for path, methods in table.dialects.items():
            for method, route in methods.items():
                self.exact[method, path] = route
                for provider in providers:
                    self.exact[method, f"/{provider}{path}"] = route.pinned(provider)

    def find(self, method: str, path: str) -> Route | None:
        """The route at ``path``; None leaves it to FastAPI."""
        route = self.exact.get((method, path))
        return route if route is not None else self._find_slowly(method, path)

    def _find_slowly(self, method: str, path: str) -> Route | None:
        route = self._find_as_written(method, path)
        if route is not None:
            return route
        for spelling in addresses.spellings(path, self._pins):
            route = self.exact.get((method, spelling)) or self._find_as_written(method, spelling)
            if route is not None:
                return route
        for spelling in path, addresses.plain(path):
            render = self._split(spelling).render
            if render is not None:
                return msgspec.structs.replace(self.nothing_at(path), render=render)
        return None

    def _find_as_written(self, method: str, path: str) -> Route | None:
        """What stands at this very path; None if nothing does, or FastAPI may know it."""
        table = self._table
        if path in table.own:
            return _wrong_method(method, path, table.own[path], openai.error_body)
        provider, rest, render = self._split(path)
        if render is None:
            return None
        if provider is not None and provider not in self._providers:
            error = CallerError(not_configured(provider), PROVIDER_NOT_CONFIGURED)
            return ErrorRoute(error, render=render)
        methods = table.dialects.get(rest) or self._match(rest)
        if methods is not None:
            route = methods.get(method)
            if route is None:
                return _wrong_method(method, path, methods, render)
            return route if provider is None else route.pinned(provider)
        for prefix, (argument, pages) in table.prefixes.items():
            value = rest[len(prefix) :].rstrip("/") if rest.startswith(prefix) else ""
            if value:
                for suffix, others in table.suffixes.get(prefix, {}).items():
                    if len(value) > len(suffix) and value.endswith(suffix):
                        value, pages = value.removesuffix(suffix), others
                page = pages.get(method)
                if page is None:
                    return _wrong_method(method, path, pages, render)
                page = page.with_argument(argument, value)
                return page if provider is None else page.pinned(provider)
        return None

    def _pins(self, name: str) -> bool:
        """Whether a path that begins with this name is about a provider."""
        return name in self._providers or name in BUILT_IN_PROVIDERS

    def for_client(self, route: ErrorRoute, headers: Mapping[bytes, bytes]) -> ErrorRoute:
        """``route`` in the shape of the client's dialect, where its headers say which that is."""
        for mark, render in self._table.marks.items():
            if mark in headers:
                return msgspec.structs.replace(route, render=render)
        return route

    def refusing(self, error: GatewayError, method: str, path: str) -> ErrorRoute:
        """The refusal of a request, in the shape of errors at its path."""
        found = self.find(method, path)
        return ErrorRoute(error, render=openai.error_body if found is None else found.render)

    def allows_loopback(self, path: str) -> bool:
        """Whether a page that this machine serves may ask ``path``, whatever the settings say."""
        path = addresses.plain(path)
        below = tuple(f"{each}/" for each in self._table.loopback)
        return path in self._table.loopback or self._split(path).rest.startswith(below)

    def _match(self, path: str) -> Methods | None:
        for expression, make in self._table.patterns:
            if expression.fullmatch(path):
                return make(path)
        return None

    def nothing_at(self, path: str) -> ErrorRoute:
        """The refusal of a path without a route. It suggests a similar path, and has the shape of errors
        there."""
        similar = self._similar(path) if len(path) <= _LONGEST_MISTAKE else None
        hint = f"; did you mean {similar}?" if similar else ""
        render = self._split(similar).render if similar else None
        error = CallerError(f"There is nothing at {redact_path(path)}{hint}", NOT_FOUND)
        return ErrorRoute(error, render=render or openai.error_body)

    def _similar(self, path: str) -> str | None:
        """The path of a dialect to suggest."""
        paths = self._table.dialects
        first, _, rest = path[1:].rstrip("/").partition("/")
        if f"/{rest}" in paths:
            near = get_close_matches(first, self._providers, n=1)
            return f"/{near[0]}/{rest}" if near else f"/{rest}"
        pin, rest = (f"/{first}", f"/{rest}") if first in self._providers else ("", path.rstrip("/"))
        ends = (rest[index:] for index, letter in enumerate(rest) if letter == "/")
        close: list[str] = get_close_matches(rest, paths, n=1, cutoff=0.9)
        for each in (*ends, *close):
            if each in paths:
                return pin + each
        return None

    def _split(self, path: str) -> _Split:
        for surface, render in self._table.surfaces.items():
            if f"{path}/".startswith(f"{surface}/"):
                return _Split(None, path, render)
        first, slash, rest = path[1:].partition("/")
        if slash and self._pins(first):
            for surface, render in self._table.surfaces.items():
                if f"/{rest}/".startswith(f"{surface}/"):
                    return _Split(first, f"/{rest}", render)
        return _Split(None, path, None)


def _wrong_method(method: str, path: str, methods: Methods, render: RenderError) -> ErrorRoute:
    allow = ", ".join(methods)
    text = f"{method} is not allowed at {redact_path(path)}; use {allow}"
    return ErrorRoute(CallerError(text, METHOD_NOT_ALLOWED), allow.encode(), render)
