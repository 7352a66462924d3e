"""Validation of the fields of Anthropic's requests."""

from __future__ import annotations

from typing import Any

import pytest

from ..http_client import mock_client

_USER = {"role": "user", "content": "x"}
_TOOL = {"name": "f", "input_schema": {"type": "object", "properties": {}}}
_THINKING = {"type": "enabled", "budget_tokens": 1024}
_CACHED = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}
_OMITTED = object()


async def post(path: str = "/v1/messages", beta: str = "", **fields: Any) -> tuple[int, str]:
    """Send a request; returns the status, and the error message or an empty string."""
    body = {"model": "claude-haiku-4-5", "max_tokens": 2000, "messages": [_USER], **fields}
    body = {name: value for name, value in body.items() if value is not _OMITTED}
    async with mock_client("anthropic") as client:
        answer = await client.post(path, json=body, headers={"anthropic-beta": beta} if beta else {})
    error = answer.json().get("error")
    assert error is None or error["type"] == "invalid_request_error"
    return answer.status_code, error["message"] if error else ""


@pytest.mark.parametrize(
    "fields",
    [
        {
            "system": "be kind",
            "temperature": 0,
            "top_p": 1.0,
            "top_k": 5,
            "stop_sequences": ["a"],
            "stream": False,
            "metadata": {"user_id": "u"},
            "service_tier": "auto",
        },
        {"system": [_CACHED], "temperature": 1, "tools": [], "stop_sequences": []},
        {"temperature": None, "system": None, "tools": None, "tool_choice": None, "thinking": None},
        {"tools": [_TOOL, {"type": "custom", **_TOOL, "name": "g", "description": "d", "strict": True}]},
        {"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}]},
        {"tools": [_TOOL], "tool_choice": {"type": "tool", "name": "f"}},
        {"thinking": _THINKING, "temperature": 1, "top_p": 0.95},
        {"thinking": {"type": "adaptive", "display": "summarized"}, "tools": [_TOOL], "temperature": 0.5},
        {"thinking": {"type": "disabled"}, "tools": [_TOOL], "tool_choice": {"type": "any"}},
        {"output_config": {"effort": "high", "format": {"type": "json_schema", "schema": {}}}},
    ],
)
async def test_valid_fields(fields: dict[str, Any]) -> None:
    assert await post(**fields) == (200, "")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"model": _OMITTED}, "model: Field required"),
        ({"model": 5}, "model: Input should be a valid string"),
        ({"model": ""}, "model: String should have at least 1 character"),
        ({"max_tokens": _OMITTED}, "max_tokens: Field required"),
        ({"max_tokens": None}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": 1.5}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": True}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": 0}, "max_tokens: must be greater than or equal to 1"),
        ({"temperature": 1.1}, "temperature: range: 0..1"),
        ({"temperature": -0.1}, "temperature: range: 0..1"),
        ({"temperature": "hot"}, "temperature: Input should be a valid number"),
        ({"top_p": 2}, "top_p: range: 0..1"),
        ({"top_k": -1}, "top_k: Input should be greater than or equal to 0"),
        ({"top_k": 0.5}, "top_k: Input should be a valid integer"),
        ({"stream": "yes"}, "stream: Input should be a valid boolean"),
        ({"service_tier": "flex"}, "service_tier: Input should be 'auto' or 'standard_only'"),
        ({"metadata": {"user": "u"}}, "metadata.user: Extra inputs are not permitted"),
        ({"stop_sequences": "a"}, "stop_sequences: Input should be a valid list"),
        ({"stop_sequences": ["a", 5]}, "stop_sequences.1: Input should be a valid string"),
        ({"stop_sequences": ["\n"]}, "stop_sequences: each stop sequence must contain non-whitespace"),
        ({"stop": ["a"]}, "stop: Extra inputs are not permitted"),
        ({"n": 1}, "n: Extra inputs are not permitted"),
        ({"max_completion_tokens": 5}, "max_completion_tokens: Extra inputs are not permitted"),
        ({"response_format": {}}, "response_format: Extra inputs are not permitted"),
        ({"context_management": {}}, "context_management: Extra inputs are not permitted"),
        ({"system": 5}, "system: Input should be a valid list"),
        ({"system": [{"type": "image"}]}, "system.0: Input tag 'image' found"),
        ({"system": [_CACHED] * 5}, "A maximum of 4 blocks with cache_control may be provided. Found 5."),
    ],
)
async def test_invalid_fields(fields: dict[str, Any], expected: str) -> None:
    status, message = await post(**fields)
    assert status == 400
    assert message.startswith(expected)


