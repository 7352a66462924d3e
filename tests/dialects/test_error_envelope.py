"""OpenAI's error envelope, written for clients and read from upstreams."""

from __future__ import annotations

import msgspec
import pytest

from tests.dialects.openai.samples import body
from trunkline import errors
from trunkline.dialects.error_envelope import error_body, read_error
from trunkline.errors import GatewayError, Kind, ProviderError

ANSWERS: dict[str, tuple[int, object, Kind, str, str | None, str | None]] = {
    "OpenAI": (
        400,
        {"error": {"message": "Bad n", "type": "invalid_request_error", "param": "n", "code": "bad_n"}},
        errors.INVALID_REQUEST, "Bad n", "n", "bad_n",
    ),
    "OpenAI, unknown model": (
        404,
        {"error": {"message": "No such model", "param": None, "code": "model_not_found"}},
        errors.MODEL_NOT_FOUND, "Acme answered 404: No such model", "model", "model_not_found",
    ),
    "OpenAI, no credit": (
        429,
        {"error": {"message": "Quota", "code": "insufficient_quota"}},
        errors.UPSTREAM_CREDIT, "Acme answered 429: Quota", None, "upstream_credit",
    ),
    "OpenAI, no credit, known by its type": (
        429,
        {"error": {"message": "Quota", "type": "insufficient_quota", "code": "credit_balance_exhausted"}},
        errors.UPSTREAM_CREDIT, "Acme answered 429: Quota", None, "upstream_credit",
    ),
    "OpenRouter, unknown model": (
        400,
        {"error": {"message": "x/y is not a valid model ID", "code": 400}},
        errors.MODEL_NOT_FOUND, "Acme answered 400: x/y is not a valid model ID", "model", "model_not_found",
    ),
    "OpenRouter, no credit": (
        402, {"error": {"message": "Add credits", "code": 402}},
        errors.UPSTREAM_CREDIT, "Acme answered 402: Add credits", None, "upstream_credit",
    ),
    "OpenRouter, moderation": (
        403,
        {"error": {"message": "Flagged", "code": 403, "metadata": {"flagged_input": "…", "reasons": []}}},
        errors.FORBIDDEN, "Flagged", None, "forbidden",
    ),
    "Cerebras, flat": (
        422, {"message": "Not supported", "type": "x", "param": "n", "code": "wrong_api_format"},
        errors.UNPROCESSABLE, "Not supported", "n", "wrong_api_format",
    ),
    "SGLang, flat": (
        400, {"object": "error", "message": "Bad", "type": "BadRequestError", "param": None, "code": 400},
        errors.INVALID_REQUEST, "Bad", None, "invalid_request",
    ),
    "FastAPI": (
        404, {"detail": "Not Found"},
        errors.MODEL_NOT_FOUND, "Acme answered 404: Not Found", "model", "model_not_found",
    ),
    "a sentence": (
        500, {"error": "it broke"},
        errors.UPSTREAM_ERROR, "Acme answered 500: it broke", None, "upstream_error",
    ),
    "nothing of use": (
        401, {"error": {"message": 7, "code": None, "param": 3}},
        errors.UPSTREAM_AUTH, "Acme answered 401", None, "upstream_auth",
    ),
    "OpenRouter, on behalf of somebody": (
        429,
        {
            "error": {
                "message": "Provider returned error",
                "code": 429,
                "metadata": {"raw": "x:free is rate-limited upstream", "provider_name": "Z"},
            }
        },
        errors.UPSTREAM_RATE_LIMIT,
        "Acme answered 429: Provider returned error (Z: x:free is rate-limited upstream)",
        None, "rate_limit_exceeded",
    ),
    "OpenRouter, with the other's own envelope": (
        502,
        {"error": {"message": "Oh", "metadata": {"raw": '{"error": {"message": "full"}}'}}},
        errors.UPSTREAM_ERROR, "Acme answered 502: Oh (full)", None, "upstream_error",
    ),
    "OpenRouter, with nothing to add": (
        500, {"error": {"message": "Oh", "metadata": {"raw": {}, "provider_name": "Z"}}},
        errors.UPSTREAM_ERROR, "Acme answered 500: Oh", None, "upstream_error",
    ),
    "a list": (
        413, [1],
        errors.TOO_LARGE, "Acme refused the request with status 413", None, "request_too_large",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ANSWERS)
def test_error_answers(case: str) -> None:
    status, sent, kind, message, param, code = ANSWERS[case]
    error = read_error(status, (), body(sent), "Acme")
    assert (error.kind, error.message, error.param, error.code) == (kind, message, param, code)


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (b"", "Acme answered 502"),
        (b"  upstream connect error \n", "Acme answered 502: upstream connect error"),
        (b"<html>Bad Gateway</html>", "Acme answered 502"),
        (b"\xff\xfe", "Acme answered 502: \ufffd\ufffd"),
        (b'"a sentence"', "Acme answered 502: a sentence"),
        (b"[" * 5000, "Acme answered 502: [[["),
    ],
)
def test_error_answers_that_are_no_envelope(sent: bytes, message: str) -> None:
    error = read_error(502, (), sent, "Acme")
    assert isinstance(error, ProviderError)
    assert error.message.startswith(message)


def test_retry_after_is_read() -> None:
    error = read_error(429, [(b"retry-after", b"7")], b"{}", "Acme")
    assert (error.kind, error.retry_after) == (errors.UPSTREAM_RATE_LIMIT, 7.0)


def test_a_redirect_names_its_target() -> None:
    error = read_error(301, [(b"Location", b"https://user:pw@up.example/v1/x?key=secret")], b"", "Acme")
    assert isinstance(error, ProviderError)
    text = "Acme answered 301 and points to https://***@up.example/v1/x; its base address should lead there"
    assert error.message == text


def test_the_envelope_has_all_four_keys() -> None:
    """Also where there is nothing to say: OpenAI's SDKs read them all."""
    error = ProviderError("It was cut", errors.UPSTREAM_TRUNCATED, param="n")
    detail = {"message": "It was cut", "type": "upstream_error", "param": "n", "code": "upstream_truncated"}
    assert msgspec.json.decode(error_body(error)) == {"error": detail}
    assert msgspec.json.decode(error_body(GatewayError("oops")))["error"]["param"] is None
