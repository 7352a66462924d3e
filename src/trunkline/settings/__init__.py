"""Settings: read once from all layers, checked, frozen, and passed to whoever needs them.

The rooms: :mod:`values` (single values), :mod:`sections` and :mod:`model` (what can be set),
:mod:`problems` (what is wrong, in words), :mod:`load` (the layers), :mod:`resolve` (the providers that
follow), :mod:`exposure` (who may reach the gateway), :mod:`schema` (JSON Schema of the file).
"""

from trunkline.settings.exposure import Exposure, check_self_loop, exposure
from trunkline.settings.load import load_settings
from trunkline.settings.model import BUILT_IN_PROVIDERS, OllamaSettings, Settings
from trunkline.settings.problems import SettingsError, SettingsWarning
from trunkline.settings.resolve import resolve_providers
from trunkline.settings.sections import ModelDefaults, ProviderConfig, Route, Server, Target, Timeouts, Tls

__all__ = [
    "BUILT_IN_PROVIDERS",
    "Exposure",
    "ModelDefaults",
    "OllamaSettings",
    "ProviderConfig",
    "Route",
    "Server",
    "Settings",
    "SettingsError",
    "SettingsWarning",
    "Target",
    "Timeouts",
    "Tls",
    "check_self_loop",
    "exposure",
    "load_settings",
    "resolve_providers",
]


def __getattr__(name: str) -> Settings:
    """``settings``: the process's own, loaded when they are first asked for; for programs that want them."""
    if name != "settings":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    loaded = globals()["settings"] = load_settings()
    return loaded
