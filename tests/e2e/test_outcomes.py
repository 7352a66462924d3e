"""How answers end, as log, metrics, ledger, usage and traces tell it: one table, over all dialects."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.collector import Collector, collecting
from tests.gateways import BEARER, GUARD, Running, chat, get, make_settings, post, serving, until, upstream
from trunkline.ledger.store import Store
from trunkline.ledger.usage import list_usage_rows, sum_usage
from trunkline.ledger.writer import Ledger
from trunkline.settings.sections import BudgetRule, Price, Route, Target
from trunkline_mock import Fault, FaultKind, MockUpstream, Script

TIMEOUT: Final = 0.5
"""Seconds for which an upstream may be silent."""
PROMPT: Final = "word " * 200
WORDS: Final = ("one ", "two ", "three ", "four")


class Way(NamedTuple):
    """One way in which an answer ends, and what is to be told of it."""

    fault: Fault | None
    outcome: str
    level: str = "error"
    status: int = 200
    stream: bool = True
    leaves: bool = False
    """The client disconnects after the first piece, or, where none comes, once the upstream was asked."""
    estimated: bool = False
    """The prompt is charged as estimated."""


def after(kind: FaultKind, **more: Any) -> Fault:
    """A fault after some pieces of the answer were sent."""
    return Fault(kind, after=2, **more)


WAYS: Final[Mapping[str, Way]] = {
    "complete": Way(None, "success", "info"),
    "whole": Way(None, "success", "info", stream=False),
    "reset": Way(after("reset_after"), "upstream"),
    "truncated": Way(after("close_after"), "upstream"),
    "endless": Way(after("no_done"), "upstream"),
    "error-event": Way(after("error_midstream"), "upstream"),
    "half-record": Way(after("cut_line"), "upstream"),
    "malformed": Way(after("bad_json"), "upstream"),
    "silent-within": Way(after("stall_after"), "upstream", estimated=True),
    "silent": Way(Fault("stall_before"), "upstream", status=502, estimated=True),
    "silent-whole": Way(Fault("stall_before"), "upstream", status=502, stream=False, estimated=True),
    "half-whole": Way(after("reset_after"), "upstream", status=502, stream=False),
    "failed": Way(Fault("html_error"), "upstream", status=502),
    "busy": Way(Fault("status", status=429), "upstream", "warning", 429),
    "refused": Way(Fault("status", status=400), "refused", "warning", 400),
    "left": Way(after("stall_after"), "client", "warning", 499, leaves=True, estimated=True),
    "left-early": Way(Fault("stall_before"), "client", "warning", 499, leaves=True, estimated=True),
}

FRONTS: Final[Mapping[str, tuple[str, dict[str, Any]]]] = {
    "openai": ("/v1/chat/completions", {"messages": [{"role": "user", "content": PROMPT}]}),
    "responses": ("/v1/responses", {"input": PROMPT}),
    "anthropic": ("/v1/messages", {"max_tokens": 100, "messages": [{"role": "user", "content": PROMPT}]}),
    "ollama": ("/api/chat", {"messages": [{"role": "user", "content": PROMPT}]}),
}


class Told(NamedTuple):
    """What is told of one request, each part by another place."""

    log: tuple[str, str, int]
    """Outcome, level and status."""
    metrics: dict[tuple[str, str], float]
    """The number of requests by outcome and status."""
    ledger: tuple[str, int]
    """Outcome and status."""
    failures: int
    """As usage counts them."""
    span: tuple[str, bool]
    """Outcome, and whether the span failed."""


def expected(way: Way) -> Told:
    return Told(
        (way.outcome, way.level, way.status),
        {(way.outcome, str(way.status)): 1.0},
        (way.outcome, way.status),
        int(way.outcome != "success"),
        (way.outcome, way.outcome in ("upstream", "gateway")),
    )


async def send(running: Running, mock: MockUpstream, front: str, name: str) -> None:
    """Send one request and read its answer to the end, or leave as the way says."""
    way, (path, fields) = WAYS[name], FRONTS[front]
    body = {"model": f"p-{name}/{name}", "stream": way.stream, **fields}
    wire = await running.connect()
    wire.send(post(body, BEARER, f"X-Request-Id: {name}\r\n".encode(), path=path))
    if not way.leaves:
        async with asyncio.timeout(GUARD):
            await wire.answer()
    elif way.fault is not None and way.fault.kind == "stall_before":
        await mock.until(lambda: any((call.json or {}).get("model") == name for call in mock.calls))
    else:
        await wire.head()
        await wire.piece()
    await wire.close()


async def metrics_of(running: Running) -> tuple[dict[str, dict[tuple[str, str], float]], float]:
    """The requests of each provider by outcome and status, and the tokens that are spent of the budget."""
    answer = await running.ask(get("/metrics", BEARER))
    requests: dict[str, dict[tuple[str, str], float]] = {}
    spent = 0.0
    for family in text_string_to_metric_families(answer.body.decode()):
        for sample in family.samples:
            labels = sample.labels
            if sample.name == "trunkline_requests_total":
                ends = requests.setdefault(labels["provider"], {})
                ends[labels["outcome"], labels["status"]] = sample.value
            if sample.name == "trunkline_budget_spent":
                spent = sample.value
    return requests, spent


def log_lines(text: str) -> dict[str, dict[str, Any]]:
    """The lines of requests, by the requests' ids."""
    lines = [msgspec.json.decode(line) for line in text.splitlines() if line.startswith("{")]
    return {line["request_id"]: line for line in lines if line["event"] == "request"}


def spans_of(collector: Collector) -> dict[str, tuple[str, bool]]:
    return {
        each.attributes["trunkline.request_id"]: (each.attributes["trunkline.outcome"], each.failed)
        for each in collector.spans("SERVER")
    }


