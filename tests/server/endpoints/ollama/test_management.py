"""Management of a fleet's models: which servers a request goes to, and how it is answered."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest
from pydantic import SecretStr

from tests.gateways import GUARD, KEY, Running, make_settings, serving, until
from trunkline.ledger.policies import Policies, StoredKey
from trunkline.settings import ProviderConfig
from trunkline_mock import Fault, MockUpstream, Script
from trunkline_mock.script import MockModel

ADMIN = "gw_" + "a" * 43
FILE = b"GGUF" + b"weights " * 100_000
DIGEST = "sha256:" + hashlib.sha256(FILE).hexdigest()


class Keys:
    """A key store with one admin."""

    blocking = False

    def load(self) -> Policies:
        digest = hashlib.sha256(ADMIN.encode()).hexdigest()
        return Policies(keys=(StoredKey(id="1", name="boss", role="admin", prefix="gw_", hash=digest),))

    def has_changed(self) -> bool:
        return False

    def close(self) -> None:
        pass


class ManagedFleet(NamedTuple):
    """A gateway, its three servers, and an admin."""

    running: Running
    mocks: dict[str, MockUpstream]
    client: httpx.AsyncClient

    async def has(self, model: str) -> str:
        """The servers that have the model, by their letters."""
        letters = ""
        for letter, mock in self.mocks.items():
            async with httpx.AsyncClient() as client:
                tags = (await client.get(f"{mock.base_url}/api/tags")).json()["models"]
            if f"{model}:latest" in {tag["model"] for tag in tags}:
                letters += letter
        return letters

    def name(self, letter: str) -> str:
        """A server's name at the gateway."""
        return self.mocks[letter].base_url.removeprefix("http://")


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as entered:
        yield entered


async def start_fleet(stack: AsyncExitStack, fast: bool = True, **changes: Any) -> ManagedFleet:
    """Servers a, b and c: ``both`` is on a and b, ``one`` on a alone; c is the emptiest."""
    models_of = {
        "a": [MockModel("both:latest", size=30), MockModel("one:latest", size=30)],
        "b": [MockModel("both:latest", size=30)],
        "c": [MockModel("little:latest", size=1)],
    }
    mocks = {
        letter: await stack.enter_async_context(MockUpstream("ollama", models=models))
        for letter, models in models_of.items()
    }
    cloud = await stack.enter_async_context(MockUpstream("openrouter"))
    providers = {
        "ollama": ProviderConfig(type="ollama", urls=tuple(mock.base_url for mock in mocks.values())),
        "openrouter": ProviderConfig(
            type="openrouter", url=cloud.base_url, api_key=(SecretStr("sk-test-key"),)
        ),
    }
    settings = make_settings(ollama_enabled=True, providers=providers, **changes)
    running = await stack.enter_async_context(serving(settings, fast=fast, keys=Keys()))
    await running.gateway.catalog.wait_until_discovered(GUARD)
    client = await stack.enter_async_context(
        httpx.AsyncClient(base_url=running.url, headers={"x-api-key": ADMIN}, timeout=GUARD)
    )
    return ManagedFleet(running, mocks, client)


