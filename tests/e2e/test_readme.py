"""The README's curl lines, run as they stand there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import KEY, World

README = Path(__file__).parents[2] / "README.md"
CURLS = [
    block.strip()
    for block in re.findall(r"```bash\n(.*?)```", README.read_text(), re.DOTALL)
    if block.startswith("curl")
]


def test_there_is_one_for_each_way_in() -> None:
    assert any("/v1/chat/completions" in curl and "/ollama/" not in curl for curl in CURLS)
    assert any("/ollama/v1/chat/completions" in curl for curl in CURLS)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("curl", CURLS)
def test_it_answers(world: World, curl: str) -> None:
    command = curl.replace("http://localhost:8000", world.url).replace("curl ", "curl --silent --fail ")
    done = subprocess.run(
        ["bash", "-c", command],
        env={"TRUNKLINE_KEY": KEY, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=True,
        timeout=30,
    )
    if "stream" in curl:
        assert b'"finish_reason":"stop"' in done.stdout or b'"done":true' in done.stdout
    else:
        assert json.loads(done.stdout)
