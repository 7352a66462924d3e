"""Adapts bodies for OpenAI's thinking models, in the chat API.

A request that is translated for such a model is adapted here; one that passes through is not changed, since
its client speaks the dialect.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from trunkline.dialects.reasoning import (
    PENALTIES,
    SAMPLING,
    ReasoningProfile,
    find_profile,
    nearest_effort,
)

__all__ = ["PENALTIES", "SAMPLING", "ReasoningProfile", "adapt"]


def adapt(body: dict[str, Any], model: str, profiles: Iterable[ReasoningProfile]) -> None:
    """Change ``body`` into one that ``model`` takes, by the first of ``profiles`` whose pattern matches: the
    effort becomes the nearest that the model knows, and fields that it refuses are left out."""
    profile = find_profile(model, profiles)
    if profile is None:
        return
    effort = body.pop("reasoning_effort", None)
    if body.get("tools") and not profile.calls_thinking:
        effort = "none"
    if effort is not None and profile.efforts:
        body["reasoning_effort"] = effort = nearest_effort(effort, profile.efforts)
    for field in profile.refused(effort):
        body.pop(field, None)
