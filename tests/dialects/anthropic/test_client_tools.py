from __future__ import annotations

import pytest

from trunkline.dialects.anthropic.client_tools import client_tool


@pytest.mark.parametrize(
    ("kind", "parameter"),
    [
        ("bash_20250124", "command"),
        ("text_editor_20250728", "old_str"),
        ("memory_20250818", "old_path"),
        ("computer_20251124", "coordinate"),
    ],
)
def test_tools_that_the_client_runs(kind: str, parameter: str) -> None:
    tool = client_tool(kind, "its_name")
    assert tool is not None
    assert tool.name == "its_name"
    assert tool.parameters is not None
    assert parameter in tool.parameters["properties"]


@pytest.mark.parametrize("kind", ["code_execution_20250825", "web_fetch_20250910", "mcp_toolset", "bash"])
def test_tools_that_it_does_not_run(kind: str) -> None:
    assert client_tool(kind, "x") is None
