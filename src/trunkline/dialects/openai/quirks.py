"""How one vendor's OpenAI-compatible server differs from OpenAI's own, as data of its vendor spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from trunkline.dialects.fit.rules import FitRules
from trunkline.dialects.openai.reasoning import ReasoningProfile
from trunkline.dialects.openai.thoughts import ThoughtRules
from trunkline.dialects.turns import TurnRules
from trunkline.model import Operation

ENDPOINTS: Final[Mapping[Operation, str]] = {
    "chat": "/chat/completions",
    "completions": "/completions",
    "embeddings": "/embeddings",
    "other": "",
}
"""Paths of the operations; ``other`` stands for every path that is relayed."""
EXTRA_SAMPLING: Final = frozenset({"top_k", "min_p", "repetition_penalty"})
"""Sampling fields that OpenAI does not have and many compatible servers do."""


class Quirks(msgspec.Struct, frozen=True, kw_only=True):
    """How one vendor's server differs from OpenAI's."""

    name: str = "The upstream"
    """Its name in error texts."""
    endpoints: Mapping[Operation, str] = msgspec.field(default_factory=lambda: ENDPOINTS)
    """Paths of the operations that it has."""
    turns: TurnRules = TurnRules(system="first")
    """What it wants of the order of turns. Chat templates refuse a system message that is not the first."""
    prefix_field: str | None = None
    """The field that says of a last message of the assistant's that it is to be continued, where it wants
    one."""
    max_tokens_field: str = "max_tokens"
    """Its name for the bound on an answer."""
    reasoning: Literal["effort", "object", "none"] = "effort"
    """How it is told to think: ``reasoning_effort``, OpenRouter's ``reasoning`` object, or not at all."""
    history_reasoning_field: str | None = None
    """The field in which the reasoning of all earlier turns is sent back, if it takes that. Others are told
    what ``thoughts`` says."""
    thoughts: ThoughtRules = ThoughtRules(takes_thinking_parts=True)
    """What it takes back of earlier turns' thinking and state. An unknown server may be Mistral's."""
    extra_sampling: frozenset[str] = EXTRA_SAMPLING
    """Which of the extra sampling fields it knows."""
    usage_on_request: bool = True
    """A stream's usage comes only when ``stream_options.include_usage`` asks for it."""
    searching_models: tuple[str, ...] = ()
    """Patterns of its models that search the web when they are told to."""
    takes_plugins: bool = False
    """It searches for every model, by OpenRouter's web plugin."""
    takes_routing: bool = False
    """It takes OpenRouter's ``provider`` object."""
    profiles: tuple[ReasoningProfile, ...] = ()
    """What its thinking models take; the first that matches a model counts. Other models take everything."""
    takes_images: bool = True
    """It has models that take images."""
    takes_image_addresses: bool = True
    """It fetches images itself. Others are sent the data of an image only."""
    takes_cache_control: bool = False
    """It takes Anthropic's ``cache_control`` in parts of messages."""
    fit: FitRules | None = None
    """What it refuses although the meaning is plain; None if that is not known."""
