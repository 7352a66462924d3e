"""What several commands share: loading settings with their warnings, opening the store, talking to people."""

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


def say(text: str = "") -> None:
    """A line to standard output, at once."""
    print(text, flush=True)  # noqa: T201


def note(text: str) -> None:
    """A line to standard error: what is not the command's result."""
    print(f"trunkline: {text}", file=sys.stderr, flush=True)  # noqa: T201


def read_settings(
    config: Path | None, overrides: Mapping[str, Any] | None = None
) -> tuple[Settings, list[str]]:
    """The settings, and what looks wrong with them but is harmless; said at once if they cannot be used."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SettingsWarning)
        try:
            settings = load_settings(config, overrides)
        except SettingsError:
            for warning in caught:
                note(f"warning: {warning.message}")
            raise
    return settings, [str(warning.message) for warning in caught]


def open_store(settings: Settings) -> KeyStore:
    """The key store, which the caller closes."""
    from trunkline.ledger.keys import KeyStore
    from trunkline.ledger.locate import sqlite_file

    url = settings.database_url.get_secret_value()
    file = sqlite_file(url)
    new = file is not None and not file.exists()
    store = KeyStore(url)
    if new and file is not None:  # in a wrong folder that is the first sign of it
        note(f"made the store {file.resolve()}; a gateway must use the same one (DATABASE_URL)")
    return store


def hint_at_providers(settings: Settings, named: Iterable[str] | None) -> None:
    """A warning for each name that no provider has; it is none of our business if one is made later."""
    known = {*BUILT_IN_PROVIDERS, *settings.providers}
    for name in named or ():
        if name not in known:
            note(f"warning: there is no provider {name!r}; {suggest(name, known, 'there are')}")
