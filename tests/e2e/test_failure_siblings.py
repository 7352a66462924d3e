"""Failures that concern one request or one model, beside those of ``test_failure_scopes``."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from tests.e2e.test_failure_scopes import ask, failing, requests_for, site
from tests.gateways import GUARD, chat
from trunkline.settings import ProviderConfig, Route, Target
from trunkline.settings.sections import KeyPolicy, ModelDefaults
from trunkline_mock import Fault, MockModel, MockUpstream, Rule, Script

TOO_MANY_TOKENS = "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 64000. "
TOO_MANY_TOKENS += "The input or output tokens must be reduced in order to run successfully."


@pytest.mark.parametrize(
    ("shape", "status", "message"),
    [
        ("openrouter", 402, "This request requires more credits, or fewer max_tokens."),
        ("openrouter", 402, "Prompt tokens limit exceeded: 64000 > 3000. To increase, visit OpenRouter"),
        ("openrouter", 403, "Your input was flagged by moderation"),
        ("openai", 429, TOO_MANY_TOKENS),
        ("anthropic", 429, "Extra usage is required for long context requests."),
        ("openai", 500, "the request exceeds the available context size. try increasing the context size"),
        ("openai", 500, "input is too large to process. increase the physical batch size"),
        ("openai", 400, "This model's maximum context length is 8192 tokens"),
        ("openai", 413, "Request too large for model m2"),
    ],
)
async def test_what_is_too_much_of_one_request_is_no_matter_of_another(
    shape: str, status: int, message: str
) -> None:
    mock = failing(Fault("status", status=status, message=message), shape=shape)
    async with site({"up": mock}, max_retries=2) as (_, mocks, one, other):
        for number in range(1, 6):
            assert message in (await ask(one, "up/m2", max_tokens=64000)).text
            assert requests_for(mocks["up"], "m2") == number
        mocks["up"].clear_rules()
        for model in ("m2", "m1"):
            assert (await ask(other, f"up/{model}", max_tokens=100)).status_code == 200


OLLAMAS_OWN = [
    (500, "llama runner process has terminated: exit status 2"),
    (500, "unable to load image: unknown format"),
    (500, "an error was encountered while running the model: unexpected EOF"),
    (500, 'do encode request: Post "http://127.0.0.1:33213/embedding": EOF'),
    (501, "this model cannot do that"),
    (502, "remote model is not reachable"),
    (503, "server busy, please try again.  maximum pending requests exceeded"),
    (504, "context deadline exceeded"),
]


@pytest.mark.parametrize(("status", "words"), OLLAMAS_OWN)
async def test_ollamas_own_error_is_never_sent_on_to_who_costs_money(status: int, words: str) -> None:
    """Not even when it has come so often that its model rests."""
    bad = Rule(model="m2*", script=Script(status=status, body={"error": words}))
    mocks = {
        "ollama": MockUpstream("ollama", rules=[bad], models=["m1", "m2"]),
        "paid": MockUpstream("openai", any_model=True),
    }
    async with site(mocks, max_retries=2, ollama_max_retries=2) as (_, _, one, other):
        for number in range(1, 6):
            answer = await one.post("/api/chat", json=chat("m2"))
            assert (answer.status_code, answer.json()) == (status, {"error": words})
            assert sum(call.path == "/api/chat" for call in mocks["ollama"].calls) == number
        assert (await ask(other, "m1")).headers["x-trunkline-provider"] == "ollama"
        mocks["ollama"].clear_rules()
        assert (await ask(other, "m2")).headers["x-trunkline-provider"] == "ollama"
        assert not [call for call in mocks["paid"].calls if "chat" in call.path]


async def test_a_model_that_rests_at_ollama_does_not_keep_requests_from_a_preferred_provider() -> None:
    bad = Rule(model="m2*", script=Script(status=500, body={"error": "llama runner process has terminated"}))
    mocks = {
        "ollama": MockUpstream("ollama", rules=[bad], models=["m1", "m2"]),
        "paid": MockUpstream("openai", any_model=True),
    }
    async with site(mocks, preferred_provider="paid") as (_, _, one, _):
        for _ in range(4):
            assert (await ask(one, "ollama/m2")).status_code == 500
        assert (await ask(one, "m2")).headers["x-trunkline-provider"] == "paid"


async def test_a_page_of_a_proxy_before_ollama_is_made_good_by_who_costs_money() -> None:
    page = Rule(path="/api/chat", model="m2*", script=Script(fault=Fault("html_error", status=500)))
    mocks = {
        "ollama": MockUpstream("ollama", rules=[page], models=["m1", "m2"]),
        "paid": MockUpstream("openai", any_model=True),
    }
    async with site(mocks) as (_, _, one, _):
        for _ in range(5):
            assert (await ask(one, "m2")).headers["x-trunkline-provider"] == "paid"
        assert sum(call.path == "/api/chat" for call in mocks["ollama"].calls) == 3


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "unauthorized"),
        (402, "payment required"),
        (403, "this model requires a subscription, upgrade for access"),
        (403, "forbidden"),
        (429, "you have reached your hourly usage limit"),
    ],
)
async def test_what_a_cloud_refuses_an_ollama_server_is_no_matter_of_its_own_models(
    status: int, words: str
) -> None:
    bad = Rule(model="m2*", script=Script(status=status, body={"error": words}))
    mock = MockUpstream("ollama", rules=[bad], models=["m1", "m2:cloud"])
    async with site({"ollama": mock}) as (_, _, one, other):
        for _ in range(5):
            assert (await ask(one, "m2:cloud")).status_code >= 400
        assert (await ask(other, "m1")).status_code == 200


@pytest.mark.parametrize(
    ("fault", "follows"),
    [(Fault("status", status=503, retry_after=20), 1), (Fault("status", status=429, retry_after=25), 1)],
)
async def test_what_an_upstream_asks_to_wait_is_told_and_not_waited_for(fault: Fault, follows: int) -> None:
    async with site({"up": failing(fault)}, max_retries=2) as (_, mocks, one, _):
        answer = await ask(one, "up/m2")
        assert answer.headers["retry-after"] == f"{fault.retry_after}"
        assert requests_for(mocks["up"], "m2") == follows


async def test_who_waits_for_room_does_not_wait_for_a_rest() -> None:
    changes = {
        "models": {"up/m2": ModelDefaults(max_concurrent=1)},
        "breaker_failures": 1,
        "breaker_recovery_s": 3000.0,
        "queue_timeout_s": 3000.0,
        "request_timeout_s": 0.3,
    }
    async with site({"up": failing(Fault("stall_before"))}, **changes) as (_, mocks, one, other):
        async with asyncio.timeout(GUARD):
            answers = await asyncio.gather(*(ask(each, "up/m2") for each in (one, other, one)))
        assert [answer.status_code for answer in answers] == [502] * 3
        assert requests_for(mocks["up"], "m2") == 1


async def test_only_a_change_to_another_upstream_is_logged_and_counted_as_one() -> None:
    fault = Fault("status", status=500)
    mocks = {"one": failing(fault), "two": failing(fault), "three": failing(fault)}
    async with site(mocks, breaker_failures=0) as (running, _, one, _):
        budget = running.gateway.pipeline.retry_budget
        with capture_logs() as logs:
            assert (await ask(one, "m2")).headers["x-trunkline-attempts"] == "3"
        assert [each["provider"] for each in logs if each["event"] == "falling back"] == ["one", "two"]
        assert len(budget._retries) == 1  # the first change is free


CLOUDS = ["gpt-oss:120b-cloud", "kimi-k2:cloud", "big:latest", "ollama/none:cloud", "ollama:big"]
"""Models that an Ollama server has its cloud run: one that it does not list, and those that it lists."""


@pytest.mark.parametrize("model", CLOUDS)
async def test_a_model_of_ollamas_cloud_is_not_local(model: str) -> None:
    host = "https://ollama.com:443"
    models: list[str | MockModel] = [
        "m1",
        MockModel("big", remote_host=host),
        MockModel("kimi-k2:cloud", remote_host=host),
    ]
    mock = MockUpstream("ollama", models=models, any_model=True)
    target = Target(provider="ollama", model=model.removeprefix("ollama/").removeprefix("ollama:"))
    changes = {
        "keys": {"env-1": KeyPolicy(local_only=True)},
        "routes": {"here": Route(targets=(target,), local_only=True)},
    }
    async with site({"ollama": mock}, **changes) as (_, mocks, local, any_key):
        for client, name in ((local, model), (any_key, "here")):
            refused = await ask(client, name)
            assert refused.status_code == 403
            assert "local_only" in refused.json()["error"]["message"]
        assert not [call for call in mocks["ollama"].calls if call.path == "/api/chat"]
        assert (await ask(any_key, model)).status_code == 200
        assert (await ask(local, "m1")).status_code == 200
        listed = [each["id"] for each in (await local.get("/v1/models")).json()["data"]]
        assert [each for each in listed if "m1" not in each and "custom" not in each] == []


async def test_nothing_of_a_local_only_provider_goes_on_to_ollamas_cloud() -> None:
    broken = MockUpstream("openai", Script(fault=Fault("status", status=500)), any_model=True)
    cloud = MockModel("m2:cloud", remote_host="https://ollama.com:443")
    mocks = {"ollama": MockUpstream("ollama", models=[cloud])}
    async with broken:
        ours = ProviderConfig(
            type="openai-compatible", url=broken.base_url, local=True, local_only=True, models=("m2:cloud",)
        )
        changes = {"more_providers": {"ours": ours}, "preferred_provider": "ours"}
        async with site(mocks, **changes) as (_, _, one, _):
            assert (await ask(one, "m2:cloud")).status_code == 502
            assert not [call for call in mocks["ollama"].calls if call.path == "/api/chat"]


@pytest.mark.parametrize("shape", ["openai", "anthropic", "ollama"])
@pytest.mark.parametrize("status", [408, 425, 499])
async def test_no_client_is_blamed_for_what_its_upstream_did(shape: str, status: int) -> None:
    """Not even where the upstream's own error goes on as it came."""
    name = "ollama" if shape == "ollama" else "up"
    fault = Fault("status", status=status, message="too slow")
    rules = [Rule(path="*/chat" if shape == "ollama" else "/v1/*", model="m2*", script=Script(fault=fault))]
    mock = MockUpstream(shape, rules=rules, models=["m1", "m2"])
    async with site({name: mock}, breaker_failures=0) as (_, _, one, _):
        for path in ("/v1/chat/completions", "/v1/messages", "/api/chat"):
            answer = await one.post(path, json=chat(f"{name}/m2", max_tokens=9))
            assert (answer.status_code, "too slow" in answer.text) == (502, True)


@pytest.mark.parametrize(
    ("shape", "script"),
    [
        ("ollama", Script(status=500, body={"error": "llama runner process has terminated: exit status 2"})),
        ("ollama", Script(status=401, body={"error": "unauthorized"})),
        ("openai", Script(fault=Fault("status", status=403, message="Not verified to use this model"))),
        ("openai", Script(fault=Fault("status", status=404))),
    ],
)
async def test_what_is_said_of_several_models_is_no_matter_of_the_next(shape: str, script: Script) -> None:
    name = "ollama" if shape == "ollama" else "up"
    rules = [Rule(model=f"m{number}*", script=script) for number in (1, 2, 3)]
    mock = MockUpstream(shape, rules=rules, models=["m1", "m2", "m3", "m4"])
    async with site({name: mock}) as (_, _, one, other):
        for model in ("m1", "m2", "m3") * 3:
            assert (await ask(one, f"{name}/{model}")).status_code >= 400
        assert (await ask(other, f"{name}/m4")).status_code == 200
