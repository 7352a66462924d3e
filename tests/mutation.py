"""``make mutation``: how many small changes of the code do the tests notice?

mutmut changes one thing at a time in the rooms that ``pyproject.toml`` names, and runs the tests that pass by
it. A change that no test notices has survived. Results stay in ``mutants/``: a further run tries what has
changed, what was not reached in time and what has survived, and nothing else.

This module is also the pytest plugin of these runs. It leaves out what is too slow for thousands of runs, and
has the tests of the changed module run first: most changes are noticed by these.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NoReturn

import pytest
import structlog

from tests import gateways, services

ROOT: Final = Path(__file__).parent.parent
SHARE: Final = 85.0
"""The per cent of changes that must be noticed."""
_SLOW: Final = (
    "test_every_model_of_the_bundled_table_costs_what_its_library_says",
    "test_predictions_shorten_the_waits_of_a_fleet",
    "test_a_server_that_hangs_is_not_waited_for_without_end",  # a wait of its own, too short for changed code
)
_GUARD_S: Final = 6.0
"""Seconds after which a test that hangs fails in these runs."""
_REDIS_PORT: Final = "MUTATION_REDIS_PORT"
"""The environment variable with the port of the Redis that all of these test runs share."""
_ENV: Final = {
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # to load the plugins takes as long as the tests of one change
    "PYTEST_PLUGINS": "pytest_asyncio.plugin,_hypothesis_pytestplugin",
}
_NOTICED: Final = (1, 3, -24, 24, 36, 152, 255)
"""mutmut's codes of changes that were noticed: a test failed, pytest itself did, or it did not end."""
_UNTRIED: Final = (None, 2, 34)
"""Those of changes that were not tried: not reached, interrupted, left out."""
_LEFT_OUT: Final = 34
_A_FEW: Final = "trunkline.routing.names.*__mutmut_1"
"""The changes that are tried first, so that all are made and have names before some are chosen."""


def pytest_configure() -> None:
    """Write no log: a traceback with all its values, of which many changes bring one about, takes seconds. Do
    not wait for long either for what a change has kept from coming."""
    structlog.configure(processors=[_drop])
    gateways.GUARD = _GUARD_S


def _drop(*_: object) -> NoReturn:
    raise structlog.DropEvent


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Run the tests of the changed module by themselves, and the others only if these notice nothing: to
    collect hundreds of tests takes longer than to run a few."""
    own, others = _split_tests(os.environ.get("MUTANT_UNDER_TEST", ""), config.args)
    if not own or not others:
        return None
    options = [each for each in config.invocation_params.args if str(each) not in {*config.args}]
    code = pytest.main([*options, *own])
    if code != pytest.ExitCode.OK:
        return int(code)
    config.args[:] = others
    return None


def _split_tests(change: str, tests: Sequence[str]) -> tuple[list[str], list[str]]:
    """The tests of the module that a change is in, and the others. Tests mirror modules."""
    room, _, module = change.removeprefix("trunkline.").rpartition(".x")[0].partition(".")
    beginning = f"tests/{room}/test_{module}"
    own = [test for test in tests if module and test.startswith((beginning + ".", beginning + "_"))]
    chosen = frozenset(own)
    return own, [test for test in tests if test not in chosen]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what takes seconds."""
    items[:] = [item for item in items if not any(name in item.nodeid for name in _SLOW)]


@contextmanager
def _shared_redis(folder: Path) -> Iterator[services.Redis]:
    """The Redis that is there already, with the interface of ``services.redis_server``."""
    server = services.Redis(folder)
    server.port = int(os.environ[_REDIS_PORT])
    yield server


if _REDIS_PORT in os.environ:
    services.redis_server = _shared_redis


@contextmanager
def _environment() -> Iterator[dict[str, str]]:
    """The environment of the test runs: one Redis for all, which no run that is killed can leave behind."""
    env = os.environ | _ENV
    if shutil.which("redis-server") is None:
        yield env
        return
    with TemporaryDirectory() as folder, services.redis_server(Path(folder)) as server:
        yield env | {_REDIS_PORT: str(server.port)}


def _results() -> Iterator[Path]:
    """mutmut's files of results: one for each module, with a code for each change, or None."""
    yield from sorted((ROOT / "mutants" / "src").rglob("*.meta"))


def _codes(path: Path) -> dict[str, int | None]:
    codes: dict[str, int | None] = json.loads(path.read_text("utf-8"))["exit_code_by_key"]
    return codes


