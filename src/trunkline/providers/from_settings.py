"""How a provider is reached, as the settings say: its client, its headers with the key, its time limits.

The gateway makes all providers so. A program that makes one by itself, and leaves out its address, its key or
its time limits, gets them from here too.
"""

from __future__ import annotations

from collections.abc import Mapping

from trunkline.providers.http import encode_headers
from trunkline.providers.time_limits import TimeLimitRules
from trunkline.providers.vendors import BEARER
from trunkline.settings import ProviderConfig, Settings, load_settings, resolve_provider
from trunkline.settings.time_limits import model_limits, provider_limits
from trunkline.transport import Client, ProxyConfig, TlsConfig


def read_settings_of(name: str) -> tuple[Settings, ProviderConfig]:
    """Load the settings of this process, and from them the complete configuration of one provider.

    Args:
        name: a built-in provider. It need not be configured or enabled in the gateway.

    Raises:
        SettingsError: the settings are invalid, or a file of them cannot be read.
    """
    settings = load_settings()
    return settings, resolve_provider(name, settings)


def client_for(config: ProviderConfig, shared: Client) -> Client:
    """The shared client, or one of its own for a provider with an authority or proxy of its own."""
    if config.ca_file is None and config.proxy is None:
        return shared
    return Client(
        tls=None if config.ca_file is None else TlsConfig(ca_file=str(config.ca_file)),
        proxy=None if config.proxy is None else ProxyConfig.explicit(config.proxy.get_secret_value()),
    )


def headers_for(
    config: ProviderConfig,
    own: Mapping[str, str],
    key: str | None,
    key_headers: Mapping[str, str] = BEARER,
) -> list[tuple[bytes, bytes]]:
    """The headers of every request to a provider, as bytes.

    Args:
        config: the provider's configuration; its headers win over all others.
        own: headers that the vendor wants.
        key: the provider's key, if there is one.
        key_headers: the headers that carry the key, with what stands before it in each.
    """
    headers = {name.lower(): value for name, value in own.items()}
    if key is not None:
        headers |= {name: prefix + key for name, prefix in key_headers.items()}
    headers |= {name.lower(): value.get_secret_value() for name, value in config.headers.items()}
    return encode_headers(headers)


def limits_for(name: str, config: ProviderConfig, settings: Settings) -> TimeLimitRules:
    """The time limits of a provider.

    Args:
        name: the provider's.
        config: its configuration.
        settings: all of them.
    """
    return TimeLimitRules(provider_limits(settings, config, name), model_limits(settings, name))
