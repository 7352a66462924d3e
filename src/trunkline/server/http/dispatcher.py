"""From a request's head to a running call: the part that both ends of the server share.

:class:`Dispatcher` looks the path up and checks the key before a body is read (``open``), and puts the whole
request on its way once the body is there (``enter``). What an entry tells by itself is answered at once.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import parse_qsl

import msgspec

from trunkline import immediate
from trunkline.dialects import openai
from trunkline.errors import GatewayError
from trunkline.observe.traces import HEADER as TRACE
from trunkline.observe.traces import trace_of
from trunkline.pipeline.active import ActiveRequest
from trunkline.pipeline.cache import HEADER as CACHE
from trunkline.pipeline.request import Request, end_user_of
from trunkline.pipeline.response import Lines, Responder, Response, error_lines
from trunkline.policy.auth import redact_path, split_key_path
from trunkline.server.accounting.usage_records import MOST_PROMPT
from trunkline.server.endpoints.pages import TEXT, Page
from trunkline.server.endpoints.routes import AsyncRoute, ErrorRoute, ModelRoute, Route, SyncRoute
from trunkline.server.endpoints.stored_responses import DIALECT
from trunkline.server.http.admission import Headers
from trunkline.server.http.async_handler import AsyncHandler, RequestContext
from trunkline.server.http.forwarded import Proxies

if TYPE_CHECKING:
    from trunkline.pipe import Pipe
    from trunkline.server.app.gateway import Gateway

SMALL_BODY: Final = 64 * 1024
"""Bytes of a body that is read even when the request is refused, so that the connection can be kept."""


class Cancellable(Protocol):
    """A request under way, as the server's end holds it: a ``Call`` or an ``AsyncHandler``."""

    def disconnected(self) -> None:
        """The client has gone."""

    def pause(self) -> None:
        """The client reads slowly."""

    def resume(self) -> None:
        """The client has caught up."""


class RequestHead(msgspec.Struct, eq=False):
    """A request whose head was read and whose key was checked."""

    route: Route | None
    """None where FastAPI answers."""
    method: str
    path: str
    """With keys redacted."""
    request_headers: Headers
    request_id: str
    key: Any
    error: GatewayError | None
    """Why it is refused without a look at its body."""
    cors: Lines
    awaits_body: bool
    """A large body, or one of unknown length, is announced: too much to read only to refuse it."""
    expects_continue: bool = False
    """The client waits for a word before it sends its body (RFC 9110, 10.1.1)."""
    query: bytes = b""
    length: int | None = None
    """Bytes of the body, if the client has said how many."""
    cache: bytes | None = None
    """Value of the header ``x-trunkline-cache``, if it was sent."""
    end_user: bytes | None = None
    """Whom Open WebUI asks for, where a header says it."""
    traceparent: bytes | None = None
    """Where the client's request stands in a trace (W3C Trace Context)."""

    @property
    def streams(self) -> bool:
        """The body is handed on as it comes, however large."""
        return _streams(self.route)

    def lines(self, content_type: bytes) -> Lines:
        """Headers of an answer that the gateway gives by itself."""
        lines = b"content-type: %b\r\nx-request-id: %b\r\n" % (content_type, self.request_id.encode())
        if isinstance(self.route, ModelRoute) and self.route.front.conventions.id_header is not None:
            lines += b"%b: %b\r\n" % (self.route.front.conventions.id_header, self.request_id.encode())
        if isinstance(self.route, ErrorRoute) and self.route.allow:
            lines += b"allow: %b\r\n" % self.route.allow
        return lines

    def render(self, error: GatewayError) -> bytes:
        """An error in the shape of the surface that the request came to."""
        return openai.error_body(error) if self.route is None else self.route.render(error)


def _streams(route: Route | None) -> bool:
    return isinstance(route, AsyncRoute) and route.streams


