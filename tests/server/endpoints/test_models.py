"""The names of models that clients can see and send."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from pydantic import SecretStr

from tests.gateways import BEARER, GUARD, Running, chat, get, make_settings, post, serving, upstream
from trunkline.settings import Route, Target
from trunkline.settings.sections import KeyPolicy
from trunkline_mock import MockUpstream


async def ask(running: Running, path: str) -> Any:
    answer = await running.ask(get(path, BEARER))
    assert answer.status == 200, answer
    return answer.json


async def test_models(running: Running) -> None:
    listed = (await ask(running, "/v1/models"))["data"]
    assert {(model["id"], model["provider"]) for model in listed} == {
        ("openai/gpt-4o", "openrouter"),
        ("openrouter/auto", "openrouter"),
        ("vllm/gpt-4o", "vllm"),
        ("llama3.2", "vllm"),
        ("ollama/llama3.2:latest", "ollama"),
        ("all-minilm:latest", "ollama"),
        ("custom", "custom"),
    }
    for model in listed:
        assert model["object"] == "model"
        assert isinstance(model["created"], int)
        assert model["owned_by"]
        shown = await ask(running, f"/v1/models/{model['id']}")
        assert shown == model
    by_id = {model["id"]: model for model in listed}
    assert by_id["openai/gpt-4o"]["pricing"]["prompt"] == 0.0000025
    assert by_id["openai/gpt-4o"]["context_length"] == 8192
    assert by_id["all-minilm:latest"]["capabilities"] == ["embedding"]


async def test_models_of_one_provider(running: Running) -> None:
    listed = await ask(running, "/ollama/v1/models")
    assert [model["id"] for model in listed["data"]] == ["llama3.2:latest", "all-minilm:latest"]
    for name in ("llama3.2", "LLAMA3.2:latest", "ollama/llama3.2"):
        assert (await ask(running, f"/ollama/v1/models/{name}"))["id"] == "llama3.2:latest"
    assert (await ask(running, "/v1/models/all-minilm%3Alatest"))["id"] == "all-minilm:latest"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v1/models/nobody-has-it", "model_not_found"),
        ("/vllm/v1/models/nobody-has-it", "model_not_found"),
        ("/v1/models/cerebras/llama", "provider_not_configured"),
        ("/openai/v1/models", "provider_not_configured"),
    ],
)
async def test_models_that_no_provider_lists(running: Running, path: str, code: str) -> None:
    answer = await running.ask(get(path, BEARER))
    assert (answer.status, answer.error["code"]) == (404, code)


KEYS: dict[str, dict[str, Any]] = {
    "all": {},
    "two": {"models": ("grp", "fast")},
    "glob": {"models": ("f*", "up:*")},
    "bare": {"models": ("llama3.2", "big")},
    "full": {"models": ("openrouter/vendor/*",)},
    "second": {"providers": ("openrouter",)},
    "local": {"local_only": True},
    "none": {"models": ("nothing-like-it",)},
}
"""Keys by their names, and what each is limited to."""

CONFIGURED = {
    "grp": [("up", "m1")],
    "mixed": [("ollama", "llama3.2"), ("openrouter", "vendor/big")],
    "stuck": [("openrouter", "vendor/big")],  # and local_only
    "half": [("cerebras", "not-configured"), ("up", "m1")],
}
ALIASES = {
    "fast": "up/m1",
    "Team/Nice Name": "ollama:llama3.2",
    "unlisted": "up/m9",
    "to-route": "grp",
    "m2": "up/m2",
    "chain": "fast",
    "hidden": "ollama/secret",
    "nobody": "cerebras/x",
    "not-pulled": "ollama/nope",
}
ANSWERING = {"grp", "mixed", "fast", "Team/Nice Name", "unlisted", "to-route", "m2"}
"""The routes and aliases under which somebody answers."""

PLAIN = {"m1", "vendor/big", "vendor/small", "llama3.2:latest", "custom"}


def text_of(key: str) -> str:
    return f"gw_{key:t<43}"


def bearer(key: str) -> bytes:
    return f"Authorization: Bearer {text_of(key)}\r\n".encode()


@pytest.fixture
async def named(tmp_path: Path) -> AsyncIterator[Running]:
    """A gateway with routes and aliases of every kind, and a key for each entry of KEYS."""
    rules = tmp_path / "filter.txt"
    rules.write_text("!secret*\n")
    routes = {
        name: Route(
            targets=tuple(Target(provider=provider, model=model) for provider, model in targets),
            local_only=name == "stuck",
        )
        for name, targets in CONFIGURED.items()
    }
    async with (
        MockUpstream("vllm", models=["m1", "m2", "m9"]) as up,
        MockUpstream("openrouter", models=["vendor/big", "vendor/small"]) as cloud,
        MockUpstream("ollama", models=["llama3.2", "secret"]) as ollama,
    ):
        settings = make_settings(
            allowed_api_keys=tuple(SecretStr(text_of(key)) for key in KEYS),
            keys={f"env-{n}": KeyPolicy(**limits) for n, limits in enumerate(KEYS.values(), 1)},
            ollama_enabled=True,
            ollama_base_url=ollama.base_url,
            models_filter=rules,
            providers={
                "up": upstream(up, models=("m1", "m2")),
                "openrouter": upstream(cloud, models=(), local=False),
            },
            routes=routes,
            aliases=ALIASES,
        )
        async with serving(settings) as running:
            await running.gateway.catalog.wait_until_discovered(GUARD)
            yield running


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("all", ANSWERING | PLAIN),
        ("two", {"grp", "fast"}),
        ("glob", {"grp", "fast", "unlisted", "to-route", "m2", "m1"}),
        ("bare", {"mixed", "Team/Nice Name", "llama3.2:latest", "big"}),
        ("full", {"mixed", "vendor/big", "vendor/small"}),
        ("second", {"mixed", "vendor/big", "vendor/small"}),
        ("local", (ANSWERING | PLAIN) - {"vendor/big", "vendor/small"}),
        ("none", set()),
    ],
)
async def test_the_lists_are_the_names_that_may_be_sent(named: Running, key: str, expected: set[str]) -> None:
    async def status(request: bytes) -> int:
        return (await named.ask(request)).status

    listed = (await named.ask(get("/v1/models", bearer(key)))).json["data"]
    names = [model["id"] for model in listed]
    assert set(names) == expected
    assert len(names) == len(expected)
    anthropic_list = await named.ask(get("/v1/models", bearer(key), b"anthropic-version: 2023-06-01\r\n"))
    assert [model["id"] for model in anthropic_list.json["data"]] == names
    for model in listed:
        path = f"/v1/models/{quote(model['id'])}"
        assert (await named.ask(get(path, bearer(key)))).json == model
        head = await named.ask(get(path, bearer(key), method="HEAD"), head_only=True)
        assert head.status == 200
        assert await status(post(chat(model["id"]), bearer(key))) == 200, model
    for name in {*CONFIGURED, *ALIASES} - expected:
        assert await status(post(chat(name), bearer(key))) >= 400, name
        assert await status(get(f"/v1/models/{quote(name)}", bearer(key))) >= 400, name
        assert await status(post({"model": name}, bearer(key), path="/api/show")) >= 400, name


@pytest.mark.parametrize("key", KEYS)
async def test_ollamas_list_has_the_same_names(named: Running, key: str) -> None:
    listed = (await named.ask(get("/v1/models", bearer(key)))).json["data"]
    tags = (await named.ask(get("/api/tags", bearer(key)))).json["models"]
    names = {tag["name"] for tag in tags}
    assert len(names) == len(tags)
    assert {name.removesuffix(":latest") for name in names} == {
        model["id"].removesuffix(":latest") for model in listed
    }
    for name in names:
        for path, more in ("/api/chat", {"stream": False}), ("/api/show", {}):
            answer = await named.ask(post(chat(name) | more, bearer(key), path=path))
            assert answer.status == 200, (name, path, answer)


async def test_a_name_is_found_in_any_case_and_with_ollamas_tag(named: Running) -> None:
    for asked in ("fast", "FAST", "fast:latest"):
        answer = await named.ask(get(f"/v1/models/{asked}", bearer("two")))
        assert answer.json["id"] == "fast"
        assert (await named.ask(post(chat(asked), bearer("two")))).status == 200
    assert (await named.ask(get("/v1/models/big", bearer("bare")))).json["id"] == "big"
    assert (await named.ask(get("/v1/models/big", bearer("all")))).json["id"] == "vendor/big"
    assert (await named.ask(get("/up/v1/models/fast", bearer("all")))).status == 404


async def test_a_route_has_what_holds_for_all_of_its_models(named: Running) -> None:
    listed = (await named.ask(get("/v1/models", bearer("all")))).json["data"]
    models = {model["id"]: model for model in listed}
    mixed, ours, cloud = models["mixed"], models["llama3.2:latest"], models["vendor/big"]
    assert mixed["provider"] == "ollama"
    assert mixed["context_length"] == min(ours["context_length"], cloud["context_length"])
    assert set(mixed["capabilities"]) == set(ours["capabilities"]) & set(cloud["capabilities"])
    assert "pricing" in cloud
    assert "pricing" not in mixed
    assert models["fast"] == models["m1"] | {"id": "fast"}


async def test_one_providers_list_is_limited_by_the_key_too(named: Running) -> None:
    for path in "/v1/providers/up/models", "/up/v1/models":
        for key, expected in ("all", ["m1", "m2"]), ("two", []), ("glob", ["m1", "m2"]):
            listed = (await named.ask(get(path, bearer(key)))).json["data"]
            assert [model["id"] for model in listed] == expected, (path, key)


async def test_loaded_models_are_limited_by_the_key_too(named: Running) -> None:
    assert (await named.ask(post(chat("llama3.2"), bearer("all")))).status == 200
    for key, loaded in ("all", {"llama3.2:latest"}), ("bare", {"llama3.2:latest"}), ("two", set()):
        shown = (await named.ask(get("/api/ps", bearer(key)))).json["models"]
        assert {model["name"] for model in shown} == loaded, key


ANTHROPIC = b"anthropic-version: 2023-06-01\r\n"


@pytest.mark.parametrize(
    ("query", "first", "last", "has_more"),
    [
        ("", 0, 12, False),
        ("?limit=1000", 0, 12, False),
        ("?limit=5", 0, 5, True),
        ("?limit=5&after_id={4}", 5, 10, True),
        ("?limit=5&after_id={9}", 10, 12, False),
        ("?after_id={9}", 10, 12, False),
        ("?limit=5&before_id={7}", 2, 7, True),
        ("?limit=5&before_id={3}", 0, 3, False),
        ("?before_id={0}", 0, 0, False),
        ("?after_id={11}", 12, 12, False),
    ],
)
async def test_anthropics_list_has_pages(
    named: Running, query: str, first: int, last: int, has_more: bool
) -> None:
    whole = (await named.ask(get("/v1/models", bearer("all"), ANTHROPIC))).json["data"]
    ids = [model["id"] for model in whole]
    assert len(ids) == 12
    asked = query.format(*map(quote, ids))
    page = (await named.ask(get(f"/v1/models{asked}", bearer("all"), ANTHROPIC))).json
    assert page["data"] == whole[first:last]
    assert page["has_more"] is has_more
    expected = (ids[first], ids[last - 1]) if last > first else (None, None)
    assert (page["first_id"], page["last_id"]) == expected


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        *((f"/v1/models?limit={limit}", 400, "invalid_request_error") for limit in ("0", "1001", "x", "-1")),
        ("/v1/models?limit=%D9%A3", 400, "invalid_request_error"),
        ("/v1/models?after_id=nope", 400, "invalid_request_error"),
        ("/v1/models?before_id=nope", 400, "invalid_request_error"),
        ("/v1/models/nope", 404, "not_found_error"),
    ],
)
async def test_anthropics_clients_get_errors_in_their_shape(
    named: Running, path: str, status: int, kind: str
) -> None:
    answer = await named.ask(get(path, bearer("all"), ANTHROPIC))
    assert answer.status == status
    assert answer.json["type"] == "error"
    assert answer.json["error"]["type"] == kind
