"""The complete list of providers that follows from the settings."""

from typing import Any

import pytest

from trunkline.settings import Settings, resolve_providers
from trunkline.settings.resolve import ollama_dropped


def resolved(**given: Any) -> dict[str, Any]:
    return dict(resolve_providers(Settings.model_validate(given)))


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({}, ["ollama", "custom"]),
        ({"ollama_enabled": False}, ["custom"]),
        ({"ollama_enabled": False, "providers": {"ollama": {"url": "http://h"}}}, ["custom"]),
        ({"openrouter_api_key": "k", "openai_api_key": "k"}, ["openrouter", "openai", "ollama", "custom"]),
        ({"openai_base_url": "http://vllm/v1"}, ["openai", "ollama", "custom"]),
        ({"openai_base_url": "https://api.openai.com/v1"}, ["ollama", "custom"]),
        (
            {"providers": {"x": {"python": "a:B"}, "cerebras": {"api_key": "k"}}},
            ["x", "cerebras", "ollama", "custom"],
        ),
        ({"as_ollama": True}, ["custom"]),
        ({"port": 11434}, ["custom"]),
        ({"as_ollama": True, "ollama_host": "gpu1"}, ["ollama", "custom"]),
        ({"as_ollama": True, "providers": {"ollama": {"url": "http://gpu1"}}}, ["ollama", "custom"]),
    ],
)
def test_providers_come_from_the_file_the_environment_and_the_built_in_ones(
    given: dict[str, Any], names: list[str]
) -> None:
    assert list(resolved(**given)) == names


def test_the_default_ollama_is_left_out_if_the_gateway_listens_on_its_port() -> None:
    assert ollama_dropped(Settings(as_ollama=True))
    assert not ollama_dropped(Settings())
    assert not ollama_dropped(Settings(as_ollama=True, ollama_enabled=False))
    assert not ollama_dropped(Settings(as_ollama=True, ollama_base_url="gpu1"))


def test_a_setting_by_name_wins_over_the_providers_section() -> None:
    section = {"openai": {"api_key": ["a", "b"], "url": "http://section/v1"}}
    assert resolved(providers=section)["openai"].urls == ("http://section/v1",)
    assert len(resolved(providers=section)["openai"].api_key) == 2
    named = resolved(providers=section, openai_api_key="c", openai_base_url="http://named/v1")["openai"]
    assert (named.urls, named.api_key[0].get_secret_value()) == (("http://named/v1",), "c")
    ollama = {"ollama": {"urls": ["http://a:1", "http://0.0.0.0:2"]}}
    assert resolved(providers=ollama)["ollama"].urls == ("http://a:1", "http://127.0.0.1:2")
    assert resolved(providers=ollama, ollama_host="gpu1")["ollama"].urls == ("http://gpu1:11434",)


@pytest.mark.parametrize(
    ("section", "local"),
    [
        ({"type": "ollama", "url": "http://gpu1"}, True),
        ({"type": "ollama", "url": "http://gpu1", "local": False}, False),
        ({"type": "openai-compatible", "url": "http://127.0.0.1:1/v1"}, True),
        ({"type": "openai-compatible", "urls": ["http://127.0.0.1:1/v1", "http://gpu1/v1"]}, False),
        ({"type": "openai-compatible", "url": "http://gpu1/v1", "local": True}, True),
        ({"python": "a:B"}, False),
    ],
)
def test_loopback_addresses_and_ollama_are_local_unless_the_file_says_otherwise(
    section: dict[str, Any], local: bool
) -> None:
    assert resolved(providers={"x": section})["x"].local is local
    assert resolved()["custom"].local is True


def test_types_and_addresses_are_filled_in() -> None:
    found = resolved(
        providers={"p": {"python": "a:B"}, "v": {"type": "openai-compatible", "url": "http://h/v1"}}
    )
    assert {name: config.type for name, config in found.items()} == {
        "p": "python",
        "v": "openai-compatible",
        "ollama": "ollama",
        "custom": "custom",
    }
    assert (found["v"].url, found["v"].addresses, found["p"].addresses) == (None, ("http://h/v1",), ())
