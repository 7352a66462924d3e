"""What vendors' failures concern: status and words in, kind and scope out."""

from __future__ import annotations

import pytest

from trunkline import errors
from trunkline.dialects.anthropic import AnthropicBack
from trunkline.dialects.ollama import OllamaBack
from trunkline.dialects.status import error_for_status
from trunkline.errors import ProviderError
from trunkline.providers.failures import classify

CALLERS = ("invalid_request", "request")
MODELS = ("upstream_model_error", "model")
ACCESS = "Your credit balance is too low to access the Anthropic API."
QUOTA = "You exceeded your current quota, please check your plan and billing details."
AFFORD = "This request requires more credits. You requested up to 64000 tokens, but can only afford 3000."


@pytest.mark.parametrize(
    ("vendor", "status", "text", "code", "scope"),
    [
        ("openai", 400, "bad", *CALLERS),
        ("openai", 401, "Incorrect API key", "upstream_auth", "credential"),
        ("openai", 402, "Payment required", "upstream_credit", "credential"),
        ("openai", 403, "Country not supported", "upstream_auth", "credential"),
        ("openai", 403, "Project does not have access to model gpt-5", "upstream_auth", "model"),
        ("openai", 408, "", "upstream_error", "model"),
        ("openai", 413, "", "request_too_large", "request"),
        ("openai", 429, "Rate limit reached for gpt-4o", "rate_limit_exceeded", "model"),
        ("openai", 429, QUOTA, "upstream_credit", "credential"),
        ("openai", 500, "The server had an error", "upstream_error", "model"),
        ("openai", 503, "overloaded", "upstream_error", "model"),
        ("openai", 400, "Billing hard limit has been reached", "upstream_credit", "credential"),
        ("anthropic", 400, ACCESS, "upstream_credit", "credential"),
        (
            "anthropic",
            400,
            "You have reached your specified API usage",
            "upstream_credit",
            "credential",
        ),
        ("anthropic", 400, "max_tokens: too large", *CALLERS),
        ("anthropic", 529, "Overloaded", "upstream_error", "model"),
        ("openrouter", 402, AFFORD, "upstream_credit", "request"),
        ("openrouter", 402, "Insufficient credits", "upstream_credit", "credential"),
        ("openrouter", 403, "Key limit exceeded (monthly limit)", "upstream_credit", "credential"),
        ("openrouter", 403, "Your input was flagged", "upstream_auth", "request"),
    ],
)
def test_kind_and_scope(vendor: str, status: int, text: str, code: str, scope: str) -> None:
    error = error_for_status(status, text)
    error.provider = "up"
    classify(vendor, error)
    assert (error.kind.code, error.scope) == (code, scope)
    assert error.status < 500 or text in error.message


@pytest.mark.parametrize(
    ("status", "text", "code", "scope"),
    [
        (
            500,
            "json: cannot unmarshal string into Go struct field Options.num_predict",
            "invalid_request",
            "request",
        ),
        (501, "this model does not support embeddings", *CALLERS),
        (500, "the input length exceeds the context length", *CALLERS),
        (500, "illegal base64 data at input byte 0", *CALLERS),
        (
            500,
            "Failed to create new sequence: failed to process inputs: image: unknown format",
            "invalid_request",
            "request",
        ),
        (500, "llama runner process has terminated: exit status 2", *MODELS),
        (500, "model requires more system memory (8 GiB) than is available", *MODELS),
        (500, "unable to load model: /blobs/sha256-1", *MODELS),
        (500, "CUDA error: out of memory", *MODELS),
        (502, "upstream model is not reachable", *MODELS),
        (
            503,
            "server busy, please try again",
            "upstream_busy",
            "request",
        ),
    ],
)
def test_ollamas_own_words(status: int, text: str, code: str, scope: str) -> None:
    error = OllamaBack().read_error(status, [], b'{"error":"%b"}' % text.encode())
    classify("ollama", error)
    assert (error.kind.code, error.scope, error.status) == (code, scope, status)
    assert text in error.message


def test_a_page_of_a_proxy_is_not_ollamas_word() -> None:
    error = OllamaBack().read_error(500, [], b"<html>model not supported</html>")
    classify("ollama", error)
    assert (error.kind.code, error.scope, error.status) == ("upstream_error", "model", 502)


@pytest.mark.parametrize(
    ("kind", "scope"),
    [
        (errors.UPSTREAM_UNREACHABLE, "upstream"),
        (errors.UPSTREAM_TLS, "upstream"),
        (errors.UPSTREAM_RESET, "model"),
        (errors.UPSTREAM_TIMEOUT, "model"),
        (errors.UPSTREAM_PROTOCOL, "model"),
        (errors.UPSTREAM_TRUNCATED, "model"),
    ],
)
def test_what_is_no_answer_stays_as_it_is(kind: errors.Kind, scope: str) -> None:
    error = ProviderError("the model does not support it; out of memory", kind)
    classify("ollama", error)
    assert (error.kind, error.scope) == (kind, scope)


def test_an_error_that_was_read_names_its_status() -> None:
    body = b'{"error":{"type":"invalid_request_error","message":"%b"}}' % ACCESS.encode()
    error = AnthropicBack("Acme").read_error(400, [], body)
    error.provider = "claude"
    classify("anthropic", error)
    assert (error.kind, error.status) == (errors.UPSTREAM_CREDIT, 502)
    assert error.message == f"Provider 'claude' answered 400: {ACCESS}"
