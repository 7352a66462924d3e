"""Simulated time: an event loop in which a wait takes no time, because its clock moves on instead."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from trunkline import immediate
from trunkline.pipeline import active, pipeline
from trunkline.pipeline.active import ActiveRequest
from trunkline.pipeline.pipeline import Pipeline

START = 1000.0
"""The time at which every simulation begins, in seconds."""

_T = TypeVar("_T")


class _Selector(selectors.SelectSelector):
    """Adds the seconds that it is to wait to the clock, and waits for nothing."""

    now = START

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "the simulation waits for something that nothing will bring about"
            self.now += max(0.0, timeout)
        return ready


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop for what needs no other machine and no thread."""

    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


def simulate(monkeypatch: pytest.MonkeyPatch, main: Callable[[SimulatedLoop], Coroutine[Any, Any, _T]]) -> _T:
    """Run ``main`` with a simulated clock, by which the pipeline measures as well."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, SimulatedLoop)
        for module in (active, pipeline):
            monkeypatch.setattr(module, "_now", loop.time)
        return runner.run(main(loop))


async def served(pipeline: Pipeline, request: ActiveRequest) -> None:
    """Have a request answered as the server does, and wait until it is over."""
    over = asyncio.Event()

    async def follow() -> None:
        await pipeline.serve(request)
        over.set()

    immediate.run(follow())
    await over.wait()
