from __future__ import annotations

from typing import Any

import pytest

from trunkline.dialects.responses.client_tools import BUILT_IN, CALLS, CUSTOM, OUTPUTS, offered


@pytest.mark.parametrize("kind", sorted(BUILT_IN))
def test_built_in_tools_are_functions(kind: str) -> None:
    wire = {"type": kind} | ({"execution": "client"} if kind == "tool_search" else {})
    made = offered(kind, wire, "")
    assert made is not None
    tool, offer = made
    assert tool.name == BUILT_IN[kind].name
    assert tool.parameters is not None
    assert set(tool.parameters["required"]) <= set(tool.parameters["properties"])
    assert (offer.kind, offer.wire) == (BUILT_IN[kind], wire)
    output = offer.kind.output or f"{offer.kind.call}_output"
    assert CALLS[offer.kind.call] is OUTPUTS[output] is offer.kind


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("file_search", {}),
        ("mcp", {}),
        ("tool_search", {}),
        ("tool_search", {"execution": "server"}),
        ("shell", {"environment": {"type": "container_reference"}}),
    ],
)
def test_tools_that_servers_run(kind: str, more: dict[str, Any]) -> None:
    assert offered(kind, {"type": kind} | more, "") is None


@pytest.mark.parametrize("wrong", [{"description": 1}, {"format": "text"}])
def test_a_custom_tool_of_wrong_form(wrong: dict[str, Any]) -> None:
    made = offered("custom", wrong, "n__c")
    assert made is not None
    assert (made[0].name, made[0].description, made[1].kind) == ("n__c", None, CUSTOM)


@pytest.mark.parametrize(
    ("kind", "arguments", "fields"),
    [
        ("local_shell", '{"command":["ls"]}', {"action": {"type": "exec", "env": {}, "command": ["ls"]}}),
        (
            "local_shell",
            '{"command":[],"env":{"A":"b"}}',
            {"action": {"type": "exec", "command": [], "env": {"A": "b"}}},
        ),
        ("computer", '{"type":"wait"}', {"action": {"type": "wait"}, "pending_safety_checks": []}),
    ],
)
def test_calls_both_ways(kind: str, arguments: str, fields: dict[str, Any]) -> None:
    tool = BUILT_IN[kind]
    assert tool.call_fields(arguments) == fields
    assert tool.arguments(fields["action"]) == arguments


def test_a_call_that_was_cut_has_an_object() -> None:
    assert BUILT_IN["shell"].call_fields('{"comm') == {"action": {"arguments": '{"comm'}}


def test_a_search_for_tools_is_described_as_its_client_says() -> None:
    schema = {"type": "object", "properties": {"query": {"type": "string"}, "limit": {"type": "number"}}}
    wire = {"type": "tool_search", "execution": "client", "description": "Finds", "parameters": schema}
    made = offered("tool_search", wire, "")
    assert made is not None
    assert (made[0].name, made[0].description, made[0].parameters) == ("tool_search", "Finds", schema)
