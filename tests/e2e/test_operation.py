"""A gateway in use: keys that come and go, errors in OpenAI's shape, logs that say enough and no more."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import KEY, SECRET, World, start_gateway, stop

CHAT = "/v1/chat/completions"
PROMPT = "a planted prompt that no log may hold"
BODY: dict[str, Any] = {"model": "custom", "messages": [{"role": "user", "content": PROMPT}]}
BEARER = {"authorization": f"Bearer {KEY}"}


@pytest.mark.parametrize(
    ("content", "status", "param"),
    [
        (b"{", 400, None),
        (b"", 400, None),
        (b"[]", 400, None),
        (b'{"model": "custom"}', 400, "messages"),
        (b'{"model": 3, "messages": []}', 400, "model"),
        (b'{"model": "ollama/llama3.2", "messages": [{"role": 5}]}', 400, "messages[0].role"),
        (b'{"messages": [{"role": "user", "content": "x"}]}', 400, "model"),
    ],
)
def test_bad_bodies(world: World, content: bytes, status: int, param: str | None) -> None:
    answer = httpx.post(world.url + CHAT, content=content, headers=BEARER)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["param"] == param
    assert error["message"]


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", CHAT, 405), ("POST", "/v1/nope", 404), ("GET", "/nope", 404)]
)
def test_wrong_places(world: World, method: str, path: str, status: int) -> None:
    answer = httpx.request(method, world.url + path, headers=BEARER)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": f"Basic {KEY}"}, 401),
        (BEARER, 200),
        ({"x-api-key": KEY}, 200),
        ({"api-key": KEY}, 200),
    ],
)
def test_keys_in_headers(world: World, headers: dict[str, str], status: int) -> None:
    answer = httpx.post(world.url + CHAT, json=BODY, headers=headers)
    assert answer.status_code == status
    if status == 401:
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["error"]["code"] == "invalid_api_key"


def test_a_request_is_one_line_of_the_log_without_prompt_or_secret(world: World) -> None:
    headers = BEARER | {"x-request-id": "look-for-me"}
    body = BODY | {"model": "openai/gpt-4o"}
    assert httpx.post(world.url + CHAT, json=body, headers=headers).status_code == 200
    httpx.post(world.url + CHAT, json=body | {"model": "openai/mock-status-401"}, headers=BEARER)
    deadline = time.monotonic() + 10
    while not (found := [line for line in world.lines().splitlines() if "look-for-me" in line]):
        assert time.monotonic() < deadline
    line = json.loads(found[0])
    assert len(found) == 1
    expected = {
        "event": "request",
        "path": CHAT,
        "provider": "openai",
        "model": "gpt-4o",
        "status": 200,
        "streamed": False,
        "attempts": 1,
    }
    assert expected.items() <= line.items()
    assert {"prompt_tokens", "completion_tokens", "latency_ms", "ttft_ms", "upstream", "key"} <= set(line)
    log = world.lines()
    assert PROMPT not in log
    assert SECRET not in log
    assert KEY not in log


def poll(url: str, key: str, status: int) -> float:
    """Ask until the answer has this status; seconds that it took."""
    began = time.monotonic()
    while httpx.get(url + "/v1/models", headers={"x-api-key": key}).status_code != status:
        assert time.monotonic() - began < 20, "the key's fate was never noticed"
    return time.monotonic() - began


def test_keys_made_and_revoked_while_it_runs(tmp_path: Path) -> None:
    def keys(*args: str) -> str:
        command = [sys.executable, "-m", "trunkline", "keys", *args, "--config", "trunkline.yaml"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, check=True, text=True).stdout

    process, url = start_gateway(tmp_path, "ollama_enabled: false\n")
    try:
        made = keys("create", "alice")
        key = next(word for word in made.split() if word.startswith("gw_"))
        poll(url, key, 200)
        assert key not in keys("list")
        keys("revoke", "alice")
        poll(url, key, 401)
    finally:
        stop(process)


def test_a_fallback_before_the_first_byte(tmp_path: Path) -> None:
    from trunkline.testing import Fault, MockUpstream, Script

    broken = Script(fault=Fault(kind="status", status=500))
    with (
        MockUpstream.in_thread("generic", broken, models=["shared"]) as first,
        MockUpstream.in_thread("generic", models=["shared"]) as second,
    ):
        config = f"""
ollama_enabled: false
preferred_provider: one
providers:
  one: {{type: openai-compatible, url: "{first.base_url}"}}
  two: {{type: openai-compatible, url: "{second.base_url}"}}
"""
        process, url = start_gateway(tmp_path, config)
        try:
            answer = httpx.post(url + CHAT, json=BODY | {"model": "shared"}, headers=BEARER)
            assert answer.status_code == 200
            assert answer.headers["x-trunkline-provider"] == "two"
            assert answer.headers["x-trunkline-attempts"] == "2"
            pinned = httpx.post(url + CHAT, json=BODY | {"model": "one/shared"}, headers=BEARER)
            assert pinned.status_code == 502
            assert pinned.json()["error"]["code"] == "upstream_error"
        finally:
            stop(process)
