"""Completion in a shell, which typer provides."""

from pathlib import Path

import pytest

from tests.cli.conftest import Run


def in_shell(monkeypatch: pytest.MonkeyPatch, shell: str) -> None:
    monkeypatch.setattr("shellingham.detect_shell", lambda: (shell, f"/bin/{shell}"))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_of_a_shell_is_printed(
    run: Run, monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    in_shell(monkeypatch, shell)
    done = run("--show-completion")
    assert (done.code, done.err) == (0, "")
    assert f"_TRUNKLINE_COMPLETE=complete_{shell}" in done.out


def test_completion_is_installed(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    in_shell(monkeypatch, "bash")
    done = run("--install-completion")
    assert (done.code, done.err) == (0, "")
    assert "trunkline" in (tmp_path / ".bashrc").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("trunkline che", ["check"]),
        ("trunkline keys c", ["create", "change"]),
        ("trunkline keys create x --role ", ["admin", "member", "read-only"]),
        ("trunkline budgets list --a", ["--all"]),
    ],
)
def test_commands_options_and_values_are_completed(run: Run, typed: str, offered: list[str]) -> None:
    word_index = str(len(typed.split(" ")) - 1)
    done = run(_TRUNKLINE_COMPLETE="complete_bash", COMP_WORDS=typed, COMP_CWORD=word_index)
    assert (done.code, done.out.split()) == (0, offered)
