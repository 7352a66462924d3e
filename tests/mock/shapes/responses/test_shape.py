"""The route of the Responses API: the vendors that have it, and scripted bodies."""

from __future__ import annotations

import pytest

from trunkline_mock import Script

from ..http_client import mock_client


@pytest.mark.parametrize("shape", ["cerebras", "vllm", "ollama"])
async def test_vendors_without_the_responses_api(shape: str) -> None:
    async with mock_client(shape) as client:
        root = str(client.base_url).rstrip("/").removesuffix("/v1")
        assert (await client.post(f"{root}/v1/responses", json={"input": "x"})).status_code == 404


async def test_a_quirk_adds_the_responses_api() -> None:
    async with mock_client("vllm", quirks={"responses": "nested"}) as client:
        answer = await client.post("/responses", json={"model": "mock-model", "input": "x"})
    assert answer.json()["output"][0]["content"][0]["text"] == "mock-model heard: x"


async def test_a_scripted_body() -> None:
    async with mock_client("openai", Script(body={"own": 1}, status=202, headers={"x-own": "1"})) as client:
        answer = await client.post("/responses", json={"model": "gpt-4o", "input": "x"})
    assert (answer.status_code, answer.json(), answer.headers["x-own"]) == (202, {"own": 1}, "1")


async def test_wrong_methods() -> None:
    async with mock_client("openai") as client:
        assert (await client.get("/responses")).status_code == 405
