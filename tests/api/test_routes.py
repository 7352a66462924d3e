"""The API's routes, through the ASGI application. Settings are built once and passed in, nothing patched."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import jsonschema
import pytest

from tests.gateways import KEY, events, make_settings, upstream
from trunkline import get_app
from trunkline_mock import MockUpstream, Script
from trunkline_mock.script import Fault

AUTH = {"Authorization": f"Bearer {KEY}"}
MESSAGES = [{"role": "user", "content": "Hello!"}]
HELLO = b'{"role": "user", "content": "Hello!"}'
NUMBER = {"type": "integer", "minimum": 0}
COMPLETION: dict[str, Any] = {
    "type": "object",
    "required": ["id", "object", "created", "model", "choices", "usage"],
    "properties": {
        "id": {"type": "string", "minLength": 1},
        "object": {"const": "chat.completion"},
        "created": {"type": "integer", "minimum": 1},
        "model": {"type": "string", "minLength": 1},
        "choices": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["index", "message", "finish_reason"],
                "properties": {
                    "message": {
                        "type": "object",
                        "required": ["role", "content"],
                        "properties": {"role": {"const": "assistant"}, "content": {"type": "string"}},
                    },
                    "finish_reason": {"enum": ["stop", "length", "tool_calls"]},
                },
            },
        },
        "usage": {
            "type": "object",
            "required": ["prompt_tokens", "completion_tokens", "total_tokens"],
            "properties": dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"), NUMBER),
        },
    },
}


@asynccontextmanager
async def api(**settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """The application without a server, and without its lifespan: as a test of one's own would have it."""
    app = get_app(make_settings(**settings))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
        yield http
    await app.gateway.aclose()


@asynccontextmanager
async def ollama(script: Script | None = None) -> AsyncIterator[tuple[httpx.AsyncClient, MockUpstream]]:
    """The application in front of an Ollama server."""
    async with (
        MockUpstream("ollama", script or Script(text="Hi there")) as mock,
        api(ollama_enabled=True, ollama_base_url=mock.base_url, ollama_timeout=1) as http,
    ):
        yield http, mock


async def chat(http: httpx.AsyncClient, path: str, model: str | None, **more: Any) -> httpx.Response:
    named = {} if model is None else {"model": model}
    return await http.post(path, json={**named, "messages": MESSAGES, **more}, headers=AUTH)


async def test_v1_with_the_embedded_provider() -> None:
    async with api() as http:
        answer = await chat(http, "/v1/chat/completions", "custom")
        assert answer.status_code == 200
        jsonschema.validate(answer.json(), COMPLETION)
        assert answer.json()["model"] == "custom"
        assert answer.json()["usage"]["total_tokens"] == 0


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/v1/chat/completions", "llama3.2"),
        ("/v1/chat/completions", "ollama/llama3.2"),
        ("/v1/chat/completions", "ollama:llama3.2:latest"),
        ("/ollama/v1/chat/completions", "llama3.2"),
        ("/ollama/v1/chat/completions", "ollama/llama3.2"),
    ],
)
async def test_ollama(path: str, model: str) -> None:
    async with ollama() as (http, mock):
        answer = await chat(http, path, model)
        assert answer.status_code == 200
        jsonschema.validate(answer.json(), COMPLETION)
        assert answer.json()["choices"][0]["message"]["content"] == "Hi there"
        assert answer.json()["id"].startswith("chatcmpl-")
        assert answer.json()["usage"]["completion_tokens"] == 2
        assert answer.headers["x-trunkline-provider"] == "ollama"
        assert [call.path for call in mock.calls] == ["/api/chat"]
        assert mock.calls[0].json["stream"] is False
        assert "authorization" not in mock.calls[0].headers


