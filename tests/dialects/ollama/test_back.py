from __future__ import annotations

from typing import Any

import msgspec
import pytest

from trunkline import errors
from trunkline.dialects.base import NO_DEFAULTS, Back, RequestDefaults, RequestSummary
from trunkline.dialects.ollama.back import OllamaBack
from trunkline.dialects.ollama.inspect import StreamInspector, WholeInspector
from trunkline.dialects.ollama.read import EmbeddingReader, StreamReader
from trunkline.errors import CallerError, Kind, ProviderError
from trunkline.events import Started, TextDelta
from trunkline.model import (
    CanonicalRequest,
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    Message,
    Operation,
    Sampling,
    Text,
)

BACK: Back = OllamaBack()
CHAT = ChatRequest(model="m", messages=(Message(role="user", parts=(Text(text="Hi"),)),))
COMPLETION = CompletionRequest(model="m", prompts=("Once ",))
EMBEDDING = EmbeddingRequest(model="m", inputs=("a",))


@pytest.mark.parametrize(
    ("operation", "canonical", "path", "field"),
    [
        ("chat", CHAT, "/api/chat", "messages"),
        ("completions", COMPLETION, "/api/generate", "prompt"),
        ("embeddings", EMBEDDING, "/api/embed", "input"),
    ],
)
def test_each_operation_has_its_endpoint(
    operation: Operation, canonical: CanonicalRequest, path: str, field: str
) -> None:
    assert BACK.dialect == "ollama"
    assert BACK.target(operation, canonical) == path
    body = msgspec.json.decode(BACK.render(canonical, "x", True, NO_DEFAULTS))
    assert body["model"] == "x"
    assert field in body


def test_each_job_has_its_reader() -> None:
    assert isinstance(BACK.reader(CHAT, True), StreamReader)
    assert isinstance(BACK.reader(EMBEDDING, False), EmbeddingReader)
    echoed = msgspec.structs.replace(COMPLETION, echo=True, sampling=Sampling())
    assert BACK.reader(echoed, True).feed(b'{"response":"upon"}\n') == [
        Started(),
        TextDelta("Once "),
        TextDelta("upon"),
    ]


@pytest.mark.parametrize(
    ("operation", "stream", "kind"),
    [
        ("chat", True, StreamInspector),
        ("completions", True, StreamInspector),
        ("chat", False, WholeInspector),
        ("embeddings", True, WholeInspector),
    ],
)
def test_each_answer_has_its_scanner(operation: Operation, stream: bool, kind: type) -> None:
    assert isinstance(BACK.inspector(operation, RequestSummary(model="m", stream=stream)), kind)


def _rewrite(body: bytes, model: str = "m", defaults: RequestDefaults = NO_DEFAULTS) -> bytes:
    return BACK.patch(body, RequestSummary(model="m", stream=True), model, defaults)


@pytest.mark.parametrize(
    ("body", "defaults"),
    [
        (b'{"model":"m", "messages":[], "unknown": 1.50 }', NO_DEFAULTS),
        (b'{"model":"m","options":{"num_ctx":2}}', RequestDefaults(options={"num_ctx": 1})),
        (b'{"model":"m","options":{"num_predict":2}}', RequestDefaults(max_tokens=1)),
        (
            b'{"model":"m","keep_alive":0}',
            RequestDefaults(fields={"keep_alive": "5m"}, drop=frozenset(("think",))),
        ),
        (b'{"model":"m","input":"a"}', RequestDefaults(temperature=1.0, max_tokens=1)),
    ],
)
def test_what_needs_no_change_is_the_same_object(body: bytes, defaults: RequestDefaults) -> None:
    assert _rewrite(body, defaults=defaults) is body


