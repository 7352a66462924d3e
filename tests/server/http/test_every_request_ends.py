"""Whatever a client sends is answered, and its own mistakes with a 4xx: at both ends."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence

import pytest

from tests.gateways import BEARER, Running, make_settings, post, upstream
from tests.server.conftest import Serve
from tests.server.http.bodies import REQUESTS, mutated, wrong_bodies
from trunkline.settings.sections import ResponsesRule
from trunkline_mock import MockUpstream


@pytest.fixture
async def house(serve: Serve) -> AsyncIterator[Running]:
    async with (
        MockUpstream("openai", models=["cheap"]) as oai,
        MockUpstream("anthropic", models=["cheap"]) as anth,
        MockUpstream("ollama", models=["cheap"]) as fleet,
    ):
        given = {
            "oai": upstream(oai, type="openai-compatible", models=("cheap",)),
            "anth": upstream(anth, models=("cheap",)),
            "fleet": upstream(fleet, models=("cheap",)),
        }
        responses = ResponsesRule(store=True, max_disk_bytes=0)
        yield await serve(make_settings(providers=given, responses=responses))


async def failures(running: Running, path: str, bodies: Sequence[bytes]) -> list[tuple[bytes, int, bytes]]:
    """Those of the bodies to which the answer is a 5xx of the gateway's. A test that hangs fails."""
    wire, found = await running.connect(), []
    for body in bodies:
        wire.send(post(body, BEARER, path=path))
        answer = await wire.answer()
        if answer.headers.get("connection") == "close":
            wire = await running.connect()
        if answer.status >= 500 and b"gateway failed" in answer.body:
            found.append((body[:300], answer.status, answer.body))
    return found


PATHS = sorted({path for path, _ in REQUESTS})


@pytest.mark.parametrize("path", PATHS)
async def test_one_thing_wrong(house: Running, path: str) -> None:
    for each, body in REQUESTS:
        if each == path:
            assert not await failures(house, path, list(wrong_bodies(body)))


@pytest.mark.parametrize("path", PATHS)
async def test_several_things_wrong(house: Running, path: str) -> None:
    rng = random.Random(path)
    for each, body in REQUESTS:
        if each == path:
            assert not await failures(house, path, [mutated(rng, body) for _ in range(60)])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/responses", b'{"model":"oai/cheap","input":[{"id":"x","content":"\xff"}]}'),
        (
            "/v1/responses",
            b'{"model":"oai/cheap","input":"x","previous_response_id":"a","m":[%s]}' % (b"9" * 5000),
        ),
        ("/v1/responses", b'{"model":"oai/cheap","input":"x","store":[%s]}' % (b"9" * 5000)),
        (
            "/v1/messages",
            b'{"model":"anth/cheap","max_tokens":5,"thread":{},"messages":[{"content":"\xff"}]}',
        ),
        (
            "/v1/chat/completions",
            b'{"model":"oai/cheap","messages":[{"role":"user","content":"x"}],"\xff":1}',
        ),
        (
            "/api/chat",
            b'{"model":"oai/cheap","messages":[{"role":"user","content":"x"}],"options":{"temperature":%s}}'
            % (b"9" * 400),
        ),
        ("/api/chat", b'{"model":"oai/cheap","messages":[],"keep_alive":"%s"}' % (b"9" * 5000)),
    ],
)
async def test_a_clients_mistake_is_told(house: Running, path: str, body: bytes) -> None:
    answer = await house.ask(post(body, BEARER, path=path))
    assert answer.status == 400


async def test_a_failure_of_the_gateways_own_is_answered(house: Running) -> None:
    """Whoever answers: the pipeline, the stored responses, the threads, and pages."""

    def fail(*_: object, **__: object) -> None:
        raise KeyError("nobody has foreseen this")

    gateway = house.gateway
    gateway.responses._complete = fail  # type: ignore[assignment]
    gateway.threads._complete = fail  # type: ignore[assignment]
    gateway.router.pool = fail  # type: ignore[method-assign,assignment]
    requests = [
        ("/v1/responses", b'{"model":"oai/cheap","input":"x","previous_response_id":"a"}'),
        (
            "/v1/messages",
            b'{"model":"anth/cheap","max_tokens":5,"thread":{},"messages":[{"role":"user","content":"x"}]}',
        ),
        ("/v1/messages/count_tokens", b'{"model":"anth/cheap","messages":[{"role":"user","content":"x"}]}'),
        ("/v1/chat/completions", b'{"model":"oai/cheap","messages":[{"role":"user","content":"x"}]}'),
    ]
    for path, body in requests:
        answer = await house.ask(post(body, BEARER, path=path))
        assert answer.status == 500
        assert b"gateway failed" in answer.body
        assert b"nobody has foreseen" not in answer.body
