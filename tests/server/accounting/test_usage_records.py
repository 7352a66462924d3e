"""Rows of the ledger for what calls came to."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.pipeline.requests import make_active
from tests.pipeline.test_pipeline import Client, Table, attempt_of, make_table
from tests.policy.guarding import KEY
from trunkline import immediate
from trunkline.dialects import openai
from trunkline.dialects.base import RequestSummary
from trunkline.errors import (
    REFUSED,
    SUCCESS,
    UPSTREAM_ERROR,
    UPSTREAM_TIMEOUT,
    CallerError,
    OutcomeLabel,
    ProviderError,
)
from trunkline.ledger.store import Store
from trunkline.ledger.usage import sum_usage
from trunkline.ledger.usage_rows import RowIds, UsageRow
from trunkline.ledger.usage_store import UsageStore
from trunkline.model import Usage
from trunkline.pipeline.active import ActiveRequest, Outcome
from trunkline.pipeline.request import end_user_of
from trunkline.policy.guard import Guard
from trunkline.policy.prices import PriceBook
from trunkline.server.accounting.usage_records import rows_of
from trunkline.settings.sections import Price

OFFSET = 1_700_000_000.0
"""What makes Unix time of the pipeline's clock."""


def rows(outcome: Outcome) -> list[UsageRow]:
    return rows_of([outcome], OFFSET, RowIds())


async def make_priced(*names: str) -> Table:
    table = await make_table(*names)
    prices = {"first/*": Price(input=1), "second/*": Price(input=2, output=3)}
    table.pipeline.guard = Guard(PriceBook(prices, lambda *_: None))
    return table


def make_ended(
    model: str | None = "m", headers: Any = (), user: str | None = None, key: Any = None
) -> ActiveRequest:
    summary = RequestSummary(model=model, stream=False, user=user)
    end_user = end_user_of(dict(headers))
    return make_active(Client(), headers=headers, key=key, end_user=end_user, summary=summary)


def only_row(active: ActiveRequest, status: int = 200) -> UsageRow:
    label: OutcomeLabel = SUCCESS if status < 400 else REFUSED
    (row,) = rows(Outcome(active, status, active.request.received_at + 1, label))
    return row


async def test_an_answer_is_one_row() -> None:
    table = await make_priced("first")
    client = Client()
    body = {"model": "m", "stream": True, "user": "u-1", "messages": [{"role": "user", "content": "x"}]}
    active = make_active(client, msgspec.json.encode(body), request_id="req_7", key=KEY)
    immediate.run(table.pipeline.serve(active))
    attempt = attempt_of(table.upstreams[0])
    attempt.exchange.usage = Usage(
        prompt_tokens=30, completion_tokens=5, cached_tokens=10, reasoning_tokens=2
    )
    attempt.receiver.emit(b"a")
    attempt.receiver.done(b"b")
    (outcome,) = table.outcomes
    active.queued_s = 0.25
    (row,) = rows(outcome)
    assert row.id == row.at // 10 << 25 | (row.id & (1 << 25) - 1)
    assert row.at == int((outcome.ended_at + OFFSET) * 1000)
    assert (row.request_id, row.attempt, row.last, row.retries) == ("req_7", 1, True, 0)
    assert (row.key_id, row.team_id, row.end_user) == ("1", "t", "u-1")
    assert (row.route, row.provider, row.upstream) == ("", "first", "first-0")
    assert (row.asked, row.model) == ("m", "m")
    assert (row.dialect, row.operation, row.streamed) == ("openai", "chat", True)
    assert (row.status, row.error) == (200, "")
    assert (row.prompt_tokens, row.completion_tokens) == (30, 5)
    assert (row.cached_tokens, row.reasoning_tokens) == (10, 2)
    assert (row.estimated, row.cost_micros, row.cost_source) == (False, 30, "config")
    assert row.ttft_ms is not None
    assert 0 <= row.ttft_ms <= row.duration_ms
    assert 0 <= row.upstream_ms <= row.duration_ms
    assert row.queued_ms == 250
    assert (row.cached, row.prompt) == (False, None)


