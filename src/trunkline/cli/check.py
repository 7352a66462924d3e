"""``trunkline check``: validates a configuration and prints what it means, without secrets."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from trunkline.cli.common import print_note, print_result, read_settings
from trunkline.cli.config_warnings import find_config_warnings
from trunkline.ledger.reader import open_reader
from trunkline.policy.auth import configured_ids
from trunkline.settings import SettingsError, check_self_loop, resolve_exposure, resolve_providers
from trunkline.settings.resolve import ollama_dropped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydantic import SecretStr

    from trunkline.ledger.policies import Policies
    from trunkline.settings import Exposure, ProviderConfig, Settings


def check(config: Path | None) -> None:
    """Print what the settings mean.

    Raises:
        SettingsError: A gateway would not start with these settings.
    """
    settings, warnings = read_settings(config)
    try:
        policies = _read_policies(settings)
        warnings += find_config_warnings(settings, policies)
        exposure = _validate(settings, bool(policies.keys))
        for line in _report(settings, exposure, len(policies.keys)):
            print_result(line)
    finally:  # an error must not hide the warnings: one of them may be about its cause
        for warning in warnings:
            print_note(f"warning: {warning}")
    print_result("The configuration is valid.")


def _read_policies(settings: Settings) -> Policies:
    reader = open_reader(settings.database_url.get_secret_value())
    try:
        return reader.load()
    finally:
        reader.close()


def _validate(settings: Settings, has_keys: bool) -> Exposure:
    """Check everything that a start would check: addresses, providers, the models filter, packages for
    traces.

    Raises:
        SettingsError: A gateway would not start with these settings. The error has all of the problems.
    """
    from trunkline import __version__
    from trunkline.observe.traces import Tracer
    from trunkline.policy.filters import ModelFilter
    from trunkline.providers.build import build_providers

    problems: list[str] = []
    exposure: Exposure | None = None
    with _collected(problems):
        exposure = resolve_exposure(settings, bool(settings.api_keys) or has_keys)
        check_self_loop(settings, exposure)
    with _collected(problems):
        build_providers(settings)
    if settings.models_filter is not None:
        with _collected(problems):
            ModelFilter.load(settings.models_filter)
    if settings.otel_endpoint is not None:
        with _collected(problems):
            Tracer(settings.otel_endpoint, __version__)
    if exposure is None or problems:
        raise SettingsError(*problems)
    return exposure


@contextmanager
def _collected(problems: list[str]) -> Iterator[None]:
    """Add the problems of a :class:`SettingsError` to a list instead of raising it."""
    try:
        yield
    except SettingsError as error:
        problems += error.problems


def _report(settings: Settings, exposure: Exposure, stored_keys: int) -> Iterator[str]:
    """Return the lines of the report."""
    scheme = "https" if settings.server.tls else "http"
    host = f"[{exposure.host}]" if ":" in exposure.host else exposure.host
    yield f"address    {', '.join(f'{scheme}://{host}:{port}' for port in exposure.ports)}"
    yield f"access     {exposure.summary}"
    ids = ", ".join(configured_ids(settings.api_keys).values())
    named = f" ({ids})" if ids else ""
    yield f"keys       {len(settings.api_keys)} in ALLOWED_API_KEYS{named}, {stored_keys} in the store"
    yield f"logs       {settings.log_level} as {settings.log_format}"
    yield f"store      {_without_password(settings.database_url)}"
    yield f"redis      {_without_password(settings.redis_url) if settings.redis_url else 'none'}"
    yield f"filter     {settings.models_filter or 'none: every model may be used'}"
    fallback = "on" if settings.enable_fallback else "off"
    yield f"preferred  {_preferred_provider(settings)}; fallback is {fallback}"
    for name, provider in resolve_providers(settings).items():
        yield f"provider   {name}: {_describe_provider(provider)}"
    if ollama_dropped(settings):
        yield "provider   ollama is left out: its default address is this gateway"
    for name, route in settings.routes.items():
        targets = ", ".join(f"{t.provider}/{t.model}" for t in route.targets)
        yield f"route      {name}: {route.strategy} among {targets}"
    for name, target in settings.aliases.items():
        yield f"alias      {name}: {target}"


def _preferred_provider(settings: Settings) -> str:
    name = settings.preferred_provider
    known = name == "auto" or name in resolve_providers(settings)
    return name if known else f"auto ({name} is not configured)"


def _describe_provider(provider: ProviderConfig) -> str:
    parts = [provider.python or ", ".join(provider.urls) or "built in"]
    if provider.api_key:
        parts.append("key " + ", ".join(map(_mask, provider.api_key)))
    parts += ["local"] if provider.local else []
    parts += ["local only"] if provider.local_only else []
    return "; ".join(parts)


def _mask(key: SecretStr) -> str:
    """Return the last four characters of a key, if it has at least 16 others."""
    text = key.get_secret_value()
    return "…" + (text[-4:] if len(text) >= 20 else "")


def _without_password(url: SecretStr) -> str:
    return re.sub(r"(?<=://).*@", "***@", url.get_secret_value())
