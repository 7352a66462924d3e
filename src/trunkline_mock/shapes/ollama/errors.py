"""Errors of Ollama's API: as a response, as a line of a stream, and as a body under status 200.

The body is always ``{"error": message}``; Ollama has no error codes.
"""

from __future__ import annotations

from typing import Any, Final

from trunkline_mock.response import Response
from trunkline_mock.shapes.base import VendorError, json_response

_DEFAULT_MESSAGES: Final = {
    400: "invalid request",
    401: "unauthorized",
    403: "forbidden",
    404: "model not found",
    429: "too many concurrent requests",
    499: "client closed request",
    500: "llama runner process has terminated: exit status 2",
    502: "bad gateway",
    503: "server busy, please try again.  maximum pending requests exceeded",
}


def error_body(status: int, message: str | None) -> dict[str, Any]:
    """The body of an error.

    Args:
        status: The HTTP status.
        message: The message; ``None``: Ollama's usual one for the status.
    """
    if message is None:
        message = _DEFAULT_MESSAGES.get(status, "internal server error")
    return {"error": message}


def error_response(status: int, message: str | None) -> Response:
    """A response with an error status."""
    return json_response(error_body(status, message), status=status)


def vendor_error_response(error: VendorError) -> Response:
    """The response to a request that Ollama refuses."""
    return error_response(error.status, error.message)
