"""Errors in the Responses dialect: written for clients, and read from upstreams wherever they stand.

An upstream's error is an error answer, an event of a stream (flat, as it is documented, or with OpenAI's
envelope inside), or stands inside a response that failed. Only an error answer has a status: elsewhere the
code tells what the status would have been.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from trunkline.dialects.base import Headers
from trunkline.dialects.error_envelope import UNREADABLE, Detail, error_body, error_detail, read_detail
from trunkline.dialects.error_words import find_hidden
from trunkline.dialects.responses.answer_schema import Record, ResponseIn
from trunkline.errors import (
    NOT_FOUND,
    UNSUPPORTED,
    UPSTREAM_ERROR,
    CallerError,
    GatewayError,
    ProviderError,
    redact,
)

__all__ = [
    "error_body",
    "find_event_error",
    "find_hidden_error",
    "find_response_error",
    "read_error",
    "stream_error",
    "unsupported",
    "write_event",
]

_encode: Final = msgspec.json.Encoder().encode

_STATUSES: Final[Mapping[str, int]] = {
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "too_many_requests": 429,
    "model_not_found": 404,
    "invalid_api_key": 401,
    "context_length_exceeded": 400,
    "invalid_prompt": 400,
    "data_residency_mismatch": 400,
    "bio_policy": 400,
    "misalignment_policy_violation": 400,
    "image_too_large": 400,
    "image_too_small": 400,
    "image_parse_error": 400,
    "image_content_policy_violation": 400,
    "invalid_image": 400,
    "invalid_image_format": 400,
    "invalid_base64_image": 400,
    "invalid_image_url": 400,
    "invalid_image_mode": 400,
    "image_file_too_large": 400,
    "unsupported_image_media_type": 400,
    "empty_image_file": 400,
    "failed_to_download_image": 400,
    "image_file_not_found": 400,
    "invalid_request_error": 400,
    "rate_limit_error": 429,
    "requests": 429,
    "tokens": 429,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
}
"""OpenAI's codes, and after them its types → the status that an error would have had as an answer. Any other
one is the server's own fault."""


def unsupported(what: str, path: str, instead: str = "") -> CallerError:
    """The error for a field that asks for something which the gateway does not have, or cannot translate.

    Args:
        what: What is asked for; begins the text.
        path: The field's path.
        instead: What the client can do instead; ends the text.
    """
    hint = f"; {instead}" if instead else ""
    return CallerError(f"{what} is not supported here ('{path}'){hint}", UNSUPPORTED, param=path)


def write_event(name: str, number: int, fields: dict[str, Any]) -> bytes:
    """Return one event of a stream."""
    payload = _encode({"type": name, "sequence_number": number} | fields)
    return b"event: %b\ndata: %b\n\n" % (name.encode(), payload)


def stream_error(error: GatewayError, number: int) -> bytes:
    """Return the event that says what went wrong. It is flat, as it is documented, and also has the
    envelope's form, which OpenAI sends and its SDKs raise on."""
    detail = error_detail(error)
    flat = {name: detail[name] for name in ("code", "message", "param")}
    return write_event("error", number, flat | {"error": detail})


def read_error(status: int, headers: Headers, body: bytes, upstream_name: str) -> GatewayError:
    """Return an error answer as a value. A 404 may also be about something that the request refers to (a
    stored response, an item), which no other upstream has either."""
    detail = read_detail(body)
    if status == NOT_FOUND.status and detail.param not in (None, "", "model"):
        return CallerError(redact(detail.message), NOT_FOUND, code=detail.code, param=detail.param)
    return detail.to_error(status, headers, upstream_name)


def find_hidden_error(payload: bytes, upstream_name: str) -> GatewayError | None:
    """Return the error that an event without a type, or an answer without output, is in any other form."""
    try:
        detail = find_hidden(msgspec.json.decode(payload))
    except UNREADABLE:
        return None
    return _read_error_field(detail, upstream_name) if detail else None


def find_event_error(record: Record, payload: bytes, upstream_name: str) -> GatewayError | None:
    """Return the error that an event of a stream is or holds, if it is one."""
    if record.error:
        return _read_error_field(record.error, upstream_name)
    if record.type == "error":
        flat = {"message": record.message, "code": record.code, "param": record.param}
        return _read_error_field(flat, upstream_name)
    if record.type == "response.failed":
        return _failure(record.response, upstream_name)
    if record.type is None and record.response is None:
        return find_hidden_error(payload, upstream_name)
    return None if record.response is None else find_response_error(record.response, upstream_name)


def find_response_error(response: ResponseIn, upstream_name: str) -> GatewayError | None:
    """Return the error that a response ended in, if it did."""
    return _failure(response, upstream_name) if response.error or response.status == "failed" else None


def _failure(response: ResponseIn | None, upstream_name: str) -> GatewayError:
    if response is None or not response.error:
        text = f"{upstream_name} ended its answer with an error that it did not name"
        return ProviderError(text, UPSTREAM_ERROR)
    return _read_error_field(response.error, upstream_name)


def _read_error_field(value: Any, upstream_name: str) -> GatewayError:
    detail = Detail.of(value)
    status = detail.status or _STATUSES.get(detail.code or "") or _STATUSES.get(detail.type or "") or 500
    return detail.to_error(status if 400 <= status < 600 else 500, (), upstream_name)
