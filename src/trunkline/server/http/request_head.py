"""The head of a request: its route, the key that was checked, and why it is refused, if it is."""

from __future__ import annotations

from typing import Protocol

import msgspec

from trunkline.dialects import openai
from trunkline.errors import GatewayError
from trunkline.pipeline.responder import Lines
from trunkline.policy.auth import ApiKey
from trunkline.server.http.page import Headers
from trunkline.server.http.routes import Route


class RequestHead(msgspec.Struct, eq=False, kw_only=True):
    """A request whose head was read and whose key was checked."""

    request_id: str
    route: Route | None = None
    """None where FastAPI answers."""
    method: str = ""
    path: str = ""
    """With keys redacted."""
    request_headers: Headers = ()
    """With names in lower case."""
    key: ApiKey | None = None
    error: GatewayError | None = None
    """Why it is refused without a look at its body."""
    cors: Lines = b""
    """Header lines for a page in a browser."""
    awaits_body: bool = False
    """A large body, or one of unknown length, is announced: too much to read only to refuse it."""
    streams: bool = False
    """The body is handed on as it comes, however large."""
    expects_continue: bool = False
    """The client waits for the status 100 before it sends its body (RFC 9110, 10.1.1)."""
    query: bytes = b""
    length: int | None = None
    """Bytes of the body, if the client has stated it."""
    cache_directive: bytes | None = None
    """Value of the header ``x-trunkline-cache``, if it was sent."""
    end_user: bytes | None = None
    """The user of Open WebUI, where a header names one."""
    traceparent: bytes | None = None
    """Where the client's request stands in a trace (W3C Trace Context)."""

    def lines(self, content_type: bytes) -> Lines:
        """Headers of an answer that the gateway gives itself."""
        request_id = self.request_id.encode()
        lines = b"content-type: %b\r\nx-request-id: %b\r\n" % (content_type, request_id)
        return lines if self.route is None else lines + self.route.extra_lines(request_id)

    def render(self, error: GatewayError) -> bytes:
        """An error in the shape of the surface that the request came to."""
        return openai.error_body(error) if self.route is None else self.route.render(error)


class PageObserver(Protocol):
    """Writes down the requests that reached no model."""

    def observe_page(
        self, head: RequestHead, status: int, error: GatewayError | None, seconds: float = 0.0
    ) -> None:
        """Write one down: a page, an async handler's answer, or a refusal. ``seconds``: how long it took."""
