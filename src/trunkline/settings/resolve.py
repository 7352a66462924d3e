"""The providers that follow from the settings: those of the file, of the environment, and the built-in ones.

Pure functions: they take Settings and return complete ProviderConfig objects, with an address and whether
the provider is local. This module knows names and addresses, and not how a provider works.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from trunkline.settings.model import BUILT_IN_PROVIDERS
from trunkline.settings.sections import ProviderConfig
from trunkline.settings.values import OLLAMA_PORT, is_loopback, ollama_url

if TYPE_CHECKING:
    from trunkline.settings.model import Settings

_CLOUD: Final = ("openrouter", "cerebras", "openai", "anthropic")


def resolve_providers(settings: Settings) -> dict[str, ProviderConfig]:
    """All configured providers by name: those of the file in its order, then the others, ``custom`` last.

    A setting with a name of its own (OPENROUTER_API_KEY, OLLAMA_BASE_URL, …) wins over the same value in the
    provider's section. In every result ``type`` and ``local`` are filled in, and its addresses are in
    ``urls``.
    """
    names = dict.fromkeys((*settings.providers, *BUILT_IN_PROVIDERS))
    return {name: resolve_provider(name, settings) for name in names if _is_configured(name, settings)}


def ollama_dropped(settings: Settings) -> bool:
    """Whether Ollama is left out because the gateway itself listens on Ollama's default port."""
    section = settings.providers.get("ollama")
    has_address = settings.ollama_settings.explicit or (section is not None and section.addresses)
    return settings.ollama_enabled and not has_address and OLLAMA_PORT in settings.ports


def _is_configured(name: str, settings: Settings) -> bool:
    """Whether the gateway has this provider: a built-in one can be disabled, or lack all settings."""
    if name == "ollama":
        return settings.ollama_enabled and not ollama_dropped(settings)
    if name not in _CLOUD:
        return True
    default = type(settings).model_fields[f"{name}_base_url"].default
    has_other_address = getattr(settings, f"{name}_base_url") != default
    return name in settings.providers or getattr(settings, f"{name}_api_key") is not None or has_other_address


def resolve_provider(name: str, settings: Settings) -> ProviderConfig:
    """The complete configuration of one provider, whether or not the gateway has it.

    Args:
        name: a built-in provider, or one of the section ``providers``.
        settings: all of them.
    """
    config = settings.providers.get(name) or ProviderConfig()
    kind = "python" if config.python else config.type or name
    urls, keys = config.addresses, config.api_key
    if name == "ollama":
        ollama = settings.ollama_settings
        urls = ollama.urls if ollama.explicit or not urls else urls
    elif name in _CLOUD:
        key: SecretStr | None = getattr(settings, f"{name}_api_key")
        address: str = getattr(settings, f"{name}_base_url")
        keys = keys if key is None else (key,)
        urls = (address,) if not urls or f"{name}_base_url" in settings.model_fields_set else urls
    if kind == "ollama":
        urls = tuple(ollama_url(url) for url in urls)
    return config.model_copy(
        update={
            "type": kind,
            "url": None,
            "urls": urls,
            "api_key": keys,
            "local": _is_local(kind, urls) if config.local is None else config.local,
        }
    )


def _is_local(kind: str, urls: tuple[str, ...]) -> bool:
    if kind in ("ollama", "custom"):
        return True
    return bool(urls) and all(is_loopback(urlsplit(url).hostname or "") for url in urls)
