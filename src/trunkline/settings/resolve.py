"""The providers that the settings mean: the file's, those the environment names, and the built-in ones.

Pure: Settings in, complete ProviderConfig objects out, which carry an address, timeouts and whether they are
local. Knows names and addresses, and nothing of how a provider works.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from trunkline.settings.model import BUILT_IN_PROVIDERS
from trunkline.settings.sections import ProviderConfig, Timeouts
from trunkline.settings.values import OLLAMA_PORT, is_loopback, ollama_url

if TYPE_CHECKING:
    from trunkline.settings.model import Settings

_CLOUD: Final = ("openrouter", "cerebras", "openai", "anthropic")


def resolve_providers(settings: Settings) -> dict[str, ProviderConfig]:
    """All configured providers by name: the file's in its order, then the rest, ``custom`` last.

    What is set by name (OPENROUTER_API_KEY, OLLAMA_BASE_URL, …) wins over the same in the provider's section.
    Every result has ``type``, ``local`` and all timeouts but ``total`` filled in; its address is in ``urls``.
    """
    names = dict.fromkeys((*settings.providers, *BUILT_IN_PROVIDERS))
    found = {name: _resolve(name, settings) for name in names}
    return {name: provider for name, provider in found.items() if provider is not None}


def ollama_dropped(settings: Settings) -> bool:
    """Whether Ollama is left out because its default address is where the gateway itself listens."""
    section = settings.providers.get("ollama")
    named = settings.ollama_settings.explicit or (section is not None and section.addresses)
    return settings.ollama_enabled and not named and OLLAMA_PORT in settings.ports


def _resolve(name: str, settings: Settings) -> ProviderConfig | None:
    section = settings.providers.get(name)
    config = section or ProviderConfig()
    kind = "python" if config.python else config.type or name
    urls, keys = config.addresses, config.api_key
    if name == "ollama":
        if not settings.ollama_enabled or ollama_dropped(settings):
            return None
        view = settings.ollama_settings
        urls = view.urls if view.explicit or not urls else urls
    elif name in _CLOUD:
        key: SecretStr | None = getattr(settings, f"{name}_api_key")
        address: str = getattr(settings, f"{name}_base_url")
        elsewhere = address != type(settings).model_fields[f"{name}_base_url"].default
        if section is None and key is None and not elsewhere:
            return None
        keys = keys if key is None else (key,)
        urls = (address,) if not urls or f"{name}_base_url" in settings.model_fields_set else urls
    if kind == "ollama":
        urls = tuple(ollama_url(url) for url in urls)
    silence = settings.ollama_timeout if kind == "ollama" else settings.request_timeout_s
    return config.model_copy(
        update={
            "type": kind,
            "url": None,
            "urls": urls,
            "api_key": keys,
            "local": _is_local(kind, urls) if config.local is None else config.local,
            "timeouts": _timeouts(config.timeouts, silence),
        }
    )


def _is_local(kind: str, urls: tuple[str, ...]) -> bool:
    if kind in ("ollama", "custom"):
        return True
    return bool(urls) and all(is_loopback(urlsplit(url).hostname or "") for url in urls)


def _timeouts(given: Timeouts, silence: float) -> Timeouts:
    return Timeouts(
        connect=given.connect or silence,
        first_byte=given.first_byte or silence,
        idle=given.idle or silence,
        total=given.total,
    )
