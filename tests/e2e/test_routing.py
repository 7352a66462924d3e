"""Routing through a gateway that serves: shares, failures, fallbacks, limits, and what it tells of them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from tests.gateways import BEARER, GUARD, KEY, Running, chat, make_settings, post, serving, until
from tests.transport.upstream import Peer, listening
from trunkline.errors import UPSTREAM_UNREACHABLE, ProviderError
from trunkline.settings import ModelDefaults, ProviderConfig, Route, Target
from trunkline.settings.sections import KeyPolicy
from trunkline_mock import Fault, MockUpstream, Script

HEADERS = {"authorization": f"Bearer {KEY}"}
UPSTREAM = "x-trunkline-upstream"


@asynccontextmanager
async def fleet(
    count: int = 3, script: Script | None = None, **changes: Any
) -> AsyncIterator[tuple[Running, list[MockUpstream], httpx.AsyncClient]]:
    """A gateway in front of so many Ollama servers, and a client of it."""
    async with AsyncExitStack() as stack:
        mocks = [
            await stack.enter_async_context(MockUpstream("ollama", script or Script())) for _ in range(count)
        ]
        section = ProviderConfig(
            type="ollama", urls=tuple(mock.base_url for mock in mocks), **changes.pop("ollama", {})
        )
        settings = make_settings(
            ollama_enabled=True,
            providers={"ollama": section, **changes.pop("providers", {})},
            **{"max_retries": 2, "ollama_max_retries": 2, "breaker_failures": 5, **changes},
        )
        running = await stack.enter_async_context(serving(settings))
        await running.gateway.catalog.wait_until_discovered(GUARD)
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=running.url, headers=HEADERS, timeout=GUARD)
        )
        yield running, mocks, client


async def ask(client: httpx.AsyncClient, model: str = "llama3.2", **more: Any) -> httpx.Response:
    return await client.post("/v1/chat/completions", json=chat(model, **more))


async def where(running: Running, times: int, model: str = "llama3.2", connections: int = 20) -> Counter[str]:
    """Which upstreams so many requests were served by, over some connections; all must be answered."""
    request = post(chat(model), BEARER)
    left = iter(range(times))
    served: Counter[str] = Counter()

    async def ask_while_some_are_left() -> None:
        wire = await running.connect()
        for _ in left:
            wire.send(request)
            answer = await wire.answer()
            assert answer.status == 200, answer.body
            served[answer.headers[UPSTREAM]] += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(ask_while_some_are_left())
    return served


async def test_two_thousand_in_turn() -> None:
    async with fleet(ollama={"strategy": "round_robin"}) as (running, mocks, _):
        counts = await where(running, 2000)
        assert len(counts) == len(mocks)
        assert max(counts.values()) - min(counts.values()) <= 1


async def test_shares_by_weight_in_every_cycle() -> None:
    async with AsyncExitStack() as stack:
        mocks = [await stack.enter_async_context(MockUpstream("ollama")) for _ in range(3)]
        providers = {
            f"p{at}": ProviderConfig(type="ollama", url=mock.base_url) for at, mock in enumerate(mocks)
        }
        weights = (5, 3, 2)
        targets = tuple(
            Target(provider=name, model="llama3.2", weight=weight)
            for name, weight in zip(providers, weights, strict=True)
        )
        route = Route(strategy="weighted", targets=targets)
        running = await stack.enter_async_context(
            serving(make_settings(providers=providers, routes={"mine": route}))
        )
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=running.url, headers=HEADERS))
        for _ in range(3):
            served = Counter([(await ask(client, "mine")).headers["x-trunkline-provider"] for _ in range(10)])
            assert [served[name] for name in providers] == list(weights)


async def test_tiers_are_strict_until_one_fails() -> None:
    async with AsyncExitStack() as stack:
        mocks = [await stack.enter_async_context(MockUpstream("ollama")) for _ in range(2)]
        providers = {
            f"p{at}": ProviderConfig(type="ollama", url=mock.base_url) for at, mock in enumerate(mocks)
        }
        targets = tuple(
            Target(provider=f"p{at}", model="llama3.2", priority=priority)
            for at, priority in enumerate((1, 0))
        )
        settings = make_settings(providers=providers, routes={"mine": Route(targets=targets)})
        running = await stack.enter_async_context(serving(settings))
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=running.url, headers=HEADERS))
        served = [(await ask(client, "mine")).headers["x-trunkline-provider"] for _ in range(6)]
        assert served == ["p1"] * 6
        mocks[1].script = Script(fault=Fault("status", status=500))
        answer = await ask(client, "mine")
        assert (answer.headers["x-trunkline-provider"], answer.headers["x-trunkline-attempts"]) == ("p0", "2")


async def test_a_server_dies_with_traffic_running_and_comes_back() -> None:
    async with fleet(
        breaker_recovery_s=0.3, ollama={"strategy": "round_robin"}, script=Script(delay_first_s=0.005)
    ) as (running, mocks, client):
        answers: list[httpx.Response] = []
        over = asyncio.Event()

        async def traffic() -> None:
            while not over.is_set():
                answers.append(await ask(client))

        async with asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(traffic())
            await until(lambda: len(answers) > 50)
            port = int(mocks[1].base_url.rpartition(":")[2])
            await mocks[1].stop()
            dead = len(answers)
            await until(lambda: len(answers) > dead + 100)
            again = MockUpstream("ollama", Script(delay_first_s=0.005), port=port)
            await again.start()
            back = time.monotonic()
            await until(lambda: len([call for call in again.calls if call.inference]) > 3)
            took = time.monotonic() - back
            over.set()
        await again.stop()
        assert {answer.status_code for answer in answers} == {200}
        assert took < GUARD
        (state,) = [
            live
            for upstream, live in running.gateway.router.states(running.gateway.providers["ollama"])
            if str(port) in upstream.name
        ]
        assert not state.breaker.is_open


async def test_one_that_always_fails_gets_no_more_than_its_probes() -> None:
    async with fleet(breaker_failures=3, breaker_recovery_s=60, ollama={"strategy": "round_robin"}) as (
        running,
        mocks,
        _,
    ):
        mocks[0].script = Script(fault=Fault("status", status=500))
        counts = await where(running, 300)
        assert sum(counts.values()) == 300
        asked = [call for call in mocks[0].calls if call.inference]
        assert 3 <= len(asked) <= 3 + 20  # what was under way when it was found out


def cloud(mock: MockUpstream, **more: Any) -> dict[str, ProviderConfig]:
    """OpenRouter's section, with the model that the fleet has as well."""
    given: dict[str, Any] = {
        "type": "openai-compatible",
        "url": mock.base_url,
        "local": False,
        "models": ("llama3.2",),
    }
    return {"cloud": ProviderConfig(**given | more)}


