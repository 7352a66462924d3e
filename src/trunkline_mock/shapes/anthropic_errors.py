"""How Anthropic puts an error: as an answer, in a stream, inside a 200.

The type follows from the status; a script's ``code`` takes its place. Every answer carries a ``request-id``,
which an error's body repeats.
"""

from __future__ import annotations

from typing import Any, Final

from trunkline_mock.answers import seed_of, short_id
from trunkline_mock.delivery import Reply
from trunkline_mock.shapes.base import RefusalError, encode, json_reply

_WORDS: Final = {
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
"""Type and message by status; another 4xx is an invalid request, another 5xx the API's fault."""


def request_id(seed: str) -> str:
    """The id of a request."""
    return f"req_011{short_id(seed, -1, 21)}"


def event(kind: str, fields: dict[str, Any]) -> bytes:
    """A server-sent event, named as its payload's type."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), encode({"type": kind, **fields}))


def envelope(status: int, message: str | None, code: str | int | None) -> dict[str, Any]:
    """The error object of ``status``: the vendor's words, with what is given in their place."""
    usual = ("invalid_request_error" if status < 500 else "api_error", "Something went wrong.")
    kind, words = _WORDS.get(status, usual)
    return {
        "type": "error",
        "error": {
            "type": kind if code is None else str(code),
            "message": words if message is None else message,
        },
        "request_id": request_id(seed_of(f"{status} {message} {code}".encode())),
    }


def error_reply(status: int, message: str | None, code: str | int | None) -> Reply:
    """An answer with an error status."""
    body = envelope(status, message, code)
    return json_reply(body, status=status, headers=(("request-id", body["request_id"]),))


def refusal_reply(refusal: RefusalError) -> Reply:
    """The answer to a request that is refused; routes have other words for what they do not find."""
    return error_reply(refusal.status, refusal.message, None)


def error_event(status: int, message: str | None, code: str | int | None) -> bytes:
    """The event that ends a stream with an error."""
    return event("error", envelope(status, message, code))
