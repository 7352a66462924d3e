"""The admin API on upstreams: what rests, why, and how to end it."""

from __future__ import annotations

import time
from urllib.parse import quote

import pytest

from tests.gateways import GUARD
from tests.server.admin.conftest import AdminApi
from tests.server.admin.test_admin import ok
from trunkline.errors import UPSTREAM_UNREACHABLE, ProviderError
from trunkline.routing.upstream_state import UpstreamState


async def fail(api: AdminApi) -> UpstreamState:
    """Let the built-in provider fail; its breakers open after one failure."""
    router = api.running.gateway.router
    await router.catalog.wait_until_discovered(GUARD)
    ((_, state),) = router.states(router.providers["custom"])
    for breaker in (state.address.breaker, state.breaker):
        breaker.threshold = 1
    failure = ProviderError("words of a prompt", UPSTREAM_UNREACHABLE)
    state.record_failure(failure, "custom", False, time.perf_counter())
    return state


async def test_what_rests_is_listed_with_its_reason(api: AdminApi) -> None:
    await fail(api)
    (row,) = (await ok(api.admin.get("/admin/v1/upstreams")))["data"]
    assert row["provider"] == "custom"
    assert row["rests_for_s"] > 0
    assert row["last_failure"]["code"] == "upstream_unreachable"
    assert row["last_failure"]["concerns"] == "upstream"
    assert "words" not in str(row)


@pytest.mark.parametrize("by", ["id", "provider"])
async def test_a_reset_ends_a_rest_at_once(api: AdminApi, by: str) -> None:
    state = await fail(api)
    assert not state.allows_request("custom", time.perf_counter())
    (row,) = (await ok(api.admin.get("/admin/v1/upstreams")))["data"]
    path = f"/admin/v1/upstreams/{quote(row[by], safe='/')}/reset"
    (after,) = (await ok(api.admin.post(path)))["data"]
    assert (after["rests_for_s"], after["last_failure"]) == (0, None)
    assert state.allows_request("custom", time.perf_counter())


async def test_an_upstream_that_is_not_there(api: AdminApi) -> None:
    refused = await ok(api.admin.post("/admin/v1/upstreams/nowhere/reset"), 404)
    assert "'nowhere'" in refused["error"]["message"]
