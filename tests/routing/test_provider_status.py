"""The state of providers and upstreams, as pages and the admin API show it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.routing.fakes import Fake, make_catalog
from trunkline.errors import UPSTREAM_AUTH, UPSTREAM_ERROR, UPSTREAM_RATE_LIMIT, Kind, ProviderError
from trunkline.routing.breaker import CircuitBreaker
from trunkline.routing.provider_status import (
    describe_providers,
    describe_upstreams,
    reset_upstreams,
    resting,
)
from trunkline.routing.resolve import RoutingRules
from trunkline.routing.router import Router

NOW = 5000.0
UNIX = 1_700_000_000.5

HEALTHY: dict[str, Any] = {
    "healthy": True,
    "breaker": "closed",
    "rests_for_s": 0.0,
    "in_flight": 0,
    "sent": 0,
    "failures_in_a_row": 0,
    "latency_ms": None,
    "last_error": None,
    "last_failure": None,
    "resting_models": [],
}


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time stands still."""
    monkeypatch.setattr(time, "perf_counter", lambda: NOW)
    monkeypatch.setattr(time, "time", lambda: UNIX)


async def make_router() -> Router:
    """Two upstreams of ``up``, and ``ollama``, whose server did not answer."""
    fakes: Any = [Fake("up", ["m1", "m2"], ["m1"]), Fake("ollama", None)]
    catalog = make_catalog(*fakes)
    await catalog.refresh()
    return Router(
        {each.name: each for each in fakes},
        catalog,
        RoutingRules(preferred="up"),
        lambda: CircuitBreaker(1, 30.0),
    )


def fail(router: Router, provider: str, number: int, kind: Kind, model: str, **fields: Any) -> None:
    """An upstream's answer, ten seconds ago."""
    chosen = router.providers[provider]
    failure = ProviderError("a text of the caller's", kind, **fields)
    failure.upstream_status = 500
    router.state(chosen, list(chosen.upstreams)[number]).record_failure(failure, model, False, NOW - 10.0)


async def test_what_is_healthy() -> None:
    router = await make_router()
    state = router.state(router.providers["up"], router.providers["up"].upstreams[0])
    state.requests_sent = 7
    state.gate.in_flight = 2
    state.latency.add(0.12504, NOW)
    described = describe_providers(router)
    up, ollama, *others = described["data"]
    assert (described["object"], described["default_provider"]) == ("list", "up")
    checked = {"checked_at": int(UNIX)}
    assert up == {
        "object": "provider",
        "name": "up",
        "type": "up",
        "configured": True,
        "healthy": True,
        "default": True,
        "local": False,
        "local_only": False,
        "models": 2,
        "stale": False,
        "upstreams": [
            {"id": "up/up-0", "name": "up-0"}
            | HEALTHY
            | checked
            | {"sent": 7, "in_flight": 2, "latency_ms": 125.0},
            {"id": "up/up-1", "name": "up-1"} | HEALTHY | checked,
        ],
    }
    (upstream,) = ollama.pop("upstreams")
    assert ollama["healthy"] is False
    assert ollama["default"] is False
    assert (ollama["local"], ollama["models"]) == (True, 0)
    assert (upstream["healthy"], upstream["last_error"], upstream["breaker"]) == (False, "away", "closed")
    assert {
        "object": "provider",
        "name": "openrouter",
        "type": "openrouter",
        "configured": False,
        "healthy": False,
        "default": False,
    } in others
    names = [each["name"] for each in described["data"]]
    assert len(names) == len(set(names))


