"""Which setting decides each time limit, and under which name."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.settings import Settings, resolve_providers
from trunkline.settings.time_limits import (
    DEFAULT_LIMITS,
    NO_LIMITS,
    TimeLimit,
    TimeLimits,
    model_limits,
    provider_limits,
    section_limits,
    silence_limits,
)

DEFAULTS = {
    "connect": (10, "CONNECT_TIMEOUT_S"),
    "first_byte": (300, "FIRST_BYTE_TIMEOUT_S"),
    "answer": (600, "ANSWER_TIMEOUT_S"),
    "idle": (120, "STREAM_IDLE_TIMEOUT_S"),
    "total": None,
    "queue": (30, "QUEUE_TIMEOUT_S"),
    "lookup": (30, "LOOKUP_TIMEOUT_S"),
}
SILENCES = ("connect", "first_byte", "answer", "idle", "lookup")


def limits_of(provider: str, **values: Any) -> TimeLimits:
    settings = Settings(**values)
    return provider_limits(settings, resolve_providers(settings)[provider], provider)


def test_the_defaults() -> None:
    assert DEFAULT_LIMITS._asdict() == DEFAULTS
    assert limits_of("ollama") == limits_of("custom") == DEFAULT_LIMITS


@pytest.mark.parametrize(
    ("values", "provider", "changed"),
    [
        (
            {"request_timeout_s": 5},
            "custom",
            dict.fromkeys(SILENCES, (5, "REQUEST_TIMEOUT_S")),
        ),
        (
            {"request_timeout_s": 5},
            "ollama",
            dict.fromkeys(SILENCES, (5, "REQUEST_TIMEOUT_S")),
        ),
        (
            {"request_timeout_s": 5, "first_byte_timeout_s": 50, "total_timeout_s": 90},
            "custom",
            dict.fromkeys(SILENCES, (5, "REQUEST_TIMEOUT_S"))
            | {"first_byte": (50, "FIRST_BYTE_TIMEOUT_S"), "total": (90, "TOTAL_TIMEOUT_S")},
        ),
        (
            {"request_timeout_s": 5, "first_byte_timeout_s": 50, "ollama_timeout": 6},
            "ollama",
            dict.fromkeys(SILENCES, (6, "OLLAMA_TIMEOUT")),
        ),
        ({"ollama_timeout": 6}, "custom", {}),
        (
            {"providers": {"ollama": {"timeouts": {"idle": 7}}}, "ollama_timeout": 6},
            "ollama",
            dict.fromkeys(SILENCES, (6, "OLLAMA_TIMEOUT")) | {"idle": (7, "providers.ollama.timeouts.idle")},
        ),
        (
            {"providers": {"ollama": {"timeouts": {"first_byte": 7}}}},
            "ollama",
            dict.fromkeys(("first_byte", "answer"), (7, "providers.ollama.timeouts.first_byte")),
        ),
        (
            {"providers": {"ollama": {"timeouts": {"first_byte": 7, "answer": 8}}}},
            "ollama",
            {
                "first_byte": (7, "providers.ollama.timeouts.first_byte"),
                "answer": (8, "providers.ollama.timeouts.answer"),
            },
        ),
    ],
)
def test_the_narrower_place_decides(values: dict[str, Any], provider: str, changed: dict[str, Any]) -> None:
    assert limits_of(provider, **values)._asdict() == DEFAULTS | changed


def test_the_limits_of_models_and_routes() -> None:
    settings = Settings.model_validate(
        {
            "models": {
                "ollama/Big*": {"timeouts": {"first_byte": 900}},
                "ollama/tiny": {"keep_alive": 5},
                "custom/*": {"timeouts": {"idle": 1}},
            },
            "routes": {
                "r": {"targets": [{"provider": "ollama", "model": "m"}], "timeouts": {"total": 4}},
                "s": {"targets": [{"provider": "ollama", "model": "m"}]},
            },
        }
    )
    limit = TimeLimit(900, "models.ollama/Big*.timeouts.first_byte")
    assert model_limits(settings, "ollama") == [("big*", TimeLimits(first_byte=limit, answer=limit))]
    route = section_limits(settings.routes["r"].timeouts, "routes.r")
    assert route == TimeLimits(total=TimeLimit(4, "routes.r.timeouts.total"))
    assert section_limits(settings.routes["s"].timeouts, "routes.s") == NO_LIMITS


def test_one_limit_for_every_silence() -> None:
    expected = DEFAULTS | dict.fromkeys(SILENCES, (2, "timeout"))
    assert silence_limits(2, "timeout")._asdict() == expected
