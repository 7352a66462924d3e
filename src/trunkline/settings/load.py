"""Builds one Settings object from the command line, the environment, ``.env`` and ``trunkline.yaml``.

This module reads each of these layers and defines their order. Invalid input raises one SettingsError with a
line for each problem, which :mod:`trunkline.settings.problems` formulates. It never contains the value of a
secret.
"""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError
from pydantic_settings import PydanticBaseSettingsSource

from trunkline.settings.model import FILE_ONLY, Settings
from trunkline.settings.problems import SettingsError, SettingsWarning, describe
from trunkline.settings.values import suggest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pydantic.fields import FieldInfo

DEFAULT_CONFIG_FILE: Final = "trunkline.yaml"
DEFAULT_ENV_FILE: Final = ".env"

_REFERENCE: Final = re.compile(r"\$\$\{|\$\{(?P<name>[A-Za-z_]\w*)(?P<default>:-[^}]*)?\}|\$\{")


def load_settings(
    config_file: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
    env_file: str | Path | None = DEFAULT_ENV_FILE,
) -> Settings:
    """Load the settings from all layers: overrides, environment, ``.env``, file, defaults. The first wins.

    It warns with a SettingsWarning of each unknown name in the ``.env`` file.

    Args:
        config_file: the YAML file. None takes ``trunkline.yaml`` of the working directory if it exists.
        overrides: values by attribute name, as from a command line. A value that is None is not set.
        env: the environment. None takes that of the process.
        env_file: the ``.env`` file. The default one may be missing. None reads none.

    Raises:
        SettingsError: the settings are invalid, or a file cannot be read; one line for each problem.
    """
    environment = os.environ if env is None else env
    dotenv = _read_dotenv(env_file)
    used: set[str] = set()

    def lookup(name: str) -> str | None:
        used.add(name)
        return environment.get(name) or dotenv.get(name) or None

    path = _config_path(config_file)
    file_values = read_file(path, lookup) if path else {}
    _warn_of_unknown_names(dotenv, used, env_file)
    layers = [
        Layer("the command line", {k: v for k, v in (overrides or {}).items() if v is not None}),
        Layer("the environment", from_environment(environment)),
        Layer(str(env_file), from_environment(dotenv)),
        Layer(str(path), file_values),
    ]
    origins = {name: layer.origin for layer in reversed(layers) for name in layer.values}
    build: Callable[..., Settings] = Settings  # to a type checker, it takes no _build_sources
    try:
        return build(_build_sources=(tuple(layers), {}))
    except ValidationError as error:
        raise SettingsError(*describe(error, origins)) from None


class Layer(PydanticBaseSettingsSource):
    """One layer of values, as a source of pydantic-settings. The first source that has a value wins."""

    def __init__(self, origin: str, values: dict[str, Any]) -> None:
        super().__init__(Settings)
        self.origin = origin
        self.values = values

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """This layer's value of one field, in the form that pydantic-settings requires."""
        return self.values.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """All values of this layer by field name."""
        return self.values


def from_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The settings among ``variables`` by attribute name. An empty variable counts as not set."""
    settings = (
        (name, variables.get(name.upper(), "").strip())
        for name in Settings.model_fields
        if name not in FILE_ONLY
    )
    return {name: value for name, value in settings if value}


def read_file(path: Path, lookup: Callable[[str], str | None]) -> dict[str, Any]:
    """Read a YAML file and replace its ``${NAME}`` references.

    Args:
        path: the file.
        lookup: returns a variable's value, or None if it is not set.

    Raises:
        SettingsError: the file cannot be read or is not a mapping, or a reference has no value.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingsError(f"{path}: cannot be read: {reason}") from None
    content = _parse_yaml(text, path)
    problems: list[str] = []
    values = {name: _expand(value, name, lookup, problems) for name, value in content.items()}
    if problems:
        raise SettingsError(*(f"{path}: {problem}" for problem in problems))
    return {name: value for name, value in values.items() if value not in (None, "")}


def _parse_yaml(text: str, path: Path) -> dict[str, Any]:
    import yaml

    class Loader(yaml.SafeLoader):
        """A SafeLoader that refuses duplicate keys. YAML would silently keep the last one."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            keys: set[str] = set()
            for key, _ in node.value:
                if key.value in keys:
                    raise yaml.MarkedYAMLError(
                        problem=f"{key.value!r} is given twice", problem_mark=key.start_mark
                    )
                if isinstance(key.value, str):
                    keys.add(key.value)
            return super().construct_mapping(node, deep)

    try:
        content = yaml.load(text, Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise SettingsError(f"{path}{line}: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: {str(error).splitlines()[0]}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SettingsError(f"{path}: must hold settings, one 'name: value' a line")
    return {str(name): value for name, value in content.items()}


def _expand(value: Any, place: str, lookup: Callable[[str], str | None], problems: list[str]) -> Any:
    """Replace the references in all texts of ``value``; add those that fail to ``problems``."""
    match value:
        case str() if "${" in value:
            return _REFERENCE.sub(lambda match: _resolve(match, place, lookup, problems), value)
        case dict():
            return {str(k): _expand(v, f"{place}.{k}", lookup, problems) for k, v in value.items()}
        case list():
            return [_expand(item, f"{place}.{n}", lookup, problems) for n, item in enumerate(value)]
        case _:
            return value


def _resolve(
    match: re.Match[str], place: str, lookup: Callable[[str], str | None], problems: list[str]
) -> str:
    """The text that replaces one reference; add it to ``problems`` if it has none."""
    name, default = match["name"], match["default"]
    if match[0] == "$${":
        return "${"
    if name is None:
        problems.append(
            f"{place}: has a '${{' that names no variable; write ${{NAME}}, or $${{ for the characters"
        )
        return ""
    value = lookup(name)
    if value is not None:
        return value
    if default is None:
        problems.append(f"{place}: {name} is not set; set it, or write ${{{name}:-default}}")
        return ""
    return default.removeprefix(":-")


def _config_path(config_file: str | Path | None) -> Path | None:
    if config_file is None:
        default = Path(DEFAULT_CONFIG_FILE)
        return default if default.is_file() else None
    path = Path(config_file)
    if not path.is_file():
        raise SettingsError(f"{path}: there is no such file; `trunkline init` writes one")
    return path


def _read_dotenv(env_file: str | Path | None) -> dict[str, str]:
    if env_file is None:
        return {}
    path = Path(env_file)
    if not path.is_file():
        if str(env_file) == DEFAULT_ENV_FILE:
            return {}
        raise SettingsError(f"{path}: there is no such file")
    from dotenv import dotenv_values

    try:
        # Not interpolated, because a secret may contain "${".
        return {name: value or "" for name, value in dotenv_values(path, interpolate=False).items()}
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingsError(f"{path}: cannot be read: {reason}") from None


def _warn_of_unknown_names(dotenv: Mapping[str, str], used: set[str], env_file: str | Path | None) -> None:
    for message in _unknown_names(dotenv, used):
        warnings.warn(f"{env_file}: {message}", SettingsWarning, stacklevel=3)


def _unknown_names(dotenv: Mapping[str, str], used: set[str]) -> Iterator[str]:
    """A line for each name that is neither a setting nor ``used`` by a reference in the file."""
    known = {name.upper() for name in Settings.model_fields if name not in FILE_ONLY}
    for name in dotenv:
        if name not in known and name not in used:
            hint = suggest(name, known, "")
            yield f"{name} is no setting and was ignored" + (f"; {hint}" if hint.startswith("did") else "")
