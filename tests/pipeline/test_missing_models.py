"""Models that are pulled because a request asks for one (``OLLAMA_AUTO_PULL``)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from tests.gateways import until
from tests.pipeline.test_pipeline import Table, Upstreams, attempt_of
from trunkline.errors import MODEL_NOT_FOUND, UPSTREAM_BUSY, GatewayError, ProviderError
from trunkline.routing.resolve import RouteRule, RouteTarget, RoutingRules
from trunkline.routing.router import Router


class Puller:
    """Pulls that the test ends."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.pulls: list[asyncio.Future[GatewayError | None]] = []

    def pull(self, provider: str, model: str) -> asyncio.Future[GatewayError | None]:
        self.asked.append((provider, model))
        self.pulls.append(asyncio.get_running_loop().create_future())
        return self.pulls[-1]


async def make_site(models: dict[str, Sequence[str]], *, paid: str = "") -> tuple[Table, Puller]:
    """A pipeline over these servers, which may pull ``new``; all but ``paid`` are Ollama servers. The name
    ``new`` is a route to all of them."""
    upstreams = [Upstreams(name, has) for name, has in models.items()]
    for each in upstreams:
        each.loads_models = each.name != paid
    table = Table(*upstreams)
    await table.catalog.refresh()
    route = RouteRule([RouteTarget(name, "new", priority=number) for number, name in enumerate(models)])
    rules = RoutingRules(preferred=upstreams[0].name, auto_pull=("new*",), routes={"new": route})
    providers: Any = {each.name: each for each in upstreams}
    table.pipeline.router = Router(providers, table.catalog, rules)
    puller = Puller()
    table.pipeline._puller = puller
    return table, puller


async def test_a_missing_model_is_pulled_and_then_asked() -> None:
    table, puller = await make_site({"ollama": []})
    (ollama,) = table.upstreams
    asked = await table.ask(model="new")
    await until(lambda: bool(puller.pulls))
    assert (puller.asked, ollama.attempts) == ([("ollama", "new")], [])
    ollama.models = {"ollama-0": ["new:latest"]}
    await table.catalog.refresh()
    puller.pulls[0].set_result(None)
    await until(lambda: bool(ollama.attempts))
    assert attempt_of(ollama).exchange.upstream_model == "new"
    attempt_of(ollama).receiver.done(b"{}")
    await asked.end()
    assert asked.client.told == [("send", 200, b"{}")]
    again = await table.ask(model="new")
    ollama.attempts[1].receiver.done(b"{}")
    await again.end()
    assert len(puller.asked) == 1  # it is there now


async def test_a_pull_that_fails_is_told() -> None:
    table, puller = await make_site({"ollama": []})
    asked = await table.ask(model="new")
    await until(lambda: bool(puller.pulls))
    puller.pulls[0].set_result(ProviderError("no such model", MODEL_NOT_FOUND))
    await asked.end()
    ((_, status, body),) = asked.client.told
    assert (status, msgspec.json.decode(body)["error"]["message"]) == (404, "no such model")
    assert table.upstreams[0].attempts == []


async def test_a_server_whose_pull_fails_is_followed_by_the_next() -> None:
    table, puller = await make_site({"ollama": [], "cellar": []})
    first, second = table.upstreams
    asked = await table.ask(model="new")
    await until(lambda: len(puller.pulls) == 1)
    puller.pulls[0].set_result(ProviderError("the disk is full", UPSTREAM_BUSY))
    await until(lambda: len(puller.pulls) == 2)
    assert puller.asked == [("ollama", "new"), ("cellar", "new")]
    puller.pulls[1].set_result(None)
    await until(lambda: bool(first.attempts or second.attempts))
    asked.active.disconnected()
    await asked.end()


async def test_who_has_the_model_is_asked_while_another_pulls_it() -> None:
    table, puller = await make_site({"ollama": [], "paid": ["new"]}, paid="paid")
    ollama, paid = table.upstreams
    asked = await table.ask(model="new")
    assert puller.asked == [("ollama", "new")]
    assert not puller.pulls[0].done()
    for upstream in (ollama, paid):
        for attempt in upstream.attempts:
            attempt.receiver.done(b"{}")
    await asked.end()
    assert asked.client.told == [("send", 200, b"{}")]


@pytest.mark.parametrize("leaves", ["before", "meanwhile"])
async def test_a_client_that_leaves_does_not_end_the_pull(leaves: str) -> None:
    table, puller = await make_site({"ollama": []})
    gate = asyncio.Event()
    if leaves == "before":
        table.catalog.start(60)  # which it waits for
        table.upstreams[0].gate = gate
    asked = await table.ask(model="new")
    if leaves == "before":
        asked.active.disconnected()
        gate.set()
        await asked.end()
    else:
        await until(lambda: bool(puller.pulls))
        asked.active.disconnected()
        await asked.end()
    assert [pull.done() for pull in puller.pulls] == [False]
    assert asked.client.told == []
    assert table.upstreams[0].attempts == []
    assert table.outcomes[0].status == 499
    await table.catalog.aclose()


async def test_without_a_puller_the_server_is_asked() -> None:
    table, _ = await make_site({"ollama": []})
    table.pipeline._puller = None
    asked = await table.ask(model="new")
    attempt_of(table.upstreams[0]).receiver.done(b"{}")
    await asked.end()
    assert asked.client.told == [("send", 200, b"{}")]
