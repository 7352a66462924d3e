"""Error statuses of upstreams: whose fault they are, in every vendor's shape."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gateways import BEARER, chat, events, make_settings, post, serving
from tests.gateways import upstream as section
from trunkline_mock import Fault, MockUpstream, Script

STATUSES: dict[int, tuple[int, str]] = {
    400: (400, "invalid_request_error"),
    401: (502, "upstream_error"),
    402: (502, "upstream_error"),
    403: (502, "upstream_error"),
    408: (502, "upstream_error"),
    413: (413, "invalid_request_error"),
    418: (502, "upstream_error"),
    422: (422, "invalid_request_error"),
    429: (429, "rate_limit_error"),
    500: (502, "upstream_error"),
    502: (502, "upstream_error"),
    503: (502, "upstream_error"),
    504: (502, "upstream_error"),
    529: (502, "upstream_error"),
}
"""The upstream's status → the client's, and the error's type."""


@pytest.mark.parametrize("shape", ["openai", "openrouter", "cerebras", "ollama"])
async def test_statuses(shape: str) -> None:
    async with MockUpstream(shape) as mock:
        settings = make_settings(providers={"up": section(mock)}, enable_fallback=False)
        async with serving(settings) as running:
            wire = await running.connect()
            for status, (seen, kind) in STATUSES.items():
                for stream in (True, False):
                    wire.send(post(chat(f"up/mock-status-{status}-7", stream=stream), BEARER))
                    answer = await wire.answer()
                    error = answer.error
                    if shape == "ollama" and status >= 500:
                        seen = status  # told by Ollama itself: it lives
                    assert (status, answer.status, error["type"]) == (status, seen, kind)
                    assert answer.headers["retry-after"] == "7"
                    assert answer.headers["x-trunkline-provider"] == "up"
                    assert "sk-upstream-secret" not in error["message"]
                    if seen == 502 and (shape, status) != ("ollama", 502):
                        assert str(status) in error["message"]
            assert running.gateway.pipeline.active == set()


@pytest.mark.parametrize("shape", ["openai", "openrouter", "cerebras", "ollama"])
async def test_a_model_that_the_upstream_does_not_have(shape: str) -> None:
    async with (
        MockUpstream(shape, models=["other"]) as mock,
        serving(make_settings(providers={"up": section(mock)})) as running,
    ):
        answer = await running.ask(post(chat("up/gpt-4o"), BEARER))
        assert len(mock.calls) == 1
    assert (answer.status, answer.error["code"], answer.error["param"]) == (404, "model_not_found", "model")


@pytest.mark.parametrize(
    ("first", "status", "served"),
    [
        ({"kind": "status", "status": 500}, 200, "second"),
        ({"kind": "status", "status": 401}, 200, "second"),
        ({"kind": "status", "status": 404}, 200, "second"),
        ({"kind": "status", "status": 429}, 200, "second"),
        ({"kind": "reset_before"}, 200, "second"),
        ({"kind": "stall_before"}, 200, "second"),
        ({"kind": "empty_body"}, 200, "second"),
        ({"kind": "status", "status": 400}, 400, "first"),
        ({"kind": "status", "status": 422}, 422, "first"),
        ({"kind": "reset_after"}, 200, "first"),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else str(value),
)
async def test_another_provider_is_asked_before_the_first_byte_only(
    first: dict[str, Any], status: int, served: str
) -> None:
    async with (
        MockUpstream("vllm", Script(text=("a", "b", "c"), fault=Fault(**first)), any_model=True) as broken,
        MockUpstream("vllm", Script(text=("a", "b", "c")), any_model=True) as sound,
    ):
        providers = {"first": section(broken), "second": section(sound)}
        settings = make_settings(
            providers=providers, preferred_provider="first", request_timeout_s=0.3, enable_fallback=True
        )
        async with serving(settings) as running:
            answer = await running.ask(post(chat("gpt-4o", stream=True), BEARER))
            pinned = await running.ask(post(chat("first/gpt-4o", stream=True), BEARER))
        assert answer.status == status
        assert answer.headers["x-trunkline-provider"] == served
        assert answer.headers["x-trunkline-attempts"] == ("2" if served == "second" else "1")
        assert len(sound.calls) == (served == "second")
        if served == "second":
            assert events(answer.body)[-1] == "[DONE]"
        assert pinned.headers["x-trunkline-provider"] == "first"
        assert pinned.headers["x-trunkline-attempts"] == "1"
