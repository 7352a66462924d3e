"""npm's AI SDK and Anthropic's tool runner, which have a server hold the conversation, against a gateway."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clients.house import MODELS, told
from tests.gateways import KEY, make_settings, serving
from tests.services import OUTSIDE
from trunkline_mock import MockUpstream, Script, ToolCall

HERE = Path(__file__).parent / "node_state"
PATIENCE_S = 240
"""Seconds after which an installation or a run counts as hung."""


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the client and what it needs, installed from its lock file."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed")
    folder = tmp_path_factory.mktemp("node_state")
    for file in HERE.iterdir():
        shutil.copy(file, folder)
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


CALL = Script(thinking="I look it up.", tool_calls=(ToolCall("weather", {"city": "Rome"}),), text="")
TURNS = (CALL, Script(text="Blue."), Script(text="Grey."))
OSLO = (Script(tool_calls=(ToolCall("weather", {"city": "Oslo"}),), text=""), Script(text="Grey in Oslo."))


@pytest.mark.parametrize("shape", MODELS)
async def test_clients_that_have_a_server_hold_the_conversation(node: Path, shape: str) -> None:
    scripts, model = (*TURNS, *TURNS, *OSLO), MODELS[shape]
    async with MockUpstream(shape, scripts=scripts, models=[model], strict=True) as mock:
        async with serving(make_settings(providers={"plain": told(mock, model)})) as gateway:
            client = await asyncio.create_subprocess_exec(
                "node",
                "client.mjs",
                cwd=node,
                env=os.environ | {"TRUNKLINE_URL": gateway.url, "TRUNKLINE_KEY": KEY, "MODEL": model},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            async with asyncio.timeout(PATIENCE_S):
                out, problem = await client.communicate()
        assert client.returncode == 0, problem.decode()
        answers: dict[str, Any] = json.loads(out)
        assert answers["whole"] == answers["stream"] == ["Blue.", "Grey."]
        assert answers["runner"][-1]["text"] == "Grey in Oslo."
        assert [call.status for call in mock.calls] == [200] * len(scripts)
        sent = [json.dumps(call.json) for call in mock.calls]
    if shape == "openai":  # which stores the items itself
        assert "item_reference" in sent[2]
        assert "Blue sky in Rome" in sent[1]
        sent = sent[6:]
    else:
        for last in (sent[2], sent[5]):
            found = [
                last.find(text) for text in ("Weather in Rome?", "Blue sky in Rome", "Blue.", "And tomorrow?")
            ]
            assert found == sorted(found)
            assert found[0] > 0
    assert "Grey sky in Oslo" in sent[-1]
    assert "Weather in Oslo?" in sent[-1] or shape == "anthropic"  # which holds the thread itself
