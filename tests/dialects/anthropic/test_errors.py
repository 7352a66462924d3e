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
    expected = {"type": "error", "error": {"type": kind, "message": error.message}}
    assert msgspec.json.decode(MESSAGES.error_body(error)) == expected
    assert MESSAGES.stream_error(error) == b"event: error\ndata: " + MESSAGES.error_body(error) + b"\n\n"
    for stream in (True, False):
        writer = MESSAGES.writer(ChatRequest(model="m", messages=(), stream=stream), "m", "")
        assert writer.fail(error) == (MESSAGES.stream_error(error) if stream else MESSAGES.error_body(error))


def test_a_request_id_is_beside_the_error() -> None:
    assert msgspec.json.decode(error_body(CallerError("Bad"), "req_1"))["request_id"] == "req_1"


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.code)
def test_every_kind_has_a_type_of_the_vendors(kind: Kind) -> None:
    error_type = msgspec.json.decode(error_body(GatewayError("x", kind)))["error"]["type"]
    assert (error_type in ("api_error", "overloaded_error")) is (kind.status >= 500)


def envelope(kind: str, message: str) -> bytes:
    return body({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"})


def test_keys_are_redacted() -> None:
    error = BACK.read_error(401, (), envelope("authentication_error", "bad key sk-ant-abcdef123456"))
    assert "abcdef" not in error.message


def test_an_error_body_that_is_nested_without_end() -> None:
    error = BACK.read_error(400, (), b"[" * 100_000)
    assert error.kind is INVALID_REQUEST
    assert error.message.startswith("[[[")
