from __future__ import annotations

import msgspec
import pytest

from tests.dialects.anthropic.samples import body
from trunkline.dialects.anthropic import MESSAGES, AnthropicBack, error_body
from trunkline.errors import (
    FORBIDDEN,
    INVALID_API_KEY,
    INVALID_REQUEST,
    KINDS,
    METHOD_NOT_ALLOWED,
    MODEL_NOT_FOUND,
    SHUTTING_DOWN,
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
)
from trunkline.model import ChatRequest

BACK = AnthropicBack("Acme")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (CallerError("Bad"), "invalid_request_error"),
        (CallerError("Bad", UNPROCESSABLE), "invalid_request_error"),
        (CallerError("Bad", METHOD_NOT_ALLOWED), "invalid_request_error"),
        (CallerError("Who?", INVALID_API_KEY), "authentication_error"),
        (GatewayError("Broke", UPSTREAM_ERROR, status=402), "billing_error"),
        (CallerError("No", FORBIDDEN), "permission_error"),
        (CallerError("No 'x'", MODEL_NOT_FOUND), "not_found_error"),
        (CallerError("Big", TOO_LARGE), "request_too_large"),
        (ProviderError("Slow", UPSTREAM_RATE_LIMIT), "rate_limit_error"),
        (ProviderError("Down"), "api_error"),
        (GatewayError("Oh"), "api_error"),
        (GatewayError("Bye", SHUTTING_DOWN), "overloaded_error"),
    ],
)
def test_error_types(error: GatewayError, kind: str) -> None:
    said = {"type": "error", "error": {"type": kind, "message": error.message}}
    assert msgspec.json.decode(MESSAGES.error_body(error)) == said
    assert MESSAGES.stream_error(error) == b"event: error\ndata: " + MESSAGES.error_body(error) + b"\n\n"
    for stream in (True, False):
        made = MESSAGES.writer(ChatRequest(model="m", messages=(), stream=stream), "m", "")
        assert made.fail(error) == (MESSAGES.stream_error(error) if stream else MESSAGES.error_body(error))


def test_a_request_id_stands_beside_the_error() -> None:
    assert msgspec.json.decode(error_body(CallerError("Bad"), "req_1"))["request_id"] == "req_1"


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.code)
def test_every_kind_has_a_type_of_the_vendors(kind: Kind) -> None:
    said = msgspec.json.decode(error_body(GatewayError("x", kind)))["error"]["type"]
    assert (said == "api_error" or said == "overloaded_error") is (kind.status >= 500)


def envelope(kind: str, message: str) -> bytes:
    return body({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"})


@pytest.mark.parametrize(
    ("status", "data", "kind", "seen", "message"),
    [
        (400, envelope("invalid_request_error", "max_tokens: bad"), INVALID_REQUEST, 400, "max_tokens: bad"),
        (
            400,
            envelope("invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
            UPSTREAM_CREDIT,
            502,
            "Acme answered 400: Your credit balance is too low to access the Anthropic API.",
        ),
        (401, envelope("authentication_error", "invalid x-api-key"), UPSTREAM_AUTH, 502, "Acme answered 401"),
        (402, envelope("billing_error", "pay"), UPSTREAM_CREDIT, 502, "Acme answered 402: pay"),
        (403, envelope("permission_error", "no"), UPSTREAM_AUTH, 502, "Acme answered 403: no"),
        (404, envelope("not_found_error", "model: x"), MODEL_NOT_FOUND, 404, "Acme answered 404: model: x"),
        (413, envelope("request_too_large", "big"), TOO_LARGE, 413, "big"),
        (429, envelope("rate_limit_error", "slow"), UPSTREAM_RATE_LIMIT, 429, "Acme answered 429: slow"),
        (500, envelope("api_error", "oh"), UPSTREAM_ERROR, 502, "Acme answered 500: oh"),
        (529, envelope("overloaded_error", "busy"), UPSTREAM_ERROR, 502, "Acme answered 529: busy"),
        (500, b"<html>oh</html>", UPSTREAM_ERROR, 502, "Acme answered 500"),
        (500, b"oh \xff", UPSTREAM_ERROR, 502, "Acme answered 500: oh \ufffd"),
        (500, b"", UPSTREAM_ERROR, 502, "Acme answered 500"),
        (500, b"[1]", UPSTREAM_ERROR, 502, "Acme answered 500"),
        (500, b'{"error":"oh"}', UPSTREAM_ERROR, 502, "Acme answered 500: oh"),
        (500, b'{"message":"oh"}', UPSTREAM_ERROR, 502, "Acme answered 500: oh"),
        (400, b'{"error":{"message":7}}', INVALID_REQUEST, 400, "Acme refused the request with status 400"),
        (400, b"[" * 100_000, INVALID_REQUEST, 400, "[[["),
    ],
)
def test_upstreams_errors(status: int, data: bytes, kind: Kind, seen: int, message: str) -> None:
    error = BACK.read_error(status, [(b"retry-after", b"3")], data)
    assert (error.kind, error.status, error.retry_after) == (kind, seen, 3.0)
    assert error.message.startswith(message)


def test_no_key_is_told() -> None:
    error = BACK.read_error(401, (), envelope("authentication_error", "bad key sk-ant-abcdef123456"))
    assert "abcdef" not in error.message
