"""What OpenAI's thinking models take of a request, and what they refuse with a 400.

Clients of other dialects send sampling fields as a matter of course and know nothing of these rules. A
request that is translated for such a model is adapted here; one that passes through is not changed, since its
client speaks the dialect. Which model has which profile is data of the vendor spec.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any, Final

import msgspec

from trunkline.model import Effort

SAMPLING: Final = frozenset({"temperature", "top_p", "logprobs", "top_logprobs"})
"""Fields that steer the choice of tokens. A model that thinks refuses them."""
PENALTIES: Final = frozenset({"presence_penalty", "frequency_penalty", "logit_bias"})

_EFFORTS: Final[tuple[Effort, ...]] = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


class ReasoningProfile(msgspec.Struct, frozen=True, kw_only=True):
    """What a family of thinking models takes and refuses."""

    pattern: str
    """The names of the models (``*`` and ``?`` match)."""
    efforts: tuple[Effort, ...] = ()
    """The efforts that they take. If there are none, they are not told how much to think."""
    refuses: frozenset[str] = frozenset()
    """Fields that they refuse."""
    refuses_thinking: frozenset[str] = frozenset()
    """Fields that they refuse as soon as an effort is asked for; without one they do not think."""
    calls_thinking: bool = True
    """In the chat API they take tools and think as well. Others have to be told not to think."""


def adapt(body: dict[str, Any], model: str, profiles: Iterable[ReasoningProfile]) -> None:
    """Change ``body`` into one that ``model`` takes, by the first of ``profiles`` whose pattern matches: the
    effort becomes the nearest that the model knows, and fields that it refuses are left out."""
    name = model.lower().removeprefix("ft:")
    profile = next((each for each in profiles if fnmatchcase(name, each.pattern)), None)
    if profile is None:
        return
    effort = body.pop("reasoning_effort", None)
    if body.get("tools") and not profile.calls_thinking:
        effort = "none"
    if effort is not None and profile.efforts:
        body["reasoning_effort"] = effort = _nearest(effort, profile.efforts)
    thinks = effort not in (None, "none")
    for field in profile.refuses | (profile.refuses_thinking if thinks else frozenset()):
        body.pop(field, None)


def _nearest(effort: Effort, known: Iterable[Effort]) -> Effort:
    """The nearest effort. Of two that are equally near it is the greater one: a request for a little thinking
    gets some."""
    wanted = _EFFORTS.index(effort)
    return min(known, key=lambda each: (abs(_EFFORTS.index(each) - wanted), -_EFFORTS.index(each)))
