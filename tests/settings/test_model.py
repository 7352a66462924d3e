"""The Settings object by itself: addresses of Ollama, timeouts, ports."""

import pytest
from pydantic import ValidationError

from trunkline.settings import Settings


@pytest.mark.parametrize(
    ("given", "urls", "explicit"),
    [
        ({}, ("http://localhost:11434",), False),
        ({"ollama_host": "gpu3"}, ("http://gpu3:11434",), True),
        ({"ollama_host": "gpu3", "ollama_api_url": "gpu2"}, ("http://gpu2:11434",), True),
        (
            {"ollama_host": "gpu3", "ollama_api_url": "gpu2", "ollama_base_url": "gpu1,gpu0"},
            ("http://gpu1:11434", "http://gpu0:11434"),
            True,
        ),
    ],
)
def test_three_settings_may_name_ollamas_address(
    given: dict[str, str], urls: tuple[str, ...], explicit: bool
) -> None:
    ollama = Settings.model_validate(given).ollama_settings
    assert (ollama.urls, ollama.explicit, ollama.base_url) == (urls, explicit, urls[0])


def test_the_names_in_the_integration_guide_work() -> None:
    settings = Settings(preferred_provider="Ollama", ollama_temperature=0.7, ollama_max_retries=1)
    assert settings.preferred_provider == "ollama"
    ollama = settings.ollama_settings
    assert ollama.enabled is True
    assert (ollama.temperature, ollama.max_tokens, ollama.max_retries, ollama.streaming) == (
        0.7,
        None,
        1,
        True,
    )
    assert (ollama.default_model, ollama.timeout, ollama.load_timeout) == ("llama2", None, 300)
    assert (ollama.health_check_interval, ollama.auto_health_check) == (60, True)


def test_ollamas_timeout_defaults_to_the_general_one() -> None:
    assert Settings(request_timeout_s=7).ollama_timeout == 7
    assert Settings(request_timeout_s=7, ollama_timeout=8).ollama_timeout == 8


def test_settings_are_frozen_and_refuse_unknown_names() -> None:
    settings = Settings()
    with pytest.raises(ValidationError):
        settings.port = 1
    with pytest.raises(ValidationError, match="prot"):
        Settings.model_validate({"prot": 1})


@pytest.mark.parametrize(
    ("as_ollama", "port", "ports"), [(False, 1, (1,)), (True, 1, (1, 11434)), (True, 11434, (11434,))]
)
def test_the_ports_include_ollamas_if_asked(as_ollama: bool, port: int, ports: tuple[int, ...]) -> None:
    assert Settings(as_ollama=as_ollama, port=port).ports == ports
