"""From a request's head to a running call: the part that both ends of the server share.

:class:`Dispatcher` looks the path up and checks the key before a body is read (``open``), and puts the whole
request on its way once the body is there (``enter``). What an entry tells by itself is answered at once.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import parse_qsl

from trunkline import immediate
from trunkline.errors import GatewayError
from trunkline.observe.traces import HEADER as TRACE
from trunkline.observe.traces import trace_of
from trunkline.pipeline.active import ActiveRequest
from trunkline.pipeline.cache import HEADER as CACHE
from trunkline.pipeline.request import Request, end_user_of
from trunkline.pipeline.response import Responder, Response, error_lines
from trunkline.policy.auth import redact_path, split_key_path
from trunkline.server.accounting.usage_records import MOST_PROMPT
from trunkline.server.http.async_handler import AsyncHandler, RequestContext
from trunkline.server.http.forwarded import Proxies
from trunkline.server.http.page import TEXT, Headers, Page
from trunkline.server.http.request_head import PageObserver, RequestHead
from trunkline.server.http.routes import AsyncRoute, ErrorRoute, Route, Routes, SyncRoute

if TYPE_CHECKING:
    from trunkline.observe.traces import Tracer
    from trunkline.pipe import Pipe
    from trunkline.server.http.admission import Admission, RequestIds
    from trunkline.settings import Settings

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


class RequestServer(Protocol):
    """Answers requests to models: the pipeline, or the stored responses in front of it."""

    async def serve(self, active: ActiveRequest) -> None:
        """Answer one request whose key was checked and whose body has arrived."""


class DispatcherServices(Protocol):
    """What the dispatcher needs of the gateway."""

    tracer: Tracer | None
    settings: Settings
    routes: Routes
    admission: Admission
    request_ids: RequestIds
    handlers: set[AsyncHandler]

    @property
    def pipeline(self) -> RequestServer: ...
    @property
    def responses(self) -> RequestServer: ...
    @property
    def recorder(self) -> PageObserver: ...


class HttpServices(Protocol):
    """What either end of the server needs of the gateway."""

    admission: Admission
    dispatcher: Dispatcher


class Dispatcher:
    """The way in."""

    def __init__(self, gateway: DispatcherServices, services: Any) -> None:
        """``services`` is what sync and async endpoints are called with."""
        self._gateway = gateway
        self._services = services
        self._traces = gateway.tracer is not None

    def reconfigure(self) -> None:
        """The gateway's configuration has changed."""
        self._find = self._gateway.routes.find
        self._key_in_path = self._gateway.settings.allow_key_in_path
        trusted = self._gateway.settings.server.trusted_proxies
        self._proxies = Proxies(trusted) if trusted else None
        self._store_prompts = self._gateway.settings.store_prompts

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
        asks = route.asks_model
        if path_key is not None or not asks:
            shown = redact_path(shown)
        length = None if b"transfer-encoding" in said else int(said.get(b"content-length", 0))
        error: GatewayError | None = None
        key = None
        try:
            if route.requires_key:
                key = admission.check_key(headers, path_key)
            if asks:
                admission.check_may_ask(key)
            if route.requires_admin:
                admission.check_admin(key)
            if length is not None and not route.streams_body:
                admission.check_length(length)
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
        assert route is not None
        if not route.asks_model:
            if route.is_async:
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
        gateway = self._gateway
        server = gateway.responses if route.stores_response else gateway.pipeline
        immediate.run(server.serve(active))
        return active

    def dispatch_upload(self, head: RequestHead, responder: Responder, pieces: Pipe) -> Cancellable:
        """Put a request on its way whose body is still coming."""
        assert head.route is not None
        assert head.route.is_async
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
            services=self._services,
            key=head.key,
            query=query,
            body=body,
            pieces=pieces,
            length=head.length,
            headers=head.request_headers,
        )
        gateway = self._gateway
        return AsyncHandler(route, context, head, responder, gateway.recorder, gateway.handlers)

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
            key = {"key": head.key} if route.takes_key else {}
            page = route.answer(self._services, head.request_headers, **route.arguments, **key)
        except GatewayError as error:
            self.refuse(head, responder, error)
        else:
            responder.send(page.status, head.lines(page.content_type), page.body)
            self._gateway.recorder.observe_page(head, page.status, None)


def _empty_page(services: object, headers: Headers) -> Page:
    return Page(b"", TEXT)


_PREFLIGHT: Final = SyncRoute(_empty_page, requires_key=False)
