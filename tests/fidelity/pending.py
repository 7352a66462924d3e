"""Cells that are not as they ought to be yet, with the number of the part of the work that mends them.

A test of such a cell may fail. When its part is merged, its row goes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final

import pytest

STRICT_PENDING: Final[Mapping[tuple[int, str], str]] = {
    (1, "deepseek"): "dotted_name foreign_ids long_name tool_errors tool_images tool_results",
    (1, "gemini"): "dotted_name foreign_ids long_name tool_errors tool_results",
    (1, "moonshot"): (
        "dotted_name foreign_ids long_name note_between tool_errors tool_images tool_results unanswered_call"
    ),
    (1, "openrouter"): (
        "dotted_name foreign_ids long_name note_between tool_images tool_results unanswered_call"
    ),
    (4, "deepseek"): "image_data image_url",
    (4, "gemini"): "all_knobs penalties",
    (4, "moonshot"): "forced_thinking image_url tool_choice_named tool_choice_required",
    (5, "mistral"): "note_between tool_images unanswered_call",
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
