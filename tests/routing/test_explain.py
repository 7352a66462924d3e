"""Explanations of routing: they read the pools of requests and change nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.routing.fakes import Fake, make_router, start_cooldown
from trunkline.routing.explain import explain
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
