"""From a request's head to a request under way: the part that both HTTP ends share.

:class:`Dispatcher` looks the path up and checks the key before a body is read (``read_head``), and starts
whoever answers the request once its body is there (``dispatch``). A :class:`KnownHead` is the head of a
connection's last request, remembered: a client sends the same one again and again.
"""

from __future__ import annotations

import itertools
import re
import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import parse_qsl

import msgspec

from trunkline import immediate
from trunkline.errors import GatewayError, redact_keys
from trunkline.observe.traces import TRACEPARENT, parse_traceparent
from trunkline.pipeline.active import ActiveRequest, Response
from trunkline.pipeline.cache import HEADER as CACHE
from trunkline.pipeline.request import END_USER_HEADERS, Request, end_user_of, stored_prompt
from trunkline.pipeline.responder import Responder, error_lines
from trunkline.pipeline.unforeseen import unforeseen
from trunkline.policy.auth import KeyRing, authenticate, is_expired, redact_path, split_key_path
from trunkline.server.http.async_handler import AsyncHandler, RequestContext
from trunkline.server.http.forwarded import Proxies
from trunkline.server.http.page import TEXT, Headers, Page
from trunkline.server.http.request_head import PageObserver, RequestHead
from trunkline.server.http.routes import AsyncRoute, ErrorRoute, Route, Routes, SyncRoute

if TYPE_CHECKING:
    from trunkline.observe.traces import Tracer
    from trunkline.pipe import Pipe
    from trunkline.policy.guard import Guard
    from trunkline.server.http.admission import Admission
    from trunkline.settings import Settings

SMALL_BODY: Final = 64 * 1024
"""Bytes of a body that is read even when the request is refused, so that the connection can be kept."""
_REQUEST_ID: Final = re.compile(rb"[\x21-\x7e]{1,128}")
_LENGTH: Final = re.compile(rb"\r\ncontent-length: ?(\d{1,15})\r\n", re.IGNORECASE)
_MENTION: Final = re.compile(rb"content-length|transfer-encoding|x-request-id", re.IGNORECASE)
"""Besides the length, what must not stand in such a head: it has one length, no chunks and no id."""
_MOST_DIGITS: Final = 15
_LONGEST_KNOWN: Final = 8 * 1024
"""Bytes of a head that is remembered; every connection has one."""


class RequestIds:
    """Gives every request an id, which no other process gives. Ids of one process are in order."""

    def __init__(self, redact: Callable[[str], str] = redact_keys) -> None:
        """``redact`` takes keys out of a text: an id with one in it is not used."""
        self._redact = redact
        self._prefix = f"req_{secrets.token_hex(8)}"
        self._count = itertools.count(1)

    def get(self, sent: bytes | None) -> str:
        """The client's own ``x-request-id``, if it is one that can stand in a log; else a new one."""
        if sent is not None and _REQUEST_ID.fullmatch(sent):
            text = sent.decode("ascii")
            if self._redact(text) == text:
                return text
        return f"{self._prefix}{next(self._count):08x}"


class Cancellable(Protocol):
    """A request under way, as an HTTP end holds it: an ``ActiveRequest`` or an ``AsyncHandler``."""

    def disconnected(self) -> None:
        """Stop: the client has disconnected."""

    def stop(self) -> None:
        """Stop: the gateway stops."""

    def pause(self) -> None:
        """Send nothing for now: the client reads too slowly."""

    def resume(self) -> None:
        """Go on: the client has caught up."""


class RequestServer(Protocol):
    """Answers model requests: the pipeline, or the stored responses in front of it."""

    async def serve(self, active: ActiveRequest) -> None:
        """Answer one request."""


class DispatcherServices(Protocol):
    """What the dispatcher needs of the gateway."""

    tracer: Tracer | None
    settings: Settings
    routes: Routes
    admission: Admission
    request_ids: RequestIds
    handlers: set[AsyncHandler]
    guard: Guard

    @property
    def pipeline(self) -> RequestServer: ...
    @property
    def responses(self) -> RequestServer: ...
    @property
    def threads(self) -> RequestServer: ...
    @property
    def recorder(self) -> PageObserver: ...


class HttpServices(Protocol):
    """What either HTTP end needs of the gateway."""

    admission: Admission
    dispatcher: Dispatcher
    request_ids: RequestIds
    stopping: bool
    """Whether the gateway is about to end, so that no connection is to be kept."""