@pytest.mark.parametrize(
    ("tools", "expected"),
    [
        ({}, "tools: Input should be a valid list"),
        (["f"], "tools.0: Input should be a valid dictionary"),
        ([{"type": "function", "function": {"name": "f"}}], "tools.0: Input tag 'function' found"),
        ([{"type": ["custom"], **_TOOL}], "tools.0: Input tag '['custom']' found"),
        ([{"input_schema": {"type": "object"}}], "tools.0.custom.name: Field required"),
        ([{"name": "f", "parameters": {}}], "tools.0.custom.input_schema: Field required"),
        ([{"name": "f", "input_schema": {}}], "tools.0.custom.input_schema.type: Field required"),
        (
            [{"name": "f", "input_schema": {"type": "array"}}],
            "tools.0.custom.input_schema.type: Input should be 'object'",
        ),
        ([{**_TOOL, "name": "a.b"}], "tools.0.custom.name: String should match pattern"),
        ([{**_TOOL, "name": "a" * 129}], "tools.0.custom.name: String should match pattern"),
        ([{**_TOOL, "parameters": {}}], "tools.0.custom.parameters: Extra inputs are not permitted"),
        ([_TOOL, _TOOL], "tools: Tool names must be unique."),
    ],
)
async def test_invalid_tools(tools: Any, expected: str) -> None:
    status, message = await post(tools=tools)
    assert status == 400
    assert message.startswith(expected)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", "tool_choice: Input should be a valid dictionary"),
        ({"type": "required"}, "tool_choice: Input tag 'required' found"),
        ({"type": {}}, "tool_choice: Input tag '{}' found"),
        ({"type": "tool"}, "tool_choice.tool.name: Field required"),
        ({"type": "tool", "name": "g"}, "Tool 'g' not found in provided tools"),
        ({"type": "none", "name": "f"}, "tool_choice.none.name: Extra inputs are not permitted"),
        (
            {"type": "auto", "disable_parallel_tool_use": "yes"},
            "tool_choice.auto.disable_parallel_tool_use: Input should be a valid boolean",
        ),
    ],
)
async def test_invalid_tool_choices(choice: Any, expected: str) -> None:
    status, message = await post(tools=[_TOOL], tool_choice=choice)
    assert status == 400
    assert message.startswith(expected)


async def test_a_tool_choice_without_tools() -> None:
    status, message = await post(tool_choice={"type": "auto"})
    assert (status, message) == (400, "tool_choice may only be specified while providing tools.")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"thinking": True}, "thinking: Input should be a valid dictionary"),
        ({"thinking": {"type": "on"}}, "thinking: Input tag 'on' found"),
        ({"thinking": {"type": "enabled"}}, "thinking.enabled.budget_tokens: Field required"),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 1023}},
            "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
        ),
        (
            {"thinking": {"type": "adaptive", "budget_tokens": 1024}},
            "thinking.adaptive.budget_tokens: Extra inputs are not permitted",
        ),
        ({"thinking": _THINKING, "max_tokens": 1024}, "`max_tokens` must be greater than"),
        ({"thinking": _THINKING, "temperature": 0.5}, "`temperature` may only be set to 1"),
        ({"thinking": _THINKING, "top_p": 0.5}, "`top_p` must be greater than or equal to 0.95"),
        ({"thinking": _THINKING, "top_k": 5}, "`top_k` must be unset"),
        (
            {"thinking": _THINKING, "tools": [_TOOL], "tool_choice": {"type": "any"}},
            "Thinking may not be enabled when tool_choice forces tool use.",
        ),
    ],
)
async def test_invalid_thinking(fields: dict[str, Any], expected: str) -> None:
    status, message = await post(**fields)
    assert status == 400
    assert message.startswith(expected)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("json", "output_config: Input should be a valid dictionary"),
        ({"effort": "minimal"}, "output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or"),
        ({"format": "json"}, "output_config.format: Input should be a valid dictionary"),
        ({"format": {"type": "json_object"}}, "output_config.format.type: Input should be 'json_schema'"),
        ({"format": {"type": "json_schema"}}, "output_config.format.schema: Field required"),
    ],
)
async def test_invalid_output_configs(config: Any, expected: str) -> None:
    status, message = await post(output_config=config)
    assert status == 400
    assert message.startswith(expected)


async def test_beta_fields_need_the_beta_header() -> None:
    assert (await post(beta="context-management-2025-06-27", context_management={}))[0] == 200
    output_format = {"type": "json_schema", "schema": {"type": "object"}}
    assert (await post(beta="structured-outputs-2025-11-13", output_format=output_format))[0] == 200
    assert (await post(beta="any", unheard_of=1))[0] == 400


async def test_token_counting_accepts_fewer_fields() -> None:
    path = "/v1/messages/count_tokens"
    assert (await post(path, max_tokens=_OMITTED, tools=[_TOOL], system="s", thinking=_THINKING))[0] == 200
    assert await post(path) == (400, "max_tokens: Extra inputs are not permitted")
    assert (await post(path, max_tokens=_OMITTED, messages=[]))[0] == 400
