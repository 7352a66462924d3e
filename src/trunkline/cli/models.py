"""``trunkline models``: it asks the providers for their models and lists them as a client would see them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from trunkline.cli.common import print_notice, read_settings
from trunkline.cli.tables import show_json, show_rows
from trunkline.errors import UPSTREAM_AUTH
from trunkline.observe.setup import configure_logging
from trunkline.settings import Exposure, Settings, SettingsError, resolve_providers
from trunkline.settings.load import DEFAULT_CONFIG_FILE
from trunkline.settings.values import suggest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trunkline.providers.base import Provider
    from trunkline.routing.catalog import ModelListing

_COLUMNS = ("provider", "model", "context", "capabilities")


def show(config: Path | None, *, provider: str | None, as_json: bool) -> int:
    """Print the models.

    Args:
        config: the configuration file.
        provider: the name of the only provider to ask; None asks all.
        as_json: print JSON instead of a table.

    Returns:
        The exit code: 1 if a provider, or a server of one, did not answer.

    Raises:
        SettingsError: there is no such provider, or the settings are invalid.
    """
    settings, _ = read_settings(config)
    known = resolve_providers(settings)
    if provider is not None and provider not in known:
        raise SettingsError(f"there is no provider {provider!r}; {suggest(provider, known, 'there are')}")
    configure_logging("ERROR", "console")  # failures are printed below, one line each
    models, problems = asyncio.run(_list_models(settings, provider))
    if as_json:
        show_json(models)
    else:
        show_rows(_COLUMNS, [_row(model) for model in models], fold=("capabilities",), keep=2)
    for problem in problems:
        print_notice(problem)
    return 1 if problems else 0


async def _list_models(settings: Settings, only: str | None) -> tuple[list[dict[str, Any]], list[str]]:
    """The models as OpenAI's model objects, and a line for each provider or server that did not answer."""
    from trunkline.server.app.gateway import Gateway
    from trunkline.server.endpoints.models import listed_models, model_object

    configured = resolve_providers(settings)
    gateway = Gateway(settings, Exposure("127.0.0.1", (), auth_required=True, open_network=False))
    try:
        await gateway.catalog.refresh()
        listings = {
            name: listing for name, listing in gateway.catalog.listings.items() if only in (None, name)
        }
        models = [model_object(each) for each in listed_models(gateway, None) if each.provider in listings]
        problems: list[str] = []
        for name, listing in listings.items():
            with_key = bool(configured[name].api_key)
            problems += _problems(gateway.providers[name], listing, with_key=with_key)
        return models, problems
    finally:
        await gateway.aclose()


def _problems(provider: Provider, listing: ModelListing, *, with_key: bool) -> Iterator[str]:
    """A line for each server of a provider that did not list its models: who it is, what happened, and what
    helps."""
    several = len(listing.discoveries) > 1
    for origin, discovery in listing.discoveries.items():
        if discovery.error is None:
            continue
        who = f"provider {provider.name!r}" + (f", server {origin}," if several else "")
        reason = " ".join(discovery.error.removeprefix(f"Provider '{provider.name}': ").split())
        if discovery.kind is not UPSTREAM_AUTH:
            yield f"{who} did not say which models it has: {reason}"
        elif with_key:
            yield f"{who} refuses the key; give it a valid one ({_where_keys_are(provider.name)}). {reason}"
        else:
            yield f"{who} asks for a key; give it one ({_where_keys_are(provider.name)}). {reason}"


def _where_keys_are(provider: str) -> str:
    section = f"api_key in its section of {DEFAULT_CONFIG_FILE}"
    variable = f"{provider}_api_key"
    return f"{variable.upper()}, or {section}" if variable in Settings.model_fields else section


def _row(model: dict[str, Any]) -> tuple[str, ...]:
    length, capabilities = model.get("context_length"), model.get("capabilities", ())
    return model["provider"], model["id"], str(length or ""), " ".join(capabilities)
