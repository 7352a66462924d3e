"""What all shapes have in common: requests, routes, models, and the interface that the simulator uses.

A shape is one vendor's API: its routes, its validation, its wire format and its errors. It gets a
:class:`ParsedRequest` and a script and returns a response. It never uses a connection and never applies a
fault.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeAlias

import msgspec

from trunkline_mock.faults import ErrorFormat
from trunkline_mock.response import Record, Response
from trunkline_mock.script import MockModel, Script
from trunkline_mock.scripted_names import example_names, script_for_name

_encode: Final = msgspec.json.Encoder().encode


class ParsedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request whose route is known and whose body is decoded."""

    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    data: dict[str, Any]
    """The JSON object of the body; empty if the route takes none."""
    resource_id: str = ""
    """What follows the route's prefix in the path: a model's name or a blob's digest."""


class VendorError(Exception):
    """The error with which the vendor would refuse this request."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        message_object: dict[str, Any] | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        """``message_object`` stands in the place of the message, ``details`` beside it (Anthropic)."""
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.message_object = message_object
        self.details = details


Handler: TypeAlias = Callable[[ParsedRequest, Script], Response]


class Route(msgspec.Struct, frozen=True):
    """One method of one path."""

    handler: Handler
    inference: bool = False
    """Whether it asks a model. If so, all scripts apply, else only those of rules with a path."""
    takes_json: bool = False
    """Whether the request's body is a JSON object."""


class RouteTable:
    """The routes of a shape: exact paths, and prefixes that an id follows (which may contain slashes)."""

    def __init__(
        self,
        exact: Mapping[str, Mapping[str, Route]],
        prefixes: Mapping[str, Mapping[str, Route]] | None = None,
    ) -> None:
        self._exact = exact
        self._prefixes = prefixes or {}

    def find(self, method: str, path: str) -> tuple[Route, str]:
        """The route of a request, and the id that follows its prefix in the path.

        Raises:
            VendorError: Status 404, or 405 if the path exists for another method.
        """
        methods = self._exact.get(path)
        resource_id = ""
        if methods is None:
            for prefix, prefix_methods in self._prefixes.items():
                if path.startswith(prefix) and len(path) > len(prefix):
                    methods, resource_id = prefix_methods, path[len(prefix) :]
                    break
            else:
                raise VendorError(404, f"Unknown request URL: {method} {path}", code="unknown_url")
        route = methods.get(method) or (methods.get("GET") if method == "HEAD" else None)
        if route is None:
            raise VendorError(405, f"Method {method} is not allowed for {path}", code="method_not_allowed")
        return route, resource_id


class Catalog:
    """The models that a mock has. Scripted model names are always served, but only listed on demand.

    Args:
        models: The models, in the order in which they are listed.
        any_model: Whether names that are not listed are served.
        list_scripted_names: Whether scripted model names are listed.
        normalize: A function that maps all spellings of a name to the same key.
    """

    def __init__(
        self,
        models: Sequence[MockModel],
        *,
        any_model: bool = False,
        list_scripted_names: bool = False,
        normalize: Callable[[str], str] = str,
    ) -> None:
        self._normalize = normalize
        self._any_model = any_model
        self._models = {normalize(model.name): model for model in models}
        if list_scripted_names:
            self._models |= {normalize(name): MockModel(name) for name in example_names()}

    def all(self) -> list[MockModel]:
        """Every listed model, in order."""
        return list(self._models.values())

    def find(self, name: str) -> MockModel | None:
        """The model of that name, or ``None`` if it is not served."""
        model = self._models.get(self._normalize(name))
        if model is None and (self._any_model or script_for_name(name) is not None):
            return MockModel(name)
        return model

    def add(self, model: MockModel) -> None:
        """Add or replace a model."""
        self._models[self._normalize(model.name)] = model

    def remove(self, name: str) -> bool:
        """Remove a model; returns whether there was one of that name."""
        return self._models.pop(self._normalize(name), None) is not None


class Shape(ErrorFormat, Protocol):
    """One vendor's API."""

    @property
    def name(self) -> str:
        """The name of the shape for users: ``ollama``, ``openai`` …"""

    @property
    def base_path(self) -> str:
        """The path of the address with which clients are configured (``/v1``, or empty)."""

    @property
    def catalog(self) -> Catalog:
        """The models that it has."""

    @property
    def key_header(self) -> str:
        """The header that may carry the API key instead of ``authorization``; empty if there is none."""

    @property
    def vary_headers(self) -> tuple[bytes, ...]:
        """The lower-case names of the request headers on which a response depends."""

    def shape_for(self, path: str) -> Shape:
        """The shape that serves ``path``: this one, or another one that is nested in it."""

    def find_route(self, method: str, path: str) -> tuple[Route, str]:
        """The route of a request, and the id that follows its prefix in the path.

        Raises:
            VendorError: There is no such path, or not with this method.
        """

    def parse_body(self, body: bytes) -> dict[str, Any]:
        """The JSON object of a request's body.

        Raises:
            VendorError: The body is no JSON object.
        """

    def vendor_error_response(self, error: VendorError) -> Response:
        """The response that reports ``error``."""


def json_response(value: Any, *, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """A JSON response that is not a model's answer."""
    return Response(records=(Record(_encode(value)),), status=status, headers=headers)


def encode_json(value: Any) -> bytes:
    """``value`` as compact JSON."""
    return _encode(value)


def sse_event(value: Any) -> bytes:
    """``value`` as a server-sent event without a name."""
    return b"data: %b\n\n" % _encode(value)


def named_sse_event(name: str, value: Any) -> bytes:
    """``value`` as a server-sent event with a name."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), _encode(value))


def ndjson_line(value: Any) -> bytes:
    """``value`` as a line of NDJSON."""
    return _encode(value) + b"\n"
