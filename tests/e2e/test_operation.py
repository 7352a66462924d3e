"""A gateway in use: who may come in, errors in OpenAI's shape, logs that say enough and no more."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.e2e.chats import HELLO, name, shapes, text_of
from tests.e2e.conftest import KEY, MAX_BODY, SECRET, World, gateway, poll
from trunkline.policy.auth import configured_id
from trunkline_mock import Fault, MockUpstream

CHAT = "/v1/chat/completions"
PROMPT = "a planted prompt that no log may hold"
ANSWER = "a planted answer that no log may hold either"
BODY: dict[str, Any] = {"model": "custom", "messages": [{"role": "user", "content": PROMPT}]}
BEARER = {"authorization": f"Bearer {KEY}"}


def error_of(answer: httpx.Response) -> dict[str, Any]:
    """The error of an answer, which must be OpenAI's envelope with all its keys and nothing else."""
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    body = answer.json()
    assert list(body) == ["error"]
    error: dict[str, Any] = body["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    return error


# Errors before any upstream


@pytest.mark.parametrize(
    ("path", "content", "param"),
    [
        (CHAT, b"{", None),
        (CHAT, b"", None),
        (CHAT, b"[]", None),
        (CHAT, b"\xff\xfe", None),
        (CHAT, b'{"model": "custom"}', "messages"),
        (CHAT, b'{"model": 3, "messages": []}', "model"),
        (CHAT, b'{"model": "custom", "messages": 1}', "messages"),
        (CHAT, b'{"model": "custom", "stream": "yes", "messages": []}', "stream"),
        (CHAT, b'{"model": "ollama/llama3.2", "messages": [{"role": 5}]}', "messages[0].role"),
        (CHAT, b'{"model": "ollama/llama3.2", "messages": [{"role": "user"}]}', "messages[0].content"),
        (CHAT, b'{"messages": [{"role": "user", "content": "x"}]}', "model"),
        ("/v1/embeddings", b'{"model": "ollama/nomic-embed-text"}', "input"),
        ("/v1/completions", b'{"model": "ollama/llama3.2", "prompt": {}}', "prompt"),
    ],
)
def test_bad_bodies(world: World, path: str, content: bytes, param: str | None) -> None:
    answer = httpx.post(world.url + path, content=content, headers=BEARER)
    assert answer.status_code == 400
    error = error_of(answer)
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param


def test_a_body_that_is_too_large(world: World) -> None:
    body = BODY | {"padding": "x" * MAX_BODY}
    whole = httpx.post(world.url + CHAT, json=body, headers=BEARER)
    chunked = httpx.post(world.url + CHAT, content=iter([b" " * (MAX_BODY // 4)] * 5), headers=BEARER)
    for answer in (whole, chunked):
        assert answer.status_code == 413
        assert str(MAX_BODY) in error_of(answer)["message"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", CHAT, 405),
        ("PUT", "/ollama/v1/embeddings", 405),
        ("POST", "/v1/models", 405),
        ("POST", "/v1/nope", 404),
        ("GET", "/openai/v1/nope", 404),
        ("GET", "/nope", 404),
        ("GET", "/anthropic/v1/models", 404),
    ],
)
def test_wrong_places(world: World, method: str, path: str, status: int) -> None:
    answer = httpx.request(method, world.url + path, headers=BEARER)
    assert answer.status_code == status
    error_of(answer)
    if status == 405:
        assert answer.headers["allow"]


def test_what_the_client_makes_of_errors(world: World) -> None:
    client = world.client()
    nameless: Any = [{"role": "tool", "content": "a result"}]
    with pytest.raises(openai.BadRequestError) as bad:
        client.chat.completions.create(model=name("ollama"), messages=nameless)
    assert bad.value.param == "messages[0].tool_call_id"
    with pytest.raises(openai.AuthenticationError) as unknown:
        world.client(key="gw_unknown").models.list()
    assert unknown.value.code == "invalid_api_key"


# Keys


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": f"Basic {KEY}"}, 401),
        ({"x-api-key": KEY[:-1]}, 401),
        (BEARER, 200),
        ({"x-api-key": KEY}, 200),
        ({"api-key": KEY}, 200),
    ],
)
@pytest.mark.parametrize("path", [CHAT, "/custom/v1/chat/completions"])
def test_keys_in_headers(world: World, path: str, headers: dict[str, str], status: int) -> None:
    answer = httpx.post(world.url + path, json=BODY, headers=headers)
    assert answer.status_code == status
    if status == 401:
        assert answer.headers["www-authenticate"] == "Bearer"
        assert error_of(answer)["code"] == "invalid_api_key"


@pytest.mark.parametrize("path", ["/v1/models", "/v1/nope", "/metrics", "/ollama/v1/models"])
def test_nothing_is_told_without_a_key(world: World, path: str) -> None:
    answer = httpx.get(world.url + path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "llama" not in answer.text


@pytest.mark.parametrize("path", ["/", "/health", "/healthz", "/health/live", "/health/ready"])
def test_health_needs_no_key(world: World, path: str) -> None:
    assert httpx.get(world.url + path).status_code == 200


def test_keys_made_and_revoked_while_it_runs(tmp_path: Path) -> None:
    def keys(*args: str) -> str:
        command = [sys.executable, "-m", "trunkline", "keys", *args, "--config", "trunkline.yaml"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, check=True, text=True).stdout

    with gateway(tmp_path, "ollama_enabled: false\n") as world:

        def becomes(status: int) -> None:
            headers = {"x-api-key": key}
            poll(lambda: httpx.post(world.url + CHAT, json=BODY, headers=headers).status_code == status)

        key = next(word for word in keys("create", "alice").split() if word.startswith("gw_"))
        becomes(200)
        assert key not in keys("list")
        keys("revoke", "alice")
        becomes(401)
        assert key not in world.output()


# Headers and logs


@shapes
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_answers_say_who_served_them(world: World, shape: str, stream: bool) -> None:
    raw = world.client().chat.completions.with_raw_response.create(
        model=name(shape), messages=HELLO, stream=stream, extra_headers={"x-request-id": "my-own-id"}
    )
    parsed: Any = raw.parse()
    if stream:
        list(parsed)
    assert raw.headers["x-trunkline-provider"] == shape
    assert raw.headers["x-trunkline-attempts"] == "1"
    assert raw.headers["x-trunkline-upstream"] in world.mocks[shape].url
    assert raw.headers["x-request-id"] == "my-own-id"


def test_request_ids(world: World) -> None:
    def id_of(**headers: str) -> str:
        return httpx.post(world.url + CHAT, json=BODY, headers=BEARER | headers).headers["x-request-id"]

    first, second = id_of(), id_of()
    assert first.startswith("req_")
    assert first != second
    assert id_of(**{"x-request-id": "not fit for a log"}).startswith("req_")
    assert id_of(**{"x-request-id": "x" * 1000}).startswith("req_")


@shapes
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_a_request_is_one_line_of_the_log(world: World, shape: str, stream: bool) -> None:
    request_id = f"line-{shape}-{stream}"
    with world.saying(shape, text=ANSWER):
        answer: Any = world.client().chat.completions.create(
            model=name(shape),
            messages=BODY["messages"],
            stream=stream,
            extra_headers={"x-request-id": request_id},
        )
        if stream:
            assert text_of(answer) == ANSWER
    call = world.mocks[shape].calls[-1]
    line = world.line(request_id)
    expected = {
        "event": "request",
        "level": "info",
        "request_id": request_id,
        "method": "POST",
        "path": CHAT,
        "dialect": "openai",
        "operation": "chat",
        "key": configured_id(KEY),
        "client": "127.0.0.1",
        "provider": shape,
        "status": 200,
        "prompt_tokens": call.prompt_tokens,
        "completion_tokens": call.completion_tokens,
        "streamed": stream,
        "attempts": 1,
    }
    assert {key: line.get(key) for key in expected} == expected
    assert line["model"].startswith(call.model)
    assert line["upstream"] in world.mocks[shape].url
    assert 0 <= line["ttft_ms"] <= line["latency_ms"]


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("openai/mock-status-401", 502, "upstream_auth"),
        ("openai/mock-status-500", 502, "upstream_error"),
        ("openai/nope", 404, "model_not_found"),
        ("gone/llama3.2", 502, "upstream_unreachable"),
    ],
)
def test_a_failed_request_is_a_line_with_its_code(world: World, model: str, status: int, code: str) -> None:
    request_id = f"failed-{model}"
    answer = httpx.post(
        world.url + CHAT, json=BODY | {"model": model}, headers=BEARER | {"x-request-id": request_id}
    )
    assert answer.status_code == status
    assert error_of(answer)["code"] == code
    line = world.line(request_id)
    assert (line["status"], line["code"], line["provider"]) == (status, code, model.partition("/")[0])


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [("POST", CHAT, {}, 401), ("GET", "/v1/models", BEARER, 200), ("GET", "/nope", BEARER, 404)],
)
def test_pages_and_refusals_are_lines_too(
    world: World, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    request_id = f"page-{path}-{status}"
    answer = httpx.request(method, world.url + path, headers=headers | {"x-request-id": request_id})
    assert answer.status_code == status
    assert answer.headers["x-request-id"] == request_id
    line = world.line(request_id)
    assert (line["status"], line["method"], line["path"]) == (status, method, path)


ODD: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", f"{CHAT}?api_key={KEY}", {"json": BODY}),
    ("POST", f"/key/{KEY}{CHAT}", {"json": BODY}),
    ("POST", f"/v1/models/{KEY}", {"json": BODY}),
    ("GET", f"/v1/models/{KEY}", {}),
    ("GET", f"/openai/v1/models/{KEY}", {}),
    ("GET", f"/{KEY}", {}),
    ("POST", CHAT, {"json": BODY | {"model": KEY}}),
    ("POST", CHAT, {"json": BODY | {"model": f"ollama/{KEY}"}}),
    ("POST", CHAT, {"json": BODY | {"model": "ollama/llama3.2", "messages": [{"role": PROMPT}]}}),
    ("POST", CHAT, {"content": PROMPT.encode()}),
    ("POST", CHAT, {"json": BODY, "headers": {"authorization": f"Bearer {SECRET}"}}),
]


