"""Completion of words in a shell, which typer brings along."""

from pathlib import Path

import pytest

from tests.cli.conftest import Run


def in_shell(monkeypatch: pytest.MonkeyPatch, shell: str) -> None:
    monkeypatch.setattr("shellingham.detect_shell", lambda: (shell, f"/bin/{shell}"))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell(run: Run, monkeypatch: pytest.MonkeyPatch, shell: str) -> None:
    in_shell(monkeypatch, shell)
    done = run("--show-completion")
    assert (done.code, done.err) == (0, "")
    assert f"_TRUNKLINE_COMPLETE=complete_{shell}" in done.out


def test_installing_it(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
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
def test_what_is_offered(run: Run, typed: str, offered: list[str]) -> None:
    at = str(len(typed.split(" ")) - 1)
    done = run(_TRUNKLINE_COMPLETE="complete_bash", COMP_WORDS=typed, COMP_CWORD=at)
    assert (done.code, done.out.split()) == (0, offered)
