"""Which requests are the same to the cache of answers, and which are none of its business."""

from __future__ import annotations

from typing import Any

import pytest

from tests.pipeline.requests import make_request
from trunkline.dialects import anthropic, ollama, openai
from trunkline.dialects.base import Front
from trunkline.dialects.openai.front_relay import RelayFront
from trunkline.pipeline.cache import AnswerCache, CachePolicy, MemoryStore

CHAT = b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"}]}'
SPEECH = RelayFront("/audio/speech")


def name(front: Front, path: str, body: bytes = CHAT, query: bytes = b"", **headers: str) -> str | None:
    lines = [(each.replace("_", "-").encode(), value.encode()) for each, value in headers.items()]
    request = make_request(body, front, path, headers=lines, query=query)
    return AnswerCache(MemoryStore(1000), lambda: 0.0, CachePolicy(enabled=True)).name_of(request, None)


def test_what_is_asked_alike_is_the_same() -> None:
    first = name(openai.CHAT, "/v1/chat/completions", user_agent="one", anthropic_beta="x")
    assert first is not None
    assert first == name(openai.CHAT, "/v1/chat/completions", user_agent="two")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"path": "/v1/audio/speech"}, {"front": RelayFront("/moderations"), "path": "/v1/moderations"}),
        ({"query": b"a=1"}, {"query": b"a=2"}),
        (
            {"front": anthropic.MESSAGES, "anthropic_beta": "a"},
            {"front": anthropic.MESSAGES, "anthropic_beta": "b"},
        ),
    ],
    ids=["path", "query", "header"],
)
def test_what_is_asked_otherwise_is_not_the_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    usual: dict[str, Any] = {"front": SPEECH, "path": "/v1/x"}
    names = [name(**usual | each) for each in (one, other)]
    assert None not in names
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("front", "body"),
    [
        (RelayFront("/files", "GET"), b""),
        (RelayFront("/files/f-1", "DELETE"), b""),
        (RelayFront("/files"), b"--b\r\n\r\nno model\r\n--b--"),
        (ollama.GENERATE, b'{"model":"m","keep_alive":0}'),
        (ollama.GENERATE, b'{"model":"m"}'),
    ],
    ids=["list", "delete", "upload", "unload", "load"],
)
def test_what_is_asked_for_its_effect_is_not_kept(front: Front, body: bytes) -> None:
    assert name(front, "/x", body) is None
