"""Model names as clients write them."""

from __future__ import annotations

import pytest

from trunkline.routing import names

PROVIDERS = ("ollama", "openrouter", "openai", "vllm")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("ollama:llama2:7b", ("ollama", ":", "llama2:7b")),
        ("ollama/llama3.2", ("ollama", "/", "llama3.2")),
        ("OLLAMA/Llama3.2", ("ollama", "/", "Llama3.2")),
        ("openrouter:anthropic/claude-3.5-sonnet", ("openrouter", ":", "anthropic/claude-3.5-sonnet")),
        ("openrouter/anthropic/claude-3.5-sonnet", ("openrouter", "/", "anthropic/claude-3.5-sonnet")),
        ("openrouter/auto", ("openrouter", "/", "auto")),
        ("openrouter/deepseek/deepseek-r1:free", ("openrouter", "/", "deepseek/deepseek-r1:free")),
        ("ollama/hf.co/user/model-GGUF:Q4_K_M", ("ollama", "/", "hf.co/user/model-GGUF:Q4_K_M")),
        ("ollama:hf.co/user/model", ("ollama", ":", "hf.co/user/model")),
        ("ollama/ollama/x", ("ollama", "/", "ollama/x")),
        ("llama2", None),
        ("llama2:7b", None),
        ("anthropic/claude-3.5-sonnet", None),
        ("hf.co/ollama/x", None),
        ("ollama", None),
        ("ollama/", None),
        ("ollama:", None),
        ("/ollama/x", None),
        (":ollama", None),
        ("", None),
        (":/", None),
    ],
)
def test_prefixes(name: str, found: tuple[str, str, str] | None) -> None:
    assert names.read_prefix(name, PROVIDERS) == found


@pytest.mark.parametrize(
    ("name", "tagged", "untagged", "bare", "short"),
    [
        ("llama2", "llama2:latest", "llama2", "llama2", "llama2"),
        ("llama2:7b", "llama2:7b", "llama2:7b", "llama2", "llama2:7b"),
        ("llama2:latest", "llama2:latest", "llama2", "llama2", "llama2:latest"),
        ("a/b", "a/b:latest", "a/b", "a/b", "b"),
        ("a/b:free", "a/b:free", "a/b:free", "a/b", "b:free"),
        ("host:5000/a/b", "host:5000/a/b:latest", "host:5000/a/b", "host", "b"),
    ],
)
def test_tags(name: str, tagged: str, untagged: str, bare: str, short: str) -> None:
    found = (names.tagged(name), names.untagged(name), names.bare(name), names.short(name))
    assert found == (tagged, untagged, bare, short)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("llama2", "llama2"),
        ("library/llama2:7b", "llama2:7b"),
        ("registry.ollama.ai/library/llama2", "llama2"),
        ("Registry.Ollama.ai/Library/Llama2", "Llama2"),
        ("registry.ollama.ai/me/model", "me/model"),
        ("registry.local/library/llama2", "registry.local/library/llama2"),
        ("hf.co/library/llama2", "hf.co/library/llama2"),
    ],
)
def test_what_ollama_shows(name: str, shown: str) -> None:
    assert names.without_default_registry(name) == shown


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("Llama2", ("llama2", "llama2:latest")),
        ("llama2:LATEST", ("llama2:latest", "llama2")),
        ("llama2:7B", ("llama2:7b",)),
    ],
)
def test_spellings(name: str, found: tuple[str, ...]) -> None:
    assert names.spellings(name) == found


@pytest.mark.parametrize(
    ("model", "name", "found"),
    [
        ("llama3.2:latest", "llama3.2", "llama3.2"),
        ("llama3.2:latest", "llama3.2:latest", "llama3.2:latest"),
        ("llama3.2:latest", "LLAMA3.2", "llama3.2"),
        ("llama3.2:1b", "llama3.2:1B", "llama3.2:1b"),
        ("anthropic/claude", "claude", "anthropic/claude"),
        ("anthropic/claude", "claude:latest", "anthropic/claude"),
    ],
)
def test_a_model_keeps_the_tag_that_the_client_wrote(model: str, name: str, found: str) -> None:
    assert names.with_client_tag(model, name) == found


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("gpt-oss:cloud", True),
        ("gpt-oss:120b-cloud", True),
        ("me/model:120B-Cloud", True),
        ("gpt-oss", False),
        ("cloud", False),
        ("my-cloud", False),
        ("gpt-oss:cloud-x", False),
        ("host:cloud/model", False),
        ("model:thecloud", False),
    ],
)
def test_names_of_ollamas_cloud(name: str, found: bool) -> None:
    assert names.is_cloud(name) is found
