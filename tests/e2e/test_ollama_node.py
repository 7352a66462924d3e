"""npm's ``ollama``, run by node, against a fleet and a cloud behind one gateway."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.fleet import MODELS, Fleet
from tests.services import OUTSIDE

HERE = Path(__file__).parent / "node"
PATIENCE_S = 240
"""Seconds after which an installation or a run counts as hung."""


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the client and what it needs, installed from its lock file."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed")
    folder = tmp_path_factory.mktemp("node")
    for file in ("package.json", "package-lock.json", "client.mjs"):
        shutil.copy(HERE / file, folder)
    installed = subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=folder,
        env=OUTSIDE,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    if installed.returncode != 0:
        pytest.skip(f"npm cannot install: {installed.stderr.strip().splitlines()[-1:]}")
    return folder


@pytest.mark.parametrize("model", MODELS, ids=["local", "cloud"])
def test_a_session(node: Path, fleet: Fleet, model: str) -> None:
    done = subprocess.run(
        ["node", "client.mjs"],
        cwd=node,
        env=os.environ
        | {"TRUNKLINE_URL": fleet.url, "TRUNKLINE_KEY": fleet.admin, "MODEL": model, "PULLED": "by-node"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["chat"]["message"]["content"].endswith("heard: Hello!")
    assert told["chat"]["done_reason"] == "stop"
    assert "".join(part["message"]["content"] for part in told["stream"]).endswith("heard: Hello!")
    assert [part["done"] for part in told["stream"]].count(True) == 1
    assert told["stream"][-1]["done"]
    assert told["generate"]["response"].endswith("heard: Hello!")
    assert f"{model}:latest" in {each["model"] for each in told["list"]["models"]}
    assert told["show"]["model_info"]["general.architecture"]
    assert "completion" in told["show"]["capabilities"]
    assert isinstance(told["ps"]["models"], list)
    assert told["pull"][-1]["status"] == "success"
    assert any(line.get("total") and line.get("completed") == line["total"] for line in told["pull"])
    assert told["gone"]["status"] == "success"
    assert told["unknown"]["status"] == 404
    assert "nope" in told["unknown"]["message"]
    assert "file does not exist" in told["missing"]["message"]
