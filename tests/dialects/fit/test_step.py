"""Which bodies the fit step changes, for each vendor and each dialect."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.dialects.anthropic.fit import MessagesFitStep
from trunkline.dialects.fit.rules import Exclusive, FitRules, NameRule, Range, SchemaRule, ValueRule
from trunkline.dialects.fit.step import DialectFitStep
from trunkline.dialects.openai.fit import ChatFitStep
from trunkline.dialects.responses.fit import ResponsesFitStep
from trunkline.providers.fits import (
    ANTHROPIC_FIT,
    CEREBRAS_FIT,
    KNOWN_VENDORS,
    OPENAI_FIT,
    OPENAI_RESPONSES_FIT,
)

STEPS: dict[str, DialectFitStep] = {
    name: ChatFitStep(vendor.quirks.fit) for name, vendor in KNOWN_VENDORS.items() if vendor.quirks.fit
}
STEPS |= {
    "anthropic": MessagesFitStep(ANTHROPIC_FIT),
    "responses": ResponsesFitStep(OPENAI_RESPONSES_FIT),
    "own openai": ChatFitStep(OPENAI_FIT),
    "own cerebras": ChatFitStep(CEREBRAS_FIT),
}
ALL = FitRules(
    tool_names=NameRule(),
    call_ids=NameRule(chars="a-z", longest=9),
    schema_names=NameRule(),
    tool_schema=SchemaRule(flat_top=True),
    answer_schema=SchemaRule(closed=True),
    refused={"*": frozenset({"top_k"}), "small*": frozenset({"seed"})},
    renamed={"*": {"max_completion_tokens": "max_tokens"}},
    exclusive=(Exclusive("temperature", "top_p"),),
    values=(ValueRule(field="effort", values={"low": {"effort": "lowest"}, "none": {"thinking": False}}),),
    ranges={"temperature": Range(0.1, 1)},
    most_stops=2,
    refused_in_messages=frozenset({"refusal"}),
    refused_in_tools=frozenset({"strict"}),
    roles={"developer": "system"},
    takes_cache_control=False,
    names_files=True,
)
CHAT = ChatFitStep(ALL)
LISTED = {"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]}
FORMAT = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}


def fit(step: DialectFitStep, body: Any, model: str = "large") -> tuple[Any, tuple[str, ...]]:
    """What becomes of a body, and what is told about it."""
    data = msgspec.json.encode(body)
    try:
        step.decode(data)
    except ValueError:
        fitted = step.fit(data, model)
        return (body, ()) if fitted is None else (msgspec.json.decode(fitted.body), fitted.changes)
    assert step.fit(data, model) is None, "what decodes into the fitting type needs no change"
    return body, ()


@pytest.mark.parametrize(
    ("body", "expected", "changes"),
    [
        ({"top_k": 1, "seed": 2}, {"seed": 2}, ("-top_k",)),
        ({"top_k": None}, {}, ("-top_k",)),
        ({"max_completion_tokens": 5}, {"max_tokens": 5}, ("max_completion_tokens as max_tokens",)),
        ({"max_completion_tokens": 5, "max_tokens": 6}, {"max_tokens": 6}, ("-max_completion_tokens",)),
        ({"temperature": 1, "top_p": 0.5}, {"temperature": 1}, ("-top_p",)),
        ({"top_p": 0.5}, {"top_p": 0.5}, ()),
        ({"temperature": 0}, {"temperature": 0.1}, ("temperature",)),
        ({"temperature": 1.5}, {"temperature": 1}, ("temperature",)),
        ({"effort": "low"}, {"effort": "lowest"}, ("effort",)),
        ({"effort": "none"}, {"thinking": False}, ("effort",)),
        ({"effort": "other"}, {}, ("-effort",)),
        ({"stop": "a"}, {"stop": "a"}, ()),
        ({"stop": ["a", "b", "c"]}, {"stop": ["a", "b"]}, ("stop: the first 2 of 3",)),
        ({"messages": [{"role": "developer"}]}, {"messages": [{"role": "system"}]}, ("messages[0].role",)),
        ({"messages": [{"refusal": None}]}, {"messages": [{}]}, ("-messages[0].refusal",)),
        (
            {"messages": [LISTED]},
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]},
            ("-messages[0].content[0].cache_control",),
        ),
        (
            {"tools": [{"function": {"name": "f", "strict": True}}]},
            {"tools": [{"function": {"name": "f"}}]},
            ("-tools[0].function.strict",),
        ),
        (
            {"response_format": FORMAT | {"json_schema": {"name": "a b", "schema": True}}},
            {"response_format": FORMAT | {"json_schema": {"name": "a_b", "schema": True}}},
            ("response_format.json_schema.name",),
        ),
        ({"messages": "no list", "tools": 3}, {"messages": "no list", "tools": 3}, ()),
        ([1], [1], ()),
    ],
)
def test_each_rule(body: Any, expected: Any, changes: tuple[str, ...]) -> None:
    assert fit(CHAT, body) == (expected, changes)


def test_a_rule_may_hold_for_some_models() -> None:
    assert fit(CHAT, {"seed": 1}, "vendor/SMALL-1") == ({}, ("-seed",))


def test_legacy_functions_have_names_too() -> None:
    body = {
        "functions": [{"name": "fs.read"}],
        "function_call": {"name": "fs.read"},
        "messages": [{"role": "assistant", "function_call": {"name": "fs.read", "arguments": "{}"}}],
    }
    sent, _ = fit(CHAT, body)
    assert "fs.read" not in str(sent)
    assert str(sent).count("fs_read") == 3


def test_custom_tools_have_names_too() -> None:
    custom = {"name": "apply.patch", "input": "x"}
    body = {
        "tools": [{"type": "custom", "custom": {"name": "apply.patch"}}],
        "messages": [{"role": "assistant", "tool_calls": [{"id": "c", "type": "custom", "custom": custom}]}],
    }
    sent, _ = fit(CHAT, body)
    assert sent["messages"][0]["tool_calls"][0]["custom"]["name"] == "apply_patch"
    record = {"choices": [{"delta": {"tool_calls": [{"custom": {"name": "apply_patch"}}]}}]}
    assert CHAT.restore(record, {"apply_patch": "apply.patch"})
    assert "apply.patch" in str(record)


def test_the_responses_api() -> None:
    name, call = "x" * 65, "c" * 65
    body = {
        "input": [
            {"type": "function_call", "call_id": call, "name": name},
            {"type": "function_call_output", "call_id": call, "output": "x"},
        ],
        "tools": [{"type": "function", "name": name, "parameters": {"type": "object"}}],
        "tool_choice": {"type": "allowed_tools", "tools": [{"type": "function", "name": name}]},
        "text": {"format": {"type": "json_schema", "name": "a b"}},
    }
    sent, _ = fit(STEPS["responses"], body)
    short = sent["tools"][0]["name"]
    assert sent["tools"][0]["parameters"] == {"type": "object", "properties": {}}
    assert sent["input"][0]["name"] == sent["tool_choice"]["tools"][0]["name"] == short != name
    assert sent["input"][0]["call_id"] == sent["input"][1]["call_id"] != call
    assert sent["text"]["format"]["name"] == "a_b"


@pytest.mark.parametrize("vendor", STEPS)
def test_an_ordinary_request_needs_no_change(vendor: str) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True, "max_tokens": 5}
    STEPS[vendor].decode(msgspec.json.encode(body))


_WORDS = (
    "messages tools role content function parameters tool_calls id name type tool_choice anyOf strict input "
    "stop tool_use tool fs.read object developer response_format json_schema schema output_config format "
    "reasoning_effort functions"
)
_WORD = st.sampled_from(_WORDS.split(" "))
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 99) | _WORD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORD, inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize("vendor", STEPS)
@given(body=st.dictionaries(_WORD, _JSON, max_size=6))
def test_nothing_breaks_it_and_what_was_changed_fits(vendor: str, body: dict[str, Any]) -> None:
    sent, _ = fit(STEPS[vendor], body)
    assert fit(STEPS[vendor], sent) == (sent, ())