@pytest.mark.parametrize(
    ("body", "model", "defaults", "rewritten"),
    [
        pytest.param(
            b'{ "messages":[ {"role":"user"} ], "model":"m", "context":[1, 2], "x": 1.50 }',
            "llama3.2",
            NO_DEFAULTS,
            b'{"messages":[ {"role":"user"} ],"model":"llama3.2","context":[1, 2],"x":1.50}',
            id="only the model",
        ),
        pytest.param(b'{"prompt":""}', "m", NO_DEFAULTS, b'{"prompt":"","model":"m"}', id="no model"),
        pytest.param(
            b'{"model":"m","Model":"other","MODEL":"o","Options":{"num_predict":9}}',
            "m",
            NO_DEFAULTS,
            b'{"model":"m"}',
            id="spellings that Go takes for the same field",
        ),
        pytest.param(
            b'{"model":"m","options":{"num_ctx":1,"seed":3}}',
            "m",
            RequestDefaults(temperature=0.5, max_tokens=7, options={"num_ctx": 2, "top_k": 4}),
            b'{"model":"m","options":{"num_ctx":1,"seed":3,"temperature":0.5,"num_predict":7,"top_k":4}}',
            id="options where they are open",
        ),
        pytest.param(
            b'{"model":"m","options":null}',
            "m",
            RequestDefaults(options={"num_ctx": 2}),
            b'{"model":"m","options":{"num_ctx":2}}',
            id="options are null",
        ),
        pytest.param(
            b'{"model":"m","options":{"num_predict":-1,"temperature":null}}',
            "m",
            RequestDefaults(temperature=0.5, max_tokens=7),
            b'{"model":"m","options":{"num_predict":7,"temperature":0.5}}',
            id="unlimited is open",
        ),
        pytest.param(
            b'{"model":"m","keep_alive":"","think":null}',
            "m",
            RequestDefaults(fields={"keep_alive": "5m", "think": False}),
            b'{"model":"m","keep_alive":"5m","think":false}',
            id="fields where they are open",
        ),
        pytest.param(
            b'{"model":"m","think":true}',
            "m",
            RequestDefaults(drop=frozenset(("think",))),
            b'{"model":"m"}',
            id="dropped",
        ),
        pytest.param(
            b'{"model":"m","input":"a"}',
            "m",
            RequestDefaults(max_tokens=1, options={"num_ctx": 2}),
            b'{"model":"m","input":"a","options":{"num_ctx":2}}',
            id="embeddings are not sampled",
        ),
    ],
)
def test_rewrite(body: bytes, model: str, defaults: RequestDefaults, rewritten: bytes) -> None:
    assert _rewrite(body, model, defaults) == rewritten


@pytest.mark.parametrize(
    ("body", "param"),
    [(b"[]", None), (b"{", None), (b'{"a":' + b"[" * 5000, None), (b'{"model":"m","options":[]}', "options")],
)
def test_rewrite_refuses(body: bytes, param: str | None) -> None:
    with pytest.raises(CallerError) as caught:
        _rewrite(body, defaults=RequestDefaults(max_tokens=1))
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (400, b'{"error":"x does not support tools"}', errors.INVALID_REQUEST, "x does not support tools"),
        (413, b'{"error":"too big"}', errors.TOO_LARGE, "too big"),
        (422, b"", errors.UNPROCESSABLE, "Ollama refused the request with status 422"),
        (401, b'{"error":"unauthorized"}', errors.UPSTREAM_AUTH, "Ollama answered 401: unauthorized"),
        (403, b"", errors.UPSTREAM_AUTH, "Ollama answered 403"),
        (
            404,
            b'{"error":"model \'llama2\' not found"}',
            errors.MODEL_NOT_FOUND,
            "Model 'llama2' not found in Ollama. Pull the model with `ollama pull llama2`",
        ),
        (
            404,
            b'{"error":"model \\"a/b:7b\\" not found, try pulling it first"}',
            errors.MODEL_NOT_FOUND,
            "Model 'a/b:7b' not found in Ollama. Pull the model with `ollama pull a/b:7b`",
        ),
        (404, b"404 page not found", errors.UPSTREAM_PROTOCOL, "Ollama answered 404: 404 page not found"),
        (429, b'{"error":"slow down"}', errors.UPSTREAM_RATE_LIMIT, "Ollama answered 429: slow down"),
        (
            500,
            b'{"error":"llama runner crashed"}',
            errors.UPSTREAM_ERROR,
            "Ollama answered 500: llama runner crashed",
        ),
        (500, b'{"detail":"oh"}', errors.UPSTREAM_ERROR, "Ollama answered 500: oh"),
        (500, b'"oh"', errors.UPSTREAM_ERROR, "Ollama answered 500: oh"),
        (502, b"\xff<html>", errors.UPSTREAM_ERROR, "Ollama answered 502: \ufffd<html>"),
        (503, b'{"error":"loading"}', errors.UPSTREAM_ERROR, "Ollama answered 503: loading"),
        (
            503,
            b'{"error":"server busy, please try again.  maximum pending requests exceeded"}',
            errors.UPSTREAM_BUSY,
            "Ollama answered 503: server busy, please try again.  maximum pending requests exceeded",
        ),
    ],
)
def test_read_error(status: int, body: bytes, kind: Kind, message: str) -> None:
    error = BACK.read_error(status, ((b"retry-after", b"3"),), body)
    assert (error.kind, error.message) == (kind, message)
    assert isinstance(error, CallerError if status in (400, 413, 422) else ProviderError)
    if kind is errors.MODEL_NOT_FOUND:
        assert error.param == "model"
    else:
        assert error.retry_after == 3.0


def test_fields_of_any_kind_survive_a_rewrite() -> None:
    fields: dict[str, Any] = {"model": "m", "a": None, "b": [{"c": "é"}], "stream": True, "format": ""}
    body = _rewrite(msgspec.json.encode(fields), "n")
    assert msgspec.json.decode(body) == {**fields, "model": "n"}
