"""What OpenAI's thinking models take of a request, and what they refuse with a 400.

Clients of other dialects send sampling fields as a matter of course and know nothing of these rules. Which
model has which profile is data of the vendor spec; each of OpenAI's two dialects adapts its own bodies.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final

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
    more_efforts: tuple[Effort, ...] = ()
    """Efforts that they take in the Responses API only."""
    refuses: frozenset[str] = frozenset()
    """Fields that they refuse."""
    refuses_thinking: frozenset[str] = frozenset()
    """Fields that they refuse as soon as an effort is asked for; without one they do not think."""
    calls_thinking: bool = True
    """In the chat API they take tools and think as well. Others have to be told not to think there."""
    thinks_unasked: bool = False
    """They think where no effort is named."""
    calls_unasked: bool = True
    """In the chat API they take tools where no effort is named."""

    def refused(self, effort: Effort | None) -> frozenset[str]:
        """Return the fields that they refuse beside this effort."""
        return self.refuses if effort in (None, "none") else self.refuses | self.refuses_thinking


def find_profile(model: str, profiles: Iterable[ReasoningProfile]) -> ReasoningProfile | None:
    """Return the first of ``profiles`` whose pattern matches; None for a model that has none."""
    name = model.lower().removeprefix("ft:")
    return next((each for each in profiles if fnmatchcase(name, each.pattern)), None)


def nearest_effort(effort: Effort, known: Iterable[Effort]) -> Effort:
    """Return the nearest effort. Of two that are equally near it is the greater one: a request for a little
    thinking gets some."""
    wanted = _EFFORTS.index(effort)
    return min(known, key=lambda each: (abs(_EFFORTS.index(each) - wanted), -_EFFORTS.index(each)))
