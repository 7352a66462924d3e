"""Errors of upstreams that speak the Responses API → values, wherever they stand.

As an error answer, as an event of a stream (flat, as it is documented, or with OpenAI's envelope inside), or
inside a response that failed. Only an error answer has a status: elsewhere the code says what it would have
been.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from trunkline.dialects.base import Headers
from trunkline.dialects.error_envelope import Detail, read_detail
from trunkline.dialects.responses.answer_schema import Record, ResponseIn
from trunkline.errors import NOT_FOUND, UPSTREAM_ERROR, CallerError, GatewayError, ProviderError, redact

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
"""OpenAI's codes, and after them its types: what an error would have been as an answer. Any other one is the
server's own."""


def read_error(status: int, headers: Headers, body: bytes, who: str) -> GatewayError:
    """An error answer as a value. A 404 may also be of something that the request refers to (a kept response,
    an item), which no other upstream has either."""
    detail = read_detail(body)
    if status == NOT_FOUND.status and detail.param not in (None, "", "model"):
        return CallerError(redact(detail.message), NOT_FOUND, code=detail.code, param=detail.param)
    return detail.value(status, headers, who)


def event_error(record: Record, who: str) -> GatewayError | None:
    """The error that an event of a stream is, if it is one."""
    if record.error:
        return _said(record.error, who)
    if record.type == "error":
        flat = {"message": record.message, "code": record.code, "param": record.param}
        return _said(flat, who)
    if record.type == "response.failed":
        return _failed(record.response, who)
    return None if record.response is None else response_error(record.response, who)


def response_error(response: ResponseIn, who: str) -> GatewayError | None:
    """The error that a response ended in, if it did."""
    return _failed(response, who) if response.error or response.status == "failed" else None


def _failed(response: ResponseIn | None, who: str) -> GatewayError:
    if response is None or not response.error:
        text = f"{who} ended its answer with an error that it did not name"
        return ProviderError(text, UPSTREAM_ERROR)
    return _said(response.error, who)


def _said(detail: Any, who: str) -> GatewayError:
    read = Detail.of(detail)
    status = read.status or _STATUSES.get(read.code or "") or _STATUSES.get(read.type or "") or 500
    return read.value(status if 400 <= status < 600 else 500, (), who)
