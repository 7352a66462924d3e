"""What fails rests, and nothing more: through a gateway that serves, with clients of two keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest
from pydantic import SecretStr

from tests.gateways import GUARD, Running, chat, make_settings, serving
from tests.services import free_port
from trunkline.routing.breaker import MAX_COOLDOWN_S
from trunkline.settings import ProviderConfig, Route, Target
from trunkline.settings.sections import KeyPolicy
from trunkline_mock import Fault, MockModel, MockUpstream, Rule, Script

KEYS = ("gw_" + "a" * 43, "gw_" + "b" * 43)
SECRET = "A-private-prompt-text"
OLLAMA_OPTION = "json: cannot unmarshal string into Go struct field Options.num_predict of type int"
NO_EMBEDDINGS = "this model does not support embeddings"
AFFORD = (
    "This request requires more credits, or fewer max_tokens. You requested up to 64000 tokens, but can only "
)
AFFORD += "afford 3000"


class Site(NamedTuple):
    """A gateway with its upstreams and a client of each key."""

    running: Running
    mocks: dict[str, MockUpstream]
    one: httpx.AsyncClient
    other: httpx.AsyncClient


@asynccontextmanager
async def site(mocks: dict[str, MockUpstream], **changes: Any) -> AsyncIterator[Site]:
    """A gateway in front of these upstreams, each a provider of its own. Breakers open after three."""
    async with AsyncExitStack() as stack:
        providers: dict[str, Any] = {}
        for name, mock in mocks.items():
            await stack.enter_async_context(mock)
            kind = mock.shape.name
            section: dict[str, Any] = {"type": kind, "url": mock.base_url}
            if kind != "ollama":
                section |= {"api_key": ("sk-upstream",), "local": False, "models": ("m1", "m2", "m3", "m4")}
            providers[name] = ProviderConfig(**section)
        settings = make_settings(
            allowed_api_keys=tuple(map(SecretStr, KEYS)),
            providers=providers | changes.pop("more_providers", {}),
            ollama_enabled="ollama" in mocks,
            **{"breaker_failures": 3, "breaker_recovery_s": 30.0, **changes},
        )
        running = await stack.enter_async_context(serving(settings))
        await running.gateway.catalog.wait_until_discovered(GUARD)
        one, other = [
            await stack.enter_async_context(
                httpx.AsyncClient(
                    base_url=running.url, headers={"authorization": f"Bearer {key}"}, timeout=GUARD
                )
            )
            for key in KEYS
        ]
        yield Site(running, mocks, one, other)


def failing(fault: Fault, model: str = "m2", shape: str = "openai") -> MockUpstream:
    """An upstream that fails for one model."""
    return MockUpstream(shape, rules=[Rule(model=model, script=Script(fault=fault))], any_model=True)


async def ask(client: httpx.AsyncClient, model: str, **more: Any) -> httpx.Response:
    return await client.post("/v1/chat/completions", json=chat(model, **more))


def requests_for(mock: MockUpstream, model: str) -> int:
    return sum(1 for call in mock.calls if isinstance(call.json, dict) and call.json.get("model") == model)


MODEL_FAULTS = [
    Fault("status", status=500),
    Fault("status", status=500, message="model overloaded"),
    Fault("status", status=502),
    Fault("status", status=503, retry_after=3600),
    Fault("status", status=504),
    Fault("status", status=529),
    Fault("status", status=408),
    Fault("status", status=429),
    Fault("status", status=429, retry_after=60),
    Fault("status", status=403, message="Your organization must be verified to use the model m2"),
    Fault("status", status=404),
    Fault("html_error", status=502),
    Fault("bad_json"),
    Fault("empty_body"),
    Fault("reset_before"),
    Fault("wrong_length"),
    Fault("error_in_200"),
]


@pytest.mark.parametrize("fault", MODEL_FAULTS, ids=lambda fault: f"{fault.kind}-{fault.status}")
async def test_what_one_model_does_is_no_matter_of_another(fault: Fault) -> None:
    async with site({"up": failing(fault)}) as (_, mocks, one, other):
        for _ in range(6):
            assert (await ask(one, "up/m2")).status_code >= 400
        answer = await ask(other, "up/m1")
        assert (answer.status_code, requests_for(mocks["up"], "m1")) == (200, 1)


@pytest.mark.parametrize("kind", ["reset_after", "error_midstream", "close_after", "cut_line"])
async def test_streams_that_break_off_are_their_models_matter(kind: Any) -> None:
    async with site({"up": failing(Fault(kind, after=1))}) as (_, _, one, other):
        for _ in range(4):
            await ask(one, "up/m2", stream=True)
        assert (await ask(other, "up/m1")).status_code == 200


async def test_a_model_rests_after_its_failures_and_no_longer_than_the_maximum() -> None:
    async with site({"up": failing(Fault("status", status=503, retry_after=3600))}) as (_, mocks, one, _):
        await ask(one, "up/m2")
        answer = await ask(one, "up/m2")
        assert answer.status_code in (502, 503)
        assert 0 < int(answer.headers["retry-after"]) <= MAX_COOLDOWN_S
        assert requests_for(mocks["up"], "m2") == 1


async def test_several_models_that_fail_alike_rest_their_upstream() -> None:
    mock = MockUpstream(script=Script(fault=Fault("status", status=500)), any_model=True)
    async with site({"up": mock}) as (_, _, one, other):
        for model in ("m1", "m2", "m3"):
            assert (await ask(one, f"up/{model}")).status_code == 502
        seen = len(mock.calls)
        assert (await ask(other, "up/m4")).status_code == 502
        assert len(mock.calls) == seen


async def test_a_402_about_one_request_is_that_requests_matter() -> None:
    mock = failing(Fault("status", status=402, message=AFFORD), shape="openrouter")
    async with site({"up": mock}) as (_, mocks, one, other):
        for _ in range(5):
            await ask(one, "up/m2", max_tokens=64000)
        mocks["up"].clear_rules()
        assert (await ask(other, "up/m2", max_tokens=100)).status_code == 200


async def test_a_refused_key_rests_the_credential_and_its_models() -> None:
    mock = MockUpstream(script=Script(fault=Fault("status", status=401)), any_model=True)
    async with site({"up": mock}) as (_, _, one, other):
        for _ in range(3):
            assert (await ask(one, "up/m1")).status_code == 502
        seen = len(mock.calls)
        assert (await ask(other, "up/m2")).status_code == 502
        assert len(mock.calls) == seen


WAYS = [
    *MODEL_FAULTS[:9],
    Fault("reset_before"),
    Fault("reset_after", after=1),
    Fault("error_midstream", after=1),
    Fault("stall_before"),
]


@pytest.mark.parametrize("way", WAYS, ids=lambda fault: f"{fault.kind}-{fault.status}-{fault.retry_after}")
async def test_two_keys_under_load_while_one_model_fails(way: Fault) -> None:
    """The other models answer at the first attempt, whoever asks; the failing model's callers are told that
    it fails; and nothing of one key's words is told to the other."""
    fault = way if way.message is not None else msgspec.structs.replace(way, message=f"words: {SECRET}")
    changes = {"request_timeout_s": 0.3, "max_retries": 2}
    async with site({"up": failing(fault)}, **changes) as (_, _, one, other):

        async def run(client: httpx.AsyncClient, model: str) -> list[httpx.Response]:
            return [await ask(client, model, stream=number % 2 == 1) for number in range(12)]

        async with asyncio.TaskGroup() as group:
            healthy = [group.create_task(run(each, name)) for name in ("m1", "m3") for each in (one, other)]
            failed = group.create_task(run(one, "m2"))
        for answer in (answer for task in healthy for answer in task.result()):
            assert (answer.status_code, answer.headers["x-trunkline-attempts"]) == (200, "1")
        assert all("error" in answer.text for answer in failed.result())
        resting = await ask(other, "m2")
        assert resting.status_code >= 400 or "error" in resting.text
        if int(resting.headers.get("x-trunkline-attempts", "0")) == 0:
            assert SECRET not in resting.text


