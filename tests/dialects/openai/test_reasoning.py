from __future__ import annotations

from typing import Any

import pytest

from trunkline.dialects.openai.reasoning import SAMPLING, ReasoningProfile, adapt

PROFILES = (
    ReasoningProfile(pattern="deep-chat*"),
    ReasoningProfile(pattern="deep-[12]*", efforts=("low", "high"), refuses=SAMPLING | {"stop"}),
    ReasoningProfile(pattern="deep-3*", efforts=("none", "low"), refuses_thinking=SAMPLING),
    ReasoningProfile(pattern="deep*", efforts=("none", "low", "max"), calls_thinking=False),
)
TOOLS: list[Any] = [{"type": "function"}]


@pytest.mark.parametrize(
    ("model", "fields", "sent"),
    [
        (
            "other",
            {"temperature": 0, "reasoning_effort": "none"},
            {"temperature": 0} | {"reasoning_effort": "none"},
        ),
        ("deep-chat", {"temperature": 0, "reasoning_effort": "low"}, {"temperature": 0}),
        ("deep-1", {"temperature": 0, "top_p": 0.5, "stop": ["a"], "seed": 7}, {"seed": 7}),
        ("ft:Deep-2:acme::x", {"logprobs": True, "top_logprobs": 2}, {}),
        ("deep-1", {"reasoning_effort": "none"}, {"reasoning_effort": "low"}),
        ("deep-1", {"reasoning_effort": "medium"}, {"reasoning_effort": "high"}),
        ("deep-1", {"reasoning_effort": "max"}, {"reasoning_effort": "high"}),
        ("deep-3", {"temperature": 0}, {"temperature": 0}),
        (
            "deep-3",
            {"temperature": 0, "reasoning_effort": "none"},
            {"temperature": 0, "reasoning_effort": "none"},
        ),
        ("deep-3", {"temperature": 0, "reasoning_effort": "minimal"}, {"reasoning_effort": "low"}),
        ("deep-3", {"tools": TOOLS, "reasoning_effort": "low"}, {"tools": TOOLS, "reasoning_effort": "low"}),
        ("deep-4", {"tools": TOOLS}, {"tools": TOOLS, "reasoning_effort": "none"}),
        ("deep-4", {"tools": TOOLS, "reasoning_effort": "max"}, {"tools": TOOLS, "reasoning_effort": "none"}),
        ("deep-4", {"reasoning_effort": "max"}, {"reasoning_effort": "max"}),
        ("deep-4", {}, {}),
    ],
)
def test_a_body_is_adapted_to_its_model(model: str, fields: dict[str, Any], sent: dict[str, Any]) -> None:
    adapt(fields, model, PROFILES)
    assert fields == sent
