"""The fields for thinking that each generation of models gets, and what is left out beside them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.dialects.anthropic.test_render import CALL_A, CLAUDE, HI, TOOL, chat, render, say
from trunkline.dialects.anthropic import DEFAULT_MAX_TOKENS
from trunkline.model import Message, Reasoning, Sampling, Text, Thinking, ToolChoice, ToolResult

OLD = "claude-sonnet-4-5-20250929"

ADAPTIVE = {"type": "adaptive"}
OFF = {"type": "disabled"}


def budget(tokens: int) -> dict[str, Any]:
    return {"type": "enabled", "budget_tokens": tokens}


REASONING: list[tuple[str, Reasoning | None, int | None, dict[str, Any] | None, str | None, int]] = [
    (CLAUDE, None, None, None, None, 8192),
    (CLAUDE, Reasoning(), None, None, None, 8192),
    (CLAUDE, Reasoning(effort="none"), None, OFF, None, 8192),
    (CLAUDE, Reasoning(effort="minimal"), None, ADAPTIVE, "low", 8192 + 1024),
    (CLAUDE, Reasoning(effort="high"), None, ADAPTIVE, "high", 8192 + 16384),
    (CLAUDE, Reasoning(effort="max", exclude=True), 9, ADAPTIVE | {"display": "omitted"}, "max", 9),
    (CLAUDE, Reasoning(max_tokens=10000), None, ADAPTIVE, "medium", 18192),
    (CLAUDE, Reasoning(max_tokens=10000, effort="high"), None, ADAPTIVE, "high", 18192),
    (CLAUDE, Reasoning(effort="medium", any_level=True), None, ADAPTIVE, None, 16384),
    (OLD, Reasoning(effort="medium", any_level=True), None, budget(8192), None, 16384),
    ("anthropic/claude-opus-4.7", Reasoning(effort="low"), None, ADAPTIVE, "low", 8192 + 2048),
    (OLD, None, None, None, None, 8192),
    (OLD, Reasoning(effort="none"), None, OFF, None, 8192),
    (OLD, Reasoning(effort="minimal"), None, budget(1024), None, 9216),
    (OLD, Reasoning(effort="medium", exclude=True), 9000, budget(8192) | {"display": "omitted"}, None, 9000),
    (OLD, Reasoning(effort="high", max_tokens=3000), None, budget(3000), None, 11192),
    (OLD, Reasoning(max_tokens=5), None, budget(1024), None, 9216),
    (OLD, Reasoning(effort="high"), 4000, budget(3999), None, 4000),
    (OLD, Reasoning(effort="high"), 1025, budget(1024), None, 1025),
    (OLD, Reasoning(effort="high"), 1024, None, None, 1024),
    ("anthropic/claude-opus-4.5", Reasoning(effort="low"), None, budget(2048), None, 10240),
    ("claude-opus-4-20250514", Reasoning(effort="low"), None, budget(2048), None, 10240),
    ("claude-3-7-sonnet-latest", Reasoning(effort="low"), None, budget(2048), None, 10240),
    ("qwen3", Reasoning(effort="low"), None, budget(2048), None, 10240),
    ("claude-3-5-haiku-latest", Reasoning(effort="high"), None, None, None, 8192),
    ("claude-3-opus-20240229", Reasoning(effort="none"), None, None, None, 8192),
]


@pytest.mark.parametrize(("name", "reasoning", "bound", "thinking", "effort", "room"), REASONING)
def test_reasoning(
    name: str,
    reasoning: Reasoning | None,
    bound: int | None,
    thinking: dict[str, Any] | None,
    effort: str | None,
    room: int,
) -> None:
    body = render(chat(reasoning=reasoning, sampling=Sampling(max_tokens=bound)), name)
    assert (body.get("thinking"), body["max_tokens"]) == (thinking, room)
    assert body.get("output_config") == (None if effort is None else {"effort": effort})


@pytest.mark.parametrize("name", [CLAUDE, OLD])
def test_thinking_takes_no_sampling_fields(name: str) -> None:
    sampling = Sampling(temperature=0.0, top_p=0.5, top_k=3, stop=("a",))
    body = render(chat(reasoning=Reasoning(effort="low"), sampling=sampling), name)
    assert body.keys() & {"temperature", "top_p", "top_k", "stop_sequences"} == {"stop_sequences"}
    body = render(chat(reasoning=Reasoning(effort="low"), sampling=Sampling(top_p=0.95)), name)
    assert body["top_p"] == 0.95


@pytest.mark.parametrize("name", [CLAUDE, OLD])
@pytest.mark.parametrize("choice", [ToolChoice(mode="required"), ToolChoice(mode="tool", name="f")])
def test_thinking_gives_way_to_a_forced_tool(name: str, choice: ToolChoice) -> None:
    request = chat(tools=(TOOL,), tool_choice=choice, reasoning=Reasoning(effort="low"))
    body = render(request, name)
    assert not body.keys() & {"thinking", "output_config"}
    assert body["max_tokens"] == DEFAULT_MAX_TOKENS
    off = msgspec.structs.replace(request, reasoning=Reasoning(effort="none"))
    assert render(off, name)["thinking"] == OFF


@pytest.mark.parametrize(
    ("before", "thinks"),
    [
        ((say("assistant", CALL_A),), False),
        ((say("assistant", Thinking(text="Hm"), CALL_A),), False),
        ((say("assistant", "Ho", CALL_A),), False),
        ((say("assistant", Thinking(text="Hm", signature="s"), CALL_A),), True),
    ],
)
def test_a_budget_needs_the_thinking_before_the_tools(before: tuple[Message, ...], thinks: bool) -> None:
    result = say("tool", ToolResult(id="a", parts=(Text(text="4"),)))
    request = chat(HI, *before, result, reasoning=Reasoning(effort="low"))
    assert ("thinking" in render(request, OLD)) is thinks
    assert "thinking" in render(request, CLAUDE)
    done = chat(HI, *before, result, say("assistant", "4"), HI, reasoning=Reasoning(effort="low"))
    assert "thinking" in render(done, OLD)
