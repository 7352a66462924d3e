"""``trunkline serve``, ``up`` and ``init``: start a gateway, and create what it needs first.

The order matters. Everything that can prevent a start is checked before a socket is opened, and logging is
configured before the server is imported.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trunkline.cli.common import open_store, print_note, print_result, read_settings
from trunkline.cli.template import CONFIG_TEMPLATE
from trunkline.ledger.reader import open_reader, upgrade_if_needed
from trunkline.observe.setup import configure_logging
from trunkline.settings import Settings, SettingsError, check_self_loop, resolve_exposure
from trunkline.settings.load import DEFAULT_CONFIG_FILE
from trunkline.settings.resolve import ollama_dropped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType

    from trunkline.ledger.writer import Ledger
    from trunkline.settings import Exposure

_FIRST_KEY_NAME = "first"


def serve(config: Path | None, overrides: Mapping[str, Any]) -> int:
    """Serve until a signal ends it, and return the exit code."""
    settings, warnings = read_settings(config, overrides)
    return _serve(settings, warnings, lambda: read_settings(config, overrides)[0], _config_path(config))


def up(config: Path | None, overrides: Mapping[str, Any]) -> int:
    """Create a key and a configuration file if there is no key yet. Then serve, and print an example request.

    Returns:
        The exit code.
    """
    path = _config_path(config)
    settings, warnings = read_settings(config if path.is_file() else None, overrides)
    key = None
    if settings.require_auth and not settings.development_mode and not _has_keys(settings):
        key = _initialize(path, settings)

    def load() -> Settings:
        return read_settings(path if path.is_file() else None, overrides)[0]

    def on_ready(exposure: Exposure, urls: list[str]) -> None:
        _print_example_request(exposure, urls[0], key)

    return _serve(settings, warnings, load, path, on_ready)


def init(config: Path | None) -> None:
    """Write the configuration file and create the first key, each if there is none yet."""
    path = _config_path(config)
    settings, _ = read_settings(config if path.is_file() else None)
    _initialize(path, settings)


def _initialize(path: Path, settings: Settings) -> str | None:
    """Write the configuration file and create the first key, each if there is none yet, and print the key.

    Returns:
        The key, or None if there was one already.
    """
    if path.exists():
        print_note(f"{path} is there already")
    else:
        # Keys of providers will be written into it, so only its owner may read it.
        with os.fdopen(
            os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8"
        ) as file:
            file.write(CONFIG_TEMPLATE)
        print_note(f"wrote {path}")
    with open_store(settings) as store:
        if store.active():
            print_note("there are keys already; `trunkline keys create NAME` makes another")
            return None
        _, text = store.create(_FIRST_KEY_NAME, "admin")
    print_result(f"Your key, an admin's, which is not shown again:\n\n  {text}\n")
    return text


def _serve(
    settings: Settings,
    warnings: Sequence[str],
    load: Callable[[], Settings],
    path: Path,
    on_ready: Callable[[Exposure, list[str]], None] | None = None,
) -> int:
    configure_logging(settings.log_level, settings.log_format)
    import structlog

    log = structlog.stdlib.get_logger(__name__)
    for warning in warnings:
        log.warning("settings", problem=warning)
    url = settings.database_url.get_secret_value()
    upgrade_if_needed(url)
    reader = open_reader(url)
    # After a graceful shutdown, uvicorn raises the signal again.
    previous_handler = signal.signal(signal.SIGTERM, _raise_system_exit)
    try:
        exposure = resolve_exposure(settings, bool(settings.api_keys) or bool(reader.load().keys))
        check_self_loop(settings, exposure)
        from trunkline.server.app.workers import is_worker

        if is_worker():
            from trunkline.server.app.run import run

            ledger = _open_ledger(settings, url)
            return run(settings, exposure, reader, ledger, load=load, files=[path])
        if exposure.open_network:
            log.warning("anybody on the network may use this gateway", host=exposure.host)
        if ollama_dropped(settings):
            log.warning("Ollama is left out: its default address is this gateway; set OLLAMA_BASE_URL")
        from trunkline.server.app.run import run, run_workers

        announce = None if on_ready is None else partial(on_ready, exposure)
        if settings.workers > 1:
            return run_workers(settings, exposure, _worker_command(), announce)
        ledger = _open_ledger(settings, url)
        return run(settings, exposure, reader, ledger, on_ready=announce, load=load, files=[path])
    finally:
        signal.signal(signal.SIGTERM, previous_handler)
        reader.close()


def _worker_command() -> list[str]:
    """Return the command that starts a worker: this command line, with ``serve`` in place of ``up``."""
    words = ["serve" if word == "up" else word for word in sys.argv[1:2]] + sys.argv[2:]
    return [sys.executable, "-m", "trunkline", *words]


def _open_ledger(settings: Settings, url: str) -> Ledger:
    from trunkline.ledger.writer import Ledger

    folder = settings.ledger_dir
    ledger = Ledger(url, folder, retention_days=settings.ledger_retention_days)
    try:
        ledger.open()
    except OSError as error:
        raise SettingsError(f"LEDGER_DIR: {folder} cannot be used ({error.strerror}); name another") from None
    return ledger


def _raise_system_exit(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def _has_keys(settings: Settings) -> bool:
    url = settings.database_url.get_secret_value()
    upgrade_if_needed(url)
    reader = open_reader(url)
    try:
        return bool(settings.api_keys) or bool(reader.load().keys)
    finally:
        reader.close()


def _config_path(config: Path | None) -> Path:
    return Path(DEFAULT_CONFIG_FILE) if config is None else config


def _print_example_request(exposure: Exposure, url: str, key: str | None) -> None:
    """Print the gateway's address, and a curl command that gets an answer from it."""
    body = '{"model": "custom", "messages": [{"role": "user", "content": "Hello"}]}'
    lines = [f"curl {url}/v1/chat/completions"]
    if exposure.auth_required:
        lines.append(f'-H "Authorization: Bearer {key or "$TRUNKLINE_KEY"}"')
    lines += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(body)}"]
    hint = "" if key or not exposure.auth_required else ", with your key in TRUNKLINE_KEY"
    print_result(f"Trunkline listens at {url}. Try it{hint}:\n")
    print_result("  " + " \\\n    ".join(lines) + "\n")
