"""One request: what it says of itself, and what may happen to it while it is under way."""

from __future__ import annotations

import pytest

from tests.gateways import until
from tests.pipeline.requests import make_active, make_request
from tests.pipeline.test_pipeline import Client, attempt_of, make_table
from trunkline.dialects import ollama, openai
from trunkline.errors import UPSTREAM_RATE_LIMIT, UPSTREAM_TIMEOUT, GatewayError, ProviderError
from trunkline.pipeline.request import MAX_STORED_PROMPT, end_user_of, stored_prompt
from trunkline.policy.auth import ApiKey


async def test_a_client_that_leaves_during_a_pause_is_not_waited_for() -> None:
    table = await make_table()
    (upstream,) = table.upstreams
    upstream.max_retries = 1
    asked = await table.ask()
    busy = ProviderError(
        "busy", UPSTREAM_RATE_LIMIT, retry_after=table.pipeline.settings.retry_deadline_s - 1
    )
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
    attempt_of(upstream).receiver.fail(ProviderError("busy", UPSTREAM_RATE_LIMIT, retry_after=20))
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
    attempt_of(upstream).receiver.fail(ProviderError("busy", UPSTREAM_RATE_LIMIT, retry_after=20.0))
    asked.active.stop()
    await asked.end()
    ((_, status, body),) = asked.client.told
    assert (status, b"shutting down" in body) == (503, True)
    assert len(upstream.attempts) == 1


@pytest.mark.parametrize(
    ("fields", "user"),
    [
        ({}, None),
        ({b"x-openwebui-user-name": b"n"}, b"n"),
        ({b"x-openwebui-user-name": b"n", b"x-openwebui-user-id": b"i"}, b"i"),
        ({b"x-openwebui-user-id": b"i", b"x-openwebui-user-email": b"e"}, b"e"),
        ({b"x-openwebui-user-id": b"i", b"x-openwebui-user-email": b""}, b"i"),
    ],
)
def test_the_user_whom_open_webui_names(fields: dict[bytes, bytes], user: bytes | None) -> None:
    assert end_user_of(fields) == user


def test_the_prompt_that_is_stored() -> None:
    assert stored_prompt("Grüße\0!".encode()) == "Grüße!"
    assert stored_prompt(b"\xff") == "�"
    assert len(stored_prompt(b"x" * 300_000)) == MAX_STORED_PROMPT


def test_what_a_request_says_of_itself() -> None:
    key = ApiKey(id="k", name="k", role="member", prefix="gw_", priority="high", local_only=True)
    request = make_request(b"{", key=key)
    assert (request.operation, request.is_local_only, request.priority) == ("chat", True, "high")
    low = make_request(b"{", key=key, headers=[(b"x-trunkline-priority", b"low")])
    other = make_request(b"{", key=key, headers=[(b"x-trunkline-priority", b"high"), (b"x", b"low")])
    assert (low.priority, other.priority, make_request(b"{").priority) == ("low", "high", "normal")
    assert not make_request(b"{").is_local_only
    assert make_request(b'{"model":"m","prompt":"x"}', ollama.GENERATE).operation == "chat"
