"""The command line: ``trunkline …``.

`app` and `store_commands` define the commands with their options and help texts; the latter has those that
work on the store. `options` has the options that several commands share. What a command does is in a module
of its own, which is imported when the command runs: `check` (with `config_warnings`), `explain`, `models`,
`keys`, `teams`, `usage`, `db`, and `rules` for limits and budgets. `start` has ``init``, ``up`` and
``serve``, with the `template` of the configuration file, and `reload` has ``serve --reload``. `common` has
functions that several commands share, and `tables` prints tables.

``--version`` imports nothing else. Every error that the user can correct becomes one line on standard error.
The exit code is 2 for wrong usage and a wrong configuration, and 1 for all other errors.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

from trunkline import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit with its code.

    Args:
        arguments: The command's words. None takes those of the process.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words in (["--version"], ["-V"]):  # importing typer takes a quarter of a second
        print(f"trunkline {__version__}")  # noqa: T201
        return
    from trunkline.cli.app import app

    try:
        code = app(args=words, prog_name="trunkline", standalone_mode=False)
    except Exception as error:
        lines, code = _describe_error(error)
        for line in lines:
            print(f"trunkline: error: {line}", file=sys.stderr)  # noqa: T201
    except KeyboardInterrupt:
        code = 130
    sys.exit(code if isinstance(code, int) else 0)


def _describe_error(error: Exception) -> tuple[Sequence[str], int]:
    """Return the lines and the exit code for an error that the user can correct, or raise it again."""
    # Usage errors of typer have no public base class.
    if format_message := getattr(error, "format_message", None):
        message = " ".join(format_message().replace("Value error, ", "").split())
        return (message + _extra_argument_hint(message, getattr(error, "ctx", None)),), 2
    from trunkline.ledger.locate import StoreError
    from trunkline.settings.problems import SettingsError

    match error:
        case SettingsError():
            return error.problems, 2
        case StoreError():
            return (str(error),), 1
        case OSError():
            prefix = f"{error.filename}: " if error.filename else ""
            return (f"{prefix}{error.strerror or error}",), 1
        case _:
            raise error


def _extra_argument_hint(message: str, context: Any) -> str:
    """Return a hint for an error about extra arguments: the option for a file's name, or the command's
    help."""
    extra = re.fullmatch(r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", message)
    if extra is None or context is None:
        return ""
    command, word = context.command_path, extra[1]
    options = {parameter.name for parameter in context.command.params}
    option = next((name for name in ("config", "script") if name in options), None)
    if option is not None and word.endswith((".yaml", ".yml")):
        return f"; a file is named by --{option}: {command} --{option} {word}"
    return f"; see {command} --help"
