"""What every shape offers to the mock server, and what it is given.

A shape is one vendor's API: its routes, its checks, its wire form, its words for errors. It gets a
:class:`Call` and a script and returns a reply; it never sees a connection, and never misbehaves by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeAlias

import msgspec

from trunkline_mock.delivery import Frame, Reply
from trunkline_mock.faults import Voice
from trunkline_mock.magic import magic_names, magic_script
from trunkline_mock.script import MockModel, Script

_ENCODE: Final = msgspec.json.Encoder().encode


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request, read."""

    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    data: dict[str, Any]
    """The body's JSON object; empty where the route takes none."""
    rest: str = ""
    """What follows the route's prefix in the path (an id)."""


class RefusalError(Exception):
    """The vendor would answer this request with an error."""

    def __init__(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param


Handler: TypeAlias = Callable[[Call, Script], Reply]


class Route(msgspec.Struct, frozen=True):
    """One method of one path."""

    handler: Handler
    inference: bool = False
    """The mock's scripts apply to it."""
    reads: bool = False
    """It takes a JSON object."""


class Routes:
    """Paths to routes: exact ones, and prefixes whose rest is an id (which may contain slashes)."""

    def __init__(
        self,
        exact: Mapping[str, Mapping[str, Route]],
        prefixes: Mapping[str, Mapping[str, Route]] | None = None,
    ) -> None:
        self._exact = exact
        self._prefixes = prefixes or {}

    def find(self, method: str, path: str) -> tuple[Route, str]:
        """The route, and the rest of the path after its prefix.

        Raises:
            RefusalError: 404, or 405 where the path exists for another method.
        """
        methods = self._exact.get(path)
        rest = ""
        if methods is None:
            for prefix, candidates in self._prefixes.items():
                if path.startswith(prefix) and len(path) > len(prefix):
                    methods, rest = candidates, path[len(prefix) :]
                    break
            else:
                raise RefusalError(404, f"Unknown request URL: {method} {path}", code="unknown_url")
        route = methods.get(method) or (methods.get("GET") if method == "HEAD" else None)
        if route is None:
            raise RefusalError(405, f"Method {method} is not allowed for {path}", code="method_not_allowed")
        return route, rest


class Catalog:
    """The models that a mock has. Magic names are always served, and listed if so wished."""

    def __init__(
        self,
        models: Sequence[MockModel],
        *,
        any_model: bool = False,
        list_magic: bool = False,
        key: Callable[[str], str] = str,
    ) -> None:
        self._key = key
        self._any = any_model
        self._models = {key(model.name): model for model in models}
        if list_magic:
            self._models |= {key(name): MockModel(name) for name in magic_names()}

    def all(self) -> list[MockModel]:
        """Every listed model, in order."""
        return list(self._models.values())

    def find(self, name: str) -> MockModel | None:
        """The model of that name."""
        model = self._models.get(self._key(name))
        if model is None and (self._any or magic_script(name) is not None):
            return MockModel(name)
        return model

    def add(self, model: MockModel) -> None:
        """Add or replace a model."""
        self._models[self._key(model.name)] = model

    def remove(self, name: str) -> bool:
        """Take a model away; whether it was there."""
        return self._models.pop(self._key(name), None) is not None


class Shape(Voice, Protocol):
    """One vendor's API."""

    @property
    def name(self) -> str:
        """What users call it: ``ollama``, ``openai`` …"""

    @property
    def base_path(self) -> str:
        """The path of the address that clients are configured with (``/v1``, or nothing)."""

    @property
    def catalog(self) -> Catalog:
        """Its models."""

    @property
    def key_header(self) -> str:
        """The header that carries a key besides ``authorization``; empty if there is none."""

    @property
    def decisive_headers(self) -> tuple[bytes, ...]:
        """Lower-case names of the headers that the answer to a request depends on."""

    def at(self, path: str) -> Shape:
        """The shape that answers under ``path``: itself, or one that lives in a corner of it."""

    def find(self, method: str, path: str) -> tuple[Route, str]:
        """The route of a request; raises :class:`RefusalError`."""

    def read(self, body: bytes) -> dict[str, Any]:
        """The body's JSON object; raises :class:`RefusalError` in the vendor's words."""

    def refuse(self, refusal: RefusalError) -> Reply:
        """The vendor's error answer for ``refusal``."""


def json_reply(value: Any, *, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """A whole JSON answer that is not a model's."""
    return Reply(frames=(Frame(_ENCODE(value)),), status=status, headers=headers)


def encode(value: Any) -> bytes:
    """``value`` as compact JSON."""
    return _ENCODE(value)


def sse(value: Any) -> bytes:
    """``value`` as a server-sent event."""
    return b"data: %b\n\n" % _ENCODE(value)


def line(value: Any) -> bytes:
    """``value`` as a line of NDJSON."""
    return _ENCODE(value) + b"\n"
