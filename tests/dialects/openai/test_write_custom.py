from __future__ import annotations

from trunkline.dialects.custom_tools import as_function
from trunkline.dialects.openai.write_custom import CustomCalls, custom_names, whole_call
from trunkline.events import ToolCallDelta
from trunkline.model import ChatRequest, Tool


def test_names_of_custom_tools() -> None:
    tools = (Tool(name="f"), as_function("c", None, None))
    assert custom_names(ChatRequest(model="m", messages=(), tools=tools)) == {"c"}


def test_a_whole_call() -> None:
    assert whole_call("a", "c", '{"input":"x"}') == {
        "id": "a",
        "type": "custom",
        "custom": {"name": "c", "input": "x"},
    }


def test_two_calls_in_turn() -> None:
    calls = CustomCalls(frozenset({"c"}))
    first, second = ToolCallDelta(0, "a", "c"), ToolCallDelta(1, "b", "c", '{"input":"y')
    assert calls.takes(first)
    assert not calls.takes(ToolCallDelta(2, "x", "f"))
    assert calls.delta(first, "a") == {
        "index": 0,
        "id": "a",
        "type": "custom",
        "custom": {"name": "c", "input": ""},
    }
    assert calls.delta(second, "b") == {
        "index": 1,
        "id": "b",
        "type": "custom",
        "custom": {"name": "c", "input": "y"},
    }
    more = ToolCallDelta(0, arguments='{"other":"x"}')
    assert calls.takes(more)
    assert calls.delta(more, "") is None
    assert calls.delta(ToolCallDelta(1, arguments='z"}'), "") == {"index": 1, "custom": {"input": "z"}}
    assert list(calls.rest(0)) == [{"index": 0, "custom": {"input": "x"}}]
    assert list(calls.rest(1)) == []
