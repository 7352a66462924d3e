"""Responses of Ollama's native API."""

from __future__ import annotations

import re
from typing import Any

from trunkline_mock import Script, ToolCall, Usage
from trunkline_mock.generation import embedding_vector

from ..http_client import mock_client, ndjson_lines

_USER = {"role": "user", "content": "hello there"}
_NANOSECONDS = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")


async def chat(script: Script, **fields: Any) -> Any:
    async with mock_client("ollama", script) as client:
        answer = await client.post("/api/chat", json={"model": "llama3.2", "messages": [_USER], **fields})
    assert answer.status_code == 200, answer.text
    return answer.json() if fields.get("stream") is False else ndjson_lines(answer)


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


async def test_token_counts_can_be_omitted() -> None:
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


async def test_token_limits_and_stop_sequences() -> None:
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
    async with mock_client("ollama", Script(thinking="hm")) as client:
        body = {"model": "qwen3:8b", "prompt": "hi", "stream": False, "images": ["iVBORw0KGgo="]}
        answer = (await client.post("/api/generate", json=body)).json()
        assert answer["response"] == "qwen3:8b heard: hi It saw 1 image(s): png of 8 bytes."
        assert answer["thinking"] == "hm"
        assert answer["context"] == [1, 2, 3]
        body = {"model": "qwen2.5-coder", "prompt": "a", "suffix": "b", "raw": True}
        got = ndjson_lines(await client.post("/api/generate", json=body))
        assert "".join(line["response"] for line in got) == "qwen2.5-coder heard: a … b"
        assert "context" not in got[-1]
        assert got[-1]["done_reason"] == "stop"


async def test_embeddings() -> None:
    async with mock_client("ollama") as client:
        body: dict[str, Any] = {"model": "nomic-embed-text", "input": ["a b", "c"], "dimensions": 4}
        answer = (await client.post("/api/embed", json=body)).json()
        assert answer["embeddings"] == [embedding_vector("a b", 4), embedding_vector("c", 4)]
        assert (answer["model"], answer["prompt_eval_count"]) == ("nomic-embed-text", 3)
        empty: list[Any] = [None, "", []]
        for nothing in empty:
            answer = (await client.post("/api/embed", json={"model": "llama2", "input": nothing})).json()
            assert answer["embeddings"] == []
        answer = (await client.post("/api/embed", json={"model": "llama2", "input": "a"})).json()
        assert len(answer["embeddings"]) == 1
        old = {"model": "nomic-embed-text", "prompt": "a"}
        assert (await client.post("/api/embeddings", json=old)).json() == {
            "embedding": embedding_vector("a", 8)
        }
        old["prompt"] = ""
        assert (await client.post("/api/embeddings", json=old)).json() == {"embedding": []}
    async with mock_client("ollama", Script(usage=Usage(prompt=7))) as client:
        answer = (await client.post("/api/embed", json={"model": "llama2", "input": "a"})).json()
        assert answer["prompt_eval_count"] == 7