# Ollama's own errors


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("/api/chat", {}, 500, OLLAMA_OPTION),
        ("/v1/chat/completions", {}, 500, OLLAMA_OPTION),
        ("/v1/messages", {"max_tokens": 5}, 500, OLLAMA_OPTION),
        ("/api/chat", {"stream": False}, 501, NO_EMBEDDINGS),
        ("/api/chat", {}, 500, "llama runner process has terminated: exit status 2"),
        ("/api/chat", {}, 502, "upstream model is not reachable"),
        ("/api/chat", {"stream": False}, 500, "model requires more system memory (8 GiB) than is available"),
    ],
)
async def test_ollamas_own_error_is_given_on_at_once(
    path: str, body: dict[str, Any], status: int, text: str
) -> None:
    bad = Script(status=status, body={"error": text})
    mock = MockUpstream("ollama", rules=[Rule(model="m2*", script=bad)], models=["m1", "m2"])
    changes = {"max_retries": 3, "ollama_max_retries": 3}
    async with site({"ollama": mock}, **changes) as (_, _, one, other):
        for number in range(1, 5):
            answer = await one.post(path, json=chat("m2", **body))
            assert answer.status_code == status
            found = answer.json()["error"]
            assert (found if isinstance(found, str) else found["message"]) == text
            asked = sum(call.path == "/api/chat" for call in mock.calls)
            assert asked <= number
        assert (await ask(other, "m1")).status_code == 200


