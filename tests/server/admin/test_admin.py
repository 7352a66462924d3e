"""The admin API as its users see it."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from tests.gateways import GUARD, chat
from tests.server.admin.conftest import AdminApi

ROUTES = [
    ("GET", "/keys"),
    ("POST", "/keys"),
    ("GET", "/keys/member"),
    ("PATCH", "/keys/member"),
    ("DELETE", "/keys/member"),
    ("POST", "/keys/member/rotate"),
    ("GET", "/teams"),
    ("POST", "/teams"),
    ("GET", "/teams/t"),
    ("PATCH", "/teams/t"),
    ("DELETE", "/teams/t"),
    ("GET", "/limits"),
    ("PUT", "/limits"),
    ("DELETE", "/limits/x"),
    ("GET", "/budgets"),
    ("PUT", "/budgets"),
    ("DELETE", "/budgets/x"),
    ("GET", "/spending"),
    ("GET", "/usage"),
    ("GET", "/usage.csv"),
    ("GET", "/usage/requests"),
    ("GET", "/audit"),
    ("GET", "/providers"),
    ("GET", "/upstreams"),
    ("POST", "/upstreams/openrouter/reset"),
    ("GET", "/routes"),
    ("POST", "/reload"),
]


async def ok(request: Any, status: int = 200) -> Any:
    """The answer's JSON. The answer must have this status."""
    answer: httpx.Response = await request
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


async def test_the_table_of_routes_is_complete(api: AdminApi) -> None:
    document = await ok(api.admin.get("/openapi.json"))
    found = {
        (method.upper(), path.removeprefix("/admin/v1"))
        for path, methods in document["paths"].items()
        for method in methods
        if path.startswith("/admin/v1")
    }
    named = {
        "/keys/member": "/keys/{which}",
        "/teams/t": "/teams/{which}",
        "/upstreams/openrouter/": "/upstreams/{which}/",
        "/x": "/{number}",
    }
    known = set()
    for method, path in ROUTES:
        for value, name in named.items():
            path = path.replace(value, name)
        known.add((method, path))
    assert found == known


async def test_every_route_needs_a_key_of_an_admin(api: AdminApi) -> None:
    for method, path in ROUTES:
        for client in (api.member, api.reader):
            answer = await client.request(method, f"/admin/v1{path}", json={})
            assert answer.status_code == 403, (method, path)
            assert answer.json()["error"]["code"] == "forbidden"
        wrong = {"x-api-key": "wrong"}
        answer = await api.member.request(method, f"/admin/v1{path}", json={}, headers=wrong)
        assert answer.status_code == 401, (method, path)
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_read_only_key_lists_models_and_may_not_use_them(api: AdminApi) -> None:
    await ok(api.reader.get("/v1/models"))
    answer = await api.reader.post("/v1/chat/completions", json=chat())
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")


async def test_the_life_of_a_key(api: AdminApi) -> None:
    team = await ok(api.admin.post("/admin/v1/teams", json={"name": "research"}), 201)
    body = {"name": "ci", "team": "research", "tags": ["a"], "models": ["custom"], "owner": "me"}
    made = await ok(api.admin.post("/admin/v1/keys", json=body), 201)
    assert made["key"].startswith("gw_")
    assert (made["team_id"], made["tags"], made["owner"]) == (team["id"], ["a"], "me")
    async with httpx.AsyncClient(base_url=api.running.url) as client:
        headers = {"x-api-key": made["key"]}
        await ok(client.post("/v1/chat/completions", json=chat(), headers=headers))
        assert [m["id"] for m in (await ok(client.get("/v1/models", headers=headers)))["data"]] == ["custom"]
        change = {"models": ["nothing/*"]}
        changed = await ok(api.admin.patch("/admin/v1/keys/ci", json=change))
        assert changed["models"] == ["nothing/*"]
        assert changed["owner"] == "me"
        refused = await ok(client.post("/v1/chat/completions", json=chat(), headers=headers), 403)
        assert refused["error"]["code"] == "model_not_allowed"
        assert (await ok(client.get("/v1/models", headers=headers)))["data"] == []
        await ok(api.admin.patch("/admin/v1/keys/ci", json={"models": None}))
        other = await ok(api.admin.post("/admin/v1/keys/ci/rotate", json={"grace_s": 3600}))
        for text in (made["key"], other["key"]):
            await ok(client.post("/v1/chat/completions", json=chat(), headers={"x-api-key": text}))
        again = await ok(api.admin.post("/admin/v1/keys/ci/rotate"))
        for text, status in ((made["key"], 401), (other["key"], 401), (again["key"], 200)):
            await ok(client.post("/v1/chat/completions", json=chat(), headers={"x-api-key": text}), status)
        ended = {"expires_at": "2020-01-01T00:00:00Z"}
        await ok(api.admin.patch("/admin/v1/keys/ci", json=ended))
        refused = await ok(
            client.post("/v1/chat/completions", json=chat(), headers={"x-api-key": again["key"]}), 401
        )
        assert "expired" in refused["error"]["message"]
        await ok(api.admin.delete("/admin/v1/keys/ci"))
    assert "ci" not in [key["name"] for key in await ok(api.admin.get("/admin/v1/keys"))]
    assert "ci" in [key["name"] for key in await ok(api.admin.get("/admin/v1/keys?revoked=true"))]
    await ok(api.admin.get("/admin/v1/keys/ci"), 404)
    actions = [entry["action"] for entry in await ok(api.admin.get("/admin/v1/audit"))]
    assert actions[:5] == ["key.revoke", "key.change", "key.rotate", "key.rotate", "key.change"]
    assert "hash" not in str(made)