async def test_ollama_streams() -> None:
    async with ollama() as (http, mock):
        more = {"stream": True, "stream_options": {"include_usage": True}}
        answer = await chat(http, "/ollama/v1/chat/completions", "llama3.2", **more)
        *chunks, usage, done = events(answer.content)
        assert done == "[DONE]"
        assert "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks) == "Hi there"
        assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
        assert usage["usage"]["completion_tokens"] == 2
        assert mock.calls[0].json["stream"] is True


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/ollama/v1/chat/completions"])
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}])
async def test_without_a_valid_key(path: str, headers: dict[str, str]) -> None:
    async with ollama() as (http, mock):
        body = {"model": "llama3.2", "messages": MESSAGES}
        answer = await http.post(path, json=body, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["error"]["code"] == "invalid_api_key"
        assert not mock.calls


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "param"),
    [
        ("/v1/chat/completions", b"{nope", 400, "invalid_json", None),
        ("/v1/chat/completions", b"", 400, "invalid_json", None),
        ("/v1/chat/completions", b"[]", 400, None, None),
        ("/v1/chat/completions", b'{"messages": [%b]}' % HELLO, 400, None, "model"),
        ("/v1/chat/completions", b'{"model": 7, "messages": []}', 400, None, "model"),
        ("/v1/chat/completions", b'{"model": "custom"}', 400, None, "messages"),
        (
            "/v1/chat/completions",
            b'{"model": "nobody-has-it", "messages": [%b]}' % HELLO,
            404,
            "model_not_found",
            "model",
        ),
        ("/cerebras/v1/chat/completions", b"{}", 404, "provider_not_configured", None),
        ("/v1/embeddings", b'{"model": "custom", "input": "x"}', 400, "unsupported", "model"),
        ("/v1/nothing", b"{}", 404, "not_found", None),
        ("/v1/models", b"{}", 405, "method_not_allowed", None),
        ("/health", b"{}", 405, "method_not_allowed", None),
        ("/nothing", b"{}", 404, "not_found", None),
    ],
)
async def test_errors_in_the_envelope(
    path: str, body: bytes, status: int, code: str | None, param: str | None
) -> None:
    async with api() as http:
        answer = await http.post(path, content=body, headers=AUTH)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/json"
        error = answer.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["type"] == "invalid_request_error"
        assert error["param"] == param
        if code is not None:
            assert error["code"] == code


async def test_a_body_is_json_whatever_its_type_says() -> None:
    async with api() as http:
        for kind in ("application/x-www-form-urlencoded", "text/plain", ""):
            body = b'{"model": "custom", "messages": [{"role": "user", "content": "x"}]}'
            headers = {**AUTH, "Content-Type": kind}
            answer = await http.post("/v1/chat/completions", content=body, headers=headers)
            assert answer.status_code == 200


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (Fault("status", status=500), 500, "upstream_model_error"),
        (Fault("html_error", status=500), 502, "upstream_error"),
        (Fault("reset_before"), 502, "upstream_reset"),
        (Fault("stall_before"), 502, "upstream_timeout"),
        (Fault("cut_line"), 502, "upstream_protocol"),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else value,
)
async def test_failures_of_the_upstream(fault: Fault, status: int, code: str) -> None:
    async with ollama(Script(fault=fault)) as (http, _):
        answer = await chat(http, "/ollama/v1/chat/completions", "llama3.2")
        assert answer.status_code == status
        assert answer.json()["error"]["type"] == "upstream_error"
        assert answer.json()["error"]["code"] == code


async def test_no_model_is_ollamas_default_where_ollama_is_meant() -> None:
    async with (
        MockUpstream("ollama", any_model=True) as mock,
        api(ollama_enabled=True, ollama_base_url=mock.base_url, ollama_default_model="llama3.2") as http,
    ):
        assert (await chat(http, "/ollama/v1/chat/completions", None)).status_code == 200
        assert mock.calls[0].json["model"].startswith("llama3.2")


async def test_a_provider_of_the_file_has_its_own_routes() -> None:
    async with MockUpstream("openai") as mock, api(providers={"vllm": upstream(mock)}) as http:
        for path, model in (("/vllm/v1/chat/completions", "gpt-4o"), ("/v1/chat/completions", "vllm/gpt-4o")):
            answer = await chat(http, path, model)
            assert answer.headers["x-trunkline-provider"] == "vllm"
            jsonschema.validate(answer.json(), COMPLETION)
        listed = await http.get("/vllm/v1/models", headers=AUTH)
        assert [model["id"] for model in listed.json()["data"]] == ["gpt-4o"]


async def test_the_lifespan_starts_and_ends_the_gateway() -> None:
    app = get_app(make_settings())
    sent: list[str] = []
    steps = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive() -> dict[str, Any]:
        return next(steps)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await app({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert app.gateway.stopping
