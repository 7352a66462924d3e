"""All faults of the mock upstream, in every vendor's API: the answer to the client, and what is left over.

Whatever an upstream does, a client gets an error in OpenAI's form, or a complete answer if the upstream did
send one. Afterwards no connection, task or file is left over. Time is not measured: a gateway whose
timeouts do not fire keeps a client waiting until the guard ends the test.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, NamedTuple

import pytest

from tests.gateways import BEARER, GUARD, Answer, Running, chat, events, make_settings, post, serving, until
from tests.gateways import upstream as section
from trunkline.providers.http import HttpProvider
from trunkline_mock import FAULT_KINDS, Fault, FaultKind, MockUpstream, Script

TIMEOUT: Final = 0.8
"""Seconds for which an upstream may be silent."""
WORDS: Final = ("one ", "two ", "three ", "four")
MEGABYTE: Final = 1024 * 1024

FAULTS: Final = {kind: Fault(kind) for kind in FAULT_KINDS} | {
    "huge": Fault("huge", size=3 * MEGABYTE),
    "long_record": Fault("long_record", size=20 * MEGABYTE),
    "trickle": Fault("trickle", delay_s=0.0005),
}
HEAVY: Final = ("huge", "long_record", "big_head", "trickle", "split_every_byte")
"""Faults that keep the processor busy. They run one after another, because others would time out
meanwhile."""

COMPLETE: Final = frozenset(
    {"early_hints", "http_1_0", "gzip", "extra_bytes", "huge", "trickle", "split_every_byte"}
)
"""The upstream sends a complete answer, in an unusual way."""
COMPLETE_UNSTREAMED: Final = COMPLETE | {"no_done", "missing_done_marker"}
"""The same without streaming; it includes the faults that only streams have."""
EITHER: Final = frozenset({"missing_done_marker", "wrong_length", "short_length"})
"""Streams that break off after all of the answer, or nearly all: complete or an error, by the vendor's
API."""


class Case(NamedTuple):
    """One request."""

    kind: FaultKind
    stream: bool


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


async def send(running: Running, case: Case) -> Answer:
    """Send the request of a case and read the whole answer."""
    body = chat(f"f-{case.kind}/gpt-4o", stream=case.stream)
    wire = await running.connect()
    wire.send(post(body, BEARER))
    async with asyncio.timeout(GUARD):
        answer = await wire.answer()
    await wire.close()
    return answer


def classify(case: Case, answer: Answer) -> str:
    """``complete`` or ``error``. Fails if the answer is neither, or both."""
    assert answer.whole
    if answer.status != 200:
        assert answer.error["message"]
        assert answer.status in (429, 500, 502)
        assert answer.headers["content-type"] == "application/json"
        return "error"
    if not case.stream:
        choice = answer.json["choices"][0]
        assert choice["finish_reason"] == "stop"
        assert choice["message"]["content"] == "".join(WORDS)
        return "complete"
    chunks = events(answer.body)
    done = chunks[-1] == "[DONE]"
    chunks = [chunk for chunk in chunks if chunk != "[DONE]"]
    errors = [chunk for chunk in chunks if "error" in chunk]
    text, reasons = read(chunks)
    if errors:
        assert chunks[-1:] == errors
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


def read(chunks: list[Any]) -> tuple[str, list[str]]:
    """The text and the finish reasons of a stream."""
    choices = [choice for chunk in chunks for choice in chunk.get("choices", ())]
    text = "".join(choice["delta"].get("content") or "" for choice in choices)
    return text, [choice["finish_reason"] for choice in choices if choice["finish_reason"]]


def open_files() -> int:
    """The number of file descriptors of this process."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


@pytest.mark.parametrize("shape", ["openai", "openrouter", "cerebras", "ollama"])
async def test_faults(shape: str, fast: bool) -> None:
    async with faulty(shape, fast=fast) as running:
        await send(running, Case("gzip", stream=True))  # opens the files that stay open
    tasks, files = asyncio.all_tasks(), open_files()
    async with faulty(shape, fast=fast) as running:
        cases = [Case(kind, stream) for kind in FAULTS for stream in (True, False)]
        light = [case for case in cases if case.kind not in HEAVY]
        gathered = await asyncio.gather(*(send(running, case) for case in light))
        answers = dict(zip(light, gathered, strict=True))
        for case in cases:
            if case.kind in HEAVY:
                answers[case] = await send(running, case)
        results = {case: classify(case, answer) for case, answer in answers.items()}
        wrong = {
            case: (result, answers[case])
            for case, result in results.items()
            if not (case.stream and case.kind in EITHER)
            and not (shape == "ollama" and case.kind == "bad_utf8")  # in a field that is not read
            and result
            != ("complete" if case.kind in (COMPLETE if case.stream else COMPLETE_UNSTREAMED) else "error")
        }
        assert not wrong
        await until(lambda: is_idle(running))
    await until(lambda: asyncio.all_tasks() == tasks)
    await until(lambda: open_files() <= files)


def is_idle(running: Running) -> bool:
    """Whether there is no call, no request in flight, and no connection that is neither idle nor closed."""
    providers = [p for p in running.gateway.providers.values() if isinstance(p, HttpProvider)]
    stats = [provider.client.stats for provider in providers]
    return not running.gateway.pipeline.active and all(
        not each.in_flight and not each.waiting and each.open == each.idle for each in stats
    )
