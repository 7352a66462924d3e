"""``trunkline models``."""

import json

import pytest

from tests.cli.conftest import Run
from trunkline_mock import MockUpstream


def test_the_models_of_all_providers_are_listed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with MockUpstream.in_thread("ollama") as ollama, MockUpstream.in_thread("openrouter") as cloud:
        monkeypatch.setenv("OLLAMA_BASE_URL", ollama.base_url)
        monkeypatch.setenv("OPENROUTER_API_KEY", "sk-or-test-key")
        monkeypatch.setenv("OPENROUTER_BASE_URL", cloud.base_url)
        done = run("models")
        assert done.code == 0, done.err
        header, *rows = (line.split("\t") for line in done.out.splitlines())
        assert header == ["provider", "model", "context", "capabilities"]
        assert ["ollama", "llama3.2:latest"] in [row[:2] for row in rows]
        assert [row[2] for row in rows if row[1] == "openai/gpt-4o"] == ["128000"]
        assert rows[-1][:2] == ["custom", "custom"]
        only = json.loads(run("models", "--provider", "openrouter", "--json").out)
        assert {model["provider"] for model in only} == {"openrouter"}
        assert all(model["object"] == "model" for model in only)


def test_a_provider_that_does_not_answer_is_reported(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_BASE_URL", "http://127.0.0.1:1")
    done = run("models")
    assert done.code == 1
    assert "custom" in done.out
    assert done.err.count("\n") == 1
    assert "provider 'ollama' did not say" in done.err


def test_an_unknown_provider_is_refused(run: Run) -> None:
    done = run("models", "--provider", "olama")
    assert (done.code, done.out) == (2, "")
    assert done.err == "trunkline: error: there is no provider 'olama'; did you mean 'ollama'?\n"
