"""The server's end of a request: where its answer is sent to, and in which form."""

from __future__ import annotations

import math
from typing import Final, Protocol

import msgspec

from trunkline.errors import BUDGET_EXCEEDED, GatewayError

SOON_S: Final = 5
"""The ``Retry-After`` of a 429 for which nobody has named a time, in seconds. Clients would have to guess."""
NEVER_S: Final = 86_400
"""The same for a budget that no period renews: it helps to ask again only when somebody has changed it."""

Lines = bytes
"""Header lines ready for the wire, each ended by CRLF."""


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


def error_lines(error: GatewayError) -> Lines:
    """Headers that an error's status calls for (RFC 9110: 11.6.1 and 10.2.3), and those that it brings."""
    lines = b"www-authenticate: Bearer\r\n" if error.status == 401 else b""
    if error.retry_after is not None:
        lines += b"retry-after: %d\r\n" % max(1, math.ceil(error.retry_after))
    elif error.status == 429:
        lines += b"retry-after: %d\r\n" % (NEVER_S if error.kind is BUDGET_EXCEEDED else SOON_S)
    if error.advice is not None:
        lines += b"x-should-retry: %b\r\n" % error.advice.encode()
    return lines + error.lines
