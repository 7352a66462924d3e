"""``trunkline check``: it validates a configuration and prints what it means, without its secrets."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from trunkline.cli.common import print_line, print_notice, read_settings
from trunkline.cli.config_warnings import configuration_warnings
from trunkline.ledger.locate import StoreError
from trunkline.ledger.reader import open_reader
from trunkline.policy.auth import configured_ids
from trunkline.settings import Exposure, SettingsError, check_self_loop, exposure, resolve_providers
from trunkline.settings.resolve import ollama_dropped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydantic import SecretStr

    from trunkline.ledger.policies import Policies
    from trunkline.settings import ProviderConfig, Settings
    from trunkline.settings.remainder import Remainder

_EXPOSURE: Final = frozenset(
    {
        "host",
        "port",
        "as_ollama",
        "require_auth",
        "development_mode",
        "allow_open_network",
        "allowed_api_keys",
        "allowed_api_keys_raw",
        "ollama_base_url",
        "ollama_api_url",
        "ollama_host",
    }
)
"""The settings that decide where the gateway listens, and whether that is safe."""


def check(config: Path | None) -> None:
    """Print what the settings mean.

    Args:
        config: the configuration file; None takes the default one if it exists.

    Raises:
        SettingsError: the gateway would not start with these settings. It has all of the problems.
    """
    _check(config)


def check_online(config: Path | None, *, as_json: bool, limit_s: float) -> int:
    """Print what the settings mean; then ask every provider, and print what is wrong.

    Args:
        config: the configuration file; None takes the default one if it exists.
        as_json: print only what was found, as JSON.
        limit_s: the longest time in seconds that the check of one provider may take.

    Returns:
        The exit code: 1 if something is wrong.

    Raises:
        SettingsError: the gateway would not start with these settings. It has all of the problems.
    """
    from trunkline.cli.doctor.command import examine

    settings, listening = _check(config, quiet=as_json)
    return examine(settings, listening.host, as_json=as_json, limit_s=limit_s)


def _check(config: Path | None, *, quiet: bool = False) -> tuple[Settings, Exposure]:
    """Validate the settings, and print what they mean unless it is to be ``quiet``."""
    try:
        settings, warnings = read_settings(config)
    except SettingsError as error:
        further = _find_further_problems(error.remainder) if error.remainder else ()
        raise SettingsError(*error.problems, *further) from None
    try:
        problems: list[str] = []
        stored = _load_policies(settings, problems)
        if stored is not None:
            warnings += configuration_warnings(settings, stored)
        listening = _validate(settings, None if stored is None else bool(stored.keys), problems)
        if listening is None or stored is None or problems:
            raise SettingsError(*problems)
        for line in () if quiet else _report(settings, listening, len(stored.keys)):
            print_line(line)
    finally:  # printed after an error too, because one of them may be its cause
        for warning in warnings:
            print_notice(f"warning: {warning}")
    if not quiet:
        print_line("The configuration is valid.")
    return settings, listening


def _find_further_problems(remainder: Remainder) -> list[str]:
    """The problems of what is left of invalid settings; none that the invalid ones may have caused."""
    problems: list[str] = []
    settings, left_out = remainder
    stored = None if "database_url" in left_out else _load_policies(settings, problems)
    has_keys = None if stored is None or left_out & _EXPOSURE else bool(stored.keys)
    if "models_filter" in left_out:
        settings = settings.model_copy(update={"models_filter": None})
    _validate(settings, has_keys, problems)
    return problems


def _load_policies(settings: Settings, problems: list[str]) -> Policies | None:
    """The keys and teams of the store, and their rules; None and a problem if it cannot be read."""
    reader = open_reader(settings.database_url.get_secret_value())
    try:
        return reader.load()
    except StoreError as error:
        problems.append(str(error))
        return None
    finally:
        reader.close()


def _validate(settings: Settings, has_keys: bool | None, problems: list[str]) -> Exposure | None:
    """Check that the gateway would start: load the files and classes that a start would load.

    Args:
        settings: the settings to check.
        has_keys: whether the store has a key; None if where the gateway would listen is not to be checked.
        problems: takes what would prevent a start.

    Returns:
        Where the gateway would listen, if that is known.
    """
    from trunkline import __version__
    from trunkline.observe.traces import Tracer
    from trunkline.policy.filters import ModelFilter
    from trunkline.providers.build import build_providers

    listening = None if has_keys is None else _exposure(settings, has_keys, problems)
    with _collecting(problems):
        build_providers(settings)
    if settings.models_filter is not None:
        with _collecting(problems):
            ModelFilter.load(settings.models_filter)
    if settings.otel_endpoint is not None:
        with _collecting(problems):
            Tracer(settings.otel_endpoint, __version__)
    problems += _ledger_problems(settings.ledger_dir)
    return listening


def _exposure(settings: Settings, has_keys: bool, problems: list[str]) -> Exposure | None:
    """Where the gateway would listen; None and a problem if it must not listen there."""
    found = None
    try:
        found = exposure(settings, bool(settings.api_keys) or has_keys)
    except SettingsError as error:
        problems += error.problems
    with _collecting(problems):
        host = settings.host or "0.0.0.0"
        supposed = Exposure(host, settings.ports, auth_required=True, open_network=False)
        check_self_loop(settings, found or supposed)
    return found


def _ledger_problems(folder: Path) -> Iterator[str]:
    """Why the ledger's folder cannot be used or made."""
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir():
        yield f"LEDGER_DIR: {folder} cannot be used ({nearest} is no folder); name another"
    elif not os.access(nearest, os.W_OK | os.X_OK):
        yield f"LEDGER_DIR: {folder} cannot be used ({nearest} is not writable); name another"


