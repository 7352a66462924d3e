"""The look-up of routes by their paths."""

from __future__ import annotations

import pytest

from trunkline.server.endpoints.route_table import OWN, make_route_table
from trunkline.server.http.routes import ErrorRoute, Routes

TABLE = make_route_table()
ROUTES = Routes(["vllm", "ollama", "custom"], TABLE)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/ollama", "/ollama/", "/vllm/"])
def test_the_root_of_a_provider(method: str, path: str) -> None:
    assert ROUTES.find(method, path) == OWN["/"][method]
    assert ROUTES.find(method, "/nobody/") is None
    assert Routes(["health"], TABLE).find(method, "/health") == OWN["/health"][method]


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
    ("path", "similar"),
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
def test_a_similar_path_is_suggested(path: str, similar: str | None) -> None:
    hint = f"; did you mean {similar}?" if similar else ""
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
def test_other_paths_are_left_to_fastapi(path: str) -> None:
    assert ROUTES.find("GET", path) is None
