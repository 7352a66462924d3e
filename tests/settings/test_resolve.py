"""Completes the configured providers."""

from typing import Any

import pytest

from trunkline.settings import Settings, resolve_providers
from trunkline.settings.resolve import ollama_dropped


def resolve(**given: Any) -> dict[str, Any]:
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
def test_which_providers_are_configured(given: dict[str, Any], names: list[str]) -> None:
    assert list(resolve(**given)) == names


def test_the_default_ollama_is_left_out_if_the_gateway_has_its_address() -> None:
    assert ollama_dropped(Settings(as_ollama=True))
    assert not ollama_dropped(Settings())
    assert not ollama_dropped(Settings(as_ollama=True, ollama_enabled=False))
    assert not ollama_dropped(Settings(as_ollama=True, ollama_base_url="gpu1"))


def test_settings_of_their_own_win_over_the_section() -> None:
    section = {"openai": {"api_key": ["a", "b"], "url": "http://section/v1"}}
    assert resolve(providers=section)["openai"].urls == ("http://section/v1",)
    assert len(resolve(providers=section)["openai"].api_key) == 2
    named = resolve(providers=section, openai_api_key="c", openai_base_url="http://named/v1")["openai"]
    assert (named.urls, named.api_key[0].get_secret_value()) == (("http://named/v1",), "c")
    ollama = {"ollama": {"urls": ["http://a:1", "http://0.0.0.0:2"]}}
    assert resolve(providers=ollama)["ollama"].urls == ("http://a:1", "http://127.0.0.1:2")
    assert resolve(providers=ollama, ollama_host="gpu1")["ollama"].urls == ("http://gpu1:11434",)


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
def test_which_providers_are_local(section: dict[str, Any], local: bool) -> None:
    assert resolve(providers={"x": section})["x"].local is local
    assert resolve()["custom"].local is True


def test_timeouts_are_filled_in() -> None:
    section = {"x": {"type": "y", "timeouts": {"connect": 1, "total": 9}}}
    providers = resolve(providers=section, request_timeout_s=5, ollama_timeout=6)
    x, ollama = providers["x"].timeouts, providers["ollama"].timeouts
    assert (x.connect, x.first_byte, x.idle, x.total) == (1, 5, 5, 9)
    assert (ollama.connect, ollama.first_byte, ollama.idle, ollama.total) == (6, 6, 6, None)


def test_types_and_addresses_are_filled_in() -> None:
    providers = resolve(
        providers={"p": {"python": "a:B"}, "v": {"type": "openai-compatible", "url": "http://h/v1"}}
    )
    assert {name: config.type for name, config in providers.items()} == {
        "p": "python",
        "v": "openai-compatible",
        "ollama": "ollama",
        "custom": "custom",
    }
    assert (providers["v"].url, providers["v"].addresses, providers["p"].addresses) == (
        None,
        ("http://h/v1",),
        (),
    )