@contextmanager
def _collecting(problems: list[str]) -> Iterator[None]:
    """Add the problems of a SettingsError to the list instead of raising it."""
    try:
        yield
    except SettingsError as error:
        problems += error.problems


def _report(settings: Settings, listening: Exposure, stored_keys: int) -> Iterator[str]:
    """The lines that describe a configuration."""
    scheme = "https" if settings.server.tls else "http"
    host = f"[{listening.host}]" if ":" in listening.host else listening.host
    yield f"address    {', '.join(f'{scheme}://{host}:{port}' for port in listening.ports)}"
    yield f"access     {listening.summary}"
    ids = ", ".join(configured_ids(settings.api_keys).values())
    id_list = f" ({ids})" if ids else ""
    yield f"keys       {len(settings.api_keys)} in ALLOWED_API_KEYS{id_list}, {stored_keys} in the store"
    yield f"logs       {settings.log_level} as {settings.log_format}"
    yield f"store      {_without_password(settings.database_url)}"
    yield f"redis      {_without_password(settings.redis_url) if settings.redis_url else 'none'}"
    yield f"filter     {settings.models_filter or 'none: every model may be used'}"
    fallback = "on" if settings.enable_fallback else "off"
    yield f"preferred  {_preferred(settings)}; fallback is {fallback}"
    for name, provider in resolve_providers(settings).items():
        yield f"provider   {name}: {_describe(provider)}"
    if ollama_dropped(settings):
        yield "provider   ollama is left out: its default address is this gateway"
    for name, route in settings.routes.items():
        targets = ", ".join(f"{t.provider}/{t.model}" for t in route.targets)
        yield f"route      {name}: {route.strategy} among {targets}"
    for name, target in settings.aliases.items():
        yield f"alias      {name}: {target}"


def _preferred(settings: Settings) -> str:
    name = settings.preferred_provider
    is_usable = name == "auto" or name in resolve_providers(settings)
    return name if is_usable else f"auto ({name} is not configured)"


def _describe(provider: ProviderConfig) -> str:
    parts = [provider.python or ", ".join(provider.urls) or "built in"]
    if provider.api_key:
        parts.append("key " + ", ".join(map(_masked, provider.api_key)))
    parts += ["local"] if provider.local else []
    parts += ["local only"] if provider.local_only else []
    return "; ".join(parts)


def _masked(key: SecretStr) -> str:
    """A key's last four characters, if it has at least sixteen others."""
    text = key.get_secret_value()
    return "…" + (text[-4:] if len(text) >= 20 else "")


def _without_password(url: SecretStr) -> str:
    return re.sub(r"(?<=://).*@", "***@", url.get_secret_value())