@pytest.mark.parametrize("status", [500, 501])
async def test_what_ollama_refuses_is_asked_of_nobody_who_costs_money(status: int) -> None:
    refusal = Script(status=status, body={"error": NO_EMBEDDINGS})
    models = [MockModel("m1", capabilities=("completion",))]
    mocks = {
        "a": MockUpstream("ollama", rules=[Rule(path="/api/embed", script=refusal)], models=models),
        "b": MockUpstream("ollama", rules=[Rule(path="/api/embed", script=refusal)], models=models),
        "paid": MockUpstream("openai", any_model=True),
    }
    async with site(mocks) as (_, _, one, _):
        for path in ("/api/embed", "/v1/embeddings"):
            answer = await one.post(path, json={"model": "m1", "input": "hello"})
            assert answer.status_code == status
            assert NO_EMBEDDINGS in answer.text
        assert not [call for call in mocks["paid"].calls if "embed" in call.path]


async def test_a_health_check_that_reaches_a_mended_server_ends_its_rest() -> None:
    page = Rule(path="/api/chat", script=Script(fault=Fault("html_error", status=500)))
    mock = MockUpstream("ollama", models=["m1"], rules=[page])
    async with site({"ollama": mock}, breaker_recovery_s=300.0) as (_, _, one, _):
        for _ in range(4):
            assert (await ask(one, "m1")).status_code == 502
        seen = sum(call.path == "/api/chat" for call in mock.calls)
        assert seen == 3
        mock.clear_rules()
        found = (await one.post("/v1/providers/health-check")).json()["data"]
        assert next(each for each in found if each["name"] == "ollama")["healthy"] is True
        assert (await ask(one, "m1")).status_code == 200


@pytest.mark.parametrize("path", ["/v1/models", "/v1/none"])
async def test_a_health_check_reaches_a_provider_whose_models_are_listed_in_the_file(path: str) -> None:
    mock = MockUpstream(script=Script(fault=Fault("status", status=500)), any_model=True)
    mock.on(Script(fault=Fault("status", status=404)), path=path)
    async with site({"up": mock}, breaker_recovery_s=300.0) as (_, _, one, _):
        for _ in range(3):
            await ask(one, "up/m2")
        mock.script = Script()
        found = (await one.post("/v1/providers/health-check")).json()["data"]
        assert next(each for each in found if each["name"] == "up")["healthy"] is True
        assert (await ask(one, "up/m2")).status_code == 200
        assert len((await one.get("/up/v1/models")).json()["data"]) == 4


# No request waits for a rest to end


async def test_the_failure_that_opens_a_breaker_is_told_at_once() -> None:
    gone = ProviderConfig(type="ollama", url=f"http://127.0.0.1:{free_port()}")
    changes = {
        "more_providers": {"gone": gone},
        "max_retries": 2,
        "ollama_max_retries": 2,
        "breaker_recovery_s": 3000.0,
    }
    async with site({}, **changes) as (_, _, one, _), asyncio.timeout(GUARD):
        for _ in range(8):
            answer = await ask(one, "gone/m1")
            assert answer.status_code in (502, 503)


