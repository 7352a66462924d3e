"""What an upstream's HTTP error status means: the table of the errors' faults, shared by all back dialects.

Pure: a status, the upstream's own words and its headers in, an error value out. Where those words stand in
an error body, and what a vendor's exceptions to this table are, each dialect knows for itself.
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

CALLERS: Final[dict[int, Kind]] = {400: INVALID_REQUEST, 413: TOO_LARGE, 422: UNPROCESSABLE}
"""Statuses by which an upstream refuses the request itself; the client sees them unchanged."""

UPSTREAMS: Final[dict[int, Kind]] = {
    401: UPSTREAM_AUTH,
    402: UPSTREAM_CREDIT,
    403: UPSTREAM_AUTH,
    404: MODEL_NOT_FOUND,
    408: UPSTREAM_RATE_LIMIT,
    429: UPSTREAM_RATE_LIMIT,
}
"""Statuses by which an upstream, or our standing with it, fails; any other one is UPSTREAM_ERROR."""


def error_for_status(
    status: int,
    message: str,
    headers: Headers = (),
    *,
    who: str = "The upstream",
    kind: Kind | None = None,
    code: str | None = None,
    param: str | None = None,
) -> GatewayError:
    """The error that an answer of ``status`` stands for.

    Args:
        status: the upstream's HTTP status, 400 or above (a redirect counts as the upstream's failure).
        message: the upstream's own words, not redacted yet; may be empty.
        headers: of the answer; its ``Retry-After`` is taken over.
        who: begins the sentence where the fault is not the caller's ("Ollama answered 500: …").
        kind: overrules the table, where a dialect knows better.
        code: the upstream's own error code, if it gave one worth keeping.
        param: the request field that the upstream complained about.
    """
    said = redact(message.strip())
    wait = retry_after(headers)
    if kind is None and status in CALLERS:
        text = said or f"{who} refused the request with status {status}"
        return CallerError(text, CALLERS[status], code=code, param=param, retry_after=wait)
    kind = kind or UPSTREAMS.get(status, UPSTREAM_ERROR)
    if kind is MODEL_NOT_FOUND and param is None:
        param = "model"
    text = f"{who} answered {status}: {said}" if said else f"{who} answered {status}"
    if 300 <= status < 400 and (target := _location(headers)):
        text = f"{who} answered {status} and points to {target}; its base address should lead there"
    return ProviderError(text, kind, code=code, param=param, retry_after=wait)


def _location(headers: Headers) -> str:
    """Where a redirect leads, without what may be secret in it."""
    found = next((value for name, value in headers if name.lower() == b"location"), b"")
    return redact(found.decode("latin-1").partition("?")[0], 200)


def retry_after(headers: Headers) -> float | None:
    """Seconds to wait, from ``retry-after-ms`` (OpenAI's) or ``Retry-After`` (RFC 9110, 10.2.3).

    A date is taken relative to the answer's own ``Date``: the other side's clock may differ from ours.
    """
    found = {name.lower(): value.decode("latin-1").strip() for name, value in headers}
    for name, unit in (b"retry-after-ms", 1000.0), (b"retry-after", 1.0):
        seconds = _number(found.get(name))
        if seconds is not None:
            return seconds / unit
    try:
        due = parsedate_to_datetime(found[b"retry-after"])
        return max(0.0, (due - parsedate_to_datetime(found[b"date"])).total_seconds())
    except (KeyError, TypeError, ValueError):
        return None


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None