async def test_a_model_that_rests_is_named_to_those_who_may_ask_it() -> None:
    router = await make_router()
    fail(router, "up", 0, UPSTREAM_ERROR, "m2")
    fail(router, "up", 0, UPSTREAM_ERROR, "a client's own name")
    failure = {"code": "upstream_error", "status": 500, "concerns": "model", "at": int(UNIX)}
    m2 = {"model": "m2", "rests_for_s": 20.0, "failures_in_a_row": 1, "last_failure": failure}

    def named(**arguments: Any) -> list[list[dict[str, Any]]]:
        up = describe_providers(router, **arguments)["data"][0]
        assert up["healthy"]
        assert [(each["healthy"], each["last_error"]) for each in up["upstreams"]] == [(True, None)] * 2
        return [each["resting_models"] for each in up["upstreams"]]

    assert named() == [[m2], []]
    assert named(may_ask=lambda provider, model: (provider, model) == ("up", "m2")) == [[m2], []]
    assert named(may_ask=lambda provider, model: False) == [[], []]
    first, *_ = describe_upstreams(router)
    assert [each["model"] for each in first["resting_models"]] == ["m2", "a client's own name"]
    assert (first["provider"], first["id"]) == ("up", "up/up-0")
    assert resting(router) == [
        {"provider": "up", "upstream": 1, "rests_for_s": 0.0, "after": None, "resting_models": 2}
    ]


async def test_an_upstream_that_rests() -> None:
    router = await make_router()
    fail(router, "up", 1, UPSTREAM_AUTH, "m1")
    first, second = describe_providers(router)["data"][0]["upstreams"]
    assert first["healthy"]
    assert second == {
        **HEALTHY,
        "id": "up/up-1",
        "name": "up-1",
        "checked_at": int(UNIX),
        "healthy": False,
        "breaker": "open",
        "rests_for_s": 20.0,
        "failures_in_a_row": 1,
        "last_error": "upstream_auth (status 500)",
        "last_failure": {"code": "upstream_auth", "status": 500, "concerns": "credential", "at": int(UNIX)},
    }
    assert resting(router) == [
        {
            "provider": "up",
            "upstream": 2,
            "rests_for_s": 20.0,
            "after": "upstream_auth (status 500)",
            "resting_models": 0,
        }
    ]


async def test_what_may_be_probed_is_half_open() -> None:
    router = await make_router()
    chosen = router.providers["up"]
    failure = ProviderError("x", UPSTREAM_AUTH)
    router.state(chosen, chosen.upstreams[0]).record_failure(failure, "m1", False, NOW - 30.0)
    first, _ = describe_providers(router)["data"][0]["upstreams"]
    assert (first["breaker"], first["healthy"], first["rests_for_s"]) == ("half-open", True, 0.0)
    assert resting(router) == []


async def test_a_cooldown_is_told_in_tenths_of_a_second() -> None:
    router = await make_router()
    fail(router, "up", 0, UPSTREAM_RATE_LIMIT, "m1", retry_after=41.26)
    (model,) = describe_upstreams(router)[0]["resting_models"]
    assert (model["rests_for_s"], model["last_failure"]["code"]) == (31.3, "rate_limit_exceeded")


@pytest.mark.parametrize(
    ("which", "left"),
    [
        ("up/up-1", ["up/up-0"]),
        ("up", []),
        ("up/up-7", ["up/up-0", "up/up-1"]),
        ("up-1", ["up/up-0", "up/up-1"]),
        ("ollama", ["up/up-0", "up/up-1"]),
    ],
)
async def test_a_reset_forgets_failures(which: str, left: list[str]) -> None:
    router = await make_router()
    for number in range(2):
        fail(router, "up", number, UPSTREAM_AUTH, "m1")
    reset = reset_upstreams(router, which)
    named = [each["id"] for each in describe_upstreams(router) if which in (each["provider"], each["id"])]
    assert [each["id"] for each in reset] == named
    assert all(each["rests_for_s"] == 0.0 for each in reset)
    found = describe_upstreams(router)
    assert [each["id"] for each in found if each["rests_for_s"] == 20.0] == left


async def test_before_anything_was_asked() -> None:
    fakes: Any = [Fake("up", ["m"])]
    router = Router({"up": fakes[0]}, make_catalog(*fakes), RoutingRules())
    (upstream,) = describe_upstreams(router)
    assert upstream == {"provider": "up", "id": "up/up-0", "name": "up-0", "checked_at": None} | HEALTHY


async def test_a_rest_is_told_to_probes_in_tenths_of_a_second() -> None:
    router = await make_router()
    fail(router, "up", 0, UPSTREAM_AUTH, "m1", retry_after=41.26)
    assert [each["rests_for_s"] for each in resting(router)] == [31.3]