async def test_every_attempt_has_its_row_and_the_last_is_the_requests() -> None:
    table = await make_priced("first", "second", "third")
    asked = await table.ask()
    first, second, third = (upstream for upstream in table.upstreams)
    attempt_of(first).exchange.usage = None
    attempt_of(first).receiver.fail(ProviderError("broken", UPSTREAM_ERROR))
    attempt_of(second).exchange.usage = Usage(prompt_tokens=4, completion_tokens=1)
    attempt_of(second).receiver.fail(ProviderError("broken, too", UPSTREAM_ERROR, code="odd", status=503))
    attempt_of(third).exchange.usage = Usage(prompt_tokens=7)
    attempt_of(third).receiver.done(b"{}")
    await asked.end()
    found = rows(table.outcomes[0])
    assert [(row.attempt, row.last, row.provider, row.upstream) for row in found] == [
        (1, False, "first", "first-0"),
        (2, False, "second", "second-0"),
        (3, True, "third", "third-0"),
    ]
    assert [(row.status, row.error) for row in found] == [(502, "upstream_error"), (503, "odd"), (200, "")]
    assert [(row.prompt_tokens, row.completion_tokens) for row in found] == [(0, 0), (4, 1), (7, 0)]
    assert [(row.cost_micros, row.cost_source) for row in found] == [
        (0, ""),  # an attempt that used nothing costs nothing
        (11, "config"),
        (None, ""),  # one that did, at an unknown price, is unknown
    ]
    assert [row.retries for row in found] == [0, 0, 2]
    assert [row.ttft_ms is None for row in found] == [True, True, False]
    assert len({row.id for row in found}) == 3
    assert {row.request_id for row in found} == {"req_1"}
    assert [row.at for row in found] == sorted(row.at for row in found)
    assert all(0 <= row.upstream_ms <= found[-1].duration_ms for row in found)


async def test_a_stream_that_breaks_off_is_estimated() -> None:
    table = await make_priced("first")
    asked = await table.ask(stream=True)
    attempt = attempt_of(table.upstreams[0])
    attempt.exchange.usage = None
    attempt.exchange.pieces = 6
    attempt.receiver.emit(b"a")
    attempt.receiver.fail(ProviderError("broke off", UPSTREAM_ERROR))
    await asked.end()
    (row,) = rows(table.outcomes[0])
    assert (row.status, row.error, row.estimated) == (200, "upstream_error", True)
    assert row.completion_tokens == 6
    assert row.cost_micros == row.prompt_tokens > 0


@pytest.mark.parametrize("stream", [False, True])
async def test_what_failed_costs_nothing(stream: bool) -> None:
    table = await make_priced("first")
    asked = await table.ask(stream=stream)
    attempt = attempt_of(table.upstreams[0])
    attempt.exchange.usage = None
    attempt.receiver.fail(ProviderError("broke off", UPSTREAM_ERROR))
    await asked.end()
    (row,) = rows(table.outcomes[0])
    assert (row.status, row.error, row.attempt) == (502, "upstream_error", 1)
    assert (row.prompt_tokens, row.completion_tokens, row.estimated, row.cost_micros) == (0, 0, False, 0)


@pytest.mark.parametrize(("name", "cost", "source"), [("ollama", 0, "local"), ("cloud", None, "")])
async def test_what_has_no_tokens_costs_nothing_where_all_is_free(
    name: str, cost: int | None, source: str
) -> None:
    table = await make_priced(name)
    front = openai.RelayFront("/audio/speech")
    active = make_active(Client(), b'{"model": "m", "input": "x"}', front=front, path="/v1/audio/speech")
    immediate.run(table.pipeline.serve(active))
    attempt_of(table.upstreams[0]).receiver.done(b"RIFF")
    (row,) = rows(table.outcomes[0])
    assert (row.operation, row.cost_micros, row.cost_source) == ("other", cost, source)


