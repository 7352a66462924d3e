"""Bodies that a client may send, and what may be wrong with them: for tests that every request ends."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, Final

import msgspec

HUGE: Final = b"9" * 5000
BYTE: Final = b"\xff"

REQUESTS: Final[tuple[tuple[str, dict[str, Any]], ...]] = tuple(
    (path.replace("{p}", provider), body | {"model": f"{provider}/cheap"})
    for provider in ("oai", "anth", "fleet")
    for path, body in (
        (
            "/v1/chat/completions",
            {
                "messages": [
                    {"role": "system", "content": "s"},
                    {"role": "user", "content": [{"type": "text", "text": "x"}]},
                ],
                "max_tokens": 5,
                "temperature": 0.5,
                "stop": ["a"],
                "metadata": {"a": "b"},
                "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
            },
        ),
        ("/v1/completions", {"prompt": "x", "max_tokens": 5}),
        ("/v1/embeddings", {"input": ["x"]}),
        (
            "/v1/messages",
            {
                "messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}],
                "max_tokens": 5,
                "system": [{"type": "text", "text": "s"}],
                "thread": {"type": "create"},
                "metadata": {"user_id": "u"},
            },
        ),
        ("/v1/messages/count_tokens", {"messages": [{"role": "user", "content": "x"}]}),
        (
            "/v1/responses",
            {
                "input": [{"type": "message", "role": "user", "content": "x", "id": "msg_1"}],
                "max_output_tokens": 16,
                "metadata": {"a": "b"},
                "store": True,
            },
        ),
        (
            "/v1/conversations",
            {"items": [{"type": "message", "role": "user", "content": "x"}], "metadata": {}},
        ),
        (
            "/api/chat",
            {
                "messages": [{"role": "user", "content": "x", "images": []}],
                "options": {"temperature": 0.5, "num_predict": 5},
                "keep_alive": "5m",
                "stream": False,
            },
        ),
        ("/api/generate", {"prompt": "x", "options": {"seed": 1}, "stream": False}),
        ("/api/embed", {"input": "x"}),
        ("/api/show", {"verbose": True}),
        ("/v1/moderations", {"input": "x"}),
    )
)
"""A request of every kind, for every kind of upstream."""


def wrong_bodies(body: dict[str, Any]) -> Iterator[bytes]:
    """``body`` with one thing wrong at a time, wherever it may be."""
    for name in [*body, "surprise"]:
        for value in (
            HUGE,
            b"1e999",
            b"-1",
            b'"%b"' % BYTE,
            b'"\\ud800"',
            b'{"%b":1}' % BYTE,
            b"null",
            b"[]",
        ):
            yield _with(body, name, value)
        yield _with(body, name, b"[" * 3000 + b"]" * 3000)
        yield _with(body, name, b'{"a":' * 3000 + b"1" + b"}" * 3000)
        yield _with(body, name, b"9" * 400)
    whole = msgspec.json.encode(body)
    yield whole[:-1] + b',"%b":1}' % BYTE
    yield whole[:-1]
    yield b"[" * 100_000


def _with(body: dict[str, Any], name: str, value: bytes) -> bytes:
    return msgspec.json.encode(body | {name: msgspec.Raw(value)})


VALUES: Final = (
    HUGE,
    b"-0",
    b"1.5e300",
    b"true",
    b"null",
    b'""',
    b"{}",
    b"[[]]",
    b'"\xc3"',
    b'"\\u0000"',
    b"0",
)


def mutated(rng: random.Random, body: dict[str, Any]) -> bytes:
    """``body`` with a few things wrong, anywhere in it."""
    value: Any = msgspec.json.decode(msgspec.json.encode(body))
    for _ in range(rng.randint(1, 3)):
        _mutate(rng, value)
    data = bytearray(msgspec.json.encode(value))
    if rng.random() < 0.3:
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


def _mutate(rng: random.Random, value: Any) -> None:
    """Put something else in one place of a list or an object, at any depth."""
    places = list(value) if isinstance(value, dict) else list(range(len(value)))
    if not places:
        return
    place = rng.choice(places)
    if isinstance(value[place], dict | list) and value[place] and rng.random() < 0.7:
        _mutate(rng, value[place])
    elif isinstance(value, dict) and place != "model" and rng.random() < 0.2:
        del value[place]
    else:
        value[place] = msgspec.Raw(rng.choice(VALUES))
