"""A store that cannot be used: every command says so in the same words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Run


def _no_folder() -> str:
    return "sqlite:///none/k.db"


def _a_folder() -> str:
    Path("k.db").mkdir()
    return "sqlite:///k.db"


def _through_a_file() -> str:
    Path("file").touch()
    return "sqlite:///file/k.db"


def _no_database() -> str:
    Path("k.db").write_bytes(b"something else entirely" * 100)
    return "sqlite:///k.db"


def _unreachable() -> str:
    return "postgresql://user:hunter2@127.0.0.1:1/d"


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (_no_folder, "the store none/k.db cannot be used: there is no folder "),
        (_a_folder, "the store k.db cannot be used: it is a folder and no file"),
        (_through_a_file, "the store file/k.db cannot be used: "),
        (_no_database, "the store k.db cannot be used: file is not a database"),
        (_unreachable, "the store postgresql://***@127.0.0.1:1/d cannot be used: connection"),
    ],
)
def test_every_command_says_the_same(
    run: Run, monkeypatch: pytest.MonkeyPatch, make: Callable[[], str], told: str
) -> None:
    monkeypatch.setattr("trunkline.cli.start.configure_logging", lambda *_: None)
    url = make()
    told = f"trunkline: error: DATABASE_URL: {told}"
    lines = set()
    commands = ("serve", "up", "keys list", "teams list", "usage show", "budgets list", "check")
    for words in (*commands, "db upgrade", "db status"):
        done = run(*words.split(), DATABASE_URL=url)
        assert done.code != 0
        assert done.err.startswith(told), (words, done.err)
        assert "hunter2" not in done.err
        lines |= set(done.err.splitlines()[:1])
    assert len(lines) == 1
