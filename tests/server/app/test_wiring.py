"""From the settings of retries and of health to what a gateway made from them does, in simulated time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest

from tests.gateways import make_gateway
from tests.pipeline.requests import make_active
from tests.pipeline.test_pipeline import Client
from tests.simulation import SimulatedLoop, served, simulate
from trunkline.server.app.gateway import Gateway
from trunkline.settings import Settings, load_settings
from trunkline.transport import TransportError, UpstreamRequest, failures
from trunkline.transport.in_flight import Sink
from trunkline.transport.response import ResponseReader
from trunkline.transport.response_stream import Response

ENV = {
    "ALLOWED_API_KEYS": "gw_" + "t" * 43,
    "OLLAMA_BASE_URL": "http://ollama:11434",
    "OPENAI_API_KEY": "sk-x",
    "OPENAI_BASE_URL": "http://openai:80/v1",
}
ANSWERS = {
    "ollama": b'{"model":"m","message":{"role":"assistant","content":"x"},"done":true,"done_reason":"stop"}',
    "openai": b'{"choices":[]}',
}
LISTS = {b"/api/tags": b'{"models":[{"name":"m"}]}', b"/v1/models": b'{"data":[{"id":"m"}]}'}


class InFlight:
    """One request on its way."""

    sent = True

    def cancel(self) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def release(self) -> None: ...


class Network:
    """The client of a gateway, with all the servers that it reaches. While ``down`` is set they fail: with
    the 503 of a proxy, or by refusing the connection."""

    def __init__(self, loop: SimulatedLoop, *, refuses: bool = False) -> None:
        self._loop = loop
        self._refuses = refuses
        self.down = True
        self.asked: list[float] = []
        """The times at which a model was asked for an answer."""
        self.looked: list[str] = []
        """The hosts that were asked for their models."""

    def send(self, request: UpstreamRequest, sink: Sink) -> InFlight:
        self.asked.append(self._loop.time())
        self._loop.call_soon(self._answer, request.origin.host, sink)
        return InFlight()

    def _answer(self, host: str, sink: Sink) -> None:
        if self.down and self._refuses:
            sink.on_failure(TransportError(failures.REFUSED, f"http://{host}"))
            return
        status, body = (503, b"<h1>Service Unavailable</h1>") if self.down else (200, ANSWERS[host])
        reader = ResponseReader()
        kind = b"text/html" if self.down else b"application/json"
        reader.feed(b"HTTP/1.1 %d \r\nContent-Type: %b\r\n\r\n" % (status, kind))
        sink.on_head(reader)
        sink.on_data(body)
        sink.on_end()

    async def fetch(self, request: UpstreamRequest) -> Response:
        body = LISTS.get(request.target)
        if body is not None:
            self.looked.append(request.origin.host)
        return Response(404, [], b"") if body is None else Response(200, [], body)

    async def aclose(self) -> None:
        pass


class Site:
    """A gateway made from an environment, and its network."""

    def __init__(self, loop: SimulatedLoop, network: Network, gateway: Gateway) -> None:
        self.loop = loop
        self.network = network
        self.gateway = gateway

    async def ask(self, model: str) -> tuple[int, int, float]:
        """The number of attempts, the status and the seconds of one request."""
        before, client, arrived = len(self.network.asked), Client(), self.loop.time()
        body = msgspec.json.encode({"model": model, "messages": [{"role": "user", "content": "x"}]})
        await served(self.gateway.pipeline, make_active(client, body, received_at=arrived))
        ((_, status, _),) = client.told
        return len(self.network.asked) - before, status, self.loop.time() - arrived


def settings_of(**env: str) -> Settings:
    """What the environment says, and nothing else."""
    return load_settings(env=ENV | env, env_file=None)


def at_site(
    monkeypatch: pytest.MonkeyPatch,
    main: Callable[[Site], Coroutine[Any, Any, None]],
    *,
    refuses: bool,
    **env: str,
) -> None:
    """Run ``main`` with a gateway that these variables configure."""

    async def run(loop: SimulatedLoop) -> None:
        network = Network(loop, refuses=refuses)
        monkeypatch.setattr("trunkline.server.app.gateway.Client", lambda: network)
        gateway = make_gateway(settings_of(**env))
        await gateway.catalog.refresh()
        await main(Site(loop, network, gateway))
        await gateway.aclose()

    simulate(monkeypatch, run)


OFF = {"BREAKER_FAILURES": "0", "RETRY_DEADLINE_S": "1000"}


@pytest.mark.parametrize(
    ("model", "env", "refuses", "attempts"),
    [
        ("ollama/m", {}, False, 4),
        ("ollama/m", {"OLLAMA_MAX_RETRIES": "0"}, False, 1),
        ("ollama/m", {"OLLAMA_MAX_RETRIES": "1"}, False, 2),
        ("ollama/m", {"OLLAMA_MAX_RETRIES": "5"}, False, 6),
        ("ollama/m", {"OLLAMA_MAX_RETRIES": "5"}, True, 2),  # nobody is there: once is enough
        ("ollama/m", {"OLLAMA_MAX_RETRIES": "0"}, True, 1),
        ("ollama/m", {"MAX_RETRIES": "5"}, False, 4),
        ("openai/m", {}, False, 3),
        ("openai/m", {"MAX_RETRIES": "0"}, False, 1),
        ("openai/m", {"MAX_RETRIES": "1"}, False, 2),
        ("openai/m", {"MAX_RETRIES": "5"}, False, 6),
        ("openai/m", {"MAX_RETRIES": "5"}, True, 2),
        ("openai/m", {"OLLAMA_MAX_RETRIES": "5"}, False, 3),
    ],
)
def test_the_number_of_retries(
    model: str, env: dict[str, str], refuses: bool, attempts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main(site: Site) -> None:
        made, status, lasted = await site.ask(model)
        assert (made, status) == (attempts, 502)
        assert lasted < 0.25 * 2**attempts  # pauses of backoff, and nothing else

    at_site(monkeypatch, main, refuses=refuses, **OFF | env)


@pytest.mark.parametrize("model", ["ollama/m", "openai/m"])
@pytest.mark.parametrize("deadline", [0.1, 2.0, 9.0])
def test_the_deadline_of_retries(model: str, deadline: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many attempts as there is time for. With jitter the pauses are half of the longest at least."""

    async def main(site: Site) -> None:
        attempts, status, lasted = await site.ask(model)
        longest = [0.25 * 2.0**number for number in range(6)]
        fewest, most = (
            1 + sum(sum(longest[: n + 1]) * share <= deadline for n in range(6)) for share in (1.0, 0.5)
        )
        assert fewest <= attempts <= most
        assert (status, lasted <= deadline) == (502, True)

    retries = {"MAX_RETRIES": "9", "OLLAMA_MAX_RETRIES": "9"}
    at_site(monkeypatch, main, refuses=False, **OFF | retries | {"RETRY_DEADLINE_S": str(deadline)})


