"""``trunkline models``: it asks the providers for their models and lists them as a client would see them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from trunkline.cli.common import print_notice, read_settings
from trunkline.cli.tables import show_json, show_rows
from trunkline.observe.setup import configure_logging
from trunkline.settings import Exposure, SettingsError, resolve_providers
from trunkline.settings.values import suggest

if TYPE_CHECKING:
    from pathlib import Path

    from trunkline.settings import Settings

_COLUMNS = ("provider", "model", "context", "capabilities")


def show(config: Path | None, *, provider: str | None, as_json: bool) -> int:
    """Print the models.

    Args:
        config: the configuration file.
        provider: the name of the only provider to ask; None asks all.
        as_json: print JSON instead of a table.

    Returns:
        The exit code: 1 if a provider did not answer.

    Raises:
        SettingsError: there is no such provider, or the settings are invalid.
    """
    settings, _ = read_settings(config)
    known = resolve_providers(settings)
    if provider is not None and provider not in known:
        raise SettingsError(f"there is no provider {provider!r}; {suggest(provider, known, 'there are')}")
    configure_logging("ERROR", "console")  # failures are printed below, one line each
    models, unavailable = asyncio.run(_list_models(settings, provider))
    if as_json:
        show_json(models)
    else:
        show_rows(_COLUMNS, [_row(model) for model in models], fold=("capabilities",), keep=2)
    for name in unavailable:
        print_notice(
            f"provider {name!r} did not say which models it has; `trunkline check` shows its address"
        )
    return 1 if unavailable else 0


async def _list_models(settings: Settings, only: str | None) -> tuple[list[dict[str, Any]], list[str]]:
    """The models as OpenAI's model objects, and the names of the providers that did not answer."""
    from trunkline.server.app.gateway import Gateway
    from trunkline.server.endpoints.models import listed_models, model_object

    gateway = Gateway(settings, Exposure("127.0.0.1", (), auth_required=True, open_network=False))
    try:
        await gateway.catalog.refresh()
        listings = {
            name: listing for name, listing in gateway.catalog.listings.items() if only in (None, name)
        }
        models = [model_object(each) for each in listed_models(gateway, None) if each.provider in listings]
        return models, [name for name, listing in listings.items() if not listing.known]
    finally:
        await gateway.aclose()


def _row(model: dict[str, Any]) -> tuple[str, ...]:
    length, capabilities = model.get("context_length"), model.get("capabilities", ())
    return model["provider"], model["id"], str(length or ""), " ".join(capabilities)
