"""Builds one Settings object from the command line, the environment, ``.env`` and ``trunkline.yaml``.

This module reads each of these layers and defines their order. Invalid input raises one SettingsError with a
line for each problem, which :mod:`trunkline.settings.problems` formulates. It never contains the value of a
secret.
"""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError
from pydantic_settings import PydanticBaseSettingsSource

from trunkline.settings.config_file import FileContent, read_file, read_text
from trunkline.settings.model import FILE_ONLY, Settings
from trunkline.settings.problems import SettingsError, SettingsWarning, describe
from trunkline.settings.remainder import UncheckedSettings, find_combination_problems
from trunkline.settings.values import suggest, unquote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pydantic.fields import FieldInfo

DEFAULT_CONFIG_FILE: Final = "trunkline.yaml"
DEFAULT_ENV_FILE: Final = ".env"


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
        return unquote(environment.get(name) or dotenv.get(name) or "") or None

    problems: list[str] = []
    path = _config_path(config_file)
    file = None
    try:
        file = read_file(path, lookup) if path else FileContent({}, [])
    except SettingsError as error:
        problems += error.problems
    if file is not None:
        _warn_of_unknown_names(dotenv, used, env_file)
    layers = [
        Layer("the command line", {k: v for k, v in (overrides or {}).items() if v is not None}),
        Layer("the environment", from_environment(environment)),
        Layer(str(env_file), from_environment(dotenv)),
        Layer(str(path), file.values if file else {}),
    ]
    return _build(layers, problems, file)


def _build(layers: Sequence[Layer], problems: list[str], file: FileContent | None) -> Settings:
    """The settings of these layers.

    Args:
        layers: the first that has a value wins.
        problems: what is wrong with the layers.
        file: what the file says; None if it cannot be read.

    Raises:
        SettingsError: there are problems, with those that are found here.
    """
    places = [place for place, _ in file.problems] if file else []
    problems += [text for _, text in file.problems] if file else []
    build: Callable[..., Settings] = Settings if file else UncheckedSettings
    try:
        settings = build(_build_sources=(tuple(layers), {}))  # to a type checker, it takes none
        if not problems:
            return settings
    except ValidationError as error:
        origins = {name: layer.origin for layer in reversed(layers) for name in layer.values}
        found = list(describe(error, origins, places))
        problems += [text for _, text in found]
        places += [place for place, _ in found if place]
    if file is None:  # most settings are unknown
        raise SettingsError(*problems)

    def build_unchecked(values: Sequence[dict[str, Any]]) -> Settings:
        parts = [Layer(layer.origin, each) for layer, each in zip(layers, values, strict=True)]
        unchecked: Callable[..., Settings] = UncheckedSettings
        return unchecked(_build_sources=(tuple(parts), {}))

    further, remainder = find_combination_problems([each.values for each in layers], places, build_unchecked)
    problems += further if places else []
    raise SettingsError(*problems, remainder=remainder)


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
        (name, unquote(variables.get(name.upper(), "")))
        for name in Settings.model_fields
        if name not in FILE_ONLY
    )
    return {name: value for name, value in settings if value}


def _config_path(config_file: str | Path | None) -> Path | None:
    """The file to read; None if none is named and the default one is missing."""
    if config_file is not None:
        return Path(config_file)
    default = Path(DEFAULT_CONFIG_FILE)
    return default if default.exists() or default.is_symlink() else None


def _read_dotenv(env_file: str | Path | None) -> dict[str, str]:
    if env_file is None:
        return {}
    path = Path(env_file)
    if not path.is_file() and str(env_file) == DEFAULT_ENV_FILE:
        return {}
    return parse_dotenv(read_text(path), path)


def parse_dotenv(text: str, _path: Path) -> dict[str, str]:
    """The variables in the text of an ``.env`` file."""
    from dotenv import dotenv_values

    # Not interpolated, because a secret may contain "${".
    found = dotenv_values(stream=io.StringIO(text), interpolate=False)
    return {name: value or "" for name, value in found.items()}


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
