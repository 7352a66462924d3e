"""Settings: they are read once from all layers, validated, frozen, and passed to the code that needs them.

- `values` parses single values: addresses, lists, levels, names.
- `sections` defines the nested sections of ``trunkline.yaml``.
- `model` defines the Settings object with every setting.
- `load` reads the layers (command line, environment, ``.env``, file) and merges them; `config_file` reads the
  file, and `places` names where a setting stands in them.
- `problems` turns validation errors into lines for a person, and `remainder` is what is left of settings
  without the invalid ones.
- `resolve` derives the complete list of providers from the settings.
- `time_limits` says which setting decides each time limit of an attempt.
- `exposure` decides where the gateway listens and whether requests need a key.
- `schema` generates the JSON Schema of ``trunkline.yaml``.
"""

from trunkline.settings.exposure import Exposure, check_self_loop, exposure
from trunkline.settings.load import load_settings
from trunkline.settings.model import BUILT_IN_PROVIDERS, OllamaSettings, Settings
from trunkline.settings.problems import SettingsError, SettingsWarning
from trunkline.settings.resolve import resolve_provider, resolve_providers
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
    "resolve_provider",
    "resolve_providers",
]


def __getattr__(name: str) -> Settings:
    """Load the process's own settings when a program first reads ``trunkline.settings.settings``."""
    if name != "settings":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    loaded = globals()["settings"] = load_settings()
    return loaded
