"""Conversations of up to eight turns, each turn answered by another vendor's strict mock.

Tools, parallel calls, thinking, images and errors occur in them. Every request is taken, every call has its
result, and no text is lost. ``make test-full`` makes 2,500 conversations for each dialect of clients.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, Final, NamedTuple

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from tests.conversations.clients import CLIENTS, TOOLS, Client
from tests.fidelity.matrix import World
from tests.fidelity.strict import provider
from tests.gateways import BEARER, Answer, make_settings, post, serving, upstream
from trunkline_mock import Fault, MockUpstream, Script, ToolCall

VENDORS: Final = {
    "openai": "gpt-4o",
    "anthropic": "claude-sonnet-4-5",
    "ollama": "llama3.2",
    "openrouter": "google/gemini-2.5-flash",
    "gemini": "gemini-3-pro-preview",
    "mistral": "mistral-small-latest",
    "deepseek": "deepseek-chat",
    "groq": "openai/gpt-oss-120b",
}
"""The eight shapes that conversations move between."""
_BLIND: Final = {"deepseek": "groq"}
"""Vendors whose models take no images, and who is asked instead once there was one."""


_ASKED: Final = settings().max_examples
EXAMPLES: Final = _ASKED if _ASKED > 100 else 30
"""Conversations for each dialect: few, unless a profile asks for many."""
PHASES: Final = (Phase.explicit, Phase.reuse, Phase.generate)
"""Without shrinking, which takes minutes here; the notes of a failure show the requests."""


class Vendors:
    """A gateway in front of the mocks; an object without contents to print, unlike the world in it."""

    def __init__(self, world: World) -> None:
        self.gateway = world.gateway
        self.mocks = world.mocks


class Step(NamedTuple):
    """One request: the results of open calls or a user's message, and what is answered to it."""

    vendor: str
    stream: bool
    word: str
    image: bool
    results_failed: bool
    thinks: bool
    says: bool
    calls: tuple[tuple[str, str], ...]
    """The tools that are called, each with an argument."""
    error: int
    """The status of an error that comes first; 0 for none."""


_WORDS: Final = st.text(st.characters(codec="utf-8", categories=("L", "N", "So")), min_size=1, max_size=8)
_STEPS: Final = st.builds(
    Step,
    vendor=st.sampled_from(sorted(VENDORS)),
    stream=st.booleans(),
    word=_WORDS,
    image=st.integers(0, 5).map(lambda n: n == 0),
    results_failed=st.booleans(),
    thinks=st.booleans(),
    says=st.booleans(),
    calls=st.lists(st.tuples(st.sampled_from(TOOLS), _WORDS), max_size=3).map(tuple),
    error=st.sampled_from((0, 0, 0, 0, 400, 429, 500)),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def there() -> AsyncIterator[Vendors]:
    """A gateway in front of the eight strict mocks."""
    async with AsyncExitStack() as stack:
        mocks, providers = {}, {}
        for name, model in VENDORS.items():
            mock = await stack.enter_async_context(MockUpstream(name, models=(model,), strict=True, record=4))
            mocks[name] = mock
            key = f"to-{name}"
            providers[key] = (
                upstream(mock, type="ollama", models=(model,)) if name == "ollama" else provider(mock, model)
            )
        gateway = await stack.enter_async_context(serving(make_settings(providers=providers)))
        yield Vendors(World(gateway, mocks))


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("front", CLIENTS)
@settings(deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES, max_examples=EXAMPLES)
@given(steps=st.lists(_STEPS, min_size=1, max_size=8))
async def test_a_conversation_moves_between_vendors(there: Vendors, front: str, steps: list[Step]) -> None:
    make, path = CLIENTS[front]
    async with asyncio.timeout(60):
        await converse(there, make(), path, steps)


async def converse(there: Vendors, client: Client, path: str, steps: list[Step]) -> None:
    """Have a conversation, and check each of its requests and answers."""
    texts: list[str] = []
    seen_image = False
    for number, step in enumerate(steps):
        if client.calls:
            results = [f"result {number}.{at} {step.word}" for at in range(len(client.calls))]
            client.results(results, step.results_failed)
            texts += results
        else:
            texts.append(f"question {number} {step.word}")
            client.user(texts[-1], step.image)
            seen_image = seen_image or step.image
        vendor = _BLIND.get(step.vendor, step.vendor) if seen_image else step.vendor
        mock, model = there.mocks[vendor], f"to-{vendor}/{VENDORS[vendor]}"
        request = post(client.ask(model, step.stream), BEARER, path=path)
        if step.error:
            mock.script = Script(fault=Fault("status", status=step.error, message="BOOM words"))
            failed = await there.gateway.ask(request)
            note(f"{number}: {vendor} fails with {step.error}")
            assert failed.status >= 400
            assert b"BOOM words" in failed.body or failed.status >= 500
        script = _script(step, number)
        mock.script = script
        answer = await there.gateway.ask(request)
        note(f"{number}: {vendor}: {answer.status}")
        _check_request(mock, answer, texts)
        client.take(answer, step.stream)
        assert client.said == (script.text or "")
        assert client.calls == [(call.name, call.arguments) for call in script.tool_calls]
        texts += [client.said] if client.said else []


def _script(step: Step, number: int) -> Script:
    """What the vendor answers."""
    calls = tuple(ToolCall(name, {"city": word}) for name, word in step.calls)
    text = f"answer {number} {step.word}" if step.says or not calls else None
    return Script(text=text, thinking="Let me think. " if step.thinks else None, tool_calls=calls)


def _check_request(mock: MockUpstream, answer: Answer, texts: list[str]) -> None:
    """Assert that the vendor took the request, and that no text is missing in it."""
    assert mock.calls, answer.body
    call = mock.calls[-1]
    assert (call.status, answer.status) == (200, 200), answer.body
    sent = "\n".join(_strings(call.json))
    at = 0
    for text in texts:
        found = sent.find(text, at)
        assert found >= 0, f"lost or out of order: {text}"
        at = found


def _strings(value: Any) -> list[str]:
    """Every string in a JSON value, in order."""
    if isinstance(value, str):
        return [value]
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for child in children for text in _strings(child)]
