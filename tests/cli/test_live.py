"""The command line in a process of its own: a gateway on a port, and keys that change while it runs."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "trunkline"]


def request_status(url: str, key: str | None) -> int:
    body = json.dumps({"model": "custom", "messages": [{"role": "user", "content": "Hello"}]}).encode()
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def becomes(url: str, key: str, status: int) -> bool:
    """Whether a request gets the status ``status`` within 30 seconds."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if request_status(url, key) == status:
            return True
    return False


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The URL and the first key of a gateway that `trunkline up` started."""
    env = {**os.environ, "OLLAMA_ENABLED": "false"}
    command = [*COMMAND, "up", "--port", "0", "--host", "127.0.0.1"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=log)
        try:
            assert process.stdout is not None
            with process.stdout:
                printed = ""
                while "model" not in printed:
                    line = process.stdout.readline().decode()
                    assert line, (tmp_path / "log").read_text(encoding="utf-8")
                    printed += line
                found = re.search(r"curl (\S+)", printed)
                key = re.search(r"gw_[\w-]{43}", printed)
                assert found
                assert key
                yield found[1], key[0]
                process.send_signal(signal.SIGTERM)
                assert process.wait(60) == 0
        finally:
            process.kill()
            process.wait()
    written = (tmp_path / "log").read_text(encoding="utf-8")
    assert key[0] not in written
    assert json.loads(written.splitlines()[-1])["event"] == "stopped"


def test_a_running_gateway_notices_new_and_revoked_keys(gateway: tuple[str, str], tmp_path: Path) -> None:
    url, first = gateway
    assert request_status(url, first) == 200
    assert request_status(url, None) == 401
    made = subprocess.run(
        [*COMMAND, "keys", "create", "app"], cwd=tmp_path, check=True, capture_output=True, timeout=60
    )
    key = made.stdout.decode().strip()
    assert becomes(url, key, 200)
    subprocess.run(
        [*COMMAND, "keys", "revoke", "app"], cwd=tmp_path, check=True, capture_output=True, timeout=60
    )
    assert becomes(url, key, 401)
    assert request_status(url, first) == 200


def test_a_port_in_use_is_reported_in_one_line(gateway: tuple[str, str], tmp_path: Path) -> None:
    port = gateway[0].split(":")[2].partition("/")[0]
    done = subprocess.run(
        [*COMMAND, "serve", "--port", port], cwd=tmp_path, check=False, capture_output=True, timeout=60
    )
    assert done.returncode == 1
    assert "Address already in use" in done.stderr.decode().splitlines()[-1]
    assert "Traceback" not in done.stderr.decode()
