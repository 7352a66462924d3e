"""Counts the Python frames and bytecodes that a request takes in each room of the code.

``python -m bench.frames OUTPUT MODULE ARGUMENTS…`` runs a module and counts between the signals SIGUSR1 and
SIGUSR2, then writes what it counted to OUTPUT. A generator or coroutine that goes on counts as a frame. The
rooms are those of docs/architecture.md; other packages go by their names.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import sys
import sysconfig
import threading
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final, NamedTuple

from bench.client import Ask, streams
from bench.counted import SETTLE_S
from bench.machine import BenchError
from bench.rig import Process

_CONNECTIONS: Final = 32
_WARM_EACH: Final = 5
_EACH: Final = 20
_SLOWDOWN: Final = 20
"""The factor by which a program is slower under the tracer, roughly."""
_WAIT_S: Final = 30.0


class Work(NamedTuple):
    """Of one request."""

    frames: float
    bytecodes: float


class Tracer:
    """Counts by code object while it is on; for ``sys.settrace``."""

    def __init__(self) -> None:
        self.on = False
        self.frames: dict[CodeType, int] = {}
        self.bytecodes: dict[CodeType, int] = {}

    def __call__(self, frame: FrameType, event: str, _argument: object) -> Callable[..., Any] | None:
        """A frame begins or goes on."""
        if not self.on:
            return None
        code = frame.f_code
        self.frames[code] = self.frames.get(code, 0) + 1
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return self._step

    def _step(self, frame: FrameType, event: str, _argument: object) -> Callable[..., Any] | None:
        if not self.on:
            return None
        if event == "opcode":
            code = frame.f_code
            self.bytecodes[code] = self.bytecodes.get(code, 0) + 1
        return self._step

    def rooms(self) -> dict[str, list[int]]:
        """Frames and bytecodes, by room."""
        found: dict[str, list[int]] = {}
        for column, counts in enumerate((self.frames, self.bytecodes)):
            for code, number in counts.items():
                found.setdefault(room(code.co_filename), [0, 0])[column] += number
        return found


@cache
def room(filename: str) -> str:
    """The room of a file: ``server/http``, ``pipeline``, ``exchange.py``; else a package's name."""
    parts = Path(filename).parts
    if filename.startswith("<"):
        return "generated code"
    if "trunkline" in parts[-5:-1]:
        inside = parts[len(parts) - parts[::-1].index("trunkline") :]
        depth = 2 if inside[0] in ("server", "dialects") and len(inside) > 2 else 1
        return "/".join(inside[:depth])
    for name in ("site-packages", "dist-packages"):
        if name in parts:
            return f"package {Path(parts[parts.index(name) + 1]).stem}"
    if filename.startswith(sysconfig.get_paths()["stdlib"]):
        return "standard library"
    return "other"


def measure(
    start: Callable[..., Process],
    make_ask: Callable[[int], Ask],
    *,
    each: int = _EACH,
    slowdown: float = _SLOWDOWN,
) -> dict[str, Work]:
    """Run a server under the tracer; returns what a request of it takes, by room.

    Args:
        start: starts it, given ``module``: what runs the server's own module.
        make_ask: makes the request to a port.
        each: requests of each connection.
        slowdown: the factor by which timers are made longer, as the server is.

    Raises:
        BenchError: nothing was counted.
    """
    output_name = f"traced-{time.monotonic_ns()}.json"
    process = start(module=("bench.dilated", str(slowdown), "bench.frames", output_name))
    output = process.folder / output_name
    try:
        process.wait_ready(120.0)
        load = partial(streams, make_ask(process.port), connections=_CONNECTIONS, guard_s=60.0)
        load(each=_WARM_EACH)
        time.sleep(SETTLE_S * slowdown)
        os.kill(process.pids[0], signal.SIGUSR1)
        load(each=each)
        time.sleep(SETTLE_S * slowdown)
        os.kill(process.pids[0], signal.SIGUSR2)
        end = time.monotonic() + _WAIT_S
        while not output.exists():
            if time.monotonic() > end:
                raise BenchError("the tracer wrote nothing")
            time.sleep(0.05)
    finally:
        process.stop()
    requests = _CONNECTIONS * each
    found = json.loads(output.read_text())
    return {name: Work(frames / requests, codes / requests) for name, (frames, codes) in found.items()}


def main() -> None:
    """Run the module that the command line names."""
    output, module = Path(sys.argv[1]), sys.argv[2]
    sys.argv = [module, *sys.argv[3:]]
    tracer = Tracer()

    def begin(_number: int, _frame: object) -> None:
        tracer.on = True

    def end(_number: int, _frame: object) -> None:
        tracer.on = False
        part = output.with_suffix(".part")
        part.write_text(json.dumps(tracer.rooms()))
        part.rename(output)

    signal.signal(signal.SIGUSR1, begin)
    signal.signal(signal.SIGUSR2, end)
    threading.settrace(tracer)
    sys.settrace(tracer)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
