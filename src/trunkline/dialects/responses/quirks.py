"""How one vendor's Responses API differs from OpenAI's own, as data of its vendor spec."""

from __future__ import annotations

import msgspec

from trunkline.dialects.reasoning import ReasoningProfile
from trunkline.dialects.turns import TurnRules


class ResponsesQuirks(msgspec.Struct, frozen=True, kw_only=True):
    """What one vendor's Responses API takes of a request that is translated for it."""

    turns: TurnRules = TurnRules(system="first")
    """What it wants of the order of turns. A server may apply a chat template to them."""
    profiles: tuple[ReasoningProfile, ...] = ()
    """What its thinking models take; the first that matches a model counts. Other models take everything."""
    plain_models: tuple[str, ...] = ()
    """Patterns of its models that do not think. They refuse to be asked for encrypted reasoning."""
    takes_plain_reasoning: bool = True
    """It takes back reasoning that it has not encrypted."""
    custom_tools: bool = False
    """It has custom tools. Others get a function with one string."""
    searching_models: tuple[str, ...] = ()
    """Patterns of its models that have a web search tool."""
    knobs: frozenset[str] = frozenset()
    """The knobs that it has and OpenAI has not."""
