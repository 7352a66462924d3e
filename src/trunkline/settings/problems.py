"""Error texts for invalid settings: one line for each problem, with the setting, its value and the remedy.

:func:`describe` makes these lines from pydantic's validation errors. A line shows a value only if the setting
is not a secret, and never the credentials in an address.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from trunkline.errors import redact
from trunkline.settings import model, sections
from trunkline.settings.places import may_follow
from trunkline.settings.values import suggest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

    from trunkline.settings.places import Place
    from trunkline.settings.remainder import Remainder


class SettingsError(ValueError):
    """The settings cannot be used. The text has one line for each problem, with its remedy."""

    def __init__(self, *problems: str, remainder: Remainder | None = None) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
        self.remainder = remainder
        """The settings without what is wrong, to find further problems; None where that is useless."""


class SettingsWarning(UserWarning):
    """Something in the settings looks wrong but is harmless."""


_MANY: Final = 50
"""Problems for each of which a name is suggested: that takes time."""
_SECRETS: Final = frozenset(
    {"api_key", "headers", "proxy", "allowed_api_keys", "allowed_api_keys_raw", "database_url", "redis_url"}
)

_MESSAGES: Final[dict[str, Callable[[dict[str, Any]], str]]] = {
    "int_parsing": lambda _: "is not a whole number",
    "int_type": lambda _: "is not a whole number",
    "int_from_float": lambda _: "is not a whole number",
    "int_parsing_size": lambda _: "is too large a number",
    "float_parsing": lambda _: "is not a number",
    "float_type": lambda _: "is not a number",
    "finite_number": lambda _: "is not a finite number",
    "bool_parsing": lambda _: "is neither true nor false",
    "bool_type": lambda _: "is neither true nor false",
    "literal_error": lambda ctx: f"is not one of {ctx['expected']}",
    "greater_than": lambda ctx: f"is too small; it must be more than {ctx['gt']:g}",
    "greater_than_equal": lambda ctx: f"is too small; it must be at least {ctx['ge']:g}",
    "less_than_equal": lambda ctx: f"is too large; it must be at most {ctx['le']:g}",
    "missing": lambda _: "is missing",
    "string_type": lambda _: "is not text; put it in quotes",
    "string_too_short": lambda _: "is empty",
    "too_short": lambda _: "is empty",
    "tuple_type": lambda _: "is not a list",
    "dict_type": lambda _: "must hold further settings, one 'name: value' a line",
    "model_type": lambda _: "must hold further settings, one 'name: value' a line",
    "path_not_file": lambda _: "is no file",
    "value_error": lambda ctx: str(ctx["error"]),
}
"""The text for each of pydantic's error types, made from the error's context."""

_SECTION_MODELS: Final[dict[tuple[str, ...], type[BaseModel]]] = {
    (): model.Settings,
    ("providers", "*"): sections.ProviderConfig,
    ("providers", "*", "timeouts"): sections.Timeouts,
    ("routes", "*"): sections.Route,
    ("routes", "*", "targets", "*"): sections.Target,
    ("routes", "*", "timeouts"): sections.Timeouts,
    ("models", "*"): sections.ModelDefaults,
    ("models", "*", "timeouts"): sections.Timeouts,
    ("keys", "*"): sections.KeyPolicy,
    ("limits", "*"): sections.LimitRule,
    ("budgets", "*"): sections.BudgetRule,
    ("prices", "*"): sections.Price,
    ("cache",): sections.CacheRule,
    ("responses",): sections.ResponsesRule,
    ("server",): sections.Server,
    ("server", "tls"): sections.Tls,
}
"""The pydantic model of each section, by its place in the settings. ``*`` is any name or number."""


def describe(
    error: ValidationError, origins: Mapping[str, str], known: Collection[Place] = ()
) -> Iterator[tuple[Place, str]]:
    """Describe each problem of ``error`` in one line.

    Args:
        error: what pydantic found.
        origins: where each setting's value came from: "the environment", a file's name, …. Its keys are
            the names of top-level settings.
        known: places that are known to be wrong. What may be a consequence of that is left out.

    Yields:
        Where the problem stands, and the line.
    """
    for number, problem in enumerate(error.errors(include_url=False)):
        place = tuple(str(part) for part in problem["loc"])
        if problem["type"] == "default_factory_not_called":  # a consequence of another problem
            continue
        if not may_follow(place, known):
            for line in _lines(problem, origins, suggests=number < _MANY):
                yield place, line


def _lines(problem: ErrorDetails, origins: Mapping[str, str], *, suggests: bool) -> Iterator[str]:
    place = tuple(str(part) for part in problem["loc"] if part != "[key]")
    context = problem.get("ctx", {})
    if not place:  # a check of several settings together; its text names them
        yield from str(context["error"]).splitlines()
        return
    origin = origins.get(place[0], "")
    name = _display_name(place, origin)
    if problem["type"] == "extra_forbidden":
        remedy = f"; {suggest(place[-1], _valid_names(place[:-1]))}" if suggests else ""
        yield f"{name}: is no setting{_from(origin)}{remedy}"
        return
    make_message = _MESSAGES.get(problem["type"])
    message = make_message(context) if make_message else problem["msg"]
    value = "" if problem["type"] == "missing" else _printable(place, problem["input"])
    yield f"{name}: {value}{message}{_from(origin)}"


def _display_name(place: tuple[str, ...], origin: str) -> str:
    """The name of a setting as its author wrote it: upper-case unless it came from the YAML file."""
    return place[0].upper() if len(place) <= 2 and not origin.endswith((".yaml", ".yml")) else ".".join(place)


def _from(origin: str) -> str:
    return f" (from {origin})" if origin else ""


def _printable(place: tuple[str, ...], value: Any) -> str:
    """The value with a space after it, or an empty text if it is secret or not a plain value."""
    secret = any(part in _SECRETS or part.endswith("api_key") for part in place)
    if secret or not isinstance(value, str | int | float | bool):
        return ""
    text = redact(str(value), limit=80)
    if "@" in text:  # the part before it may be a password
        text = "***@" + text.rpartition("@")[2]
    return f"{text!r} " if isinstance(value, str) else f"{text} "


def _valid_names(place: tuple[str, ...]) -> list[str]:
    """The names of the settings that a section may have."""
    for pattern, section in _SECTION_MODELS.items():
        if len(pattern) == len(place) and all(
            p in ("*", part) for p, part in zip(pattern, place, strict=True)
        ):
            return list(section.model_fields)
    return []