class Dispatcher:
    """Finds the route of each request and starts whoever answers it."""

    def __init__(self, gateway: DispatcherServices, services: Any) -> None:
        """``services`` is what sync and async endpoints are called with."""
        self._gateway = gateway
        self._services = services
        self._traces = gateway.tracer is not None
        self.generation: object = None
        """Another one whenever the settings have changed."""

    def reconfigure(self) -> None:
        """Read the gateway's settings again: they have changed."""
        routes = self._gateway.routes
        self._exact, self._find = routes.exact, routes.find
        self.generation = object()
        self._key_in_path = self._gateway.settings.allow_key_in_path
        trusted = self._gateway.settings.server.trusted_proxies
        self._proxies = Proxies(trusted) if trusted else None
        self._store_prompts = self._gateway.settings.store_prompts

    def read_head(self, method: str, path: str, headers: Headers, query: bytes = b"") -> RequestHead | None:
        """Find the route of a request and check whether the request may have it, before its body is read.

        Args:
            method: in capitals.
            path: decoded, without the query.
            headers: with names in lower case.
            query: as it was sent.

        Returns:
            None for a path that FastAPI serves.
        """
        gateway = self._gateway
        admission, fields = gateway.admission, dict(headers)
        path_key, shown_path = None, path
        if self._key_in_path:
            path_key, path = split_key_path(path)
        cors = b""
        route: Route | None = None
        site = admission.own_site
        if site is not None and (
            fields.get(b"host") not in site.known or b"origin" in fields or b"sec-fetch-site" in fields
        ):
            refusal = site.refusal(method, headers, fields)
            if refusal is not None:
                route = gateway.routes.refusing(refusal, method, path)
        if route is None and b"origin" in fields:
            allows_loopback = gateway.routes.allows_loopback(path)
            cors = admission.cors(fields[b"origin"], allows_loopback=allows_loopback)
            if cors and method == "OPTIONS":
                cors = admission.preflight(cors, fields.get(b"access-control-request-headers", b"*"))
                route = _PREFLIGHT
        if route is None:
            route = self._exact.get((method, path)) or self._find(method, path)
            if route is None:
                return None
            if isinstance(route, ErrorRoute):
                route = self._gateway.routes.for_client(route, fields)
        if path_key is not None or not route.asks_model:
            shown_path = admission.keys.redact(redact_path(shown_path))
        length = None if b"transfer-encoding" in fields else int(fields.get(b"content-length", 0))
        error, key = route.error, None
        try:
            if route.requires_key:
                key = authenticate(headers, admission.keys, admission.required, path_key)
                if key is not None and key.role == "read-only" and route.sends_content:
                    admission.check_may_ask(key)
            if route.requires_admin:
                admission.check_admin(key)
            if length is not None and length > admission.max_body and not route.streams_body:
                admission.check_length(length)
        except GatewayError as refusal:
            error = refusal
        return RequestHead(
            route=route,
            method=method,
            path=shown_path,
            request_headers=headers,
            request_id=gateway.request_ids.get(fields.get(b"x-request-id")),
            key=key,
            error=error,
            cors=cors,
            awaits_body=length is None or length > SMALL_BODY,
            streams=route.streams_body,
            expects_continue=b"expect" in fields,
            query=query,
            length=length,
            cache_directive=fields.get(CACHE),
            end_user=None if END_USER_HEADERS.isdisjoint(fields) else end_user_of(fields),
            traceparent=fields.get(TRACEPARENT),
        )

    def dispatch(
        self, head: RequestHead, responder: Responder, body: bytes, client: tuple[str, int] | None
    ) -> Cancellable | None:
        """Start whoever answers a request whose body is complete.

        Returns:
            The request under way, which may have ended already. None if it was answered at once.
        """
        route = head.route
        assert route is not None
        if not route.asks_model:
            if route.is_async:
                return self._start_handler(route, head, responder, body)
            self._answer_at_once(head, responder)
            return None
        peer = None if client is None else client[0]
        if self._proxies is not None and peer is not None:
            peer = self._proxies.client(peer, head.request_headers)
        front, problem = route.front, None
        try:
            summary = front.summarize(body)
        except GatewayError as error:
            summary, problem = None, error
        except Exception as error:
            summary, problem = None, unforeseen(error, body, head.request_id)
        if summary is not None and summary.body is not None:
            body = summary.body
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
            cache_directive=head.cache_directive,
            end_user=head.end_user,
            stored_prompt=stored_prompt(body) if self._store_prompts else None,
        )
        trace = None
        if self._traces or head.traceparent is not None:
            trace = parse_traceparent(head.traceparent, self._traces)
        active = ActiveRequest(request, Response(request, responder), trace)
        gateway = self._gateway
        server = gateway.responses if route.stores_response else gateway.pipeline
        if summary is not None and summary.state and "thread" in summary.state:
            server = gateway.threads
        immediate.run(server.serve(active))
        return active

    def dispatch_upload(self, head: RequestHead, responder: Responder, pieces: Pipe) -> Cancellable:
        """Start the handler of a request whose body is still coming."""
        assert head.route is not None
        assert head.route.is_async
        return self._start_handler(head.route, head, responder, b"", pieces)

    def _start_handler(
        self,
        route: AsyncRoute,
        head: RequestHead,
        responder: Responder,
        body: bytes,
        pieces: Pipe | None = None,
    ) -> Cancellable:
        query = _parameters(head.query)
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
        guard = gateway.guard if route.is_counted else None
        return AsyncHandler(route, context, head, responder, gateway.recorder, gateway.handlers, guard)

    def unreadable_head(self, error: GatewayError) -> RequestHead:
        """The head to use for a request whose own head could not be read."""
        request_id = self._gateway.request_ids.get(None)
        return RequestHead(route=ErrorRoute(error), request_id=request_id, error=error, awaits_body=True)

    def fastapi_head(self, method: str, path: str, headers: Headers) -> RequestHead:
        """The head of a request that FastAPI answers, for its log line and its id."""
        sent = next((value for name, value in headers if name == b"x-request-id"), None)
        request_id = self._gateway.request_ids.get(sent)
        shown_path = self._gateway.admission.keys.redact(redact_path(path))
        return RequestHead(method=method, path=shown_path, request_headers=headers, request_id=request_id)

    def refuse(self, head: RequestHead, responder: Responder, error: GatewayError) -> None:
        """Answer a request that is refused by admission, or whose body is too large."""
        lines = head.lines(b"application/json") + error_lines(error)
        responder.send(error.status, lines, head.render(error))
        self._gateway.recorder.observe_page(head, error.status, error)

    def _answer_at_once(self, head: RequestHead, responder: Responder) -> None:
        route = head.route
        assert isinstance(route, SyncRoute)
        try:
            given: dict[str, Any] = {"key": head.key} if route.takes_key else {}
            if route.takes_query:
                given["query"] = _parameters(head.query)
            page = route.answer(self._services, head.request_headers, **route.arguments, **given)
        except GatewayError as error:
            self.refuse(head, responder, error)
        except Exception as error:
            self.refuse(head, responder, unforeseen(error, b"", head.request_id))
        else:
            responder.send(page.status, head.lines(page.content_type), page.body)
            self._gateway.recorder.observe_page(head, page.status, None)


