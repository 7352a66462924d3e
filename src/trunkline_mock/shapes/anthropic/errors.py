"""Errors of Anthropic's API: as a response, as an event of a stream, and as a body under status 200.

The type of an error follows from its status, unless a script sets a ``code``. Every response has a header
``request-id``, and the body of an error repeats it.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from trunkline_mock.generation import make_id, request_seed
from trunkline_mock.response import Response
from trunkline_mock.shapes.base import VendorError, json_response, named_sse_event

_DEFAULT_ERRORS: Final = {
    400: ("invalid_request_error", "The request is not valid."),
    401: ("authentication_error", "invalid x-api-key"),
    402: ("billing_error", "Your credit balance is too low to access the Anthropic API."),
    403: ("permission_error", "Your API key does not have permission to use the specified resource."),
    404: ("not_found_error", "Not Found"),
    408: ("timeout_error", "Request timed out"),
    409: ("conflict_error", "The request conflicts with the resource's state."),
    413: ("request_too_large", "Request exceeds the maximum size"),
    429: (
        "rate_limit_error",
        "This request would exceed your organization's rate limit. Please try again later.",
    ),
    500: ("api_error", "Internal server error"),
    504: ("timeout_error", "Request timed out"),
    529: ("overloaded_error", "Overloaded"),
}
"""Type and message by status. Any other 4xx is an ``invalid_request_error``, any other 5xx an
``api_error``."""


def make_request_id(seed: str) -> str:
    """The value of ``request-id`` for a seed."""
    return f"req_011{make_id(seed, -1, 21)}"


def encode_event(type: str, fields: dict[str, Any]) -> bytes:
    """An event of a stream; its name is the type in its payload."""
    return named_sse_event(type, {"type": type, **fields})


def error_body(status: int, message: str | None, code: str | int | None) -> dict[str, Any]:
    """The body of an error.

    Args:
        status: The HTTP status.
        message: The message; ``None``: the vendor's default for the status.
        code: The type of the error; ``None``: the one that follows from the status.
    """
    fallback = ("invalid_request_error" if status < 500 else "api_error", "Something went wrong.")
    default_type, default_message = _DEFAULT_ERRORS.get(status, fallback)
    return {
        "type": "error",
        "error": {
            "type": default_type if code is None else str(code),
            "message": default_message if message is None else message,
        },
        "request_id": make_request_id(request_seed(f"{status} {message} {code}".encode())),
    }


def error_response(status: int, message: str | None, code: str | int | None) -> Response:
    """A response with an error status."""
    body = error_body(status, message, code)
    return json_response(body, status=status, headers=(("request-id", body["request_id"]),))


def vendor_error_response(error: VendorError) -> Response:
    """The response to a request that the vendor refuses."""
    if error.details is None:
        return error_response(error.status, error.message, None)
    body = error_body(error.status, error.message, None)
    body["error"]["details"] = error.details
    headers = (("request-id", body["request_id"]),)
    response = json_response(body, status=error.status, headers=headers)
    return msgspec.structs.replace(response, cacheable=False)  # what is not there now may be there later


def error_event(status: int, message: str | None, code: str | int | None) -> bytes:
    """The event that ends a stream with an error."""
    return encode_event("error", error_body(status, message, code))
