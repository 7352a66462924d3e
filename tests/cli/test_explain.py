"""``trunkline explain`` and ``check --replay``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from trunkline_mock import MockUpstream


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A file with a route and an alias to the built-in provider."""
    path = tmp_path / "routes.yaml"
    path.write_text(
        "ollama_enabled: false\n"
        "aliases: {other: custom}\n"
        "routes:\n  mine: {targets: [{provider: custom, model: custom}]}\n"
    )
    return str(path)


def test_explain_prints_a_table(run: Run, config: str) -> None:
    done = run("explain", "mine", "--config", config)
    assert done.code == 0
    assert "route mine, by priority" in done.out
    assert "1\tcustom\tcustom\tcustom\t0 $/M\tthe only one of its tier" in done.out


def test_explain_prints_json(run: Run, config: str) -> None:
    done = run("explain", "custom", "--config", config, "--json")
    explanation = json.loads(done.out)
    assert explanation["candidates"][0]["provider"] == "custom"
    assert explanation["route"] is None


def test_explain_names_other_providers_and_refuses_an_unknown_model(run: Run, tmp_path: Path) -> None:
    with MockUpstream.in_thread("ollama") as mock:
        config = tmp_path / "fleet.yaml"
        config.write_text(f"ollama_base_url: {mock.base_url},http://127.0.0.1:9\n")
        done = run("explain", "llama3.2", "--config", str(config))
        assert "not asked: custom: does not list the model" in done.out
        done = run("explain", "nope", "--config", str(config))
    assert done.code == 1
    assert "nope" in done.err


def test_explain_marks_a_target_that_its_provider_does_not_list(run: Run, tmp_path: Path) -> None:
    with MockUpstream.in_thread("ollama") as mock:
        config = tmp_path / "slip.yaml"
        config.write_text(
            f"ollama_base_url: {mock.base_url}\n"
            "routes:\n  mine:\n    targets:\n"
            "      - {provider: ollama, model: lama3.2}\n      - {provider: custom, model: custom}\n"
        )
        lines = run("explain", "mine", "--config", str(config)).out.splitlines()
    unlisted = [line.split("\t")[3] for line in lines if line.endswith("; does not list the model")]
    assert unlisted == ["lama3.2"]


def write_log(path: Path, *lines: object) -> str:
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return str(path)


LINE = {"event": "request", "path": "/v1/chat/completions", "operation": "chat"}


def test_a_replay_without_changes(run: Run, config: str, tmp_path: Path) -> None:
    same = LINE | {"asked": "custom", "provider": "custom", "model": "custom"}
    log = write_log(tmp_path / "a.log", same, same, "not json", {"event": "listening"}, "\xff")
    done = run("check", "--config", config, "--replay", log)
    assert done.code == 0
    assert "2 requests, 1 kinds: all go where they went" in done.out


def test_a_replay_prints_the_requests_that_would_go_elsewhere(run: Run, config: str, tmp_path: Path) -> None:
    log = write_log(
        tmp_path / "a.log",
        LINE | {"asked": "other", "provider": "openrouter", "model": "openai/gpt-4o"},
        LINE | {"asked": "gone/x", "provider": "gone", "model": "x"},
        LINE | {"asked": "x", "provider": "p", "model": "x", "path": "/p/v1/chat/completions"},
    )
    done = run("check", "--config", config, "--replay", log)
    assert done.code == 1
    assert "1\tother\topenrouter/openai/gpt-4o\tcustom/custom" in done.out
    assert "an error: " in done.out
    assert "2 of 2 requests would go elsewhere" in done.out


def test_a_replay_refuses_a_missing_log_and_one_without_requests(
    run: Run, config: str, tmp_path: Path
) -> None:
    assert run("check", "--config", config, "--replay", str(tmp_path / "none.log")).code == 2
    assert run("check", "--config", config, "--replay", write_log(tmp_path / "a.log", "{}")).code == 2
