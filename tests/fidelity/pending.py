"""Cells that are not as they ought to be yet, and why. A test of such a cell may fail: when it is mended, its
row goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final

import pytest

STRICT_PENDING: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    ("ollama", "openrouter"): (
        "dotted_name foreign_ids long_name note_between tool_images tool_results unanswered_call",
        "Gemini behind OpenRouter wants signatures of calls that other vendors made",
    ),
    ("*", "moonshot"): ("image_url", "images by address are not fetched for it"),
}
"""Features by front and vendor (patterns), and why they are pending."""


def strict_marks(front: str, vendor: str, feature: str) -> Sequence[pytest.MarkDecorator]:
    """The marks of a cell of the axis of strict vendors."""
    return [
        _mark(reason)
        for pair, (features, reason) in STRICT_PENDING.items()
        if _matches(pair, front, vendor) and feature in features.split()
    ]


def _matches(patterns: tuple[str, str], *names: str) -> bool:
    return all(fnmatchcase(name, pattern) for name, pattern in zip(names, patterns, strict=True))


def _mark(reason: str) -> pytest.MarkDecorator:
    return pytest.mark.xfail(strict=False, reason=reason)
