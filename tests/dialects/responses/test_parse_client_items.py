from __future__ import annotations

from typing import Any

import msgspec
import pytest

from trunkline.dialects.responses.parse_client_items import parse_client_call, parse_client_result
from trunkline.model import Image, Text, ToolCall, ToolResult


def raw(item: dict[str, Any]) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(item))


@pytest.mark.parametrize(
    ("kind", "item", "call"),
    [
        (
            "custom_tool_call",
            {"call_id": "a", "name": "x", "input": ""},
            ToolCall(id="a", name="x", arguments='{"input":""}'),
        ),
        (
            "custom_tool_call",
            {"call_id": "a", "namespace": "n", "name": "x", "input": "y"},
            ToolCall(id="a", name="n__x", arguments='{"input":"y"}'),
        ),
        (
            "local_shell_call",
            {"id": "a", "action": {"type": "exec", "command": ["ls"]}},
            ToolCall(id="a", name="local_shell", arguments='{"command":["ls"]}'),
        ),
        (
            "computer_call",
            {"call_id": "a", "actions": [{"type": "wait"}]},
            ToolCall(id="a", name="computer", arguments='{"type":"wait"}'),
        ),
        (
            "computer_call",
            {"call_id": "a", "actions": [{"type": "wait"}, {"type": "screenshot"}]},
            ToolCall(
                id="a",
                name="computer",
                arguments='{"actions":[{"type":"wait"},{"type":"screenshot"}]}',
            ),
        ),
        (
            "tool_search_call",
            {"call_id": "a", "execution": "client", "arguments": {"query": "weather", "limit": 3}},
            ToolCall(id="a", name="tool_search", arguments='{"query":"weather","limit":3}'),
        ),
    ],
)
def test_calls(kind: str, item: dict[str, Any], call: ToolCall) -> None:
    assert parse_client_call(kind, raw(item), "input[0]") == call


@pytest.mark.parametrize(
    ("kind", "output", "result"),
    [
        ("apply_patch_call_output", {"status": "completed"}, ToolResult(id="a", parts=())),
        (
            "apply_patch_call_output",
            {"status": "failed", "output": "No"},
            ToolResult(id="a", parts=(Text(text="No"),), is_error=True),
        ),
        (
            "shell_call_output",
            {"output": [{"stdout": "x", "stderr": "y", "outcome": {"type": "exit", "exit_code": 2}}]},
            ToolResult(id="a", parts=(Text(text="x\ny\n(exit code 2)"),)),
        ),
        (
            "shell_call_output",
            {
                "output": [
                    {"stdout": "x", "outcome": {"type": "exit", "exit_code": 0}},
                    {"outcome": {"type": "timeout"}},
                ]
            },
            ToolResult(id="a", parts=(Text(text="x\n(timed out)"),)),
        ),
        (
            "shell_call_output",
            {"output": [{"outcome": {"type": "exit", "exit_code": 0}}]},
            ToolResult(id="a", parts=(Text(text="(exit code 0)"),)),
        ),
        ("shell_call_output", {"output": []}, ToolResult(id="a", parts=())),
        ("tool_search_output", {"tools": []}, ToolResult(id="a", parts=(Text(text="No tools were found"),))),
        (
            "tool_search_output",
            {
                "tools": [
                    {"type": "function", "name": "f"},
                    {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "g"}]},
                ]
            },
            ToolResult(id="a", parts=(Text(text="These tools can be called now: f, n__g"),)),
        ),
        (
            "computer_call_output",
            {"output": {"type": "computer_screenshot", "image_url": "data:image/png;base64,AA=="}},
            ToolResult(id="a", parts=(Image(data="AA==", media_type="image/png"),)),
        ),
    ],
)
def test_results(kind: str, output: dict[str, Any], result: ToolResult) -> None:
    assert parse_client_result(kind, raw({"call_id": "a"} | output), "input[0]") == result
