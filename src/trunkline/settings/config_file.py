"""Reads ``trunkline.yaml``: its YAML, and the ``${NAME}`` references in it.

Whatever the file holds, the result is its values or a SettingsError with a line for each problem. While a
gateway runs, :class:`WatchedFile` refuses a file whose settings were lost by accident.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from trunkline.settings.problems import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import yaml

    from trunkline.settings.places import Place

MAX_BYTES: Final = 500_000
"""The most bytes that a file may have: reading YAML takes seconds for each million."""
MAX_NODES: Final = 30_000
"""The most names and values that may be written in a file."""
MAX_VALUES: Final = 100_000
"""The most values that a file may have. Aliases that repeat each other make millions of a few lines."""
MAX_DEPTH: Final = 100
"""The most levels that values may stand within each other."""
_MOST_PROBLEMS: Final = 100
"""References without a value, of which each is told."""
_LARGEST_NUMBER: Final = 2**63

_REFERENCE: Final = re.compile(
    r"\$\$\{|\$\{(?P<name>[A-Za-z_]\w*)(?P<default>:-(?:[^}$]|\$(?!\{))*+)?\}|\$\{"
)
_TOO_DEEP: Final = "is nested too deeply, or refers to itself (an alias *name within its own anchor &name)"
_UNFINISHED: Final = (":", "-", ",", "[", "{", "|", ">")
"""How a line ends whose value is still to come."""


class FileContent(NamedTuple):
    """What a file says."""

    values: dict[str, Any]
    """The settings by name, without those whose reference has no value."""
    problems: list[tuple[Place, str]]
    """Each reference without a value: where it stands, and a line about it."""


def read_text(path: Path) -> str:
    """The text of a settings file, without a byte order mark.

    Raises:
        SettingsError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise SettingsError(f"{path}: has more than {MAX_BYTES} bytes")
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except IsADirectoryError:
        hint = "Docker makes a folder where a mounted file is missing"
        raise SettingsError(f"{path}: is a folder and no file; {hint}") from None
    except FileNotFoundError:
        raise SettingsError(f"{path}: there is no such file; `trunkline init` writes one") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingsError(f"{path}: cannot be read: {reason}") from None


def read_file(path: Path, lookup: Callable[[str], str | None]) -> FileContent:
    """Read a YAML file and replace its ``${NAME}`` references.

    Args:
        path: the file.
        lookup: returns a variable's value, or None if it is not set.

    Raises:
        SettingsError: the file cannot be read, or is not a mapping.
    """
    problems: list[tuple[Place, str]] = []
    try:
        expanded = _Expansion(lookup, problems).expand(parse_yaml(read_text(path), path), ())
    except RecursionError:
        raise SettingsError(f"{path}: {_TOO_DEEP}") from None
    except _TooLargeError:
        many = f"{MAX_VALUES} values, its aliases included"
        if len(problems) > _MOST_PROBLEMS:
            many = f"{_MOST_PROBLEMS} references without a value"
        raise SettingsError(f"{path}: has more than {many}") from None
    values = {name: value for name, value in expanded.items() if value not in (None, "")}
    return FileContent(values, [(place, f"{path}: {text}") for place, text in problems])


def parse_yaml(text: str, path: Path) -> dict[str, Any]:
    """The settings in the text of a file; none in a text without content.

    Raises:
        SettingsError: it is not YAML, or is not a mapping. ``path`` is named.
    """
    import yaml

    try:
        content = yaml.load(text, _loader())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        problem = error.problem or error.context or "is not YAML"
        if problem.startswith("but "):
            problem = f"{error.context}, {problem}"
        raise SettingsError(f"{path}{line}: {problem}") from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise SettingsError(f"{path}: {_TOO_DEEP}") from None
    except (ValueError, OverflowError, LookupError, TypeError):  # a number, date or tag that YAML cannot make
        raise SettingsError(
            f"{path}: has a number, date or tag that cannot be read; put it in quotes"
        ) from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SettingsError(f"{path}: must hold settings, one 'name: value' a line")
    return {str(name): value for name, value in content.items()}


def _loader() -> type[yaml.SafeLoader]:
    """The class that reads YAML; it is made here because the import of yaml takes a while."""
    import yaml

    class Loader(yaml.SafeLoader):
        """A SafeLoader that refuses duplicate keys, of which YAML would silently keep the last one, and what
        would take long to read, however few lines it is written in."""

        def __init__(self, text: str) -> None:
            super().__init__(text)
            self._depth = self._nodes = self._merged = 0

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            keys: set[str] = set()
            for key, _ in node.value:
                if not isinstance(key.value, str):
                    continue
                if key.value in keys:
                    raise yaml.MarkedYAMLError(
                        problem=f"{key.value!r} is given twice", problem_mark=key.start_mark
                    )
                keys.add(key.value)
            return super().construct_mapping(node, deep)

        def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
            self._depth += 1
            self._nodes += 1
            if self._depth > MAX_DEPTH or self._nodes > MAX_NODES:
                mark = self.get_mark()
                what = _TOO_DEEP if self._depth > MAX_DEPTH else f"has more than {MAX_NODES} names and values"
                raise yaml.MarkedYAMLError(problem=what, problem_mark=mark)
            node: yaml.Node | None = super().compose_node(parent, index)
            self._depth -= 1
            return node

        def flatten_mapping(self, node: yaml.MappingNode) -> None:
            super().flatten_mapping(node)
            self._merged += len(node.value)
            if self._merged > MAX_VALUES:
                problem = f"has more than {MAX_VALUES} values, what it merges (<<) included"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)

        def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
            value: int = super().construct_yaml_int(node)
            if abs(value) >= _LARGEST_NUMBER:
                raise yaml.MarkedYAMLError(problem="a number is too large", problem_mark=node.start_mark)
            return value

    Loader.add_constructor("tag:yaml.org,2002:int", Loader.construct_yaml_int)
    return Loader


