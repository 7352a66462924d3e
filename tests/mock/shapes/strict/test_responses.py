"""A strict mock of OpenAI's Responses API."""

from __future__ import annotations

from typing import Any, Final

import pytest

from trunkline_mock import Script, ToolCall

from ..http_client import mock_client

_USER: Final = {"role": "user", "content": "Hello!"}
_CALLS: Final = Script(thinking="Hm. ", tool_calls=(ToolCall("f", {}, "call_1"),))
_RESULT: Final = {"type": "function_call_output", "call_id": "call_1", "output": "42"}
_CALL: Final = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}
_ENCRYPTED: Final = {"include": ["reasoning.encrypted_content"], "store": False}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"moo": 1}, "Unknown parameter: 'moo'."),
        ({"reasoning": {"effort": "low"}}, "reasoning.effort"),
        ({"model": "gpt-5", "temperature": 0.5}, "temperature"),
        ({"model": "gpt-5", "reasoning": {"effort": "none"}}, "reasoning.effort"),
        ({"tools": [{"type": "function", "name": "fs.read"}]}, "tools[0].name"),
        ({"tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}]}, "properties"),
        ({"input": [_USER, {**_CALL, "id": "call_1"}, _RESULT]}, "begins with 'fc'"),
        ({"input": [_USER, {"type": "reasoning", "id": "rs_1", "summary": []}]}, "required following item"),
        (
            {"input": [_USER, {"type": "reasoning", "id": "rs_1", "summary": []}, _CALL, _RESULT]},
            "Item with id 'rs_1' not found",
        ),
        (
            {
                "input": [
                    _USER,
                    {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAforeign"},
                    _CALL,
                    _RESULT,
                ]
            },
            "could not be verified",
        ),
    ],
)
async def test_refused_as_the_vendor_refuses(fields: dict[str, Any], message: str) -> None:
    async with mock_client("openai", strict=True, any_model=True) as client:
        answer = await client.post("responses", json={"model": "gpt-4o", "input": [_USER], **fields})
    assert answer.status_code in (400, 404)
    assert message in answer.json()["error"]["message"]


@pytest.mark.parametrize("more", [_ENCRYPTED, {}])
@pytest.mark.parametrize("kind", ["function", "custom"])
async def test_a_call_comes_back_with_its_reasoning_or_is_refused(more: dict[str, Any], kind: str) -> None:
    async with mock_client("openai", _CALLS, strict=True, any_model=True) as client:
        tools = [{"type": kind, "name": "f"}]
        body: dict[str, Any] = {"model": "gpt-5", "input": [_USER], "tools": tools, **more}
        output = (await client.post("responses", json=body)).json()["output"]
        call = "function_call" if kind == "function" else "custom_tool_call"
        assert [item["type"] for item in output] == ["reasoning", call]
        result = _RESULT | {"type": f"{call}_output"}
        whole = await client.post("responses", json=body | {"input": [_USER, *output, result]})
        assert whole.status_code == 200, whole.text
        cut = await client.post("responses", json=body | {"input": [_USER, output[1], result]})
    assert cut.status_code == 400
    assert "without its required 'reasoning' item" in cut.json()["error"]["message"]
