"""Spans of requests, as a collector gets them, and the place in a trace that upstreams are told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import SecretStr

from tests.collector import Collector, Seen, collecting
from tests.gateways import (
    BEARER,
    KEY,
    Running,
    chat,
    make_settings,
    post,
    serving,
    until,
    upstream,
)
from trunkline.errors import redact
from trunkline.policy.auth import configured_id
from trunkline.settings.sections import CacheRule, Price, Route, Target
from trunkline_mock import Fault, MockUpstream, Script, Usage

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
CALLERS = f"00-{TRACE}-{PARENT}-01"
PLANTED = "a-patients-name"
SECRET = "sk-upstream-secret"
MISPLACED = "gw_" + "w" * 43
FAILS = Script(fault=Fault("status", status=500, message=f"{PLANTED} {SECRET}"))


def traceparent(value: str) -> bytes:
    return f"traceparent: {value}\r\n".encode()


def handed_on(mock: MockUpstream) -> list[str | None]:
    """The ``traceparent`` of each request that reached the mock's models."""
    return [call.headers.get("traceparent") for call in mock.calls if call.inference]


@asynccontextmanager
async def traced(collector: Collector, mock: MockUpstream, **changes: Any) -> AsyncIterator[Running]:
    """A gateway whose traces are on."""
    changes = {"providers": {"vllm": upstream(mock)}, "otel_endpoint": collector.url, **changes}
    async with serving(make_settings(**changes)) as running:
        yield running


def family(collector: Collector) -> tuple[Seen, list[Seen]]:
    """The one request's span and its attempts', each below it and within its time."""
    [request] = collector.spans("SERVER")
    attempts = collector.spans("CLIENT")
    for attempt in attempts:
        assert (attempt.trace_id, attempt.parent) == (request.trace_id, request.span_id)
        assert not attempt.remote_parent
        assert request.began <= attempt.began <= attempt.ended <= request.ended
    assert [attempt.attributes["trunkline.attempt"] for attempt in attempts] == [*range(1, len(attempts) + 1)]
    return request, attempts


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_request_and_its_attempt(stream: bool, fast: bool) -> None:
    script = Script(text="fine", usage=Usage(prompt=7, completion=3, cached=2))
    with collecting() as collector:
        async with MockUpstream("openai", script) as mock:
            prices = {"vllm/*": Price(input=1.0, output=2.0)}
            settings = make_settings(
                providers={"vllm": upstream(mock)}, otel_endpoint=collector.url, prices=prices
            )
            async with serving(settings, fast=fast) as running:
                body = chat("gpt-4o", stream=stream, max_tokens=50)
                answer = await running.ask(post(body, BEARER, traceparent(CALLERS)))
    assert answer.status == 200
    request, [attempt] = family(collector)
    assert handed_on(mock) == [f"00-{TRACE}-{attempt.span_id}-01"]
    assert (request.trace_id, request.parent, request.remote_parent) == (TRACE, PARENT, True)
    assert (request.name, request.failed, attempt.name, attempt.failed) == (
        *("chat gpt-4o", False),
        *("chat gpt-4o", False),
    )
    first = request.attributes.pop("gen_ai.response.time_to_first_chunk", None)
    assert (first is not None) == stream
    shared = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.cache_read.input_tokens": 2,
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 3,
        "gen_ai.usage.reasoning.output_tokens": 0,
        "trunkline.cost_micros": 13,
        "trunkline.cost_source": "config",
        "trunkline.provider": "vllm",
        "trunkline.upstream": f"127.0.0.1:{mock.port}",
    }
    assert request.attributes == {
        **shared,
        "gen_ai.request.max_tokens": 50,
        "gen_ai.request.stream": stream,
        "gen_ai.response.model": "gpt-4o",
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "url.path": "/v1/chat/completions",
        "trunkline.dialect": "openai",
        "trunkline.outcome": "success",
        "trunkline.key.id": configured_id(KEY),
        "trunkline.request_id": answer.headers["x-request-id"],
        "trunkline.retries": 0,
    }
    assert attempt.attributes == {
        **shared,
        "server.address": "127.0.0.1",
        "server.port": mock.port,
        "trunkline.attempt": 1,
    }


