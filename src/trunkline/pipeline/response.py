"""What one client has been sent so far, and the end of the connection that it is sent to."""

from __future__ import annotations

import math
import time
from typing import Final, Protocol

import msgspec

from trunkline.errors import GatewayError
from trunkline.pipeline.request import Request
from trunkline.policy.reservations import Reservation

Lines = bytes
"""Header lines ready for the wire, each ended by CRLF."""

_STREAM_LINES: Final = b"cache-control: no-cache\r\nx-accel-buffering: no\r\n"
_now: Final = time.perf_counter


class Responder(Protocol):
    """The server's end of one request. Calls after the client has disconnected do nothing."""

    def send(self, status: int, lines: Lines, body: bytes) -> None:
        """Send a whole answer."""

    def start(self, status: int, lines: Lines) -> None:
        """Send the head of an answer that comes in pieces."""

    def write(self, data: bytes) -> None:
        """Send a piece; ``start`` was called before."""

    def finish(self) -> None:
        """There are no more pieces. A stream that broke off ends here too, after its error event."""


class CachedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that a client once got, to be given again."""

    streaming: bool
    content_type: bytes
    lines: Lines
    """Header lines that say who answered."""
    body: bytes
    provider: str
    model: str
    """The model that the upstream was asked for."""


class Response:
    """What the client has been sent so far for one request."""

    __slots__ = (
        "cache_status",
        "cached",
        "client_gone",
        "error",
        "finished",
        "first_byte_at",
        "request",
        "reservation",
        "responder",
        "served_by",
        "size",
        "started",
        "status",
    )

    def __init__(self, request: Request, responder: Responder) -> None:
        self.request = request
        self.responder = responder
        self.reservation: Reservation | None = None
        """What the request has taken of limits; headers tell the client what is left."""
        self.served_by: Lines = b""
        """Header lines that name the upstream that was asked last, and the number of attempts."""
        self.cache_status = ""
        """``hit`` or ``miss``; empty where the answer cache was not asked."""
        self.cached: CachedAnswer | None = None
        """The cached answer that was given, on a ``hit``."""
        self.started = False
        """A part of the answer was sent: no other upstream may be asked any more."""
        self.finished = False
        self.size = 0
        """Bytes of an answer that was sent whole."""
        self.status = 0
        self.error: GatewayError | None = None
        """Why the request failed, or broke off."""
        self.first_byte_at: float | None = None
        self.client_gone = False
        """The client has disconnected."""

    def send(self, content_type: bytes, body: bytes) -> None:
        """Send an upstream's whole answer."""
        self.started = True
        self.status = 200
        self.first_byte_at = _now()
        self.size = len(body)
        self.responder.send(200, self.head_lines(content_type), body)

    def start(self, content_type: bytes) -> None:
        """Send the head of an upstream's streamed answer."""
        self.started = True
        self.status = 200
        self.first_byte_at = _now()
        self.responder.start(200, self.head_lines(content_type) + _STREAM_LINES)

    def replay(self, cached: CachedAnswer) -> None:
        """Send what an earlier client was sent."""
        self.cached, self.cache_status, self.served_by = cached, "hit", cached.lines
        self.finished = True
        if not cached.streaming:
            self.send(cached.content_type, cached.body)
            return
        self.start(cached.content_type)
        self.responder.write(cached.body)
        self.responder.finish()

    def refuse(self, error: GatewayError) -> None:
        """Send an error; an answer that has begun was ended by its attempt already."""
        self.error = error
        if self.started or self.client_gone:
            return
        self.started = self.finished = True
        self.status = error.status
        lines = self.head_lines(b"application/json") + error_lines(error)
        self.responder.send(error.status, lines, error.body or self.request.front.error(error))

    def head_lines(self, content_type: bytes) -> Lines:
        """The header lines of an answer, but for those of its connection."""
        request_id = self.request.request_id.encode()
        lines = b"content-type: %b\r\nx-request-id: %b\r\n" % (content_type, request_id)
        id_header = self.request.front.conventions.id_header
        if id_header is not None:
            lines += b"%b: %b\r\n" % (id_header, request_id)
        if self.reservation is not None:
            lines += self.reservation.lines()
        if self.cache_status:
            lines += b"x-trunkline-cache: %b\r\n" % self.cache_status.encode()
        return lines + self.served_by


def error_lines(error: GatewayError) -> Lines:
    """Headers that an error's status calls for (RFC 9110: 11.6.1 and 10.2.3), and those that it brings."""
    lines = b"www-authenticate: Bearer\r\n" if error.status == 401 else b""
    if error.retry_after is not None:
        lines += b"retry-after: %d\r\n" % max(1, math.ceil(error.retry_after))
    if error.advice is not None:
        lines += b"x-should-retry: %b\r\n" % error.advice.encode()
    return lines + error.lines
