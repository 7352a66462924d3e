"""What an upstream's HTTP error status means, for all back dialects.

The functions are pure: a status, the upstream's own text and its headers go in, an error value comes out.
Each dialect knows where that text stands in an error body, and where a vendor deviates from this table.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Final

from trunkline.dialects.base import Headers
from trunkline.errors import (
    INVALID_REQUEST,
    MODEL_NOT_FOUND,
    TOO_LARGE,
    UNPROCESSABLE,
    UPSTREAM_AUTH,
    UPSTREAM_CREDIT,
    UPSTREAM_ERROR,
    UPSTREAM_RATE_LIMIT,
    CallerError,
    GatewayError,
    Kind,
    ProviderError,
    redact,
)

CALLER_STATUSES: Final[dict[int, Kind]] = {400: INVALID_REQUEST, 413: TOO_LARGE, 422: UNPROCESSABLE}
"""Statuses with which an upstream refuses the request itself; the client sees them unchanged."""

UPSTREAM_STATUSES: Final[dict[int, Kind]] = {
    401: UPSTREAM_AUTH,
    402: UPSTREAM_CREDIT,
    403: UPSTREAM_AUTH,
    404: MODEL_NOT_FOUND,
    429: UPSTREAM_RATE_LIMIT,
}
"""Statuses that are the fault of an upstream, or of our standing with it; any other is UPSTREAM_ERROR."""


def error_for_status(
    status: int,
    message: str,
    headers: Headers = (),
    *,
    upstream_name: str = "The upstream",
    kind: Kind | None = None,
    code: str | None = None,
    param: str | None = None,
) -> GatewayError:
    """Return the error that an answer of ``status`` stands for.

    Args:
        status: The upstream's HTTP status, 400 or above (a redirect counts as the upstream's failure).
        message: The upstream's own text, not redacted yet; may be empty.
        headers: The answer's headers; ``Retry-After`` is read from them.
        upstream_name: Begins the text where the fault is not the caller's ("Ollama answered 500: …").
        kind: Overrules the table, where a dialect knows better.
        code: The upstream's own error code, if it gave one worth passing on.
        param: The request field that the upstream complained about.
    """
    detail = redact(message.strip())
    wait = retry_after(headers)
    if kind is None and status in CALLER_STATUSES:
        text = detail or f"{upstream_name} refused the request with status {status}"
        refusal = CallerError(text, CALLER_STATUSES[status], code=code, param=param, retry_after=wait)
        refusal.upstream_status = status
        return refusal
    kind = kind or UPSTREAM_STATUSES.get(status, UPSTREAM_ERROR)
    if kind is MODEL_NOT_FOUND and param is None:
        param = "model"
    text = f"{upstream_name} answered {status}: {detail}" if detail else f"{upstream_name} answered {status}"
    if 300 <= status < 400 and (target := _location(headers)):
        text = f"{upstream_name} answered {status} and points to {target}; its base address should lead there"
    failure = ProviderError(text, kind, code=code, param=param, retry_after=wait)
    failure.upstream_status = status
    return failure


def _location(headers: Headers) -> str:
    """The target of a redirect, without what may be secret in it."""
    location = next((value for name, value in headers if name.lower() == b"location"), b"")
    return redact(location.decode("latin-1").partition("?")[0], 200)


def retry_after(headers: Headers) -> float | None:
    """Return the seconds to wait, from ``retry-after-ms`` (OpenAI's) or ``Retry-After`` (RFC 9110, 10.2.3).

    A date is taken relative to the answer's own ``Date``: the upstream's clock may differ from ours.
    """
    values = {name.lower(): value.decode("latin-1").strip() for name, value in headers}
    for name, unit in (b"retry-after-ms", 1000.0), (b"retry-after", 1.0):
        seconds = _number(values.get(name))
        if seconds is not None:
            return seconds / unit
    try:
        due = parsedate_to_datetime(values[b"retry-after"])
        return max(0.0, (due - parsedate_to_datetime(values[b"date"])).total_seconds())
    except (KeyError, TypeError, ValueError):
        return None


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None
