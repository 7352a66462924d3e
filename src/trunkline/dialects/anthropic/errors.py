"""Errors in Anthropic's dialect: written for clients, and read from upstreams wherever they stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from trunkline.dialects.base import Headers
from trunkline.dialects.error_envelope import UNREADABLE, unwrap
from trunkline.dialects.error_words import find_hidden, find_words
from trunkline.dialects.status import error_for_status
from trunkline.errors import GatewayError

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
"""Status → the vendor's error type. Any other 4xx is the caller's fault and any other 5xx the gateway's."""

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
"""Type → status: the status that an error in the middle of a stream would have had as an answer."""

_encode: Final = msgspec.json.Encoder().encode


def error_type(status: int) -> str:
    """Return the ``type`` that Anthropic gives errors of ``status``."""
    return TYPES.get(status) or ("invalid_request_error" if 400 <= status < 500 else "api_error")


def error_body(error: GatewayError, request_id: str | None = None) -> bytes:
    """Return Anthropic's error envelope, with ``request_id`` beside the error if there is one."""
    detail: dict[str, Any] = {"type": error_type(error.status), "message": error.message}
    if error.details is not None:
        detail["details"] = error.details
    body: dict[str, Any] = {"type": "error", "error": detail}
    if request_id is not None:
        body["request_id"] = request_id
    return _encode(body)


def stream_error(error: GatewayError) -> bytes:
    """Return the event that Anthropic's SDKs raise on; they recognize it by its name. An upstream's own error
    body is passed on as it came."""
    body = error.body if error.body and b"\n" not in error.body else error_body(error)
    return b"event: error\ndata: " + body + b"\n\n"


def find_error(kind: str | None, detail: Any, payload: bytes, upstream_name: str) -> GatewayError | None:
    """Return the error that an event, or an answer of status 200, is or holds; None if it holds none.

    Args:
        kind: Its ``type``; None for an answer without content, whatever type it says.
        detail: Its ``error``.
        payload: All of it: without a type it may be an error of any form.
        upstream_name: The upstream's name in error texts.
    """
    if not detail and (kind is None or kind == "error"):
        try:
            detail = find_hidden(msgspec.json.decode(payload))
        except UNREADABLE:
            detail = None
    if detail or kind == "error":
        return read_error_field(detail, upstream_name)
    return None


def read_error_field(detail: Any, upstream_name: str) -> GatewayError:
    """Return the error in the ``error`` field of a stream's event, or of an answer of status 200."""
    kind = detail.get("type") if isinstance(detail, dict) else None
    status = _STATUSES.get(kind, 500) if isinstance(kind, str) else 500
    return _to_error(status, (), detail, upstream_name)


def read_error(status: int, headers: Headers, body: bytes, upstream_name: str) -> GatewayError:
    """Return an error answer as a value: Anthropic's envelope, or the plain text of a server before it."""
    return _to_error(status, headers, unwrap(body), upstream_name)


def _to_error(status: int, headers: Headers, detail: Any, upstream_name: str) -> GatewayError:
    return error_for_status(status, find_words(detail), headers, upstream_name=upstream_name)
