"""Describes what is wrong with the settings, in one line per problem: the setting, its value, and how to
correct it.

The lines are made from pydantic's errors. A value is shown only if it is not a secret, and never with the
credentials of a URL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from trunkline.errors import redact
from trunkline.settings import model, sections
from trunkline.settings.values import suggest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails


class SettingsError(ValueError):
    """The settings cannot be used.

    Args:
        problems: One line for each problem, which also says how to correct it.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class SettingsWarning(UserWarning):
    """Something in the settings looks wrong, but does not prevent their use."""


_SECRET_SETTINGS: Final = frozenset(
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

_SECTION_MODELS: Final[dict[tuple[str, ...], type[BaseModel]]] = {
    (): model.Settings,
    ("providers", "*"): sections.ProviderConfig,
    ("providers", "*", "timeouts"): sections.Timeouts,
    ("routes", "*"): sections.Route,
    ("routes", "*", "targets", "*"): sections.Target,
    ("models", "*"): sections.ModelDefaults,
    ("keys", "*"): sections.KeyPolicy,
    ("limits", "*"): sections.LimitRule,
    ("budgets", "*"): sections.BudgetRule,
    ("prices", "*"): sections.Price,
    ("cache",): sections.CacheRule,
    ("responses",): sections.ResponsesRule,
    ("server",): sections.Server,
    ("server", "tls"): sections.Tls,
}
"""The model of the section at each path. ``*`` stands for any name or index."""


def describe_problems(error: ValidationError, origins: Mapping[str, str]) -> Iterator[str]:
    """Describe the problems of a validation error, one line each.

    Args:
        error: The error.
        origins: Where the value of each setting came from: "the environment", a file's name, ….
    """
    for problem in error.errors(include_url=False):
        if problem["type"] != "default_factory_not_called":  # follows from another problem
            yield from _describe(problem, origins)


def _describe(problem: ErrorDetails, origins: Mapping[str, str]) -> Iterator[str]:
    path = tuple(str(part) for part in problem["loc"] if part != "[key]")
    context = problem.get("ctx", {})
    if not path:  # a validator of several settings, whose text names them
        yield from str(context["error"]).splitlines()
        return
    origin = origins.get(path[0], "")
    name = _setting_name(path, origin)
    source = f" (from {origin})" if origin else ""
    if problem["type"] == "extra_forbidden":
        yield f"{name}: is no setting{source}; {suggest(path[-1], _valid_names(path[:-1]))}"
        return
    format_message = _MESSAGES.get(problem["type"])
    message = format_message(context) if format_message else problem["msg"]
    value = "" if problem["type"] == "missing" else _format_value(path, problem["input"])
    yield f"{name}: {value}{message}{source}"


def _setting_name(path: tuple[str, ...], origin: str) -> str:
    """Return the name of a setting as the user wrote it: in upper case unless it is in the YAML file."""
    return path[0].upper() if len(path) <= 2 and not origin.endswith((".yaml", ".yml")) else ".".join(path)


def _format_value(path: tuple[str, ...], value: Any) -> str:
    """Return a value, with a space after it, or nothing if it is a secret or not a plain value."""
    is_secret = any(part in _SECRET_SETTINGS or part.endswith("api_key") for part in path)
    if is_secret or not isinstance(value, str | int | float | bool):
        return ""
    text = redact(str(value), limit=80)
    if "@" in text:  # what is before it may be a password
        text = "***@" + text.rpartition("@")[2]
    return f"{text!r} " if isinstance(value, str) else f"{text} "


def _valid_names(path: tuple[str, ...]) -> list[str]:
    """Return the names of the settings in the section at a path."""
    for pattern, section in _SECTION_MODELS.items():
        if len(pattern) == len(path) and all(p in ("*", part) for p, part in zip(pattern, path, strict=True)):
            return list(section.model_fields)
    return []
