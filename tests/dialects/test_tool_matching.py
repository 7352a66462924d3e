from __future__ import annotations

from collections.abc import Sequence

import pytest

from trunkline.dialects.tool_matching import match_tool_calls
from trunkline.model import Message, Text, ToolCall, ToolResult

Pair = tuple[str | None, str | None]
"""Id and name of a call or of a result."""
Turn = Sequence[Pair]


def _conversation(*turns: Turn, results: set[int]) -> tuple[Message, ...]:
    messages: list[Message] = [Message(role="user", parts=(Text(text="go"),))]
    for at, turn in enumerate(turns):
        if at in results:
            messages += [
                Message(role="tool", parts=(ToolResult(id=known, name=name, parts=()),))
                for known, name in turn
            ]
        else:
            calls = tuple(ToolCall(id=known, name=name or "", arguments="{}") for known, name in turn)
            messages.append(Message(role="assistant", parts=(Text(text="…"), *calls)))
    return tuple(messages)


def _tools(messages: tuple[Message, ...]) -> list[Pair]:
    return [
        (part.id, part.name)
        for message in messages
        for part in message.parts
        if isinstance(part, ToolCall | ToolResult)
    ]


NEW = ["call_00000000", "call_00000001", "call_00000002"]


@pytest.mark.parametrize(
    ("calls", "results", "matched"),
    [
        pytest.param([("x", "a")], [("x", None)], [("x", "a"), ("x", "a")], id="by id"),
        pytest.param(
            [("x", "a"), ("y", "b")],
            [("y", None), ("x", None)],
            [("x", "a"), ("y", "b"), ("y", "b"), ("x", "a")],
            id="by id, out of order",
        ),
        pytest.param(
            [(None, "a"), (None, "b")],
            [(None, "b"), (None, "a")],
            [(NEW[0], "a"), (NEW[1], "b"), (NEW[1], "b"), (NEW[0], "a")],
            id="by name",
        ),
        pytest.param(
            [(None, "a"), (None, "a")],
            [(None, "a"), (None, "a")],
            [(NEW[0], "a"), (NEW[1], "a"), (NEW[0], "a"), (NEW[1], "a")],
            id="parallel calls of one tool, by name",
        ),
        pytest.param(
            [(None, "a"), (None, "a")],
            [(None, None), (None, None)],
            [(NEW[0], "a"), (NEW[1], "a"), (NEW[0], "a"), (NEW[1], "a")],
            id="parallel calls of one tool, by order",
        ),
        pytest.param(
            [("x", "a"), ("y", "a")],
            [(None, None), ("x", None)],
            [("x", "a"), ("y", "a"), ("y", "a"), ("x", "a")],
            id="exact ids first",
        ),
        pytest.param(
            [(None, "a"), (None, "b")],
            [(None, None), (None, "a")],
            [(NEW[0], "a"), (NEW[1], "b"), (NEW[1], "b"), (NEW[0], "a")],
            id="names before order",
        ),
        pytest.param(
            [(None, "a"), (None, "b")],
            [(None, "c")],
            [(NEW[0], "a"), (NEW[1], "b"), (NEW[0], "a")],
            id="an unknown name goes by order",
        ),
        pytest.param([(None, "a")], [("z", None)], [("z", "a"), ("z", "a")], id="only the call lost its id"),
        pytest.param(
            [("x", "a")], [("z", "a")], [("x", "a"), ("z", "a")], id="another id is never matched by name"
        ),
        pytest.param(
            [("x", "a"), ("x", "a")],
            [("x", None), ("x", None)],
            [("x", "a"), (NEW[0], "a"), ("x", "a"), (NEW[0], "a")],
            id="colliding ids",
        ),
        pytest.param(
            [(NEW[0], "a"), (None, "b")],
            [(None, "b")],
            [(NEW[0], "a"), (NEW[1], "b"), (NEW[1], "b")],
            id="a new id is not one that is used",
        ),
        pytest.param([], [(None, "a")], [(NEW[0], "a")], id="a result without a call"),
        pytest.param([(None, "a")], [], [(NEW[0], "a")], id="a call without a result"),
    ],
)
def test_one_turn(calls: Turn, results: Turn, matched: Turn) -> None:
    assert _tools(match_tool_calls(_conversation(calls, results, results={1}))) == matched


def test_ids_are_unique_over_turns_and_results_go_to_the_latest() -> None:
    turns: list[Turn] = [
        [("call_a", "a")],
        [(None, "a")],
        [("call_a", "a")],
        [("call_a", None)],
    ]
    assert _tools(match_tool_calls(_conversation(*turns, results={1, 3}))) == [
        ("call_a", "a"),
        ("call_a", "a"),
        (NEW[0], "a"),
        (NEW[0], "a"),
    ]


def test_a_late_result_finds_its_earlier_call_by_id() -> None:
    turns: list[Turn] = [[("x", "a")], [("y", "b")], [("y", None), ("x", None)]]
    assert _tools(match_tool_calls(_conversation(*turns, results={2})))[2:] == [("y", "b"), ("x", "a")]


def test_the_next_turn_leaves_the_ids_of_the_prefix() -> None:
    turns: list[Turn] = [[(None, "a"), (None, "a")], [(None, None), (None, None)]]
    longer: list[Turn] = [*turns, [(None, "b")], [(None, None)]]
    first = match_tool_calls(_conversation(*turns, results={1}))
    assert match_tool_calls(_conversation(*longer, results={1, 3}))[: len(first)] == first


def test_without_tools_nothing_is_built_anew() -> None:
    messages = _conversation(results=set())
    assert match_tool_calls(messages) is messages


def test_matching_twice_changes_nothing() -> None:
    turns: list[Turn] = [[(None, "a"), ("x", "b")], [(None, "b"), (None, None)]]
    once = match_tool_calls(_conversation(*turns, results={1}))
    assert match_tool_calls(once) == once
