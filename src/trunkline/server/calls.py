"""From a request's head to a running call: the part that both ends of the server share.

:class:`Door` looks the path up and checks the key before a body is read (``open``), and puts the whole
request on its way once the body is there (``enter``). What an entry tells by itself is answered at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from trunkline import steps
from trunkline.dialects import openai
from trunkline.errors import GatewayError
from trunkline.pipeline import Call, HeaderList, Responder, error_headers
from trunkline.policy.auth import redact_path, split_key_path
from trunkline.server.admit import Headers, request_id
from trunkline.server.pages import TEXT, Page
from trunkline.server.routes import Ask, Entry, Refuse, Tell

if TYPE_CHECKING:
    from trunkline.server.gateway import Gateway

SMALL_BODY: Final = 64 * 1024
"""Bytes of a body that is read even when the request is refused, so that the connection can be kept."""

_JSON: Final = (b"content-type", b"application/json")


class Opened(NamedTuple):
    """A request whose head was read and whose key was checked."""

    entry: Entry
    method: str
    path: str
    """With keys redacted."""
    request_headers: Headers
    request_id: str
    key: Any
    error: GatewayError | None
    """Why it is refused without a look at its body."""
    render: Callable[[GatewayError], bytes]
    """Errors in the shape of the surface that it came to."""
    cors: HeaderList
    awaits_body: bool
    """A large body, or one of unknown length, is announced: too much to read only to refuse it."""

    @property
    def headers(self) -> HeaderList:
        """Headers of an answer that the gateway gives by itself."""
        found = [_JSON, (b"x-request-id", self.request_id.encode())]
        if isinstance(self.entry, Refuse) and self.entry.allow:
            found.append((b"allow", self.entry.allow))
        return found


class Door:
    """The way in."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._find = gateway.routes.find
        self._key_in_path = gateway.settings.allow_key_in_path

    def open(self, method: str, path: str, headers: Headers) -> Opened | None:
        """What stands at the path, and whether this request may have it; None leaves it to FastAPI."""
        gateway = self._gateway
        admission = gateway.admission
        if method == "OPTIONS":
            return self._preflight(path, headers)
        path_key, shown = None, path
        if self._key_in_path:
            path_key, path = split_key_path(path)
            shown = redact_path(shown)
        entry = self._find(method, path)
        if entry is None:
            return None
        error: GatewayError | None = None
        key = None
        length = body_length(headers)
        render: Callable[[GatewayError], bytes]
        render = entry.front.error if isinstance(entry, Ask) else openai.error_body
        try:
            if not (isinstance(entry, Tell) and entry.open):
                key = admission.check_key(headers, path_key)
            if length is not None:
                admission.check_length(length)
            if isinstance(entry, Refuse):
                render, error = entry.render, entry.error
        except GatewayError as refused:
            error = refused
        cors = admission.cors(headers)
        awaits_body = length is None or length > SMALL_BODY
        return Opened(
            entry, method, shown, headers, request_id(headers), key, error, render, cors, awaits_body
        )

    def _preflight(self, path: str, headers: Headers) -> Opened | None:
        allowed = self._gateway.admission.preflight(headers)
        if not allowed:
            return None
        nothing = Tell(_nothing, open=True)
        render = openai.error_body
        return Opened(
            nothing, "OPTIONS", path, headers, request_id(headers), None, None, render, allowed, False
        )

    def enter(
        self,
        opened: Opened,
        responder: Responder,
        body: bytes,
        client: tuple[str, int] | None,
    ) -> Call | None:
        """Put a whole request on its way; a call is returned even if it has ended already."""
        entry = opened.entry
        if not isinstance(entry, Ask):
            self._tell(opened, responder)
            return None
        address = None if client is None else client[0]
        call = Call(responder, entry.front, opened.path, opened.request_id, only=entry.only, client=address)
        call.key = opened.key
        steps.run(self._gateway.pipeline.serve(call, body))
        return call

    def _tell(self, opened: Opened, responder: Responder) -> None:
        entry = opened.entry
        assert isinstance(entry, Tell)
        try:
            page = entry.answer(self._gateway, opened.request_headers, **entry.arguments)
        except GatewayError as error:
            self.refuse(opened, responder, error)
        else:
            headers = [(b"content-type", page.content_type), (b"x-request-id", opened.request_id.encode())]
            responder.send(page.status, headers, page.body)
            self._gateway.recorder.observe_page(opened, page.status, None)

    def refuse(self, opened: Opened, responder: Responder, error: GatewayError) -> None:
        """Answer a request that may not come in, or whose body is too large."""
        headers = [*opened.headers, *error_headers(error)]
        responder.send(error.status, headers, opened.render(error))
        self._gateway.recorder.observe_page(opened, error.status, error)


def body_length(headers: Headers) -> int | None:
    """Bytes of the body that the head announces; None where only its end will tell."""
    for name, value in headers:
        if name == b"content-length":
            return int(value)
        if name == b"transfer-encoding":
            return None
    return 0


def _nothing(gateway: Gateway, headers: Headers) -> Page:
    return Page(b"", TEXT, 204)