@asynccontextmanager
async def hybrid(
    **changes: Any,
) -> AsyncIterator[tuple[Running, MockUpstream, MockUpstream, httpx.AsyncClient]]:
    """One Ollama server, and a provider that is not local, with the same model."""
    async with MockUpstream("generic", any_model=True) as rented:
        providers = cloud(rented)
        async with fleet(
            1,
            providers=providers,
            preferred_provider="ollama",
            max_retries=0,
            ollama_max_retries=0,
            **changes,
        ) as (
            running,
            mocks,
            client,
        ):
            yield running, mocks[0], rented, client


async def test_fallback_before_the_first_byte(capfd: pytest.CaptureFixture[str]) -> None:
    async with hybrid() as (_, local, _, client):
        assert (await ask(client)).headers["x-trunkline-provider"] == "ollama"
        # A proxy's page: an error of Ollama's own would lead to nobody who costs money.
        local.script = Script(fault=Fault("html_error", status=503))
        for stream in (False, True):
            answer = await ask(client, stream=stream)
            assert (answer.status_code, answer.headers["x-trunkline-provider"]) == (200, "cloud")
            assert answer.headers["x-trunkline-attempts"] == "2"


async def test_no_fallback_after_the_first_byte_or_for_the_callers_fault() -> None:
    async with hybrid() as (_, local, rented, client):
        local.script = Script(fault=Fault("close_after", after=2))
        answer = await ask(client, stream=True)
        assert answer.headers["x-trunkline-provider"] == "ollama"
        assert '"error"' in answer.text
        assert "[DONE]" not in answer.text
        local.script = Script(fault=Fault("status", status=400, message="That will not do."))
        assert (await ask(client)).status_code == 400
        assert not rented.calls


@pytest.mark.parametrize("marked", ["provider", "key", "route"])
async def test_local_only_never_leaves_the_house(marked: str) -> None:
    changes: dict[str, Any] = {}
    model = "llama3.2"
    match marked:
        case "provider":
            changes["ollama"] = {"local_only": True}
        case "key":
            changes["keys"] = {"ALLOWED_API_KEYS #1": KeyPolicy(local_only=True)}
        case _:
            targets = (
                Target(provider="ollama", model=model),
                Target(provider="cloud", model=model, priority=1),
            )
            changes["routes"] = {"private": Route(targets=targets, local_only=True)}
            model = "private"
    async with hybrid(**changes) as (_, local, rented, client):
        assert (await ask(client, model)).status_code == 200
        local.script = Script(fault=Fault("html_error", status=500))
        for _ in range(8):  # its breaker opens as well
            assert (await ask(client, model)).status_code == 502
        assert not rented.calls
        if marked == "key":
            refused = await ask(client, "cloud/llama3.2")
            assert refused.status_code == 403
            assert "local_only" in refused.json()["error"]["message"]


