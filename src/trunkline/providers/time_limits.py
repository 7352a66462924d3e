"""The time limits of one provider, as the transport takes them: worked out once for a model and a route."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from trunkline.settings.time_limits import DEFAULT_LIMITS, NO_LIMITS, TimeLimit, TimeLimits
from trunkline.transport import LimitNames, Timeouts


class AttemptTimeouts(NamedTuple):
    """The timeouts of an attempt. Which of the two hold is known when its request is."""

    stream: Timeouts
    """For an answer that the upstream streams."""
    whole: Timeouts
    """For one that it sends as a whole, and so only when the model is done."""


class TimeLimitRules:
    """The time limits of one provider."""

    def __init__(
        self, own: TimeLimits = DEFAULT_LIMITS, by_model: Sequence[tuple[str, TimeLimits]] = ()
    ) -> None:
        """Take the limits as the settings have them.

        Args:
            own: those of the provider, all of them.
            by_model: what holds instead for models whose name, in lower case, matches a pattern. The last
                pattern that matches wins.
        """
        self._own = own
        self._by_model = tuple(by_model)
        self.lookup = _make_timeouts(
            own, _shorter(own.lookup, own.first_byte), _shorter(own.lookup, own.idle)
        )
        """For a request that asks no model."""

    def timeouts(self, model: str, route: TimeLimits = NO_LIMITS) -> AttemptTimeouts:
        """The timeouts of attempts at a model.

        Args:
            model: its name at the provider.
            route: what the route says that leads to it.
        """
        limits, name = self._own, model.lower()
        for pattern, of_models in self._by_model:
            if fnmatchcase(name, pattern):
                limits = of_models.over(limits)
        limits = route.over(limits)
        return AttemptTimeouts(
            _make_timeouts(limits, limits.first_byte, limits.idle),
            _make_timeouts(limits, limits.answer, limits.idle),
        )


def _shorter(one: TimeLimit | None, other: TimeLimit | None) -> TimeLimit | None:
    return min((each for each in (one, other) if each is not None), default=None)


def _make_timeouts(limits: TimeLimits, first_byte: TimeLimit | None, idle: TimeLimit | None) -> Timeouts:
    chosen = {
        "connect": limits.connect,
        "first_byte": first_byte,
        "idle": idle,
        "total": limits.total,
        "queue": limits.queue,
    }
    found = {name: limit for name, limit in chosen.items() if limit is not None}
    return Timeouts(
        **{name: limit.seconds for name, limit in found.items()},
        names=LimitNames(**{name: limit.setting for name, limit in found.items()}),
    )
