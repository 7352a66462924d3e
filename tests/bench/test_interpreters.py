"""How an interpreter was built, and which one the bench takes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from bench.interpreters import Build, Interpreter, candidates, choose, find, inspect, judge, this_path

from bench import interpreters

DEBIAN = "'--enable-shared' '--with-wheel-pkg-dir=/usr/share/python-wheels/' 'CFLAGS=-g'"
FAST = Build(True, "optimised")
SLOW = Build(False, "NOT optimised")


@pytest.mark.parametrize(
    ("arguments", "machine", "optimised", "says"),
    [
        ("'--enable-shared'", "x86_64", False, "without --enable-optimizations"),
        ("", "x86_64", False, "without --enable-optimizations"),
        ("'--enable-optimizations'", "x86_64", True, "(--enable-optimizations)"),
        ("'--enable-optimizations' '--with-lto'", "aarch64", True, "(--enable-optimizations, --with-lto)"),
        ("'--with-lto'", "x86_64", False, "without --enable-optimizations"),
        ("'--enable-optimizations' '--with-pydebug'", "x86_64", False, "debug"),
        (DEBIAN, "x86_64", True, "Debian"),
        (DEBIAN, "riscv64", False, "without --enable-optimizations"),
    ],
)
def test_the_arguments_of_configure_say_how_it_was_built(
    arguments: str, machine: str, optimised: bool, says: str
) -> None:
    build = judge(arguments, machine)
    assert build.optimised is optimised
    assert says in build.words
    assert build.words.startswith("optimised" if optimised else "NOT optimised")


def test_an_interpreter_is_asked_about_itself() -> None:
    found = inspect(sys.executable)
    assert found is not None
    assert found.path == this_path()
    assert found.version == sys.version_info[:3]
    assert found.build == interpreters.this_build()
    assert found.label.startswith(f"CPython {sys.version_info[0]}.{sys.version_info[1]}.")


@pytest.mark.parametrize(
    "script",
    [
        "exit 1",
        "echo no JSON",
        'echo \'["/old", "CPython", [3, 10, 1], "", false]\'',
        'echo \'["/new", "CPython", [3, 99, 0], "", false]\'',
        'echo \'["/other", "PyPy", [3, 11, 0], "", false]\'',
        'echo \'["/threads", "CPython", [3, 13, 0], "", true]\'',
    ],
)
def test_what_does_not_run_or_is_not_supported_is_passed_over(script: str, tmp_path: Path) -> None:
    assert inspect(program(tmp_path / "python3", script)) is None


def test_one_that_several_names_lead_to_is_found_once(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b", tmp_path / ".pyenv" / "versions" / "3.11.0" / "bin"]
    for folder in folders:
        folder.mkdir(parents=True)
        program(
            folder / "python3", 'echo \'["/real", "CPython", [3, 11, 4], "--enable-optimizations", false]\''
        )
    path = os.pathsep.join(map(str, folders[:2]))
    mine = [each for each in candidates(path, tmp_path) if tmp_path in each.parents]
    assert mine == [folder / "python3" for folder in folders]
    assert find(mine) == [Interpreter("/real", (3, 11, 4), Build(True, "optimised (--enable-optimizations)"))]


@pytest.mark.parametrize(
    ("present", "others", "chosen"),
    [
        (((3, 11, 7), SLOW), [], (3, 11, 7)),
        (((3, 11, 7), SLOW), [((3, 13, 0), SLOW)], (3, 11, 7)),
        (((3, 11, 7), SLOW), [((3, 13, 0), FAST), ((3, 11, 2), FAST), ((3, 12, 1), FAST)], (3, 11, 2)),
        (((3, 11, 7), SLOW), [((3, 12, 1), FAST), ((3, 13, 0), FAST)], (3, 13, 0)),
        (((3, 11, 7), FAST), [((3, 13, 0), FAST)], (3, 11, 7)),
    ],
)
def test_an_optimised_one_is_preferred(
    present: tuple[tuple[int, ...], Build],
    others: list[tuple[tuple[int, ...], Build]],
    chosen: tuple[int, ...],
) -> None:
    own, *rest = (Interpreter(f"/{version}", version, build) for version, build in [present, *others])
    assert choose(own, rest).version == chosen


def test_one_that_is_given_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = program(tmp_path / "python3", 'echo \'["/given", "CPython", [3, 12, 4], "", false]\'')
    assert interpreters.main(["--best", "--given", str(other)]) == 0
    assert capsys.readouterr().out == "/given\n"
    assert interpreters.main(["--best", "--given", sys.executable]) == 0
    assert capsys.readouterr().out == "\n"
    assert interpreters.main(["--best", "--given", str(tmp_path / "none")]) == 1
    assert "is no CPython" in capsys.readouterr().err


def program(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path
