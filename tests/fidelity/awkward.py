"""The axis of awkward answers: what a client of each dialect gets of an answer in an odd shape.

A cell is *kept* if what the answer carries reaches the client, *told* if an error's words do, and *named* if
the dialect has no place for a piece and the answer says that it was left out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, Literal, TypeAlias

from tests.fidelity.fronts import FRONTS
from tests.fidelity.lenient import said
from tests.fidelity.matrix import World
from tests.fidelity.values import ANSWER, CALL_IDS, OSLO, ROME, THOUGHT, TIME, WEATHER, Heard
from tests.gateways import BEARER, Answer, make_settings, post, serving, upstream
from trunkline_mock import AWKWARD, MockUpstream, Script, ToolCall
from trunkline_mock.awkward import Awkward
from trunkline_mock.awkward.shape import CITED_URL, IMAGE, WORDS

AwkwardKind: TypeAlias = Literal["kept", "told", "kept or named"]
AwkwardKey: TypeAlias = tuple[str, str]
"""Front and shape."""

_BACKS: Final = {
    "chat": ("generic", "openai-compatible", "openai"),
    "messages": ("anthropic", "anthropic", "anthropic"),
    "ollama": ("ollama", "ollama", "ollama"),
}
"""By API, the mock's shape, the provider's type, and the front that it passes through."""
MODEL: Final = "gpt-4o"

_SCRIPTS: Final = {
    "calls": Script(
        tool_calls=(ToolCall(WEATHER[0], ROME, CALL_IDS[0]), ToolCall(TIME[0], OSLO, CALL_IDS[1]))
    ),
    "thinking": Script(thinking=THOUGHT, text=ANSWER),
}
_KINDS: Final[Mapping[str, AwkwardKind]] = {
    "error": "told",
    "image": "kept or named",
    "citation": "kept or named",
}

AWKWARD_CELLS: Final[Mapping[AwkwardKey, AwkwardKind]] = {
    (front, name): _KINDS.get(shape.carries, "kept") for name, shape in AWKWARD.items() for front in FRONTS
}
"""Every cell."""


@asynccontextmanager
async def awkward_world() -> AsyncIterator[World]:
    """A gateway with a mock of each API."""
    async with AsyncExitStack() as stack:
        mocks, providers = {}, {}
        for api, (shape, kind, _) in _BACKS.items():
            mock = await stack.enter_async_context(MockUpstream(shape, models=(MODEL,)))
            mocks[api] = mock
            key = {} if kind == "ollama" else {"api_key": ("sk-upstream-secret",)}
            providers[f"to-{api}"] = upstream(mock, type=kind, models=(f"{MODEL}",), **key)
        gateway = await stack.enter_async_context(serving(make_settings(providers=providers)))
        yield World(gateway, mocks)


async def check_awkward(there: World, front_name: str, name: str) -> None:
    """Assert that what an awkward answer carries reaches the client, whole and streamed."""
    front, shape = FRONTS[front_name], AWKWARD[name]
    mock = there.mocks[shape.api]
    script = _SCRIPTS.get(shape.carries, Script(text=ANSWER))
    mock.script = Script(
        awkward=name, text=script.text, thinking=script.thinking, tool_calls=script.tool_calls
    )
    asks: dict[str, Any] = {}
    if shape.carries in ("calls", "thinking"):
        asks = front.ASKS["parallel_tools" if shape.carries == "calls" else "thinking_answer"]
    for stream in (False, True):
        model = f"to-{shape.api}/{MODEL}"
        mock.requests.clear()
        answer = await there.gateway.ask(post(front.base(model, stream) | asks, BEARER, path=front.PATH))
        assert mock.calls, answer.body
        passes = front_name == _BACKS[shape.api][2]
        if mock.calls[-1].status < 500:
            assert answer.status < 500 or (shape.carries == "error" and mock.calls[-1].status == 200), (
                answer.body
            )
        _check(answer, front_name, shape, stream, passes)


def _check(answer: Answer, front_name: str, shape: Awkward, stream: bool, passes: bool) -> None:
    body = answer.body.decode()
    if shape.carries == "error" and WORDS in body:
        return
    assert answer.status == 200, body
    if shape.carries == "error":
        assert shape.whole is None or shape.stream is None, "the words are lost"
    if passes:
        assert _carried(shape, body, said(answer)), body
        return
    heard = FRONTS[front_name].hear(answer, stream)
    assert heard.error is None, heard.error
    match shape.carries:
        case "calls":
            _check_calls(heard)
        case "thinking":
            assert (heard.thinking, heard.texts) == (THOUGHT, (ANSWER,))
        case _:
            assert heard.texts[0].startswith(ANSWER), heard
            assert _carried(shape, body, said(answer)), body


def _check_calls(heard: Heard) -> None:
    assert heard.calls == ((WEATHER[0], ROME), (TIME[0], OSLO)), heard.calls
    if heard.call_ids:
        assert len({each for each in heard.call_ids if each}) == 2, heard.call_ids


def _carried(shape: Awkward, body: str, text: str) -> bool:
    """Whether what the shape carries is in an answer, or named there as left out."""
    match shape.carries:
        case "calls":
            return all(word in body for word in (WEATHER[0], "Rome", TIME[0], "Oslo"))
        case "thinking":
            return all(word in body for word in THOUGHT.split()) and ANSWER in text
        case "image":
            return ANSWER in text and (IMAGE in body or "image" in text.replace(ANSWER, ""))
        case "citation":
            return ANSWER in text and CITED_URL in body
        case _:
            return ANSWER in text
