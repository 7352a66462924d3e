"""Who is let in, through the whole application."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends
from pydantic import SecretStr

from tests.gateways import KEY, make_gateway, make_settings
from trunkline import auth_bearer, get_app
from trunkline.ledger.keys import KeyStore
from trunkline.policy.auth import ApiKey, configured_id
from trunkline.server.admin.app import make_fastapi
from trunkline.settings import Settings, SettingsError, load_settings

CHAT = {"model": "custom", "messages": [{"role": "user", "content": "Hello!"}]}
KEYED = ("/v1/models", "/custom/v1/models", "/metrics", "/v1/nothing")
OPEN = ("/", "/health", "/healthz", "/health/live", "/health/ready")


def client(settings: Settings) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(get_app(settings)), base_url="http://localhost")


async def ask(settings: Settings, headers: dict[str, str] | None = None) -> httpx.Response:
    async with client(settings) as http:
        return await http.post("/v1/chat/completions", json=CHAT, headers=headers or {})


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize(
    "headers",
    [{}, bearer("wrong"), {"Authorization": "Basic dDp0"}, {"Authorization": KEY}, {"X-API-Key": "wrong"}],
)
async def test_without_a_valid_key(headers: dict[str, str]) -> None:
    answer = await ask(make_settings(), headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["code"]) == ("authentication_error", "invalid_api_key")
    assert not any(value in answer.text for value in headers.values())


@pytest.mark.parametrize("headers", [bearer(KEY), {"X-API-Key": KEY}, {"api-key": KEY}])
async def test_with_a_valid_key(headers: dict[str, str]) -> None:
    assert (await ask(make_settings(), headers)).status_code == 200


@pytest.mark.parametrize("keys", ["one,two", " one , two ", '["one", "two"]', ["one", "two"]], ids=repr)
@pytest.mark.parametrize("name", ["ALLOWED_API_KEYS", "ALLOWED_API_KEYS_RAW"])
async def test_keys_as_csv_or_json_list(name: str, keys: Any) -> None:
    settings = make_settings(**{"allowed_api_keys": (), name.lower(): keys})
    for key, status in (("one", 200), ("two", 200), ("three", 401), (str(keys), 401)):
        assert (await ask(settings, bearer(key))).status_code == status


@pytest.mark.parametrize("keys", ["one,two", json.dumps(["one", "two"])])
async def test_keys_from_the_environment(monkeypatch: pytest.MonkeyPatch, keys: str) -> None:
    monkeypatch.setenv("ALLOWED_API_KEYS", keys)
    monkeypatch.setenv("OLLAMA_ENABLED", "false")
    settings = load_settings()
    monkeypatch.setenv("ALLOWED_API_KEYS", "others")  # settings were built once
    assert (await ask(settings, bearer("two"))).status_code == 200
    assert (await ask(settings, bearer("others"))).status_code == 401


@pytest.mark.parametrize("path", KEYED)
async def test_what_needs_a_key(path: str) -> None:
    async with client(make_settings()) as http:
        for method in ("GET", "HEAD"):
            refused = await http.request(method, path)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == "Bearer"
            answer = await http.request(method, path, headers=bearer(KEY))
            assert answer.status_code == (404 if path.endswith("nothing") else 200)


@pytest.mark.parametrize("path", OPEN)
async def test_what_needs_no_key(path: str) -> None:
    async with client(make_settings()) as http:
        assert (await http.get(path)).status_code == 200
        assert (await http.head(path)).status_code == 200
        assert (await http.get(path, headers=bearer("wrong"))).status_code == 200


async def test_metrics_for_everybody() -> None:
    async with client(make_settings(metrics_public=True)) as http:
        assert (await http.get("/metrics")).status_code == 200


@pytest.mark.parametrize(
    ("settings", "headers", "status"),
    [
        ({"development_mode": True, "allowed_api_keys": ()}, {}, 200),
        ({"development_mode": True, "allowed_api_keys": ()}, bearer("any"), 200),
        ({"development_mode": True}, {}, 401),
        ({"development_mode": True}, bearer(KEY), 200),
        ({"development_mode": True, "require_auth": False}, {}, 200),
        ({"require_auth": False, "allow_open_network": True}, {}, 200),
        ({"require_auth": False, "allow_open_network": True}, bearer("any"), 200),
    ],
)
async def test_modes(settings: dict[str, Any], headers: dict[str, str], status: int) -> None:
    assert (await ask(make_settings(**settings), headers)).status_code == status


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (
            {"allowed_api_keys": ()},
            "ALLOWED_API_KEYS must not be empty when REQUIRE_AUTH=True and DEVELOPMENT_MODE=False",
        ),
        ({"require_auth": False}, "REQUIRE_AUTH=false would let anybody in"),
    ],
)
def test_what_is_not_served(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        get_app(make_settings(**settings))


async def test_keys_of_the_store(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'keys.db'}"
    with KeyStore(url) as store:
        _, key = store.create("app")
        _, revoked = store.create("other")
        store.revoke("other")
    settings = make_settings(allowed_api_keys=(), database_url=SecretStr(url))
    app = get_app(settings)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
        for given, status in ((key, 200), (revoked, 401)):
            answer = await http.post("/v1/chat/completions", json=CHAT, headers=bearer(given))
            assert answer.status_code == status
    await app.gateway.aclose()


async def test_the_dependency_of_fastapi_is_the_same_check() -> None:
    app = make_fastapi(make_gateway(make_settings()))

    @app.get("/whoami")
    async def whoami(key: Annotated[ApiKey | None, Depends(auth_bearer)], times: int = 1) -> dict[str, Any]:
        return {"id": key and key.id, "times": times}

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        refused = await http.get("/whoami")
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
        assert refused.json()["error"]["code"] == "invalid_api_key"
        allowed = await http.get("/whoami", headers=bearer(KEY))
        assert allowed.json() == {"id": configured_id(KEY), "times": 1}
        wrong = await http.get("/whoami?times=x", headers=bearer(KEY))
        assert (wrong.status_code, wrong.json()["error"]["param"]) == (422, "times")
