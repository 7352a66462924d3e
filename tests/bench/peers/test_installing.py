"""Installing peers, with stand-ins for uv and npm."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from bench.machine import BenchError
from bench.peers.installing import install_node, install_python


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of the search path; what is called in it is written to `calls`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def program(folder: Path, name: str, script: str = "") -> None:
    path = folder / name
    path.write_text(f'#!/bin/sh\necho "$@" >>{folder}/calls\n{script}\n')
    path.chmod(0o755)


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().splitlines()


def test_a_python_package_gets_an_environment_of_its_own_once(programs: Path, tmp_path: Path) -> None:
    program(programs, "uv")
    folder = tmp_path / "peers" / "litellm"
    for _ in range(2):
        assert install_python(folder, "litellm[proxy]", "1.2.3") == folder / "bin"
    python = folder / "bin" / "python"
    assert python.exists()
    assert python.resolve() == Path(sys.executable).resolve()
    assert calls(programs) == [f"pip install --python {python} --quiet litellm[proxy]==1.2.3"]
    install_python(folder, "litellm[proxy]", "1.2.4")
    assert len(calls(programs)) == 2


def test_an_npm_package_runs_no_scripts_when_it_is_installed(programs: Path, tmp_path: Path) -> None:
    program(programs, "npm")
    folder = tmp_path / "peers" / "portkey"
    for _ in range(2):
        assert install_node(folder, "@x/y", "1.2.3") == folder / "node_modules" / "@x/y"
    [call] = calls(programs)
    assert "--ignore-scripts" in call
    assert call.endswith("@x/y@1.2.3")


def test_what_an_installer_says_is_told_and_it_is_tried_again(programs: Path, tmp_path: Path) -> None:
    program(programs, "npm", "echo 'no such version' >&2; exit 1")
    for _ in range(2):
        with pytest.raises(BenchError, match="npm failed: no such version"):
            install_node(tmp_path / "portkey", "@x/y", "1.2.3")
    assert len(calls(programs)) == 2


def test_without_npm_one_is_told_how_to_get_it(programs: Path, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="apt install npm"):
        install_node(tmp_path / "portkey", "@x/y", "1.2.3")
