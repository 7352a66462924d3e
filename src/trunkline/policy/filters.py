"""The models filter: which models may be seen and used, by the rules of the file that MODELS_FILTER names.

A rule is a line: a name with ``*`` and ``?`` as wildcards, with ``!`` in front to exclude. ``#`` begins a
comment. A rule holds for a model if it matches its short name, its tagged name or its full id, without
regard to case. An exclusion always wins. A file with exclusions only allows every other model.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Self

from trunkline.settings.problems import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class ModelFilter:
    """The compiled rules of a models filter. Without rules it allows every model."""

    __slots__ = ("_exclude", "_include")

    def __init__(self, include: Iterable[str] = (), exclude: Iterable[str] = ()) -> None:
        self._include = _compile(include)
        self._exclude = _compile(exclude)

    def allows(self, short: str, tagged: str, full: str) -> bool:
        """Whether a model may be listed and used.

        Args:
            short: its name without vendor and tag, ``claude-3.5-sonnet``.
            tagged: its name in Ollama's form, ``claude-3.5-sonnet:latest``.
            full: its provider's own id, ``anthropic/claude-3.5-sonnet``.
        """
        names = (short, tagged, full)
        if self._exclude and any(map(self._exclude.fullmatch, names)):
            return False
        return self._include is None or any(map(self._include.fullmatch, names))

    @classmethod
    def load(cls, path: Path) -> Self:
        """The filter in the file at ``path``.

        Raises:
            SettingsError: the file cannot be read, or has a mistake; names the file, and the line if there is
                one.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise SettingsError(f"MODELS_FILTER: {path} cannot be read: {reason}") from None
        return cls.parse(text, str(path))

    @classmethod
    def parse(cls, text: str, source: str) -> Self:
        """The filter in ``text``.

        Args:
            text: the rules.
            source: the file's name, for errors.

        Raises:
            SettingsError: a rule cannot match any model, or there is no rule at all.
        """
        include: list[str] = []
        exclude: list[str] = []
        for number, line in enumerate(text.splitlines(), start=1):
            rule = re.sub(r"(^|\s)#.*", "", line).strip()
            pattern = rule.removeprefix("!").strip()
            if not rule:
                continue
            if not pattern or re.search(r"\s|!", pattern):
                raise SettingsError(
                    f"{source}:{number}: {rule!r} is no rule; write one model name a line, as in !gpt-4*"
                )
            (exclude if rule.startswith("!") else include).append(pattern)
        if not include and not exclude:
            raise SettingsError(
                f"{source}: has no rule; write one, or leave MODELS_FILTER out to allow every model"
            )
        return cls(include, exclude)


def _compile(patterns: Iterable[str]) -> re.Pattern[str] | None:
    """One expression that matches what any of the patterns does; None if there is none."""
    parts = [re.escape(p).replace(r"\*", ".*").replace(r"\?", ".") for p in patterns]
    return re.compile("|".join(parts), re.IGNORECASE | re.DOTALL) if parts else None
