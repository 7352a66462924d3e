"""``trunkline check``: what a configuration means, in plain words and without its secrets."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from trunkline.cli.common import note, read_settings, say
from trunkline.cli.config_warnings import doubts
from trunkline.ledger.reader import open_reader
from trunkline.policy.auth import configured_ids
from trunkline.settings import SettingsError, check_self_loop, exposure, resolve_providers
from trunkline.settings.resolve import ollama_dropped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydantic import SecretStr

    from trunkline.ledger.policies import Policies
    from trunkline.settings import Exposure, ProviderConfig, Settings


def check(config: Path | None) -> None:
    """Print what the settings mean. :raises SettingsError: as a start would."""
    settings, warnings = read_settings(config)
    try:
        stored = _stored(settings)
        warnings += doubts(settings, stored)
        where = _examine(settings, bool(stored.keys))
        for line in _report(settings, where, len(stored.keys)):
            say(line)
    finally:  # an error must not hide them: one of them may be its cause
        for warning in warnings:
            note(f"warning: {warning}")
    say("The configuration is valid.")


def _stored(settings: Settings) -> Policies:
    reader = open_reader(settings.database_url.get_secret_value())
    try:
        return reader.load()
    finally:
        reader.close()


def _examine(settings: Settings, has_keys: bool) -> Exposure:
    """Where a start would listen. What it would make of files and classes is made, for the errors.

    Raises:
        SettingsError: with all of the problems at once.
    """
    from trunkline import __version__
    from trunkline.observe.traces import Tracer
    from trunkline.policy.filters import ModelFilter
    from trunkline.providers.build import build_providers

    problems: list[str] = []
    where: Exposure | None = None
    with _noted(problems):
        where = exposure(settings, bool(settings.api_keys) or has_keys)
        check_self_loop(settings, where)
    with _noted(problems):
        build_providers(settings)
    if settings.models_filter is not None:
        with _noted(problems):
            ModelFilter.load(settings.models_filter)
    if settings.otel_endpoint is not None:
        with _noted(problems):
            Tracer(settings.otel_endpoint, __version__)
    if where is None or problems:
        raise SettingsError(*problems)
    return where


@contextmanager
def _noted(problems: list[str]) -> Iterator[None]:
    try:
        yield
    except SettingsError as error:
        problems += error.problems


def _report(settings: Settings, where: Exposure, stored: int) -> Iterator[str]:
    scheme = "https" if settings.server.tls else "http"
    host = f"[{where.host}]" if ":" in where.host else where.host
    yield f"address    {', '.join(f'{scheme}://{host}:{port}' for port in where.ports)}"
    yield f"access     {where.summary}"
    ids = ", ".join(configured_ids(settings.api_keys).values())
    named = f" ({ids})" if ids else ""
    yield f"keys       {len(settings.api_keys)} in ALLOWED_API_KEYS{named}, {stored} in the store"
    yield f"logs       {settings.log_level} as {settings.log_format}"
    yield f"store      {_without_password(settings.database_url)}"
    yield f"redis      {_without_password(settings.redis_url) if settings.redis_url else 'none'}"
    yield f"filter     {settings.models_filter or 'none: every model may be used'}"
    fallback = "on" if settings.enable_fallback else "off"
    yield f"preferred  {_preferred(settings)}; fallback is {fallback}"
    for name, provider in resolve_providers(settings).items():
        yield f"provider   {name}: {_provider(provider)}"
    if ollama_dropped(settings):
        yield "provider   ollama is left out: its default address is this gateway"
    for name, route in settings.routes.items():
        targets = ", ".join(f"{t.provider}/{t.model}" for t in route.targets)
        yield f"route      {name}: {route.strategy} among {targets}"
    for name, target in settings.aliases.items():
        yield f"alias      {name}: {target}"


def _preferred(settings: Settings) -> str:
    name = settings.preferred_provider
    known = name == "auto" or name in resolve_providers(settings)
    return name if known else f"auto ({name} is not configured)"


def _provider(provider: ProviderConfig) -> str:
    parts = [provider.python or ", ".join(provider.urls) or "built in"]
    if provider.api_key:
        parts.append("key " + ", ".join(map(_masked, provider.api_key)))
    parts += ["local"] if provider.local else []
    parts += ["local only"] if provider.local_only else []
    return "; ".join(parts)


def _masked(key: SecretStr) -> str:
    """A key's last four characters, if it has enough others."""
    text = key.get_secret_value()
    return "…" + (text[-4:] if len(text) >= 20 else "")


def _without_password(url: SecretStr) -> str:
    return re.sub(r"(?<=://).*@", "***@", url.get_secret_value())
