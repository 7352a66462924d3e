"""Validation of OpenAI's requests."""

from __future__ import annotations

from typing import Any

import pytest

from ..http_client import mock_client

_USER = {"role": "user", "content": "x"}


def tool_call(arguments: Any = "{}", **fields: Any) -> dict[str, Any]:
    return {"id": "c1", "type": "function", "function": {"name": "f", "arguments": arguments}, **fields}


def tool_call_message(*calls: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": list(calls)}


_RESULT = {"role": "tool", "tool_call_id": "c1", "content": "42"}
_VALID = [_USER, tool_call_message(tool_call()), _RESULT]


async def post(path: str, shape: str = "openai", **fields: Any) -> tuple[int, Any]:
    models = {"openai": "gpt-4o", "cerebras": "llama3.1-8b"}
    async with mock_client(shape) as client:
        answer = await client.post(path, json={"model": models[shape], **fields})
    return answer.status_code, answer.json()


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": _VALID},
        {"messages": [*_VALID, {"role": "assistant", "content": "ok"}, _USER]},
        {
            "messages": [_USER],
            "temperature": 0,
            "top_p": 1.0,
            "n": 1,
            "seed": 7,
            "stop": ["a"],
            "stream": False,
            "tools": [{"type": "function", "function": {"name": "f"}}, {"type": "web_search"}],
            "unknown_field": 1,
        },
        {"messages": [{"role": "developer", "content": "x"}, {"role": "assistant", "content": None}]},
        {"messages": [_USER], "temperature": None, "stop": None, "stream_options": None, "tools": None},
    ],
)
async def test_valid_requests(fields: dict[str, Any]) -> None:
    assert (await post("/chat/completions", **fields))[0] == 200


@pytest.mark.parametrize(
    ("messages", "message", "param"),
    [
        (None, "Missing required parameter: 'messages'", "messages"),
        ("hi", "expected an array, but got a string", "messages"),
        ([], "empty array", "messages"),
        (["hi"], "expected an object", "messages[0]"),
        ([{"role": "robot", "content": "x"}], "'robot'", "messages[0].role"),
        ([{"role": "user", "content": "x", "images": ["AAAA"]}], "'images' was unexpected", None),
        ([{"role": "user", "content": None}], "got null", None),
        ([{"role": "user", "content": 5}], "got an integer", "messages[0].content"),
        ([{"role": "user", "content": ["x"]}], "expected an object", "messages[0].content[0]"),
        ([{"role": "user", "content": [{"text": "x"}]}], "Missing", "messages[0].content[0].type"),
        ([{"role": "user", "content": [{"type": "text"}]}], "got null", "messages[0].content[0].text"),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": "data:image/png;base64,AA"}]}],
            "expected an object",
            "messages[0].content[0].image_url",
        ),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "iVBORw0KGgo="}}]}],
            "Invalid image URL",
            "messages[0].content[0].image_url.url",
        ),
        (
            [
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,?"}}],
                }
            ],
            "Invalid base64",
            "messages",
        ),
        ([_USER, {**tool_call_message(), "tool_calls": {}}], "expected an array", "messages[1].tool_calls"),
        ([_USER, tool_call_message("f")], "expected an object", "messages[1].tool_calls[0]"),
        ([_USER, tool_call_message(tool_call(id=None)), _RESULT], "Missing", "messages[1].tool_calls[0].id"),
        (
            [_USER, tool_call_message(tool_call(function={"arguments": "{}"}))],
            "Missing",
            "messages[1].tool_calls[0].function.name",
        ),
        (
            [_USER, tool_call_message(tool_call({"a": 1})), _RESULT],
            "expected a string, but got an object",
            "messages[1].tool_calls[0].function.arguments",
        ),
        ([_USER, _RESULT], "must be a response to a preceding", "messages.[1].role"),
        ([*_VALID, _RESULT], "must be a response to a preceding", "messages.[3].role"),
        (
            [_USER, tool_call_message(tool_call()), {"role": "tool", "content": "x"}],
            "Missing",
            "messages[2].tool_call_id",
        ),
        ([_USER, tool_call_message(tool_call())], "did not have response messages: c1", "messages.[2].role"),
        (
            [_USER, tool_call_message(tool_call()), _USER],
            "did not have response messages: c1",
            "messages.[2].role",
        ),
        (
            [_USER, tool_call_message(tool_call(), tool_call()), _RESULT],
            "Duplicate",
            "messages.[1].tool_calls",
        ),
    ],
)
async def test_invalid_messages(messages: Any, message: str, param: str | None) -> None:
    status, body = await post("/chat/completions", messages=messages)
    assert status == 400
    assert message in body["error"]["message"]
    assert body["error"]["param"] == param
    assert body["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", "hot"),
        ("temperature", True),
        ("temperature", 3),
        ("top_p", 2),
        ("max_tokens", 1.5),
        ("max_tokens", "5"),
        ("n", False),
        ("stream", "yes"),
        ("stop", 5),
        ("stop", ["a", 5]),
        ("stream_options", {"include_usage": True}),
        ("stream_options", 5),
        ("options", {"num_ctx": 4096}),
        ("keep_alive", "5m"),
        ("model", 5),
    ],
)
async def test_invalid_fields(field: str, value: Any) -> None:
    status, body = await post("/chat/completions", messages=[_USER], **{field: value})
    assert (status, body["error"]["param"]) == (400, field)


async def test_a_tool_without_a_name() -> None:
    tools = [{"type": "function", "function": {}}]
    status, body = await post("/chat/completions", messages=[_USER], tools=tools)
    assert (status, body["error"]["param"]) == (400, "tools[0].function.name")


async def test_each_vendor_rejects_its_own_fields() -> None:
    status, body = await post("/chat/completions", "cerebras", messages=[_USER], keep_alive=5)
    assert (status, body["param"]) == (400, "keep_alive")
    assert (await post("/chat/completions", "cerebras", messages=[_USER], temperature=1.6))[0] == 400
    assert (await post("/chat/completions", messages=[_USER], frequency_penalty=0.5))[0] == 200


@pytest.mark.parametrize(
    "fields", [{}, {"input": ""}, {"input": 5}, {"input": "x", "encoding_format": "hex"}]
)
async def test_invalid_embeddings_requests(fields: dict[str, Any]) -> None:
    assert (await post("/embeddings", **fields))[0] == 400


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"\xff"])
async def test_a_body_that_is_not_a_json_object(body: bytes) -> None:
    async with mock_client("openai") as client:
        answer = await client.post("/chat/completions", content=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, None)
