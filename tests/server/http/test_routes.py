"""The look-up of routes by their paths."""

from __future__ import annotations

import pytest

from trunkline.dialects import anthropic, ollama, openai
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


@pytest.mark.parametrize(
    "path", ["/v1", "/v1/", "//v1", "/vllm//v1/", "/v1/nothing", "/vllm/v1", "/vllm/v1/nothing", "/v1/chat/"]
)
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
        ("/vllm/v1/v1/chat/completions", "/vllm/v1/chat/completions"),
        ("/vlm/v1/chat/completions", "/vllm/v1/chat/completions"),
        ("/nobody/v1/chat/completions", "/v1/chat/completions"),
        ("/api/v1/chat/completions", "/v1/chat/completions"),
        ("/v1/api/tags", "/api/tags"),
        ("/v1/chat/completion", "/v1/chat/completions"),
        ("/v1/embeddings/", "/v1/embeddings"),
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
    error = ROUTES.nothing_at(path).error
    assert (error.status, error.code) == (404, "not_found")
    assert error.message == f"There is nothing at {path}{hint}"


@pytest.mark.parametrize(
    "path",
    [
        "/docs",
        "/admin/v1/keys",
        "//admin/v1/keys",
        "/key/gw_0/v1/models",
        "/openapi.json",
        "/v12/models",
        "/other/v1/models",
        "/other",
        "/vllm/x",
        "/vllm/v2",
    ],
)
def test_other_paths_are_left_to_fastapi(path: str) -> None:
    assert ROUTES.find("GET", path) is None


@pytest.mark.parametrize(
    ("path", "usual"),
    [
        ("/v1/messages/", "/v1/messages"),
        ("//v1/messages", "/v1/messages"),
        ("/v1//messages//", "/v1/messages"),
        ("/v1/v1/messages", "/v1/messages"),
        ("//v1/v1/chat/completions/", "/v1/chat/completions"),
        ("/messages", "/v1/messages"),
        ("/messages/count_tokens", "/v1/messages/count_tokens"),
        ("/chat/completions", "/v1/chat/completions"),
        ("/responses", "/v1/responses"),
        ("/responses/resp_1/cancel/", "/v1/responses/resp_1/cancel"),
        ("/embeddings", "/v1/embeddings"),
        ("/moderations", "/v1/moderations"),
        ("/files/file-1/", "/v1/files/file-1"),
        ("/models", "/v1/models"),
        ("/models/openai/gpt-4o/", "/v1/models/openai/gpt-4o"),
        ("/v1/models/", "/v1/models"),
        ("/api/v1/chat/completions", "/v1/chat/completions"),
        ("/api/v1/v1/messages", "/v1/messages"),
        ("/api/v1/models/openai/gpt-4o", "/v1/models/openai/gpt-4o"),
        ("/api/chat/completions", "/v1/chat/completions"),
        ("/api/models", "/v1/models"),
        ("//api/chat", "/api/chat"),
        ("/api/chat/", "/api/chat"),
        ("/api/api/tags", "/api/tags"),
        ("/v1/api/tags", "/api/tags"),
        ("/health/", "/health"),
        ("//", "/"),
        ("", "/"),
    ],
)
@pytest.mark.parametrize("pin", ["", "/vllm"])
def test_unusual_addresses_lead_where_the_usual_ones_do(path: str, usual: str, pin: str) -> None:
    if usual == "/health" and pin:
        return  # the gateway's own paths are below no provider
    found = [ROUTES.find(method, pin + path) for method in ("GET", "POST", "DELETE")]
    wanted = [ROUTES.find(method, pin + usual) for method in ("GET", "POST", "DELETE")]
    for route, usual_route in zip(found, wanted, strict=True):
        if isinstance(usual_route, ErrorRoute):
            assert isinstance(route, ErrorRoute)
            assert (route.error.status, route.render) == (usual_route.error.status, usual_route.render)
        else:
            assert route == usual_route
    assert any(route is not None and route.error is None for route in found)


@pytest.mark.parametrize(
    "path", ["/nobody/v1/chat/completions", "/vlm/chat/completions", "/v1/nobody/messages"]
)
def test_what_was_meant_for_one_provider_goes_to_no_other(path: str) -> None:
    route = ROUTES.find("POST", path)
    assert route is None or (isinstance(route, ErrorRoute) and route.error.status == 404)


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("//v1/messages/nothing", anthropic.error_body),
        ("//api/nothing", ollama.error_body),
        ("//v1/nothing/", openai.error_body),
    ],
)
def test_nothing_at_an_unusual_address(path: str, shape: object) -> None:
    route = ROUTES.find("POST", path)
    assert isinstance(route, ErrorRoute)
    assert (route.error.status, route.render) == (404, shape)


def test_nothing_in_the_shape_of_a_similar_path() -> None:
    assert ROUTES.nothing_at("/nobody/v1/messages").render == anthropic.error_body
    assert ROUTES.nothing_at("/nobody/api/chat").render == ollama.error_body
    assert ROUTES.nothing_at("/nobody/here").render == openai.error_body


def test_clients_of_anthropic_are_known_by_a_header() -> None:
    nothing = ROUTES.nothing_at("/v1/nothing")
    assert ROUTES.for_client(nothing, {b"anthropic-version": b"2023-06-01"}).render == anthropic.error_body
    assert ROUTES.for_client(nothing, {b"accept": b"*/*"}) is nothing