@pytest.mark.parametrize(
    ("setting", "query", "verb", "body", "model", "before", "after"),
    [
        ("all", "", "pull", {"model": "new"}, "new", "", "abc"),
        ("all", "", "pull", {"model": "", "name": "new"}, "new", "", "abc"),
        ("all", "", "pull", {"model": "ollama/new"}, "new", "", "abc"),
        ("all", "", "pull", {"model": "both"}, "both", "ab", "abc"),
        ("room", "", "pull", {"model": "new"}, "new", "", "c"),
        ("room", "", "pull", {"model": "both"}, "both", "ab", "ab"),
        ("all", "b", "pull", {"model": "new"}, "new", "", "b"),
        ("room", "all", "pull", {"model": "new"}, "new", "", "abc"),
        ("all", "", "create", {"model": "new", "from": "both", "stream": False}, "new", "", "abc"),
        ("room", "", "create", {"model": "new", "from": "both"}, "new", "", "b"),
        ("all", "a", "create", {"model": "new", "from": "one"}, "new", "", "a"),
        ("all", "", "copy", {"source": "both", "destination": "new"}, "new", "", "ab"),
        ("all", "b", "copy", {"source": "both", "destination": "new"}, "new", "", "b"),
        ("all", "", "delete", {"model": "both"}, "both", "ab", ""),
        ("all", "a", "delete", {"model": "both"}, "both", "ab", "b"),
        ("all", "", "push", {"model": "both"}, "both", "ab", "ab"),
    ],
)
async def test_which_servers_a_request_goes_to(
    stack: AsyncExitStack,
    setting: str,
    query: str,
    verb: str,
    body: dict[str, Any],
    model: str,
    before: str,
    after: str,
) -> None:
    fleet = await start_fleet(stack, ollama_manage=setting)
    if verb == "create":  # pull what it is made of to every server, unless only some are to have it
        for letter in "bc" if setting == "all" and not query else "":
            await fleet.client.post(f"/api/pull?upstream={fleet.name(letter)}", json={"model": body["from"]})
    assert await fleet.has(model) == before
    upstream = fleet.name(query) if query in fleet.mocks else query
    method = "DELETE" if verb == "delete" else "POST"
    answer = await fleet.client.request(
        method, f"/api/{verb}", json=body, params={"upstream": upstream} if upstream else {}
    )
    assert answer.status_code == 200, answer.text
    if verb in ("pull", "create", "push"):
        lines = [msgspec.json.decode(line) for line in answer.text.splitlines()]
        assert lines[-1] == {"status": "success"}
    else:
        assert answer.content == b""
    assert await fleet.has(model) == after
    listed = (await fleet.client.get("/api/tags")).json()["models"]
    assert (f"{model}:latest" in {tag["model"] for tag in listed}) == bool(after)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "text"),
    [
        ("POST", "/api/pull", b"", 400, "missing request body"),
        ("POST", "/api/pull", b"{", 400, "invalid JSON"),
        ("POST", "/api/pull", b"[]", 400, "invalid JSON"),
        ("POST", "/api/pull", b"{}", 400, "model is required"),
        ("POST", "/api/pull", b'{"model":7}', 400, "model is required"),
        ("POST", "/api/pull?upstream=nobody", b'{"model":"m"}', 400, "No Ollama server is named 'nobody'"),
        ("POST", "/api/pull", b'{"model":"openai/gpt-4o"}', 400, "model of provider 'openrouter'"),
        ("POST", "/api/pull", b'{"model":"custom/x"}', 400, "model of provider 'custom'"),
        ("POST", "/openrouter/api/pull", b'{"model":"m"}', 400, "model of provider 'openrouter'"),
        ("POST", "/api/copy", b'{"source":"both"}', 400, "source and destination are required"),
        ("POST", "/api/copy", b'{"source":"nope","destination":"b"}', 404, "model 'nope' not found"),
        ("DELETE", "/api/delete", b'{"model":"nope"}', 404, "model 'nope' not found"),
        ("DELETE", "/api/delete", b'{"model":"gpt-4o"}', 404, "model 'gpt-4o' not found"),
        ("POST", "/api/push", b'{"model":"nope"}', 404, "model 'nope' not found"),
        ("POST", "/api/blobs/sha256:short", b"x", 400, "invalid digest format"),
        ("POST", "/api/show", b'{"model":"nope"}', 404, "not found"),
        ("POST", "/api/show", b'{"model":"openrouter/nope"}', 404, "not found"),
    ],
)
async def test_refusals(
    stack: AsyncExitStack, method: str, path: str, body: bytes, status: int, text: str
) -> None:
    fleet = await start_fleet(stack)
    answer = await fleet.client.request(method, path, content=body)
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert text in answer.json()["error"]


async def test_the_models_filter_applies(stack: AsyncExitStack, tmp_path: Path) -> None:
    rules = tmp_path / "rules.txt"
    rules.write_text("!both\n")
    fleet = await start_fleet(stack, models_filter=rules)
    for path, body in (("pull", {"model": "both"}), ("copy", {"source": "one", "destination": "both"})):
        answer = await fleet.client.post(f"/api/{path}", json=body)
        assert (answer.status_code, "MODELS_FILTER" in answer.text) == (403, True)


async def test_a_server_that_is_away_is_passed_over(stack: AsyncExitStack) -> None:
    fleet = await start_fleet(stack)
    away = fleet.name("c")
    await fleet.mocks.pop("c").stop()
    answer = await fleet.client.post("/api/pull", json={"model": "new"})
    lines = [msgspec.json.decode(line) for line in answer.text.splitlines()]
    assert lines[0] == {"status": f"passing over {away}, which does not answer"}
    assert lines[-1] == {"status": "success"}
    assert await fleet.has("new") == "ab"
    running = await fleet.client.get("/api/ps")
    assert running.json() == {"models": []}
    named = await fleet.client.post(f"/api/pull?upstream={away}", json={"model": "new"})
    assert (named.status_code, "Connection refused" in named.json()["error"]) == (502, True)
    for letter in list(fleet.mocks):
        await fleet.mocks.pop(letter).stop()
    assert (await fleet.client.get("/api/ps")).status_code == 502
    assert (await fleet.client.post("/api/show", json={"model": "both"})).status_code == 502


