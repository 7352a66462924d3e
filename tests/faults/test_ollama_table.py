"""All faults of the mock upstream, for clients of Ollama's API: the same table as ``test_table.py``.

The last line of a stream has ``done`` only if the upstream ended its own answer. Otherwise it has an error,
or the answer is an error from the start. Afterwards no connection, task or file is left over.
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import msgspec
import pytest

from tests.faults.test_table import (
    COMPLETE,
    COMPLETE_UNSTREAMED,
    EITHER,
    FAULTS,
    HEAVY,
    WORDS,
    faulty,
    is_idle,
    open_files,
)
from tests.gateways import BEARER, GUARD, Answer, Running, make_settings, post, serving, until
from tests.gateways import upstream as section
from trunkline_mock import Fault, FaultKind, MockUpstream, Script

OLLAMA_EITHER = frozenset({"wrong_length"})
"""The last line was sent, but not all of the length that was announced: complete or an error."""
OLLAMA_COMPLETE = COMPLETE | {"missing_done_marker"}
"""Ollama has no end marker but its last line."""

OWN_TEST = frozenset({"bad_json", "bad_utf8"})
"""For an Ollama server these have a test of their own."""


class Case(NamedTuple):
    """One request."""

    kind: FaultKind
    path: str
    stream: bool


async def send(running: Running, case: Case) -> Answer:
    """Send the request of a case and read the whole answer."""
    body: dict[str, Any] = {"model": f"f-{case.kind}/gpt-4o", "stream": case.stream}
    if case.path == "/api/chat":
        body["messages"] = [{"role": "user", "content": "Hello!"}]
    else:
        body["prompt"] = "Hello!"
    wire = await running.connect()
    wire.send(post(body, BEARER, path=case.path))
    async with asyncio.timeout(GUARD):
        answer = await wire.answer()
    await wire.close()
    return answer


def expected(shape: str, case: Case) -> set[str]:
    """The results that are right: ``complete``, ``error``, or for some faults either."""
    either = OLLAMA_EITHER if shape == "ollama" else EITHER
    complete = OLLAMA_COMPLETE if shape == "ollama" else COMPLETE
    if case.kind == "bad_utf8":
        return {"complete", "error"}  # it is in a field that a translation may not read
    if case.stream and case.kind in either:
        return {"complete", "error"}
    return {"complete" if case.kind in (complete if case.stream else COMPLETE_UNSTREAMED) else "error"}


def classify(case: Case, answer: Answer) -> str:
    """``complete`` or ``error``. Fails if the answer is neither, or both."""
    assert answer.whole
    if answer.status != 200:
        assert list(answer.json) == ["error"]
        assert answer.json["error"]
        assert answer.status in (429, 500, 502)
        assert answer.headers["content-type"] == "application/json"
        return "error"
    if not case.stream:
        assert answer.json["done"] is True
        assert text_of(answer.json) == "".join(WORDS)
        return "complete"
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.body.endswith(b"\n")
    assert b"\n\n" not in answer.body
    *lines, last = map(msgspec.json.decode, answer.body[:-1].split(b"\n"))
    assert all(line["done"] is False and "error" not in line for line in lines)
    text = "".join(map(text_of, lines))
    if "error" in last:
        assert list(last) == ["error"]
        assert last["error"]
        assert "".join(WORDS).startswith(text)
        return "error"
    assert (last["done"], last["done_reason"]) == (True, "stop")
    assert text == "".join(WORDS) or case.kind == "huge"
    return "complete"


def text_of(line: dict[str, Any]) -> str:
    text: str = line["message"]["content"] if "message" in line else line["response"]
    return text


@pytest.mark.parametrize("shape", ["ollama", "openai", "openrouter"])
async def test_faults(shape: str, fast: bool) -> None:
    paths = ("/api/chat", "/api/generate")
    async with faulty(shape, fast=fast) as running:
        await send(running, Case("gzip", paths[0], stream=True))  # opens the files that stay open
    tasks, files = asyncio.all_tasks(), open_files()
    async with faulty(shape, fast=fast) as running:
        cases = [Case(kind, path, stream) for kind in FAULTS for path in paths for stream in (True, False)]
        light = [case for case in cases if case.kind not in HEAVY]
        gathered = await asyncio.gather(*(send(running, case) for case in light))
        answers = dict(zip(light, gathered, strict=True))
        for case in cases:
            if case.kind in HEAVY:
                answers[case] = await send(running, case)
        results = {
            case: classify(case, answer)
            for case, answer in answers.items()
            if not (shape == "ollama" and case.kind in OWN_TEST)
        }
        wrong = {
            case: (result, answers[case])
            for case, result in results.items()
            if result not in expected(shape, case)
        }
        assert not wrong
        await until(lambda: is_idle(running))
    await until(lambda: asyncio.all_tasks() == tasks)
    await until(lambda: open_files() <= files)


@pytest.mark.parametrize("kind", ["bad_json", "bad_utf8"])
@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
async def test_a_line_that_no_client_can_read_is_an_error(kind: FaultKind, path: str, fast: bool) -> None:
    """The line is a read of its own, after other lines."""
    script = Script(text=WORDS, delay_chunk_s=0.03, fault=Fault(kind, after=2))
    async with MockUpstream("ollama", script, any_model=True) as mock:
        settings = make_settings(providers={f"f-{kind}": section(mock)})
        async with serving(settings, fast=fast) as running:
            case = Case(kind, path, stream=True)
            assert classify(case, await send(running, case)) == "error"
