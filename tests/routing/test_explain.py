"""Explanations of routing: they read the pools of requests and change nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.routing.fakes import Fake, make_router, start_cooldown
from trunkline.routing.explain import explain
from trunkline.routing.latency_predictor import DEFAULT_LOAD_S, DEFAULT_SERVICE_S, LOAD_PENALTY
from trunkline.routing.resolve import RouteRule, RouteTarget
from trunkline.routing.strategies import STRATEGIES, SelectionContext


def _candidates(explained: dict[str, Any]) -> list[tuple[int | None, str]]:
    return [(each["order"], each["upstream"]) for each in explained["candidates"]]


@pytest.mark.parametrize("strategy", sorted(set(STRATEGIES) - {"random", "lowest_latency"}))
async def test_explaining_does_not_change_which_upstream_is_next(strategy: str) -> None:
    routes = {"best": RouteRule([RouteTarget("vllm", "m", 3.0), RouteTarget("cloud", "m")], strategy)}
    fakes = Fake("vllm", ["m"], ["m"]), Fake("cloud", ["m"])
    router = await make_router(*fakes, routes=routes)
    pool = router.pool("best", "chat")
    for _ in range(5):
        explained = explain(router, "best", 0.0)
        assert explain(router, "best", 0.0) == explained
        candidate = pool.pick(SelectionContext(0.0))
        assert candidate is not None
        assert _candidates(explained)[0] == (1, candidate.upstream.name)


async def test_a_candidate_in_cooldown_is_last_and_has_no_place_in_the_order() -> None:
    router = await make_router(Fake("vllm", ["m"], ["m"]))
    first = router.pool("vllm/m", "chat").candidates[0]
    start_cooldown(first, 5.0, 100.0)
    explained = explain(router, "vllm/m", 101.0)
    assert _candidates(explained) == [(1, "vllm-1"), (None, "vllm-0")]
    reasons = [each["reason"] for each in explained["candidates"]]
    assert reasons == ["first by round_robin", "not asked for 4 s: it failed with rate_limit_exceeded"]
    assert explained["others"] == [{"provider": "custom", "reason": "the name pins another provider"}]


async def test_a_whole_explanation() -> None:
    fleet = Fake("ollama", ["m"], ["m"])
    fleet.loads_models, fleet.max_concurrent = True, 1
    routes = {"best": RouteRule([RouteTarget("ollama", "m"), RouteTarget("vllm", "n", 3.0, priority=2)])}
    router = await make_router(fleet, Fake("vllm", ["n"]), routes=routes, fallback=False)
    pool = router.pool("best", "chat")
    pool.candidates[0].acquire()
    pool.candidates[1].state.latency.add(0.12345, 0.0)
    fleet.is_loaded = lambda upstream, model: upstream.name == "ollama-1"  # type: ignore[method-assign]
    common = {"provider": "ollama", "model": "m", "local": True, "weight": 0.5, "priority": 0}
    common |= {"price_per_million_tokens": 0.0}
    assert explain(router, "best", 5.0, operation="chat") == {
        "model": "best",
        "operation": "chat",
        "route": "best",
        "strategy": ["priority", "priority"],
        "fallback": False,
        "candidates": [
            common
            | {
                "order": 1,
                "upstream": "ollama-1",
                "eligible": True,
                "reason": "first by priority",
                "in_flight": 0,
                "loaded": True,
                "expected_s": DEFAULT_SERVICE_S,
                "latency_s": 0.123,
            },
            common
            | {
                "order": None,
                "upstream": "ollama-0",
                "eligible": False,
                "reason": "full: 1 under way; requests wait for room",
                "in_flight": 1,
                "loaded": False,
                "expected_s": DEFAULT_SERVICE_S + LOAD_PENALTY * DEFAULT_LOAD_S,
                "latency_s": None,
            },
            {
                "order": None,
                "provider": "vllm",
                "upstream": "vllm-0",
                "model": "n",
                "eligible": False,
                "reason": "asked if those before it fail",
                "local": False,
                "weight": 3.0,
                "priority": 2,
                "price_per_million_tokens": None,
                "in_flight": 0,
                "loaded": None,
                "expected_s": None,
                "latency_s": None,
            },
        ],
        "others": [{"provider": "custom", "reason": "is no target of the route"}],
    }


async def test_why_others_are_not_asked() -> None:
    silent = Fake("silent", None)
    without = Fake("without", ["m"], without=["embeddings"])
    fakes = Fake("vllm", ["m"]), Fake("cloud", ["m"]), silent, without, Fake("empty", ["other"])

    async def reasons(model: str | None, **arguments: Any) -> dict[str, str]:
        rules = {"fallback": False, "preferred": "vllm"} | arguments.pop("rules", {})
        explained = explain(await make_router(*fakes, **rules), model, 0.0, **arguments)
        return {each["provider"]: each["reason"] for each in explained["others"]}

    assert await reasons("m", operation="embeddings") == {
        "cloud": "is not asked: fallback is off, or it is not local",
        "silent": "has not listed its models yet",
        "without": "has no embeddings endpoint",
        "empty": "does not list the model",
        "custom": "does not list the model",
    }
    assert (await reasons("vllm/m"))["cloud"] == "the name pins another provider"
    assert (await reasons("m", only="vllm"))["cloud"] == "the path pins provider 'vllm'"


async def test_a_target_whose_model_is_not_listed() -> None:
    routes = {"best": RouteRule([RouteTarget("vllm", "n")])}
    explained = explain(await make_router(Fake("vllm", ["m"]), routes=routes), "best", 0.0)
    (candidate,) = explained["candidates"]
    assert candidate["reason"] == "the only one of its tier; does not list the model"
    assert explained["route"] == "best"
