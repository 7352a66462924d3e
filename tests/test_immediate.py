from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.gateways import until
from trunkline.immediate import ImmediateFuture, run


async def test_run_starts_at_once_and_settle_resumes_at_once() -> None:
    steps: list[object] = []
    first, second = ImmediateFuture[int](), ImmediateFuture[str]()

    async def work() -> None:
        steps.append("begun")
        steps.append(await first)
        steps.append(await second)

    run(work())
    assert steps == ["begun"]
    first.settle(1)
    assert steps == ["begun", 1]
    second.settle("two")
    assert steps == ["begun", 1, "two"]


async def test_a_future_is_settled_once() -> None:
    future = ImmediateFuture[int]()
    future.settle(1)
    future.settle(2)
    results: list[int] = []

    async def work() -> None:
        results.append(await future)
        results.append(await future)

    run(work())
    assert results == [1, 1]


async def test_a_future_may_be_settled_without_a_waiter() -> None:
    future = ImmediateFuture[None]()
    future.settle(None)
    assert future.settled


async def test_futures_tasks_and_bare_yields_are_awaited_as_usual() -> None:
    steps: list[object] = []
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def slow() -> str:
        await asyncio.sleep(0)
        return "task"

    async def work() -> None:
        steps.append(await future)
        await asyncio.sleep(0)
        steps.append(await asyncio.ensure_future(slow()))
        async with asyncio.Lock():
            steps.append("end")

    run(work())
    future.set_result("future")
    await until(lambda: bool(steps) and steps[-1] == "end")
    assert steps == ["future", "task", "end"]


async def test_exceptions_of_awaited_tasks_are_raised_in_the_coroutine() -> None:
    steps: list[str] = []

    async def fail() -> None:
        raise ValueError("bad")

    async def work() -> None:
        with pytest.raises(ValueError, match="bad"):
            await asyncio.ensure_future(fail())
        task = asyncio.ensure_future(asyncio.sleep(60))
        asyncio.get_running_loop().call_soon(task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
        steps.append("end")

    run(work())
    await until(lambda: steps == ["end"])


async def test_an_exception_that_leaves_the_coroutine_goes_to_the_loops_handler() -> None:
    loop, contexts = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _, context: contexts.append(context))

    async def work() -> None:
        raise ValueError("bad")

    run(work())
    context: dict[str, Any] = contexts[0]
    assert isinstance(context["exception"], ValueError)
    assert context["message"] == "a request's coroutine failed"
