"""OpenAI's wire form, and where the vendors differ from it."""

from __future__ import annotations

import base64
import struct
from typing import Any

import msgspec
import pytest

from trunkline_mock import Script, ToolCall, Usage
from trunkline_mock.answers import embedding

from .asking import events, playing

_ASK = {"messages": [{"role": "user", "content": "hello there"}]}
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
    async with playing(shape, script, quirks=quirks, any_model=True) as client:
        answer = await client.post("/chat/completions", json={"model": model, **_ASK, **fields})
    assert answer.status_code == 200, answer.text
    return events(answer) if fields.get("stream") else answer.json()


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


async def test_openrouter_comments_costs_and_reasoning() -> None:
    script = Script(text="hi", thinking="hm", comments=2)
    async with playing("openrouter", script) as client:
        answer = await client.post(
            "/chat/completions", json={"model": "openai/gpt-4o", "stream": True, **_ASK}
        )
        assert answer.text.startswith(": OPENROUTER PROCESSING\n\n" * 2 + "data: ")
        assert answer.headers["x-generation-id"].startswith("gen-")
    got = events(answer)
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


async def test_cerebras_ends_with_usage_and_times_in_one_chunk() -> None:
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
    async with playing("cerebras") as client:
        assert (
            await client.post("/embeddings", json={"model": "llama3.1-8b", "input": "x"})
        ).status_code == 404


def joined(got: list[Any]) -> list[tuple[int, str, str, str]]:
    """Streamed calls put together by their index."""
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
    first, second = joined(got)
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


async def test_quirks_of_servers_that_are_not_in_the_table() -> None:
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
    async with playing("openai") as client:
        body: dict[str, Any] = {"model": "gpt-3.5-turbo-instruct", "prompt": ["a b", [1, 2]], "suffix": "end"}
        answer = (await client.post("/completions", json=body)).json()
        assert answer["object"] == "text_completion"
        assert answer["id"].startswith("cmpl-")
        assert [choice["text"] for choice in answer["choices"]] == [
            "gpt-3.5-turbo-instruct heard: a b … end",
            "gpt-3.5-turbo-instruct heard: 1 2 … end",
        ]
        body = {"model": "gpt-3.5-turbo-instruct", "prompt": [5, 6], "max_tokens": 2, "stream": True}
        got = events(await client.post("/completions", json=body))
        assert [event["choices"][0]["text"] for event in got] == ["gpt-3.5-turbo-instruct ", "heard: ", ""]
        assert got[-1]["choices"][0]["finish_reason"] == "length"
        nothing = await client.post("/completions", json={"model": "gpt-3.5-turbo-instruct"})
        assert nothing.json()["choices"][0]["text"].endswith("heard nothing.")
    async with playing("openrouter") as client:
        answer = (await client.post("/completions", json={"model": "openai/gpt-4o", "prompt": "x"})).json()
        assert answer["id"].startswith("gen-")


async def test_embeddings_in_both_encodings() -> None:
    async with playing("openai", Script(usage=Usage(prompt=9))) as client:
        body: dict[str, Any] = {"model": "text-embedding-3-small", "input": ["a", "b c"], "dimensions": 4}
        answer = (await client.post("/embeddings", json=body)).json()
        assert [row["embedding"] for row in answer["data"]] == [embedding("a", 4), embedding("b c", 4)]
        assert answer["usage"] == {"prompt_tokens": 9, "total_tokens": 9}
        packed = await client.post("/embeddings", json=body | {"encoding_format": "base64"})
        raw = base64.b64decode(packed.json()["data"][0]["embedding"])
        assert struct.unpack("<4f", raw) == pytest.approx(embedding("a", 4))
    async with playing("vllm", Script(usage=None)) as client:
        answer = (await client.post("/embeddings", json={"model": "mock-embed", "input": [1, 2]})).json()
        assert len(answer["data"]) == 1
        assert "usage" not in answer


async def test_listings() -> None:
    async with playing("openai") as client:
        listed = (await client.get("/models")).json()
        assert {"id": "gpt-4o", "object": "model", "created": 1735689600, "owned_by": "openai"} in listed[
            "data"
        ]
        assert (await client.get("/models/gpt-4o")).json()["id"] == "gpt-4o"
        missing = await client.get("/models/nope")
        assert missing.status_code == 404
        assert missing.json()["error"]["code"] == "model_not_found"
    async with playing("openrouter") as client:
        entry = (await client.get("/models/openai/gpt-4o")).json()
        assert entry["pricing"]["prompt"] == "0.0000025"
        assert entry["architecture"]["input_modalities"] == ["text", "image"]
        ids = [model["id"] for model in (await client.get("/models")).json()["data"]]
        assert "openrouter/auto" in ids
        assert "openai/text-embedding-3-small" not in ids
        only = (await client.get("/embeddings/models")).json()["data"]
        assert [model["id"] for model in only] == ["openai/text-embedding-3-small"]
    async with playing("llamacpp") as client:
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
    async with playing(shape) as client:
        answer = await client.post("/chat/completions", json={"model": "nope", **_ASK})
    assert (answer.status_code, answer.json()) == (status, body)


async def test_unknown_paths_and_methods() -> None:
    async with playing("openai") as client:
        assert (await client.get("/nothing")).status_code == 404
        assert (await client.get("/chat/completions")).status_code == 405
        assert (await client.get("/models/")).status_code == 404


async def test_limit_headers() -> None:
    async with playing("openai") as client:
        answer = await client.post("/chat/completions", json={"model": "gpt-4o", **_ASK})
        assert answer.headers["x-ratelimit-reset-requests"] == "6ms"
        assert answer.headers["x-request-id"].startswith("req_")
    async with playing("cerebras") as client:
        answer = await client.post("/chat/completions", json={"model": "llama3.1-8b", **_ASK})
        assert answer.headers["x-ratelimit-limit-requests-day"] == "14400"


async def test_a_snapshot_name_in_the_answer() -> None:
    answer = await chat("openai", "gpt-4o", Script(model="gpt-4o-2024-11-20"))
    assert answer["model"] == "gpt-4o-2024-11-20"