async def test_a_whole_answer_without_usage_is_estimated_by_its_length() -> None:
    table = await make_priced("second")
    asked = await table.ask()
    attempt = attempt_of(table.upstreams[0])
    attempt.exchange.usage = None
    attempt.receiver.done(b"x" * 400)
    await asked.end()
    (row,) = rows(table.outcomes[0])
    assert (row.completion_tokens, row.estimated) == (100, True)
    assert row.cost_micros == row.prompt_tokens * 2 + 100 * 3


async def test_what_was_told_as_an_answer_began_is_not_all_of_it() -> None:
    table = await make_priced("second")
    asked = await table.ask(stream=True)
    attempt = attempt_of(table.upstreams[0])
    attempt.exchange.usage = Usage(prompt_tokens=25, completion_tokens=1)
    attempt.exchange.pieces = 50
    attempt.receiver.emit(b"a")
    asked.active.disconnected()
    await asked.end()
    (row,) = rows(table.outcomes[0])
    assert (row.prompt_tokens, row.completion_tokens, row.estimated) == (25, 50, True)
    assert row.cost_micros == 25 * 2 + 50 * 3


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("sent", [False, True])
async def test_who_leaves_before_the_answer_pays_for_the_prompt_once_it_was_sent(
    stream: bool, sent: bool
) -> None:
    table = await make_priced("second")
    body = b'{"model": "m", "stream": %s, "messages": [{"role": "user", "content": "x"}]}' % (
        b"true" if stream else b"false"
    )
    asked = await table.ask(body=body)
    attempt = attempt_of(table.upstreams[0])
    attempt.exchange.usage = None
    attempt.sent = sent
    asked.active.disconnected()
    asked.active.disconnected()  # it may be said twice
    await asked.end()
    (row,) = rows(table.outcomes[0])
    assert (row.attempt, row.status, row.error, row.ttft_ms) == (1, 499, "client_closed_request", None)
    prompt = -(-len(body) // 4) if sent else 0
    assert (row.prompt_tokens, row.completion_tokens, row.estimated) == (prompt, 0, sent)
    assert row.cost_micros == 2 * prompt


@pytest.mark.parametrize("sent", [True, False])
async def test_an_attempt_that_timed_out_costs_its_prompt_once_it_was_sent(sent: bool) -> None:
    table = await make_priced("second")
    body = b'{"model": "m", "messages": [{"role": "user", "content": "x"}]}'
    asked = await table.ask(body=body)
    attempt = attempt_of(table.upstreams[0])
    attempt.exchange.usage = None
    attempt.sent = sent
    attempt.receiver.fail(ProviderError("late", UPSTREAM_TIMEOUT))
    await asked.end()
    (row,) = rows(table.outcomes[0])
    prompt = -(-len(body) // 4) if sent else 0
    assert (row.status, row.error, row.prompt_tokens, row.completion_tokens) == (
        502, "upstream_timeout", prompt, 0
    )  # fmt: skip
    assert (row.estimated, row.cost_micros) == (sent, 2 * prompt)


async def test_who_leaves_after_a_failure_does_not_pay_for_it() -> None:
    table = await make_priced("first")
    table.upstreams[0].max_retries = 1
    asked = await table.ask()
    attempt = attempt_of(table.upstreams[0])
    attempt.exchange.usage = None
    attempt.receiver.fail(ProviderError("broken", UPSTREAM_ERROR))
    asked.active.disconnected()  # while it waits to be tried again
    await asked.end()
    (row,) = rows(table.outcomes[0])
    assert (row.attempt, row.status, row.error) == (1, 499, "client_closed_request")
    assert (row.prompt_tokens, row.estimated, row.cost_micros) == (0, False, 0)


async def test_a_request_that_reached_nobody() -> None:
    table = await make_table("first")
    asked = await table.ask(model="unheard-of")
    await asked.end()
    (row,) = rows(table.outcomes[0])
    assert (row.attempt, row.last, row.provider, row.upstream, row.model) == (0, True, "", "", "")
    assert (row.asked, row.status, row.error) == ("unheard-of", 404, "model_not_found")
    assert (row.cost_micros, row.upstream_ms, row.retries) == (0, 0, 0)


async def test_a_request_that_nobody_understood() -> None:
    table = await make_table("first")
    asked = await table.ask(body=b"{")
    await asked.end()
    (row,) = rows(table.outcomes[0])
    assert (row.asked, row.streamed, row.error) == ("", False, "invalid_json")


# What people and upstreams write


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("m", "m"),
        ("x" * 200, "x" * 200),
        ("x" * 201, "x" * 200),
        ("a\0b", "ab"),
        ("\0" * 300 + "m", "m"),
        ("", ""),
    ],
)
def test_names_of_models_fit_their_column(name: str, kept: str) -> None:
    assert only_row(make_ended(name)).asked == kept


