"""``trunkline serve``, ``up`` and ``init``: they start the gateway and prepare its first start.

The order matters: everything that can prevent a start is checked before a socket opens, and logging is
configured before the server is imported.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trunkline.cli.common import open_store, print_line, print_notice, read_settings
from trunkline.cli.template import CONFIG_TEMPLATE
from trunkline.ledger.reader import open_reader, upgrade_if_needed
from trunkline.observe.setup import configure_logging
from trunkline.settings import Settings, SettingsError, check_self_loop, exposure
from trunkline.settings.config_file import WatchedFile
from trunkline.settings.load import DEFAULT_CONFIG_FILE, DEFAULT_ENV_FILE, parse_dotenv
from trunkline.settings.resolve import ollama_dropped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType

    from trunkline.ledger.writer import Ledger
    from trunkline.settings import Exposure

_FIRST_KEY = "first"


def serve(config: Path | None, overrides: Mapping[str, Any]) -> int:
    """Serve until a signal ends the process.

    Args:
        config: the configuration file; None takes the default one if it exists.
        overrides: settings from the command line.

    Returns:
        The exit code.

    Raises:
        SettingsError: the gateway cannot start with these settings.
    """
    path = _config_path(config)
    load = _make_loader(path, lambda: config, overrides)
    settings, warnings = read_settings(config, overrides)
    return _run(settings, warnings, load, path)


def up(config: Path | None, overrides: Mapping[str, Any]) -> int:
    """Do what :func:`init` does if keys are required and none exists. Then serve, and print a request to try.

    Args:
        config: the configuration file, which need not exist; None takes the default one.
        overrides: settings from the command line.

    Returns:
        The exit code.

    Raises:
        SettingsError: the gateway cannot start with these settings.
    """
    path = _config_path(config)
    load = _make_loader(path, lambda: config if path.exists() else None, overrides)
    settings, warnings = read_settings(config if path.exists() else None, overrides)
    key = None
    if settings.require_auth and not settings.development_mode and not _has_keys(settings):
        key = _create_file_and_key(path, settings)

    return _run(
        settings,
        warnings,
        load,
        path,
        lambda listening, urls: _print_example_request(listening, urls[0], key),
    )


def init(config: Path | None) -> None:
    """Write the configuration file if there is none, and create a key if there is none."""
    path = _config_path(config)
    settings, _ = read_settings(config if path.exists() else None)
    _create_file_and_key(path, settings)


def _make_loader(
    path: Path, find_config: Callable[[], Path | None], overrides: Mapping[str, Any]
) -> Callable[[], Settings]:
    """A function that reads the settings again while the gateway runs.

    It raises SettingsError where the configuration file or ``.env`` has lost what it holds now.

    Args:
        path: the configuration file.
        find_config: finds the file to read; None for the default one.
        overrides: settings from the command line.
    """
    files = [WatchedFile(path), WatchedFile(Path(DEFAULT_ENV_FILE), parse_dotenv)]

    def load() -> Settings:
        with ExitStack() as checks:
            for file in files:
                checks.enter_context(file.read_again())
            return read_settings(find_config(), overrides)[0]

    return load


def _create_file_and_key(path: Path, settings: Settings) -> str | None:
    """Write the file if it is missing; create the first key and print it. None if there is a key already."""
    if path.exists():
        print_notice(f"{path} is there already")
    else:
        # Users write the keys of providers into this file, so only its owner may read it.
        with os.fdopen(
            os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8"
        ) as file:
            file.write(CONFIG_TEMPLATE)
        print_notice(f"wrote {path}")
    with open_store(settings) as store:
        if store.active():
            print_notice("there are keys already; `trunkline keys create NAME` makes another")
            return None
        _, text = store.create(_FIRST_KEY, "admin")
    print_line(f"Your key, an admin's, which is not shown again:\n\n  {text}\n")
    return text


def _run(
    settings: Settings,
    warnings: Sequence[str],
    load: Callable[[], Settings],
    path: Path,
    on_ready: Callable[[Exposure, list[str]], None] | None = None,
) -> int:
    """Check whether the gateway may start, and run it or its workers.

    Args:
        settings: the settings to start with.
        warnings: texts about the settings, which are logged.
        load: reads the settings again, for a reload.
        path: the configuration file, which is watched.
        on_ready: is called with the addresses when the gateway listens.

    Returns:
        The exit code.

    Raises:
        SettingsError: the gateway cannot start with these settings.
    """
    configure_logging(settings.log_level, settings.log_format)
    import structlog

    log = structlog.stdlib.get_logger(__name__)
    for warning in warnings:
        log.warning("settings", problem=warning)
    url = settings.database_url.get_secret_value()
    upgrade_if_needed(url)
    reader = open_reader(url)
    previous_handler = signal.signal(signal.SIGTERM, _raise_exit)  # uvicorn raises SIGTERM again at its end
    try:
        listening = exposure(settings, bool(settings.api_keys) or bool(reader.load().keys))
        check_self_loop(settings, listening)
        from trunkline.server.app.workers import is_worker

        if is_worker():
            from trunkline.server.app.run import run

            ledger = _open_ledger(settings, url)
            return run(settings, listening, reader, ledger, load=load, files=[path])
        if listening.open_network:
            log.warning("anybody on the network may use this gateway", host=listening.host)
        if ollama_dropped(settings):
            log.warning("Ollama is left out: its default address is this gateway; set OLLAMA_BASE_URL")
        from trunkline.server.app.run import run, run_workers

        announce = None if on_ready is None else partial(on_ready, listening)
        if settings.workers > 1:
            return run_workers(settings, listening, _worker_command(), announce)
        ledger = _open_ledger(settings, url)
        return run(settings, listening, reader, ledger, on_ready=announce, load=load, files=[path])
    finally:
        signal.signal(signal.SIGTERM, previous_handler)
        reader.close()


def _worker_command() -> list[str]:
    """The command that starts a worker: the one of this process, with ``serve`` in place of ``up``."""
    words = ["serve" if word == "up" else word for word in sys.argv[1:2]] + sys.argv[2:]
    return [sys.executable, "-m", "trunkline", *words]


def _open_ledger(settings: Settings, url: str) -> Ledger:
    """Open the ledger that writes to the database at ``url``."""
    from trunkline.ledger.writer import Ledger

    folder = settings.ledger_dir
    ledger = Ledger(url, folder, retention_days=settings.ledger_retention_days)
    try:
        ledger.open()
    except OSError as error:
        raise SettingsError(f"LEDGER_DIR: {folder} cannot be used ({error.strerror}); name another") from None
    return ledger


def _raise_exit(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def _has_keys(settings: Settings) -> bool:
    """Whether there is a key, in the settings or in the store."""
    url = settings.database_url.get_secret_value()
    upgrade_if_needed(url)
    reader = open_reader(url)
    try:
        return bool(settings.api_keys) or bool(reader.load().keys)
    finally:
        reader.close()


def _config_path(config: Path | None) -> Path:
    return Path(DEFAULT_CONFIG_FILE) if config is None else config


def _print_example_request(listening: Exposure, url: str, key: str | None) -> None:
    """Print the gateway's address and a curl command that works.

    Args:
        listening: tells whether requests need a key.
        url: the gateway's address.
        key: the key to send, if it was just created.
    """
    body = '{"model": "custom", "messages": [{"role": "user", "content": "Hello"}]}'
    lines = [f"curl {url}/v1/chat/completions"]
    if listening.auth_required:
        lines.append(f'-H "Authorization: Bearer {key or "$TRUNKLINE_KEY"}"')
    lines += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(body)}"]
    hint = "" if key or not listening.auth_required else ", with your key in TRUNKLINE_KEY"
    print_line(f"Trunkline listens at {url}. Try it{hint}:\n")
    print_line("  " + " \\\n    ".join(lines) + "\n")
