"""Anthropic's routes, listings and headers."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from trunkline_mock import MockModel, MockUpstream, Script, Usage

from ..http_client import mock_client

_REQUEST: dict[str, Any] = {
    "model": "claude-haiku-4-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "hello there"}],
}
_VERSION = {"anthropic-version": "2023-06-01"}


async def test_the_listing_has_the_vendors_format() -> None:
    models = ("claude-haiku-4-5", MockModel("plain-20250101", ("completion",), context_length=1000))
    async with mock_client("anthropic", models=models) as client:
        listed = await client.get("/v1/models")
        one = await client.get("/v1/models/plain-20250101")
    assert listed.headers["request-id"].startswith("req_")
    body = listed.json()
    assert list(body) == ["data", "has_more", "first_id", "last_id"]
    assert (body["first_id"], body["last_id"], body["has_more"]) == (
        "claude-haiku-4-5",
        "plain-20250101",
        False,
    )
    first, second = body["data"]
    assert list(first)[:4] == ["type", "id", "display_name", "created_at"]
    assert (first["type"], first["display_name"]) == ("model", "Claude Haiku 4.5")
    assert first["created_at"] == "2025-01-01T00:00:00Z"
    assert first["capabilities"]["thinking"]["types"]["enabled"] == {"supported": True}
    assert (second["display_name"], second["max_tokens"]) == ("Plain 20250101", 1000)
    assert second["capabilities"]["image_input"] == {"supported": False}
    assert one.json() == second


@pytest.mark.parametrize(
    ("query", "names", "more"),
    [
        ("limit=2", ["a", "b"], True),
        ("limit=2&after_id=b", ["c", "d"], False),
        ("limit=1&after_id=b", ["c"], True),
        ("after_id=d", [], False),
        ("limit=1&before_id=c", ["b"], True),
        ("before_id=c", ["a", "b"], False),
        ("limit=1000", ["a", "b", "c", "d"], False),
    ],
)
async def test_pages_of_the_listing(query: str, names: list[str], more: bool) -> None:
    async with mock_client("anthropic", models=tuple("abcd")) as client:
        body = (await client.get(f"/v1/models?{query}")).json()
    assert [entry["id"] for entry in body["data"]] == names
    assert body["has_more"] is more
    assert (body["first_id"], body["last_id"]) == ((names[0], names[-1]) if names else (None, None))


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "after_id=nope", "before_id=nope"])
async def test_invalid_pages_of_the_listing(query: str) -> None:
    async with mock_client("anthropic") as client:
        answer = await client.get(f"/v1/models?{query}")
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


async def test_the_default_page_size() -> None:
    async with mock_client("anthropic", models=tuple(f"m{number}" for number in range(21))) as client:
        body = (await client.get("/v1/models")).json()
    assert (len(body["data"]), body["has_more"]) == (20, True)


async def test_token_counting() -> None:
    body = {name: _REQUEST[name] for name in ("model", "messages")}
    system = {"system": [{"type": "text", "text": "be kind"}]}
    async with (
        MockUpstream("anthropic") as mock,
        httpx.AsyncClient(base_url=mock.url, headers=_VERSION) as client,
    ):
        assert (await client.post("/v1/messages/count_tokens", json=body)).json() == {"input_tokens": 2}
        assert (await client.post("/v1/messages/count_tokens", json=body | system)).json() == {
            "input_tokens": 4
        }
        mock.script = Script(usage=Usage(prompt=77))
        assert (await client.post("/v1/messages/count_tokens", json=body)).json() == {"input_tokens": 77}
        unknown = await client.post("/v1/messages/count_tokens", json=body | {"model": "nope"})
        assert unknown.json()["error"] == {"type": "not_found_error", "message": "model: nope"}
        assert [(tokens.prompt, tokens.completion) for tokens in mock.tokens] == [(0, 0)] * 4


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/v1/nothing", 404, "not_found_error"),
        ("GET", "/v1/models/nope", 404, "not_found_error"),
        ("GET", "/v1/messages", 405, "invalid_request_error"),
        ("POST", "/v1/models", 405, "invalid_request_error"),
    ],
)
async def test_unknown_paths_and_methods(method: str, path: str, status: int, kind: str) -> None:
    async with mock_client("anthropic") as client:
        answer = await client.request(method, path)
    assert (answer.status_code, answer.json()["error"]["type"]) == (status, kind)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/messages"),
        ("POST", "/v1/messages/count_tokens"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/claude-haiku-4-5"),
    ],
)
async def test_every_request_needs_a_version(method: str, path: str) -> None:
    body = {name: _REQUEST[name] for name in ("model", "messages")} if "count" in path else _REQUEST
    async with (
        MockUpstream("anthropic") as mock,
        httpx.AsyncClient(base_url=mock.url) as client,
    ):
        answer = await client.request(method, path, json=body, headers=_VERSION)
        assert answer.status_code == 200, answer.text
        for headers in ({}, {"anthropic-version": "new"}):
            answer = await client.request(method, path, json=body, headers=headers)
            assert answer.status_code == 400
            assert answer.json()["error"]["message"].startswith("anthropic-version: ")
        assert (await client.request(method, path, json=body, headers=_VERSION)).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"x-api-key": "k"}, 200),
        ({"authorization": "Bearer k"}, 200),
        ({"x-api-key": "wrong", "authorization": "Bearer k"}, 200),
        ({"x-api-key": "wrong"}, 401),
        ({"x-api-key": ""}, 401),
        ({}, 401),
    ],
)
async def test_the_key_may_be_in_either_header(headers: dict[str, str], status: int) -> None:
    async with mock_client("anthropic", require_key="k") as client:
        answer = await client.post("/v1/messages", json=_REQUEST, headers=headers)
    assert answer.status_code == status
    if status == 401:
        assert answer.json()["error"] == {"type": "authentication_error", "message": "invalid x-api-key"}


async def test_other_vendors_do_not_accept_the_key_in_x_api_key() -> None:
    async with mock_client("openai", require_key="k") as client:
        assert (await client.get("/models", headers={"x-api-key": "k"})).status_code == 401


async def test_responses_have_ids_and_rate_limits() -> None:
    async with mock_client("anthropic") as client:
        whole = await client.post("/v1/messages?beta=true", json=_REQUEST)
        again = await client.post("/v1/messages?beta=true", json=_REQUEST)
        streamed = await client.post("/v1/messages", json=_REQUEST | {"stream": True})
    assert whole.headers["request-id"] == again.headers["request-id"]
    assert whole.headers["request-id"] != streamed.headers["request-id"]
    assert streamed.headers["cache-control"] == "no-cache"
    for answer in (whole, streamed):
        assert answer.headers["anthropic-ratelimit-requests-remaining"] == "3999"


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"\xff"])
async def test_a_body_that_is_not_a_json_object(body: bytes) -> None:
    async with mock_client("anthropic") as client:
        answer = await client.post("/v1/messages", content=body)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


async def test_a_body_that_is_too_large() -> None:
    async with mock_client("anthropic") as client:
        answer = await client.post("/v1/messages", content=b" " * (32 * 1024 * 1024 + 1))
    assert (answer.status_code, answer.json()["error"]["type"]) == (413, "request_too_large")


async def test_scripted_names_are_listed_on_demand() -> None:
    async with mock_client("anthropic", list_magic=True) as client:
        names = [entry["id"] for entry in (await client.get("/v1/models?limit=1000")).json()["data"]]
    assert {"claude-haiku-4-5", "mock-tools", "mock-fault-huge"} <= set(names)


def test_there_are_no_quirks_to_set() -> None:
    with pytest.raises(ValueError, match="anthropic shape has no quirks"):
        MockUpstream("anthropic", quirks={"usage": "never"})
