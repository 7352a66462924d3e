"""The settings of a gateway: read once from all layers, validated, frozen, and passed to the code that needs
them.

`model` and `sections` define the settings, and `values` parses single values. `load` reads the layers, and
`problems` describes what is wrong with them. `resolve` completes the configured providers. `exposure` decides
who may reach the gateway. `schema` makes the JSON Schema of the configuration file.
"""

from trunkline.settings.exposure import Exposure, check_self_loop, resolve_exposure
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
    "load_settings",
    "resolve_exposure",
    "resolve_providers",
]


def __getattr__(name: str) -> Settings:
    """Load ``settings``, the process's own settings, when they are imported for the first time.

    This is for programs that embed Trunkline.
    """
    if name != "settings":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    loaded = globals()["settings"] = load_settings()
    return loaded
