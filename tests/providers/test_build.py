"""Providers from settings."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from trunkline import ChatCompletionRequest, ChatCompletionResponse, CustomProcessingProvider
from trunkline.providers import build
from trunkline.providers.build import build_providers
from trunkline.providers.http import VendorProvider
from trunkline.providers.ollama import OllamaProvider
from trunkline.providers.python import PythonProvider
from trunkline.settings import ModelDefaults, ProviderConfig, Settings, SettingsError


class Mine:
    """A provider of a user's own."""

    def __init__(self, *, word: str = "") -> None:
        if word == "broken":
            raise RuntimeError("no")
        self.word = word

    async def chat_completions(self, req: ChatCompletionRequest) -> ChatCompletionResponse:
        return await CustomProcessingProvider().chat_completions(req)


class NoProvider:
    """Has no method."""


def _headers(provider: Any, at: int = 0) -> Any:
    """What is sent with every request to one of the provider's upstreams."""
    return provider.request_to(provider.upstreams[at], "GET", "/models").headers


def made(**settings: Any) -> dict[str, Any]:
    return dict(build_providers(Settings(**settings)))


def test_what_is_there_without_any_setting() -> None:
    found = made()
    assert list(found) == ["ollama", "custom"]
    assert isinstance(found["ollama"], OllamaProvider)
    assert isinstance(found["custom"], PythonProvider)
    assert [provider.local for provider in found.values()] == [True, True]


def test_clouds_by_their_keys() -> None:
    found = made(openrouter_api_key=SecretStr("sk-or-1234567"), anthropic_api_key=SecretStr("sk-ant-123456"))
    assert isinstance(found["openrouter"], VendorProvider)
    assert (b"authorization", b"Bearer sk-or-1234567") in _headers(found["openrouter"])
    assert (b"x-api-key", b"sk-ant-123456") in _headers(found["anthropic"])
    assert found["anthropic"].upstreams[0].url.endswith("/v1")
    assert not found["openrouter"].local


def test_a_providers_own_section() -> None:
    section = ProviderConfig(
        type="openai-compatible",
        urls=("http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1"),
        headers={"X-Team": SecretStr("blue")},
        drop=("logit_bias",),
        proxy=SecretStr("http://proxy.test:3128"),
    )
    provider = made(providers={"vllm": section}, models={"vllm/*": ModelDefaults(keep_alive="5m")})["vllm"]
    assert [upstream.name for upstream in provider.upstreams] == ["127.0.0.1:1", "127.0.0.1:2"]
    assert (b"x-team", b"blue") in _headers(provider)
    defaults = provider.defaults_for("any")
    assert defaults.drop == {"logit_bias"}
    assert defaults.fields == {"keep_alive": "5m"}
    assert provider.local


def test_a_class_by_its_path() -> None:
    path = f"{__name__}:Mine"
    provider = made(providers={"mine": ProviderConfig(python=path, options={"word": "x"})})["mine"]
    assert isinstance(provider, PythonProvider)
    assert isinstance(provider.inner, Mine)
    assert provider.inner.word == "x"


def test_a_type_from_another_package(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("parrot", f"{__name__}:Mine", build.ENTRY_POINTS)
    monkeypatch.setattr(build, "entry_points", lambda group: [point])
    section = ProviderConfig(type="parrot", url="http://127.0.0.1:1")
    assert isinstance(made(providers={"bird": section})["bird"].inner, Mine)


def test_a_class_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a command was started, which does not look there by itself."""
    source = f"from {__name__} import Mine\n\n\nclass Shouting(Mine):\n    pass\n"
    (tmp_path / "trunkline_shouting.py").write_text(source, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each])
    found = made(providers={"shout": ProviderConfig(python="trunkline_shouting:Shouting")})
    assert type(found["shout"].inner).__name__ == "Shouting"
    assert sys.path[-1] == str(tmp_path)
    monkeypatch.delitem(sys.modules, "trunkline_shouting")


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (ProviderConfig(python="no.such.module:Class"), "Cannot load the Python provider"),
        (ProviderConfig(python=f"{__name__}:Nothing"), "Cannot load the Python provider"),
        (ProviderConfig(python=f"{__name__}:NoProvider"), "has no chat_completions method"),
        (ProviderConfig(python=f"{__name__}:Mine", options={"word": "broken"}), "could not be made"),
        (ProviderConfig(type="parrot", url="http://127.0.0.1:1"), "no such type 'parrot'"),
        (
            ProviderConfig(type="openai", url="http://127.0.0.1:1"),
            "^provider .mine.: OpenAI needs a key; give",
        ),
        (
            ProviderConfig(
                type="openai-compatible", url="http://127.0.0.1:1", headers={"x": SecretStr("a\r\nb")}
            ),
            "line break",
        ),
    ],
)
def test_what_cannot_be_made(section: ProviderConfig, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        made(providers={"mine": section})
