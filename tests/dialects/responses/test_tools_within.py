"""Tools that stand in the input."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from trunkline.dialects.responses.tools_within import tools_within


def raw(*values: Any) -> list[msgspec.Raw]:
    return [msgspec.Raw(msgspec.json.encode(value)) for value in values]


F = {"type": "function", "name": "f"}
G = {"type": "function", "name": "g"}
BOX = {"type": "namespace", "name": "box", "tools": [F]}
MORE = {"type": "namespace", "name": "box", "tools": [G]}


@pytest.mark.parametrize(
    ("items", "found"),
    [
        ([{"type": "tool_search_output", "tools": [F, G]}], [F, G]),
        ([{"type": "additional_tools", "tools": [G]}, {"type": "additional_tools", "tools": [G]}], [G]),
        ([{"type": "additional_tools", "tools": [BOX, MORE]}], [BOX, MORE]),
        ([{"type": "mcp_list_tools", "tools": [G]}], []),
        ([{"type": "tool_search_output"}, {"type": "additional_tools", "tools": "g"}, 7, [G]], []),
        ([{"type": "additional_tools", "tools": [7]}], [7]),
    ],
)
def test_each_tool_once(items: list[Any], found: list[Any]) -> None:
    assert tools_within(raw(*items)) == raw(*found)