@pytest.mark.parametrize(
    ("front", "back"),
    [
        ("openai", "openai"),
        ("openai", "ollama"),
        ("responses", "openai"),
        ("responses", "anthropic"),
        ("anthropic", "anthropic"),
        ("anthropic", "openai"),
        ("ollama", "ollama"),
        ("ollama", "anthropic"),
    ],
)
async def test_all_tell_the_same_of_each_end(
    front: str, back: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    with collecting() as collector:
        async with MockUpstream(back, any_model=True, record=100) as mock:
            for name, way in WAYS.items():
                mock.on(Script(text=WORDS, fault=way.fault), model=name)
            settings = make_settings(
                providers={f"p-{name}": upstream(mock, models=(name,)) for name in WAYS},
                prices={"*": Price(input=1, output=1)},
                budgets=(BudgetRule(tokens=10**9),),
                request_timeout_s=TIMEOUT,
                ollama_timeout=TIMEOUT,
                ollama_load_timeout=TIMEOUT,
                otel_endpoint=collector.url,
            )
            async with serving(settings, ledger=Ledger(url, tmp_path / "ledger")) as running:
                await asyncio.gather(*(send(running, mock, front, name) for name in WAYS))
                await until(lambda: not running.gateway.pipeline.active)
                running.gateway.recorder.flush()
                requests, spent = await metrics_of(running)
    lines, spans = log_lines(capfd.readouterr().err), spans_of(collector)
    store = Store(url)
    rows = {row["request_id"]: row for row in list_usage_rows(store)}
    failures = {row["provider"]: row["failures"] for row in sum_usage(store, by=["provider"])}
    store.close()
    told = {
        name: Told(
            (lines[name]["outcome"], lines[name]["level"], lines[name]["status"]),
            requests[f"p-{name}"],
            (rows[name]["outcome"], rows[name]["status"]),
            failures[f"p-{name}"],
            spans[name],
        )
        for name in WAYS
    }
    assert told == {name: expected(way) for name, way in WAYS.items()}
    for name, way in WAYS.items():
        assert ("code" in lines[name], bool(rows[name]["error"])) == (way.outcome != "success",) * 2, name
        if way.estimated:  # what was sent to an upstream is paid for, though it gave no account
            assert rows[name]["prompt_tokens"] >= 200, name
            assert rows[name]["cost_micros"] >= rows[name]["prompt_tokens"], name
    assert spent == sum(row["prompt_tokens"] + row["completion_tokens"] for row in rows.values())


async def test_a_timed_out_attempt_is_paid_for_though_another_one_answers(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    targets = (Target(provider="slow", model="m"), Target(provider="good", model="m", priority=1))
    async with (
        MockUpstream("openai", Script(fault=Fault("stall_before")), any_model=True) as slow,
        MockUpstream("openai", Script(text=WORDS), any_model=True) as good,
    ):
        settings = make_settings(
            providers={"slow": upstream(slow, models=("m",)), "good": upstream(good, models=("m",))},
            prices={"slow/*": Price(input=1, output=1), "good/*": Price(input=0, output=0)},
            routes={"both": Route(targets=targets)},
            budgets=(BudgetRule(provider="slow", tokens=10**9),),
            request_timeout_s=TIMEOUT,
        )
        async with serving(settings, ledger=Ledger(url, tmp_path / "ledger")) as running:
            body = {"model": "both", **FRONTS["openai"][1]}
            assert (await running.ask(post(body, BEARER))).status == 200
            running.gateway.recorder.flush()
            _, spent = await metrics_of(running)
            text = (await running.ask(get("/metrics", BEARER))).body.decode()
    store = Store(url)
    last, first = list_usage_rows(store)
    (total,) = sum_usage(store)
    store.close()
    assert [(row["provider"], row["outcome"]) for row in (first, last)] == [
        ("slow", "upstream"),
        ("good", "success"),
    ]
    assert (first["estimated"], first["completion_tokens"], first["error"]) == (True, 0, "upstream_timeout")
    assert first["cost_micros"] == first["prompt_tokens"] == spent >= 200
    assert (total["requests"], total["failures"], total["attempts"]) == (1, 0, 2)
    cost = f'trunkline_cost_usd_total{{operation="chat",provider="slow"}} {first["cost_micros"] / 1e6}'
    assert cost in text.splitlines()


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_that_the_gateway_breaks_off(
    stream: bool, fast: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It stops: the client is told so, and so is everybody else."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    async with MockUpstream("openai", Script(text=WORDS, fault=after("stall_after"))) as mock:
        settings = make_settings(providers={"up": upstream(mock)}, prices={"*": Price(input=1, output=1)})
        async with serving(settings, fast=fast, ledger=Ledger(url, tmp_path / "ledger")) as running:
            wire = await running.connect()
            wire.send(post(chat("gpt-4o", PROMPT, stream=stream), BEARER))
            if stream:
                await wire.head()
                await wire.piece()
            else:
                await mock.until(lambda: bool(mock.calls))
            await running.gateway.aclose()
            said = b""
            if not stream:
                said = (await wire.answer()).body
            while stream and (piece := await wire.piece()):
                said += piece
    assert b'"code":"shutting_down"' in said
    (line,) = log_lines(capfd.readouterr().err).values()
    store = Store(url)
    (row,) = list_usage_rows(store)
    (total,) = sum_usage(store)
    store.close()
    status = 200 if stream else 503
    assert (line["outcome"], line["level"], line["status"]) == ("gateway", "error", status)
    assert (row["outcome"], row["status"], row["error"]) == ("gateway", status, "shutting_down")
    assert total["failures"] == 1
    assert row["prompt_tokens"] >= 200  # the upstream was at work
