"""Which requests are the same to the cache of answers, and which are none of its business."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gateways import until
from tests.pipeline.requests import make_active, make_request
from tests.pipeline.test_pipeline import Client, Table, make_table
from trunkline.dialects import anthropic, ollama, openai
from trunkline.dialects.base import Front
from trunkline.dialects.openai.front_relay import RelayFront
from trunkline.errors import GatewayError, ProviderError
from trunkline.pipeline.cache import AnswerCache, CachePolicy, MemoryStore, record
from trunkline.pipeline.responder import CachedAnswer
from trunkline.policy.auth import ApiKey

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


# What a store keeps


def answer_of(size: int) -> CachedAnswer:
    return CachedAnswer(
        streaming=False, content_type=b"t", lines=b"", body=b"x" * size, provider="p", model="m"
    )


async def test_an_answer_is_fresh_until_its_time() -> None:
    store = MemoryStore(10_000)
    kept = answer_of(10)
    store.keep("a", kept, 5.0, 100.0)
    assert await store.find("a", 104.9) is kept
    assert await store.find("b", 104.9) is None
    assert store.bytes == 522  # with what the entry itself takes
    assert await store.find("a", 105.0) is None
    assert store.bytes == 0


async def test_the_oldest_answers_go_first() -> None:
    store = MemoryStore(3 * 612)
    for name in "abcd":
        store.keep(name, answer_of(100), 60.0, 0.0)
    assert [await store.find(name, 1.0) is not None for name in "abcd"] == [False, True, True, True]
    assert store.bytes == store.most_bytes
    store.resize(2 * 612)
    assert [await store.find(name, 1.0) is not None for name in "bcd"] == [False, True, True]


async def test_an_answer_that_is_kept_again_takes_its_memory_once() -> None:
    store = MemoryStore(10_000)
    store.keep("a", answer_of(100), 60.0, 0.0)
    newer = answer_of(200)
    store.keep("a", newer, 60.0, 0.0)
    assert (await store.find("a", 1.0), store.bytes) == (newer, 712)
    await store.drop("a")
    await store.drop("a")
    assert (await store.find("a", 1.0), store.bytes) == (None, 0)


# What a pipeline answers from it


class Site:
    """A pipeline with a cache over one upstream, and the time of day."""

    def __init__(self, table: Table, **policy: Any) -> None:
        self.now = 1000.0
        self.table = table
        self.store = MemoryStore(0)
        self.cache = AnswerCache(self.store, lambda: self.now, CachePolicy(enabled=True, **policy))
        table.pipeline.cache = self.cache

    async def ask(self, *pieces: bytes, stream: bool = False, fails: bool = False) -> Client:
        """The client of one request; if an upstream is asked, it answers with these pieces."""
        (upstream,) = self.table.upstreams
        before = len(upstream.attempts)
        asked = await self.table.ask(stream=stream)
        await until(lambda: len(upstream.attempts) > before or not self.table.pipeline.active)
        if len(upstream.attempts) > before:
            receiver = upstream.attempts[-1].receiver
            for piece in pieces[:-1]:
                receiver.emit(piece)
            if fails:
                receiver.fail(ProviderError("broke off"))
            else:
                receiver.done(pieces[-1])
        await asked.end()
        return asked.client

    @property
    def attempts(self) -> int:
        return len(self.table.upstreams[0].attempts)


async def test_the_same_answer_is_given_again() -> None:
    site = Site(await make_table(), ttl_s=60.0)
    first, again = await site.ask(b"{}"), await site.ask()
    assert site.attempts == 1
    assert first.told == again.told == [("send", 200, b"{}")]
    assert (first.headers["x-trunkline-cache"], again.headers["x-trunkline-cache"]) == ("miss", "hit")
    assert again.headers["content-type"] == "application/json"
    assert again.headers["x-trunkline-provider"] == "first"
    assert "x-trunkline-attempts" not in again.headers
    (kept,) = [each for _, each in site.store._kept.values()]
    assert (kept.provider, kept.model, kept.streaming) == ("first", "m", False)
    outcome = site.table.outcomes[-1]
    assert (outcome.status, outcome.active.model, outcome.active.attempts) == (200, "m", [])
    assert outcome.active.response.cached is kept
    assert outcome.active.response.finished
    site.now += 60.0
    assert (await site.ask(b"{1}")).told == [("send", 200, b"{1}")]
    assert site.attempts == 2


async def test_a_stream_is_given_again_as_a_stream() -> None:
    site = Site(await make_table())
    first = await site.ask(b"a", b"b", b"c", stream=True)
    again = await site.ask(stream=True)
    assert first.told == [("start", 200), ("write", b"a"), ("write", b"b"), ("write", b"c"), ("finish",)]
    assert again.told == [("start", 200), ("write", b"abc"), ("finish",)]
    assert again.headers["cache-control"] == "no-cache"
    assert site.attempts == 1


@pytest.mark.parametrize(("size", "attempts"), [(100, 1), (101, 2)])
async def test_an_answer_may_take_an_eighth_of_the_memory(size: int, attempts: int) -> None:
    site = Site(await make_table(), max_bytes=800)
    pieces = [b"x" * 60, b"x" * (size - 60)]
    await site.ask(*pieces, stream=True)
    again = await site.ask(*pieces, stream=True)
    assert site.attempts == attempts
    assert sum(len(told[1]) for told in again.told if told[0] == "write") == size


async def test_what_broke_off_is_not_given_again() -> None:
    site = Site(await make_table())
    await site.ask(b"a", b"b", stream=True, fails=True)
    assert (await site.ask(b"c", stream=True)).told[1] == ("write", b"c")
    assert site.attempts == 2


@pytest.mark.parametrize(
    ("policy", "route", "directive", "cached"),
    [
        ({}, None, None, False),
        ({}, None, b" ON ", True),
        ({}, None, b"off", False),
        ({}, None, b"perhaps", False),
        ({"enabled": True}, None, None, True),
        ({"enabled": True}, None, b"off", False),
        ({"enabled": True}, None, b"perhaps", True),
        ({"enabled": True, "routes": {"r": False}}, "r", None, False),
        ({"enabled": True, "routes": {"r": False}}, "r", b"on", True),
        ({"enabled": True, "routes": {"r": False}}, "s", None, True),
        ({"routes": {"r": True}}, "r", None, True),
        ({"routes": {"r": True}}, None, None, False),
    ],
)
def test_who_decides_whether_an_answer_is_cached(
    policy: dict[str, Any], route: str | None, directive: bytes | None, cached: bool
) -> None:
    cache = AnswerCache(MemoryStore(1000), lambda: 0.0, CachePolicy(**policy))
    request = make_request(CHAT, cache_directive=directive)
    assert (cache.name_of(request, route) is not None) is cached
    assert cache.is_off is (not policy)


def test_keys_share_answers_only_where_the_policy_says_so() -> None:
    def names(shared: bool) -> set[str | None]:
        cache = AnswerCache(MemoryStore(1000), lambda: 0.0, CachePolicy(enabled=True, shared=shared))
        keys = [ApiKey(id=each, name=each, role="member", prefix="gw_") for each in "ab"]
        return {cache.name_of(make_request(CHAT, key=key), None) for key in keys}

    assert (len(names(True)), len(names(False))) == (1, 2)


def test_a_provider_in_the_path_is_another_request() -> None:
    cache = AnswerCache(MemoryStore(1000), lambda: 0.0, CachePolicy(enabled=True))
    asked = [make_request(CHAT, provider=provider) for provider in (None, "up", "ant")]
    assert len({cache.name_of(request, None) for request in asked}) == 3


@pytest.mark.parametrize(
    ("sent", "status", "error", "gone", "expected"),
    [
        (10, 200, None, False, True),
        (11, 200, None, False, False),  # more than is remembered
        (10, 404, None, False, False),
        (10, 200, ProviderError("broke off"), False, False),
        (10, 200, None, True, False),
    ],
)
def test_whether_all_of_an_answer_is_remembered(
    sent: int, status: int, error: GatewayError | None, gone: bool, expected: bool
) -> None:
    response = make_active(Client(), CHAT).response
    recording = record(response, 10)
    assert response.responder is recording
    response.responder.send(status, b"", b"x" * sent)
    response.status, response.error, response.client_gone = status, error, gone
    assert recording.has_answer(response) is expected
    assert b"".join(recording.pieces) == (b"x" * sent if sent <= 10 else b"")


def test_what_is_remembered_goes_to_the_client_as_well() -> None:
    client = Client()
    response = make_active(client, CHAT).response
    recording = record(response, 100)
    assert not recording.streaming
    recording.start(200, b"a: b\r\n")
    recording.write(b"x")
    recording.finish()
    assert (client.told, client.lines) == ([("start", 200), ("write", b"x"), ("finish",)], b"a: b\r\n")
    assert (recording.streaming, recording.pieces) == (True, [b"x"])
