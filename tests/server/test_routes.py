"""What stands at which path."""

from __future__ import annotations

import pytest

from trunkline.server import pages
from trunkline.server.routes import ASKS, TELLS, Ask, Refuse, Routes, Tell

ROUTES = Routes(["vllm", "ollama", "custom"])


@pytest.mark.parametrize("path", ASKS)
@pytest.mark.parametrize(("prefix", "only"), [("", None), ("/vllm", "vllm"), ("/ollama", "ollama")])
def test_questions(path: str, prefix: str, only: str | None) -> None:
    assert ROUTES.find("POST", prefix + path) == Ask(ASKS[path], only)
    for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS"):
        entry = ROUTES.find(method, prefix + path)
        assert isinstance(entry, Refuse)
        assert (entry.error.status, entry.allow) == (405, b"POST")


@pytest.mark.parametrize("path", TELLS)
def test_pages(path: str) -> None:
    for method in ("GET", "HEAD"):
        entry = ROUTES.find(method, path)
        assert isinstance(entry, Tell)
        assert entry.open == (path not in ("/metrics", "/v1/models"))
    entry = ROUTES.find("POST", path)
    assert isinstance(entry, Refuse)
    assert (entry.error.status, entry.allow) == (405, b"GET, HEAD")


def test_metrics_for_everybody() -> None:
    entry = Routes([], metrics_public=True).find("GET", "/metrics")
    assert isinstance(entry, Tell)
    assert entry.open


@pytest.mark.parametrize(
    ("path", "page", "arguments"),
    [
        ("/vllm/v1/models", pages.list_models, {"only": "vllm"}),
        ("/v1/models/gpt-4o", pages.show_model, {"model": "gpt-4o"}),
        ("/v1/models/openai/gpt-4o", pages.show_model, {"model": "openai/gpt-4o"}),
        ("/vllm/v1/models/a/b", pages.show_model, {"model": "a/b", "only": "vllm"}),
    ],
)
def test_models(path: str, page: object, arguments: dict[str, str]) -> None:
    entry = ROUTES.find("GET", path)
    assert isinstance(entry, Tell)
    assert (entry.answer, entry.arguments, entry.open) == (page, arguments, False)
    refused = ROUTES.find("DELETE", path)
    assert isinstance(refused, Refuse)
    assert refused.error.status == 405


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/nothing", "/vllm/v1", "/vllm/v1/nothing", "/v1/chat/"])
def test_nothing_on_the_surface(path: str) -> None:
    entry = ROUTES.find("POST", path)
    assert isinstance(entry, Refuse)
    assert (entry.error.status, entry.error.code) == (404, "not_found")


@pytest.mark.parametrize("path", ["/cerebras/v1/chat/completions", "/openai/v1/models", "/anthropic/v1"])
def test_a_vendor_that_is_not_configured(path: str) -> None:
    entry = ROUTES.find("POST", path)
    assert isinstance(entry, Refuse)
    assert (entry.error.status, entry.error.code) == (404, "provider_not_configured")
    assert f"Provider '{path.split('/')[1]}' not configured" in entry.error.message


@pytest.mark.parametrize(
    "path",
    ["", "/docs", "/openapi.json", "/v12/models", "/other/v1/models", "/vllm", "/vllm/", "/vllm/v2", "//v1"],
)
def test_what_is_left_to_fastapi(path: str) -> None:
    assert ROUTES.find("GET", path) is None
