"""The mock as a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from trunkline_mock import run
from trunkline_mock.cli import main

from .wire import MESSAGES


def test_a_process_serves_until_it_gets_a_signal(tmp_path: Path) -> None:
    script = tmp_path / "s.yaml"
    script.write_text("script: {text: scripted}\n")
    command = [sys.executable, "-m", "trunkline_mock", "--shape", "cerebras", "--script", str(script)]
    with subprocess.Popen([*command, "--model", "m"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            assert line.startswith("Mock cerebras upstream ready at http://127.0.0.1:")
            url = line.split()[-1]
            assert httpx.get(f"{url}/models").json()["data"][0]["id"] == "m"
            body = {"model": "m", "messages": MESSAGES}
            answer = httpx.post(f"{url}/chat/completions", json=body).json()
            assert answer["choices"][0]["message"]["content"] == "scripted"
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--script", "absent.yaml"], "absent.yaml"),
        (["--shape", "azure"], "azure"),
        (["--port", "99999"], "99999"),
    ],
)
def test_an_invalid_option_is_reported_in_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_run_announces_its_address_and_ends_with_a_signal() -> None:
    lines: list[str] = []

    def announce(line: str) -> None:
        lines.append(line)
        threading.Timer(0, os.kill, (os.getpid(), signal.SIGINT)).start()

    run("ollama", announce=announce)
    assert lines[0].startswith("Mock ollama upstream ready at http://127.0.0.1:")
