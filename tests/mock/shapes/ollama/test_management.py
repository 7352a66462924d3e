"""The routes that manage Ollama's models."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from ..http_client import mock_client, ndjson_lines


async def names(client: httpx.AsyncClient) -> list[str]:
    return [model["name"] for model in (await client.get("/api/tags")).json()["models"]]


async def test_pulling_a_model() -> None:
    async with mock_client("ollama", models=["a"]) as client:
        got = ndjson_lines(await client.post("/api/pull", json={"model": "b"}))
        assert [line["status"].split()[0] for line in got] == ["pulling"] * 6 + [
            "verifying",
            "writing",
            "success",
        ]
        assert got[5]["completed"] == got[5]["total"]
        assert got[1]["status"] == f"pulling {got[1]['digest'].removeprefix('sha256:')[:12]}"
        assert await names(client) == ["a:latest", "b:latest"]
        again = await client.post("/api/pull", json={"name": "b", "stream": False})
        assert again.json() == {"status": "success"}
        assert await names(client) == ["a:latest", "b:latest"]


async def test_pulling_a_model_that_is_in_no_registry() -> None:
    async with mock_client("ollama") as client:
        got = ndjson_lines(await client.post("/api/pull", json={"model": "missing-model"}))
        assert got[-1] == {"error": "pull model manifest: file does not exist"}
        whole = await client.post("/api/pull", json={"model": "missing-model", "stream": False})
        assert whole.status_code == 500


async def test_copying_creating_pushing_and_deleting() -> None:
    async with mock_client("ollama", models=["a"]) as client:
        answer = await client.post("/api/copy", json={"source": "a", "destination": "b"})
        assert (answer.status_code, answer.content) == (200, b"")
        assert ndjson_lines(await client.post("/api/create", json={"model": "c", "from": "a"}))[-1] == {
            "status": "success"
        }
        files = {"x.gguf": "sha256:0"}
        await client.post("/api/create", json={"model": "d", "files": files, "stream": False})
        assert await names(client) == ["a:latest", "b:latest", "c:latest", "d:latest"]
        assert ndjson_lines(await client.post("/api/push", json={"model": "c"}))[-1] == {"status": "success"}
        for name in ("a", "b", "c"):
            answer = await client.request("DELETE", "/api/delete", json={"model": name})
            assert (answer.status_code, answer.content) == (200, b"")
        assert await names(client) == ["d:latest"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/api/pull", {}, 400),
        ("POST", "/api/push", {"model": "nope"}, 404),
        ("POST", "/api/create", {"model": "x"}, 400),
        ("POST", "/api/create", {"model": "x", "from": "nope"}, 404),
        ("POST", "/api/copy", {"source": "llama2"}, 400),
        ("POST", "/api/copy", {"source": "nope", "destination": "x"}, 404),
        ("DELETE", "/api/delete", {"model": "nope"}, 404),
    ],
)
async def test_invalid_requests(method: str, path: str, body: Any, status: int) -> None:
    async with mock_client("ollama") as client:
        answer = await client.request(method, path, json=body)
    assert answer.status_code == status
    assert set(answer.json()) == {"error"}
