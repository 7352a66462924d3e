"""Fields that only one dialect has, through a gateway: kept, emulated, refused, or left out and told."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gateways import BEARER, make_settings, post, serving, upstream
from trunkline_mock import MockUpstream

EXPLAIN = b"x-trunkline-explain: left-out\r\n"
BETA = b"anthropic-beta: context-management-2025-06-27,skills-2025-10-02\r\n"
USER = [{"role": "user", "content": "Hi"}]
CHAT: dict[str, Any] = {"model": "gpt-4o", "messages": USER}
MESSAGES: dict[str, Any] = CHAT | {"max_tokens": 9}
RESPONSE: dict[str, Any] = {"model": "gpt-4o", "input": "Hi"}
EDITS = {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}
SKILLS = {"skills": [{"type": "anthropic", "skill_id": "pptx"}]}

REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("/v1/messages", MESSAGES | {"container": SKILLS}, "container: Extra inputs are not permitted"),
    ("/v1/messages", MESSAGES | {"fallbacks": [{"model": "x"}]}, "fallbacks: Extra inputs are not permitted"),
    ("/v1/messages", MESSAGES | {"compaction": {"type": "summarize"}}, "compaction: Extra inputs"),
    ("/v1/messages", MESSAGES | {"inference_geo": "eu"}, "inference_geo: Extra inputs are not permitted"),
    ("/v1/messages", MESSAGES | {"mcp_servers": [{"url": "x"}]}, "A list of MCP servers"),
    ("/v1/messages", MESSAGES | {"unheard_of": 1}, "unheard_of: Extra inputs are not permitted"),
    ("/v1/chat/completions", CHAT | {"models": ["a", "b"]}, "Unrecognized request argument supplied: models"),
    (
        "/v1/chat/completions",
        CHAT | {"plugins": [{"id": "web"}]},
        "Unrecognized request argument supplied: plug",
    ),
    ("/v1/responses", RESPONSE | {"background": True, "stream": True}, "A response in the background"),
    ("/v1/responses", RESPONSE | {"prompt": {"id": "pmpt_1"}}, "A stored prompt"),
    ("/v1/responses", RESPONSE | {"multi_agent": {"enabled": True}}, "A team of agents"),
    ("/v1/responses", RESPONSE | {"plugins": [{"id": "web"}]}, "A plugin of OpenRouter's"),
    ("/v1/responses", RESPONSE | {"unheard_of": 1}, "Unknown parameter: 'unheard_of'"),
]


@pytest.mark.parametrize(("path", "body", "words"), REFUSED)
@pytest.mark.parametrize("shape", ["generic", "ollama"])
async def test_what_an_upstream_has_not_is_refused(
    shape: str, path: str, body: dict[str, Any], words: str
) -> None:
    async with MockUpstream(shape, models=["gpt-4o"]) as mock:
        async with serving(make_settings(providers={"plain": upstream(mock)})) as node:
            answer = await node.ask(post(body, BEARER, path=path))
        assert (answer.status, answer.json["error"]["type"]) == (400, "invalid_request_error")
        assert answer.json["error"]["message"].startswith(words)
        assert mock.calls == []


@pytest.mark.parametrize(
    ("shape", "path", "body"),
    [
        ("anthropic", "/v1/messages", MESSAGES | {"context_management": EDITS}),
        ("anthropic", "/v1/messages", MESSAGES | {"container": SKILLS}),
        ("openrouter", "/v1/chat/completions", CHAT | {"models": ["a"], "plugins": [{"id": "web"}]}),
    ],
)
async def test_what_an_upstream_has_is_kept(shape: str, path: str, body: dict[str, Any]) -> None:
    """Also where another upstream, which has it not, would be asked first."""
    async with (
        MockUpstream(shape, models=["gpt-4o"]) as mock,
        MockUpstream("generic", models=["gpt-4o"]) as other,
    ):
        targets = [{"provider": "other", "model": "gpt-4o"}, {"provider": "plain", "model": "gpt-4o"}]
        routes: Any = {"mine": {"targets": targets, "strategy": "priority"}}
        told = {"other": upstream(other), "plain": upstream(mock)}
        async with serving(make_settings(providers=told, routes=routes)) as node:
            answer = await node.ask(post(body | {"model": "plain/gpt-4o"}, BEARER, BETA, path=path))
            assert answer.status == 200, answer.body
            assert mock.calls[-1].json == body
            routed = await node.ask(post(body | {"model": "mine"}, BEARER, BETA, path=path))
            assert routed.status == 200, routed.body
            if "context_management" not in body:  # which needs no upstream that has it
                assert mock.calls[-1].json == body
                assert other.calls == []


@pytest.mark.parametrize("stream", [False, True])
async def test_edits_of_the_context_are_answered_honestly(stream: bool) -> None:
    """Claude Code asks for them in every request."""
    body = MESSAGES | {"context_management": EDITS, "stream": stream}
    async with MockUpstream("ollama", models=["gpt-4o"]) as mock:
        told = upstream(mock, speaks=("anthropic",))
        async with serving(make_settings(providers={"plain": told})) as node:
            answer = await node.ask(post(body, BEARER, path="/v1/messages"))
        assert answer.status == 200
        assert answer.body.count(b'"context_management":{"applied_edits":[]}') == 1
        assert mock.calls[-1].path == "/api/chat"


@pytest.mark.parametrize(
    ("path", "body", "names"),
    [
        ("/v1/messages", MESSAGES | {"speed": "fast", "diagnostics": {}}, "speed, diagnostics"),
        ("/v1/chat/completions", CHAT | {"prompt_cache_key": "k", "store": True}, "prompt_cache_key, store"),
        ("/v1/responses", RESPONSE | {"service_tier": "flex"}, "service_tier"),
    ],
)
async def test_what_was_left_out_is_told_on_request(path: str, body: dict[str, Any], names: str) -> None:
    async with MockUpstream("ollama", models=["gpt-4o"]) as mock:
        async with serving(make_settings(providers={"plain": upstream(mock)})) as node:
            silent = await node.ask(post(body, BEARER, path=path))
            told = await node.ask(post(body, BEARER, EXPLAIN, path=path))
        assert (silent.status, told.status) == (200, 200)
        assert "x-trunkline-left-out" not in silent.headers
        assert told.headers["x-trunkline-left-out"] == names
        assert not {*names.split(", ")} & {*mock.calls[-1].json}
