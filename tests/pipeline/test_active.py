"""One request under way: while nobody is asked, and while who is asked is silent."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gateways import until
from tests.pipeline.requests import make_active, make_request
from tests.pipeline.test_pipeline import Asked, Client, Played, attempt_of, make_table
from tests.policy.guarding import prices
from tests.routing.fakes import make_candidates
from trunkline.dialects import anthropic, ollama, openai
from trunkline.dialects.base import Front
from trunkline.dialects.openai.front_relay import RelayFront
from trunkline.errors import (
    UPSTREAM_ERROR,
    UPSTREAM_RATE_LIMIT,
    UPSTREAM_TIMEOUT,
    GatewayError,
    ProviderError,
)
from trunkline.model import Usage
from trunkline.pipeline.active import Attempt, Response
from trunkline.pipeline.cache import AnswerCache, CachePolicy, MemoryStore
from trunkline.policy.reservations import NO_CHARGE, Charge
from trunkline.routing.retries import MAX_BACKOFF_S

PING = openai.CHAT.ping("m")
BROKEN = ProviderError("broken", UPSTREAM_ERROR)
SPEECH = RelayFront("/audio/speech")


async def test_a_client_that_leaves_during_a_pause_is_not_waited_for() -> None:
    table = await make_table()
    (upstream,) = table.upstreams
    upstream.max_retries = 1
    asked = await table.ask()
    busy = ProviderError("busy", UPSTREAM_RATE_LIMIT, retry_after=MAX_BACKOFF_S)
    attempt_of(upstream).receiver.fail(busy)
    assert table.pipeline.active == {asked.active}
    asked.active.disconnected()
    assert not table.pipeline.active
    await asked.end()
    assert len(upstream.attempts) == 1
    (outcome,) = table.outcomes
    assert (outcome.status, outcome.active.response.client_gone) == (499, True)


async def test_a_pause_ends_by_itself() -> None:
    table = await make_table()
    (upstream,) = table.upstreams
    upstream.max_retries = 1
    asked = await table.ask()
    attempt_of(upstream).receiver.fail(ProviderError("busy", UPSTREAM_RATE_LIMIT, retry_after=0.01))
    await until(lambda: len(upstream.attempts) == 2)
    upstream.attempts[1].receiver.done(b"{}")
    await asked.end()
    assert asked.client.told == [("send", 200, b"{}")]


async def test_a_gateway_that_stops_tells_a_client_that_waits() -> None:
    table = await make_table()
    (upstream,) = table.upstreams
    upstream.max_retries = 1
    asked = await table.ask()
    attempt_of(upstream).receiver.fail(ProviderError("busy", UPSTREAM_RATE_LIMIT, retry_after=MAX_BACKOFF_S))
    asked.active.stop()
    await asked.end()
    assert [told[:2] for told in asked.client.told] == [("send", 503)]
    (outcome,) = table.outcomes
    assert (outcome.status, outcome.label) == (503, "gateway")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("sent", "of_upstream", "charged"),
    [(True, False, True), (False, False, False), (True, True, False)],
    ids=["a silent upstream", "no connection", "the upstream's own 504"],
)
async def test_only_an_attempt_that_ran_into_a_limit_of_ours_may_be_billed(
    stream: bool, sent: bool, of_upstream: bool, charged: bool
) -> None:
    table = await make_table()
    asked = await table.ask(stream=stream)
    attempt = attempt_of(table.upstreams[0])
    error: GatewayError = ProviderError("too late", UPSTREAM_TIMEOUT)
    attempt.sent, attempt.exchange.usage = sent, None
    attempt.exchange.error = error if of_upstream else None
    attempt.receiver.fail(error)
    await asked.end()
    (outcome,) = table.outcomes
    assert (outcome.status, outcome.label) == (502, "upstream")
    assert outcome.active.attempts[0].abandoned == charged


@pytest.mark.parametrize(
    ("sent", "ended", "abandoned"),
    [(True, False, True), (False, False, False), (True, True, False)],
    ids=["at work", "not sent yet", "over"],
)
async def test_a_client_that_leaves_abandons_who_is_at_work(sent: bool, ended: bool, abandoned: bool) -> None:
    table = await make_table()
    asked = await table.ask(stream=True)
    attempt = attempt_of(table.upstreams[0])
    attempt.sent = sent
    if ended:
        attempt.receiver.done(b"")
    asked.active.disconnected()
    await asked.end()
    assert asked.active.attempts[0].abandoned is abandoned


# What an attempt is charged

LONG = b"x" * 41
"""Eleven tokens of a prompt that nobody has counted."""
COUNTED = Usage(prompt_tokens=3, completion_tokens=5)


def charge_of(
    usage: Usage | None = None,
    *,
    front: Front = openai.CHAT,
    provider: str = "up",
    size: int | None = None,
    abandoned: bool = False,
    **fields: Any,
) -> Charge:
    """The charge of an attempt that has sent ``size`` bytes; the other fields are those of its exchange."""
    response = Response(make_request(LONG, front), Client())
    exchange: Any = Played(LONG, "m", fields.pop("streaming", False))
    exchange.usage = usage
    for name, value in fields.items():
        setattr(exchange, name, value)
    if size is not None:
        response.size, response.first_byte_at = size, 1.0
    (candidate,) = make_candidates(1, provider)
    attempt = Attempt(candidate, exchange, response, False)
    attempt.abandoned = abandoned
    return attempt.compute_charge(prices())


@pytest.mark.parametrize(
    ("fields", "tokens", "estimated"),
    [
        ({"usage": COUNTED, "size": 9}, (3, 5), False),
        ({"usage": COUNTED}, (3, 5), False),  # it told what it has used, and failed
        ({"size": 40}, (11, 10), True),
        ({"size": 40, "front": openai.EMBEDDINGS}, (11, 0), True),
        ({"size": 0, "streaming": True, "pieces": 7}, (11, 7), True),
        ({"usage": COUNTED, "size": 0, "streaming": True, "pieces": 7}, (3, 7), True),
        ({"usage": COUNTED, "size": 0, "streaming": True, "pieces": 2}, (3, 5), False),
        ({"usage": COUNTED, "size": 0, "streaming": True, "pieces": 7, "complete": True}, (3, 5), False),
        ({"abandoned": True}, (11, 0), True),
        ({"abandoned": True, "streaming": True}, (11, 0), True),
    ],
)
def test_what_an_attempt_has_used(fields: dict[str, Any], tokens: tuple[int, int], estimated: bool) -> None:
    charge = charge_of(**fields)
    assert (charge.usage.prompt_tokens, charge.usage.completion_tokens) == tokens
    assert (charge.estimated, charge.provider) == (estimated, "up")
    assert (charge.cost, charge.source) == (tokens[0] * 3 + tokens[1] * 7, "config")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, NO_CHARGE),  # it has failed before its answer
        ({"usage": Usage(cost=0.25), "size": 9}, Charge(Usage(cost=0.25), False, 250_000, "upstream", "up")),
        ({"usage": COUNTED, "size": 9, "provider": "fog"}, Charge(COUNTED, False, None, None, "fog")),
        ({"usage": COUNTED, "size": 9, "provider": "ollama"}, Charge(COUNTED, False, 0, "local", "ollama")),
        # images and sounds are not counted in tokens
        ({"front": SPEECH, "size": 9}, Charge(Usage(), False, None, None)),
        ({"front": SPEECH, "size": 9, "provider": "ollama"}, Charge(Usage(), False, 0, "local")),
    ],
)
def test_what_an_attempt_costs(fields: dict[str, Any], expected: Charge) -> None:
    assert charge_of(**fields) == expected


# Pings, with simulated time


def look(asked: Asked, seconds: float) -> None:
    """Look, so many seconds after the request came, whether a ping is due. One is due after 15 s."""
    asked.active.keep_alive(asked.active.request.received_at + seconds, 15)


async def test_a_silent_stream_gets_a_ping_in_each_interval() -> None:
    table = await make_table()
    asked = await table.ask(stream=True)
    receiver = attempt_of(table.upstreams[0]).receiver
    look(asked, 14.9)
    assert asked.client.told == []
    look(asked, 15)
    assert asked.client.told == [("start", 200), ("write", PING)]
    look(asked, 29.9)
    assert len(asked.client.told) == 2
    look(asked, 30)
    receiver.emit(b"a")
    look(asked, 31)  # sees that something was sent
    look(asked, 45.9)
    assert asked.client.told[2:] == [("write", PING), ("write", b"a")]
    look(asked, 46)
    receiver.done(b"b")
    await asked.end()
    look(asked, 99)
    assert asked.client.told[4:] == [("write", PING), ("write", b"b"), ("finish",)]
    (outcome,) = table.outcomes
    assert (outcome.status, outcome.active.response.error) == (200, None)


async def test_the_head_that_goes_with_a_ping_does_not_say_who_answers() -> None:
    table = await make_table("first")
    asked = await table.ask(stream=True)
    look(asked, 15)
    assert asked.client.headers == {
        "content-type": "text/event-stream; charset=utf-8",
        "x-request-id": "req_1",
        "cache-control": "no-cache",
        "x-accel-buffering": "no",
    }
    attempt_of(table.upstreams[0]).receiver.done(b"")
    await asked.end()


async def test_a_ping_is_not_the_first_byte() -> None:
    table = await make_table()
    asked = await table.ask(stream=True)
    look(asked, 15)
    response = asked.active.response
    assert (response.started, response.first_byte_at) == (False, None)
    attempt_of(table.upstreams[0]).receiver.emit(b"a")
    assert response.started
    assert response.first_byte_at is not None
    attempt_of(table.upstreams[0]).receiver.done(b"")
    await asked.end()


async def test_after_a_ping_another_upstream_may_answer() -> None:
    table = await make_table("first", "second")
    asked = await table.ask(stream=True)
    look(asked, 15)
    attempt_of(table.upstreams[0]).receiver.fail(BROKEN)
    look(asked, 30)
    attempt_of(table.upstreams[1]).receiver.done(b"a")
    await asked.end()
    assert asked.client.told == [
        ("start", 200), ("write", PING), ("write", PING), ("write", b"a"), ("finish",)
    ]  # fmt: skip
    assert table.outcomes[0].active.response.error is None


async def test_after_a_ping_the_last_failure_is_an_event() -> None:
    table = await make_table()
    asked = await table.ask(stream=True)
    look(asked, 15)
    attempt_of(table.upstreams[0]).receiver.fail(BROKEN)
    await asked.end()
    event = openai.CHAT.stream_error(BROKEN)
    assert asked.client.told == [("start", 200), ("write", PING), ("write", event), ("finish",)]
    (outcome,) = table.outcomes
    assert (outcome.status, outcome.active.response.error, outcome.label) == (200, BROKEN, "upstream")


async def test_who_gets_no_ping() -> None:
    table = await make_table()
    whole = await table.ask()
    look(whole, 60)
    assert whole.client.told == []
    whole.active.disconnected()

    load = make_active(Client(), b'{"model":"m"}', front=ollama.GENERATE)
    assert load.request.summary is not None
    assert load.request.summary.load == "load"  # its answer is one record, whatever stream says
    load.keep_alive(load.request.received_at + 60, 15)
    assert load.response.status == 0

    left = await table.ask(stream=True)
    left.active.disconnected()
    look(left, 60)
    assert left.client.told == []

    slow = await table.ask(stream=True)
    slow.active.pause()
    look(slow, 60)
    assert slow.client.told == []
    slow.active.resume()
    look(slow, 60)
    assert slow.client.told == [("start", 200), ("write", PING)]
    slow.active.disconnected()


async def test_a_ping_is_no_part_of_an_answer_that_is_kept() -> None:
    store = MemoryStore(1_000_000)
    table = await make_table()
    table.pipeline.cache = AnswerCache(store, lambda: 0.0, CachePolicy(enabled=True))
    asked = await table.ask(stream=True)
    look(asked, 15)  # while the store of answers is asked
    await until(lambda: bool(table.upstreams[0].attempts))
    receiver = attempt_of(table.upstreams[0]).receiver
    receiver.emit(b"a")
    look(asked, 31)
    look(asked, 46)
    assert asked.client.told.count(("write", PING)) == 2
    receiver.done(b"b")
    await asked.end()
    again = await table.ask(stream=True)
    await again.end()
    assert again.client.told == [("start", 200), ("write", b"ab"), ("finish",)]
    assert len(table.upstreams[0].attempts) == 1


def test_anthropics_clients_read_the_requests_id_in_a_header_of_their_own() -> None:
    lines = make_active(Client(), front=anthropic.MESSAGES).response.head_lines(b"text/plain")
    assert lines == b"content-type: text/plain\r\nx-request-id: req_1\r\nrequest-id: req_1\r\n"


# Sending again, making complete, stopping


async def test_every_sending_counts_as_an_attempt() -> None:
    table = await make_table()
    asked = await table.ask()
    attempt = attempt_of(table.upstreams[0])
    attempt.receiver.resent()
    attempt.receiver.resent()
    attempt.receiver.done(b"{}")
    await asked.end()
    assert asked.client.headers["x-trunkline-attempts"] == "3"
    assert asked.client.headers["x-trunkline-upstream"] == "first-0"
    assert asked.active.response.times_sent == 3
    assert len(asked.active.attempts) == 1


def test_a_request_that_is_made_complete() -> None:
    active = make_active(Client(), b'{"model":"m","messages":[]}', request_id="req_7")
    active.replace(openai.COMPLETIONS, b'{"model":"n","prompt":"x"}')
    request = active.request
    assert request is active.response.request
    assert (request.front, request.body) == (openai.COMPLETIONS, b'{"model":"n","prompt":"x"}')
    assert (request.request_id, request.summary and request.summary.model) == ("req_7", "n")


async def test_a_gateway_that_stops_ends_a_stream_with_an_error() -> None:
    table = await make_table()
    asked = await table.ask(stream=True)
    attempt = attempt_of(table.upstreams[0])
    attempt.receiver.emit(b"a")
    asked.active.stop()
    await asked.end()
    assert attempt.told == ["cancel"]
    assert [told[0] for told in asked.client.told] == ["start", "write", "write", "finish"]
    assert b"shutting down" in asked.client.told[2][1]
    assert asked.active.attempts[-1].abandoned  # what it did may be billed


async def test_a_gateway_that_stops_refuses_who_still_waits() -> None:
    table = await make_table()
    (upstream,) = table.upstreams
    upstream.max_retries = 1
    asked = await table.ask()
    attempt_of(upstream).receiver.fail(ProviderError("busy", UPSTREAM_RATE_LIMIT, retry_after=7.0))
    asked.active.stop()
    await asked.end()
    ((_, status, body),) = asked.client.told
    assert (status, b"shutting down" in body) == (503, True)
    assert len(upstream.attempts) == 1
