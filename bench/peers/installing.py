"""Installs the peers that are packages, each into an environment of its own under ``.bench-peers``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from bench.machine import BenchError

FOLDER: Final = Path(__file__).resolve().parents[2] / ".bench-peers"
"""Git ignores it. To install everything anew, remove it."""

_LIMIT_S: Final = 900.0
_STAMP: Final = ".installed"


def install_python(folder: Path, package: str, version: str) -> Path:
    """Install a PyPI package with the Python that runs the bench; returns the folder of its programs.

    Raises:
        BenchError: it cannot be installed; the text has the installer's last words.
    """
    wanted = f"{package}=={version} on {sys.version}"
    if not _is_installed(folder, wanted):
        shutil.rmtree(folder, ignore_errors=True)
        python = str(folder / "bin" / "python")
        uv = shutil.which("uv") or shutil.which("uv", path=str(FOLDER.parent / ".venv" / "bin"))
        _run(sys.executable, "-m", "venv", *(["--without-pip"] if uv else []), str(folder))
        by = (uv, "pip", "install", "--python", python) if uv else (python, "-m", "pip", "install")
        _run(*by, "--quiet", f"{package}=={version}")
        (folder / _STAMP).write_text(wanted)
    return folder / "bin"


def install_node(folder: Path, package: str, version: str) -> Path:
    """Install an npm package, without running its scripts; returns its folder.

    Raises:
        BenchError: npm is not here, or it cannot be installed.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise BenchError("npm is not installed (Debian: apt install npm)")
    wanted = f"{package}@{version}"
    if not _is_installed(folder, wanted):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _run(npm, "install", "--prefix", str(folder), "--ignore-scripts", "--no-audit", "--no-fund", wanted)
        (folder / _STAMP).write_text(wanted)
    return folder / "node_modules" / package


def _is_installed(folder: Path, wanted: str) -> bool:
    stamp = folder / _STAMP
    return stamp.exists() and stamp.read_text() == wanted


def _run(*command: str) -> None:
    # No user's hash mode or folder: these are environments of their own.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PIP_RE", "UV_RE"))
    }
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_LIMIT_S, check=False, env=environment
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchError(f"{Path(command[0]).name}: {error}") from error
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise BenchError(f"{Path(command[0]).name} failed: {' '.join(words)}")