@pytest.mark.parametrize(
    ("setting", "noticed", "has"),
    [("all", True, "ab"), ("all", False, "ab"), ("room", True, "b")],
    ids=["all", "all, stopped a moment ago", "room"],
)
async def test_a_model_is_made_while_a_server_is_away(
    stack: AsyncExitStack, setting: str, noticed: bool, has: str
) -> None:
    fleet = await start_fleet(stack, ollama_manage=setting)
    away, path = fleet.name("c"), f"/api/blobs/{DIGEST}"
    await fleet.mocks.pop("c").stop()
    if noticed:
        await fleet.running.gateway.catalog.refresh({"ollama"})
    assert (await fleet.client.head(path)).status_code == 404
    assert (await fleet.client.post(path, content=FILE)).status_code == 201
    assert (await fleet.client.head(path)).status_code == 200
    made = await fleet.client.post("/api/create", json={"model": "new", "files": {"m.gguf": DIGEST}})
    lines = [msgspec.json.decode(line) for line in made.text.splitlines()]
    assert lines[0] == {"status": f"passing over {away}, which does not answer"}
    assert lines[-1] == {"status": "success"}
    assert await fleet.has("new") == has
    assert (await fleet.client.head(f"{path}?upstream={away}")).status_code == 502
    for letter in list(fleet.mocks):
        await fleet.mocks.pop(letter).stop()
    assert (await fleet.client.head(path)).status_code == 502


async def test_a_model_by_its_name_in_full(stack: AsyncExitStack) -> None:
    fleet = await start_fleet(stack)
    for verb, body in (
        ("pull", {"model": "registry.ollama.ai/library/new"}),
        ("copy", {"source": "library/new", "destination": "library/newer"}),
        ("show", {"model": "library/newer"}),
    ):
        assert (await fleet.client.post(f"/api/{verb}", json=body)).status_code == 200
    deleted = await fleet.client.request("DELETE", "/api/delete", json={"model": "library/new"})
    assert deleted.status_code == 200
    assert (await fleet.has("new"), await fleet.has("newer")) == ("", "abc")


async def test_without_any_server(stack: AsyncExitStack) -> None:
    running = await stack.enter_async_context(serving(make_settings(), keys=Keys()))
    client = await stack.enter_async_context(
        httpx.AsyncClient(base_url=running.url, headers={"x-api-key": ADMIN})
    )
    answer = await client.post("/api/pull", json={"model": "m"})
    assert (answer.status_code, "OLLAMA_BASE_URL" in answer.text) == (400, True)
    assert (await client.post(f"/api/blobs/{DIGEST}", content=b"x")).status_code == 400
    assert (await client.get("/api/ps")).json() == {"models": []}


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), 100_000):
        yield data[at : at + 100_000]


@pytest.mark.parametrize("chunked", [False, True], ids=["sized", "chunked"])
@pytest.mark.parametrize("fast", [True, False], ids=["fast", "asgi"])
async def test_a_file_goes_to_all_that_lack_it(stack: AsyncExitStack, fast: bool, chunked: bool) -> None:
    fleet = await start_fleet(stack, fast, max_body_bytes=10_000)
    path = f"/api/blobs/{DIGEST}"
    assert (await fleet.client.head(path)).status_code == 404
    async with httpx.AsyncClient() as direct:
        await direct.post(f"{fleet.mocks['a'].base_url}{path}", content=FILE)
    content: Any = _pieces(FILE) if chunked else FILE
    answer = await fleet.client.post(path, content=content)
    assert (answer.status_code, answer.content) == (201, b"")
    async with httpx.AsyncClient() as direct:
        for mock in fleet.mocks.values():
            assert (await direct.head(f"{mock.base_url}{path}")).status_code == 200
    assert (await fleet.client.head(path)).status_code == 200
    assert (await fleet.client.post(path, content=_pieces(FILE))).status_code == 200
    lines = await fleet.client.post("/api/create", json={"model": "new", "files": {"m.gguf": DIGEST}})
    assert lines.text.splitlines()[-1] == '{"status":"success"}'


