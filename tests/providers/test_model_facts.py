"""What is known of models: by lists, by settings, by tables, and where nothing is known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from trunkline.providers.base import ModelInfo
from trunkline.providers.model_facts import (
    LIKELY,
    ModelFacts,
    capabilities_by_name,
    told_capabilities,
    told_length,
)
from trunkline.settings import ModelDefaults


def provider(kind: str = "openai-compatible", url: str = "http://127.0.0.1:1", **more: Any) -> Any:
    places = [SimpleNamespace(url=url)]
    return SimpleNamespace(**{"name": "up", "kind": kind, "loads_models": False, "upstreams": places} | more)


@pytest.mark.parametrize(
    ("model", "can"),
    [
        ("gpt-4o", "completion tools vision"),
        ("ft:gpt-4o-mini:org::id", "completion tools vision"),
        ("openai/gpt-4.1-nano", "completion tools vision"),
        ("gpt-4", "completion tools"),
        ("gpt-3.5-turbo-0125", "completion tools"),
        ("gpt-3.5-turbo-instruct", "completion"),
        ("gpt-5.2", "completion tools vision thinking"),
        ("gpt-5-chat-latest", "completion tools vision"),
        ("o1-mini", "completion thinking"),
        ("o3", "completion tools vision thinking"),
        ("text-embedding-3-small", "embedding"),
        ("BAAI/bge-m3", "embedding"),
        ("whisper-1", "audio"),
        ("gpt-4o-mini-tts", "audio"),
        ("gpt-4o-transcribe", "audio"),
        ("gpt-image-1", "image"),
        ("omni-moderation-latest", "completion"),
        ("claude-3-5-haiku-latest", "completion tools vision"),
        ("claude-sonnet-4-5", "completion tools vision thinking"),
        ("deepseek-chat", "completion tools"),
        ("deepseek-reasoner", "completion tools thinking"),
        ("Qwen/Qwen2.5-VL-7B-Instruct", "completion tools vision"),
        ("llama-3.3-70b", "completion tools"),
        ("meta-llama/Llama-4-Scout", "completion tools vision"),
        ("mistral-small-latest", "completion tools vision"),
        ("codestral-latest", "completion tools"),
        ("o365-assistant", "completion tools vision"),
        ("nobody-knows-it", "completion tools vision"),
        ("", "completion tools vision"),
    ],
)
def test_by_name(model: str, can: str) -> None:
    assert capabilities_by_name(model) == tuple(can.split())


@pytest.mark.parametrize(
    ("item", "can"),
    [
        ({}, ""),
        ({"capabilities": None}, ""),
        ({"capabilities": "tools"}, ""),
        ({"capabilities": ["completion"]}, ""),
        ({"capabilities": ["completion", "multimodal"]}, "completion vision"),
        ({"capabilities": ["tool_use", 7]}, "completion tools"),
        (
            {"capabilities": {"completion_chat": True, "function_calling": True, "vision": False}},
            "completion tools",
        ),
        ({"capabilities": {"completion_chat": True, "function_calling": False}}, "completion"),
        ({"supports_tools": True, "supports_image_input": True}, "completion tools vision"),
        ({"capabilities": {"embeddings": True}}, "embedding"),
    ],
)
def test_what_a_list_tells(item: dict[str, Any], can: str) -> None:
    assert told_capabilities(item) == tuple(can.split())


@pytest.mark.parametrize(
    ("item", "length"),
    [
        ({"max_model_len": 8}, 8),
        ({"context_window": 9}, 9),
        ({"max_context_length": 10, "context_length": None}, 10),
        ({"meta": {"n_ctx_train": 11}}, 11),
        ({"context_length": "12", "meta": None}, None),
        ({"context_length": True}, None),
        ({}, None),
    ],
)
def test_how_much_a_list_tells_of(item: dict[str, Any], length: int | None) -> None:
    assert told_length(item) == length


def test_settings_come_first_then_the_list_then_the_tables() -> None:
    facts = ModelFacts(
        {
            "up/gpt-4*": ModelDefaults(capabilities=("completion", "insert")),
            "*": ModelDefaults(context_length=5),
            "up/other": ModelDefaults(keep_alive="5m"),
        }
    )
    model = ModelInfo(id="GPT-4o", capabilities=("completion",), context_length=7)
    assert facts.complete(provider(), model).capabilities == ("completion", "insert")
    assert facts.complete(provider(), model).context_length == 5
    assert facts.complete(provider(), model) is facts.complete(provider(), model)
    other = ModelInfo(id="other", capabilities=("completion", "tools"))
    assert facts.complete(provider(), other).capabilities == ("completion", "tools")
    assert ModelFacts({}).complete(provider(), model).context_length == 7


@pytest.mark.parametrize(
    ("where", "length"),
    [
        (provider("openai", "https://api.openai.com/v1"), 128_000),
        (provider(), 128_000),
        (provider(url="https://api.openai.com/v1"), 128_000),
        (provider("python", ""), None),
    ],
)
def test_lengths_of_the_table(where: Any, length: int | None) -> None:
    found = ModelFacts({}).complete(where, ModelInfo(id="gpt-4o"))
    assert (found.context_length, found.capabilities) == (length, LIKELY)


def test_of_an_unknown_model() -> None:
    found = ModelFacts({}).complete(provider(), ModelInfo(id="nobody-knows-it"))
    assert (found.context_length, found.capabilities) == (None, LIKELY)


def test_an_ollama_server_speaks_for_itself() -> None:
    model = ModelInfo(id="m")
    assert (
        ModelFacts({"*": ModelDefaults(context_length=5)}).complete(provider(loads_models=True), model)
        is model
    )
