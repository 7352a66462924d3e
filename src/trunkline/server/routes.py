"""What stands at which path: the table of the data plane.

An entry either puts a question to a model (:class:`Ask`) or tells something that the gateway knows itself
(:class:`Tell`). ``/{provider}/v1/…`` is ``/v1/…`` with the provider pinned. A path that is not here belongs
to FastAPI, unless it lies on a surface of the data plane: then the error is in that surface's own shape.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

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
from trunkline.server import pages
from trunkline.settings import BUILT_IN_PROVIDERS


class Ask(NamedTuple):
    """A question to a model."""

    front: Front
    only: str | None = None
    """The provider that the path names."""


class Tell(NamedTuple):
    """Something that the gateway knows itself."""

    answer: Callable[..., pages.Page]
    """Called with the gateway, the request's headers, and what the path holds beyond its pattern."""
    open: bool = False
    """Needs no key."""
    arguments: Mapping[str, str] = {}


class Refuse(NamedTuple):
    """An error in the shape of the surface on which the path lies."""

    error: GatewayError
    allow: bytes = b""
    """Methods that the path does have."""
    render: Callable[[GatewayError], bytes] = openai.error_body


Entry: TypeAlias = Ask | Tell | Refuse

ASKS: Final[Mapping[str, Front]] = {
    "/v1/chat/completions": openai.CHAT,
    "/v1/completions": openai.COMPLETIONS,
    "/v1/embeddings": openai.EMBEDDINGS,
}
"""POST: one operation of one dialect."""

TELLS: Final[Mapping[str, Tell]] = {
    "/": Tell(pages.root, open=True),
    "/health": Tell(pages.health, open=True),
    "/healthz": Tell(pages.health, open=True),
    "/health/live": Tell(pages.health, open=True),
    "/health/ready": Tell(pages.ready, open=True),
    "/metrics": Tell(pages.metrics),
    "/v1/models": Tell(pages.list_models),
}
"""GET and HEAD."""

_MODEL: Final = "/v1/models/"
_SURFACE: Final = "/v1/"


class Routes:
    """Looks up paths; made once per configuration."""

    def __init__(self, providers: Collection[str], *, metrics_public: bool = False) -> None:
        self._providers = frozenset(providers)
        self._exact: dict[tuple[str, str], Entry] = {}
        for path, front in ASKS.items():
            self._exact["POST", path] = Ask(front)
            for provider in providers:
                self._exact["POST", f"/{provider}{path}"] = Ask(front, provider)
        for path, tell in TELLS.items():
            entry = tell._replace(open=True) if path == "/metrics" and metrics_public else tell
            self._exact["GET", path] = self._exact["HEAD", path] = entry

    def find(self, method: str, path: str) -> Entry | None:
        """What stands at ``path``; None leaves it to FastAPI."""
        entry = self._exact.get((method, path))
        return entry if entry is not None else self._find_slowly(method, path)

    def _find_slowly(self, method: str, path: str) -> Entry | None:
        if path in TELLS:
            return _wrong_method(method, path, b"GET, HEAD")
        only, rest = self._split_provider(path)
        if rest is None:
            return None
        if only is not None and only not in self._providers:
            return Refuse(CallerError(f"Provider '{only}' not configured", PROVIDER_NOT_CONFIGURED))
        if rest == "/v1/models" or rest.startswith(_MODEL):
            if method not in ("GET", "HEAD"):
                return _wrong_method(method, path, b"GET, HEAD")
            arguments: dict[str, Any] = {} if only is None else {"only": only}
            if rest == "/v1/models":
                return Tell(pages.list_models, arguments=arguments)
            return Tell(pages.show_model, arguments=arguments | {"model": rest[len(_MODEL) :]})
        if rest in ASKS:
            return _wrong_method(method, path, b"POST")
        return Refuse(CallerError(f"There is nothing at {redact_path(path)}", NOT_FOUND))

    def _split_provider(self, path: str) -> tuple[str | None, str | None]:
        """(provider, path from ``/v1`` on), or None for the path where it is not on the data plane."""
        if path.startswith(_SURFACE) or path == "/v1":
            return None, path
        first, slash, rest = path[1:].partition("/")
        known = first in self._providers or first in BUILT_IN_PROVIDERS
        if known and f"/{rest}/".startswith(_SURFACE) and slash:
            return first, f"/{rest}"
        return None, None


def _wrong_method(method: str, path: str, allow: bytes) -> Refuse:
    text = f"{method} is not allowed at {redact_path(path)}; use {allow.decode()}"
    return Refuse(CallerError(text, METHOD_NOT_ALLOWED), allow)
