"""The command line: ``trunkline …``.

The commands' names, options and help texts are in ``app``, those of commands that work on the store in
``store_app``, the options that several have in ``options``. What a command does is in a module of its own
name, imported when it is called: ``check`` (with ``doubts``), ``explain``, ``models``; ``keys``, ``teams``,
``usage``, ``db``, and ``rules`` for limits and budgets. ``start`` has ``init``, ``up`` and ``serve`` with
the file's ``template``, and ``reload`` what ``serve --reload`` adds. ``common`` is what several of them
share, ``tables`` how they show rows.

``--version`` needs no import at all. Every error that a person can mend becomes one line on standard error;
exit code 2 is for wrong usage and wrong configuration, 1 for everything else that failed.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

from trunkline import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that ``arguments`` (the process's own) say, and exit with its code."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words in (["--version"], ["-V"]):  # typer takes a quarter of a second to find out what this means
        print(f"trunkline {__version__}")  # noqa: T201
        return
    from trunkline.cli.app import app

    try:
        code = app(args=words, prog_name="trunkline", standalone_mode=False)
    except Exception as error:
        lines, code = _explain(error)
        for line in lines:
            print(f"trunkline: error: {line}", file=sys.stderr)  # noqa: T201
    except KeyboardInterrupt:
        code = 130
    sys.exit(code if isinstance(code, int) else 0)


def _explain(error: Exception) -> tuple[Sequence[str], int]:
    """The lines and the exit code for an error that is the user's to mend; raises any other again."""
    if format_usage := getattr(error, "format_message", None):  # typer's usage errors have no public base
        said = " ".join(format_usage().replace("Value error, ", "").split())
        return (said + _hint(said, getattr(error, "ctx", None)),), 2
    from trunkline.ledger.locate import StoreError
    from trunkline.settings.problems import SettingsError

    match error:
        case SettingsError():
            return error.problems, 2
        case StoreError():
            return (str(error),), 1
        case OSError():
            what = f"{error.filename}: " if error.filename else ""
            return (f"{what}{error.strerror or error}",), 1
        case _:
            raise error


def _hint(said: str, context: Any) -> str:
    """Half a sentence about words that a command has no place for; a file's name wants its option."""
    extra = re.fullmatch(r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", said)
    if extra is None or context is None:
        return ""
    command, word = context.command_path, extra[1]
    options = {parameter.name for parameter in context.command.params}
    option = next((name for name in ("config", "script") if name in options), None)
    if option is not None and word.endswith((".yaml", ".yml")):
        return f"; a file is named by --{option}: {command} --{option} {word}"
    return f"; see {command} --help"
