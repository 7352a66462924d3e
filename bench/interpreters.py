"""Says how a Python was built, and finds an optimised one on this machine.

CPython built with ``--enable-optimizations`` (compiled by the profile of a test run) takes 11 to 16 % less
CPU for a request than one built without. A result means little unless it says which it is about.

    python -m bench.interpreters          # those on this machine, how each was built, and how fast it is
    python -m bench.interpreters --best   # the path of a better one than this; nothing if this one is as good
    python -m bench.interpreters --this   # the path of this one, outside its virtual environment
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

OLDEST: Final = (3, 11)
NEWEST: Final = (3, 13)
"""The versions that the project is tested with."""

_DEBIAN: Final = "--with-wheel-pkg-dir=/usr/share/python-wheels/"
"""Only Debian and what derives from it configure Python so. Their packages are built by profile and
at link time, and CONFIG_ARGS do not show it. Source: the changelog of Debian's packages of 2019 ("Enable
LTO/PGO builds on some architectures"; "Don't propagate lto flags to the _sysconfigdata
module")."""
_DEBIAN_OPTIMISES: Final = ("x86_64", "aarch64")

_PROBE: Final = (
    "import ensurepip, json, os, platform, sys, sysconfig, venv; get = sysconfig.get_config_var; "
    "print(json.dumps([os.path.realpath(sys._base_executable), platform.python_implementation(), "
    "list(sys.version_info[:3]), get('CONFIG_ARGS') or '', bool(get('Py_GIL_DISABLED'))]))"
)
_SPEED: Final = """
import time
class Point:
    def __init__(self, x): self.x = x
    def add(self, other): return Point(self.x + other.x)
def work():
    total, names = Point(0), {}
    for number in range(40_000):
        total = total.add(Point(number))
        names[b"%d" % (number % 50)] = total.x
def once():
    start = time.process_time(); work(); return time.process_time() - start
print(min(once() for _ in range(7)) * 1000)
"""
_PROBE_S: Final = 20.0


class Build(NamedTuple):
    """How an interpreter was built."""

    optimised: bool
    words: str


class Interpreter(NamedTuple):
    """One Python of this machine."""

    path: str
    version: tuple[int, ...]
    build: Build

    @property
    def label(self) -> str:
        """Its version and its build."""
        return f"CPython {'.'.join(map(str, self.version))}, {self.build.words}"


def judge(config_args: str, machine: str) -> Build:
    """Say how an interpreter was built.

    Args:
        config_args: sysconfig's ``CONFIG_ARGS``, the arguments of its ``configure``.
        machine: the kind of processor, as ``platform.machine()`` says it.
    """
    flags = ("--enable-optimizations", "--with-lto", "--enable-bolt")
    found = [flag for flag in flags if flag in config_args]
    if "--with-pydebug" in config_args:
        return Build(False, "NOT optimised (a debug build)")
    if flags[0] in found:
        return Build(True, f"optimised ({', '.join(found)})")
    if _DEBIAN in config_args and machine in _DEBIAN_OPTIMISES:
        return Build(True, "optimised (by profile and at link time: Debian's package)")
    return Build(False, "NOT optimised (built without --enable-optimizations)")


def this_build() -> Build:
    """How the running interpreter was built."""
    return judge(sysconfig.get_config_var("CONFIG_ARGS") or "", platform.machine())


def this_path() -> str:
    """The running interpreter, outside its virtual environment."""
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))


def candidates(path: str, home: Path) -> Iterator[Path]:
    """Files that may be a Python: those on the search path, of the system, of pyenv and of uv.

    Args:
        path: the value of ``PATH``.
        home: the user's folder.
    """
    names = [*(f"python{major}.{minor}" for major, minor in _versions()), "python3"]
    folders = [Path(each) for each in path.split(os.pathsep) if each]
    folders += [Path("/usr/bin"), Path("/usr/local/bin")]
    folders += sorted(home.glob(".pyenv/versions/*/bin"))
    folders += sorted(home.glob(".local/share/uv/python/*/bin"))
    for folder in dict.fromkeys(folders):
        for name in names:
            if os.access(folder / name, os.X_OK):
                yield folder / name


def _versions() -> Iterator[tuple[int, int]]:
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        yield NEWEST[0], minor


def inspect(path: Path | str) -> Interpreter | None:
    """Ask an interpreter about itself; nothing of one that does not run or is not supported."""
    try:
        done = subprocess.run(
            (str(path), "-I", "-c", _PROBE), capture_output=True, text=True, timeout=_PROBE_S, check=True
        )
        real, implementation, version, config_args, without_gil = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    if implementation != "CPython" or without_gil or not OLDEST <= tuple(version[:2]) <= NEWEST:
        return None
    return Interpreter(real, tuple(version), judge(config_args, platform.machine()))


def find(paths: Iterable[Path]) -> list[Interpreter]:
    """The interpreters at ``paths``, each once, though several names may lead to it."""
    found: dict[str, Interpreter] = {}
    for path in paths:
        interpreter = inspect(path)
        if interpreter is not None:
            found.setdefault(interpreter.path, interpreter)
    return list(found.values())


def choose(present: Interpreter, others: Iterable[Interpreter]) -> Interpreter:
    """The one to measure with: ``present`` if it is optimised or no other is; else one of its version, or the
    newest."""
    if present.build.optimised:
        return present
    better = [each for each in others if each.build.optimised]
    return max(
        better, key=lambda each: (each.version[:2] == present.version[:2], each.version), default=present
    )


def milliseconds(path: str) -> float:
    """The CPU time of a fixed loop of calls, attributes and dictionaries: the least of seven."""
    done = subprocess.run((path, "-I", "-c", _SPEED), capture_output=True, text=True, timeout=120, check=True)
    return float(done.stdout)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.interpreters", description=__doc__)
    parser.add_argument("--best", action="store_true", help="print the path of a better one than this")
    parser.add_argument("--this", action="store_true", help="print the path of this one")
    parser.add_argument("--given", default="", metavar="PATH", help="the one that --best shall say")
    given = parser.parse_args(arguments)
    present = Interpreter(this_path(), tuple(sys.version_info[:3]), this_build())
    if given.this:
        print(present.path)
        return 0
    if given.given:
        wanted = inspect(given.given)
        if wanted is None:
            print(f"{given.given} is no CPython 3.11 to 3.13 with its venv module", file=sys.stderr)
            return 1
        print("" if wanted.path == present.path else wanted.path)
        return 0
    if given.best and present.build.optimised:
        print()
        return 0
    found = find(candidates(os.environ.get("PATH", ""), Path.home()))
    if given.best:
        chosen = choose(present, found)
        print("" if chosen.path == present.path else chosen.path)
        return 0
    for each in found:
        mark = "*" if each.path == present.path else " "
        print(f"{mark} {milliseconds(each.path):6.1f} ms  {each.path}: {each.label}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
