"""Responses of OpenAI's API, and how the vendors differ from OpenAI."""

from __future__ import annotations

import base64
import struct
from typing import Any

import msgspec
import pytest

from trunkline_mock import Script, ToolCall, Usage
from trunkline_mock.generation import embedding_vector

from ..http_client import mock_client, sse_events

_REQUEST = {"messages": [{"role": "user", "content": "hello there"}]}
_TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
_CALLS = (ToolCall("weather", {"city": "Rome"}), ToolCall("time", {}, id="call_own"))


async def chat(shape: str, model: str, script: Script, **fields: Any) -> Any:
    quirks = fields.pop("quirks", None)
    async with mock_client(shape, script, quirks=quirks, any_model=True) as client:
        answer = await client.post("/chat/completions", json={"model": model, **_REQUEST, **fields})
    assert answer.status_code == 200, answer.text
    return sse_events(answer) if fields.get("stream") else answer.json()


async def test_a_whole_answer_of_openai() -> None:
    answer = await chat("openai", "gpt-4o", Script(text="Hello!", usage=Usage(10, 5, 4, 2)))
    assert msgspec.convert(answer.pop("created"), int) > 0
    assert answer.pop("id").startswith("chatcmpl-")
    assert answer == {
        "object": "chat.completion",
        "model": "gpt-4o",
        "service_tier": "default",
        "system_fingerprint": "fp_mock",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello!", "refusal": None, "annotations": []},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 4},
            "completion_tokens_details": {
                "reasoning_tokens": 2,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
    }


async def test_a_stream_of_openai() -> None:
    script = Script(text="one two", thinking="hidden")
    got = await chat("openai", "gpt-4o", script, stream=True, stream_options={"include_usage": True})
    assert [event["choices"][0]["delta"] for event in got[:-1]] == [
        {"role": "assistant", "content": "", "refusal": None},
        {"content": "one "},
        {"content": "two"},
        {},
    ]
    assert [event["choices"][0]["finish_reason"] for event in got[:-1]] == [None, None, None, "stop"]
    assert all(event["usage"] is None for event in got[:-1])
    assert got[-1]["choices"] == []
    assert got[-1]["usage"]["completion_tokens"] == 3
    assert got[-1]["usage"]["completion_tokens_details"]["reasoning_tokens"] == 1
    assert len({(event["id"], event["created"]) for event in got}) == 1
    assert all("usage" not in event for event in await chat("openai", "gpt-4o", script, stream=True))


async def test_comments_costs_and_reasoning_of_openrouter() -> None:
    script = Script(text="hi", thinking="hm", comments=2)
    async with mock_client("openrouter", script) as client:
        answer = await client.post(
            "/chat/completions", json={"model": "openai/gpt-4o", "stream": True, **_REQUEST}
        )
        assert answer.text.startswith(": OPENROUTER PROCESSING\n\n" * 2 + "data: ")
        assert answer.headers["x-generation-id"].startswith("gen-")
    got = sse_events(answer)
    assert all(event["provider"] == "Mock" for event in got)
    detail = {"type": "reasoning.text", "text": "hm", "format": "unknown", "index": 0}
    assert got[0]["choices"][0]["delta"] == {
        "role": "assistant",
        "content": "",
        "reasoning": "hm",
        "reasoning_details": [detail],
    }
    assert got[-2]["choices"][0]["native_finish_reason"] == "stop"
    usage = got[-1]["usage"]
    assert (got[-1]["choices"], usage["cost"]) == ([], pytest.approx(2 * 0.0000025 + 2 * 0.00001))
    whole = await chat("openrouter", "openai/gpt-4o", Script(text="hi", thinking="hm", cost=0.5))
    assert whole["usage"]["cost"] == 0.5
    assert whole["choices"][0]["message"]["reasoning"] == "hm"
    assert whole["id"].startswith("gen-")
    free = await chat("openrouter", "openrouter/auto", Script(text="hi"))
    assert free["usage"]["cost"] == 0


async def test_the_last_chunk_of_cerebras_has_usage_and_times() -> None:
    got = await chat("cerebras", "llama3.1-8b", Script(text="hi", tool_calls=_CALLS), stream=True)
    last = got[-1]
    assert last["choices"][0]["finish_reason"] == "tool_calls"
    assert last["usage"]["prompt_tokens"] == 2
    assert set(last["time_info"]) >= {"queue_time", "prompt_time", "completion_time", "total_time"}
    calls = [event["choices"][0]["delta"]["tool_calls"] for event in got[2:-1]]
    assert [call[0]["function"] for call in calls] == [
        {"name": "weather", "arguments": '{"city":"Rome"}'},
        {"name": "time", "arguments": "{}"},
    ]
    assert all("index" not in call[0] for call in calls)
    whole = await chat("cerebras", "llama3.1-8b", Script(thinking="hm"))
    assert whole["choices"][0]["message"]["reasoning"] == "hm"
    assert "time_info" in whole
    async with mock_client("cerebras") as client:
        assert (
            await client.post("/embeddings", json={"model": "llama3.1-8b", "input": "x"})
        ).status_code == 404


def accumulated_calls(got: list[Any]) -> list[tuple[int, str, str, str]]:
    """The streamed tool calls, accumulated by their index: index, id, name and arguments of each."""
    calls: dict[int, list[str]] = {}
    for event in got:
        for choice in event["choices"]:
            for delta in choice["delta"].get("tool_calls", ()):
                call = calls.setdefault(delta["index"], ["", "", ""])
                call[0] += delta.get("id", "")
                call[1] += delta["function"].get("name", "")
                call[2] += delta["function"].get("arguments", "")
    return [(index, *call) for index, call in calls.items()]  # type: ignore[misc]


async def test_streamed_tool_calls_come_in_pieces() -> None:
    got = await chat("openai", "gpt-4o", Script(tool_calls=_CALLS), stream=True)
    first, second = accumulated_calls(got)
    assert first[0] == 0
    assert first[1].startswith("call_")
    assert first[2:] == ("weather", '{"city":"Rome"}')
    assert second == (1, "call_own", "time", "{}")
    assert got[0]["choices"][0]["delta"]["content"] is None


async def test_whole_tool_calls() -> None:
    answer = await chat("openai", "gpt-4o", Script(tool_calls=(*_CALLS, ToolCall("f", "{broken"))))
    message = answer["choices"][0]["message"]
    assert message["content"] is None
    assert [call["function"]["arguments"] for call in message["tool_calls"]] == [
        '{"city":"Rome"}',
        "{}",
        "{broken",
    ]


async def test_the_requests_tools_are_called_on_demand() -> None:
    answer = await chat("openai", "mock-tools", Script(), tools=[_TOOL])
    assert answer["choices"][0]["message"]["tool_calls"][0]["function"] == {
        "name": "weather",
        "arguments": '{"city":"mock"}',
    }
    answer = await chat("openai", "gpt-4o", Script(), tools=[_TOOL])
    assert "tool_calls" not in answer["choices"][0]["message"]


async def test_quirks_replace_fields_of_the_vendors_row() -> None:
    quirks: dict[str, Any] = {
        "reasoning": "reasoning_content",
        "tool_index": "zero",
        "arguments": "object",
        "usage": "always",
        "error_form": "flat",
    }
    got = await chat("generic", "m", Script(thinking="hm", tool_calls=_CALLS), stream=True, quirks=quirks)
    deltas = [event["choices"][0]["delta"] for event in got if event["choices"]]
    assert deltas[1] == {"reasoning_content": "hm"}
    calls = [delta["tool_calls"][0] for delta in deltas if "tool_calls" in delta]
    assert [call["index"] for call in calls] == [0, 0]
    assert calls[0]["function"]["arguments"] == {"city": "Rome"}
    assert got[-1]["usage"]["prompt_tokens"] == 2
    silent = await chat("openai", "m", Script(), quirks={"usage": "never"})
    assert "usage" not in silent
    assert "usage" not in await chat("openai", "m", Script(usage=None))


async def test_several_choices() -> None:
    answer = await chat("openai", "gpt-4o", Script(text="a b"), n=2)
    assert [choice["index"] for choice in answer["choices"]] == [0, 1]
    assert answer["usage"]["completion_tokens"] == 4
    got = await chat("openai", "gpt-4o", Script(text="a"), n=2, stream=True)
    assert [event["choices"][0]["index"] for event in got] == [0, 0, 1, 1, 0, 1]


async def test_text_completions() -> None:
    async with mock_client("openai") as client:
        body: dict[str, Any] = {"model": "gpt-3.5-turbo-instruct", "prompt": ["a b", [1, 2]], "suffix": "end"}
        answer = (await client.post("/completions", json=body)).json()
        assert answer["object"] == "text_completion"
        assert answer["id"].startswith("cmpl-")
        assert [choice["text"] for choice in answer["choices"]] == [
            "gpt-3.5-turbo-instruct heard: a b … end",
            "gpt-3.5-turbo-instruct heard: 1 2 … end",
        ]
        body = {"model": "gpt-3.5-turbo-instruct", "prompt": [5, 6], "max_tokens": 2, "stream": True}
        got = sse_events(await client.post("/completions", json=body))
        assert [event["choices"][0]["text"] for event in got] == ["gpt-3.5-turbo-instruct ", "heard: ", ""]
        assert got[-1]["choices"][0]["finish_reason"] == "length"
        nothing = await client.post("/completions", json={"model": "gpt-3.5-turbo-instruct"})
        assert nothing.json()["choices"][0]["text"].endswith("heard nothing.")
    async with mock_client("openrouter") as client:
        answer = (await client.post("/completions", json={"model": "openai/gpt-4o", "prompt": "x"})).json()
        assert answer["id"].startswith("gen-")


async def test_embeddings_in_both_encodings() -> None:
    async with mock_client("openai", Script(usage=Usage(prompt=9))) as client:
        body: dict[str, Any] = {"model": "text-embedding-3-small", "input": ["a", "b c"], "dimensions": 4}
        answer = (await client.post("/embeddings", json=body)).json()
        assert [row["embedding"] for row in answer["data"]] == [
            embedding_vector("a", 4),
            embedding_vector("b c", 4),
        ]
        assert answer["usage"] == {"prompt_tokens": 9, "total_tokens": 9}
        packed = await client.post("/embeddings", json=body | {"encoding_format": "base64"})
        raw = base64.b64decode(packed.json()["data"][0]["embedding"])
        assert struct.unpack("<4f", raw) == pytest.approx(embedding_vector("a", 4))
    async with mock_client("vllm", Script(usage=None)) as client:
        answer = (await client.post("/embeddings", json={"model": "mock-embed", "input": [1, 2]})).json()
        assert len(answer["data"]) == 1
        assert "usage" not in answer


async def test_limit_headers() -> None:
    async with mock_client("openai") as client:
        answer = await client.post("/chat/completions", json={"model": "gpt-4o", **_REQUEST})
        assert answer.headers["x-ratelimit-reset-requests"] == "6ms"
        assert answer.headers["x-request-id"].startswith("req_")
    async with mock_client("cerebras") as client:
        answer = await client.post("/chat/completions", json={"model": "llama3.1-8b", **_REQUEST})
        assert answer.headers["x-ratelimit-limit-requests-day"] == "14400"


async def test_a_scripted_model_name() -> None:
    answer = await chat("openai", "gpt-4o", Script(model="gpt-4o-2024-11-20"))
    assert answer["model"] == "gpt-4o-2024-11-20"