def prepare(names: Collection[str]) -> None:
    """Have these changes tried, or all: those that were not noticed yet."""
    for path in _results():
        try:
            found = json.loads(path.read_text("utf-8"))
        except ValueError:  # mutmut was interrupted while it wrote it
            path.unlink()
            path.with_suffix("").unlink()
            continue
        found["exit_code_by_key"] = {
            name: code if code in _NOTICED else None if name in names or not names else _LEFT_OUT
            for name, code in found["exit_code_by_key"].items()
        }
        path.write_text(json.dumps(found, indent=4), "utf-8")


def report(names: Collection[str], *, survivors: bool) -> bool:
    """Print what was noticed in each module, of the changes with these names or of all.

    Returns:
        Whether that is enough.
    """
    total: Counter[str] = Counter()
    lines = []
    for path in _results():
        verdicts = {name: _verdict(code) for name, code in _codes(path).items() if name in names or not names}
        if not verdicts:
            continue
        counts = Counter(verdicts.values())
        total += counts
        lines.append(_line(path.relative_to(ROOT / "mutants" / "src" / "trunkline").as_posix()[:-8], counts))
        if survivors:
            lines += [f"    {name}" for name, verdict in verdicts.items() if verdict == "survived"]
    lines += [_line("all", total), ""]
    enough = _share(total) >= SHARE and not total["untried"]
    if total["untried"]:
        lines.append(f"{total['untried']} changes were not tried in time; the next run goes on with them.")
    if not enough:
        lines.append(f"At least {SHARE:g} % have to be killed. `mutmut show NAME` shows a survivor.")
    sys.stdout.write("\n".join(lines) + "\n")
    return enough


def _verdict(code: int | None) -> str:
    if code in _UNTRIED:
        return "untried"
    return "killed" if code in _NOTICED else "survived"


def _share(counts: Counter[str]) -> float:
    tried = counts["killed"] + counts["survived"]
    return 100.0 * counts["killed"] / tried if tried else 0.0


def _line(name: str, counts: Counter[str]) -> str:
    numbers = "".join(f"{counts[each]:6d} {each}" for each in ("killed", "survived", "untried"))
    return f"{name:28}{numbers}{_share(counts):8.1f} %"


def _choose(rooms: list[str], sample: int | None) -> list[str]:
    """The names of the changes to try: so many of those in ``rooms``, always the same. None is all."""
    if not rooms and sample is None:
        return []
    prefixes = tuple(f"trunkline.{room}." for room in rooms) or ("",)
    names = [name for path in _results() for name in _codes(path) if name.startswith(prefixes)]
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())[:sample]


def _run(processes: int, until: float, *patterns: str) -> bool:
    """Have mutmut try what is to be tried, or what has these names. Returns whether it could work at all."""
    command = [str(Path(sys.executable).with_name("mutmut")), "run", *patterns]
    command += ["--max-children", str(processes)]
    with _environment() as env:
        process = subprocess.Popen(command, cwd=ROOT, env=env)
        try:
            return process.wait(max(0.0, until - time.monotonic())) == 0
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            process.send_signal(signal.SIGINT)
            process.wait()
            return True


def main() -> int:
    """Run mutmut for as long as it may take, and report."""
    parser = argparse.ArgumentParser(
        prog="make mutation ARGS=...", description="Change the code, run its tests."
    )
    parser.add_argument(
        "rooms", nargs="*", help="rooms or modules, such as routing or policy.guard; all by default"
    )
    parser.add_argument("--sample", type=int, help="try only so many changes; they are the same in every run")
    parser.add_argument("--minutes", type=float, default=90.0, help="the longest time that it may take (90)")
    parser.add_argument("--processes", type=int, default=2, help="how many processes run tests (2)")
    parser.add_argument("--survivors", action="store_true", help="print the names of the survivors as well")
    parser.add_argument("--report", action="store_true", help="only print the results of the last run")
    given = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a background shell has children ignore
    until = time.monotonic() + given.minutes * 60.0
    if not given.report:
        (ROOT / "mutants" / "mutmut-stats.json").unlink(missing_ok=True)  # there may be other tests now
        if not _run(given.processes, until, _A_FEW):
            return 1
    names = frozenset(_choose(given.rooms, given.sample))
    if not given.report:
        prepare(names)
        if not _run(given.processes, until):
            return 1
    return 0 if report(names, survivors=given.survivors) else 1


if __name__ == "__main__":
    sys.exit(main())
