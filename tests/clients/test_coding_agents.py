"""Claude Code and the Codex CLI, from npm, as their users point them at a gateway, with tools of their own.

Claude Code has a tool of an MCP server, Codex its custom tool ``apply_patch``, whose input is a text.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.clients.house import INSTALLED, MODELS, PROGRAMS, Done, run, told
from tests.gateways import KEY, Running, make_settings, serving
from trunkline_mock import MockUpstream, RecordedRequest, Script, ToolCall

BIN = INSTALLED / "node" / "node_modules" / ".bin"
MCP = str(PROGRAMS / "mcp_weather.py")
COMMAND = "echo tool-says-$((40+2))"
PATCH = "*** Begin Patch\n*** Add File: hello.txt\n+Hello!\n*** End Patch\n"
CODEX_MODEL = "gpt-5.5"
"""A name by which Codex knows that the model takes custom tools; any model may have it as an alias."""


async def claude(folder: Path, node: Running) -> Done:
    settings = {
        "ANTHROPIC_BASE_URL": node.url,
        "ANTHROPIC_AUTH_TOKEN": KEY,
        "ANTHROPIC_MODEL": "m",
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": "m",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        # It is to wait for its server of tools, however slow the machine is.
        "MCP_CONNECTION_NONBLOCKING": "false",
        "MCP_CONNECT_TIMEOUT_MS": "300000",
        "MCP_TIMEOUT": "300000",
    }
    servers = {"mcpServers": {"house": {"command": sys.executable, "args": [MCP], "alwaysLoad": True}}}
    (folder / "mcp.json").write_text(json.dumps(servers))
    words = ["-p", "Do it", "--output-format", "json", "--allowedTools", "Bash,mcp__house__weather"]
    words += ["--mcp-config", "mcp.json", "--strict-mcp-config"]
    return await run(str(BIN / "claude"), *words, folder=folder, env=settings)


async def codex(folder: Path, node: Running) -> Done:
    provider = f'{{name="Trunkline",base_url="{node.url}/v1",env_key="TRUNKLINE_KEY",wire_api="responses"}}'
    words = ["exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "-m", CODEX_MODEL]
    words += ["-c", f"model_providers.trunkline={provider}", "-c", 'model_provider="trunkline"']
    server = f'{{command="{sys.executable}",args=["{MCP}"],required=true,startup_timeout_sec=300}}'
    words += ["-c", f"mcp_servers.house={server}"]
    return await run(str(BIN / "codex"), *words, "Do it", folder=folder, env={"TRUNKLINE_KEY": KEY})


THOUGHT = "I see to it. "
DONE = Script(thinking=THOUGHT, text="It is done.")


def calling(*calls: ToolCall) -> Script:
    """An answer that thinks and calls tools."""
    return Script(thinking=THOUGHT, text="", tool_calls=calls)


def texts(call: RecordedRequest) -> str:
    """A request's body, in which results and inputs can be looked for."""
    return json.dumps(call.json, ensure_ascii=False)


@pytest.mark.long
@pytest.mark.parametrize("shape", MODELS)
async def test_claude_code_uses_tools(tmp_path: Path, shape: str) -> None:
    first = calling(
        ToolCall("Bash", {"command": COMMAND, "description": "says"}),
        ToolCall("mcp__house__weather", {"city": "Rome"}),
    )
    async with MockUpstream(shape, models=(MODELS[shape],), scripts=(first, DONE), strict=True) as mock:
        how = make_settings(providers={"up": told(mock, MODELS[shape])}, aliases={"m": f"up/{MODELS[shape]}"})
        async with serving(how) as node:
            done = await claude(tmp_path, node)
        assert done.code == 0, done.err
        answer: dict[str, Any] = json.loads(done.out)
        assert (answer["result"], answer["is_error"], answer["num_turns"]) == ("It is done.", False, 3)
        assert [call.status for call in mock.calls] == [200, 200]
        assert mock.calls[0].json["stream"] is True
        assert 0 < texts(mock.calls[1]).find("tool-says-42") < texts(mock.calls[1]).find("The sky over Rome")


@pytest.mark.long
@pytest.mark.parametrize("shape", ["ollama", "anthropic", "deepseek"])
async def test_codex_searches_for_a_tool_and_calls_it(tmp_path: Path, shape: str) -> None:
    """Codex runs the search, and the tools that it finds can be called from then on, at vendors without the
    Responses API."""
    model = MODELS[shape]
    scripts = (
        calling(ToolCall("tool_search", {"query": "weather"})),
        calling(ToolCall("mcp__house__weather", {"city": "Rome"})),
        DONE,
    )
    async with MockUpstream(shape, models=(model,), scripts=scripts, strict=True) as mock:
        how = make_settings(providers={"up": told(mock, model)}, aliases={CODEX_MODEL: f"up/{model}"})
        async with serving(how) as node:
            done = await codex(tmp_path, node)
        assert done.code == 0, done.err
        assert done.out.strip() == "It is done."
        assert [call.status for call in mock.calls] == [200, 200, 200]
        offered = [json.dumps(call.json["tools"]) for call in mock.calls]
        assert ["mcp__house__weather" in tools for tools in offered] == [False, True, True]
        assert "The sky over Rome is blue" in texts(mock.calls[2])


@pytest.mark.long
@pytest.mark.parametrize("shape", MODELS)
async def test_codex_uses_a_custom_tool(tmp_path: Path, shape: str) -> None:
    model = CODEX_MODEL if shape == "openai" else MODELS[shape]
    scripts = (
        calling(ToolCall("apply_patch", {"input": PATCH})),
        calling(ToolCall("exec_command", {"cmd": COMMAND})),
        DONE,
    )
    async with MockUpstream(shape, models=(model,), scripts=scripts, strict=True) as mock:
        aliases = {} if model == CODEX_MODEL else {CODEX_MODEL: f"up/{model}"}
        async with serving(make_settings(providers={"up": told(mock, model)}, aliases=aliases)) as node:
            done = await codex(tmp_path, node)
        assert done.code == 0, done.err
        assert done.out.strip() == "It is done."
        assert (tmp_path / "hello.txt").read_text() == "Hello!\n"
        assert [call.status for call in mock.calls] == [200, 200, 200]
        assert "A hello.txt" in texts(mock.calls[1])
        assert "tool-says-42" in texts(mock.calls[2])
