"""The routes of Ollama: capabilities, loading, blobs and OpenAI's routes."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from trunkline_mock import MockModel

from ..http_client import mock_client, sse_events

_USER = {"role": "user", "content": "hello there"}


async def test_loading_and_unloading() -> None:
    async with mock_client("ollama", models=[MockModel("a"), MockModel("b", resident=True)]) as client:

        async def resident() -> list[str]:
            return [model["name"] for model in (await client.get("/api/ps")).json()["models"]]

        assert await resident() == ["b:latest"]
        loaded = (await client.post("/api/generate", json={"model": "a"})).json()
        assert (loaded["done_reason"], loaded["response"]) == ("load", "")
        assert await resident() == ["a:latest", "b:latest"]
        gone = (
            await client.post("/api/chat", json={"model": "b", "messages": [], "keep_alive": "0s"})
        ).json()
        assert (gone["done_reason"], gone["message"]["content"]) == ("unload", "")
        assert await resident() == ["a:latest"]
        await client.post("/api/embed", json={"model": "b", "input": "x", "keep_alive": -1})
        assert await resident() == ["a:latest", "b:latest"]


async def test_a_model_that_takes_time_to_load() -> None:
    async with mock_client("ollama", models=[MockModel("a", load_s=0.01)]) as client:
        for _ in range(2):
            answer = await client.post("/api/generate", json={"model": "a", "prompt": "x", "stream": False})
            assert answer.json()["response"] == "a heard: x"


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/api/chat", {"messages": [_USER]}, 400, "model is required"),
        ("/api/chat", {"model": "nope", "messages": [_USER]}, 404, "model 'nope' not found"),
        (
            "/api/chat",
            {"model": "nomic-embed-text", "messages": [_USER]},
            400,
            '"nomic-embed-text" does not support chat',
        ),
        (
            "/api/chat",
            {"model": "llama2", "messages": [_USER], "tools": [{"function": {"name": "f"}}]},
            400,
            '"registry.ollama.ai/library/llama2" does not support tools',
        ),
        (
            "/api/chat",
            {"model": "llama2", "messages": [_USER], "think": True},
            400,
            '"llama2" does not support thinking',
        ),
        (
            "/api/generate",
            {"model": "llama2", "prompt": "a", "suffix": "b"},
            400,
            '"llama2" does not support insert',
        ),
        ("/api/show", {}, 400, "model is required"),
        ("/api/show", {"model": "nope"}, 404, "model 'nope' not found"),
    ],
)
async def test_invalid_requests(path: str, body: Any, status: int, message: str) -> None:
    async with mock_client("ollama") as client:
        answer = await client.post(path, json=body)
    assert (answer.status_code, answer.json()) == (status, {"error": message})


async def test_bodies_that_are_not_json_objects() -> None:
    async with mock_client("ollama") as client:
        assert (await client.post("/api/chat")).json() == {"error": "missing request body"}
        assert (await client.post("/api/chat", content=b"{")).json()["error"].startswith("invalid JSON")
        assert (await client.get("/api/chat")).status_code == 405
        assert (await client.get("/api/nothing")).status_code == 404


async def test_blobs() -> None:
    name = f"/api/blobs/sha256:{hashlib.sha256(b'data').hexdigest()}"
    async with mock_client("ollama") as client:
        assert (await client.head(name)).status_code == 404
        assert (await client.post(name, content=b"other")).status_code == 400
        assert (await client.post(name, content=b"data")).status_code == 201
        assert (await client.post(name, content=b"data")).status_code == 200
        assert (await client.head(name)).status_code == 200


async def test_openais_routes_have_openais_format() -> None:
    async with mock_client("ollama") as client:
        body = {"model": "llama3.2", "messages": [_USER], "stream": True}
        got = sse_events(await client.post("/v1/chat/completions", json=body))
        assert got[-1]["choices"][0]["finish_reason"] == "stop"
        missing = await client.post("/v1/chat/completions", json=body | {"model": "nope"})
        assert missing.json()["error"]["code"] == "model_not_found"


async def test_a_cached_response_is_not_sent_after_its_model_was_deleted() -> None:
    async with mock_client("ollama", models=["a"]) as client:
        body = {"model": "a", "messages": [_USER], "stream": False}
        assert (await client.post("/api/chat", json=body)).status_code == 200
        assert (await client.post("/api/chat", json=body)).status_code == 200
        await client.request("DELETE", "/api/delete", json={"model": "a"})
        assert (await client.post("/api/chat", json=body)).status_code == 404
