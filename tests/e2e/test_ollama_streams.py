"""Streams of lines, byte by byte: what upstreams send in whatever pieces, and what clients get of it.

A client gets whole lines in every chunk and never a blank one; from an Ollama server, the very bytes; and a
last line that says ``done`` only if the upstream said so. Of a request, only the model's name changes.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
import pytest

from tests.e2e.chats import HELLO, SHAPES, name
from tests.e2e.conftest import KEY, World
from tests.gateways import Wire, events, post
from trunkline_mock import Fault

BEARER = f"Authorization: Bearer {KEY}\r\n".encode()
MEGABYTE = 1024 * 1024
WORDS = ("one ", "two ", "three")


class Got(NamedTuple):
    """An answer, chunk by chunk."""

    status: int
    headers: dict[str, str]
    chunks: list[bytes]

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    @property
    def lines(self) -> list[Any]:
        """The lines, decoded. Every chunk holds whole ones, and none is blank."""
        assert self.status == 200, self.body
        assert self.headers["content-type"] == "application/x-ndjson"
        for chunk in self.chunks:
            assert chunk.endswith(b"\n"), chunk
            assert all(line.strip() for line in chunk[:-1].split(b"\n")), chunk
        return [json.loads(line) for line in self.body.splitlines()]


async def ask(world: World, path: str, body: bytes | dict[str, Any]) -> Got:
    """An answer on a connection of its own; it must end as its framing says."""
    at = urlsplit(world.url)
    wire = Wire(*await asyncio.open_connection(at.hostname, at.port))
    try:
        wire.send(post(body, BEARER, path=path))
        status, headers = await wire.head()
        if "content-length" in headers:
            return Got(status, headers, [await wire.reader.readexactly(int(headers["content-length"]))])
        chunks = []
        while chunk := await wire.piece():
            chunks.append(chunk)
        return Got(status, headers, chunks)
    finally:
        await wire.close()


# What an Ollama server may send, and what of it reaches a client


def line(text: str, *, more: str = "", done: bool = False) -> str:
    """A line with unknown fields and numbers that no decoder would write again as they are."""
    sent = json.dumps(text)
    flag = '"done":true,"done_reason":"stop","prompt_eval_count":3,"eval_count":2' if done else '"done":false'
    return (
        '{"model":"llama3.2","created_at":"2025-01-01T00:00:00.123456789Z","future":[1.50,1e3,null],'
        f'"message":{{"role":"assistant","content":{sent}}},{flag}{more}}}'
    )


END = line("end", done=True)
ONE, TWO, LAST = line("Zoë said "), line('"done":true'), line("", done=True, more=',"context":[1,2,3]')
SPACED = f"  {ONE} ".replace(":", " : ")
LONG = line("x" * (2 * MEGABYTE))
ERROR = '{"error":"the runner has died"}'
GOOD = [ONE, TWO, LAST]


class Case(NamedTuple):
    """An upstream's answer, the lines of it that reach the client, and whether it is complete."""

    sent: str
    reach: list[str]
    complete: bool = True


def joined(*lines: str, end: str = "\n") -> str:
    return "".join(each + end for each in lines)


CASES = {
    "in order": Case(joined(*GOOD), GOOD),
    "without a last newline": Case(joined(*GOOD)[:-1], GOOD),
    "spaces": Case(joined(SPACED, TWO, LAST), [SPACED, TWO, LAST]),
    "carriage returns": Case(joined(*GOOD, end="\r\n"), [f"{each}\r" for each in GOOD]),
    "blank lines": Case("\n" + joined(ONE, "", " \t", TWO, "\r", "", LAST, "", ""), GOOD),
    "a long line": Case(joined(ONE, LONG, LAST), [ONE, LONG, LAST]),
    "a last line that says something": Case(
        joined(ONE, line("end", done=True)), [ONE, line("end", done=True)]
    ),
    "more after the end": Case(joined(*GOOD, TWO, LAST), GOOD),
    "an error after the end": Case(joined(*GOOD, ERROR), GOOD),
    "nothing after a line": Case(joined(ONE), [ONE], complete=False),
    "nothing after a blank line": Case(joined(ONE, "", ""), [ONE], complete=False),
    "half a line": Case(joined(ONE) + TWO[:50], [ONE], complete=False),
    "half of the last line": Case(joined(ONE, TWO) + LAST[:-1], [ONE, TWO], complete=False),
    "an error": Case(joined(ONE, ERROR, TWO, LAST), [ONE], complete=False),
    "an error without a newline": Case(joined(ONE, TWO) + ERROR, [ONE, TWO], complete=False),
    "two objects on a line": Case(joined(ONE, TWO + TWO, LAST), [ONE], complete=False),
    "no JSON": Case(joined(ONE, "data: {}", LAST), [ONE], complete=False),
    "no object": Case(joined(ONE, "[]", LAST), [ONE], complete=False),
    "null": Case(joined(ONE, "null", LAST), [ONE], complete=False),
}

cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
splits = pytest.mark.parametrize(
    "fault",
    [None, Fault("split_every_byte"), Fault("http_1_0")],
    ids=["at once", "byte by byte", "until closed"],
)


def heavy(case: Case, fault: Fault | None) -> bool:
    """Millions of writes prove no more than thousands do."""
    return fault is not None and fault.kind == "split_every_byte" and len(case.sent) > MEGABYTE


@cases
@splits
async def test_from_ollama_to_an_ollama_client(world: World, case: Case, fault: Fault | None) -> None:
    if heavy(case, fault):
        fault = None
    with world.saying("ollama", body=case.sent, fault=fault):
        got = await ask(world, "/api/chat", {"model": name("ollama"), "messages": HELLO})
    lines = got.lines
    if not case.complete:
        assert list(lines[-1]) == ["error"]
        assert lines[-1]["error"]
    kept = got.body if case.complete else b"".join(got.body.splitlines(keepends=True)[:-1])
    assert kept == joined(*case.reach).encode()
    assert [each.get("done") for each in lines].count(True) == case.complete


@cases
@splits
async def test_from_ollama_to_an_openai_client(world: World, case: Case, fault: Fault | None) -> None:
    if heavy(case, fault):
        fault = None
    body = {"model": name("ollama"), "messages": HELLO, "stream": True}
    with world.saying("ollama", body=case.sent, fault=fault):
        got = await ask(world, "/v1/chat/completions", body)
    assert got.status == 200
    sent = events(got.body)
    assert (sent[-1] == "[DONE]") == case.complete
    errors = [event for event in sent if "error" in event]
    assert errors == ([] if case.complete else sent[-1:])
    choices = [choice for event in sent if event != "[DONE]" for choice in event.get("choices", ())]
    text = "".join(choice["delta"].get("content") or "" for choice in choices)
    assert text == "".join(json.loads(each)["message"]["content"] for each in case.reach)
    reasons = [choice["finish_reason"] for choice in choices if choice["finish_reason"]]
    assert reasons == ["stop"] * case.complete


@pytest.mark.parametrize("sent", ["", "\n\n", ONE[:40], ERROR, joined(ERROR), "oops", joined("[]")])
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
async def test_an_answer_that_breaks_before_its_first_line(world: World, sent: str, stream: bool) -> None:
    with world.saying("ollama", body=sent):
        got = await ask(world, "/api/chat", {"model": name("ollama"), "messages": HELLO, "stream": stream})
    assert got.status == 502
    assert got.headers["content-type"].startswith("application/json")
    assert list(json.loads(got.body)) == ["error"]


@pytest.mark.parametrize("shape", ["ollama", "openai", "openrouter"])
async def test_a_line_that_is_too_long(world: World, shape: str) -> None:
    with world.saying(shape, fault=Fault("long_record", size=17 * MEGABYTE)):
        got = await ask(world, "/api/chat", {"model": name(shape), "messages": HELLO})
    assert got.status == 502
    assert "bytes" in json.loads(got.body)["error"]


async def test_a_whole_answer_keeps_its_bytes(world: World) -> None:
    sent = f" {SPACED}\n".replace('"done" : false', '"done" : true, "context" : [ 7 ]')
    with world.saying("ollama", body=sent):
        got = await ask(world, "/api/chat", {"model": "llama3.2", "messages": HELLO, "stream": False})
    assert (got.status, got.body) == (200, sent.encode())


