"""What is told of an exception that nobody has foreseen: every request has an answer.

Most of them come of a body that only some of the code has read so far. So the body is read once more, all of
it: where that fails, it is the client's mistake.
"""

from __future__ import annotations

from typing import Final

import msgspec
import structlog

from trunkline.dialects.error_envelope import UNREADABLE
from trunkline.errors import INVALID_JSON, INVALID_REQUEST, CallerError, GatewayError

log: Final = structlog.stdlib.get_logger(__name__)


def unforeseen(error: Exception, body: bytes, request_id: str) -> GatewayError:
    """Return what the client is told, and write a failure of the gateway's own to the log.

    Args:
        error: The exception that is being handled.
        body: The request's.
        request_id: The request's.
    """
    if body[:64].lstrip()[:1] in (b"{", b"["):
        try:
            msgspec.json.decode(body)
        except UNREADABLE as problem:
            return CallerError(f"The request body is not JSON: {problem}", INVALID_JSON)
    if isinstance(error, OverflowError):
        return CallerError("A number in the request is too large", INVALID_REQUEST)
    if isinstance(error, RecursionError):
        return CallerError("The request is nested too deeply", INVALID_REQUEST)
    log.error("a request failed inside the gateway", request_id=request_id, exc_info=error)
    return GatewayError("The gateway failed; its log says more under this request's id")
