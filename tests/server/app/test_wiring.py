"""One configuration at work: how often its providers are asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.gateways import make_settings
from trunkline.routing.catalog import Catalog
from trunkline.server.app.wiring import Wiring
from trunkline.settings import ProviderConfig
from trunkline.transport import Client


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (60, {"ollama": 60, "fleet": 60})),
        ({"ollama_health_check_interval": 5}, (60, {"ollama": 5, "fleet": 5})),
        ({"model_refresh_interval_s": 7}, (7, {"ollama": 60, "fleet": 60})),
        ({"ollama_auto_health_check": False}, (60, {"ollama": None, "fleet": None})),
        (
            {"ollama_auto_health_check": False, "ollama_health_check_interval": 5},
            (60, {"ollama": None, "fleet": None}),
        ),
        (
            {"ollama_auto_health_check": False, "model_refresh_interval_s": 60},
            (60, {"ollama": 60, "fleet": 60}),
        ),
    ],
)
async def test_ollama_is_asked_as_often_as_the_settings_say(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], expected: tuple[float, dict[str, float | None]]
) -> None:
    started: list[tuple[float, Mapping[str, float | None]]] = []

    def start(_: Catalog, interval: float, intervals: Mapping[str, float | None]) -> None:
        started.append((interval, intervals))

    monkeypatch.setattr(Catalog, "start", start)
    providers = {
        "fleet": ProviderConfig(type="ollama", urls=("http://127.0.0.1:1", "http://127.0.0.1:2")),
        "up": ProviderConfig(type="openai-compatible", url="http://127.0.0.1:1"),
    }
    client = Client()
    wiring = Wiring(make_settings(ollama_enabled=True, providers=providers, **given), client)
    wiring.start()
    assert started == [expected]
    await client.aclose()
