"""How much a model should think: Anthropic's fields for it, and the canonical one.

Anthropic's older models take a budget of tokens, its newer ones an effort beside "adaptive", and its oldest
do not think at all. Other vendors know efforts only, so that the canonical form of a budget also has the
nearest effort. The newest models, which think as much as they see fit, take no sampling fields either. Which
models are old is data. Every other Claude counts as a newer one, and another vendor's model behind the same
API as one that takes a budget and sampling fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from trunkline.dialects.anthropic import request_schema as schema
from trunkline.model import Effort, Reasoning

UNTHINKING: Final = (
    "claude-2",
    "claude-instant",
    "claude-3-opus",
    "claude-3-sonnet",
    "claude-3-haiku",
    "claude-3-5",
)
"""Beginnings of the names of models that have no thinking."""

BUDGETED: Final = (
    "claude-3-7",
    "claude-opus-4-0",
    "claude-opus-4-1",
    "claude-opus-4-2",  # the dated names of Opus 4, and below of Sonnet 4
    "claude-opus-4-5",
    "claude-sonnet-4-0",
    "claude-sonnet-4-2",
    "claude-sonnet-4-5",
    "claude-haiku-4-5",
)
"""Beginnings of the names of models that take a budget and know no efforts."""

SAMPLED: Final = (*UNTHINKING, *BUDGETED, "claude-opus-4-6", "claude-sonnet-4-6")
"""Beginnings of the names of models that take sampling fields; newer ones refuse them all with a 400."""

UNSTRICT: Final = (
    *UNTHINKING,
    "claude-3-7",
    "claude-opus-4-0",
    "claude-opus-4-2",
    "claude-sonnet-4-0",
    "claude-sonnet-4-2",
)
"""Beginnings of the names of models that know no ``strict`` tools."""

LEAST_BUDGET: Final = 1024
"""Tokens below which the API refuses a budget."""

BUDGETS: Final[Mapping[Effort, int]] = {
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 16384,
    "xhigh": 32768,
    "max": 32768,
}
"""Effort → the budget of tokens for models that take only a budget."""

_ADAPTIVE: Final[Mapping[Effort, str]] = {"minimal": "low"}
"""Efforts for which Anthropic has another name."""


def parse_reasoning(
    thinking: schema.ThinkingIn | None, config: schema.OutputConfig | None
) -> Reasoning | None:
    """Return the canonical form. A client that did not ask to see thinking is not shown any (``exclude``)."""
    effort: Effort | None = config.effort if config is not None else None
    match thinking:
        case None:
            return None if effort is None else Reasoning(effort=effort, exclude=True)
        case schema.DisabledThinking():
            return Reasoning(effort="none")
        case schema.EnabledThinking(budget_tokens=budget):
            hidden = True if thinking.display == "omitted" else None
            return Reasoning(effort=effort or nearest_effort(budget), max_tokens=budget, exclude=hidden)
        case _:
            return Reasoning(effort=effort, exclude=True if thinking.display == "omitted" else None)


def shows_thinking(reasoning: Reasoning | None) -> bool:
    """Return whether a client with this ``reasoning`` in its request is to be shown what the model thinks."""
    return reasoning is not None and reasoning.effort != "none" and not reasoning.exclude


def nearest_effort(budget: int) -> Effort:
    """Return the effort that is nearest to a budget."""
    return "low" if budget < 4096 else "medium" if budget < 16384 else "high"


def render_reasoning(reasoning: Reasoning | None, model: str, bound: int | None) -> dict[str, Any]:
    """Return the fields ``thinking`` and ``output_config`` for ``model``.

    Args:
        reasoning: What the request asks for.
        model: The model's name at the upstream.
        bound: The bound on the answer's tokens.

    Returns:
        The fields; none where the request leaves thinking open, or where the model, or the bound on its
        answer, leaves no room to think.
    """
    name = _short_name(model)
    if reasoning is None or name.startswith(UNTHINKING):
        return {}
    effort = reasoning.effort
    if effort == "none":
        return {"thinking": {"type": "disabled"}}
    if effort is None and reasoning.max_tokens is None:
        return {}
    hidden = {"display": "omitted"} if reasoning.exclude else {}
    if name.startswith(BUDGETED) or not name.startswith("claude"):
        budget = reasoning.max_tokens or BUDGETS[effort or "medium"]
        budget = max(budget, LEAST_BUDGET)
        if bound is not None:
            budget = min(budget, bound - 1)
        return (
            {"thinking": {"type": "enabled", "budget_tokens": budget} | hidden}
            if budget >= LEAST_BUDGET
            else {}
        )
    thinking = {"thinking": {"type": "adaptive"} | hidden}
    if reasoning.any_level:
        return thinking
    effort = effort or nearest_effort(reasoning.max_tokens or 0)
    return thinking | {"output_config": {"effort": _ADAPTIVE.get(effort, effort)}}


def takes_sampling(model: str) -> bool:
    """Return whether ``model`` takes sampling fields."""
    name = _short_name(model)
    return name.startswith(SAMPLED) or not name.startswith("claude")


def takes_strict(model: str) -> bool:
    """Return whether ``model`` takes tools whose arguments are to fit their schema strictly."""
    name = _short_name(model)
    return name.startswith("claude") and not name.startswith(UNSTRICT)


def _short_name(model: str) -> str:
    return model.rpartition("/")[2].replace(".", "-")


def thinking_tokens(reasoning: Reasoning | None) -> int:
    """Return the tokens to add for thinking to an answer's bound, where a request leaves the bound open."""
    if reasoning is None or reasoning.effort == "none":
        return 0
    if reasoning.max_tokens is not None:
        return max(reasoning.max_tokens, LEAST_BUDGET)
    return 0 if reasoning.effort is None else BUDGETS[reasoning.effort]
