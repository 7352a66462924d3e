"""More inputs of the kinds that an operator meets: what is told to whom, and who gets which share."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any, Final

import pytest
from pydantic import SecretStr

from tests.e2e.test_failure_scopes import SECRET, ask, failing, site
from tests.gateways import BEARER, GUARD, chat, make_settings, post, serving, upstream
from tests.services import free_port
from trunkline.settings import ProviderConfig, Route, Target
from trunkline.settings.sections import BudgetRule, Price
from trunkline_mock import Fault, MockUpstream, Rule, Script

# What one caller's request brought up


@pytest.mark.parametrize("shape", ["openai", "anthropic", "ollama"])
@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", status=500, message=f"cannot parse '{SECRET}'"),
        Fault("status", status=500, message="no", code=f"bad {SECRET} here"),
        Fault("status", status=429, message=f"too many requests like {SECRET}"),
        Fault("status", status=403, message=f"this model refuses {SECRET}"),
        Fault("error_midstream", message=f"stopped at {SECRET}"),
        Fault("error_in_200", message=f"stopped at {SECRET}"),
        Fault("html_error", status=502, message=SECRET),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}",
)
async def test_no_text_of_an_upstream_is_told_to_who_has_not_asked(shape: str, fault: Fault) -> None:
    name = "ollama" if shape == "ollama" else "up"
    rules = [Rule(path="*/chat", model="m2*", script=Script(fault=fault))]
    mock = MockUpstream("ollama", rules=rules, models=["m1", "m2"])
    if shape != "ollama":
        mock = failing(fault, shape=shape)
    async with site({name: mock}, breaker_failures=2) as (_, _, one, other):
        for _ in range(3):
            await ask(one, f"{name}/m2", stream=True)
        read = [
            "/v1/providers",
            "/health/detailed",
            "/health/ready",
            "/metrics",
            f"/v1/explain?model={name}/m2",
        ]
        answers = [await other.get(path) for path in read]
        answers.append(await other.post("/v1/providers/health-check"))
        answers.append(await ask(other, f"{name}/m1"))
        assert SECRET not in "".join(each.text for each in answers)
        assert answers[-1].status_code == 200


# Nobody waits for a rest


@pytest.mark.parametrize("kind", ["ollama", "openai"])
@pytest.mark.parametrize("where", ["closed", "no-tls"])
async def test_who_cannot_be_reached_is_told_at_once(kind: str, where: str) -> None:
    async with MockUpstream() as plain:
        urls = {"closed": f"http://127.0.0.1:{free_port()}", "no-tls": f"https://127.0.0.1:{plain.port}"}
        gone = ProviderConfig(type=kind, url=urls[where], api_key=(SecretStr("sk-x"),), models=("m1", "m2"))
        changes = {"more_providers": {"gone": gone}, "max_retries": 2, "ollama_max_retries": 3}
        async with (
            site({}, **changes, breaker_recovery_s=3000.0) as (_, _, one, other),
            asyncio.timeout(GUARD),
        ):
            for _ in range(5):
                assert (await ask(one, "gone/m1")).status_code == 502
            refused = await ask(other, "gone/m2")
            assert refused.headers.get("x-trunkline-attempts") is None
            assert "'gone' failed with" in refused.json()["error"]["message"]


# The right share


@pytest.mark.parametrize("dead", [1, 2])
async def test_what_is_left_of_a_target_takes_the_share_of_all_of_it(dead: int) -> None:
    async with AsyncExitStack() as stack:
        alive = [
            await stack.enter_async_context(MockUpstream("ollama", models=["m1"])) for _ in range(3 - dead)
        ]
        big = await stack.enter_async_context(MockUpstream(any_model=True))
        urls = [each.base_url for each in alive] + [f"http://127.0.0.1:{free_port()}" for _ in range(dead)]
        assert await _weighted(big, urls) == 10
        assert sum(call.path == "/api/chat" for each in alive for call in each.calls) == 10


async def test_a_server_where_only_the_model_rests_gives_its_share_to_its_siblings_too() -> None:
    page = Rule(path="/api/chat", script=Script(fault=Fault("html_error", status=500)))
    async with (
        MockUpstream("ollama", models=["m1"]) as well,
        MockUpstream("ollama", models=["m1"], rules=[page]) as ill,
        MockUpstream(any_model=True) as big,
    ):
        assert await _weighted(big, [well.base_url, ill.base_url]) == 10
        assert sum(call.path == "/api/chat" for call in ill.calls) == 1


async def _weighted(big: MockUpstream, urls: list[str]) -> int:
    """How many of fifty requests a fleet of weight 20 answers beside a target of weight 80."""
    more = {
        "fleet": ProviderConfig(type="ollama", urls=tuple(urls)),
        "big": ProviderConfig(type="openai", url=big.base_url, api_key=(SecretStr("x"),), models=("m1",)),
    }
    targets = tuple(
        Target(provider=name, model="m1", weight=weight) for name, weight in (("big", 80), ("fleet", 20))
    )
    routes = {"grp": Route(strategy="weighted", targets=targets)}
    changes = {"breaker_failures": 1, "breaker_recovery_s": 3000.0}
    async with site({}, more_providers=more, routes=routes, **changes) as (_, _, one, _):
        answers = [await ask(one, "grp") for _ in range(50)]
    assert {answer.status_code for answer in answers} == {200}
    return sum(answer.headers["x-trunkline-provider"] == "fleet" for answer in answers)


# The right reason

BUDGETS: Final[Mapping[str, BudgetRule]] = {
    "money": BudgetRule(key="*", usd=1.0, per="day"),
    "tokens": BudgetRule(key="*", tokens=1000, per="month"),
    "in all": BudgetRule(key="*", usd=1.0, per="total"),
    "provider": BudgetRule(provider="up", usd=1.0, per="month"),
}


@pytest.mark.parametrize("budget", BUDGETS)
async def test_a_request_that_is_too_dear_is_not_told_that_the_budget_is_used_up(budget: str) -> None:
    million = 1_000_000
    bodies: dict[str, dict[str, Any]] = {
        "/v1/chat/completions": chat("up/gpt-4o", max_tokens=million),
        "/v1/messages": chat("up/gpt-4o", max_tokens=million),
        "/v1/responses": {"model": "up/gpt-4o", "input": "Hello", "max_output_tokens": million},
        "/api/chat": chat("up/gpt-4o", options={"num_predict": million}),
    }
    async with MockUpstream() as mock:
        settings = make_settings(
            providers={"up": upstream(mock, local=False)},
            prices={"up/*": Price(input=2.0, output=2.0)},
            budgets=(BUDGETS[budget],),
        )
        async with serving(settings) as running:
            for path, body in bodies.items():
                answer = await running.ask(post(body, BEARER, path=path))
                assert (answer.status, b"Ask for less" in answer.body) == (429, True)
                assert b"used up" not in answer.body
                assert int(answer.headers["retry-after"]) < 60
                assert answer.headers["x-should-retry"] == "false"
            small = await running.ask(post(chat("up/gpt-4o", max_tokens=10), BEARER))
            assert small.status == 200


# What a header says


@pytest.mark.parametrize(
    ("shape", "path", "body"),
    [
        ("openai", "/v1/chat/completions", chat("m1", stream=True)),
        ("openai", "/v1/embeddings", {"model": "m1", "input": "x"}),
        ("anthropic", "/v1/messages", chat("m1", max_tokens=5)),
        ("ollama", "/api/chat", chat("m1")),
        ("ollama", "/v1/messages", chat("m1", max_tokens=5)),
        ("ollama", "/api/embed", {"model": "m1", "input": "x"}),
    ],
)
async def test_a_request_that_is_sent_again_is_counted(shape: str, path: str, body: dict[str, Any]) -> None:
    name = "ollama" if shape == "ollama" else "up"
    mock = MockUpstream(shape, models=["m1"])
    async with site({name: mock}) as (_, _, one, _):
        request = body | {"model": f"{name}/m1"}
        assert (await one.post(path, json=request)).headers["x-trunkline-attempts"] == "1"
        mock.on(Script(fault=Fault("reset_before")), times=1)
        before = len(mock.calls)
        answer = await one.post(path, json=request)
        assert (answer.status_code, answer.headers["x-trunkline-attempts"]) == (
            200,
            f"{len(mock.calls) - before}",
        )


# Ollama's own words


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/chat", chat("m1")),
        ("/api/generate", {"model": "m1", "prompt": "x"}),
        ("/v1/chat/completions", chat("m1", stream=True)),
        ("/v1/completions", {"model": "m1", "prompt": "x", "stream": True}),
        ("/v1/messages", chat("m1", stream=True, max_tokens=5)),
        ("/v1/responses", {"model": "m1", "input": "x", "stream": True}),
    ],
)
async def test_an_error_in_the_middle_of_a_stream_is_told_in_its_own_words(
    path: str, body: dict[str, Any]
) -> None:
    words = "llama runner process has terminated: signal"
    script = Script(text=("a ", "b "), fault=Fault("error_midstream", message=words))
    async with site({"ollama": MockUpstream("ollama", script, models=["m1"])}) as (_, _, one, _):
        answer = await one.post(path, json=body)
    assert answer.status_code == 200
    assert f'"{words}"' in answer.text


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/chat", chat("m1", stream=False)),
        ("/api/generate", {"model": "m1", "prompt": "x", "stream": False}),
        ("/api/chat", chat("m1")),
    ],
)
async def test_an_answer_that_is_not_done_is_no_answer_to_ollamas_clients_either(
    path: str, body: dict[str, Any]
) -> None:
    cut = {
        "model": "m1",
        "message": {"role": "assistant", "content": "Hel"},
        "response": "Hel",
        "done": False,
    }
    async with site({"ollama": MockUpstream("ollama", Script(body=cut), models=["m1"])}) as (_, _, one, _):
        answer = await one.post(path, json=body)
    assert "before it was complete" in answer.text.splitlines()[-1]
    assert answer.status_code == (502 if body.get("stream") is False else 200)
