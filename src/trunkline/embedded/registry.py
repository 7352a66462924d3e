"""The providers that a program knows by name: those of the settings, and those that it registers.

A gateway in the same process can serve them, too: ``get_app(registry=provider_registry)``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from trunkline.errors import PROVIDER_NOT_CONFIGURED, CallerError
from trunkline.providers.base import ChatProvider, Provider
from trunkline.providers.build import build_providers
from trunkline.providers.python import PythonProvider
from trunkline.providers.time_limits import TimeLimitRules
from trunkline.settings import ProviderConfig, Settings, load_settings
from trunkline.settings.time_limits import model_limits, provider_limits


class ProviderType(StrEnum):
    """The kinds of providers."""

    OLLAMA = "ollama"
    OPENROUTER = "openrouter"
    CEREBRAS = "cerebras"
    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    OPENAI_COMPATIBLE = "openai-compatible"
    PYTHON = "python"
    CUSTOM = "custom"


class ProviderRegistry:
    """Providers by name. Those of the settings are made when the registry is first used."""

    def __init__(self, load: Callable[[], Settings] = load_settings) -> None:
        """``load`` reads the settings. It is called once."""
        self._load = load
        self._configured: dict[str, Provider] | None = None
        self._default: str | None = None
        self.registered: dict[str, Provider] = {}
        """The providers that the program registered, by name."""

    @property
    def _providers(self) -> dict[str, Provider]:
        """All providers by name. A registered one replaces a configured one of the same name."""
        if self._configured is None:
            settings = self._load()
            self._configured = build_providers(settings)
            if self._default is None and settings.preferred_provider in self._configured:
                self._default = settings.preferred_provider
        return {**self._configured, **self.registered}

    def register_provider(self, provider: Any, name: str | None = None) -> None:
        """Add a provider, in place of one of the same name.

        Args:
            provider: a provider of the library, or any object with the method ``chat_completions``.
            name: its name in the registry; None takes the provider's own ``name``.

        Raises:
            TypeError: the object is not a provider.
        """
        registered = as_provider(provider, name)
        self.registered[registered.name] = registered

    def use_settings(self, settings: Settings) -> None:
        """Have the time limits of a gateway's settings hold for the program's own classes, too.

        Args:
            settings: the gateway's.
        """
        for name, provider in self.registered.items():
            if isinstance(provider, PythonProvider):
                config = settings.providers.get(name, ProviderConfig())
                own = provider_limits(settings, config, name)
                provider.limits = TimeLimitRules(own, model_limits(settings, name))

    def set_default_provider(self, provider: ProviderType | str) -> None:
        """Set the provider of model names that name no provider.

        Args:
            provider: its name or type.

        Raises:
            CallerError: there is no provider with this name or type.
        """
        self._default = self.get(provider).name

    @property
    def default(self) -> str | None:
        """The name of the default provider, if there is one."""
        return self._default

    def get(self, provider: ProviderType | str) -> Provider:
        """The provider with this name, or else the first one of this type.

        Args:
            provider: its name or type.

        Raises:
            CallerError: there is no such provider.
        """
        providers = self._providers
        match = providers.get(str(provider))
        if match is None:
            match = next((each for each in providers.values() if each.kind == str(provider)), None)
        if match is None:
            text = f"Provider '{provider}' not configured. Known are {', '.join(providers)}"
            raise CallerError(text, PROVIDER_NOT_CONFIGURED, provider=str(provider))
        return match

    def list_providers(self) -> list[Provider]:
        """All providers: those of the settings, then those that were registered."""
        return list(self._providers.values())


def as_provider(provider: Any, name: str | None = None) -> Provider:
    """Make a provider of the library from any provider of a program.

    Args:
        provider: a provider of the library, or any object with the method ``chat_completions``.
        name: the name that the result has; None keeps its own. A provider is copied to rename it.

    Raises:
        TypeError: the object is not a provider.
    """
    if callable(getattr(provider, "exchange", None)) and callable(getattr(provider, "open", None)):
        if name is None or name == provider.name:
            unchanged: Provider = provider
            return unchanged
        renamed: Provider = copy.copy(provider)
        renamed.name = name
        return renamed
    if not isinstance(provider, ChatProvider):
        raise TypeError(f"{type(provider).__name__} is no provider: it has no method chat_completions")
    return PythonProvider(name or str(getattr(provider, "name", type(provider).__name__.lower())), provider)
