"""The bench's commands as a whole, in their shortest form. Nothing here is a statement about speed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from bench.interpreters import this_build
from bench.machine import BenchError, find_program

ROOT = Path(__file__).resolve().parents[2]
STAND_IN = Path(__file__).with_name("peers") / "stand_in.py"


def bench(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        find_program("nginx", "")
    except BenchError:
        pytest.skip("nginx is not installed")
    command = (sys.executable, "-m", module, *arguments)
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)


def test_one_case_is_measured_and_told(tmp_path: Path) -> None:
    output = tmp_path / "results.md"
    words = ("--only", "json-rate-limits", "--rounds", "1", "--seconds", "0.2", "--output", str(output))
    done = bench("bench", *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert this_build().words in done.stdout
    text = output.read_text()
    assert f"- Python: CPython {sys.version.split()[0]}, {this_build().words}\n" in text
    assert "- Instructions: not counted\n" in text
    [cpu] = [line for line in text.splitlines() if line.startswith("| CPU µs per request |")]
    assert cpu.count("|") == 7  # direct, nginx, the gateway with limits, ratio and goal
    assert "≤ 3.0" in cpu


def test_an_unknown_case_is_an_error() -> None:
    done = bench("bench", "--only", "nothing")
    assert done.returncode == 1
    assert done.stderr.startswith("bench: no such case: nothing; there are json, ")


def test_a_peer_is_measured_beside_nginx_and_the_gateway(tmp_path: Path) -> None:
    olla = tmp_path / "olla"
    olla.write_text(f'#!/bin/sh\nexec {sys.executable} {STAND_IN} "$@"\n')
    olla.chmod(0o755)
    output = tmp_path / "peers.md"
    words = ("--peer", "olla", "--olla", str(olla), "--only", "json-open-low", "--quick", "--seconds", "0.1")
    done = bench("bench.peers", *words, "--output", str(output))
    assert (done.returncode, done.stderr) == (0, "")
    text = output.read_text()
    assert "| | direct | nginx | gateway | olla | better than the gateway |".replace("| |", "|  |") in text
    [cpu] = [line for line in text.splitlines() if line.startswith("| CPU µs per request |")]
    assert "–" not in cpu.split("|", 3)[3]  # only the mock alone has none
    assert "- Olla: version unknown; routes by model" in text


def test_a_peer_that_does_not_start_is_left_out(tmp_path: Path) -> None:
    olla = tmp_path / "olla"
    olla.write_text("#!/bin/sh\necho I would rather not >&2\nexit 3\n")
    olla.chmod(0o755)
    words = ("--peer", "olla", "--olla", str(olla), "--only", "json-open-low", "--quick", "--seconds", "0.1")
    done = bench("bench.peers", *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert "olla was not measured: olla did not start (status 3):\nI would rather not" in done.stdout