async def test_conflicts_and_invalid_requests(api: AdminApi) -> None:
    await ok(api.admin.post("/admin/v1/keys", json={"name": "member"}), 409)
    await ok(api.admin.post("/admin/v1/keys", json={"name": "x", "team": "none"}), 404)
    await ok(api.admin.post("/admin/v1/keys", json={"name": "x", "nonsense": 1}), 422)
    await ok(api.admin.post("/admin/v1/keys", json={"name": "\u0000"}), 422)
    await ok(api.admin.put("/admin/v1/budgets", json={"scope": "all"}), 400)
    await ok(api.admin.put("/admin/v1/budgets", json={"scope": "key", "usd": 3}), 400)
    await ok(api.admin.put("/admin/v1/limits", json={"scope": "all"}), 400)
    await ok(api.admin.get("/admin/v1/usage?since=yesterday"), 400)
    await ok(api.admin.get("/admin/v1/usage?by=weather"), 422)
    await ok(api.admin.delete("/admin/v1/limits/nothing"), 404)


async def test_a_limit_holds_from_the_next_request_on(api: AdminApi) -> None:
    body = {"scope": "key", "subject": "member", "requests_per_day": 2}
    limit = await ok(api.admin.put("/admin/v1/limits", json=body))
    answers = [await api.member.post("/v1/chat/completions", json=chat()) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["x-ratelimit-limit-requests"] == "2"
    assert answers[1].headers["x-ratelimit-remaining-requests"] == "0"
    refused = answers[2]
    assert refused.json()["error"]["code"] == "gateway_rate_limit"
    assert (int(refused.headers["retry-after"]) > 40_000, refused.headers["x-should-retry"]) == (
        True,
        "false",
    )
    assert await ok(api.admin.get("/admin/v1/limits")) == [limit]
    await ok(api.admin.delete(f"/admin/v1/limits/{limit['id']}"), 204)
    await ok(api.member.post("/v1/chat/completions", json=chat()))


async def test_budgets_and_their_spending(api: AdminApi) -> None:
    body = {"scope": "key", "subject": "member", "tokens": 1_000_000, "per": "day"}
    budget = await ok(api.admin.put("/admin/v1/budgets", json=body))
    assert budget["tokens"] == 1_000_000
    await ok(api.member.post("/v1/chat/completions", json=chat()))
    (spending,) = await ok(api.admin.get("/admin/v1/spending"))
    assert (spending["limit"], spending["reserved"], spending["unit"]) == (1_000_000, 0, "tokens")
    again = await ok(api.admin.put("/admin/v1/budgets", json={**body, "tokens": 1}))
    assert again["id"] == budget["id"]
    refused = await ok(api.member.post("/v1/chat/completions", json=chat()), 429)
    assert refused["error"]["code"] == "request_over_budget"
    await ok(api.admin.delete(f"/admin/v1/budgets/{budget['id']}"), 204)
    assert await ok(api.admin.get("/admin/v1/budgets")) == []


async def test_a_budget_of_money_is_in_dollars(api: AdminApi) -> None:
    budget = await ok(api.admin.put("/admin/v1/budgets", json={"scope": "all", "usd": 1.5, "per": "day"}))
    assert (budget["usd"], budget["tokens"], budget["hard"], budget["warn_at"]) == (1.5, None, True, 0.8)
    assert await ok(api.admin.get("/admin/v1/budgets")) == [budget]


async def test_usage_grouped_by_each_column(api: AdminApi) -> None:
    for _ in range(3):
        await ok(api.member.post("/v1/chat/completions", json=chat(user="=SUM(A1)")))
    await ok(api.member.post("/v1/chat/completions", json=chat("nothing")), 404)
    async with asyncio.timeout(GUARD):
        while [row["requests"] for row in (await ok(api.admin.get("/admin/v1/usage")))["data"]] != [4]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    query = "by=key&by=provider&by=model&by=day&by=team&by=hour&since=1h"
    rows = (await ok(api.admin.get(f"/admin/v1/usage?{query}")))["data"]
    assert [(row["key_name"], row["model"], row["requests"], row["failures"]) for row in rows] == [
        ("member", "custom", 3, 0),
        ("member", "", 1, 1),
    ]
    total = (await ok(api.admin.get("/admin/v1/usage")))["data"]
    assert [(row["requests"], row["cost_usd"]) for row in total] == [(4, 0.0)]
    lines = (await api.admin.get("/admin/v1/usage.csv?by=model")).text.splitlines()
    assert lines[0].startswith("model,requests,")
    assert len(lines) == 3
    single = (await ok(api.admin.get("/admin/v1/usage/requests?limit=2")))["data"]
    assert [row["status"] for row in single] == [404, 200]
    older = (await ok(api.admin.get(f"/admin/v1/usage/requests?before={single[-1]['id']}")))["data"]
    assert len(older) == 2
    assert older[0]["end_user"] == "=SUM(A1)"


async def test_providers_routes_and_reload(api: AdminApi) -> None:
    assert "custom" in [row["name"] for row in (await ok(api.admin.get("/admin/v1/providers")))["data"]]
    assert await ok(api.admin.get("/admin/v1/routes")) == {"data": []}
    refused = await ok(api.admin.post("/admin/v1/reload"), 404)
    assert "configuration file" in refused["error"]["message"]


async def test_an_empty_list_of_what_a_key_may_use_is_refused(api: AdminApi) -> None:
    """The guard would take an empty list for no rule at all, and null says that."""
    for name in ("models", "providers"):
        answer = await api.admin.post("/admin/v1/keys", json={"name": "none", name: []})
        assert answer.status_code == 422
