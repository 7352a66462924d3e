"""Which route stands at which path."""

from __future__ import annotations

import msgspec
import pytest

from trunkline.server.endpoints import anthropic
from trunkline.server.endpoints.ollama import management, pages
from trunkline.server.endpoints.route_table import DIALECTS, OWN, make_route_table
from trunkline.server.http.routes import AsyncRoute, ErrorRoute, ModelRoute, Routes, SyncRoute

ROUTES = Routes(["vllm", "ollama", "custom"], make_route_table())

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")

OPEN = {"/", "/health", "/health/detailed", "/healthz", "/health/live", "/health/ready", "/api/version"}
"""Paths that need no key."""

ADMIN = {"/admin/v1/reload", "/api/pull", "/api/push", "/api/create", "/api/copy", "/api/delete"}
"""Paths that need an admin's key."""


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
            arguments = {} if only is None else {"only": only}
            assert route == msgspec.structs.replace(known, arguments=arguments)


@pytest.mark.parametrize("path", [*OWN, *DIALECTS])
def test_keys_that_are_required(path: str) -> None:
    for route in {**OWN, **DIALECTS}[path].values():
        assert route.requires_key == (path not in OPEN)
        assert route.requires_admin == (path in ADMIN)


@pytest.mark.parametrize("path", sorted(set(OWN) - ADMIN))
def test_pages(path: str) -> None:
    for method in ("GET", "HEAD"):
        assert isinstance(ROUTES.find(method, path), SyncRoute)
    route = ROUTES.find("POST", path)
    assert isinstance(route, ErrorRoute)
    assert (route.error.status, route.allow) == (405, b"GET, HEAD")


@pytest.mark.parametrize(
    ("method", "path", "run", "arguments"),
    [
        ("HEAD", "/api/blobs/sha256:00", management.has_blob, {"digest": "sha256:00"}),
        ("POST", "/api/blobs/sha256:00", management.put_blob, {"digest": "sha256:00"}),
        ("POST", "/ollama/api/blobs/a", management.put_blob, {"digest": "a", "only": "ollama"}),
        ("POST", "/ollama/api/show", pages.show, {"only": "ollama"}),
    ],
)
def test_async_routes(method: str, path: str, run: object, arguments: dict[str, str]) -> None:
    route = ROUTES.find(method, path)
    assert isinstance(route, AsyncRoute)
    assert (route.run, route.arguments) == (run, arguments)
    assert route.streams_body == (run is management.put_blob)


def test_metrics_for_everybody() -> None:
    route = Routes([], make_route_table(metrics_public=True)).find("GET", "/metrics")
    assert isinstance(route, SyncRoute)
    assert not route.requires_key


@pytest.mark.parametrize("path", ["/v1/responses", "/vllm/v1/responses"])
@pytest.mark.parametrize("stores_responses", [True, False])
def test_responses_are_stored_if_the_settings_say_so(path: str, stores_responses: bool) -> None:
    table = make_route_table(stores_responses=stores_responses)
    route = Routes(["vllm"], table).find("POST", path)
    assert isinstance(route, ModelRoute)
    assert route.stores_response == stores_responses


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
    assert (route.answer, route.arguments, route.requires_key) == (page, arguments, True)
    refused = ROUTES.find("DELETE", path)
    assert isinstance(refused, ErrorRoute)
    assert refused.error.status == 405
