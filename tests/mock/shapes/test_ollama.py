"""Ollama's wire form."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pytest

from trunkline_mock import MockModel, Script, ToolCall, Usage
from trunkline_mock.answers import embedding

from .asking import events, lines, playing

_USER = {"role": "user", "content": "hello there"}
_NANOSECONDS = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")


async def chat(script: Script, **fields: Any) -> Any:
    async with playing("ollama", script) as client:
        answer = await client.post("/api/chat", json={"model": "llama3.2", "messages": [_USER], **fields})
    assert answer.status_code == 200, answer.text
    return answer.json() if fields.get("stream") is False else lines(answer)


async def test_a_whole_answer() -> None:
    answer = await chat(Script(text="Hello!", usage=Usage(10, 5)), stream=False)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", answer.pop("created_at"))
    assert all(type(answer.pop(name)) is int for name in _NANOSECONDS)
    assert answer == {
        "model": "llama3.2",
        "message": {"role": "assistant", "content": "Hello!"},
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": 10,
        "eval_count": 5,
    }


async def test_a_stream_is_the_default() -> None:
    got = await chat(Script(text="one two", thinking="hm"))
    assert [line["message"] for line in got] == [
        {"role": "assistant", "content": "", "thinking": "hm"},
        {"role": "assistant", "content": "one "},
        {"role": "assistant", "content": "two"},
        {"role": "assistant", "content": ""},
    ]
    assert [line["done"] for line in got] == [False, False, False, True]
    assert (got[-1]["prompt_eval_count"], got[-1]["eval_count"]) == (2, 3)
    assert all("done_reason" not in line for line in got[:-1])


async def test_counts_may_be_left_out() -> None:
    assert "eval_count" not in (await chat(Script(usage=None)))[-1]
    assert "prompt_eval_count" not in (await chat(Script(usage=Usage(prompt=0))))[-1]


async def test_tool_calls_have_objects_and_short_ids() -> None:
    calls = (ToolCall("f", {"a": 1}), ToolCall("g", {}, id="own"))
    got = await chat(Script(tool_calls=calls))
    first, second = (line["message"]["tool_calls"][0] for line in got[:-1])
    assert re.fullmatch(r"call_[a-z0-9]{8}", first["id"])
    assert first["function"] == {"index": 0, "name": "f", "arguments": {"a": 1}}
    assert second == {"id": "own", "function": {"index": 1, "name": "g", "arguments": {}}}
    assert got[-1]["done_reason"] == "stop"
    whole = await chat(Script(tool_calls=calls), stream=False)
    assert len(whole["message"]["tool_calls"]) == 2


async def test_the_requests_tools_are_called_until_there_is_a_result() -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    answer = await chat(Script(call_tools=1), tools=tools, stream=False)
    assert answer["message"]["tool_calls"][0]["function"]["arguments"] == {}
    done = [_USER, answer["message"], {"role": "Tool", "content": "42", "tool_name": "f"}]
    answer = await chat(Script(call_tools=1), tools=tools, stream=False, messages=done)
    assert answer["message"]["content"] == "llama3.2 heard: hello there"


async def test_options_limit_and_stop() -> None:
    answer = await chat(Script(), stream=False, options={"num_predict": 2})
    assert (answer["message"]["content"], answer["done_reason"]) == ("llama3.2 heard: ", "length")
    answer = await chat(Script(), stream=False, options={"num_predict": -1, "stop": [" there"]})
    assert answer["message"]["content"] == "llama3.2 heard: hello"


async def test_formats() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    assert (await chat(Script(), stream=False, format=schema))["message"]["content"] == '{"n":0}'
    assert (await chat(Script(), stream=False, format="json"))["message"]["content"] == "{}"
    assert "heard" in (await chat(Script(), stream=False, format=""))["message"]["content"]


async def test_thinking_can_be_switched_off() -> None:
    script = Script(thinking="hm")
    assert "thinking" not in (await chat(script, stream=False, think=False))["message"]
    answer = await chat(script, stream=False, think="high", model="qwen3:8b")
    assert answer["message"]["thinking"] == "hm"


async def test_generate() -> None:
    async with playing("ollama", Script(thinking="hm")) as client:
        body = {"model": "qwen3:8b", "prompt": "hi", "stream": False, "images": ["iVBORw0KGgo="]}
        answer = (await client.post("/api/generate", json=body)).json()
        assert answer["response"] == "qwen3:8b heard: hi It saw 1 image(s): png of 8 bytes."
        assert answer["thinking"] == "hm"
        assert answer["context"] == [1, 2, 3]
        body = {"model": "qwen2.5-coder", "prompt": "a", "suffix": "b", "raw": True}
        got = lines(await client.post("/api/generate", json=body))
        assert "".join(line["response"] for line in got) == "qwen2.5-coder heard: a … b"
        assert "context" not in got[-1]
        assert got[-1]["done_reason"] == "stop"


async def test_embeddings() -> None:
    async with playing("ollama") as client:
        body: dict[str, Any] = {"model": "nomic-embed-text", "input": ["a b", "c"], "dimensions": 4}
        answer = (await client.post("/api/embed", json=body)).json()
        assert answer["embeddings"] == [embedding("a b", 4), embedding("c", 4)]
        assert (answer["model"], answer["prompt_eval_count"]) == ("nomic-embed-text", 3)
        empty: list[Any] = [None, "", []]
        for nothing in empty:
            answer = (await client.post("/api/embed", json={"model": "llama2", "input": nothing})).json()
            assert answer["embeddings"] == []
        answer = (await client.post("/api/embed", json={"model": "llama2", "input": "a"})).json()
        assert len(answer["embeddings"]) == 1
        old = {"model": "nomic-embed-text", "prompt": "a"}
        assert (await client.post("/api/embeddings", json=old)).json() == {"embedding": embedding("a", 8)}
        old["prompt"] = ""
        assert (await client.post("/api/embeddings", json=old)).json() == {"embedding": []}
    async with playing("ollama", Script(usage=Usage(prompt=7))) as client:
        answer = (await client.post("/api/embed", json={"model": "llama2", "input": "a"})).json()
        assert answer["prompt_eval_count"] == 7


async def test_loading_and_unloading() -> None:
    async with playing("ollama", models=[MockModel("a"), MockModel("b", resident=True)]) as client:

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
    async with playing("ollama", models=[MockModel("a", load_s=0.01)]) as client:
        for _ in range(2):
            answer = await client.post("/api/generate", json={"model": "a", "prompt": "x", "stream": False})
            assert answer.json()["response"] == "a heard: x"


async def test_the_views_of_a_model_agree() -> None:
    async with playing("ollama") as client:
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


async def test_a_cloud_model_says_where_it_runs() -> None:
    models = [MockModel("big:cloud", remote_host="https://ollama.com:443")]
    async with playing("ollama", models=models) as client:
        tag = (await client.get("/api/tags")).json()["models"][0]
        assert (tag["remote_model"], tag["remote_host"], tag["size"]) == (
            "big",
            "https://ollama.com:443",
            384,
        )


@pytest.mark.parametrize(
    ("path", "body", "status", "complaint"),
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
async def test_what_is_refused(path: str, body: Any, status: int, complaint: str) -> None:
    async with playing("ollama") as client:
        answer = await client.post(path, json=body)
    assert (answer.status_code, answer.json()) == (status, {"error": complaint})


async def test_bodies_that_are_no_json_object() -> None:
    async with playing("ollama") as client:
        assert (await client.post("/api/chat")).json() == {"error": "missing request body"}
        assert (await client.post("/api/chat", content=b"{")).json()["error"].startswith("invalid JSON")
        assert (await client.get("/api/chat")).status_code == 405
        assert (await client.get("/api/nothing")).status_code == 404


async def test_blobs() -> None:
    name = f"/api/blobs/sha256:{hashlib.sha256(b'data').hexdigest()}"
    async with playing("ollama") as client:
        assert (await client.head(name)).status_code == 404
        assert (await client.post(name, content=b"other")).status_code == 400
        assert (await client.post(name, content=b"data")).status_code == 201
        assert (await client.post(name, content=b"data")).status_code == 200
        assert (await client.head(name)).status_code == 200


async def test_openais_routes_have_openais_form() -> None:
    async with playing("ollama") as client:
        body = {"model": "llama3.2", "messages": [_USER], "stream": True}
        got = events(await client.post("/v1/chat/completions", json=body))
        assert got[-1]["choices"][0]["finish_reason"] == "stop"
        missing = await client.post("/v1/chat/completions", json=body | {"model": "nope"})
        assert missing.json()["error"]["code"] == "model_not_found"


async def test_an_answer_does_not_outlive_its_model() -> None:
    async with playing("ollama", models=["a"]) as client:
        body = {"model": "a", "messages": [_USER], "stream": False}
        assert (await client.post("/api/chat", json=body)).status_code == 200
        assert (await client.post("/api/chat", json=body)).status_code == 200
        await client.request("DELETE", "/api/delete", json={"model": "a"})
        assert (await client.post("/api/chat", json=body)).status_code == 404
