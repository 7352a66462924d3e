"""``trunkline serve --reload``."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from trunkline.cli import reload as module

SUPERVISE = """
import sys
from pathlib import Path
from trunkline.cli.reload import supervise
child = [sys.executable, "-c", "import time; print('child', flush=True); time.sleep(600)"]
sys.exit(supervise(child, [Path(sys.argv[1])], [Path(sys.argv[1]) / "x.yaml"]))
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_the_child_is_restarted_after_a_change_and_ends_with_its_parent(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    parent = subprocess.Popen([sys.executable, "-c", SUPERVISE, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert parent.stdout is not None
        with parent.stdout:
            assert parent.stdout.readline() == b"child\n"
            (tmp_path / "x.yaml").write_text("port: 1", encoding="utf-8")
            assert parent.stdout.readline() == b"child\n"
            (tmp_path / "new.py").touch()
            assert parent.stdout.readline() == b"child\n"
            os.kill(parent.pid, number)
            assert parent.wait(60) == code
            assert parent.stdout.read() == b""  # the pipe ends only after the child has ended
    finally:
        parent.kill()
        parent.wait()


def test_the_child_runs_the_same_command_without_the_option(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[list[str], list[Path], list[Path]]] = []

    def supervise(command: list[str], folders: list[Path], files: list[Path]) -> int:
        calls.append((command, folders, files))
        return 0

    monkeypatch.setattr(sys, "argv", ["trunkline", "serve", "--reload", "--port", "1"])
    monkeypatch.setattr(module, "supervise", supervise)
    assert run("serve", "--reload", "--port", "1", "--config", "c.yaml").code == 0
    ((command, folders, files),) = calls
    assert command == [sys.executable, "-m", "trunkline", "serve", "--port", "1"]
    assert folders == [Path(module.__file__).parents[1]]
    assert files == [Path("c.yaml"), Path(".env")]
