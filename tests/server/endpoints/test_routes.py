"""What stands at which path."""

from __future__ import annotations

import pytest

from trunkline.server.endpoints import anthropic
from trunkline.server.endpoints.ollama import management
from trunkline.server.endpoints.ollama import pages as native
from trunkline.server.endpoints.routes import (
    DIALECTS,
    OWN,
    AsyncRoute,
    ErrorRoute,
    ModelRoute,
    Routes,
    SyncRoute,
)

ROUTES = Routes(["vllm", "ollama", "custom"])

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")

OPEN = {"/", "/health", "/health/detailed", "/healthz", "/health/live", "/health/ready", "/api/version"}
"""What needs no key."""

ADMIN = {"/admin/v1/reload", "/api/pull", "/api/push", "/api/create", "/api/copy", "/api/delete"}
"""What needs an admin's."""


@pytest.mark.parametrize("path", DIALECTS)
@pytest.mark.parametrize(("prefix", "only"), [("", None), ("/vllm", "vllm"), ("/ollama", "ollama")])
def test_dialects(path: str, prefix: str, only: str | None) -> None:
    for method in METHODS:
        route = ROUTES.find(method, prefix + path)
        known = DIALECTS[path].get(method)
        if known is None:
            assert isinstance(route, ErrorRoute)
            assert (route.error.status, route.allow) == (405, ", ".join(DIALECTS[path]).encode())
        elif isinstance(known, ModelRoute):
            assert route == ModelRoute(known.front, only)
        else:
            assert isinstance(route, SyncRoute | AsyncRoute)
            assert route == known._replace(arguments={} if only is None else {"only": only})


@pytest.mark.parametrize("path", [*OWN, *DIALECTS])
def test_who_may(path: str) -> None:
    for route in {**OWN, **DIALECTS}[path].values():
        assert (isinstance(route, SyncRoute) and route.open) == (path in OPEN)
        assert (isinstance(route, AsyncRoute) and route.admin) == (path in ADMIN)


@pytest.mark.parametrize("path", sorted(set(OWN) - ADMIN))
def test_pages(path: str) -> None:
    for method in ("GET", "HEAD"):
        assert isinstance(ROUTES.find(method, path), SyncRoute)
    route = ROUTES.find("POST", path)
    assert isinstance(route, ErrorRoute)
    assert (route.error.status, route.allow) == (405, b"GET, HEAD")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/ollama", "/ollama/", "/vllm/"])
def test_a_providers_own_root(method: str, path: str) -> None:
    assert ROUTES.find(method, path) == OWN["/"][method]
    assert ROUTES.find(method, "/nobody/") is None
    assert Routes(["health"]).find(method, "/health") == OWN["/health"][method]


@pytest.mark.parametrize(
    ("method", "path", "run", "arguments"),
    [
        ("HEAD", "/api/blobs/sha256:00", management.has_blob, {"digest": "sha256:00"}),
        ("POST", "/api/blobs/sha256:00", management.put_blob, {"digest": "sha256:00"}),
        ("POST", "/ollama/api/blobs/a", management.put_blob, {"digest": "a", "only": "ollama"}),
        ("POST", "/ollama/api/show", native.show, {"only": "ollama"}),
    ],
)
def test_errands(method: str, path: str, run: object, arguments: dict[str, str]) -> None:
    route = ROUTES.find(method, path)
    assert isinstance(route, AsyncRoute)
    assert (route.run, route.arguments) == (run, arguments)
    assert route.streams == (run is management.put_blob)


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/api", b'{"error":"There is nothing at /api"}'),
        ("/api/nothing", b'{"error":"There is nothing at /api/nothing"}'),
        ("/vllm/api/nothing", b'{"error":"There is nothing at /vllm/api/nothing"}'),
        (
            "/cerebras/api/tags",
            b'{"error":"Provider \'cerebras\' not configured. Set CEREBRAS_API_KEY"}',
        ),
        ("/api/tags", b'{"error":"POST is not allowed at /api/tags; use GET, HEAD"}'),
        ("/api/blobs/x", None),
    ],
)
def test_errors_in_the_shape_of_ollama(path: str, shape: bytes | None) -> None:
    route = ROUTES.find("POST", path)
    assert isinstance(route, ErrorRoute) == (shape is not None)
    if isinstance(route, ErrorRoute):
        assert route.render(route.error) == shape


