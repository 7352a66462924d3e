"""Errors of Ollama's API: each is ``{"error": "text"}``, with the status that its clients expect."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.e2e.chats import HELLO
from tests.e2e.conftest import SECRET, World, gateway
from tests.e2e.natives import calling, failure_of
from trunkline_mock import MockUpstream

NOPE: dict[str, Any] = {"model": "nope:1b", "messages": HELLO, "prompt": "x", "input": "x"}
POSTS = ("chat", "generate", "embed", "embeddings", "show", "pull", "push", "create", "copy")


@pytest.fixture(scope="module", params=["true", "false"], ids=["fast", "asgi"])
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway that asks for no key, so that everybody on this machine may manage models."""
    with (
        MockUpstream.in_thread("ollama") as local,
        MockUpstream.in_thread("openrouter", require_key=SECRET) as cloud,
    ):
        config = f"""
ollama_base_url: {local.base_url}
openrouter_api_key: {SECRET}
openrouter_base_url: {cloud.base_url}
development_mode: true
"""
        more = {"FAST_HTTP": request.param, "ALLOWED_API_KEYS": ""}
        with gateway(tmp_path_factory.mktemp("errors"), config, **more) as world:
            yield world


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [*(("POST", f"/api/{name}", b"") for name in POSTS), ("DELETE", "/api/delete", b" \n")],
)
def test_a_body_that_is_missing(house: World, method: str, path: str, body: bytes) -> None:
    with calling(house) as client:
        answer = client.request(method, path, content=body)
    assert (answer.status_code, failure_of(answer)) == (400, "missing request body")


@pytest.mark.parametrize("name", POSTS)
@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b'"x"'])
def test_a_body_that_is_no_object(house: World, name: str, body: bytes) -> None:
    with calling(house) as client:
        answer = client.post(f"/api/{name}", content=body)
    assert answer.status_code == 400
    assert failure_of(answer)


@pytest.mark.parametrize("name", ["show", "pull", "push", "create"])
def test_a_model_that_is_required(house: World, name: str) -> None:
    with calling(house) as client:
        answer = client.post(f"/api/{name}", json={"model": "", "name": ""})
    assert (answer.status_code, failure_of(answer)) == (400, "model is required")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"think": "a lot"}, "invalid think value"),
        ({"format": 7}, "invalid format"),
        ({"keep_alive": "soon"}, 'invalid duration "soon"'),
        ({"options": {"temperature": "hot"}}, 'option "temperature" must be of type float32'),
        ({"messages": "x"}, "messages"),
        ({"stream": "yes"}, "stream"),
        ({"model": 3}, "model"),
    ],
)
@pytest.mark.parametrize("model", ["llama3.2", "openai/gpt-4o"])
def test_what_a_request_may_not_say(house: World, model: str, body: dict[str, Any], message: str) -> None:
    with calling(house) as client:
        answer = client.post("/api/chat", json={"model": model, "messages": HELLO} | body)
    assert answer.status_code == 400
    assert message in failure_of(answer)


@pytest.mark.parametrize("name", ["chat", "generate", "embed", "embeddings", "show", "push"])
def test_a_model_that_nobody_has(house: World, name: str) -> None:
    with calling(house) as client:
        for stream in (True, False):
            answer = client.post(f"/api/{name}", json=NOPE | {"stream": stream})
            assert answer.status_code == 404
            assert "'nope:1b' not found" in failure_of(answer)


@pytest.mark.parametrize("path", ["/api", "/api/nope", "/api/chat/nope", "/ollama/api/nope", "/api/blobs/"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_a_path_that_is_not_there(house: World, method: str, path: str) -> None:
    with calling(house) as client:
        answer = client.request(method, path)
    assert answer.status_code == 404
    assert not answer.content if method == "HEAD" else path in failure_of(answer)


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        *((method, f"/api/{name}", "POST") for name in POSTS for method in ("GET", "DELETE")),
        *((method, "/api/delete", "DELETE") for method in ("GET", "POST")),
        *(("POST", f"/api/{name}", "GET, HEAD") for name in ("tags", "ps", "version", "status")),
        ("POST", "/openrouter/api/tags", "GET, HEAD"),
        ("GET", "/ollama/api/chat", "POST"),
    ],
)
def test_a_method_that_is_wrong(house: World, method: str, path: str, allow: str) -> None:
    with calling(house) as client:
        answer = client.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allow)
    assert method in failure_of(answer)


@pytest.mark.parametrize("path", ["/", "/api/version", "/api/tags", "/api/ps", "/api/status", "/v1/models"])
def test_head_is_get_without_its_body(house: World, path: str) -> None:
    kept = ("content-type", "content-length")
    with calling(house) as client:
        got, headed = client.get(path), client.head(path)
    assert (headed.status_code, headed.content) == (200, b"")
    assert [headed.headers[name] for name in kept] == [got.headers[name] for name in kept]


@pytest.mark.parametrize("key", ["gw_" + "x" * 43, ""])
def test_no_key_that_is_known(world: World, key: str) -> None:
    bearer = {"authorization": f"Bearer {key}"} if key else {}
    with httpx.Client(base_url=world.url, headers=bearer) as client:
        for method, path in (("GET", "/api/tags"), ("POST", "/api/chat"), ("DELETE", "/api/delete")):
            answer = client.request(method, path, json={"model": "llama3.2"})
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert failure_of(answer)
        assert client.head("/").status_code == client.get("/api/version").status_code == 200


def test_a_members_key_does_not_manage(world: World) -> None:
    with calling(world) as client:
        answer = client.post("/api/pull", json={"model": "brand-new"})
    assert answer.status_code == 403
    assert "admin" in failure_of(answer)
