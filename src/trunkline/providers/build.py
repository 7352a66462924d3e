"""Makes providers from settings. Only this module knows which class belongs to which type."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

import msgspec

from trunkline.dialects.base import RequestDefaults
from trunkline.dialects.vendor_state import MadeState
from trunkline.providers.base import Provider
from trunkline.providers.custom import CustomProcessingProvider
from trunkline.providers.fits import KNOWN_VENDORS, find_vendor
from trunkline.providers.from_settings import client_for, headers_for, limits_for
from trunkline.providers.http import HttpProvider, Rule, VendorProvider
from trunkline.providers.images import ImageFetcher
from trunkline.providers.ollama import OllamaProvider
from trunkline.providers.python import PythonProvider
from trunkline.providers.vendors import (
    BEARER,
    COMPATIBLE,
    OPENAI_REASONING,
    OPENAIS_MODELS,
    VENDORS,
    VendorSpec,
)
from trunkline.settings import BUILT_IN_PROVIDERS, ProviderConfig, Settings, SettingsError, resolve_providers
from trunkline.settings.values import suggest
from trunkline.transport import Client

ENTRY_POINTS: Final = "trunkline.providers"
"""Group in which a third-party package announces provider types: ``name = "module:Class"``."""


def build_providers(
    settings: Settings, shared: Client | None = None, kept: Mapping[str, Provider] | None = None
) -> dict[str, Provider]:
    """Every configured provider by name, in the order in which they are asked; ``custom`` is always last.

    Args:
        settings: all of them.
        shared: the client that providers use which need none of their own; its owner closes it.
        kept: providers that are there already, by name.

    Raises:
        SettingsError: a type that nobody knows, a class that cannot be loaded, a bad header or proxy. It has
            the problems of all providers.
    """
    shared = shared or Client()
    kept = kept or {}
    images = None
    if settings.fetch_image_urls:
        images = ImageFetcher(
            max_bytes=settings.image_max_bytes,
            max_count=settings.images_max_count,
            max_total=settings.images_max_bytes,
        )
    known = (each.made for each in kept.values() if isinstance(each, HttpProvider))
    made = next((each for each in known if each is not None), MadeState())
    built: dict[str, Provider] = {}
    problems: list[str] = []
    for name, config in resolve_providers(settings).items():
        try:
            built[name] = kept.get(name) or _build(name, config, settings, shared, images, made)
        except SettingsError as error:
            problems += error.problems
    if problems:
        raise SettingsError(*problems)
    return built


def _build(
    name: str,
    config: ProviderConfig,
    settings: Settings,
    shared: Client,
    images: ImageFetcher | None,
    made: MadeState,
) -> Provider:
    kind = config.type or name
    try:
        if config.python:
            return _python(name, load_class(config.python), config, settings)
        if kind == "custom":
            return PythonProvider(
                name, CustomProcessingProvider(), local=True, limits=limits_for(name, config, settings)
            )
        if kind not in VENDORS and kind != "ollama":
            return _python(name, _entry_point(name, kind), config, settings)
        if kind == "ollama":
            return _ollama(name, config, settings, shared, images, made)
        spec = _with_known_quirks(VENDORS[kind], config)
        return _vendor(name, spec, config, settings, shared, images, made)
    except SettingsError:  # it names the provider
        raise
    except ValueError as error:
        raise SettingsError(f"provider {name!r}: {error}") from None


def _ollama(
    name: str,
    config: ProviderConfig,
    settings: Settings,
    shared: Client,
    images: ImageFetcher | None,
    made: MadeState,
) -> Provider:
    view = settings.ollama_settings
    return OllamaProvider(
        config.addresses,
        name=name,
        load_timeout=view.load_timeout,
        temperature=view.temperature,
        max_tokens=view.max_tokens,
        max_retries=view.max_retries,
        streaming=view.streaming,
        images=images,
        local=config.local is not False,
        speaks=config.speaks or (),
        made=made,
        **_common(name, config, settings, shared, {}),
    )


def _vendor(
    name: str,
    spec: VendorSpec,
    config: ProviderConfig,
    settings: Settings,
    shared: Client,
    images: ImageFetcher | None,
    made: MadeState,
) -> Provider:
    if spec.needs_key and not config.api_key:
        variable = f"set {name.upper()}_API_KEY, or " if name in BUILT_IN_PROVIDERS else ""
        raise ValueError(f"{spec.title} needs a key; {variable}give its section an api_key")
    return VendorProvider(
        name,
        spec,
        [url + spec.path for url in config.addresses],
        drop=config.drop,
        speaks=config.speaks,
        images=images,
        api=config.api,
        made=made,
        max_retries=settings.max_retries,
        local=bool(config.local),
        **_common(name, config, settings, shared, spec.headers, spec.key_headers),
    )


def _with_known_quirks(spec: VendorSpec, config: ProviderConfig) -> VendorSpec:
    """``spec``, with the quirks of the vendor whose API the server has."""
    if spec.kind != COMPATIBLE.kind:
        return spec
    if config.vendor is None:
        vendor = find_vendor(config.addresses)
    elif config.vendor in KNOWN_VENDORS:
        vendor = config.vendor
    else:
        hint = suggest(config.vendor, list(KNOWN_VENDORS), "the vendors are")
        raise ValueError(f"no such vendor {config.vendor!r}; {hint}")
    if vendor is None:
        return spec
    quirks = KNOWN_VENDORS[vendor].quirks
    if vendor in OPENAIS_MODELS:
        quirks = msgspec.structs.replace(quirks, profiles=OPENAI_REASONING)
    return msgspec.structs.replace(spec, quirks=quirks, vendor=vendor)


def load_class(path: str) -> Any:
    """The class at ``package.module:Name``, in what is installed or else in the working directory.

    Raises:
        SettingsError: there is none, saying what failed.
    """
    module_name, _, attribute = path.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:  # a command has its own folder there instead; last, so that it hides nothing
        sys.path.append(here)
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise SettingsError(f"Cannot load the Python provider {path!r}: {error}") from error
    except Exception as error:  # it is the user's code
        problem = f"Cannot load the Python provider {path!r}: {type(error).__name__}: {error}"
        raise SettingsError(problem) from error


def _entry_point(name: str, kind: str) -> Any:
    found = [point for point in entry_points(group=ENTRY_POINTS) if point.name == kind]
    if not found:
        known = suggest(kind, [*VENDORS, "ollama", "custom"], "the types are")
        raise SettingsError(
            f"provider {name!r}: no such type {kind!r}; {known} (other types come with a package that offers "
            f"them as an entry point in {ENTRY_POINTS!r}, or by python: module:Class)"
        )
    try:
        return found[0].load()
    except Exception as error:  # it is somebody else's code
        problem = f"provider {name!r}: type {kind!r} cannot be loaded: {type(error).__name__}: {error}"
        raise SettingsError(problem) from error


def _python(name: str, factory: Any, config: ProviderConfig, settings: Settings) -> Provider:
    try:
        inner = factory(**config.options)
    except Exception as error:
        problem = f"provider {name!r}: its class could not be made from its options: {type(error).__name__}"
        raise SettingsError(problem) from error
    if not callable(getattr(inner, "chat_completions", None)):
        raise SettingsError(f"provider {name!r}: {type(inner).__name__} has no chat_completions method")
    return PythonProvider(
        name,
        inner,
        local=bool(config.local),
        local_only=config.local_only,
        max_concurrent=config.max_concurrent,
        limits=limits_for(name, config, settings),
    )


def _common(
    name: str,
    config: ProviderConfig,
    settings: Settings,
    shared: Client,
    own: Mapping[str, str],
    key_headers: Mapping[str, str] = BEARER,
) -> dict[str, Any]:
    """What every provider over HTTP takes alike: how it is reached, its keys (a set of headers for each), its
    limits, and what is filled in for its models."""
    client = client_for(config, shared)
    keys: list[str | None] = [key.get_secret_value() for key in config.api_key]
    first, *others = [headers_for(config, own, key, key_headers) for key in keys or [None]]
    return {
        "client": client,
        "owns_client": client is not shared,
        "limits": limits_for(name, config, settings),
        "headers": first,
        "other_keys": others,
        "local_only": config.local_only,
        "max_concurrent": config.max_concurrent,
        "rules": _rules(name, settings),
    }


def _rules(name: str, settings: Settings) -> list[Rule]:
    """The ``models`` section's defaults, as far as they speak of this provider."""
    rules = []
    for pattern, defaults in settings.models.items():
        provider, slash, rest = pattern.partition("/")
        fields = {} if defaults.keep_alive is None else {"keep_alive": defaults.keep_alive}
        if slash and provider == name:
            rules.append(Rule(rest.lower(), RequestDefaults(options=defaults.options, fields=fields)))
    return rules
