"""``trunkline serve``, ``up`` and ``init``: from settings to a listening gateway.

The order matters: everything that can stop a start is checked before a socket opens, and logging is set up
before the server is imported.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trunkline.cli.common import note, open_store, read_settings, say
from trunkline.cli.template import CONFIG_TEMPLATE
from trunkline.ledger.reader import open_reader, upgrade_if_needed
from trunkline.observe.setup import configure_logging
from trunkline.settings import Settings, SettingsError, check_self_loop, exposure
from trunkline.settings.load import DEFAULT_CONFIG_FILE
from trunkline.settings.resolve import ollama_dropped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType

    from trunkline.ledger.writer import Ledger
    from trunkline.settings import Exposure

_FIRST_KEY = "first"


def serve(config: Path | None, overrides: Mapping[str, Any]) -> int:
    """Serve until a signal ends it. Returns the exit code."""
    settings, warnings = read_settings(config, overrides)
    return _run(settings, warnings, lambda: read_settings(config, overrides)[0], _config_path(config))


def up(config: Path | None, overrides: Mapping[str, Any]) -> int:
    """Do what :func:`init` does if nobody could come in otherwise, then serve and print a line to try."""
    path = _config_path(config)
    settings, warnings = read_settings(config if path.is_file() else None, overrides)
    key = None
    if settings.require_auth and not settings.development_mode and not _has_keys(settings):
        key = _make_ready(path, settings)

    def load() -> Settings:
        return read_settings(path if path.is_file() else None, overrides)[0]

    return _run(settings, warnings, load, path, lambda where, urls: _invite(where, urls[0], key))


def init(config: Path | None) -> None:
    """Write the configuration file if there is none, and make the first key if there is none."""
    path = _config_path(config)
    settings, _ = read_settings(config if path.is_file() else None)
    _make_ready(path, settings)


def _make_ready(path: Path, settings: Settings) -> str | None:
    """Write the file, make the first key and print it; None if there is a key already."""
    if path.exists():
        note(f"{path} is there already")
    else:
        # It is where keys of providers will be written, so it is nobody else's to read.
        with os.fdopen(
            os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8"
        ) as file:
            file.write(CONFIG_TEMPLATE)
        note(f"wrote {path}")
    with open_store(settings) as store:
        if store.active():
            note("there are keys already; `trunkline keys create NAME` makes another")
            return None
        _, text = store.create(_FIRST_KEY, "admin")
    say(f"Your key, an admin's, which is not shown again:\n\n  {text}\n")
    return text


def _run(
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
    before = signal.signal(signal.SIGTERM, _end)  # uvicorn raises it again after an orderly end
    try:
        where = exposure(settings, bool(settings.api_keys) or bool(reader.load().keys))
        check_self_loop(settings, where)
        from trunkline.server.app.workers import is_worker

        if is_worker():
            from trunkline.server.app.run import run

            return run(settings, where, reader, _open_ledger(settings, url), load=load, files=[path])
        if where.open_network:
            log.warning("anybody on the network may use this gateway", host=where.host)
        if ollama_dropped(settings):
            log.warning("Ollama is left out: its default address is this gateway; set OLLAMA_BASE_URL")
        from trunkline.server.app.run import run, run_workers

        announce = None if on_ready is None else partial(on_ready, where)
        if settings.workers > 1:
            return run_workers(settings, where, _again(), announce)
        return run(
            settings, where, reader, _open_ledger(settings, url), on_ready=announce, load=load, files=[path]
        )
    finally:
        signal.signal(signal.SIGTERM, before)
        reader.close()


def _again() -> list[str]:
    """The command that starts a worker: this one, without what ``up`` does besides."""
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


def _end(_number: int, _frame: FrameType | None) -> None:
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


def _invite(where: Exposure, url: str, key: str | None) -> None:
    """Print the address and a line that gets an answer."""
    body = '{"model": "custom", "messages": [{"role": "user", "content": "Hello"}]}'
    lines = [f"curl {url}/v1/chat/completions"]
    if where.auth_required:
        lines.append(f'-H "Authorization: Bearer {key or "$TRUNKLINE_KEY"}"')
    lines += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(body)}"]
    hint = "" if key or not where.auth_required else ", with your key in TRUNKLINE_KEY"
    say(f"Trunkline listens at {url}. Try it{hint}:\n")
    say("  " + " \\\n    ".join(lines) + "\n")