async def test_the_next_key_when_one_is_over_its_limit() -> None:
    keys = ("sk-first-key", "sk-second-key")
    scripts = (Script(), Script(fault=Fault("status", status=429, retry_after=60)))
    async with MockUpstream("generic", any_model=True, scripts=scripts) as mock:
        section = ProviderConfig(
            type="openai-compatible", url=mock.base_url, api_key=tuple(map(SecretStr, keys)), models=("m",)
        )
        settings = make_settings(providers={"rented": section}, breaker_failures=5)
        async with (
            serving(settings) as running,
            httpx.AsyncClient(base_url=running.url, headers=HEADERS) as client,
        ):
            answers = [await ask(client, "m") for _ in range(4)]
            assert {answer.status_code for answer in answers} == {200}
            sent = [call.headers["authorization"].removeprefix("Bearer ") for call in mock.calls]
            first, second = keys
            assert sent == [first, first, second, second, second]  # the first is left alone from then on
            assert [answer.headers["x-trunkline-attempts"] for answer in answers] == ["1", "2", "1", "1"]
            assert answers[-1].headers[UPSTREAM].endswith("#2")


@pytest.mark.parametrize(("path", "body"), [("/v1/chat/completions", {}), ("/api/chat", {"stream": False})])
async def test_waiting_for_room(path: str, body: dict[str, Any]) -> None:
    script = Script(delay_first_s=0.2)
    async with fleet(1, script, ollama={"max_concurrent": 1}, queue_timeout_s=5) as (running, _, client):
        answers = await asyncio.gather(*(client.post(path, json=chat("llama3.2") | body) for _ in range(3)))
        assert [answer.status_code for answer in answers] == [200] * 3
        assert running.gateway.pipeline.queue.depth == 0
        running.gateway.recorder.flush()
        assert running.gateway.metrics.queue_waits.total > 0


@pytest.mark.parametrize(("path", "body"), [("/v1/chat/completions", {}), ("/api/chat", {"stream": False})])
@pytest.mark.parametrize("why", ["QUEUE_TIMEOUT_S", "QUEUE_LIMIT"])
async def test_no_room(path: str, body: dict[str, Any], why: str) -> None:
    script = Script(fault=Fault("stall_before"))
    limits = {"queue_timeout_s": 0.1} if why == "QUEUE_TIMEOUT_S" else {"queue_limit": 0}
    async with fleet(1, script, ollama={"max_concurrent": 1}, **limits) as (running, _, client):
        first = asyncio.create_task(client.post(path, json=chat("llama3.2") | body))
        await until(lambda: len(running.gateway.pipeline.active) == 1)
        answer = await client.post(path, json=chat("llama3.2") | body)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        error = answer.json()["error"]
        assert why in (error if path.startswith("/api") else error["message"])
        first.cancel()
        await until(lambda: not running.gateway.pipeline.active)


async def test_a_client_that_goes_leaves_the_line() -> None:
    script = Script(fault=Fault("stall_before"))
    async with fleet(1, script, ollama={"max_concurrent": 1}) as (running, _, client):
        tasks = [asyncio.create_task(ask(client)) for _ in range(3)]
        await until(lambda: running.gateway.pipeline.queue.depth == 2)
        for task in tasks:
            task.cancel()
        await until(lambda: not running.gateway.pipeline.active)
        assert running.gateway.pipeline.queue.depth == 0
        ((_, live),) = running.gateway.router.states(running.gateway.providers["ollama"])
        assert live.gate.in_flight == 0


async def test_a_limit_on_one_model() -> None:
    script = Script(delay_first_s=0.05)
    limits = {"ollama/llama3.2*": ModelDefaults(max_concurrent=1)}
    async with fleet(1, script, models=limits) as (running, _, client):
        await asyncio.gather(*(ask(client, model) for model in ("llama3.2", "llama3.2", "llama2")))
        running.gateway.recorder.flush()
        assert running.gateway.metrics.queue_waits.total > 0


async def test_retries_when_there_is_nobody_else() -> None:
    async with fleet(1, retry_deadline_s=10) as (_, mocks, client):
        mocks[0].script = Script(fault=Fault("html_error", status=500))
        answer = await ask(client)
        assert answer.status_code == 502
        assert answer.headers["x-trunkline-attempts"] == "3"
        mocks[0].script = Script(fault=Fault("status", status=400))
        assert (await ask(client)).headers["x-trunkline-attempts"] == "1"