SECRET = "sk-proj-0123456789abcdef"


def test_a_secret_where_a_model_should_be_is_not_kept() -> None:
    active = make_ended(SECRET)
    active.response.error = CallerError("no such model")
    assert only_row(active, 404).asked == "***"


@pytest.mark.parametrize(
    ("user", "headers", "kept"),
    [
        (None, [], ""),
        ("", [], ""),
        ("anna", [], "anna"),
        ("a\0nna", [], "anna"),
        ("x" * 300, [], "x" * 200),
        (SECRET, [], "***"),
        (f"sk-\0{SECRET[3:]}", [], "***"),
        (None, [(b"x-openwebui-user-id", b"17")], "17"),
        (None, [(b"x-openwebui-user-name", b"Anna"), (b"x-openwebui-user-id", b"17")], "17"),
        (None, [(b"x-openwebui-user-id", b"17"), (b"x-openwebui-user-email", b"a@b.c")], "a@b.c"),
        (None, [(b"x-openwebui-user-name", b"Ann\xe9" * 100)], "Anné" * 50),
        (None, [(b"x-openwebui-user-email", b""), (b"x-openwebui-user-name", b"Anna")], "Anna"),
        (None, [(b"x-openwebui-chat-id", b"1")], ""),
        (None, [(b"x-user", b"anna")], ""),
        ("anna", [(b"x-openwebui-user-id", b"17")], "anna"),
    ],
)
def test_whose_request_it_is(user: str | None, headers: Any, kept: str) -> None:
    assert only_row(make_ended(headers=headers, user=user)).end_user == kept


@pytest.mark.parametrize(("team", "kept"), [(None, ""), ("t", "t")])
def test_whose_key_it_is(team: str | None, kept: str) -> None:
    row = only_row(make_ended(key=msgspec.structs.replace(KEY, team_id=team)))
    assert (row.key_id, row.team_id) == ("1", kept)
    nobody = only_row(make_ended())
    assert (nobody.key_id, nobody.team_id) == ("", "")


async def test_a_stored_prompt_is_the_requests() -> None:
    table = await make_table("first", "second")
    asked = await table.ask()
    prompt = '{"model":"m","key":"' + SECRET + '"}'
    asked.active.request = msgspec.structs.replace(asked.active.request, stored_prompt=prompt)
    attempt_of(table.upstreams[0]).receiver.fail(ProviderError("broken", UPSTREAM_ERROR))
    attempt_of(table.upstreams[1]).receiver.done(b"{}")
    await asked.end()
    assert [row.prompt for row in rows(table.outcomes[0])] == [None, '{"model":"m","key":"***"}']


async def test_nothing_that_anybody_says_keeps_the_ledger_from_taking_it(database: str) -> None:
    odd = "x\0" * 500
    table = await make_table("first", "second")
    asked = await table.ask(model="m")
    summary = RequestSummary(model=odd, stream=False, user=odd)
    asked.active.request = msgspec.structs.replace(asked.active.request, summary=summary)
    for upstream in table.upstreams:
        attempt = attempt_of(upstream)
        attempt.exchange.upstream_model = odd
        attempt.receiver.fail(ProviderError(odd, UPSTREAM_ERROR, code=odd))
    await asked.end()
    (outcome,) = table.outcomes
    outcome.active.attempts[0].candidate.model = odd
    usage_store = UsageStore(database)
    usage_store.insert([rows(outcome)])
    usage_store.close()
    store = Store(database)
    try:
        (found,) = sum_usage(store)
        assert (found["requests"], found["attempts"]) == (1, 2)
    finally:
        store.close()
