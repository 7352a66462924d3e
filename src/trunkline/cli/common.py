"""Functions that several commands share: printing, loading settings, and opening the store."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, Any

from trunkline.settings import BUILT_IN_PROVIDERS, SettingsError, SettingsWarning, load_settings
from trunkline.settings.values import suggest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from trunkline.ledger.keys import KeyStore
    from trunkline.settings import Settings


def print_result(text: str = "") -> None:
    """Print a line of the command's result to standard output, and flush it."""
    print(text, flush=True)  # noqa: T201


def print_note(text: str) -> None:
    """Print a line to standard error: anything that is not the command's result."""
    print(f"trunkline: {text}", file=sys.stderr, flush=True)  # noqa: T201


def read_settings(
    config: Path | None, overrides: Mapping[str, Any] | None = None
) -> tuple[Settings, list[str]]:
    """Load the settings.

    Args:
        config: The configuration file. None takes the default one, if it exists.
        overrides: Settings from the command line.

    Returns:
        The settings, and warnings about them. If the settings cannot be used, the warnings are printed.

    Raises:
        SettingsError: The settings cannot be used.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SettingsWarning)
        try:
            settings = load_settings(config, overrides)
        except SettingsError:
            for warning in caught:
                print_note(f"warning: {warning.message}")
            raise
    return settings, [str(warning.message) for warning in caught]


def open_store(settings: Settings) -> KeyStore:
    """Open the store of keys, which the caller closes."""
    from trunkline.ledger.keys import KeyStore
    from trunkline.ledger.locate import sqlite_file

    url = settings.database_url.get_secret_value()
    file = sqlite_file(url)
    new = file is not None and not file.exists()
    store = KeyStore(url)
    if new and file is not None:  # if the folder is the wrong one, this is the first sign of it
        print_note(f"made the store {file.resolve()}; a gateway must use the same one (DATABASE_URL)")
    return store


def warn_of_unknown_providers(settings: Settings, names: Iterable[str] | None) -> None:
    """Print a warning for each name that no provider has. It is no error, since one may be configured
    later."""
    known = {*BUILT_IN_PROVIDERS, *settings.providers}
    for name in names or ():
        if name not in known:
            print_note(f"warning: there is no provider {name!r}; {suggest(name, known, 'there are')}")