async def test_a_failed_attempt_stands_beside_the_one_that_answered() -> None:
    targets = (Target(provider="bad", model="gpt-4o"), Target(provider="good", model="gpt-4o", priority=1))
    with collecting() as collector:
        async with MockUpstream("openai", FAILS) as bad, MockUpstream("openai", Script(text="fine")) as good:
            providers = {"bad": upstream(bad), "good": upstream(good, type="openai-compatible")}
            async with traced(
                collector, good, providers=providers, routes={"smart": Route(targets=targets)}
            ) as running:
                answer = await running.ask(post(chat("smart"), BEARER))
    assert answer.status == 200
    request, attempts = family(collector)
    assert handed_on(bad) + handed_on(good) == [
        f"00-{request.trace_id}-{attempt.span_id}-01" for attempt in attempts
    ]
    assert (request.parent, request.name, request.failed) == ("", "chat smart", False)
    assert (request.attributes["trunkline.route"], request.attributes["trunkline.retries"]) == ("smart", 1)
    assert "error.type" not in request.attributes
    assert [
        (
            each.attributes["gen_ai.provider.name"],
            each.attributes["server.port"],
            each.failed,
            each.attributes.get("error.type"),
        )
        for each in attempts
    ] == [("openai", bad.port, True, "upstream_error"), ("good", good.port, False, None)]


@pytest.mark.parametrize(
    ("body", "name", "status", "code"),
    [
        (chat("nobody-has-it"), "chat nobody-has-it", 404, "model_not_found"),
        (chat(MISPLACED), f"chat {redact(MISPLACED)}", 404, "model_not_found"),
        (b"{", "chat", 400, "invalid_json"),
    ],
    ids=["no such model", "a key for a model", "no JSON"],
)
async def test_a_request_that_reaches_nobody(
    body: bytes | dict[str, Any], name: str, status: int, code: str
) -> None:
    with collecting() as collector:
        async with MockUpstream("openai") as mock, traced(collector, mock) as running:
            assert (await running.ask(post(body, BEARER))).status == status
    request, attempts = family(collector)
    assert attempts == []
    assert MISPLACED.encode() not in collector.raw
    assert (request.name, request.failed) == (name, False)
    assert (request.attributes["http.response.status_code"], request.attributes["error.type"]) == (
        status,
        code,
    )


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (Fault("status", status=503), 502, "upstream_error"),
        (Fault("status", status=401), 502, "upstream_auth"),
        (Fault("close_after", after=1), 200, "upstream_truncated"),
    ],
    ids=["an error", "our key", "cut off"],
)
async def test_a_request_that_fails_upstream(fault: Fault, status: int, code: str) -> None:
    with collecting() as collector:
        async with (
            MockUpstream("openai", Script(text=("a", "b"), fault=fault)) as mock,
            traced(collector, mock) as running,
        ):
            assert (await running.ask(post(chat("gpt-4o", stream=True), BEARER))).status == status
    request, [attempt] = family(collector)
    assert request.attributes["http.response.status_code"] == status
    assert (request.failed, request.attributes["error.type"]) == (True, code)
    assert (attempt.failed, attempt.attributes["error.type"]) == (True, code)


async def test_a_client_that_leaves() -> None:
    with collecting() as collector:
        async with (
            MockUpstream("openai", Script(fault=Fault("stall_before"))) as mock,
            traced(collector, mock) as running,
        ):
            wire = await running.connect()
            wire.send(post(chat("gpt-4o"), BEARER))
            await mock.until(lambda: bool(mock.calls))
            await wire.close()
            await until(lambda: not running.gateway.pipeline.active)
    request, [attempt] = family(collector)
    assert (request.attributes["http.response.status_code"], request.failed) == (499, False)
    assert (attempt.attributes["error.type"], attempt.failed) == ("client_closed_request", False)


