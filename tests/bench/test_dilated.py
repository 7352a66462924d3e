"""Timers that are made longer, or, as here, shorter: hours take no time with the factor 0."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

WAITS = """
import asyncio, sys, threading, time
import uvloop

time.sleep(3600)
assert not threading.Event().wait(3600)
condition = threading.Condition()
with condition:
    assert not condition.wait(timeout=3600)

async def main():
    loop = asyncio.get_running_loop()
    assert isinstance(loop, uvloop.Loop)
    await asyncio.sleep(3600)
    done = loop.create_future()
    loop.call_at(loop.time() + 3600, done.set_result, "at")
    assert await done == "at"
    try:
        async with asyncio.timeout(3600):
            await loop.create_future()
    except TimeoutError:
        pass

with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(main())
print(sys.argv)
"""


def test_all_timers_of_a_program_are_changed(tmp_path: Path) -> None:
    (tmp_path / "waits.py").write_text(WAITS)
    done = subprocess.run(
        (sys.executable, "-m", "bench.dilated", "0", "waits", "and", "--arguments"),
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("waits.py', 'and', '--arguments']\n")
