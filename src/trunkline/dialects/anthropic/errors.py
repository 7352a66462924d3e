"""Errors in Anthropic's dialect, both ways: the envelope for clients, and upstreams' envelopes as values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from trunkline.dialects.base import Headers
from trunkline.dialects.error_envelope import unwrapped
from trunkline.dialects.status import error_for_status
from trunkline.errors import UPSTREAM_CREDIT, GatewayError, Kind

TYPES: Final[Mapping[int, str]] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""Status → the vendor's error type; of others, 4xx are the caller's and 5xx are ours."""

_STATUSES: Final[Mapping[str, int]] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The same the other way: what an error in mid-stream would have been as an answer."""

_NO_CREDIT: Final = "credit balance is too low"
"""By these words, at status 400, Anthropic says that our account is empty."""

_encode: Final = msgspec.json.Encoder().encode


def error_type(status: int) -> str:
    """The ``type`` that Anthropic gives errors of ``status``."""
    return TYPES.get(status) or ("invalid_request_error" if 400 <= status < 500 else "api_error")


def error_body(error: GatewayError, request_id: str | None = None) -> bytes:
    """Anthropic's error envelope; ``request_id`` stands in it if there is one to give."""
    detail = {"type": error_type(error.status), "message": error.message}
    body: dict[str, Any] = {"type": "error", "error": detail}
    if request_id is not None:
        body["request_id"] = request_id
    return _encode(body)


def stream_error(error: GatewayError) -> bytes:
    """The event that Anthropic's SDKs raise on; they know it by its name. An upstream's words are kept."""
    said = error.body if error.body and b"\n" not in error.body else error_body(error)
    return b"event: error\ndata: " + said + b"\n\n"


def said_error(detail: Any, who: str) -> GatewayError:
    """The error in the middle of a stream, or inside a 200, as a value."""
    kind = detail.get("type") if isinstance(detail, dict) else None
    status = _STATUSES.get(kind, 500) if isinstance(kind, str) else 500
    return _value(status, (), detail, who)


def read_error(status: int, headers: Headers, body: bytes, who: str) -> GatewayError:
    """An error answer as a value: Anthropic's envelope, or whatever stands before it in plain text."""
    return _value(status, headers, unwrapped(body), who)


def _value(status: int, headers: Headers, detail: Any, who: str) -> GatewayError:
    said = detail.get("message") if isinstance(detail, dict) else detail
    message = said if isinstance(said, str) else ""
    kind: Kind | None = UPSTREAM_CREDIT if status == 400 and _NO_CREDIT in message.lower() else None
    return error_for_status(status, message, headers, who=who, kind=kind)
