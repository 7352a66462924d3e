"""Errors of requests that are not valid name the fields."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.admin.conftest import AdminApi

KEY_FIELDS = (
    "data_collection, expires_at, local_only, models, name, owner, priority, providers, role, tags, team, zdr"
)


@pytest.mark.parametrize(
    ("method", "path", "body", "param", "message"),
    [
        ("POST", "keys", {}, "name", "name is missing"),
        ("POST", "keys", {"modles": []}, "name", "name is missing; modles is no field here; did you"),
        ("POST", "keys", {"name": "a", "xyz": 1}, "xyz", f"xyz is no field here; there are: {KEY_FIELDS}"),
        ("POST", "keys", {"name": "a", "role": "boss"}, "role", "role: input should be 'admin', 'member' or"),
        ("POST", "keys", {"name": "\0"}, "name", "name: must be printable"),
        ("POST", "keys", {"name": "a", "models": [1]}, "models.0", "models.0: input should be a valid"),
        ("POST", "keys/x/rotate", {"grace": 3}, "grace", "grace is no field here; did you mean 'grace_s'?"),
        ("PATCH", "teams/x", {"provider": 3}, "provider", "provider is no field here; did you"),
        ("PUT", "limits", {"rpm": 3}, "scope", "scope is missing; rpm is no field here; there are: "),
        ("POST", "keys", {"gw_" + "s" * 43: 1}, "name", "name is missing; *** is no field here; there are: "),
        ("POST", "keys", [1], None, "The body must be a JSON object"),
        ("POST", "keys", None, None, "The body is missing"),
        ("GET", "usage?by=weather", None, "by.0", "by.0: input should be 'key', 'team', 'provider'"),
        ("GET", "usage/requests?limit=x", None, "limit", "limit: input should be a valid integer"),
    ],
)
async def test_the_message_names_the_field(
    api: AdminApi, method: str, path: str, body: Any, param: str | None, message: str
) -> None:
    given = {} if body is None else {"json": body}
    answer = await api.admin.request(method, f"/admin/v1/{path}", **given)
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert error["message"].startswith(message)
    assert (error["param"], error["code"]) == (param, "unprocessable")


async def test_a_body_that_is_no_json_and_one_with_many_errors(api: AdminApi) -> None:
    headers = {"content-type": "application/json"}
    answer = await api.admin.post("/admin/v1/keys", content=b"{nope", headers=headers)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (422, None)
    assert error["message"].startswith("The body is not valid JSON: ")
    answer = await api.admin.post("/admin/v1/keys", json={"tags": list(range(9))})
    assert answer.json()["error"]["message"].endswith("; and 5 more")
