"""Which setting decides each time limit of an attempt: pure functions of the settings.

A limit may be set at several places. The narrower one wins: a route, then a model pattern, then a provider's
section, then OLLAMA_TIMEOUT for Ollama, then the settings for all providers. Each limit keeps the name of the
setting that it comes from, because the error that it ends in names it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from trunkline.settings.model import Settings

if TYPE_CHECKING:
    from trunkline.settings.sections import ProviderConfig, Timeouts


class TimeLimit(NamedTuple):
    """One limit."""

    seconds: float
    setting: str
    """The setting that it comes from, as its user knows it."""


class TimeLimits(NamedTuple):
    """What one place says about time limits. None: it says nothing, or there is no such limit."""

    connect: TimeLimit | None = None
    first_byte: TimeLimit | None = None
    """To the first byte of a streamed answer."""
    answer: TimeLimit | None = None
    """To the first byte of an answer that is not streamed."""
    idle: TimeLimit | None = None
    total: TimeLimit | None = None
    queue: TimeLimit | None = None
    """To a free connection, where no further one may be opened."""
    lookup: TimeLimit | None = None
    """To the answer of a request that asks no model."""

    def over(self, wider: TimeLimits) -> TimeLimits:
        """These limits, and those of a ``wider`` place where this one says nothing."""
        return TimeLimits(*(own or other for own, other in zip(self, wider, strict=True)))


NO_LIMITS: Final = TimeLimits()

_SETTINGS: Final = {
    "connect": "connect_timeout_s",
    "first_byte": "first_byte_timeout_s",
    "answer": "answer_timeout_s",
    "idle": "stream_idle_timeout_s",
    "total": "total_timeout_s",
    "queue": "queue_timeout_s",
    "lookup": "lookup_timeout_s",
}
"""The setting of each limit for all providers."""

_SILENCES: Final = ("connect", "first_byte", "answer", "idle", "lookup")
"""The limits that REQUEST_TIMEOUT_S and OLLAMA_TIMEOUT stand for."""


def provider_limits(settings: Settings, config: ProviderConfig, name: str) -> TimeLimits:
    """All limits that hold at one provider, unless a model pattern or a route says otherwise.

    Args:
        settings: all of them.
        config: the provider's, as :func:`.resolve_providers` has completed it.
        name: the provider's.
    """
    given = settings.model_fields_set
    limits = {}
    for limit, setting in _SETTINGS.items():
        if setting not in given and limit in _SILENCES and settings.request_timeout_s is not None:
            limits[limit] = TimeLimit(settings.request_timeout_s, "REQUEST_TIMEOUT_S")
        elif (seconds := getattr(settings, setting)) is not None:
            limits[limit] = TimeLimit(seconds, setting.upper())
    if config.type == "ollama" and settings.ollama_timeout is not None and "ollama_timeout" in given:
        limits |= dict.fromkeys(_SILENCES, TimeLimit(settings.ollama_timeout, "OLLAMA_TIMEOUT"))
    return section_limits(config.timeouts, f"providers.{name}").over(TimeLimits(**limits))


def section_limits(section: Timeouts, place: str) -> TimeLimits:
    """The limits that a ``timeouts`` section sets. Without ``answer``, its ``first_byte`` holds for answers
    that are not streamed, too.

    Args:
        section: the section.
        place: what it belongs to, such as ``routes.fast``.
    """
    found = {
        limit: TimeLimit(seconds, f"{place}.timeouts.{limit}")
        for limit, seconds in section.model_dump(exclude_none=True).items()
    }
    if "answer" not in found and "first_byte" in found:
        found["answer"] = found["first_byte"]
    return TimeLimits(**found)


def model_limits(settings: Settings, provider: str) -> list[tuple[str, TimeLimits]]:
    """The limits that the ``models`` section sets for models of a provider, each with the pattern of the
    models' names there. Where several patterns match, a later one wins."""
    found = []
    for pattern, defaults in settings.models.items():
        prefix, _, rest = pattern.partition("/")
        limits = section_limits(defaults.timeouts, f"models.{pattern}")
        if rest and prefix == provider and limits != NO_LIMITS:
            found.append((rest.lower(), limits))
    return found


def silence_limits(seconds: float, setting: str) -> TimeLimits:
    """One limit for every silence, as a program sets it under the name ``setting``."""
    return TimeLimits(**dict.fromkeys(_SILENCES, TimeLimit(seconds, setting))).over(DEFAULT_LIMITS)


DEFAULT_LIMITS: Final = TimeLimits(
    **{
        limit: TimeLimit(default, setting.upper())
        for limit, setting in _SETTINGS.items()
        if (default := Settings.model_fields[setting].default) is not None
    }
)
"""The limits that hold where nobody sets any."""
