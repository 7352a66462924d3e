"""Fixtures that call the command line in this process, in an empty folder."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
import typer.main

from trunkline.cli import main


class Done(NamedTuple):
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str


Run = Callable[..., Done]
Terminal = Callable[[str], None]


@pytest.fixture(scope="session", autouse=True)
def commands_are_built_once() -> Iterator[None]:
    """typer builds all commands anew at each call, which takes longer than most commands do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", cache(typer.main.get_command))
        yield


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Call ``trunkline`` with these words; settings may be given as NAME="value"."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str, **env: str) -> Done:
        capsys.readouterr()
        with monkeypatch.context() as patch:
            for name, value in env.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as end:
                main(words)
        out, err = capsys.readouterr()
        assert isinstance(end.value.code, int)
        return Done(end.value.code, out, err)

    return call


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Make standard output a terminal with a number of columns."""

    def become(columns: str) -> None:
        monkeypatch.setenv("COLUMNS", columns)
        monkeypatch.setattr(type(sys.stdout), "isatty", lambda _: True, raising=False)

    return become
