"""The routes of OpenAI's API: listings, unknown models and unknown paths."""

from __future__ import annotations

from typing import Any

import pytest

from ..http_client import mock_client

_REQUEST = {"messages": [{"role": "user", "content": "hello there"}]}


async def test_listings() -> None:
    async with mock_client("openai") as client:
        listed = (await client.get("/models")).json()
        assert {"id": "gpt-4o", "object": "model", "created": 1735689600, "owned_by": "openai"} in listed[
            "data"
        ]
        assert (await client.get("/models/gpt-4o")).json()["id"] == "gpt-4o"
        missing = await client.get("/models/nope")
        assert missing.status_code == 404
        assert missing.json()["error"]["code"] == "model_not_found"
    async with mock_client("openrouter") as client:
        entry = (await client.get("/models/openai/gpt-4o")).json()
        assert entry["pricing"]["prompt"] == "0.0000025"
        assert entry["architecture"]["input_modalities"] == ["text", "image"]
        ids = [model["id"] for model in (await client.get("/models")).json()["data"]]
        assert "openrouter/auto" in ids
        assert "openai/text-embedding-3-small" not in ids
        only = (await client.get("/embeddings/models")).json()["data"]
        assert [model["id"] for model in only] == ["openai/text-embedding-3-small"]
    async with mock_client("llamacpp") as client:
        assert (await client.get(str(client.base_url).replace("/v1/", "/health"))).json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("shape", "status", "body"),
    [
        ("openrouter", 400, {"error": {"code": 400, "message": "nope is not a valid model ID"}}),
        (
            "cerebras",
            404,
            {
                "message": "The model `nope` does not exist or you do not have access to it.",
                "type": "not_found_error",
                "param": "model",
                "code": "model_not_found",
            },
        ),
    ],
)
async def test_an_unknown_model(shape: str, status: int, body: Any) -> None:
    async with mock_client(shape) as client:
        answer = await client.post("/chat/completions", json={"model": "nope", **_REQUEST})
    assert (answer.status_code, answer.json()) == (status, body)


async def test_unknown_paths_and_methods() -> None:
    async with mock_client("openai") as client:
        assert (await client.get("/nothing")).status_code == 404
        assert (await client.get("/chat/completions")).status_code == 405
        assert (await client.get("/models/")).status_code == 404