# Other dialects to lines


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("end", ["chat", "generate"])
@pytest.mark.parametrize(
    "script",
    [
        {},
        {"comments": 5},
        {"delay_chunk_s": 0.005},
        {"fault": Fault("split_every_byte")},
        {"fault": Fault("http_1_0")},
        {"fault": Fault("gzip")},
        {"usage": None},
    ],
    ids=["at once", "comments", "slowly", "byte by byte", "until closed", "gzip", "no usage"],
)
async def test_lines_of_every_upstream(world: World, shape: str, end: str, script: dict[str, Any]) -> None:
    body = {"model": name(shape), "messages": HELLO, "prompt": "Hello"}
    with world.saying(shape, text=WORDS, **script):
        got = await ask(world, f"/api/{end}", body)
    lines = got.lines
    assert [each["done"] for each in lines] == [False] * (len(lines) - 1) + [True]
    sent = [each["message"]["content"] if end == "chat" else each["response"] for each in lines]
    assert [text for text in sent if text] == list(WORDS)
    assert lines[-1]["done_reason"] == "stop"


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("end", ["chat", "generate"])
async def test_nothing_is_held_back(world: World, shape: str, end: str) -> None:
    """The first words arrive although the upstream falls silent after them."""
    at = urlsplit(world.url)
    wire = Wire(*await asyncio.open_connection(at.hostname, at.port))
    body = {"model": name(shape), "messages": HELLO, "prompt": "Hello"}
    got = b""
    try:
        with world.saying(shape, text=WORDS, fault=Fault("stall_after", after=2)):
            wire.send(post(body, BEARER, path=f"/api/{end}"))
            status, _ = await wire.head()
            while b"two " not in got:
                piece = await wire.piece()
                assert piece
                got += piece
    finally:
        await wire.close()
    assert status == 200
    assert b"three" not in got


# Requests: the bytes that an Ollama server gets


GENERATE = (
    '{"prompt":"a\\u00e9\\/b","model":@,"context":[1, 2,3],"keep_alive":"-1","raw":false,"images":[],'
    '"options":{"temperature":0.70,"num_ctx":16384,"mirostat":0,"unheard_of":1e1},"future":{"a":[null,1.0]}}'
)
CHAT = (
    '{"keep_alive":0.50e2,"stream":true,"future":"\\ud83d\\ude00","options":null,"messages":[{"role":"User",'
    '"content":"x","images":[],"tool_calls":null,"future":1}],"model":@,"format":"","think":null}'
)
WHOLE = '{"model":@,"messages":[{"role":"user","content":"ü"}],"stream":false,"tools":[]}'
SPACES = '\n{ "model" :  @ ,\t"messages": [ {"role":"user", "content":"x"} ] , "f":1.10 }\n'
REQUESTS = {
    "generate": ("/api/generate", GENERATE),
    "chat": ("/api/chat", CHAT),
    "whole": ("/api/chat", WHOLE),
    "spaced": ("/api/chat", SPACES),
    "embed": ("/api/embed", '{"model":@,"input":["a","b"],"truncate":true,"future":[]}'),
    "load": ("/api/generate", '{"model":@,"keep_alive":"10m","future":1}'),
}
"""Bodies as (path, text); ``@`` stands for the model's name."""


@pytest.mark.parametrize(("path", "body"), REQUESTS.values(), ids=REQUESTS)
@pytest.mark.parametrize(
    ("asked", "there"),
    [
        ("llama3.2", "llama3.2"),
        ("llama3.2:latest", "llama3.2:latest"),
        ("ollama/llama3.2", "llama3.2"),
        ("ollama:llama3.2:latest", "llama3.2:latest"),
        ("LLAMA3.2", "llama3.2"),
        ("fast", "llama3.2"),
    ],
)
async def test_only_the_model_changes(world: World, path: str, body: str, asked: str, there: str) -> None:
    assert body.count("@") == 1
    got = await ask(world, path, body.replace("@", json.dumps(asked)).encode())
    assert got.status == 200, got.body
    sent = world.mocks["ollama"].calls[-1]
    assert sent.path == path
    fields = msgspec.json.decode(body.replace("@", json.dumps(there)), type=dict[str, msgspec.Raw])
    assert sent.body == msgspec.json.encode(fields)  # values as they were written, without spaces between


async def test_context_goes_both_ways(world: World) -> None:
    body = {"model": name("ollama"), "prompt": "Hello", "context": [5, 6, 7], "stream": False}
    got = await ask(world, "/api/generate", body)
    assert json.loads(got.body)["context"] == [1, 2, 3]
    assert world.mocks["ollama"].calls[-1].json["context"] == [5, 6, 7]
