"""``trunkline models``."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from trunkline_mock import Fault, MockUpstream, Script


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
    assert "provider 'ollama' did not say which models it has: Connection refused to" in done.err


def test_an_unknown_provider_is_refused(run: Run) -> None:
    done = run("models", "--provider", "olama")
    assert (done.code, done.out) == (2, "")
    assert done.err == "trunkline: error: there is no provider 'olama'; did you mean 'ollama'?\n"


def test_routes_and_aliases_are_listed_with_the_provider_that_they_lead_to(run: Run, tmp_path: Path) -> None:
    (tmp_path / "trunkline.yaml").write_text(
        """
ollama_enabled: false
providers:
  up: {type: openai-compatible, url: "http://127.0.0.1:1", models: [m1, m2]}
aliases: {fast: up/m1, nowhere: cerebras/x}
routes: {grp: {targets: [{provider: up, model: m1}, {provider: custom, model: custom}]}}
"""
    )
    done = run("models")
    assert done.code == 0, done.err
    _, *rows = (line.split("\t") for line in done.out.splitlines())
    assert [row[:2] for row in rows] == [
        ["up", "grp"],
        ["up", "fast"],
        ["up", "m1"],
        ["up", "m2"],
        ["custom", "custom"],
    ]
    listed = json.loads(run("models", "--provider", "up", "--json").out)
    assert [model["id"] for model in listed] == ["grp", "fast", "m1", "m2"]


@pytest.mark.parametrize("vendor", ["openai", "openrouter", "anthropic", "cerebras"])
@pytest.mark.parametrize("status", [401, 403])
def test_a_vendor_that_refuses_the_key_is_reported_as_that(
    run: Run, monkeypatch: pytest.MonkeyPatch, vendor: str, status: int
) -> None:
    monkeypatch.setenv("OLLAMA_ENABLED", "false")
    with MockUpstream.in_thread(vendor) as mock:
        mock.on(Script(fault=Fault("status", status=status, message="no\nsuch key")), path="*/models*")
        monkeypatch.setenv(f"{vendor.upper()}_BASE_URL", mock.base_url)
        monkeypatch.setenv(f"{vendor.upper()}_API_KEY", "sk-a-secret-key")
        done = run("models")
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert f"provider {vendor!r} refuses the key" in done.err
    assert f"{vendor.upper()}_API_KEY" in done.err
    assert "no such key" in done.err
    assert "secret" not in done.err


def test_each_server_that_does_not_answer_is_reported_with_what_it_said(run: Run, tmp_path: Path) -> None:
    with (
        MockUpstream.in_thread("ollama", models=["llama3.2"]) as well,
        MockUpstream.in_thread("ollama") as ill,
        MockUpstream.in_thread("generic") as closed,
        MockUpstream.in_thread("generic") as elsewhere,
        MockUpstream.in_thread("generic") as moved,
    ):
        moved.on(Script(fault=Fault("redirect", status=301)), path="*/models")
        ill.on(Script(fault=Fault("status", status=500, message="disk on fire")), path="*/tags")
        closed.on(Script(fault=Fault("status", status=401, message="who are you")), path="*/models")
        elsewhere.on(Script(body={"hello": "world"}), path="*/models")
        (tmp_path / "trunkline.yaml").write_text(
            f"""
providers:
  ollama: {{urls: ["{well.base_url}", "{ill.base_url}"]}}
  closed: {{type: openai-compatible, url: "{closed.base_url}"}}
  elsewhere: {{type: openai-compatible, url: "{elsewhere.base_url}"}}
  moved: {{type: openai-compatible, url: "{moved.base_url}"}}
"""
        )
        done = run("models")
    assert done.code == 1
    assert "llama3.2:latest" in done.out
    fleet, key, wrong, other = done.err.splitlines()
    server = ill.base_url.removeprefix("http://")
    assert f"provider 'ollama', server {server}, did not say which models it has" in fleet
    assert "disk on fire" in fleet
    assert "provider 'closed' asks for a key" in key
    assert "who are you" in key
    assert "provider 'elsewhere' did not say which models it has" in wrong
    assert "list of models that is none" in wrong
    assert "answered 301 and points to /elsewhere" in other
