"""What the settings say of a provider: where its address and its key stand, which models it should have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.routing.names import read_prefix
from trunkline.settings import BUILT_IN_PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trunkline.settings import ProviderConfig, Settings


def url_setting(name: str, settings: Settings) -> str:
    """The setting that has a provider's address, or the one to set."""
    section = settings.providers.get(name)
    in_file = f"providers.{name}.urls" if section is not None and section.urls else f"providers.{name}.url"
    has_section_address = section is not None and bool(section.addresses)
    if name == "ollama":
        named = [
            each for each in ("ollama_base_url", "ollama_api_url", "ollama_host") if getattr(settings, each)
        ]
        return named[0].upper() if named else in_file if has_section_address else "OLLAMA_BASE_URL"
    variable = f"{name}_base_url"
    if variable in type(settings).model_fields:
        wins = variable in settings.model_fields_set or not has_section_address
        return variable.upper() if wins else in_file
    return in_file


def key_setting(name: str, settings: Settings) -> str:
    """The setting that has a provider's key, or the one to set."""
    section, variable = settings.providers.get(name), f"{name}_api_key"
    if variable in type(settings).model_fields:
        wins = getattr(settings, variable) is not None or section is None or not section.api_key
        return variable.upper() if wins else f"providers.{name}.api_key"
    return f"providers.{name}.api_key"


def is_implied(name: str, settings: Settings) -> bool:
    """Whether a provider is there only because nobody said otherwise: Ollama at its default address."""
    return name == "ollama" and name not in settings.providers and not settings.ollama_settings.explicit


def expected_models(name: str, config: ProviderConfig, settings: Settings) -> Iterator[tuple[str, str]]:
    """The models that a provider should have, and the setting that names each.

    Args:
        name: the provider's name.
        config: its complete configuration.
        settings: all of them.
    """
    known = {*BUILT_IN_PROVIDERS, *settings.providers}
    for model in config.models:
        yield model, f"providers.{name}.models"
    for route, rule in settings.routes.items():
        for number, target in enumerate(rule.targets):
            if target.provider == name:
                yield target.model, f"routes.{route}.targets.{number}"
    routes = {each.lower() for each in settings.routes}
    for alias, aim in settings.aliases.items():
        prefixed = read_prefix(aim, known)
        if prefixed is not None and prefixed.provider == name and aim.lower() not in routes:
            yield prefixed.rest, f"aliases.{alias}"
    for pattern in settings.models:
        provider, _, model = pattern.partition("/")
        if provider == name and model and not any(mark in model for mark in "*?["):
            yield model, f"models.{pattern}"
    if name == "ollama" and "ollama_default_model" in settings.model_fields_set:
        yield settings.ollama_default_model, "OLLAMA_DEFAULT_MODEL"
