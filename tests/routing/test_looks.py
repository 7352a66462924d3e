"""Looks that unknown names cause: who shares them, and how many there are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from tests.gateways import GUARD, until
from trunkline.errors import FORBIDDEN, MODEL_NOT_FOUND, CallerError
from trunkline.routing import looks as looks_module
from trunkline.routing.looks import Looks


class Server:
    """A server that has models, and tells them when it may."""

    def __init__(self) -> None:
        self.models: set[str] = set()
        self.listed: set[str] = set()
        self.asked = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.looks = Looks(self.ask)

    async def ask(self, publish: Callable[[], None]) -> None:
        self.asked += 1
        models = set(self.models)
        await self.gate.wait()
        self.listed = models

    def find(self, name: str) -> Callable[[], str]:
        def find() -> str:
            if name not in self.listed:
                raise CallerError(f"{name} is not there", MODEL_NOT_FOUND)
            return name

        return find

    def begin(self, name: str) -> asyncio.Task[str]:
        return asyncio.ensure_future(self.looks.find(self.find(name)))


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    monkeypatch.setattr(looks_module, "LOOK_INTERVAL_S", 0.02)
    server = Server()
    yield server
    server.gate.set()
    await server.looks.aclose()


async def test_one_look_serves_all_who_wait(server: Server) -> None:
    server.models.add("fresh")
    found = await asyncio.gather(*(server.begin("fresh") for _ in range(50)))
    assert (found, server.asked) == (["fresh"] * 50, 1)


async def test_who_comes_during_a_look_has_its_news_and_else_waits_for_another(server: Server) -> None:
    server.gate.clear()
    first = server.begin("early")
    await until(lambda: server.asked == 1)
    server.models.add("late")  # after that look began
    many = [server.begin("late") for _ in range(20)]
    server.gate.set()
    with pytest.raises(CallerError, match="early is not there"):
        await first
    assert await asyncio.gather(*many) == ["late"] * 20
    assert server.asked == 2


async def test_what_a_slow_server_has_is_found_at_the_end_of_the_look(server: Server) -> None:
    async def ask(publish: Callable[[], None]) -> None:
        server.asked += 1
        publish()  # the first servers do not have it
        await server.gate.wait()
        server.listed.add("fresh")

    server.gate.clear()
    server.looks = Looks(ask)
    waiting = server.begin("fresh")
    await until(lambda: server.asked == 1)
    assert not waiting.done()
    server.gate.set()
    assert await waiting == "fresh"
    assert server.asked == 1


async def test_a_model_made_right_after_a_miss_is_found_at_its_first_request(server: Server) -> None:
    with pytest.raises(CallerError, match="fresh is not there"):
        await server.begin("fresh")
    server.models.add("fresh")
    assert await server.begin("fresh") == "fresh"
    assert server.asked == 2


async def test_looks_are_bounded_in_rate(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock[0] += seconds

    monkeypatch.setattr("trunkline.routing.looks.asyncio.sleep", sleep)
    monkeypatch.setattr("trunkline.routing.looks.time.monotonic", lambda: clock[0])
    for _ in range(5):
        with pytest.raises(CallerError):
            await server.begin("missing")
    assert slept == pytest.approx([0.02] * 4)
    assert server.asked == 5


async def test_who_comes_between_two_looks_shares_the_next(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    pause, really_sleep = asyncio.Event(), asyncio.sleep

    async def sleep(seconds: float) -> None:
        await (pause.wait() if seconds > 1.0 else really_sleep(seconds))

    monkeypatch.setattr(looks_module, "LOOK_INTERVAL_S", 60.0)
    monkeypatch.setattr("trunkline.routing.looks.asyncio.sleep", sleep)
    server.gate.clear()
    first = server.begin("fresh")
    await until(lambda: server.asked == 1)
    server.models.add("fresh")
    second = server.begin("fresh")
    await really_sleep(0)
    server.gate.set()
    with pytest.raises(CallerError):
        await first
    third = server.begin("fresh")
    await really_sleep(0)
    pause.set()
    assert [await second, await third] == ["fresh"] * 2
    assert server.asked == 2


async def test_a_server_that_hangs_is_not_waited_for_without_end(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks_module, "LOOK_TIMEOUT_S", 0.01)
    server.gate.clear()
    async with asyncio.timeout(GUARD):
        with pytest.raises(CallerError):
            await server.begin("missing")
    server.gate.set()
    server.models.add("fresh")
    assert await server.begin("fresh") == "fresh"


async def test_what_else_stands_in_the_way_is_told_at_once(server: Server) -> None:
    def find() -> str:
        raise CallerError("hidden", FORBIDDEN)

    with pytest.raises(CallerError, match="hidden"):
        await server.looks.find(find)
    assert server.asked == 1


async def test_who_waits_is_told_when_looks_end(server: Server) -> None:
    server.gate.clear()
    waiting = server.begin("missing")
    await until(lambda: server.asked == 1)
    await server.looks.aclose()
    with pytest.raises(CallerError):
        await waiting
