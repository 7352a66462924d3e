"""A gateway in front of five strict mocks, and programs that ask it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.fidelity.strict import provider
from tests.gateways import KEY, Running, make_settings, serving, upstream
from trunkline_mock import MockUpstream, RecordedRequest, Script, ToolCall

INSTALLED: Final = Path(__file__).resolve().parents[2] / ".clients"
"""Where ``make test-clients`` installs."""
PROGRAMS: Final = Path(__file__).parent / "programs"
RUN_S: Final = 600
"""Seconds after which a program counts as hung; on a busy machine a client takes a minute to be imported."""

MODELS: Final[Mapping[str, str]] = {
    "ollama": "qwen3",
    "openai": "gpt-5.1",
    "anthropic": "claude-sonnet-4-5",
    "openrouter": "google/gemini-2.5-flash",
    "deepseek": "deepseek-chat",
}
"""The five shapes, each with a model that thinks."""

_QUIET: Final = {
    "DO_NOT_TRACK": "1",
    "LANGSMITH_TRACING": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
}
"""Clients ask nobody but the gateway."""


class Done(NamedTuple):
    """How a program ended."""

    code: int | None
    out: str
    err: str


async def run(*command: str, env: Mapping[str, str], folder: Path | None = None) -> Done:
    """Run a program, with a home of its own if there is a ``folder``."""
    own = {**os.environ, **env}
    if folder is not None:
        own = {"PATH": os.environ["PATH"], "HOME": str(folder), **env}
    running = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=own,
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


class House(NamedTuple):
    """A gateway and what stands behind it."""

    gateway: Running
    mocks: dict[str, MockUpstream]

    async def ask(self, program: str, ways: Sequence[str], python: str) -> dict[str, dict[str, Any]]:
        """What a program of Python is answered, by shape and way.

        Args:
            program: Its name in ``programs``.
            ways: In which it asks each model.
            python: The set of clients that it needs.
        """
        done = await run(
            str(INSTALLED / python / "bin" / "python"),
            *("-W", "ignore", str(PROGRAMS / f"{program}.py")),
            json.dumps({"models": list(MODELS.values()), "ways": ways}),
            env={"TRUNKLINE_URL": self.gateway.url, "TRUNKLINE_KEY": KEY, **_QUIET},
        )
        assert done.code == 0, done.err
        answers = json.loads(done.out.splitlines()[-1])
        return {shape: answers[model] for shape, model in MODELS.items()}

    def refused(self) -> dict[str, Any]:
        """What the vendors refused, by shape."""
        found = {
            shape: [call.json for call in mock.calls if call.status != 200]
            for shape, mock in self.mocks.items()
        }
        return {shape: calls for shape, calls in found.items() if calls}


def told(mock: MockUpstream, *models: str) -> Any:
    """The section of a provider that is ``mock``, as a user would write it."""
    if mock.shape.name == "ollama":
        return upstream(mock, models=models)
    return provider(mock, *models)


@asynccontextmanager
async def house(scripts: Sequence[Script]) -> AsyncIterator[House]:
    """The five mocks, each of which answers by these scripts in order, and the gateway."""
    async with AsyncExitStack() as stack:
        mocks, providers = {}, {}
        for name, model in MODELS.items():
            mock = MockUpstream(name, models=(model,), scripts=scripts, strict=True)
            mocks[name] = await stack.enter_async_context(mock)
            providers[f"to-{name}"] = told(mock, model)
        gateway = await stack.enter_async_context(serving(make_settings(providers=providers)))
        yield House(gateway, mocks)


class Talk(NamedTuple):
    """A conversation of two turns with tools."""

    scripts: tuple[Script, ...]
    """What the model answers to each request."""
    said: list[str]
    """What the client shows at the end of each turn."""
    texts: tuple[str, ...]
    """What the last request says, in this order."""


_QUESTIONS: Final = ("Weather in Rome and Oslo?", "And tomorrow in Rome?")
_ROME: Final = "The sky over Rome is blue"
_THOUGHT: Final = "I look it up. "
WEATHER: Final = Talk(
    (
        Script(
            thinking=_THOUGHT,
            tool_calls=(ToolCall("weather", {"city": "Rome"}), ToolCall("weather", {"city": "Oslo"})),
            text="",
        ),
        Script(thinking=_THOUGHT, text="Blue in both."),
        Script(thinking=_THOUGHT, tool_calls=(ToolCall("weather", {"city": "Rome"}),), text=""),
        Script(thinking=_THOUGHT, text="Still blue."),
    ),
    ["Blue in both.", "Still blue."],
    (_QUESTIONS[0], _ROME, "The sky over Oslo is blue", "Blue in both.", _QUESTIONS[1], _ROME),
)
ONE_CALL: Final = Talk(
    (
        Script(thinking=_THOUGHT, tool_calls=(ToolCall("weather", {"city": "Rome"}),), text=""),
        Script(thinking=_THOUGHT, text="Blue."),
        Script(thinking=_THOUGHT, tool_calls=(ToolCall("weather", {"city": "Rome"}),), text=""),
        Script(thinking=_THOUGHT, text="Still blue."),
    ),
    ["Blue.", "Still blue."],
    (_QUESTIONS[0], _ROME, "Blue.", _QUESTIONS[1], _ROME),
)
"""The same with one call each time."""
_PROMPTED_CALL: Final = Script(thinking=_THOUGHT, text='{"name": "weather", "arguments": {"city": "Rome"}}')
PROMPTED: Final = Talk(
    (
        _PROMPTED_CALL,
        Script(thinking=_THOUGHT, text='{"answer": "Blue."}'),
        _PROMPTED_CALL,
        Script(thinking=_THOUGHT, text='{"answer": "Still blue."}'),
    ),
    ['{"answer": "Blue."}', '{"answer": "Still blue."}'],
    (_QUESTIONS[0], _ROME, "Blue.", _QUESTIONS[1], _ROME),
)
"""The same where tools stand in the prompt, and calls are JSON in the answer's text."""


def lost(call: RecordedRequest, texts: Sequence[str]) -> list[str]:
    """The texts that a request lacks, or has in another order. A request that refers to what the vendor
    itself has stored lacks none."""
    asked = call.json
    items = asked.get("input")
    if (
        asked.get("previous_response_id")
        or (asked.get("thread") or {}).get("type") == "continue"
        or (isinstance(items, list) and any(item.get("type") == "item_reference" for item in items))
    ):
        return []
    sent = "\n".join(_strings(asked))
    at, missing = 0, []
    for text in texts:
        found = sent.find(text, at)
        if found < 0:
            missing.append(text)
        else:
            at = found + len(text)
    return missing


def _strings(value: Any) -> list[str]:
    """Every string in a JSON value, in order."""
    if isinstance(value, str):
        return [value]
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for child in children for text in _strings(child)]
