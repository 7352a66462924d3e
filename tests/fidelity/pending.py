"""Cells that are not as they ought to be yet, with the number of the part of the work that mends them.

A test of such a cell may fail. When its part is merged, its row goes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final

import pytest

STRICT_PENDING: Final[Mapping[tuple[int, str], str]] = {
    (1, "deepseek"): (
        "dotted_name foreign_ids long_name thinking_turns tool_errors tool_images tool_results"
    ),
    (1, "gemini"): ("dotted_name foreign_ids long_name tool_errors tool_results"),
    (1, "moonshot"): ("dotted_name foreign_ids long_name tool_errors tool_images tool_results"),
    (1, "openrouter"): ("dotted_name foreign_ids long_name tool_images tool_results"),
    (4, "anthropic"): ("all_knobs bounded_schema combined_schema dotted_name sampling_pair"),
    (4, "cerebras"): ("bounded_schema thinking_off"),
    (4, "deepseek"): (
        "forced_thinking image_data image_url thinking_answer thinking_budget "
        "thinking_off thinking_on thinking_signature tool_choice_named "
        "tool_choice_required"
    ),
    (4, "gemini"): ("all_knobs many_stops penalties seed thinking_off top_k"),
    (4, "groq"): ("all_knobs dotted_name logprobs long_name many_stops thinking_off top_k"),
    (4, "mistral"): (
        "all_knobs bounded_schema combined_schema dotted_name forced_thinking foreign_ids "
        "image_data json_mode json_schema logprobs long_name max_tokens parallel_off "
        "parallel_tools seed stop system temperature temperature_high thinking_answer "
        "thinking_budget thinking_effort thinking_off thinking_on thinking_signature "
        "thinking_turns tool tool_choice_auto tool_choice_named tool_choice_none "
        "tool_choice_required tool_deltas tool_errors tool_ids tool_images tool_results "
        "tool_text top_k top_p user"
    ),
    (4, "moonshot"): (
        "all_knobs combined_schema forced_thinking image_url penalties sampling_pair "
        "temperature temperature_high thinking_off tool_choice_named tool_choice_required "
        "top_p"
    ),
    (4, "openai"): ("combined_schema dotted_name empty_schema long_name"),
    (4, "xai"): (
        "all_knobs combined_schema dotted_name forced_thinking foreign_ids json_schema "
        "long_name many_stops parallel_off parallel_tools penalties stop tool "
        "tool_choice_auto tool_choice_named tool_choice_none tool_choice_required "
        "tool_deltas tool_errors tool_ids tool_images tool_results tool_text"
    ),
    (5, "*"): ("note_between unanswered_call"),
    (9, "anthropic"): ("json_mode"),
}
"""Features by the number of the part and the vendor (a pattern)."""

AWKWARD_PENDING: Final[Mapping[int, str]] = {}
"""Shapes by the number of the part."""


def strict_marks(vendor: str, feature: str) -> Sequence[pytest.MarkDecorator]:
    """The marks of a cell of the axis of strict vendors."""
    return [
        _mark(number)
        for (number, pattern), features in STRICT_PENDING.items()
        if fnmatchcase(vendor, pattern) and feature in features.split()
    ]


def awkward_marks(shape: str) -> Sequence[pytest.MarkDecorator]:
    """The marks of a cell of the axis of awkward answers."""
    return [_mark(number) for number, shapes in AWKWARD_PENDING.items() if shape in shapes.split()]


def _mark(number: int) -> pytest.MarkDecorator:
    return pytest.mark.xfail(strict=False, reason=f"mended by part {number}")
