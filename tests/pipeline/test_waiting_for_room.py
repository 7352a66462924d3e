"""Requests that wait for an upstream to have room, in simulated time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest

from tests.pipeline.requests import make_active
from tests.pipeline.test_pipeline import Client
from tests.pipeline.test_retry_policy import BODY, Failing, make_pipeline
from tests.simulation import START, SimulatedLoop, served, simulate
from trunkline.pipeline.active import ActiveRequest
from trunkline.pipeline.pipeline import Pipeline, PipelineSettings
from trunkline.policy.auth import ApiKey


class Waiting:
    """A pipeline over upstreams that answer after ten seconds, and work on one request at a time."""

    def __init__(self, loop: SimulatedLoop, pipeline: Pipeline, upstreams: list[Failing]) -> None:
        self.loop = loop
        self.pipeline = pipeline
        self.upstreams = upstreams

    def ask(self, **fields: Any) -> Asked:
        """A request that arrives now."""
        return Asked(self, **fields)

    def set_limits(self, queue_limit: int = 1000, queue_timeout_s: float = 30.0) -> None:
        self.pipeline.reconfigure(self.pipeline.router, PipelineSettings(60.0, queue_limit, queue_timeout_s))


class Asked:
    """One request, and when it ended."""

    def __init__(self, at: Waiting, **fields: Any) -> None:
        self.client = Client()
        self.active: ActiveRequest = make_active(self.client, BODY, received_at=at.loop.time(), **fields)
        self._at = at
        self.ended_at: float | None = None
        self.task = asyncio.ensure_future(self._follow())

    async def _follow(self) -> None:
        await served(self._at.pipeline, self.active)
        self.ended_at = self._at.loop.time() - START

    async def end(self) -> tuple[int, float]:
        """Its status, and the seconds from the start of the simulation to its end."""
        await self.task
        assert self.ended_at is not None
        return self.client.told[0][1], self.ended_at


def make_key(name: str, **fields: Any) -> ApiKey:
    """A key that may use everything."""
    return ApiKey(id=name, name=name, role="member", prefix="gw_", **fields)


def wait(
    monkeypatch: pytest.MonkeyPatch,
    main: Callable[[Waiting], Coroutine[Any, Any, None]],
    *,
    upstreams: int = 1,
    failures: int = 0,
    **arguments: Any,
) -> None:
    """Run ``main`` with so many upstreams, each with room for one request."""

    async def run(loop: SimulatedLoop) -> None:
        made = [Failing(name, failures=failures, lasts=10.0) for name in "ab"[:upstreams]]
        for each in made:
            each.max_concurrent = 1
        pipeline = await make_pipeline(made, **arguments)
        await main(Waiting(loop, pipeline, made))
        assert pipeline.queue.depth == 0
        pipeline.close()

    simulate(monkeypatch, run)


def test_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(at: Waiting) -> None:
        asked = [at.ask() for _ in range(3)]
        assert [await each.end() for each in asked] == [(200, 10.0), (200, 20.0), (200, 30.0)]
        assert [each.active.queued_s for each in asked] == [0.0, 10.0, 20.0]
        assert [each.active.waiter for each in asked] == [None] * 3

    wait(monkeypatch, main)


def test_no_dearer_upstream_is_asked_while_one_is_merely_full(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(at: Waiting) -> None:
        assert [await each.end() for each in [at.ask(), at.ask()]] == [(200, 10.0), (200, 20.0)]
        assert [len(each.attempts) for each in at.upstreams] == [2, 0]

    wait(monkeypatch, main, upstreams=2)


def test_a_wait_that_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(at: Waiting) -> None:
        at.set_limits(queue_timeout_s=4.5)
        first, second = at.ask(), at.ask()
        assert await second.end() == (503, 4.5)
        assert second.client.headers["retry-after"] == "3"  # half of the wait, whole seconds
        error = msgspec.json.decode(second.client.told[0][2])["error"]
        assert error["code"] == "upstream_busy"
        full, why = "All upstreams of provider 'a' for model 'm' are full", "none had room within 4.5 s"
        assert error["message"] == f"{full}; {why} (QUEUE_TIMEOUT_S)"
        assert second.active.queued_s == 4.5
        assert second.active.attempts == []
        assert await first.end() == (200, 10.0)

    wait(monkeypatch, main)


def test_a_queue_that_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(at: Waiting) -> None:
        at.set_limits(queue_limit=1, queue_timeout_s=1000.0)
        asked = [at.ask() for _ in range(3)]
        assert await asked[2].end() == (503, 0.0)
        assert asked[2].client.headers["retry-after"] == "500"
        assert b"1 requests wait already (QUEUE_LIMIT)" in asked[2].client.told[0][2]
        assert [await each.end() for each in asked[:2]] == [(200, 10.0), (200, 20.0)]

    wait(monkeypatch, main)


def test_a_short_queue_asks_for_one_second_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(at: Waiting) -> None:
        at.set_limits(queue_timeout_s=0.5)
        first, second = at.ask(), at.ask()
        assert await second.end() == (503, 0.5)
        assert second.client.headers["retry-after"] == "1"
        await first.end()

    wait(monkeypatch, main)


def test_a_client_that_leaves_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(at: Waiting) -> None:
        first, second, third = at.ask(), at.ask(), at.ask()
        await asyncio.sleep(5.0)
        assert at.pipeline.queue.depth == 2
        second.active.disconnected()
        await second.task
        assert second.ended_at == 5.0
        assert second.client.told == []
        assert second.active.response.error is not None
        assert second.active.response.error.code == "client_closed_request"
        assert at.pipeline.queue.depth == 1
        assert [await each.end() for each in (first, third)] == [(200, 10.0), (200, 20.0)]

    wait(monkeypatch, main)


def test_a_higher_priority_is_served_first(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(at: Waiting) -> None:
        at.set_limits(queue_timeout_s=1000.0)
        high, normal = make_key("h", priority="high"), make_key("n")
        first, low, usual, urgent = (
            at.ask(),
            at.ask(key=normal, headers=[(b"x-trunkline-priority", b"low")]),
            at.ask(key=normal),
            at.ask(key=high),
        )
        ended = [(await each.end())[1] for each in (first, low, usual, urgent)]
        assert ended == [10.0, 40.0, 30.0, 20.0]

    wait(monkeypatch, main)


def test_the_keys_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(at: Waiting) -> None:
        at.set_limits(queue_timeout_s=1000.0)
        one, other = make_key("1"), make_key("2")
        asked = [at.ask(), *(at.ask(key=one) for _ in range(3)), at.ask(key=other)]
        assert [(await each.end())[1] for each in asked] == [10.0, 20.0, 40.0, 50.0, 30.0]

    wait(monkeypatch, main)


def test_nobody_waits_for_a_rest_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What they have waited for rests after the failure of another request: they are told so at once."""

    async def main(at: Waiting) -> None:
        first, second = at.ask(), at.ask()
        assert await first.end() == (502, 10.0)
        assert await second.end() == (502, 10.0)
        assert b"is not asked again for 5 s" in second.client.told[0][2]
        assert second.active.queued_s == 10.0
        assert at.pipeline.queue.depth == 0

    wait(monkeypatch, main, failures=1, threshold=1, recovery=5.0)


def test_who_waits_for_what_rests_is_answered_by_the_next_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(at: Waiting) -> None:
        at.upstreams[1]._failures = 0
        first, second = at.ask(), at.ask()
        ended = [await each.end() for each in (first, second)]
        assert sorted(ended) == [(200, 20.0), (200, 30.0)]
        assert [len(each.attempts) for each in at.upstreams] == [1, 2]

    wait(monkeypatch, main, upstreams=2, failures=1, threshold=1, recovery=500.0)


def test_after_a_failure_the_next_one_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(at: Waiting) -> None:
        at.upstreams[1].max_concurrent = 1
        busy = at.pipeline.router.pool("m", "chat").candidates[1]
        busy.acquire()
        asked = at.ask()
        await asyncio.sleep(12.0)
        assert [len(each.attempts) for each in at.upstreams] == [1, 0]
        assert asked.active.waiter is not None
        busy.release()
        at.pipeline.queue.serve(at.loop.time())
        assert await asked.end() == (502, 22.0)
        assert asked.active.queued_s == 2.0

    wait(monkeypatch, main, upstreams=2, failures=9)
