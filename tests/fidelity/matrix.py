"""One cell: a request through a gateway to a mock, whole and streamed, and what became of its feature."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, NamedTuple

from tests.fidelity.backs import BACKS
from tests.fidelity.expected import Kind
from tests.fidelity.features import FEATURES
from tests.fidelity.fronts import FRONTS, Front
from tests.fidelity.values import BETA, Heard
from tests.gateways import BEARER, Answer, Running, make_settings, post, serving, upstream
from trunkline_mock import MockUpstream

_ORDER: Final[tuple[Kind, ...]] = ("kept", "approximated", "dropped", "refused")
"""From what is best to what is worst."""


class World(NamedTuple):
    """A gateway, and the upstreams behind it."""

    gateway: Running
    mocks: dict[str, MockUpstream]
    """By back."""


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    """A gateway with one upstream of each dialect."""
    async with AsyncExitStack() as stack:
        mocks = {
            name: await stack.enter_async_context(MockUpstream(back.SHAPE, models=(back.MODEL,)))
            for name, back in BACKS.items()
        }
        providers = {
            f"back-{name}": upstream(
                mock,
                type=BACKS[name].TYPE,
                models=(BACKS[name].MODEL,),
                api_key=("sk-upstream-secret",),
                **BACKS[name].SETTINGS,
            )
            for name, mock in mocks.items()
        }
        gateway = await stack.enter_async_context(serving(make_settings(providers=providers)))
        yield World(gateway, mocks)


async def produce(there: World, front_name: str, back_name: str, name: str) -> Kind:
    """What becomes of a feature between two dialects: the worst of what does in any of its answers."""
    front, back, mock = FRONTS[front_name], BACKS[back_name], there.mocks[back_name]
    feature = FEATURES[name]
    kinds: set[Kind] = set()
    for stream in feature.streams:
        mock.requests.clear()
        mock.script = back.script(name, stream) or feature.script
        body = front.base(back.MODEL, stream) | front.ASKS.get(name, {})
        lines = (BEARER, BETA) if front_name == "anthropic" else (BEARER,)
        answer = await there.gateway.ask(post(body, *lines, path=front.PATH))
        heard = _hear(front, answer, stream)
        if not mock.calls:
            assert heard.status == 400
            assert heard.error
            kinds.add("refused")
            continue
        (call,) = mock.calls
        assert answer.whole
        asked = _compare(feature.sent(back, call.json), feature.asked, feature.near.get(back_name))
        expected = back.MODEL if name == "model" else feature.expected
        kinds.add(max(asked, _compare(feature.heard(heard), expected), key=_ORDER.index))
    assert len(kinds) == 1, f"whole and streamed differ: {kinds}"
    return kinds.pop()


def _hear(front: Front, answer: Answer, stream: bool) -> Heard:
    if answer.status == 200:
        return front.hear(answer, stream)
    retry_after = answer.headers.get("retry-after")
    return Heard(status=answer.status, error=front.complaint(answer), retry_after=retry_after)


def _compare(found: Any, wanted: Any, near: Any = None) -> Kind:
    """What became of ``wanted``: nothing that is neither it nor near it is let pass."""
    if found == wanted:
        return "kept"
    if near is not None and found == near:
        return "approximated"
    nothing = found is None or found in ([], (), "") or found == (None,)
    assert nothing, f"neither kept nor dropped: wanted {wanted!r}, found {found!r}"
    return "dropped"
