from __future__ import annotations

import pytest

from trunkline import errors
from trunkline.errors import KINDS, CallerError, GatewayError, Kind, ProviderError, redact

SECRETS = {
    "OpenAI": "sk-aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789",
    "OpenAI, project": "sk-proj-aB3_dE-fG6hI9jK2lM5nO8pQ",
    "OpenAI, service account": "sk-svcacct-aB3_dE-fG6hI9jK2lM5nO8pQ",
    "OpenAI, as its errors mask it": "sk-proj-********************wxyz",
    "Anthropic": "sk-ant-api03-aB3_dE-fG6hI9jK2lM5nO8pQ-AA",
    "OpenRouter": "sk-or-v1-0123456789abcdef0123456789abcdef",
    "Cerebras": "csk-0123456789abcdef0123456789abcdef",
    "Groq": "gsk_0123456789abcdefABCDEF",
    "xAI": "xai-0123456789abcdefABCDEF",
    "Hugging Face": "hf_0123456789abcdefABCDEF",
    "Google": "AIzaSyA0123456789abcdefABCDEF_-xyz",
    "NVIDIA": "nvapi-0123456789abcdefABCDEF",
    "Perplexity": "pplx-0123456789abcdefABCDEF",
    "Replicate": "r8_0123456789abcdefABCDEF",
    "Fireworks": "fw_0123456789abcdefABCDEF",
    "ours": "gw_0123456789abcdefABCDEF",
}


@pytest.mark.parametrize("vendor", SECRETS)
@pytest.mark.parametrize(
    "sentence",
    [
        "Incorrect API key provided: {}.",
        '{{"message":"bad key \'{}\'"}}',
        "Authorization: Bearer {}",
        "x-api-key={}&stream=true",
        "{}",
        "POST /key/{}/api/chat",
    ],
)
def test_no_vendors_key_gets_through(vendor: str, sentence: str) -> None:
    key = SECRETS[vendor]
    hidden = redact(sentence.format(key))
    assert key[8:] not in hidden
    assert "***" in hidden
    assert hidden.startswith(sentence.split("{")[0][:4])


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("Bearer abcdef0123456789", "Bearer ***"),
        ('"authorization": "bearer 0123-abc.def", "x": 1', '"authorization": "bearer ***", "x": 1'),
        ("Basic dXNlcjpwYXNzd29yZA==", "Basic ***"),
        ("GET /models?key=0123456789abcdef&x=1", "GET /models?key=***&x=1"),
        ("https://h/?api_key=0123456789abcdef", "https://h/?api_key=***"),
        ("http://user:p@ss@host/x", "http://***@host/x"),
        ("http://user:secret@host:11434/api", "http://***@host:11434/api"),
        ("postgresql://gw:hunter2@db/gw failed", "postgresql://***@db/gw failed"),
        ("redis://:hunter2@cache:6379", "redis://***@cache:6379"),
        ("https://token@proxy.example", "https://***@proxy.example"),
    ],
)
def test_credentials_in_headers_and_addresses_are_hidden(text: str, hidden: str) -> None:
    assert redact(text) == hidden


@pytest.mark.parametrize(
    "text",
    [
        "",
        "model 'task-specific-model' not found",
        "Connection refused to Ollama server at http://127.0.0.1:11434",
        "mail someone@example.com about https://example.com/a@b",
        "the risk-averse desk-top",
        "the field key_mapping is unknown",
        "max_tokens must be at least 1",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    assert redact(text) == text


def test_long_texts_are_cut() -> None:
    assert redact("word " * 1000, 12) == "word word wo…"
    assert len(redact("x" * 5000)) == 2001


def test_every_kind_has_one_row() -> None:
    kinds = [value for value in vars(errors).values() if isinstance(value, Kind)]
    assert sorted(KINDS) == sorted(kind.code for kind in kinds)
    assert all(KINDS[kind.code] is kind for kind in kinds)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_kinds_are_consistent(kind: Kind) -> None:
    assert 400 <= kind.status < 600
    asked_elsewhere = kind.failover != "none"
    assert not kind.retry or asked_elsewhere, "what may be asked again there may be asked elsewhere"
    assert kind.scope == "request" or asked_elsewhere
    if kind.type == "upstream_error":
        assert kind.status in (502, 503)


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        (GatewayError("oops"), errors.INTERNAL, 500),
        (CallerError("bad"), errors.INVALID_REQUEST, 400),
        (ProviderError("down"), errors.UPSTREAM_ERROR, 502),
        (ProviderError("gone", errors.MODEL_NOT_FOUND), errors.MODEL_NOT_FOUND, 404),
    ],
)
def test_errors_begin_with_what_their_kind_says(error: GatewayError, kind: Kind, status: int) -> None:
    assert (error.kind, error.status, error.status_code, error.code) == (kind, status, status, kind.code)
    assert (error.param, error.provider, error.retry_after) == (None, None, None)
    assert str(error) == error.message


def test_details_overrule_the_kind() -> None:
    error = ProviderError(
        "slow down",
        errors.UPSTREAM_RATE_LIMIT,
        provider="acme",
        param="model",
        status=503,
        code="busy",
        retry_after=1.5,
    )
    assert (error.status, error.code, error.param) == (503, "busy", "model")
    assert (error.provider, error.retry_after) == ("acme", 1.5)
    assert isinstance(error, GatewayError)
    assert not isinstance(error, CallerError)


GONE = CallerError("gone", errors.CLIENT_GONE)


@pytest.mark.parametrize(
    ("error", "whole", "begun"),
    [
        (GONE, "client", "client"),
        (GatewayError("a bug"), "gateway", "gateway"),
        (GatewayError("stops", errors.SHUTTING_DOWN), "gateway", "gateway"),
        (CallerError("the limits' store is away", errors.LIMITS_AWAY), "gateway", "gateway"),
        (CallerError("no JSON", errors.INVALID_JSON), "refused", "upstream"),
        (CallerError("too many", errors.LIMITED), "refused", "upstream"),
        (ProviderError("no such model", errors.MODEL_NOT_FOUND), "refused", "upstream"),
        (ProviderError("broke off", errors.UPSTREAM_RESET), "upstream", "upstream"),
        (ProviderError("too many", errors.UPSTREAM_RATE_LIMIT), "upstream", "upstream"),
    ],
)
def test_who_has_broken_an_answer_off(error: GatewayError, whole: str, begun: str) -> None:
    assert (errors.blame(error), errors.blame(error, begun=True)) == (whole, begun)