async def test_a_file_goes_where_there_is_room(stack: AsyncExitStack) -> None:
    fleet = await start_fleet(stack, ollama_manage="room")
    assert (await fleet.client.post(f"/api/blobs/{DIGEST}", content=FILE)).status_code == 201
    answer = await fleet.client.post("/api/create", json={"model": "new", "files": {"m.gguf": DIGEST}})
    assert answer.status_code == 200
    assert await fleet.has("new") == "c"


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "asgi"])
async def test_a_file_with_another_digest(stack: AsyncExitStack, fast: bool) -> None:
    fleet = await start_fleet(stack, fast)
    wrong = "sha256:" + "0" * 64
    answer = await fleet.client.post(f"/api/blobs/{wrong}", content=_pieces(FILE))
    assert (answer.status_code, answer.json()) == (400, {"error": "digest mismatch"})


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "asgi"])
async def test_a_client_that_disconnects_in_the_middle_of_a_file(stack: AsyncExitStack, fast: bool) -> None:
    fleet = await start_fleet(stack, fast)
    wire = await fleet.running.connect()
    head = f"POST /api/blobs/{DIGEST} HTTP/1.1\r\nHost: t\r\nX-Api-Key: {ADMIN}\r\n"
    head += "Content-Length: 9000000\r\n\r\n"
    wire.send(head.encode() + b"x" * 300_000)
    await until(lambda: len(fleet.running.gateway.handlers) == 1)
    await wire.close()
    await until(lambda: not fleet.running.gateway.handlers)


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "asgi"])
async def test_a_client_that_disconnects_in_the_middle_of_a_pull(stack: AsyncExitStack, fast: bool) -> None:
    fleet = await start_fleet(stack, fast)
    for mock in fleet.mocks.values():
        mock.script = Script(fault=Fault("stall_after", after=1))
    wire = await fleet.running.connect()
    body = b'{"model":"new"}'
    head = f"POST /api/pull HTTP/1.1\r\nHost: t\r\nX-Api-Key: {ADMIN}\r\nContent-Length: {len(body)}\r\n\r\n"
    wire.send(head.encode() + body)
    await until(lambda: len(fleet.running.gateway.handlers) == 1)
    await wire.close()
    await until(lambda: not fleet.running.gateway.handlers)


async def test_a_member_may_not_manage_models_and_a_local_client_without_keys_may(
    stack: AsyncExitStack,
) -> None:
    fleet = await start_fleet(stack)
    for method, path in (("POST", "pull"), ("DELETE", "delete"), ("HEAD", f"blobs/{DIGEST}")):
        answer = await fleet.client.request(method, f"/api/{path}", headers={"x-api-key": KEY})
        assert answer.status_code == 403
    here = make_settings(allowed_api_keys=(), development_mode=True)
    running = await stack.enter_async_context(serving(here))
    async with httpx.AsyncClient(base_url=running.url) as client:
        assert (
            await client.post("/api/pull", json={"model": "m"})
        ).status_code == 400  # no server, but allowed
    network = make_settings(
        allowed_api_keys=(), require_auth=False, allow_open_network=True, host="127.0.0.1"
    )
    running = await stack.enter_async_context(serving(network))
    async with httpx.AsyncClient(base_url=running.url) as client:
        status = (await client.post("/api/pull", json={"model": "m"})).status_code
        assert status == (403 if running.gateway.exposure.open_network else 400)


async def test_loading_reaches_the_server_that_holds_the_model(stack: AsyncExitStack) -> None:
    fleet = await start_fleet(stack)
    letters = {fleet.name(letter): letter for letter in fleet.mocks}
    body = {"model": "both", "keep_alive": "5m"}
    async with httpx.AsyncClient() as direct:
        await direct.post(f"{fleet.mocks['b'].base_url}/api/generate", json=body)
    for _ in range(3):
        answer = await fleet.client.post("/api/generate", json=body)
        assert (letters[answer.headers["x-trunkline-upstream"]], answer.json()["done_reason"]) == (
            "b",
            "load",
        )
    (loaded,) = (await fleet.client.get("/api/ps")).json()["models"]
    assert (loaded["model"], letters[loaded["upstream"]]) == ("both:latest", "b")
    async with httpx.AsyncClient() as direct:
        await direct.post(f"{fleet.mocks['a'].base_url}/api/generate", json=body)
    assert len((await fleet.client.get("/api/ps")).json()["models"]) == 2
    answer = await fleet.client.post("/api/chat", json={"model": "both", "keep_alive": 0})
    assert answer.json()["done_reason"] == "unload"
    deadline = time.monotonic() + GUARD
    # The other server unloads it at the same time.
    while (await fleet.client.get("/api/ps")).json()["models"]:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.001)