def test_metrics_for_everybody() -> None:
    route = Routes([], metrics_public=True).find("GET", "/metrics")
    assert isinstance(route, SyncRoute)
    assert route.open


@pytest.mark.parametrize(
    ("path", "page", "arguments"),
    [
        ("/vllm/v1/models", anthropic.list_models, {"only": "vllm"}),
        ("/v1/models/gpt-4o", anthropic.show_model, {"model": "gpt-4o"}),
        ("/v1/models/openai/gpt-4o", anthropic.show_model, {"model": "openai/gpt-4o"}),
        ("/vllm/v1/models/a/b", anthropic.show_model, {"model": "a/b", "only": "vllm"}),
    ],
)
def test_models(path: str, page: object, arguments: dict[str, str]) -> None:
    route = ROUTES.find("GET", path)
    assert isinstance(route, SyncRoute)
    assert (route.answer, route.arguments, route.open) == (page, arguments, False)
    refused = ROUTES.find("DELETE", path)
    assert isinstance(refused, ErrorRoute)
    assert refused.error.status == 405


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/nothing", "/vllm/v1", "/vllm/v1/nothing", "/v1/chat/"])
def test_nothing_on_the_surface(path: str) -> None:
    route = ROUTES.find("POST", path)
    assert isinstance(route, ErrorRoute)
    assert (route.error.status, route.error.code) == (404, "not_found")


@pytest.mark.parametrize("path", ["/cerebras/v1/chat/completions", "/openai/v1/models", "/anthropic/v1"])
def test_a_vendor_that_is_not_configured(path: str) -> None:
    route = ROUTES.find("POST", path)
    assert isinstance(route, ErrorRoute)
    assert (route.error.status, route.error.code) == (404, "provider_not_configured")
    name = path.split("/")[1]
    assert route.error.message == f"Provider '{name}' not configured. Set {name.upper()}_API_KEY"


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/v1/v1/messages", "/v1/messages"),
        ("/chat/completions", "/v1/chat/completions"),
        ("/models", "/v1/models"),
        ("/vllm/chat/completions", "/vllm/v1/chat/completions"),
        ("/vllm/v1/v1/chat/completions", "/vllm/v1/chat/completions"),
        ("/vlm/v1/chat/completions", "/vllm/v1/chat/completions"),
        ("/nobody/v1/chat/completions", "/v1/chat/completions"),
        ("/api/v1/chat/completions", "/v1/chat/completions"),
        ("/v1/api/tags", "/api/tags"),
        ("/v1/chat/completion", "/v1/chat/completions"),
        ("/v1/embeddings/", "/v1/embeddings"),
        ("/moderations", "/v1/moderations"),
        ("/", None),
        ("//", None),
        ("/v1", None),
        ("/v1/nothing", None),
        ("/vllm/v1/nothing", None),
        ("/nothing/here", None),
        (f"/{'a' * 128}/v1/models", None),
    ],
)
def test_what_may_have_been_meant(path: str, meant: str | None) -> None:
    hint = f"; did you mean {meant}?" if meant else ""
    error = ROUTES.nothing_at(path)
    assert (error.status, error.code) == (404, "not_found")
    assert error.message == f"There is nothing at {path}{hint}"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/docs",
        "/openapi.json",
        "/v12/models",
        "/other/v1/models",
        "/other",
        "/vllm/x",
        "/vllm/v2",
        "//v1",
    ],
)
def test_what_is_left_to_fastapi(path: str) -> None:
    assert ROUTES.find("GET", path) is None
