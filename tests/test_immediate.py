"""Coroutines that are taken as far as they go, on the stack of whoever takes them further."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.gateways import until
from trunkline.immediate import ImmediateFuture, run


async def test_the_first_steps_are_taken_at_once_and_the_next_by_whoever_settles() -> None:
    said: list[object] = []
    first, second = ImmediateFuture[int](), ImmediateFuture[str]()

    async def work() -> None:
        said.append("begun")
        said.append(await first)
        said.append(await second)

    run(work())
    assert said == ["begun"]
    first.settle(1)
    assert said == ["begun", 1]
    second.settle("two")
    assert said == ["begun", 1, "two"]


async def test_a_turn_is_settled_once() -> None:
    turn = ImmediateFuture[int]()
    turn.settle(1)
    turn.settle(2)
    found: list[int] = []

    async def work() -> None:
        found.append(await turn)
        found.append(await turn)

    run(work())
    assert found == [1, 1]


async def test_nobody_need_await_a_turn() -> None:
    turn = ImmediateFuture[None]()
    turn.settle(None)
    assert turn.settled


async def test_futures_tasks_and_bare_yields_are_awaited_as_usual() -> None:
    said: list[object] = []
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def slow() -> str:
        await asyncio.sleep(0)
        return "task"

    async def work() -> None:
        said.append(await future)
        await asyncio.sleep(0)
        said.append(await asyncio.ensure_future(slow()))
        async with asyncio.Lock():
            said.append("end")

    run(work())
    future.set_result("future")
    await until(lambda: bool(said) and said[-1] == "end")
    assert said == ["future", "task", "end"]


async def test_exceptions_of_what_is_awaited_are_raised_there() -> None:
    said: list[str] = []

    async def fail() -> None:
        raise ValueError("bad")

    async def work() -> None:
        with pytest.raises(ValueError, match="bad"):
            await asyncio.ensure_future(fail())
        task = asyncio.ensure_future(asyncio.sleep(60))
        asyncio.get_running_loop().call_soon(task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
        said.append("end")

    run(work())
    await until(lambda: said == ["end"])


async def test_what_leaves_a_coroutine_goes_to_the_loops_handler() -> None:
    loop, seen = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _, context: seen.append(context))

    async def work() -> None:
        raise ValueError("bad")

    run(work())
    found: dict[str, Any] = seen[0]
    assert isinstance(found["exception"], ValueError)
    assert found["message"] == "a request's coroutine failed"