class KnownHead(msgspec.Struct, frozen=True, eq=False):
    """A head as it came, in two parts around the length of its body, and what was found in it.

    A head that equals the last one but for that length needs no parser: its route was found and its key was
    checked. That holds while routes, keys and settings are the same objects, and the key has not expired.
    """

    before: bytes
    after: bytes
    head: RequestHead
    keys: KeyRing
    generations: tuple[object, object]
    """Of the keys and of the settings by which it was read."""
    longest: int
    """Bytes of a body that it may announce."""

    def find(self, data: bytes, dispatcher: Dispatcher) -> tuple[int, int] | None:
        """Where the body begins and how long it is, if ``data`` begins with this head and all that was found
        in it still holds."""
        if not data.startswith(self.before):
            return None
        start = len(self.before)
        end = data.find(b"\r", start, start + _MOST_DIGITS + 1)
        digits = data[start:end]
        if end < 0 or not digits.isdigit() or not data.startswith(self.after, end):
            return None
        of_keys, of_settings = self.generations
        if self.keys.generation is not of_keys or dispatcher.generation is not of_settings:
            return None
        key, length = self.head.key, int(digits)
        if length > self.longest or (key is not None and key.expires_at is not None and is_expired(key)):
            return None
        return end + len(self.after), length


def remember(
    data: bytes, head: RequestHead, dispatcher: Dispatcher, admission: Admission
) -> KnownHead | None:
    """Remember the head with which ``data`` begins, and which was read as ``head``.

    Args:
        data: what came in one read, from the first byte of a request on.
        head: of a request over HTTP/1.1 on a connection that is kept.
        dispatcher: has read it.
        admission: has let it in.

    Returns:
        None for a head that is longer than most, not complete, of a request that no model is asked for, or
        with fields that say how its body comes or that are another's with every request.
    """
    size = data.find(b"\r\n\r\n", 0, _LONGEST_KNOWN) + 4
    route = head.route
    if size < 4 or head.error is not None or route is None or not route.asks_model:
        return None
    if head.length is None or head.expects_continue or head.traceparent is not None:
        return None
    raw = data[:size]
    found = _LENGTH.search(raw)
    if found is None or len(_MENTION.findall(raw)) != 1:
        return None
    generations = admission.keys.generation, dispatcher.generation
    before, after = raw[: found.start(1)], raw[found.end(1) :]
    headers = [field for field in head.request_headers if field[0] != b"content-length"]
    head = msgspec.structs.replace(head, request_headers=headers)
    return KnownHead(before, after, head, admission.keys, generations, admission.max_body)


def _parameters(query: bytes) -> dict[str, str]:
    """The parameters of a query by their names; of several with one name, the last."""
    return dict(parse_qsl(query.decode("latin-1")))


def _empty_page(services: object, headers: Headers) -> Page:
    return Page(b"", TEXT)


_PREFLIGHT: Final = SyncRoute(_empty_page, requires_key=False)
