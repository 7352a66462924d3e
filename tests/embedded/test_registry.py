"""The registry: providers of the settings and providers that a program registers."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from tests.gateways import KEY
from trunkline import (
    CallerError,
    ChatCompletionRequest,
    ChatCompletionResponse,
    CustomProcessingProvider,
    OllamaProvider,
    ProviderType,
    get_app,
)
from trunkline.embedded import ProviderRegistry
from trunkline.settings import Settings


def registry(**settings: Any) -> ProviderRegistry:
    return ProviderRegistry(lambda: Settings(**settings))


def test_the_guides_example_of_a_custom_provider() -> None:
    provider_registry = registry()

    # Create custom provider
    custom_ollama = OllamaProvider(
        base_url="http://custom-server:11434"
    )  # fmt: skip

    # Register provider
    provider_registry.register_provider(custom_ollama)

    # Set as default
    provider_registry.set_default_provider(ProviderType.OLLAMA)

    assert provider_registry.get("ollama") is custom_ollama
    assert provider_registry.default == "ollama"


def test_the_guides_example_that_verifies_the_configuration(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import trunkline
    import trunkline.settings

    monkeypatch.delitem(vars(trunkline.settings), "settings", raising=False)
    monkeypatch.delitem(vars(trunkline), "provider_registry", raising=False)
    monkeypatch.setenv("PREFERRED_PROVIDER", "ollama")
    from trunkline import provider_registry
    from trunkline.settings import settings

    print(f"Preferred provider: {settings.preferred_provider}")  # noqa: T201
    print(f"Ollama enabled: {settings.ollama_settings.enabled}")  # noqa: T201
    print(f"Available providers: {[p.name for p in provider_registry.list_providers()]}")  # noqa: T201
    assert capsys.readouterr().out == (
        "Preferred provider: ollama\nOllama enabled: True\nAvailable providers: ['ollama', 'custom']\n"
    )
    for module, name in ((trunkline, "provider_registry"), (trunkline.settings, "settings")):
        vars(module).pop(name)


def test_providers_are_found_by_name_and_type() -> None:
    found = registry(openai_api_key=SecretStr("sk-0123456789abcdef"), preferred_provider="openai")
    assert [each.name for each in found.list_providers()] == ["openai", "ollama", "custom"]
    assert found.default == "openai"
    assert found.get(ProviderType.OPENAI).name == "openai"
    found.register_provider(OllamaProvider(), name="gpu")
    assert found.get("gpu").name == "gpu"
    found.register_provider(CustomProcessingProvider(), name="mine")
    assert found.get(ProviderType.PYTHON).kind == "python"
    with pytest.raises(CallerError, match="'cerebras' not configured"):
        found.get(ProviderType.CEREBRAS)
    with pytest.raises(TypeError, match="no method chat_completions"):
        found.register_provider(object())


def test_the_settings_package_refuses_unknown_attributes() -> None:
    import trunkline.settings

    with pytest.raises(AttributeError):
        trunkline.settings.nothing  # noqa: B018


async def test_a_gateway_serves_registered_providers() -> None:
    found = registry(ollama_enabled=False)
    found.register_provider(CustomProcessingProvider(), name="mine")
    found.set_default_provider("mine")
    settings = Settings(allowed_api_keys=(SecretStr(KEY),), ollama_enabled=False)
    app = get_app(settings, registry=found)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        body = {"model": "mine/anything", "messages": [{"role": "user", "content": "Hi"}]}
        answer = await client.post(
            "/v1/chat/completions", json=body, headers={"authorization": f"Bearer {KEY}"}
        )
    assert answer.status_code == 200
    assert answer.headers["x-trunkline-provider"] == "mine"
    await app.gateway.aclose()


async def test_the_gateways_time_limits_hold_for_registered_providers() -> None:
    class Silent:
        async def chat_completions(self, req: ChatCompletionRequest) -> ChatCompletionResponse:
            await asyncio.Event().wait()
            raise AssertionError(req)

    found = registry(ollama_enabled=False)
    found.register_provider(Silent(), name="mine")
    settings = Settings(
        allowed_api_keys=(SecretStr(KEY),), ollama_enabled=False, request_timeout_s=0.05, max_retries=0
    )
    app = get_app(settings, registry=found)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
        body = {"model": "mine/m", "messages": [{"role": "user", "content": "Hi"}]}
        answer = await client.post(
            "/v1/chat/completions", json=body, headers={"authorization": f"Bearer {KEY}"}
        )
    assert answer.status_code == 502
    assert answer.json()["error"]["message"].endswith("no answer after 0.05 s (REQUEST_TIMEOUT_S)")
    await app.gateway.aclose()