async def test_nobody_is_left_to_ask() -> None:
    async with fleet(1, breaker_failures=1, breaker_recovery_s=60, ollama_max_retries=0) as (
        _,
        mocks,
        client,
    ):
        mocks[0].script = Script(fault=Fault("html_error", status=500, message="out of memory"))
        assert (await ask(client)).status_code == 502
        asked = len(mocks[0].calls)
        answer = await ask(client)
        assert answer.status_code == 502
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert "is not asked again for" in answer.json()["error"]["message"]
        assert "out of memory" not in answer.text
        assert len(mocks[0].calls) == asked


async def test_what_is_told_of_providers() -> None:
    async with fleet(2) as (_, mocks, client):
        listed = (await client.get("/v1/providers")).json()
        by_name = {each["name"]: each for each in listed["data"]}
        assert (listed["object"], listed["default_provider"]) == ("list", "ollama")
        assert by_name["ollama"]["healthy"]
        assert by_name["ollama"]["default"]
        assert len(by_name["ollama"]["upstreams"]) == 2
        assert by_name["cerebras"] | {"configured": False, "healthy": False} == by_name["cerebras"]
        models = (await client.get("/v1/providers/ollama/models")).json()["data"]
        assert "llama3.2:latest" in {model["id"] for model in models}
        assert (await client.get("/v1/providers/nobody/models")).status_code == 404
        assert (await client.get("/v1/providers/ollama/else")).status_code == 404
        for mock in mocks:
            await mock.stop()
        checked = (await client.post("/v1/providers/health-check")).json()
        assert checked["checked_at"]
        away = {each["name"]: each for each in checked["data"]}["ollama"]
        assert not away["healthy"]
        assert "Connection refused" in away["upstreams"][0]["last_error"]
        told = (await client.get("/health/detailed")).json()
        assert told["status"] == "degraded"
        assert told["queue"] == {"waiting": 0, "limit": 1000}
        anonymous = (await client.get("/health/detailed", headers={"authorization": ""})).json()
        assert set(anonymous) == {"status", "version", "uptime_s", "providers"}


async def test_why_a_request_goes_where_it_goes() -> None:
    async with hybrid() as (running, _, _, client):
        told = (await client.get("/v1/explain", params={"model": "llama3.2"})).json()
        assert [(each["order"], each["provider"]) for each in told["candidates"]] == [
            (1, "ollama"),
            (2, "cloud"),
        ]
        assert told["candidates"][0]["price_per_million_tokens"] == 0
        assert told["candidates"][1]["reason"] == "asked if those before it fail"
        assert {each["provider"]: each["reason"] for each in told["others"]} == {
            "custom": "does not list the model"
        }
        ((_, live),) = running.gateway.router.states(running.gateway.providers["ollama"])
        failure = ProviderError("away", UPSTREAM_UNREACHABLE, retry_after=60)
        live.record_failure(failure, "llama3.2", False, time.perf_counter())
        told = (await client.get("/v1/explain", params={"model": "llama3.2"})).json()
        assert told["candidates"][0]["provider"] == "cloud"
        assert told["candidates"][1]["reason"].startswith(
            "not asked for 60 s: it failed with upstream_unreachable"
        )
        assert (await client.get("/v1/explain", params={"model": "cloud/nope"})).status_code == 200
        assert (await client.get("/v1/explain", params={"model": "cerebras/x"})).status_code == 404
        assert (
            await client.get("/v1/explain", params={"model": "a", "operation": "dance"})
        ).status_code == 400
        pinned = (await client.get("/v1/explain", params={"model": "ollama/llama3.2"})).json()
        assert "the name pins another provider" in {each["reason"] for each in pinned["others"]}


async def test_what_metrics_tell() -> None:
    async with fleet(1) as (_, _, client):
        await ask(client)
        text = (await client.get("/metrics")).text
        assert "trunkline_queue_depth 0.0" in text
        assert "trunkline_upstream_breaker{" in text
        assert "trunkline_upstream_in_flight{" in text
        told = (await client.get("/metrics", headers={"accept": "application/json"})).json()
        assert told["queue"] == {"depth": 0, "waited_seconds": 0.0}


async def test_a_request_that_is_sent_again_over_another_connection_is_counted() -> None:
    """A kept connection that is reset after it took the request: the upstream has seen the request twice."""
    body = b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[]}'
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    seen: list[int] = []

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            seen.append(peer.number)
            if len(seen) == 2:
                peer.reset()
                return
            peer.send(answer + body)

    async with listening(script, None) as origin:
        url = f"http://127.0.0.1:{origin.port}/v1"
        up = ProviderConfig(type="openai-compatible", url=url, models=("m",))
        async with serving(make_settings(providers={"up": up})) as running:
            sent = [(await running.ask(post(chat("up/m"), BEARER))).headers for _ in range(3)]
    assert [headers["x-trunkline-attempts"] for headers in sent] == ["1", "2", "1"]
    assert seen == [0, 0, 1, 1]
