"""The providers that a program knows by name: those that the settings configure, and those it registers.

A gateway in the same process serves them too: ``get_app(registry=provider_registry)``.
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
from trunkline.settings import Settings, load_settings


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
    """Providers by name. The settings' are made when the registry is first asked for something."""

    def __init__(self, load: Callable[[], Settings] = load_settings) -> None:
        """``load`` reads the settings, once."""
        self._load = load
        self._configured: dict[str, Provider] | None = None
        self._default: str | None = None
        self.registered: dict[str, Provider] = {}
        """The providers that the program has registered, by name."""

    @property
    def _providers(self) -> dict[str, Provider]:
        if self._configured is None:
            settings = self._load()
            self._configured = build_providers(settings)
            if self._default is None and settings.preferred_provider in self._configured:
                self._default = settings.preferred_provider
        return {**self._configured, **self.registered}

    def register_provider(self, provider: Any, name: str | None = None) -> None:
        """Add a provider, in place of one of the same name.

        Args:
            provider: one of the library's, or anything with the method ``chat_completions``.
            name: how it is called; without it, the provider's own ``name``.

        Raises:
            TypeError: it is no provider.
        """
        found = as_provider(provider, name)
        self.registered[found.name] = found

    def set_default_provider(self, provider: ProviderType | str) -> None:
        """The provider of names that do not say one.

        Raises:
            CallerError: there is none of that name or type.
        """
        self._default = self.get(provider).name

    @property
    def default(self) -> str | None:
        """The default provider's name, if one is set."""
        return self._default

    def get(self, provider: ProviderType | str) -> Provider:
        """The provider of that name, else the first of that type.

        Raises:
            CallerError: there is none.
        """
        known = self._providers
        found = known.get(str(provider))
        if found is None:
            found = next((each for each in known.values() if each.kind == str(provider)), None)
        if found is None:
            text = f"Provider '{provider}' not configured. Known are {', '.join(known)}"
            raise CallerError(text, PROVIDER_NOT_CONFIGURED, provider=str(provider))
        return found

    def list_providers(self) -> list[Provider]:
        """All of them."""
        return list(self._providers.values())


def as_provider(provider: Any, name: str | None = None) -> Provider:
    """What the router can route to, from whatever a program calls a provider; under another name if one is
    given.

    Raises:
        TypeError: it is no provider.
    """
    if callable(getattr(provider, "exchange", None)) and callable(getattr(provider, "open", None)):
        if name is None or name == provider.name:
            found: Provider = provider
            return found
        renamed = copy.copy(provider)
        renamed.name = name
        same: Provider = renamed
        return same
    if not isinstance(provider, ChatProvider):
        raise TypeError(f"{type(provider).__name__} is no provider: it has no method chat_completions")
    return PythonProvider(name or str(getattr(provider, "name", type(provider).__name__.lower())), provider)