async def test_an_answer_from_the_cache_has_no_attempt() -> None:
    with collecting() as collector:
        async with (
            MockUpstream("openai", Script(text="fine")) as mock,
            traced(collector, mock, cache=CacheRule(enabled=True)) as running,
        ):
            for _ in range(2):
                await running.ask(post(chat("gpt-4o"), BEARER))
    asked, kept = collector.spans("SERVER")
    assert [each.parent for each in collector.spans("CLIENT")] == [asked.span_id]
    assert [each.attributes["trunkline.cache"] for each in (asked, kept)] == ["miss", "hit"]
    assert kept.attributes["trunkline.provider"] == "vllm"
    assert kept.attributes["trunkline.cost_micros"] == 0
    assert "gen_ai.usage.input_tokens" not in kept.attributes


async def test_other_operations_by_the_names_that_conventions_have() -> None:
    asked: dict[str, tuple[str, dict[str, Any]]] = {
        "/v1/embeddings": ("embeddings", {"model": "gpt-4o", "input": "x"}),
        "/v1/completions": ("text_completion", {"model": "gpt-4o", "prompt": "x"}),
        "/api/generate": ("chat", {"model": "gpt-4o", "prompt": "x", "stream": False}),
    }
    with collecting() as collector:
        async with MockUpstream("openai") as mock, traced(collector, mock) as running:
            for path, (_, body) in asked.items():
                await running.ask(post(body, BEARER, path=path))
    assert {
        each.attributes["url.path"]: each.attributes["gen_ai.operation.name"]
        for each in collector.spans("SERVER")
    } == {path: name for path, (name, _) in asked.items()}


@pytest.mark.parametrize("flags", ["00", "01"])
async def test_switched_off_the_callers_header_goes_on_as_it_is(flags: str, fast: bool) -> None:
    sent = f"00-{TRACE}-{PARENT}-{flags}"
    async with (
        MockUpstream("openai") as mock,
        serving(make_settings(providers={"vllm": upstream(mock)}), fast=fast) as running,
    ):
        for line in (traceparent(sent), b"", traceparent("nonsense")):
            assert (await running.ask(post(chat("gpt-4o"), BEARER, line))).status == 200
    assert handed_on(mock) == [sent, None, None]


async def test_a_caller_that_does_not_record_is_followed() -> None:
    sent = f"00-{TRACE}-{PARENT}-00"
    with collecting() as collector:
        async with MockUpstream("openai") as mock, traced(collector, mock) as running:
            assert (await running.ask(post(chat("gpt-4o"), BEARER, traceparent(sent)))).status == 200
    assert handed_on(mock) == [sent]
    assert collector.bodies == []


async def test_a_collector_that_is_away_fails_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trunkline.observe.traces.FLUSH_S", 0.05)
    with collecting() as collector:
        pass
    async with MockUpstream("openai") as mock, traced(collector, mock) as running:
        assert (await running.ask(post(chat("gpt-4o"), BEARER))).status == 200


async def test_nothing_planted_is_in_a_span(fast: bool) -> None:
    """Prompts, answers, keys and what upstreams say of them."""
    planted = [PLANTED, KEY, SECRET]
    with collecting() as collector:
        async with MockUpstream("openai", Script(text=PLANTED)) as mock:
            settings = make_settings(
                providers={"vllm": upstream(mock, api_key=(SecretStr(SECRET),))},
                otel_endpoint=collector.url,
                allow_key_in_path=True,
            )
            async with serving(settings, fast=fast) as running:
                for script in (mock.script, FAILS):
                    mock.script = script
                    for stream in (False, True):
                        body = chat("gpt-4o", PLANTED, stream=stream, user=PLANTED)
                        await running.ask(post(body, BEARER, b"x-openwebui-user-email: a-patients-name\r\n"))
                        await running.ask(post(body, path=f"/key/{KEY}/v1/chat/completions"))
                await running.ask(post(chat(KEY, PLANTED), BEARER))
    assert len(collector.spans("SERVER")) == 9
    assert [each for each in planted if each.encode() in collector.raw] == []
