"""Where the settings have a provider's address, key and models."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from trunkline.cli.doctor.expected import expected_models, is_implied, key_setting, url_setting
from trunkline.settings import Settings, resolve_providers
from trunkline.settings.sections import ModelDefaults, ProviderConfig, Route, Target

OPENAI = {"openai": ProviderConfig(url="http://a/v1", api_key=(SecretStr("k"),))}
FLEET = {"ollama": ProviderConfig(urls=("http://a:1", "http://b:1"))}


@pytest.mark.parametrize(
    ("settings", "name", "url", "key"),
    [
        ({}, "openai", "OPENAI_BASE_URL", "OPENAI_API_KEY"),
        ({"providers": OPENAI}, "openai", "providers.openai.url", "providers.openai.api_key"),
        (
            {"providers": OPENAI, "openai_base_url": "http://b", "openai_api_key": SecretStr("l")},
            "openai",
            "OPENAI_BASE_URL",
            "OPENAI_API_KEY",
        ),
        ({}, "ollama", "OLLAMA_BASE_URL", "providers.ollama.api_key"),
        ({"ollama_host": "http://gpu:1"}, "ollama", "OLLAMA_HOST", "providers.ollama.api_key"),
        ({"providers": FLEET}, "ollama", "providers.ollama.urls", "providers.ollama.api_key"),
        ({}, "vllm", "providers.vllm.url", "providers.vllm.api_key"),
    ],
)
def test_where_address_and_key_stand(settings: dict[str, Any], name: str, url: str, key: str) -> None:
    made = Settings(**settings)
    assert (url_setting(name, made), key_setting(name, made)) == (url, key)


def test_an_ollama_that_nobody_configured() -> None:
    assert is_implied("ollama", Settings())
    assert not is_implied("ollama", Settings(ollama_host="http://gpu:1"))
    assert not is_implied("ollama", Settings(providers=FLEET))
    assert not is_implied("openai", Settings(providers=OPENAI))


def test_models() -> None:
    settings = Settings(
        ollama_default_model="qwen3",
        aliases={"a": "ollama/one", "b": "route", "c": "openai/two", "d": "plain"},
        routes={"route": Route(targets=(Target(provider="ollama", model="three"),))},
        models=dict.fromkeys(("ollama/four", "ollama/*", "openai/five"), ModelDefaults()),
    )
    config = resolve_providers(settings)["ollama"].model_copy(update={"models": ("six",)})
    assert list(expected_models("ollama", config, settings)) == [
        ("six", "providers.ollama.models"),
        ("three", "routes.route.targets.0"),
        ("one", "aliases.a"),
        ("four", "models.ollama/four"),
        ("qwen3", "OLLAMA_DEFAULT_MODEL"),
    ]
    assert list(expected_models("ollama", resolve_providers(Settings())["ollama"], Settings())) == []
