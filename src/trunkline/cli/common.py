"""What several commands share: loading settings with their warnings, opening the store, talking to people."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, Any

from trunkline.settings import SettingsWarning, load_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from trunkline.ledger.keys import KeyStore
    from trunkline.settings import Settings


def say(text: str = "") -> None:
    """A line to standard output, at once."""
    print(text, flush=True)  # noqa: T201


def note(text: str) -> None:
    """A line to standard error: what is not the command's result."""
    print(f"trunkline: {text}", file=sys.stderr, flush=True)  # noqa: T201


def read_settings(
    config: Path | None, overrides: Mapping[str, Any] | None = None
) -> tuple[Settings, list[str]]:
    """The settings, and what looks wrong with them but is harmless."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SettingsWarning)
        settings = load_settings(config, overrides)
    return settings, [str(warning.message) for warning in caught]


def open_store(settings: Settings) -> KeyStore:
    """The key store, which the caller closes."""
    from trunkline.ledger.keys import KeyStore

    return KeyStore(settings.database_url.get_secret_value())


def show_rows(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table for a person; tab-separated where the output goes to a program."""
    if not sys.stdout.isatty():
        for row in (columns, *rows):
            say("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns)
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)
