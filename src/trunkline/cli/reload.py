"""``trunkline serve --reload``: it runs the gateway in a child process, and restarts it when files change."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.cli.common import print_notice
from trunkline.settings.load import DEFAULT_CONFIG_FILE, DEFAULT_ENV_FILE

if TYPE_CHECKING:
    from types import FrameType

_POLL_INTERVAL_S = 0.5


def serve_with_reload(config: Path | None) -> int:
    """Run this command line without ``--reload``, and restart it on changes until a signal ends it.

    Args:
        config: the configuration file to watch; None watches the default one.

    Returns:
        The exit code.
    """
    command = [sys.executable, "-m", "trunkline", *(word for word in sys.argv[1:] if word != "--reload")]
    return supervise(
        command, [Path(__file__).parents[1]], [config or Path(DEFAULT_CONFIG_FILE), Path(DEFAULT_ENV_FILE)]
    )


def supervise(command: list[str], folders: list[Path], files: list[Path]) -> int:
    """Run ``command`` as a child process, and restart it after each change of a watched file.

    If the child ends by itself, it is started again after the next change.

    Args:
        command: the words of the command.
        folders: all ``*.py`` files below these are watched.
        files: these are watched, too. They may be missing.

    Returns:
        The exit code: 0 after SIGTERM, 130 after SIGINT.
    """
    signal.signal(signal.SIGTERM, _raise_exit)
    times = _modification_times(folders, files)
    environment = os.environ | {"SHUTDOWN_DELAY_S": "0"}  # nobody drains what starts again at once
    child = subprocess.Popen(command, env=environment)
    try:
        while True:
            time.sleep(_POLL_INTERVAL_S)
            latest = _modification_times(folders, files)
            if latest != times:
                times = latest
                print_notice("a file changed; starting again")
                _terminate(child)
                child = subprocess.Popen(command, env=environment)
    except KeyboardInterrupt:
        return 130
    except SystemExit:
        return 0
    finally:
        _terminate(child)


def _modification_times(folders: list[Path], files: list[Path]) -> dict[Path, int]:
    """When each watched file was last written, in nanoseconds of Unix time."""
    watched = [path for folder in folders for path in folder.rglob("*.py")] + files
    return {path: path.stat().st_mtime_ns for path in watched if path.exists()}


def _terminate(child: subprocess.Popen[bytes]) -> None:
    """End the child and wait for its end."""
    child.terminate()
    child.wait()


def _raise_exit(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)
