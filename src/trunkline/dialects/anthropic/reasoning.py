"""How much a model should think: Anthropic's ways of saying it, and the canonical one.

Anthropic has three. Its older models take a budget of tokens, its newer ones an effort beside "adaptive",
and its oldest do not think at all. Other vendors know efforts only, so that a budget is given with the effort
that it comes nearest to. The newest, which think as they see fit, take no sampling knobs either. Which models
are old is data; every other Claude is taken for a newer one, and another vendor's model behind the same API
for one that takes a budget and knobs.
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
"""Beginnings of the names of models that take sampling knobs; the newer ones refuse them all with a 400."""

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
"""Tokens to think with, by effort, where a model takes only a budget."""

_ADAPTIVE: Final[Mapping[Effort, str]] = {"minimal": "low"}
"""Efforts that Anthropic calls by another name."""


def read_reasoning(
    thinking: schema.ThinkingIn | None, config: schema.OutputConfig | None
) -> Reasoning | None:
    """What a client said of thinking. Who did not ask to see any is not shown any (``exclude``)."""
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
    """Whether a client that asked so is to be shown what the model thinks."""
    return reasoning is not None and reasoning.effort != "none" and not reasoning.exclude


def nearest_effort(budget: int) -> Effort:
    """The effort that a budget stands for."""
    return "low" if budget < 4096 else "medium" if budget < 16384 else "high"


def render_reasoning(reasoning: Reasoning | None, model: str, bound: int | None) -> dict[str, Any]:
    """The fields ``thinking`` and ``output_config`` for ``model``; empty where nothing was said, or where the
    model, or the ``bound`` on its answer, leaves no room to think.
    """
    name = _short(model)
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
    """Whether ``model`` may be told how to sample."""
    name = _short(model)
    return name.startswith(SAMPLED) or not name.startswith("claude")


def _short(model: str) -> str:
    return model.rpartition("/")[2].replace(".", "-")


def room(reasoning: Reasoning | None) -> int:
    """Tokens to leave for thinking on top of an answer's, where a request leaves the bound open."""
    if reasoning is None or reasoning.effort == "none":
        return 0
    if reasoning.max_tokens is not None:
        return max(reasoning.max_tokens, LEAST_BUDGET)
    return 0 if reasoning.effort is None else BUDGETS[reasoning.effort]