async def test_while_a_probe_is_out_other_models_are_served() -> None:
    mock = failing(Fault("status", status=500))
    async with site({"up": mock}, breaker_failures=2, breaker_recovery_s=0.05) as (_, _, one, other):
        for _ in range(2):
            await ask(one, "up/m2")
        mock.clear_rules()
        mock.on(Script(fault=Fault("stall_before")), model="m2")
        await asyncio.sleep(0.1)  # the rest, as it is set
        probe = asyncio.get_running_loop().create_task(ask(one, "up/m2"))
        await mock.until(lambda: requests_for(mock, "m2") == 3)
        assert (await ask(other, "up/m1")).status_code == 200
        refused = await ask(other, "up/m2")
        assert refused.status_code == 502
        assert requests_for(mock, "m2") == 3
        probe.cancel()


# What is one caller's


async def test_an_upstreams_text_is_given_to_its_own_caller_alone() -> None:
    words = f"could not parse '{SECRET}'"
    fault = Fault("status", status=500, message=words)
    async with site({"up": failing(fault)}, breaker_failures=2) as (_, _, one, other):
        own = [await ask(one, "up/m2") for _ in range(2)]
        assert SECRET in own[0].text
        others = [
            await ask(other, "up/m2"),
            await other.get("/v1/providers"),
            await other.get("/health/detailed"),
            await other.get("/v1/explain", params={"model": "up/m2"}),
            await other.get("/health/ready", headers={"authorization": ""}),
        ]
        assert others[0].status_code == 502
        assert SECRET not in "".join(answer.text for answer in others)
        listed = next(each for each in others[1].json()["data"] if each["name"] == "up")
        resting = listed["upstreams"][0]["resting_models"]
        assert [each["model"] for each in resting] == ["m2"]
        assert resting[0]["last_failure"]["status"] == 500
        ready = others[4].json()
        assert ready["resting"][0]["resting_models"] == 1


async def test_a_model_that_a_key_may_not_ask_is_not_named_to_it() -> None:
    changes = {"breaker_failures": 2, "keys": {"env-2": KeyPolicy(models=("up/m1",))}}
    async with site({"up": failing(Fault("status", status=500))}, **changes) as (_, _, one, other):
        for _ in range(2):
            await ask(one, "up/m2")
        assert '"m2"' in (await one.get("/v1/providers")).text
        assert '"m2"' not in (await other.get("/v1/providers")).text


# The right party and the right share


async def test_a_refusal_is_about_a_provider_that_the_key_may_ask() -> None:
    mocks = {"up": failing(Fault("status", status=500), "m1"), "ant": MockUpstream(any_model=True)}
    targets = (Target(provider="up", model="m1"), Target(provider="ant", model="m1", priority=1))
    changes = {
        "keys": {"env-1": KeyPolicy(providers=("up",))},
        "routes": {"grp": Route(targets=targets)},
    }
    async with site(mocks, **changes) as (_, _, one, _):
        for _ in range(3):
            await ask(one, "grp")
        answer = await ask(one, "grp")
        assert answer.status_code == 502
        assert "'up'" in answer.json()["error"]["message"]
        assert "ant" not in answer.json()["error"]["message"]


async def test_a_408_is_a_failure_of_the_upstream() -> None:
    async with site({"up": failing(Fault("status", status=408))}) as (_, _, one, _):
        assert (await ask(one, "up/m2")).status_code == 502


async def test_a_dead_servers_share_goes_to_its_siblings() -> None:
    async with MockUpstream("ollama", models=["m1"]) as alive, MockUpstream("openai", any_model=True) as big:
        fleet = ProviderConfig(type="ollama", urls=(alive.base_url, f"http://127.0.0.1:{free_port()}"))
        more = {
            "fleet": fleet,
            "big": ProviderConfig(
                type="openai", url=big.base_url, api_key=(SecretStr("sk-x"),), models=("m1",)
            ),
        }
        targets = (
            Target(provider="big", model="m1", weight=80),
            Target(provider="fleet", model="m1", weight=20),
        )
        routes = {"grp": Route(strategy="weighted", targets=targets)}
        async with site({}, more_providers=more, routes=routes, breaker_failures=1) as (_, _, one, _):
            for _ in range(50):
                assert (await ask(one, "grp")).status_code == 200
        assert sum(call.path == "/api/chat" for call in alive.calls) == 10