NO_RETRIES = {"MAX_RETRIES": "0", "OLLAMA_MAX_RETRIES": "0"}


@pytest.mark.parametrize("model", ["ollama/m", "openai/m"])
@pytest.mark.parametrize("refuses", [False, True])
@pytest.mark.parametrize(
    ("env", "failures"), [({}, 5), ({"BREAKER_FAILURES": "1"}, 1), ({"BREAKER_FAILURES": "7"}, 7)]
)
def test_the_failures_that_open_a_circuit_breaker(
    model: str, refuses: bool, env: dict[str, str], failures: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main(site: Site) -> None:
        for _ in range(failures):
            assert (await site.ask(model))[:2] == (1, 502)
        assert await site.ask(model) == (0, 502, 0.0)

    at_site(monkeypatch, main, refuses=refuses, **NO_RETRIES | env)


def test_without_circuit_breakers_nothing_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(site: Site) -> None:
        for _ in range(20):
            assert (await site.ask("openai/m"))[:2] == (1, 502)

    at_site(monkeypatch, main, refuses=False, **NO_RETRIES, BREAKER_FAILURES="0")


@pytest.mark.parametrize("model", ["ollama/m", "openai/m"])
@pytest.mark.parametrize(
    ("env", "recovery"),
    [({}, 10.0), ({"BREAKER_RECOVERY_S": "0.5"}, 0.5), ({"BREAKER_RECOVERY_S": "3600"}, 3600.0)],
)
def test_the_rest_after_failures(
    model: str, env: dict[str, str], recovery: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main(site: Site) -> None:
        assert (await site.ask(model))[:2] == (1, 502)
        await asyncio.sleep(recovery - 0.25)
        assert (await site.ask(model))[:2] == (0, 502)
        await asyncio.sleep(0.25)
        assert (await site.ask(model))[:2] == (1, 502)  # the probe fails, and the rest begins anew
        site.network.down = False
        await asyncio.sleep(recovery - 0.25)
        assert (await site.ask(model))[:2] == (0, 502)
        await asyncio.sleep(0.25)
        assert (await site.ask(model))[:2] == (1, 200)
        assert (await site.ask(model))[:2] == (1, 200)

    at_site(monkeypatch, main, refuses=False, **NO_RETRIES, BREAKER_FAILURES="1", **env)


@pytest.mark.parametrize("model", ["ollama/m", "openai/m"])
def test_a_reload_changes_the_health_settings_of_what_runs(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main(site: Site) -> None:
        assert (await site.ask(model))[:2] == (1, 502)
        changes = {"BREAKER_FAILURES": "3", "BREAKER_RECOVERY_S": "2"}
        await site.gateway.reconfigure(settings_of(**NO_RETRIES, **changes))
        for _ in range(2):
            assert (await site.ask(model))[:2] == (1, 502)  # the first failure still counts
        assert (await site.ask(model))[:2] == (0, 502)
        await asyncio.sleep(2.0)
        assert (await site.ask(model))[:2] == (1, 502)
        assert (await site.ask(model))[:2] == (0, 502)
        await site.gateway.reconfigure(settings_of(**NO_RETRIES, BREAKER_FAILURES="0"))
        assert (await site.ask(model))[:2] == (1, 502)
        assert (await site.ask(model))[:2] == (1, 502)

    at_site(monkeypatch, main, refuses=False, **NO_RETRIES)


@pytest.mark.parametrize(
    ("env", "of_ollama", "of_openai"),
    [
        ({}, 1 + 60, 1 + 60),
        ({"OLLAMA_HEALTH_CHECK_INTERVAL": "20"}, 1 + 180, 1 + 60),
        ({"OLLAMA_HEALTH_CHECK_INTERVAL": "1000"}, 1 + 3, 1 + 60),
        ({"MODEL_REFRESH_INTERVAL_S": "600"}, 1 + 60, 1 + 6),
        ({"OLLAMA_AUTO_HEALTH_CHECK": "false"}, 1, 1 + 60),
        ({"OLLAMA_AUTO_HEALTH_CHECK": "false", "OLLAMA_HEALTH_CHECK_INTERVAL": "20"}, 1, 1 + 60),
        ({"OLLAMA_AUTO_HEALTH_CHECK": "false", "MODEL_REFRESH_INTERVAL_S": "600"}, 1 + 6, 1 + 6),
    ],
)
def test_how_often_upstreams_are_looked_at(
    env: dict[str, str], of_ollama: int, of_openai: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the start, and within the hour that follows."""

    async def main(site: Site) -> None:
        site.network.looked.clear()
        site.gateway.wiring.start()
        await asyncio.sleep(3601)
        looked = site.network.looked
        assert (looked.count("ollama"), looked.count("openai")) == (of_ollama, of_openai)

    at_site(monkeypatch, main, refuses=False, **env)
