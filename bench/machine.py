"""What the kernel knows: cores and who runs on them, CPU time, wake-ups, memory, versions.

Reads ``/proc`` and sets affinities; knows nothing of what is measured. CPU time is the scheduler's own sum in
nanoseconds (``schedstat``), because the ticks of ``stat`` (10 ms each) are too coarse for a short run; they
are only used to part it into user and system.
"""

from __future__ import annotations

import math
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Final, NamedTuple

from bench.interpreters import this_build

PROC: Final = Path("/proc")
TICK_NS: Final = 1_000_000_000 // os.sysconf("SC_CLK_TCK")

_TICKS: Final = 50
"""Fewer ticks than this are too few to part a run's CPU time by."""

_LIBRARIES: Final = ("trunkline", "uvicorn", "uvloop", "httptools", "msgspec")


class BenchError(Exception):
    """The bench cannot go on; the text says why."""


class Cores(NamedTuple):
    """Who runs where. With one core everything shares it, and the numbers say little."""

    measured: int
    """nginx or the gateway, alone."""
    upstream: int
    client: int

    @property
    def apart(self) -> bool:
        """Whether what is measured has its core for itself."""
        return self.measured not in (self.upstream, self.client)


def choose_cores() -> Cores:
    """The first core for what is measured, the next ones for the rest."""
    usable = sorted(os.sched_getaffinity(0))
    upstream = usable[1 % len(usable)]
    return Cores(usable[0], upstream, usable[2] if len(usable) > 2 else upstream)


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Run this process on ``core``, so that a process started here is born there."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Spent(NamedTuple):
    """What a family of processes has used so far, or between two looks at it."""

    cpu_ns: int
    user_ticks: int
    system_ticks: int
    wakeups: int
    """Times that a thread went to sleep of its own accord: each costs a wake-up."""

    def since(self, before: Spent) -> Spent:
        """The difference."""
        return Spent(*(now - then for now, then in zip(self, before, strict=True)))

    @property
    def user_share(self) -> float:
        """Part of the CPU time that was spent outside the kernel, 0 to 1; NaN where the ticks are few."""
        ticks = self.user_ticks + self.system_ticks
        return self.user_ticks / ticks if ticks >= _TICKS else math.nan


NOTHING: Final = Spent(0, 0, 0, 0)


def family(pid: int) -> list[int]:
    """``pid`` and all its descendants."""
    children: dict[int, list[int]] = {}
    for path in PROC.glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found = [pid]
    for each in found:  # grows while it is walked
        found += children.get(each, [])
    return found


def spent(pids: list[int]) -> Spent:
    """What all threads of ``pids`` have used since they started."""
    total, user, system, wakeups = 0, 0, 0, 0
    for pid in pids:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        user += int(fields[11])
        system += int(fields[12])
        for task in (PROC / str(pid) / "task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
            status = (task / "status").read_text()
            wakeups += int(status.rpartition("\nvoluntary_ctxt_switches:")[2].split()[0])
    return Spent(total, user, system, wakeups)


def busy_ns(core: int) -> int:
    """Time that ``core`` was not idle since the machine started, stolen time included."""
    for line in (PROC / "stat").read_text().splitlines():
        name, *numbers = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, numbers[:8])
            return (user + nice + system + irq + softirq + steal) * TICK_NS
    raise BenchError(f"/proc/stat has no core {core}")


def resident_mb(pids: list[int]) -> float:
    """Resident memory in megabytes (10^6 bytes), pages that the processes share counted in each."""
    total = 0
    for pid in pids:
        status = (PROC / str(pid) / "status").read_text()
        total += int(status.rpartition("\nVmRSS:")[2].split()[0])
    return total * 1024 / 1e6


def describe() -> dict[str, str]:
    """Machine and versions, without anything that names this machine or its user."""
    cpuinfo = (PROC / "cpuinfo").read_text()
    model = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    return {
        "cores": f"{len(os.sched_getaffinity(0))} × {model[1] if model else platform.machine()}",
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": f"{platform.python_implementation()} {platform.python_version()}, {this_build().words}",
        "libraries": libraries,
        "tools": f"{_first_line('nginx', '-v')}; {_first_line('wrk', '-v')}",
    }


def find_program(program: str, advice: str) -> str:
    """Where a program is.

    Raises:
        BenchError: it is not installed; ``advice`` says how it would be.
    """
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise BenchError(f"{program} is not installed ({advice})")
    return found


def _first_line(program: str, option: str) -> str:
    command = find_program(program, "it is asked for its version"), option
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    line = (done.stderr + done.stdout).strip().splitlines()[0]
    return line.removeprefix("nginx version: ").partition(" [")[0]