class _TooLargeError(Exception):
    """A file has too many values, or too much is wrong with it."""


class _Expansion:
    """Replaces the references in all texts of a file, and counts its values."""

    def __init__(self, lookup: Callable[[str], str | None], problems: list[tuple[Place, str]]) -> None:
        """
        Args:
            lookup: returns a variable's value, or None if it is not set.
            problems: takes what is wrong with references.
        """
        self._lookup = lookup
        self._problems = problems
        self._values = 0

    def expand(self, value: Any, place: Place) -> Any:
        """``value`` with all references replaced. What has a reference without a value is left out."""
        self._values += 1
        if self._values > MAX_VALUES:
            raise _TooLargeError
        match value:
            case str() if "${" in value:
                return _REFERENCE.sub(lambda match: self._resolve(match, place), value)
            case dict():
                return dict(self._entries(value, place))
            case list():
                return [self.expand(item, (*place, str(at))) for at, item in enumerate(value)]
            case _:
                return value

    def _entries(self, value: dict[Any, Any], place: Place) -> Iterator[tuple[str, Any]]:
        for name, each in value.items():
            before = len(self._problems)
            expanded = self.expand(each, (*place, str(name)))
            if len(self._problems) == before or not isinstance(each, str):
                yield str(name), expanded

    def _resolve(self, match: re.Match[str], place: Place) -> str:
        """The text that replaces one reference; a problem if it has none."""
        if len(self._problems) > _MOST_PROBLEMS:
            raise _TooLargeError
        name, default = match["name"], match["default"]
        if match[0] == "$${":
            return "${"
        if name is None:
            text = "has a '${' that names no variable; write ${NAME}, or $${ for the characters"
            self._problems.append((place, f"{'.'.join(place)}: {text}"))
            return ""
        value = self._lookup(name)
        if value is not None:
            return value
        if default is None:
            text = f"{name} is not set; set it, or write ${{{name}:-default}}"
            self._problems.append((place, f"{'.'.join(place)}: {text}"))
            return ""
        return default.removeprefix(":-")


class WatchedFile:
    """A settings file that a running gateway reads again. It refuses a text that nobody can have meant.

    An editor, a full disk or a deployment can leave a file empty, cut off or deleted for a while, and without
    its limits and keys the gateway would go on with its defaults.
    """

    def __init__(self, path: Path, parse: Callable[[str, Path], Mapping[str, Any]] = parse_yaml) -> None:
        """Remember what the file holds now.

        Args:
            path: the file, which need not exist.
            parse: reads the settings in its text.
        """
        self._path = path
        self._parse = parse
        self._text = self._read() if path.is_file() else None

    def _read(self) -> str | None:
        return read_text(self._path) if self._path.exists() else None

    @contextmanager
    def read_again(self) -> Iterator[None]:
        """Check the file, and remember its text if what is done within succeeds.

        Raises:
            SettingsError: the file has lost its settings, or cannot be read.
        """
        text = self._read()
        self._refuse_loss(text)
        yield
        self._text = text

    def _refuse_loss(self, text: str | None) -> None:
        before = self._text
        if before is None or text == before or not self._holds_settings(before):
            return
        restart = "if that is meant, start the gateway again"
        if text is None:
            raise SettingsError(f"{self._path}: the file is not there any more; {restart}")
        if not self._holds_settings(text):
            raise SettingsError(f"{self._path}: the file holds no settings any more; {restart}")
        if _is_cut(text, before):
            remedy = "if that is meant, end the file with a line break and a value"
            raise SettingsError(f"{self._path}: the file ends where it used to go on; {remedy}")

    def _holds_settings(self, text: str) -> bool:
        return any(value not in (None, "", {}, []) for value in self._parse(text, self._path).values())


def _is_cut(text: str, before: str) -> bool:
    """Whether a text is the beginning of an earlier one, and ends within a line or before a value."""
    if not before.startswith(text) or not before[len(text) :].strip():
        return False
    within_line = not text.endswith("\n") and before[len(text)] != "\n"
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return within_line or lines[-1].partition(" #")[0].rstrip().endswith(_UNFINISHED)
