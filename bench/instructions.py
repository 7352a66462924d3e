"""Counts the user instructions that a process takes for some work, with perf or with valgrind's callgrind.

Time on a shared machine differs by a tenth from one run to the next, instructions by two or three hundredths.
The kernel's are not counted. perf counts a program at full speed, but many virtual machines have no counters.
callgrind runs anywhere, some fifty times slower.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from bench.machine import BenchError

MISSING: Final = (
    "Instructions were not counted: this machine has no counters for perf, and valgrind is not installed "
    "(Debian: apt install valgrind)."
)
_EVENT: Final = "instructions:u"
_WAIT_S: Final = 60.0
_PERF_STARTS_S: Final = 0.3


class Counter(Protocol):
    """A way to count."""

    @property
    def name(self) -> str:
        """For the results."""

    @property
    def slowdown(self) -> float:
        """The factor by which a program that is counted is slower, roughly."""

    def prefix(self, name: str, folder: Path) -> Sequence[str]:
        """What stands before the command of a program called ``name`` that is to be counted."""

    def count(self, name: str, pids: Sequence[int], folder: Path, load: Callable[[], object]) -> int:
        """The instructions that ``pids`` take during ``load``.

        Raises:
            BenchError: they could not be counted.
        """


@dataclass(frozen=True)
class Perf:
    """The processor's own counters."""

    program: str
    name: str = "perf"
    slowdown: float = 1.0

    def prefix(self, name: str, folder: Path) -> Sequence[str]:
        """Nothing: it counts a process that runs."""
        return ()

    def count(self, name: str, pids: Sequence[int], folder: Path, load: Callable[[], object]) -> int:
        """See :class:`Counter`."""
        output = folder / f"perf-{name}.txt"
        command = (
            self.program,
            "stat",
            "-x",
            ",",
            "-e",
            _EVENT,
            "-o",
            str(output),
            "-p",
            ",".join(map(str, pids)),
        )
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as perf:
            try:
                time.sleep(_PERF_STARTS_S)
                load()
            finally:
                perf.send_signal(signal.SIGINT)
                try:
                    perf.wait(_WAIT_S)
                except subprocess.TimeoutExpired:
                    perf.kill()
        return read_perf(output.read_text())


@dataclass(frozen=True)
class Callgrind:
    """valgrind's simulated processor. It is off while a program starts, which takes long enough."""

    program: str
    control: str
    name: str = "callgrind"
    slowdown: float = 50.0

    def prefix(self, name: str, folder: Path) -> Sequence[str]:
        """See :class:`Counter`."""
        output = f"--callgrind-out-file={folder}/callgrind-{name}.%p"
        return (self.program, "--tool=callgrind", "--instr-atstart=no", output)

    def count(self, name: str, pids: Sequence[int], folder: Path, load: Callable[[], object]) -> int:
        """See :class:`Counter`."""
        before = set(folder.glob(f"callgrind-{name}.*"))
        self._tell(pids, "--instr=on")
        load()
        self._tell(pids, "--instr=off")
        self._tell(pids, "--dump")
        # callgrind_control returns when the order is given; the file is there a moment later.
        end = time.monotonic() + _WAIT_S
        while time.monotonic() < end:
            new = set(folder.glob(f"callgrind-{name}.*")) - before
            totals = [read_callgrind(path.read_text(errors="replace")) for path in new]
            if len(totals) >= len(pids) and None not in totals:
                return sum(total for total in totals if total is not None)
            time.sleep(0.05)
        raise BenchError(f"callgrind wrote nothing about {name}")

    def _tell(self, pids: Sequence[int], order: str) -> None:
        for pid in pids:
            with suppress(subprocess.TimeoutExpired):
                done = subprocess.run(
                    (self.control, order, str(pid)),
                    capture_output=True,
                    text=True,
                    timeout=_WAIT_S,
                    check=False,
                )
                if done.returncode == 0 and "Error" not in done.stdout:  # it may fail with the status 0
                    continue
            raise BenchError(f"callgrind_control {order} failed for {pid}")


def read_perf(text: str) -> int:
    """The count in the output of ``perf stat -x ,``.

    Raises:
        BenchError: the machine does not count.
    """
    found = re.search(rf"(?m)^(\d+),[^,]*,{_EVENT}", text)
    if found is None:
        raise BenchError(f"perf counted nothing:\n{text}")
    return int(found[1])


def read_callgrind(text: str) -> int | None:
    """The total of one dump of callgrind; nothing while it is being written."""
    found = re.search(r"(?m)^totals: (\d+)$", text)
    return int(found[1]) if found else None


def find_counter(path: str | None = None) -> Counter | None:
    """The best way to count on this machine, if there is one.

    Args:
        path: where programs are looked for, in place of ``PATH``.
    """
    perf = shutil.which("perf", path=path)
    if perf is not None:
        command = (perf, "stat", "-x", ",", "-e", _EVENT, "true")
        with suppress(OSError, subprocess.SubprocessError, BenchError):
            done = subprocess.run(command, capture_output=True, text=True, timeout=_WAIT_S, check=False)
            read_perf(done.stderr)
            return Perf(perf)
    valgrind, control = (shutil.which(name, path=path) for name in ("valgrind", "callgrind_control"))
    if valgrind is not None and control is not None:
        return Callgrind(valgrind, control)
    return None
