"""Runs a module with all its timers made longer: ``python -m bench.dilated FACTOR MODULE ARGUMENTS…``.

Under a tool that slows a program down, timers end too early for it: what is gathered for 30 ms would be one
request in place of a hundred, and the work of each batch would be counted for every request. Timers that are
slowed down as much as the program keep batches as large as they are at full speed.
"""

from __future__ import annotations

import runpy
import sys
import threading
import time
from asyncio import TimerHandle
from collections.abc import Callable
from contextvars import Context
from typing import Any, SupportsIndex


def dilate(factor: float) -> None:
    """Make timers of this process ``factor`` times as long: sleeps, waits on conditions and events, and
    uvloop's timers."""
    _dilate_threads(factor)
    _dilate_uvloop(factor)


def _dilate_threads(factor: float) -> None:
    sleep, wait = time.sleep, threading.Condition.wait

    def longer_sleep(seconds: float | SupportsIndex) -> None:
        sleep(float(seconds) * factor)

    def longer_wait(self: threading.Condition, timeout: float | None = None) -> bool:
        return wait(self, None if timeout is None else timeout * factor)

    time.sleep = longer_sleep
    threading.Condition.wait = longer_wait  # type: ignore[method-assign]


def _dilate_uvloop(factor: float) -> None:
    try:
        import uvloop
    except ImportError:
        return

    class Loop(uvloop.Loop):
        """uvloop's, whose call_at is made of call_later."""

        def call_later(  # type: ignore[override]
            self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
        ) -> TimerHandle:
            return super().call_later(delay * factor, callback, *args, context=context)

    uvloop.new_event_loop = Loop


def main() -> None:
    """Run the module that the command line names."""
    factor, module = float(sys.argv[1]), sys.argv[2]
    sys.argv = [module, *sys.argv[3:]]
    dilate(factor)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
