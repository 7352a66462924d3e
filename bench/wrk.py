"""The load generator for saturation: wrk, driven by a script of one request."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

from bench.client import Ask
from bench.machine import BenchError, find_program, on_core


class Flood(NamedTuple):
    """What wrk saw."""

    requests: int
    seconds: float

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


def flood(ask: Ask, *, connections: int, seconds: int, folder: Path, core: int) -> Flood:
    """Ask as fast as ``connections`` allow, for ``seconds``.

    Raises:
        BenchError: wrk is missing or failed, or an answer was not 2xx.
    """
    program = find_program("wrk", "Debian: apt install wrk")
    script = folder / "wrk.lua"
    script.write_text(_script(ask))
    url = f"http://127.0.0.1:{ask.port}{ask.path}"
    with on_core(core):
        done = subprocess.run(
            (program, "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), url),
            capture_output=True,
            text=True,
            timeout=seconds + 30,
            check=False,
        )
    found = re.search(r"(\d+) requests in ([\d.]+)(ms|s|m),", done.stdout)
    if done.returncode or found is None or "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise BenchError(f"wrk failed:\n{done.stdout}{done.stderr}")
    return Flood(int(found[1]), float(found[2]) * {"ms": 0.001, "s": 1.0, "m": 60.0}[found[3]])


def _script(ask: Ask) -> str:
    lines = ['wrk.method = "POST"', f"wrk.body = {_quoted(ask.body.decode())}"]
    headers = (("Content-Type", "application/json"), *ask.headers)
    lines += [f"wrk.headers[ {_quoted(name)} ] = {_quoted(value)}" for name, value in headers]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A Lua string, in long brackets that do not occur in it."""
    level = "="
    while f"]{level}]" in text:
        level += "="
    return f"[{level}[{text}]{level}]"
