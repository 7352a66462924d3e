"""A fleet with a server that is away: who has done a command, who has not, and how that one catches up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest

from tests.gateways import until
from tests.server.endpoints.ollama.test_management import ManagedFleet, start_fleet
from trunkline.errors import UPSTREAM_RESET, ProviderError
from trunkline.providers.ollama import OllamaServer
from trunkline_mock import Fault, MockUpstream, Script
from trunkline_mock.script import MockModel


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as entered:
        yield entered


async def take_away(fleet: ManagedFleet, letter: str) -> str:
    """Stop a server; returns its name at the gateway."""
    name = fleet.name(letter)
    await fleet.mocks.pop(letter).stop()
    return name


async def bring_back(stack: AsyncExitStack, fleet: ManagedFleet, letter: str, *models: str) -> None:
    """Start a server again, at the address that it had, with these models."""
    (away,) = (
        upstream.url
        for upstream in fleet.running.gateway.providers["ollama"].upstreams
        if upstream.url not in {mock.base_url for mock in fleet.mocks.values()}
    )
    port = int(away.rpartition(":")[2])
    kept = [MockModel(f"{model}:latest", size=1) for model in models]
    fleet.mocks[letter] = await stack.enter_async_context(MockUpstream("ollama", models=kept, port=port))
    await fleet.running.gateway.catalog.refresh({"ollama"})


async def comes_true(fleet: ManagedFleet, model: str, letters: str) -> None:
    """Wait until these servers have the model and the gateway knows it."""
    catalog = fleet.running.gateway.catalog

    def holders() -> str:
        found = catalog.listings["ollama"].by_upstream
        return "".join(each for each in "abc" if f"{model}:latest" in found.get(fleet.name(each), ()))

    await until(lambda: holders() == letters)
    assert sorted(await fleet.has(model)) == list(letters)


COMMANDS: dict[str, tuple[str, dict[str, Any], str]] = {
    "delete": ("DELETE", {"model": "both"}, "both"),
    "copy": ("POST", {"source": "both", "destination": "new"}, "new"),
}


@pytest.mark.parametrize("verb", COMMANDS)
async def test_a_command_says_which_servers_have_not_done_it(stack: AsyncExitStack, verb: str) -> None:
    fleet = await start_fleet(stack)
    away = await take_away(fleet, "b")
    method, body, model = COMMANDS[verb]
    answer = await fleet.client.request(method, f"/api/{verb}", json=body)
    assert answer.status_code == 502
    text = answer.json()["error"]
    assert f"{away}: Connection refused" in text
    assert f"Done at {fleet.name('a')}" in text
    assert f"To be done when it answers again: {away}" in text
    await bring_back(stack, fleet, "b", "both")
    await comes_true(fleet, model, "" if verb == "delete" else "ab")


@pytest.mark.parametrize("verb", ["pull", "create"])
@pytest.mark.parametrize("stream", [True, False])
async def test_progress_says_which_servers_have_not_done_it(
    stack: AsyncExitStack, verb: str, stream: bool
) -> None:
    fleet = await start_fleet(stack)
    await fleet.client.post("/api/pull", json={"model": "both"})  # now it is on all three
    away = await take_away(fleet, "b")
    body = {"model": "new", "stream": stream} | ({"from": "both"} if verb == "create" else {})
    answer = await fleet.client.post(f"/api/{verb}", json=body)
    assert answer.status_code == 200
    lines = [msgspec.json.decode(line) for line in answer.text.splitlines()]
    if stream:
        statuses = [line["status"] for line in lines]
        assert statuses[-4:-2] == [f"done at {fleet.name('a')}", f"done at {fleet.name('c')}"]
        assert statuses[-2].startswith(f"not done at {away}: Connection refused")
        assert statuses[-1] == "success"
    else:
        (last,) = lines
        assert last["status"] == "success"
        assert {each["name"]: each["done"] for each in last["servers"]} == {
            fleet.name("a"): True,
            fleet.name("c"): True,
            away: False,
        }
    await bring_back(stack, fleet, "b", "both")
    await comes_true(fleet, "new", "abc")


async def test_the_last_command_for_a_model_counts(stack: AsyncExitStack) -> None:
    fleet = await start_fleet(stack)
    await take_away(fleet, "b")
    await fleet.client.request("DELETE", "/api/delete", json={"model": "both"})
    await fleet.client.post("/api/pull", json={"model": "both"})
    await bring_back(stack, fleet, "b")
    await comes_true(fleet, "both", "abc")


async def test_a_model_that_only_a_silent_server_may_have(stack: AsyncExitStack) -> None:
    fleet = await start_fleet(stack)
    away = await take_away(fleet, "a")
    answer = await fleet.client.request("DELETE", "/api/delete", json={"model": "one"})
    assert answer.status_code == 404
    assert "model 'one' not found" in answer.json()["error"]
    assert away in answer.json()["error"]


async def test_a_server_that_breaks_off_is_told_apart_from_one_that_refuses(
    stack: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = await start_fleet(stack)
    command, broken = OllamaServer.command, [fleet.name("b")]

    async def breaking(self: OllamaServer, method: str, path: str, body: dict[str, Any]) -> bytes:
        if self.name in broken:
            broken.clear()
            raise ProviderError("The connection was reset", UPSTREAM_RESET)
        return await command(self, method, path, body)

    monkeypatch.setattr(OllamaServer, "command", breaking)
    answer = await fleet.client.request("DELETE", "/api/delete", json={"model": "both"})
    assert (answer.status_code, fleet.name("b") in answer.text) == (502, True)
    await fleet.running.gateway.catalog.refresh({"ollama"})
    await comes_true(fleet, "both", "")


@pytest.mark.parametrize("verb", COMMANDS)
async def test_a_server_that_points_elsewhere_has_not_done_it(stack: AsyncExitStack, verb: str) -> None:
    fleet = await start_fleet(stack)
    fleet.mocks["b"].on(Script(fault=Fault("redirect", status=302)), path=f"/api/{verb}")
    method, body, _ = COMMANDS[verb]
    answer = await fleet.client.request(method, f"/api/{verb}", json=body)
    assert (answer.status_code, fleet.name("b") in answer.text, "302" in answer.text) == (502, True, True)


@pytest.mark.parametrize(
    ("method", "verb", "body"),
    [
        ("POST", "show", {"model": "bad name!!"}),
        ("POST", "show", {"name": "ollama/bad name!!"}),
        ("POST", "pull", {"model": "bad name!!"}),
        ("POST", "push", {"model": "bad name!!"}),
        ("POST", "create", {"model": "bad name!!", "from": "both"}),
        ("DELETE", "delete", {"model": "bad name!!"}),
    ],
)
async def test_a_bad_name_is_refused_in_ollamas_words(
    stack: AsyncExitStack, method: str, verb: str, body: dict[str, Any]
) -> None:
    fleet = await start_fleet(stack)
    answer = await fleet.client.request(method, f"/api/{verb}", json=body)
    assert (answer.status_code, answer.json()) == (400, {"error": "invalid model name"})
