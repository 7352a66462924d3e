"""Functions that several commands share: they load settings, open the store, and print."""

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


def print_line(text: str) -> None:
    """Print a line of the command's result to standard output, without buffering."""
    print(text, flush=True)  # noqa: T201


def print_notice(text: str) -> None:
    """Print a line that is not the command's result to standard error."""
    print(f"trunkline: {text}", file=sys.stderr, flush=True)  # noqa: T201


def read_settings(
    config: Path | None, overrides: Mapping[str, Any] | None = None
) -> tuple[Settings, list[str]]:
    """Load the settings and collect the warnings about them.

    Args:
        config: the YAML file, as for ``load_settings``.
        overrides: values from the command line, as for ``load_settings``.

    Returns:
        The settings, and the texts of the warnings.

    Raises:
        SettingsError: the settings are invalid. The warnings were printed.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SettingsWarning)
        try:
            settings = load_settings(config, overrides)
        except SettingsError:
            for warning in caught:
                print_notice(f"warning: {warning.message}")
            raise
    return settings, [str(warning.message) for warning in caught]


def open_store(settings: Settings) -> KeyStore:
    """Open the key store, which the caller closes."""
    from trunkline.ledger.keys import KeyStore
    from trunkline.ledger.locate import sqlite_file

    url = settings.database_url.get_secret_value()
    file = sqlite_file(url)
    is_new = file is not None and not file.exists()
    store = KeyStore(url)
    if is_new and file is not None:  # the first sign that the command ran in the wrong folder
        print_notice(f"made the store {file.resolve()}; a gateway must use the same one (DATABASE_URL)")
    return store


def warn_of_unknown_providers(settings: Settings, names: Iterable[str] | None) -> None:
    """Print a warning for each name that no provider has. It is no error: one may be configured later."""
    known = {*BUILT_IN_PROVIDERS, *settings.providers}
    for name in names or ():
        if name not in known:
            print_notice(f"warning: there is no provider {name!r}; {suggest(name, known, 'there are')}")
