"""The listings of Ollama's models."""

from __future__ import annotations

import re

from trunkline_mock import MockModel

from ..http_client import mock_client


async def test_all_listings_of_a_model_agree() -> None:
    async with mock_client("ollama") as client:
        tags = (await client.get("/api/tags")).json()["models"]
        assert [tag["modified_at"] for tag in tags] == sorted(
            (tag["modified_at"] for tag in tags), reverse=True
        )
        assert all(re.fullmatch(r"[0-9a-f]{64}", tag["digest"]) for tag in tags)
        for tag in tags:
            shown = (await client.post("/api/show", json={"model": "", "name": tag["name"].upper()})).json()
            assert shown["details"] == tag["details"]
            assert shown["capabilities"] == tag["capabilities"]
            family = shown["model_info"]["general.architecture"]
            assert shown["model_info"][f"{family}.context_length"] > 0
            assert (".Suffix" in shown["template"]) is ("insert" in tag["capabilities"])
        await client.post("/api/generate", json={"model": "llama3.2"})
        running = (await client.get("/api/ps")).json()["models"]
        assert (running[0]["digest"], running[0]["size"]) == (tags[0]["digest"], tags[0]["size"])
        head = await client.head("/api/tags")
        assert (head.status_code, head.content) == (200, b"")
        assert (await client.get("/")).text == "Ollama is running"
        assert re.fullmatch(r"\d+\.\d+\.\d+", (await client.get("/api/version")).json()["version"])


async def test_a_cloud_model_names_its_host() -> None:
    models = [MockModel("big:cloud", remote_host="https://ollama.com:443")]
    async with mock_client("ollama", models=models) as client:
        tag = (await client.get("/api/tags")).json()["models"][0]
        assert (tag["remote_model"], tag["remote_host"], tag["size"]) == (
            "big",
            "https://ollama.com:443",
            384,
        )
