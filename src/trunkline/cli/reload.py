"""``trunkline serve --reload``: the gateway in a child process, started again when a file changes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.cli.common import note
from trunkline.settings.load import DEFAULT_CONFIG_FILE, DEFAULT_ENV_FILE

if TYPE_CHECKING:
    from types import FrameType

_LOOK_EVERY_S = 0.5


def serve_again_and_again(config: Path | None) -> int:
    """Run this command line without ``--reload`` and restart it on changes, until a signal ends it."""
    command = [sys.executable, "-m", "trunkline", *(word for word in sys.argv[1:] if word != "--reload")]
    return supervise(
        command, [Path(__file__).parents[1]], [config or Path(DEFAULT_CONFIG_FILE), Path(DEFAULT_ENV_FILE)]
    )


def supervise(command: list[str], folders: list[Path], files: list[Path]) -> int:
    """Run ``command``, again after each change below ``folders`` (``*.py``) or of ``files``.

    A child that failed by itself is started again after the next change. Returns 0 on SIGTERM, 130 on SIGINT.
    """
    signal.signal(signal.SIGTERM, _stop)
    seen = _state(folders, files)
    child = subprocess.Popen(command)
    try:
        while True:
            time.sleep(_LOOK_EVERY_S)
            now = _state(folders, files)
            if now != seen:
                seen = now
                note("a file changed; starting again")
                _end(child)
                child = subprocess.Popen(command)
    except KeyboardInterrupt:
        return 130
    except SystemExit:
        return 0
    finally:
        _end(child)


def _state(folders: list[Path], files: list[Path]) -> dict[Path, int]:
    """When each watched file was last written."""
    watched = [path for folder in folders for path in folder.rglob("*.py")] + files
    return {path: path.stat().st_mtime_ns for path in watched if path.exists()}


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    child.wait()


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)
