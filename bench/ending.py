"""How a bench ends: whatever ends it stops its children, and a hang ends it after a while."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable

from bench.machine import BenchError


def run(bench: Callable[[], None]) -> int:
    """Run ``bench``; returns the exit status. Every way out unwinds its stack."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        bench()
    except (BenchError, OSError, subprocess.SubprocessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def end_after(seconds: int) -> None:
    """Have a ``BenchError`` raised in the main thread after so long; ``signal.alarm(0)`` takes it back."""

    def too_long(_number: int, _frame: object) -> None:
        raise BenchError(f"not done within {seconds} s")

    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(seconds)
