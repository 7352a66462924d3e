"""A mock upstream for tests of the bench, started as the bench starts it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.rig import Mock, Process, free_ports

CORE = min(os.sched_getaffinity(0))


@contextmanager
def mock_upstream(mock: Mock, folder: Path) -> Iterator[int]:
    """Yields its port."""
    script = folder / f"{mock.name}.json"
    script.write_text(
        json.dumps({"models": ["bench", mock.name], "script": {"text": [mock.chunk], "repeat": mock.chunks}})
    )
    port = free_ports(1)[0]
    words = ("--shape", mock.shape, "--port", str(port), "--script", str(script))
    command = (sys.executable, "-m", "trunkline_mock", *words)
    process = Process(f"mock-{mock.name}", command, folder, CORE, port=port, path="/v1/models")
    try:
        process.wait_ready(60)
        yield port
    finally:
        process.stop()
