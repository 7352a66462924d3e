"""Whose rules hold for which provider."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gateways import make_settings
from trunkline.dialects.openai import OpenAIBack
from trunkline.providers.build import build_providers
from trunkline.providers.fits import KNOWN_VENDORS, find_vendor
from trunkline.providers.http import HttpProvider
from trunkline.settings import SettingsError
from trunkline.settings.sections import ProviderConfig


@pytest.mark.parametrize(
    ("address", "vendor"),
    [
        ("https://api.mistral.ai/v1", "mistral"),
        ("https://api.groq.com/openai/v1", "groq"),
        ("https://mine.openai.azure.com/openai/v1", "azure"),
        ("https://api.moonshot.cn/v1", "moonshot"),
        ("https://not-api.groq.com.example/v1", None),
        ("http://127.0.0.1:8000/v1", None),
    ],
)
def test_a_vendor_is_known_by_its_address(address: str, vendor: str | None) -> None:
    assert find_vendor([address]) == vendor


def test_addresses_of_several_vendors_are_nobodys() -> None:
    assert find_vendor(["https://api.groq.com/v1", "https://api.mistral.ai/v1"]) is None
    assert find_vendor([]) is None


def quirks_of(**section: Any) -> Any:
    provider = build_providers(make_settings(providers={"up": ProviderConfig(**section)}))["up"]
    assert isinstance(provider, HttpProvider)
    assert isinstance(provider.back, OpenAIBack)
    return provider.back.quirks


def test_the_section_or_the_address_names_the_vendor() -> None:
    rules = KNOWN_VENDORS["mistral"].quirks.fit
    where = {"type": "openai-compatible", "url": "http://127.0.0.1:1/v1"}
    assert quirks_of(**where, vendor="mistral").fit is rules
    assert quirks_of(type="openai-compatible", url="https://api.mistral.ai/v1").fit is rules
    assert quirks_of(**where).fit is None
    assert quirks_of(**where, vendor="mistral").name == "Provider 'up'"


def test_a_vendor_that_nobody_knows() -> None:
    with pytest.raises(SettingsError, match=r"no such vendor 'mistrall'.*mistral"):
        quirks_of(type="openai-compatible", url="http://127.0.0.1:1/v1", vendor="mistrall")


def test_a_vendor_is_for_compatible_servers() -> None:
    with pytest.raises(ValueError, match="openai-compatible"):
        ProviderConfig(type="ollama", vendor="mistral")