class Dispatcher:
    """The way in."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._traces = gateway.tracer is not None

    def reconfigure(self) -> None:
        """The gateway's configuration has changed."""
        self._find = self._gateway.routes.find
        self._key_in_path = self._gateway.settings.allow_key_in_path
        trusted = self._gateway.settings.server.trusted_proxies
        self._proxies = Proxies(trusted) if trusted else None
        self._store_prompts = self._gateway.settings.store_prompts
        self._keeps_responses = self._gateway.settings.responses.store

    def read_head(self, method: str, path: str, headers: Headers, query: bytes = b"") -> RequestHead | None:
        """What stands at the path, and whether this request may have it; None leaves it to FastAPI."""
        admission = self._gateway.admission
        said = dict(headers)
        path_key, shown = None, path
        if self._key_in_path:
            path_key, path = split_key_path(path)
        cors = admission.cors(said.get(b"origin"))
        route: Route | None
        if method == "OPTIONS" and cors:
            cors = admission.preflight(cors, said.get(b"access-control-request-headers", b"*"))
            route = _PREFLIGHT
        else:
            route = self._find(method, path)
        if route is None:
            return None
        asks = isinstance(route, ModelRoute)
        if path_key is not None or not asks:
            shown = redact_path(shown)
        length = None if b"transfer-encoding" in said else int(said.get(b"content-length", 0))
        error: GatewayError | None = None
        key = None
        try:
            if not (isinstance(route, SyncRoute) and route.open):
                key = admission.check_key(headers, path_key)
            if asks:
                admission.check_may_ask(key)
            if isinstance(route, (ModelRoute, AsyncRoute)) and route.admin:
                admission.check_admin(key)
            if length is not None and not _streams(route):
                admission.check_length(length)
            if isinstance(route, ErrorRoute):
                error = route.error
        except GatewayError as refused:
            error = refused
        request_id = self._gateway.request_ids.get(said.get(b"x-request-id"))
        return RequestHead(
            route,
            method,
            shown,
            headers,
            request_id,
            key,
            error,
            cors,
            length is None or length > SMALL_BODY,
            b"expect" in said,
            query,
            length,
            said.get(CACHE),
            end_user_of(said),
            said.get(TRACE),
        )

    def dispatch(
        self, head: RequestHead, responder: Responder, body: bytes, client: tuple[str, int] | None
    ) -> Cancellable | None:
        """Put a whole request on its way; a call is returned even if it has ended already."""
        route = head.route
        if not isinstance(route, ModelRoute):
            if isinstance(route, AsyncRoute):
                return self._do(route, head, responder, body)
            self._tell(head, responder)
            return None
        peer = None if client is None else client[0]
        if self._proxies is not None and peer is not None:
            peer = self._proxies.client(peer, head.request_headers)
        front, problem = route.front, None
        try:
            summary = front.summarize(body)
        except GatewayError as error:
            summary, problem = None, error
        prompt = None
        if self._store_prompts:
            prompt = body[:MOST_PROMPT].decode("utf-8", "replace").replace("\0", "")
        request = Request(
            front=front,
            path=head.path,
            request_id=head.request_id,
            body=body,
            received_at=time.perf_counter(),
            headers=head.request_headers,
            query=head.query,
            key=head.key,
            provider=route.only,
            client=peer,
            summary=summary,
            problem=problem,
            cache_directive=head.cache,
            end_user=head.end_user,
            stored_prompt=prompt,
        )
        trace = None
        if self._traces or head.traceparent is not None:
            trace = trace_of(head.traceparent, self._traces)
        active = ActiveRequest(request, Response(request, responder), trace)
        serve = self._gateway.pipeline.serve
        if self._keeps_responses and front.dialect == DIALECT:
            serve = self._gateway.responses.serve
        immediate.run(serve(active))
        return active

    def dispatch_upload(self, head: RequestHead, responder: Responder, pieces: Pipe) -> Cancellable:
        """Put a request on its way whose body is still coming."""
        assert isinstance(head.route, AsyncRoute)
        return self._do(head.route, head, responder, b"", pieces)

    def _do(
        self,
        route: AsyncRoute,
        head: RequestHead,
        responder: Responder,
        body: bytes,
        pieces: Pipe | None = None,
    ) -> Cancellable:
        query = dict(parse_qsl(head.query.decode("latin-1")))
        context = RequestContext(
            self._gateway, head.key, query, body, pieces, head.length, head.request_headers
        )
        return AsyncHandler(context, head, responder, route.run, route.arguments)

    def unreadable_head(self, error: GatewayError) -> RequestHead:
        """What stands for a request whose head could not be read."""
        request_id = self._gateway.request_ids.get(None)
        return RequestHead(ErrorRoute(error), "", "", (), request_id, None, error, b"", awaits_body=True)

    def fastapi_head(self, method: str, path: str, headers: Headers) -> RequestHead:
        """A request that FastAPI answers, for its log line and its id."""
        sent = next((value for name, value in headers if name == b"x-request-id"), None)
        request_id = self._gateway.request_ids.get(sent)
        return RequestHead(
            None, method, redact_path(path), headers, request_id, None, None, b"", awaits_body=False
        )

    def refuse(self, head: RequestHead, responder: Responder, error: GatewayError) -> None:
        """Answer a request that may not come in, or whose body is too large."""
        lines = head.lines(b"application/json") + error_lines(error)
        responder.send(error.status, lines, head.render(error))
        self._gateway.recorder.observe_page(head, error.status, error)

    def _tell(self, head: RequestHead, responder: Responder) -> None:
        route = head.route
        assert isinstance(route, SyncRoute)
        try:
            whose = {"key": head.key} if route.personal else {}
            page = route.answer(self._gateway, head.request_headers, **route.arguments, **whose)
        except GatewayError as error:
            self.refuse(head, responder, error)
        else:
            responder.send(page.status, head.lines(page.content_type), page.body)
            self._gateway.recorder.observe_page(head, page.status, None)


def _nothing(gateway: Gateway, headers: Headers) -> Page:
    return Page(b"", TEXT)


_PREFLIGHT: Final = SyncRoute(_nothing, open=True)
