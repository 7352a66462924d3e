"""Every way in which the mock misbehaves, in every vendor's shape: what a client is told, and what is left.

Whatever an upstream does, a client gets an error in OpenAI's shape within the timeout and a second, or a
complete answer where the upstream did send one. Afterwards nothing is left over.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, NamedTuple

import pytest

from tests.gateways import BEARER, GUARD, Answer, Running, chat, events, make_settings, post, serving, until
from tests.gateways import upstream as section
from trunkline.providers.http import HttpProvider
from trunkline_mock import FAULT_KINDS, Fault, FaultKind, MockUpstream, Script

TIMEOUT: Final = 0.8
TICK: Final = 0.01
"""Seconds of silence that are allowed."""
WORDS: Final = ("one ", "two ", "three ", "four")
MEGABYTE: Final = 1024 * 1024

FAULTS: Final = {kind: Fault(kind) for kind in FAULT_KINDS} | {
    "huge": Fault("huge", size=3 * MEGABYTE),
    "long_record": Fault("long_record", size=20 * MEGABYTE),
    "trickle": Fault("trickle", delay_s=0.0005),
}
HEAVY: Final = ("huge", "long_record", "big_head", "trickle", "split_every_byte")
"""Work for the processor, which would make the others late."""

COMPLETE: Final = frozenset(
    {"early_hints", "http_1_0", "gzip", "extra_bytes", "huge", "trickle", "split_every_byte"}
)
"""The upstream does send a complete answer, oddly."""
COMPLETE_WHOLE: Final = COMPLETE | {"no_done", "missing_done_marker"}
"""What only streams suffer from."""
EITHER: Final = frozenset({"missing_done_marker", "wrong_length", "short_length"})
"""In a stream: all was said before it went wrong, or nearly all; that depends on the vendor's form."""


class Case(NamedTuple):
    """One request."""

    kind: FaultKind
    stream: bool


class Outcome(NamedTuple):
    """What the client was told."""

    answer: Answer
    seconds: float


@asynccontextmanager
async def faulty(shape: str, *, fast: bool) -> AsyncIterator[Running]:
    """A gateway with a provider for each fault, called ``f-<kind>``."""
    async with AsyncExitStack() as stack:
        providers = {}
        for kind, fault in FAULTS.items():
            script = Script(text=WORDS, fault=fault)
            mock = await stack.enter_async_context(MockUpstream(shape, script, any_model=True, record=4))
            providers[f"f-{kind}"] = section(mock)
        settings = make_settings(
            providers=providers, request_timeout_s=TIMEOUT, ollama_timeout=TIMEOUT, enable_fallback=False
        )
        yield await stack.enter_async_context(serving(settings, fast=fast))


async def ask(running: Running, case: Case) -> Outcome:
    began = time.monotonic()
    body = chat(f"f-{case.kind}/gpt-4o", stream=case.stream)
    wire = await running.connect()
    wire.send(post(body, BEARER))
    async with asyncio.timeout(GUARD):
        answer = await wire.answer()
    await wire.close()
    return Outcome(answer, time.monotonic() - began)


def judge(case: Case, answer: Answer) -> str:
    """``complete`` or ``error``; fails if it is neither, or both."""
    assert answer.whole
    if answer.status != 200:
        assert answer.error["message"]
        assert answer.status in (429, 502)
        assert answer.headers["content-type"] == "application/json"
        return "error"
    if not case.stream:
        choice = answer.json["choices"][0]
        assert choice["finish_reason"] == "stop"
        assert choice["message"]["content"] == "".join(WORDS)
        return "complete"
    said = events(answer.body)
    done = said[-1] == "[DONE]"
    said = [event for event in said if event != "[DONE]"]
    errors = [event for event in said if "error" in event]
    text, reasons = read(said)
    if errors:
        assert said[-1:] == errors
        assert not done
        assert not reasons
        assert set(errors[0]) == {"error"}
        assert set(errors[0]["error"]) == {"message", "type", "param", "code"}
        assert "".join(WORDS).startswith(text)
        return "error"
    assert reasons == ["stop"]
    assert text == "".join(WORDS) or case.kind == "huge"
    assert done or case.kind in EITHER
    return "complete"


def read(said: list[Any]) -> tuple[str, list[str]]:
    """The text and the finish reasons of a stream."""
    choices = [choice for event in said for choice in event.get("choices", ())]
    text = "".join(choice["delta"].get("content") or "" for choice in choices)
    return text, [choice["finish_reason"] for choice in choices if choice["finish_reason"]]


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


@asynccontextmanager
async def watching() -> AsyncIterator[list[float]]:
    """The seconds by which this loop, in which the gateway runs too, is late meanwhile: not its fault."""
    held_up = [0.0]

    async def watch() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(TICK)
            held_up[0] += time.monotonic() - before - TICK

    task = asyncio.get_running_loop().create_task(watch())
    try:
        yield held_up
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("shape", ["openai", "openrouter", "cerebras", "ollama"])
async def test_faults(shape: str, fast: bool) -> None:
    async with faulty(shape, fast=fast) as running:
        await ask(running, Case("gzip", stream=True))  # what is opened once stays open
    tasks, files = asyncio.all_tasks(), descriptors()
    async with faulty(shape, fast=fast) as running:
        cases = [Case(kind, stream) for kind in FAULTS for stream in (True, False)]
        light = [case for case in cases if case.kind not in HEAVY]
        async with watching() as held_up:
            answers = await asyncio.gather(*(ask(running, case) for case in light))
        outcomes = dict(zip(light, answers, strict=True))
        allowed = TIMEOUT + 1 + held_up[0]
        late = {case: outcome.seconds for case, outcome in outcomes.items() if outcome.seconds > allowed}
        assert not late
        for case in cases:
            if case.kind in HEAVY:
                outcomes[case] = await ask(running, case)
        found = {case: judge(case, outcome.answer) for case, outcome in outcomes.items()}
        wrong = {
            case: (verdict, outcomes[case].answer)
            for case, verdict in found.items()
            if not (case.stream and case.kind in EITHER)
            and not (shape == "ollama" and case.kind == "bad_utf8")  # in a field that is not used
            and verdict
            != ("complete" if case.kind in (COMPLETE if case.stream else COMPLETE_WHOLE) else "error")
        }
        assert not wrong
        await until(lambda: is_at_rest(running))
    await until(lambda: asyncio.all_tasks() == tasks)
    await until(lambda: descriptors() <= files)


def is_at_rest(running: Running) -> bool:
    """Nothing is under way: no call, no flight, no connection that is neither idle nor closed."""
    providers = [p for p in running.gateway.providers.values() if isinstance(p, HttpProvider)]
    stats = [provider.client.stats for provider in providers]
    return not running.gateway.pipeline.active and all(
        not each.in_flight and not each.waiting and each.open == each.idle for each in stats
    )