def test_no_prompt_and_no_secret_in_what_it_prints(world: World) -> None:
    """Nor in any answer, not even where an upstream repeats the key that it got."""
    echo = Fault("status", status=401, message=f"Bad key {SECRET} in 'Authorization: Bearer {SECRET}'")
    with world.saying("openai", fault=echo):
        body = BODY | {"model": "openai/gpt-4o"}
        answers = [httpx.post(world.url + CHAT, json=body, headers=BEARER)]
    for number, (method, path, more) in enumerate(ODD):
        headers = BEARER | more.get("headers", {}) | {"x-request-id": f"odd-{number}"}
        answers.append(httpx.request(method, world.url + path, **more | {"headers": headers}))
        world.line(f"odd-{number}")
    for secret in (KEY, SECRET, PROMPT, ANSWER):
        assert secret not in world.output()
    texts = "\n".join(answer.text + str(answer.headers) for answer in answers)
    assert KEY not in texts
    assert SECRET not in texts


# Fallback


@pytest.fixture(scope="module", params=["true", "false"], ids=["fast", "asgi"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two providers that list one model."""
    with (
        MockUpstream.in_thread("generic", models=["shared"]) as one,
        MockUpstream.in_thread("generic", models=["shared", "other"]) as two,
    ):
        config = f"""
ollama_enabled: false
preferred_provider: one
providers:
  one: {{type: openai-compatible, url: "{one.base_url}"}}
  two: {{type: openai-compatible, url: "{two.base_url}"}}
"""
        folder, mocks = tmp_path_factory.mktemp("pair"), {"one": one, "two": two}
        with gateway(folder, config, mocks, FAST_HTTP=request.param) as world:
            yield world


def ask(world: World, model: str = "shared", *, stream: bool = False) -> httpx.Response:
    """The answer to a chat request."""
    return httpx.post(world.url + CHAT, json=BODY | {"model": model, "stream": stream}, headers=BEARER)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", status=500),
        Fault("status", status=503, retry_after=1),
        Fault("status", status=429, retry_after=1),
        Fault("status", status=408),
        Fault("status", status=401),
        Fault("status", status=402),
        Fault("status", status=403),
        Fault("status", status=404, code="model_not_found"),
        Fault("reset_before"),
        Fault("bad_head"),
        Fault("error_in_200"),
        Fault("empty_body"),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}",
)
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_another_provider_of_the_model_answers_instead(pair: World, fault: Fault, stream: bool) -> None:
    with pair.saying("one", fault=fault):
        answer = ask(pair, stream=stream)
        pinned = ask(pair, "one/shared", stream=stream)
    assert answer.status_code == 200
    assert answer.text.endswith("data: [DONE]\n\n") if stream else PROMPT in answer.text
    assert answer.headers["x-trunkline-provider"] == "two"
    resent = fault.kind == "reset_before"  # over a kept connection the request is sent once more, and counted
    assert answer.headers["x-trunkline-attempts"] in (("2", "3") if resent else ("2",))
    assert pinned.status_code == {429: 429, 404: 404}.get(fault.status or 0, 502)
    assert pinned.headers["x-trunkline-provider"] == "one"
    error_of(pinned)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_the_caller_did_wrong_is_not_tried_elsewhere(pair: World, status: int) -> None:
    before = len(pair.mocks["two"].calls)
    with pair.saying("one", fault=Fault("status", status=status, message="That will not do.")):
        answer = ask(pair)
    assert answer.status_code == status
    assert "That will not do." in error_of(answer)["message"]
    assert len(pair.mocks["two"].calls) == before


@pytest.mark.parametrize("kind", ["reset_after", "close_after", "error_midstream", "no_done"])
def test_what_has_begun_is_not_begun_elsewhere(pair: World, kind: Any) -> None:
    before = len(pair.mocks["two"].calls)
    with pair.saying("one", fault=Fault(kind, after=2)), pytest.raises(openai.APIError) as raised:
        for _ in pair.client().chat.completions.create(model="shared", messages=HELLO, stream=True):
            pass
    assert raised.value.code
    assert len(pair.mocks["two"].calls) == before


def test_a_model_that_only_the_second_has(pair: World) -> None:
    assert ask(pair, "other").headers["x-trunkline-provider"] == "two"


def test_when_both_fail(pair: World) -> None:
    with (
        pair.saying("one", fault=Fault("status", status=500)),
        pair.saying("two", fault=Fault("status", status=429, retry_after=7)),
    ):
        answer = ask(pair)
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "7"
    assert answer.headers["x-trunkline-attempts"] == "2"
