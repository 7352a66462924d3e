"""Claude Code and the Codex CLI, from npm, as their users point them at a gateway."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.gateways import KEY, Running, make_settings, serving, upstream
from tests.services import OUTSIDE
from trunkline_mock import MockUpstream, Script, ToolCall

AGENTS = {"claude": "@anthropic-ai/claude-code@2.1.197", "codex": "@openai/codex@0.169.0"}
INSTALL_S = 400
"""Seconds after which an installation counts as hung."""
RUN_S = 120
COMMAND = "echo tool-says-$((40+2))"


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the agents' programs."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("agents")
    (folder / "package.json").write_text('{"private": true}')
    command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", *AGENTS.values()]
    done = subprocess.run(command, cwd=folder, env=OUTSIDE, capture_output=True, text=True, timeout=INSTALL_S)
    if done.returncode != 0:
        pytest.skip(f"npm cannot install: {done.stderr.strip().splitlines()[-1:]}")
    return folder / "node_modules" / ".bin"


@pytest.fixture
async def mock() -> AsyncIterator[MockUpstream]:
    async with MockUpstream("generic", Script(text="It is done."), models=["m"]) as running:
        yield running


class Done(NamedTuple):
    code: int | None
    out: str
    err: str


async def run(folder: Path, *command: str, **env: str) -> Done:
    """A program in a home of its own."""
    running = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **env},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(RUN_S):
            out, err = await running.communicate()
    finally:
        if running.returncode is None:
            running.kill()
            await running.communicate()
    return Done(running.returncode, out.decode(), err.decode())


async def claude(programs: Path, folder: Path, node: Running) -> Done:
    settings = {
        "ANTHROPIC_BASE_URL": node.url,
        "ANTHROPIC_AUTH_TOKEN": KEY,
        "ANTHROPIC_MODEL": "m",
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": "m",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }
    words = ("-p", "Do it", "--output-format", "json", "--allowedTools", "Bash")
    return await run(folder, str(programs / "claude"), *words, **settings)


async def codex(programs: Path, folder: Path, node: Running) -> Done:
    provider = f'{{name="Trunkline",base_url="{node.url}/v1",env_key="TRUNKLINE_KEY",wire_api="responses"}}'
    words = ["exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]
    words += ["-c", f"model_providers.trunkline={provider}", "-c", 'model_provider="trunkline"', "-m", "m"]
    return await run(folder, str(programs / "codex"), *words, "Do it", TRUNKLINE_KEY=KEY)


CALLS = {
    "claude": ToolCall("Bash", {"command": COMMAND, "description": "says"}),
    "codex": ToolCall("exec_command", {"cmd": COMMAND}),
}


@pytest.mark.long
@pytest.mark.parametrize("agent", AGENTS)
async def test_a_streamed_turn_with_a_tool_call(
    programs: Path, tmp_path: Path, mock: MockUpstream, agent: str
) -> None:
    mock.scripts.append(Script(text="", tool_calls=(CALLS[agent],)))
    providers = {"plain": upstream(mock, models=("m",))}
    async with serving(make_settings(providers=providers)) as node:
        done = await {"claude": claude, "codex": codex}[agent](programs, tmp_path, node)
    assert done.code == 0, done.err
    if agent == "claude":
        told: dict[str, Any] = json.loads(done.out)
        assert (told["result"], told["is_error"], told["num_turns"]) == ("It is done.", False, 2)
    else:
        assert done.out.strip() == "It is done."
    assert len(mock.calls) == 2
    first, second = (call.json for call in mock.calls)
    assert first["stream"] is True
    assert second["messages"][-2]["tool_calls"][0]["function"]["name"] == CALLS[agent].name
    result = second["messages"][-1]
    assert (result["role"], result["tool_call_id"]) == ("tool", second["messages"][-2]["tool_calls"][0]["id"])
    assert "tool-says-42" in str(result["content"])
