"""The command line: ``trunkline …``.

The names, options and help texts of the commands:

- `app` defines the commands, and adds the groups of `store_commands`.
- `store_commands` defines the commands that work on the store: keys, teams, limits, budgets, usage, db.
- `options` defines the options that several commands have.

What the commands do; a module is imported when its command is called:

- `start` implements ``init``, ``up`` and ``serve``, `reload` implements ``serve --reload``.
- `template` is the configuration file that ``init`` writes.
- `check` implements ``check``, and `config_warnings` finds its configuration warnings.
- `doctor` implements ``doctor`` and ``check --online``.
- `explain` implements ``explain`` and ``check --replay``.
- `models` implements ``models``.
- `upstreams` implements the group of this name, by requests to a running gateway (`running`).
- `keys`, `teams`, `usage` and `db` implement the groups of these names.
- `rules` implements ``limits`` and ``budgets``.
- `common` has functions that several commands share.
- `tables` prints rows as tables.

``--version`` imports nothing. An error that the user can correct is printed as one line on standard error.
The exit code is 2 for wrong usage or configuration, and 1 for every other failure.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

from trunkline import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that ``arguments`` name (by default those of the process), and exit with its code."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words in (["--version"], ["-V"]):  # importing typer takes a quarter of a second
        print(f"trunkline {__version__}")  # noqa: T201
        return
    from trunkline.cli.app import app

    try:
        code = app(args=words, prog_name="trunkline", standalone_mode=False)
    except Exception as error:
        lines, code = _error_lines(error)
        for line in lines:
            print(f"trunkline: error: {line}", file=sys.stderr)  # noqa: T201
    except KeyboardInterrupt:
        code = 130
    sys.exit(code if isinstance(code, int) else 0)


def _error_lines(error: Exception) -> tuple[Sequence[str], int]:
    """The lines and the exit code for an error that the user can correct; any other is raised again."""
    if format_usage := getattr(error, "format_message", None):  # typer's usage errors have no public base
        message = " ".join(format_usage().replace("Value error, ", "").split())
        return (message + _hint(message, getattr(error, "ctx", None)),), 2
    from trunkline.cli.running import GatewayRefusedError
    from trunkline.ledger.locate import StoreError
    from trunkline.settings.problems import SettingsError

    match error:
        case SettingsError():
            return error.problems, 2
        case StoreError() | GatewayRefusedError():
            return (str(error),), 1
        case OSError():
            prefix = f"{error.filename}: " if error.filename else ""
            return (f"{prefix}{error.strerror or error}",), 1
        case _:
            raise error


def _hint(message: str, context: Any) -> str:
    """What to add to the message about an extra argument: the option, if it names a file, or the help."""
    extra = re.fullmatch(r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", message)
    if extra is None or context is None:
        return ""
    command, word = context.command_path, extra[1]
    options = {parameter.name for parameter in context.command.params}
    option = next((name for name in ("config", "script") if name in options), None)
    if option is not None and word.endswith((".yaml", ".yml")):
        return f"; a file is named by --{option}: {command} --{option} {word}"
    return f"; see {command} --help"
