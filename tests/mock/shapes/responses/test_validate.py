"""Validation of requests of the Responses API."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline_mock import Script

from ..http_client import mock_client

_USER = {"role": "user", "content": "x"}
_CALL = {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"}
_RESULT = {"type": "function_call_output", "call_id": "a", "output": "42"}


async def post(shape: str = "openai", **fields: Any) -> tuple[int, Any]:
    models = {"openai": "gpt-4o", "generic": "mock-model"}
    async with mock_client(shape, Script(text="a")) as client:
        answer = await client.post("/responses", json={"model": models[shape], "input": "x"} | fields)
    return answer.status_code, answer.json()


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"input": [_USER]},
        {"input": [{"type": "message", **_USER}, {"role": "assistant", "content": "ok"}, _USER]},
        {
            "input": [
                {
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "x"},
                        {"type": "input_image", "image_url": "https://example.com/a.png"},
                        {"type": "input_image", "file_id": "file-1"},
                        {"type": "input_file", "file_id": "file-1"},
                    ],
                },
                {"role": "assistant", "content": [{"type": "output_text", "text": "ok"}]},
                {"role": "developer", "content": "x"},
                {"type": "reasoning", "summary": [], "id": "rs_1"},
                _CALL,
                {"type": "web_search_call", "id": "ws_1", "status": "completed"},
                _RESULT,
            ]
        },
        {
            "instructions": "x",
            "temperature": 0,
            "top_p": 1.0,
            "max_output_tokens": 16,
            "stream": False,
            "store": False,
            "tools": [{"type": "function", "name": "f", "parameters": None}, {"type": "web_search"}],
            "tool_choice": "required",
            "text": {"format": {"type": "text"}},
            "reasoning": {"effort": "high", "summary": "auto"},
            "unknown_field": 1,
        },
        {"temperature": None, "tools": None, "text": None, "reasoning": None, "max_tokens": None},
        {"tool_choice": {"type": "function", "name": "f"}},
    ],
)
async def test_valid_requests(fields: dict[str, Any]) -> None:
    status, body = await post(**fields)
    assert status == 200, body


def _message(**fields: Any) -> dict[str, Any]:
    return {"input": [{**_USER, **fields}]}


@pytest.mark.parametrize(
    ("fields", "message", "param"),
    [
        ({"model": None}, "Missing required parameter", "model"),
        ({"input": None}, "Missing required parameter: 'input'", "input"),
        ({"input": 5}, "got an integer", "input"),
        ({"input": []}, "empty array", "input"),
        ({"input": ["x"]}, "expected an object", "input[0]"),
        ({"input": [{"content": "x"}]}, "Missing", "input[0].type"),
        ({"input": [{"type": "chat"}]}, "'chat'", "input[0].type"),
        (_message(role="tool"), "'tool'", "input[0].role"),
        (_message(content=None), "Missing", "input[0].content"),
        (_message(content=5), "got an integer", "input[0].content"),
        (_message(content=["x"]), "expected an object", "input[0].content[0]"),
        (_message(content=[{"type": "text", "text": "x"}]), "'text'", "input[0].content[0].type"),
        (_message(content=[{"type": "input_text"}]), "Missing", "input[0].content[0].text"),
        (
            _message(content=[{"type": "image_url", "image_url": {"url": "https://x"}}]),
            "'image_url'",
            "input[0].content[0].type",
        ),
        (
            _message(content=[{"type": "input_image", "image_url": {"url": "https://x"}}]),
            "expected a string, but got an object",
            "input[0].content[0].image_url",
        ),
        (
            _message(content=[{"type": "input_image", "image_url": "iVBORw0KGgo="}]),
            "Expected a valid URL",
            "input[0].content[0].image_url",
        ),
        (
            _message(content=[{"type": "input_image", "image_url": "data:image/png;base64,?"}]),
            "Invalid base64",
            "input",
        ),
        (
            _message(role="assistant", content=[{"type": "input_text", "text": "x"}]),
            "Supported values are: 'output_text', 'refusal'",
            "input[0].content[0].type",
        ),
        (_message(tool_calls=[]), "Unknown parameter", "input[0].tool_calls"),
        ({"input": [_USER, {**_CALL, "name": None}, _RESULT]}, "Missing", "input[1].name"),
        ({"input": [_USER, {**_CALL, "arguments": {}}, _RESULT]}, "got an object", "input[1].arguments"),
        ({"input": [_USER, _CALL, {**_RESULT, "output": None}]}, "Missing", "input[2].output"),
        ({"input": [_USER, _CALL, {**_RESULT, "output": {}}]}, "got an object", "input[2].output"),
        ({"input": [_USER, {"type": "reasoning"}]}, "Missing", "input[1].summary"),
        ({"input": [{"type": "item_reference"}]}, "Missing", "input[0].id"),
        ({"input": [_USER, _RESULT]}, "No tool call found", "input"),
        ({"input": [_USER, _CALL, _RESULT, _RESULT]}, "No tool call found", "input"),
        ({"input": [_USER, _CALL]}, "No tool output found for function call a", "input"),
        ({"tools": {}}, "expected an array", "tools"),
        ({"tools": ["f"]}, "expected an object", "tools[0]"),
        ({"tools": [{"name": "f"}]}, "Missing", "tools[0].type"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "Missing", "tools[0].name"),
        (
            {"tools": [{"type": "function", "name": "f", "parameters": "{}"}]},
            "expected an object",
            "tools[0].parameters",
        ),
        ({"tool_choice": "any"}, "'any'", "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "Missing", "tool_choice.name"),
        ({"text": {"format": "json"}}, "expected an object", "text.format"),
        ({"text": {"format": {"type": "json"}}}, "'json'", "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "schema": {}}}}, "Missing", "text.format.name"),
        ({"text": {"format": {"type": "json_schema", "name": "s"}}}, "Missing", "text.format.schema"),
        ({"reasoning": {"effort": "utmost"}}, "'utmost'", "reasoning.effort"),
        ({"reasoning": "high"}, "expected an object", "reasoning"),
        ({"messages": [_USER]}, "has moved to 'input'", "messages"),
        ({"max_tokens": 20}, "has moved to 'max_output_tokens'", "max_tokens"),
        ({"response_format": {"type": "json_object"}}, "has moved to 'text.format'", "response_format"),
        ({"n": 1}, "Unsupported parameter: 'n'.", "n"),
        ({"keep_alive": "5m"}, "Unrecognized", "keep_alive"),
        ({"max_output_tokens": "20"}, "got a string", "max_output_tokens"),
        ({"max_output_tokens": True}, "got a boolean", "max_output_tokens"),
        ({"max_output_tokens": 15}, "Expected a value >= 16, but got 15", "max_output_tokens"),
        ({"stream": "yes"}, "expected a boolean", "stream"),
        ({"stream_options": {"include_obfuscation": False}}, "only allowed when", "stream_options"),
        ({"temperature": 3}, "must be between", "temperature"),
        ({"previous_response_id": 5}, "expected a string", "previous_response_id"),
        ({"store": 1}, "expected a boolean", "store"),
    ],
)
async def test_invalid_requests(fields: dict[str, Any], message: str, param: str) -> None:
    status, body = await post(**fields)
    assert status == 400, body
    assert message in body["error"]["message"]
    assert body["error"]["param"] == param
    assert body["error"]["type"] == "invalid_request_error"


async def test_an_unknown_model() -> None:
    status, body = await post(model="nope")
    assert (status, body["error"]["code"], body["error"]["param"]) == (404, "model_not_found", "model")


async def test_other_vendors_accept_small_token_limits() -> None:
    assert (await post("generic", max_output_tokens=1))[0] == 200
    assert (await post("generic", max_output_tokens=0))[0] == 400


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"\xff"])
async def test_a_body_that_is_not_a_json_object(body: bytes) -> None:
    async with mock_client("openai") as client:
        answer = await client.post("/responses", content=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, None)
